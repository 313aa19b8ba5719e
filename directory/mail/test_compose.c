/* What a mail looks like, and what cannot get into its headers. */
#include "common/base/testing.h"
#include "directory/mail/inside.h"

static const struct mail plain = { .to = VIEW("alice@example.com"),
                                   .subject = VIEW("Resetting your Services password"),
                                   .text = VIEW("one\n\n    link\n"),
                                   .html = VIEW("<p>one</p>") };

static const char *composed(const struct mail *m, const char *from, struct buf *b)
{
    struct err e = ERR_NONE;
    buf_clear(b);
    rc r = mail_compose(m, view_of(from), VIEW("1700000000000-ab"), 1700000000, b, &e);
    return r == RC_OK ? buf_text(b) : rc_name(r);
}

static void a_mail_has_both_parts_in_base64(void **state)
{
    struct buf b = { 0 };
    (void)state;
    const char *t = composed(&plain, "Sync <sync@example.net>", &b);
    assert_ptr_equal(strstr(t, "From: \"Sync\" <sync@example.net>\r\nTo: alice@example.com\r\n"
                               "Subject: Resetting your Services password\r\n"
                               "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
                               "Message-ID: <1700000000000-ab@example.net>\r\n"),
                     t);
    assert_non_null(strstr(t, "Content-Type: text/plain; charset=\"utf-8\"\r\n"
                              "Content-Transfer-Encoding: base64\r\n\r\nb25lCgogICAgbGluawo=\r\n"));
    assert_non_null(strstr(t, "Content-Type: text/html; charset=\"utf-8\""));
    for (const char *p = t; (p = strchr(p, '\n')); p++)
        assert_true(p > t && p[-1] == '\r');
    buf_done(&b);
}

static void names_are_encoded_and_addresses_are_not(void **state)
{
    struct buf b = { 0 };
    struct mail m = plain;
    (void)state;
    assert_non_null(strstr(composed(&m, "Tarek Ziad\xc3\xa9 <tarek@mozilla.com>", &b),
                           "From: =?utf-8?q?Tarek_Ziad=C3=A9?= <tarek@mozilla.com>\r\n"));
    assert_non_null(strstr(composed(&m, "<tarek@mozilla.com>", &b), "From: tarek@mozilla.com\r\n"));
    m.subject = VIEW("Ihr Passwort f\xc3\xbcr die Synchronisation wird zur\xc3\xbc"
                     "ckgesetzt, wenn Sie das m\xc3\xb6"
                     "chten");
    const char *t = strstr(composed(&m, "a@b.example", &b), "Subject: =?utf-8?b?");
    assert_non_null(t);
    assert_non_null(strstr(t, "?=\r\n =?utf-8?b?"));
    buf_done(&b);
}

static void nothing_breaks_out_of_a_header(void **state)
{
    struct buf b = { 0 };
    struct mail m = plain;
    static const view bad[] = { VIEW("a@b.example\r\nBcc: x@y.example"),
                                VIEW("a@b.example\nx"),
                                VIEW("a b@c.example"),
                                VIEW("\"a\" <evil@x.example>, \"b\"@y.example"),
                                VIEW("a@b@c.example"),
                                VIEW("<a@b.example>"),
                                VIEW("\"a\\\"b\"@c.example"),
                                VIEW("a\0b@c.example"),
                                VIEW("a"),
                                VIEW("@"),
                                VIEW("a@"),
                                VIEW(""),
                                VIEW("a\xff@b.example") };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        m.to = bad[i];
        if (strcmp(composed(&m, "s@example.net", &b), "BAD_INPUT") != 0)
            fail_msg("row %zu was taken", i);
    }
    m.to = VIEW("\"odd one\"@b.example");
    assert_non_null(strstr(composed(&m, "s@example.net", &b), "To: \"odd one\"@b.example\r\n"));
    m = plain;
    m.subject = VIEW("a\r\nBcc: x@y.example");
    assert_string_equal(composed(&m, "s@example.net", &b), "BAD_INPUT");
    assert_string_equal(composed(&plain, "a\nb <s@example.net>", &b), "BAD_INPUT");
    assert_string_equal(composed(&plain, "no address", &b), "BAD_INPUT");
    buf_done(&b);
}

static void what_was_composed_is_read_as_it_was_meant(void **state)
{
    struct buf b = { 0 };
    struct arena a;
    struct mail_seen seen;
    struct mail m = plain;
    (void)state;
    arena_init(&a, 1 << 20);
    m.subject = VIEW("Ihr Passwort f\xc3\xbcr die Synchronisation wird zur\xc3\xbc"
                     "ckgesetzt, wenn Sie das m\xc3\xb6"
                     "chten");
    m.text = VIEW(
        "Zeile f\xc3\xbcr Zeile, lang genug, dass sie im Brief gebrochen wird, was niemand merken darf.\n\n    https://x/\n");
    composed(&m, "K\xc3\xa4the =?x?= <sync@example.net>", &b);
    assert_int_equal(mail_read(buf_view(&b), &a, &seen, NULL), RC_OK);
    assert_true(view_eq(seen.subject, m.subject) && view_eq(seen.text, m.text) && view_eq(seen.to, m.to) &&
                !seen.cut);
    assert_true(view_eq(seen.from, VIEW("K\xc3\xa4the =?x?= <sync@example.net>")));
    assert_true(view_eq(seen.date, VIEW("Tue, 14 Nov 2023 22:13:20 +0000")));
    for (size_t n = 0; n + 1 < b.n; n++) { /* whatever is torn off is an error, or a mail, and no more */
        view torn = arena_copy(&a, (view){ .p = b.p, .n = n });
        rc r = mail_read(torn, &a, &seen, NULL);
        assert_true(r == RC_OK || r == RC_BROKEN);
        arena_reset(&a);
    }
    buf_done(&b);
    arena_done(&a);
}

static void a_long_text_is_shortened_between_characters(void **state)
{
    static char text[40001];
    struct buf b = { 0 };
    struct arena a;
    struct mail_seen seen;
    struct mail m = plain;
    (void)state;
    arena_init(&a, 1 << 20);
    text[0] = 'x';
    for (size_t i = 1; i + 1 < sizeof(text); i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    m.text = (view){ .p = text, .n = sizeof(text) - 2 };
    composed(&m, "a@b.example", &b);
    assert_int_equal(mail_read(buf_view(&b), &a, &seen, NULL), RC_OK);
    assert_true(seen.cut && seen.text.n == 16383 && seen.text.p[16382] == '\xa9');
    buf_done(&b);
    arena_done(&a);
}

static void a_file_of_somebody_else_is_no_mail(void **state)
{
    static const char *const bad[] = {
        "",
        "From: a\r\n",
        "From: a\r\n\r\n",
        "From: a\r\n\r\nhello\r\n\r\n",
        "From: a\r\n\r\n--x\r\nContent-Type: text/plain; charset=\"utf-8\"\r\n\r\n!!!\r\n\r\n",
        "From: a\r\n\r\n--x\r\nContent-Type: text/html; charset=\"utf-8\"\r\n\r\nYQ==\r\n\r\n",
    };
    struct arena a;
    struct mail_seen seen;
    (void)state;
    arena_init(&a, 1 << 16);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(mail_read(view_of(bad[i]), &a, &seen, NULL), RC_BROKEN);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mail_has_both_parts_in_base64),
        cmocka_unit_test(names_are_encoded_and_addresses_are_not),
        cmocka_unit_test(nothing_breaks_out_of_a_header),
        cmocka_unit_test(what_was_composed_is_read_as_it_was_meant),
        cmocka_unit_test(a_long_text_is_shortened_between_characters),
        cmocka_unit_test(a_file_of_somebody_else_is_no_mail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
