#include "directory/backend/password.h"

#include <argon2.h>

#include "common/base/scope.h"
#include "common/base/testing.h"

static const struct password_cost cheap = { .kib = 64, .passes = 1, .lanes = 1 };
static const struct password_cost other = { .kib = 128, .passes = 2, .lanes = 2 };

static enum password_verdict verdict(const char *password, view stored, const struct password_cost *c)
{
    enum password_verdict v;
    struct err e = ERR_NONE;
    if (password_check(view_of(password), stored, c, &v, &e) != RC_OK)
        fail_msg("%s", e.text);
    return v;
}

static void what_we_write_is_text_that_the_library_reads(void **state)
{
    (void)state;
    SCOPED(buf_done) struct buf text = { 0 };
    assert_int_equal(password_hash(VIEW("correct horse"), &other, &text, NULL), RC_OK);
    assert_true(view_starts(buf_view(&text), VIEW("$argon2id$v=19$m=128,t=2,p=2$")));
    assert_int_equal(argon2id_verify(buf_text(&text), "correct horse", 13), ARGON2_OK);
    assert_int_equal(argon2id_verify(buf_text(&text), "correct horsf", 13), ARGON2_VERIFY_MISMATCH);
}

static void what_the_library_writes_we_read(void **state)
{
    (void)state;
    char text[256];
    for (uint32_t hash = 16; hash <= 40; hash += 3) { /* all paddings */
        assert_int_equal(
            argon2id_hash_encoded(2, 64, 2, "s3cret", 6, "saltsalt1", 9, hash, text, sizeof(text)),
            ARGON2_OK);
        assert_int_equal(verdict("s3cret", view_of(text), &cheap), PASSWORD_RIGHT_OLD);
        assert_int_equal(verdict("s3creT", view_of(text), &cheap), PASSWORD_WRONG);
    }
}

static void two_hashes_of_one_password_differ(void **state)
{
    (void)state;
    SCOPED(buf_done) struct buf a = { 0 }, b = { 0 };
    assert_int_equal(password_hash(VIEW("x"), &cheap, &a, NULL), RC_OK);
    assert_int_equal(password_hash(VIEW("x"), &cheap, &b, NULL), RC_OK);
    assert_false(view_eq(buf_view(&a), buf_view(&b)));
}

static void only_another_cost_asks_for_a_new_hash(void **state)
{
    (void)state;
    SCOPED(buf_done) struct buf text = { 0 };
    assert_int_equal(password_hash(VIEW("correct horse"), &cheap, &text, NULL), RC_OK);
    assert_int_equal(verdict("correct horse", buf_view(&text), &cheap), PASSWORD_RIGHT);
    assert_int_equal(verdict("correct horse", buf_view(&text), &other), PASSWORD_RIGHT_OLD);
    assert_int_equal(verdict("correct horsf", buf_view(&text), &cheap), PASSWORD_WRONG);
    assert_int_equal(verdict("", buf_view(&text), &cheap), PASSWORD_WRONG);
}

/* Made with Python's hashlib, as the Sync servers made them. */
static void hashes_of_the_old_servers_verify_and_ask_for_a_new_one(void **state)
{
    (void)state;
    static const char *const stored[] = {
        "{SSHA}P6re8keoMvceC2NF7eTUkPM6bBlhYkNEMTIzNA==",
        "{SSHA-256}Lid6DT8LQQY5qGAZK+2DJxMKUMfAAOtfsN6pZWGxwv1hYkNEMTIzNA==",
        "{SSHA256}Lid6DT8LQQY5qGAZK+2DJxMKUMfAAOtfsN6pZWGxwv1hYkNEMTIzNA==",
    };
    for (size_t i = 0; i < sizeof(stored) / sizeof(stored[0]); i++) {
        assert_int_equal(verdict("caf\xc3\xa9 secret", view_of(stored[i]), &cheap), PASSWORD_RIGHT_OLD);
        assert_int_equal(verdict("cafe secret", view_of(stored[i]), &cheap), PASSWORD_WRONG);
    }
}

static void what_is_no_hash_is_our_own_fault(void **state)
{
    (void)state;
    static const char *const stored[] = {
        "",
        "plain",
        "{SSHA}",
        "{SSHA}!!!!",
        "{SSHA}P6re8keoMvceC2NF7eTUkPM6bBk=", /* no salt */
        "{SSHA-256}P6re8keoMvceC2NF7eTUkPM6bBlhYkNEMTIzNA==",
        "{CRYPT}x",
        "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$",
        "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ",
        "$argon2id$v=19$m=64,t=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=999999999,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAA",
    };
    for (size_t i = 0; i < sizeof(stored) / sizeof(stored[0]); i++) {
        enum password_verdict v;
        if (password_check(VIEW("x"), view_of(stored[i]), &cheap, &v, NULL) != RC_BROKEN)
            fail_msg("%s", stored[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_we_write_is_text_that_the_library_reads),
        cmocka_unit_test(what_the_library_writes_we_read),
        cmocka_unit_test(two_hashes_of_one_password_differ),
        cmocka_unit_test(only_another_cost_asks_for_a_new_hash),
        cmocka_unit_test(hashes_of_the_old_servers_verify_and_ask_for_a_new_one),
        cmocka_unit_test(what_is_no_hash_is_our_own_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
