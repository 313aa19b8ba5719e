#include "directory/backend/ldap_session.h"

#include "common/base/testing.h"

#define CSN(time, server) time "Z#000000#" server "#000000"

static void a_number_is_reached_by_the_same_or_a_later_one_of_the_same_server(void **state)
{
    (void)state;
    static const struct {
        const char *has, *wanted;
        bool reached;
    } cases[] = {
        { CSN("20260101000000.000001", "001"), CSN("20260101000000.000001", "001"), true },
        { CSN("20260101000000.000002", "001"), CSN("20260101000000.000001", "001"), true },
        { CSN("20260101000000.000000", "001"), CSN("20260101000000.000001", "001"), false },
        { CSN("20270101000000.000000", "002"), CSN("20260101000000.000001", "001"), false },
        { "", CSN("20260101000000.000001", "001"), false },
        { "20270101000000.000000Z", CSN("20260101000000.000001", "001"), false },
        { CSN("20270101000000.000000", "001"), "", false },
        { "", "", false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(ldap_csn_reached(view_of(cases[i].has), view_of(cases[i].wanted)), cases[i].reached);
}

static void every_server_counts_and_what_is_not_told_is_not_reached(void **state)
{
    (void)state;
    struct ldap_csns have = { .n = 1, .items = { CSN("20260101000000.000002", "001") } };
    struct ldap_csns wanted = { .n = 1, .items = { CSN("20260101000000.000001", "001") } };
    assert_true(ldap_csns_reached(&have, &wanted));
    wanted = (struct ldap_csns){
        .n = 2, .items = { CSN("20260101000000.000001", "001"), CSN("20250101000000.000000", "002") }
    };
    assert_false(ldap_csns_reached(&have, &wanted));
    have = (struct ldap_csns){
        .n = 2, .items = { CSN("20250101000000.000000", "002"), CSN("20260101000000.000002", "001") }
    };
    assert_true(ldap_csns_reached(&have, &wanted));
    wanted.n = 0;
    assert_false(ldap_csns_reached(&have, &wanted));
    have.n = 0;
    assert_false(ldap_csns_reached(&have, &wanted));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_reached_by_the_same_or_a_later_one_of_the_same_server),
        cmocka_unit_test(every_server_counts_and_what_is_not_told_is_not_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
