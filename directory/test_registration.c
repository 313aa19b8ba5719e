#include "directory/registration.h"

#include "common/base/scope.h"
#include "common/base/testing.h"

static void addresses_are_judged_as_the_sync_servers_did(void **state)
{
    (void)state;
    static const struct {
        const char *mail;
        bool ok;
    } rows[] = {
        { "tarek@mozilla.com", true },
        { "tarek+sync@mozilla.com", true },
        { "tarek@127.0.0.1", true },
        { "\"two words\"@example.com", true },
        { "a.b.c@example.com", true },
        { "fran\xc3\xa7ois@valid.test", true },
        { "a@b-c.co", true },
        { "tarek", false },
        { "tarek@moz", false },
        { "tarek@192.12.32334.3", false },
        { "newemail.com", false },
        { "bademailhere", false },
        { "", false },
        { "@example.com", false },
        { "a@", false },
        { "a..b@example.com", false },
        { ".a@example.com", false },
        { "a.@example.com", false },
        { "a b@example.com", false },
        { "a@b@example.com", false },
        { "a@example..com", false },
        { "a@example.c", false },
        { "a@example.c0m", false },
        { "a@ex ample.com", false },
        { "a\r\nBcc: x@example.com", false },
        { "a\n@example.com", false },
        { "a@example.com\n", false },
        { "bo\xef\xbb@example.com", false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (mail_valid(view_of(rows[i].mail)) != rows[i].ok)
            fail_msg("%s", rows[i].mail);
    assert_false(mail_valid((view){ .p = "a\0@example.com", .n = 14 }));
    char longest[300];
    memset(longest, 'a', sizeof(longest));
    memcpy(longest + 254 - 12, "@example.com", 12);
    assert_true(mail_valid((view){ .p = longest, .n = 254 }));
    memset(longest, 'a', sizeof(longest));
    memcpy(longest + 255 - 12, "@example.com", 12);
    assert_false(mail_valid((view){ .p = longest, .n = 255 }));
}

static void a_name_is_the_hash_of_its_address_in_either_way(void **state)
{
    (void)state;
    static const struct {
        const char *mail, *name;
        bool fits;
    } rows[] = {
        { "test@test.com", "u2wqblarhim5su7pxemcbwdyryrghmuk", true },
        { "TEST@test.com", "u2wqblarhim5su7pxemcbwdyryrghmuk", true },
        { "john@doe.com", "7wohs32cngzuqt466q3ge7indszva4of", true },
        { "jane@doe.com", "vuuf3eqgloxpxmzph27f5a6ve7gzlrms", true },
        { "alice+sync@example.com", "ecz3lqkh7eotpvoektgwddcg4iegkqua", true },
        { "jane@doe.com", "7wohs32cngzuqt466q3ge7indszva4of", false },
        /* Python: percent-decoded, IDNA; Firefox: plain UTF-8. */
        { "Fran%c3%a7ios@valid.test", "ym3nccfhvptfrhn7nkhhyvzgf2yl7r5y", true },
        { "Fran\xc3\xa7ios@valid.test", "ym3nccfhvptfrhn7nkhhyvzgf2yl7r5y", true },
        { "Fran\xc3\xa7ios@valid.test", "e7erlex7nbimfchyppfcmiucp764njze", true },
        { "FRAN\xc3\x87IOS@valid.test", "e7erlex7nbimfchyppfcmiucp764njze", true },
        { "bo%EF%bb@valid.test", "ym3nccfhvptfrhn7nkhhyvzgf2yl7r5y", false },
        { "bo%", "ym3nccfhvptfrhn7nkhhyvzgf2yl7r5y", false },
        { "%00\xc3\xa7@valid.test", "ym3nccfhvptfrhn7nkhhyvzgf2yl7r5y", false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        SCOPED(arena_done) struct arena a;
        arena_init(&a, 65536);
        if (mail_makes_name(view_of(rows[i].mail), view_of(rows[i].name), &a) != rows[i].fits)
            fail_msg("%s %s", rows[i].mail, rows[i].name);
    }
}

static struct registration read_mode(const char *mode, const char *url, const struct conf_list *list)
{
    struct registration r;
    assert_int_equal(registration_read(mode, *list, "", view_of(url), &r, NULL), RC_OK);
    return r;
}

static void without_a_word_only_loopback_is_open(void **state)
{
    (void)state;
    static const struct {
        const char *mode, *url;
        bool open;
    } rows[] = {
        { "", "http://127.0.0.1:8000", true },   { "", "http://localhost:8000", true },
        { "", "http://[::1]:8000", true },       { "", "https://sync.example.net", false },
        { "", "http://192.168.1.5:80", false },  { "open", "https://sync.example.net", true },
        { "closed", "http://127.0.0.1", false },
    };
    struct conf_list none = { 0 };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct registration r = read_mode(rows[i].mode, rows[i].url, &none);
        assert_int_equal(registration_takes_mail(&r, VIEW("a@b.cd")), rows[i].open);
        assert_int_equal(registration_takes_sub(&r, VIEW("abc")), rows[i].open);
    }
    struct registration r;
    assert_int_equal(registration_read("maybe", none, "", VIEW("http://127.0.0.1"), &r, NULL), RC_BAD_INPUT);
}

static void a_list_takes_addresses_domains_and_account_ids(void **state)
{
    (void)state;
    char *items[] = { (char[]){ "Alice@Example.com" }, (char[]){ "*@school.org" }, (char[]){ "@file.org" },
                      (char[]){ "8f3ac2b1" } };
    struct conf_list list = { .items = items, .n = 4 };
    struct registration r = read_mode("list", "http://127.0.0.1", &list);
    assert_true(registration_takes_mail(&r, VIEW("alice@example.COM")));
    assert_true(registration_takes_mail(&r, VIEW("anybody@SCHOOL.org")));
    assert_true(registration_takes_mail(&r, VIEW("x@file.org")));
    assert_false(registration_takes_mail(&r, VIEW("bob@example.com")));
    assert_false(registration_takes_mail(&r, VIEW("x@other-school.org")));
    assert_false(registration_takes_mail(&r, VIEW("@school.org")));
    assert_false(registration_takes_mail(&r, VIEW("x@school.org.evil.com")));
    assert_true(registration_takes_sub(&r, VIEW("8f3ac2b1")));
    assert_false(registration_takes_sub(&r, VIEW("8f3ac2b")));
    assert_false(registration_takes_sub(&r, VIEW("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_judged_as_the_sync_servers_did),
        cmocka_unit_test(a_name_is_the_hash_of_its_address_in_either_way),
        cmocka_unit_test(without_a_word_only_loopback_is_open),
        cmocka_unit_test(a_list_takes_addresses_domains_and_account_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
