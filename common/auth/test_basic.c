#include "common/auth/basic.h"

#include "common/base/encode.h"
#include "common/base/testing_arena.h"

static view header_of(const char *scheme, view plain)
{
    struct buf b = { 0 };
    view header;

    buf_add(&b, view_of(scheme));
    base64_put(&b, BASE64_STD, plain);
    header = arena_copy(&arena, buf_view(&b));
    buf_done(&b);
    return header;
}

static void a_password_may_hold_anything_but_nul(void **state)
{
    const char *const passwords[] = { "x",    ":",  "a:b:c",         "!@=",  " ",
                                      "\t\n", "α☃", "p@ss word\r\n", "%41+", "::::" };
    struct basic who;

    (void)state;
    for (size_t i = 0; i < sizeof passwords / sizeof passwords[0]; i++) {
        view plain = arena_text(&arena, "tarek:%s", passwords[i]);

        assert_true(basic_parse(header_of("Basic ", plain), &arena, &who));
        assert_true(view_eq(who.name, VIEW("tarek")));
        assert_true(view_eq(who.password, view_of(passwords[i])));
    }
    assert_false(basic_parse(header_of("Basic ", VIEW("tarek:a\0b")), &arena, &who));
}

static void the_scheme_and_the_name_are_taken_in_any_case(void **state)
{
    struct basic who;

    (void)state;
    assert_true(basic_parse(header_of("bAsIC ", VIEW("Some.User_1-X:pw")), &arena, &who));
    assert_true(view_eq(who.name, VIEW("some.user_1-x")));
    assert_true(basic_parse(header_of("Basic   ", VIEW("u:pw")), &arena, &who));
    assert_true(
        basic_parse(arena_text(&arena, "%.*s  ", VIEW_ARG(header_of("Basic ", VIEW("u:pw")))), &arena, &who));
}

static void every_other_header_is_refused(void **state)
{
    const view plain[] = {
        VIEW(""),        VIEW("u"),       VIEW("u:"),         VIEW(":pw"),
        VIEW("u v:pw"),  VIEW("u/v:pw"),  VIEW("u@v.org:pw"), VIEW("u\n:pw"),
        VIEW("u\0v:pw"), VIEW("ü:pw"),    VIEW("u:\xff"),     VIEW("u:\xed\xa0\x80"),
        VIEW("<u>:pw"),  VIEW("u%20:pw"), VIEW("u:\xc0\xaf"),
    };
    const char *const headers[] = {
        "",
        "Basic",
        "Basic ",
        "Basic    ",
        "Basic dTpwdw",
        "Basic dTpwdw=",
        "dTpwdw==",
        "BasicdTpwdw==",
        "Basic dTpwdx==",
        "Basic dTpw dw==",
        "Basic @@@@",
        "Basic dTpwdw==,",
        "Hawk dTpwdw==",
        "Basic\tdTpwdw==",
        "Basi dTpwdw==",
        "Basic dTpwdw==\n",
    };
    struct basic who;

    (void)state;
    assert_true(basic_parse(VIEW("Basic dTpwdw=="), &arena, &who)); /* what the bad ones are made of */
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (basic_parse(header_of("Basic ", plain[i]), &arena, &who))
            fail_msg("plain text %zu", i);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        if (basic_parse(view_of(headers[i]), &arena, &who))
            fail_msg("%s", headers[i]);
    assert_false(basic_parse(VIEW_NONE, &arena, &who));
}

static void a_header_above_eight_kibibytes_is_refused(void **state)
{
    struct basic who;

    (void)state;
    assert_true(basic_parse(header_of("Basic ", arena_text(&arena, "u:%06000d", 0)), &arena, &who));
    assert_false(basic_parse(header_of("Basic ", arena_text(&arena, "u:%06200d", 0)), &arena, &who));
}

/* Storage API 1.1: names of accounts */
static const struct {
    const char *account, *name;
} names[] = {
    { "test@test.com", "u2wqblarhim5su7pxemcbwdyryrghmuk" },
    { "TEST@Test.Com", "u2wqblarhim5su7pxemcbwdyryrghmuk" },
    { "john@doe.com", "7wohs32cngzuqt466q3ge7indszva4of" },
    { "jane@doe.com", "vuuf3eqgloxpxmzph27f5a6ve7gzlrms" },
    { "Fran\xc3\xa7ios@valid.test", "e7erlex7nbimfchyppfcmiucp764njze" },
    { "tarek", "tarek" },
    { "Some.User_1-X", "some.user_1-x" },
    { "", NULL },
    { "user\r\nname", NULL },
    { "%3Cscript%3E", NULL },
    { "a b", NULL },
    { "bo\xef\xbb@x.org", NULL },
};

static void an_account_gives_the_name_that_clients_derive(void **state)
{
    view name;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        bool good = account_name_derive(view_of(names[i].account), &arena, &name);

        if (good != (names[i].name != NULL) || (good && !view_eq(name, view_of(names[i].name))))
            fail_msg("%s", names[i].account);
    }
    assert_false(account_name_derive(VIEW("a\0@x.org"), &arena, &name));
    assert_false(account_name_derive(VIEW_NONE, &arena, &name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_password_may_hold_anything_but_nul),
        cmocka_unit_test(the_scheme_and_the_name_are_taken_in_any_case),
        cmocka_unit_test(every_other_header_is_refused),
        cmocka_unit_test(a_header_above_eight_kibibytes_is_refused),
        cmocka_unit_test(an_account_gives_the_name_that_clients_derive),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
