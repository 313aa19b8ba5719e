#include "common/base/err.h"

#include <string.h>

#include "common/base/testing.h"

static void every_rc_has_its_name(void **state)
{
    (void)state;
    assert_string_equal(rc_name(RC_OK), "OK");
    assert_string_equal(rc_name(RC_NOT_HERE), "NOT_HERE");
    assert_string_equal(rc_name(RC_BROKEN), "BROKEN");
    for (int r = RC_OK; r <= RC_BROKEN; r++)
        assert_string_not_equal(rc_name((rc)r), "UNKNOWN");
    assert_string_equal(rc_name((rc)(RC_BROKEN + 1)), "UNKNOWN");
    assert_string_equal(rc_name((rc)-1), "UNKNOWN");
}

static void failing_fills_the_error_and_gives_the_word_back(void **state)
{
    struct err e = { .retry_after_s = 9 };

    (void)state;
    assert_int_equal(fail(&e, RC_BAD_INPUT, RESP_JSON, "item %d", 3), RC_BAD_INPUT);
    assert_int_equal(e.respcode, RESP_JSON);
    assert_int_equal(e.retry_after_s, 0);
    assert_null(e.words);
    assert_string_equal(e.text, "item 3");
    assert_int_equal(fail(NULL, RC_BUSY, RESP_GENERIC, "nobody listens"), RC_BUSY);
}

static void words_travel_by_pointer(void **state)
{
    static const struct err_words words = { .http = 401, .status = "invalid-credentials" };
    struct err e = { .respcode = RESP_JSON };

    (void)state;
    assert_int_equal(fail_words(&e, RC_DENIED, &words, "%s", "no"), RC_DENIED);
    assert_ptr_equal(e.words, &words);
    assert_int_equal(e.respcode, RESP_GENERIC);
    assert_string_equal(e.text, "no");
    assert_int_equal(fail_words(NULL, RC_DENIED, &words, "no"), RC_DENIED);
}

static void a_failure_can_be_put_into_the_words_of_the_next(void **state)
{
    struct err e;

    (void)state;
    assert_int_equal(fail(&e, RC_AWAY, RESP_GENERIC, "socket closed"), RC_AWAY);
    assert_int_equal(fail(&e, RC_AWAY, RESP_GENERIC, "store: %s", e.text), RC_AWAY);
    assert_string_equal(e.text, "store: socket closed");
}

static void a_long_text_is_cut(void **state)
{
    struct err e;

    (void)state;
    assert_int_equal(fail(&e, RC_BROKEN, RESP_GENERIC, "%*s", 10000, "x"), RC_BROKEN);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rc_has_its_name),
        cmocka_unit_test(failing_fills_the_error_and_gives_the_word_back),
        cmocka_unit_test(words_travel_by_pointer),
        cmocka_unit_test(a_failure_can_be_put_into_the_words_of_the_next),
        cmocka_unit_test(a_long_text_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
