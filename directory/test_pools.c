#include "directory/pools.h"

#include "common/base/testing.h"

static void a_rule_names_a_domain_or_a_group_and_pools(void **state)
{
    (void)state;
    struct pool_rule r;
    struct err e = ERR_NONE;
    assert_int_equal(pool_rule_read(" mail  Example.org\tstaff default ", &r, &e), RC_OK);
    assert_false(r.by_group);
    assert_true(view_eq(r.key, VIEW("Example.org")) && view_eq(r.pools, VIEW("staff default")));
    assert_int_equal(pool_rule_read("group admins fast", &r, &e), RC_OK);
    assert_true(r.by_group && view_eq(r.key, VIEW("admins")) && view_eq(r.pools, VIEW("fast")));
    static const char *const bad[] = {
        "", "mail", "mail example.org", "mail example.org ", "name anna staff", "staff"
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(pool_rule_read(bad[i], &r, &e), RC_BAD_INPUT);
        assert_non_null(strstr(e.text, "assign.pools"));
    }
}

static void a_rule_by_mail_takes_the_whole_domain_and_no_other(void **state)
{
    (void)state;
    struct pool_rule r;
    assert_int_equal(pool_rule_read("mail example.org staff", &r, NULL), RC_OK);
    assert_true(pool_rule_takes_mail(&r, VIEW("anna"), VIEW("anna@EXAMPLE.org")));
    assert_true(pool_rule_takes_mail(&r, VIEW("anna"), VIEW("\"a@b\"@example.org")));
    assert_true(pool_rule_takes_mail(&r, VIEW("8f3a@example.org"), VIEW_NONE));
    assert_false(pool_rule_takes_mail(&r, VIEW("8f3a@example.org"), VIEW("anna@example.net")));
    assert_false(pool_rule_takes_mail(&r, VIEW("anna"), VIEW("anna@sub.example.org")));
    assert_false(pool_rule_takes_mail(&r, VIEW("anna"), VIEW("anna@notexample.org")));
    assert_false(pool_rule_takes_mail(&r, VIEW("anna"), VIEW_NONE));
    assert_false(pool_rule_takes_mail(&r, VIEW("example.org"), VIEW_NONE));
}

static void a_node_without_pools_is_of_the_default_pool(void **state)
{
    (void)state;
    assert_true(pool_has(VIEW(""), VIEW("default")));
    assert_true(pool_has(VIEW_NONE, VIEW("default")));
    assert_true(pool_has(VIEW("  "), VIEW("default")));
    assert_false(pool_has(VIEW("staff"), VIEW("default")));
    assert_true(pool_has(VIEW("staff default"), VIEW("default")));
    assert_true(pool_has(VIEW("a staff b"), VIEW("staff")));
    assert_false(pool_has(VIEW("a staffers b"), VIEW("staff")));
    assert_false(pool_has(VIEW(""), VIEW("staff")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_names_a_domain_or_a_group_and_pools),
        cmocka_unit_test(a_rule_by_mail_takes_the_whole_domain_and_no_other),
        cmocka_unit_test(a_node_without_pools_is_of_the_default_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
