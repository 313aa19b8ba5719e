#include "directory/backend/ldap_text.h"

#include <ldap.h>

#include "common/base/testing_arena.h"

static const struct {
    view value;
    const char *escaped;
} rows[] = {
    { { "alice", 5 }, "alice" },
    { { "8f3a@api.example.com", 20 }, "8f3a@api.example.com" },
    { { "node1:8000", 10 }, "node1:8000" },
    { { "*", 1 }, "\\2a" },
    { { "a)(uid=*", 8 }, "a\\29\\28uid\\3d\\2a" },
    { { "a,b+c=\"d\"<e>;#", 14 }, "a\\2cb\\2bc\\3d\\22d\\22\\3ce\\3e\\3b\\23" },
    { { "\\", 1 }, "\\5c" },
    { { " a ", 3 }, "\\20a\\20" },
    { { "a\0b", 3 }, "a\\00b" },
    { { "\xc3\xa9\xff", 3 }, "\\c3\\a9\\ff" },
    { { "", 0 }, "" },
};

static void filters_hold_values_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        view got = filter_equals(&arena, "uid", rows[i].value);
        assert_true(view_eq(got, arena_text(&arena, "(uid=%s)", rows[i].escaped)));
        assert_int_equal(got.p[got.n], '\0');
    }
    const view parts[] = { VIEW("(a=b)"), VIEW(""), VIEW("(c=d)") };
    assert_string_equal(filter_and(&arena, parts, 3).p, "(&(a=b)(c=d))");
}

/* What the library reads out of a DN of ours is what was put in. */
static void dns_hold_values_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        LDAPDN dn = NULL;
        view got = dn_below(&arena, "uid", rows[i].value, VIEW("ou=users,dc=x"));
        assert_true(view_eq(got, arena_text(&arena, "uid=%s,ou=users,dc=x", rows[i].escaped)));
        assert_int_equal(ldap_str2dn(got.p, &dn, LDAP_DN_FORMAT_LDAPV3), LDAP_SUCCESS);
        assert_non_null(dn[0]);
        assert_null(dn[0][1]);
        assert_int_equal(dn[0][0]->la_value.bv_len, rows[i].value.n);
        assert_memory_equal(dn[0][0]->la_value.bv_val, rows[i].value.p, rows[i].value.n);
        assert_non_null(dn[2]);
        assert_null(dn[3]);
        ldap_dnfree(dn);
    }
}

static void every_byte_is_one_value(void **state)
{
    (void)state;
    char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    LDAPDN dn = NULL;
    view got = dn_below(&arena, "uid", (view){ all, 256 }, VIEW("dc=x"));
    assert_int_equal(ldap_str2dn(got.p, &dn, LDAP_DN_FORMAT_LDAPV3), LDAP_SUCCESS);
    assert_int_equal(dn[0][0]->la_value.bv_len, 256);
    assert_memory_equal(dn[0][0]->la_value.bv_val, all, 256);
    ldap_dnfree(dn);
}

static void names_that_differ_in_a_byte_differ_in_ldap(void **state)
{
    (void)state;
    static const struct {
        view name;
        const char *text;
    } names[] = {
        { { "alice", 5 }, "alice" },
        { { "Alice", 5 }, "%41lice" },
        { { "8f3a@x-y.z:1_", 13 }, "8f3a@x-y.z:1_" },
        { { "a  b", 4 }, "a%20%20b" },
        { { "%41", 3 }, "%2541" },
        { { "\xc3\xa9\xff\0", 4 }, "%c3%a9%ff%00" },
    };
    static const char *const broken[] = { "Alice", "%4", "%", "%4g", "%C3", "a b", "%61", "\xc3\xa9" };
    view got;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_string_equal(name_encode(&arena, names[i].name).p, names[i].text);
        assert_true(name_decode(&arena, view_of(names[i].text), &got));
        assert_true(view_eq(got, names[i].name));
    }
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        assert_false(name_decode(&arena, view_of(broken[i]), &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_hold_values_and_nothing_else),
        cmocka_unit_test(dns_hold_values_and_nothing_else),
        cmocka_unit_test(every_byte_is_one_value),
        cmocka_unit_test(names_that_differ_in_a_byte_differ_in_ldap),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
