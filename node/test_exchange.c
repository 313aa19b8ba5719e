/* What is remembered of tokens of other nodes, and how often a directory is asked about them. */
#include "node/exchange.h"

#include "common/base/testing.h"

#define KEY "0123456789abcdef0123456789abcdef0123456789a="

struct bureau {
    struct clock_fake clock;
    struct exchange *x;
    const char *answer; /* NULL: nobody knows */
    int asked;
    char last[256];
    struct err e;
};

static rc answer(void *arg, view body, json_t **out, struct err *e)
{
    struct bureau *b = arg;
    b->asked++;
    snprintf(b->last, sizeof(b->last), "%.*s", VIEW_ARG(body));
    if (!b->answer)
        return fail(e, RC_AWAY, RESP_GENERIC, "no directory answers");
    return json_read(view_of(b->answer), 8, JSON_READ_PLAIN, out, e);
}

static void open_bureau(struct bureau *b)
{
    *b = (struct bureau){ .answer = "{\"uid\":7,\"epoch\":2,\"key\":\"" KEY "\",\"expires\":1767225700}" };
    clock_fake_init(&b->clock, 1767225600000000);
    const struct exchange_options o = {
        .clock = &b->clock.clock, .arrived_s = 7200, .ask = answer, .arg = b
    };
    b->x = exchange_new(&o);
}

static void a_good_answer_is_remembered_until_the_token_expires(void **state)
{
    (void)state;
    struct bureau b;
    struct exchanged got;
    open_bureau(&b);
    assert_int_equal(exchange_known(b.x, VIEW("t1"), &got), EXCHANGE_UNKNOWN);
    assert_int_equal(exchange_ask(b.x, 7, VIEW("t1"), &got, &b.e), RC_OK);
    assert_string_equal(b.last, "{\"id\":\"t1\"}");
    assert_true(got.uid == 7 && got.epoch == 2 && got.expires_s == 1767225700);
    assert_memory_equal(got.key, KEY, TOKEN_KEY_TEXT);
    got = (struct exchanged){ .uid = 0 };
    assert_int_equal(exchange_known(b.x, VIEW("t1"), &got), EXCHANGE_GOOD);
    assert_true(got.uid == 7 && got.epoch == 2);
    assert_memory_equal(got.key, KEY, TOKEN_KEY_TEXT);
    assert_int_equal(exchange_known(b.x, VIEW("t2"), &got), EXCHANGE_UNKNOWN);
    b.clock.wall_us += 100 * INT64_C(1000000);
    assert_int_equal(exchange_known(b.x, VIEW("t1"), &got), EXCHANGE_UNKNOWN);
    assert_int_equal(b.asked, 1);
    exchange_free(b.x);
}

static void a_refusal_is_remembered_for_a_minute_and_silence_not_at_all(void **state)
{
    (void)state;
    struct bureau b;
    struct exchanged got;
    open_bureau(&b);
    b.answer = "{\"refused\":true}";
    assert_int_equal(exchange_ask(b.x, 7, VIEW("t1"), &got, &b.e), RC_DENIED);
    assert_int_equal(exchange_known(b.x, VIEW("t1"), &got), EXCHANGE_REFUSED);
    b.clock.steady_us += EXCHANGE_REFUSED_S * INT64_C(1000000);
    assert_int_equal(exchange_known(b.x, VIEW("t1"), &got), EXCHANGE_UNKNOWN);
    b.answer = NULL;
    assert_int_equal(exchange_ask(b.x, 7, VIEW("t1"), &got, &b.e), RC_AWAY);
    assert_int_equal(exchange_known(b.x, VIEW("t1"), &got), EXCHANGE_UNKNOWN);
    exchange_free(b.x);
}

static void an_answer_that_makes_no_sense_is_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "{\"refused\":false}",
        "{\"uid\":8,\"epoch\":2,\"key\":\"" KEY "\",\"expires\":1767225700}",
        "{\"uid\":7,\"epoch\":0,\"key\":\"" KEY "\",\"expires\":1767225700}",
        "{\"uid\":7,\"epoch\":2,\"key\":\"short\",\"expires\":1767225700}",
        "{\"uid\":7,\"epoch\":2,\"key\":\"" KEY "\"}",
    };
    struct bureau b;
    struct exchanged got;
    open_bureau(&b);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        b.answer = bad[i];
        assert_int_equal(exchange_ask(b.x, 7, VIEW("t"), &got, &b.e), RC_AWAY);
    }
    assert_int_equal(exchange_known(b.x, VIEW("t"), &got), EXCHANGE_UNKNOWN);
    exchange_free(b.x);
}

static void a_stranger_with_many_tokens_makes_us_ask_a_few_times_a_minute(void **state)
{
    (void)state;
    struct bureau b;
    struct exchanged got;
    char token[16];
    open_bureau(&b);
    b.answer = "{\"refused\":true}";
    for (int i = 0; i < 100; i++) {
        snprintf(token, sizeof(token), "t%d", i);
        assert_int_equal(exchange_ask(b.x, 7, view_of(token), &got, &b.e), RC_DENIED);
    }
    assert_int_equal(b.asked, EXCHANGE_ASKS_A_MINUTE);
    assert_int_equal(exchange_ask(b.x, 8, VIEW("of another user"), &got, &b.e), RC_DENIED);
    assert_int_equal(b.asked, EXCHANGE_ASKS_A_MINUTE + 1);
    b.clock.steady_us += 60 * INT64_C(1000000);
    assert_int_equal(exchange_ask(b.x, 7, VIEW("a minute later"), &got, &b.e), RC_DENIED);
    assert_int_equal(b.asked, EXCHANGE_ASKS_A_MINUTE + 2);
    exchange_free(b.x);
}

static void memory_is_bounded_and_refusals_go_before_good_answers(void **state)
{
    (void)state;
    struct bureau b;
    struct exchanged got;
    char token[32];
    open_bureau(&b);
    assert_int_equal(exchange_ask(b.x, 7, VIEW("good"), &got, &b.e), RC_OK);
    b.answer = "{\"refused\":true}";
    for (int i = 0; i < 60000; i++) { /* over many users */
        snprintf(token, sizeof(token), "bad%d", i);
        assert_int_equal(exchange_ask(b.x, 1000 + i, view_of(token), &got, &b.e), RC_DENIED);
    }
    assert_int_equal(exchange_known(b.x, VIEW("good"), &got), EXCHANGE_GOOD);
    exchange_free(b.x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_answer_is_remembered_until_the_token_expires),
        cmocka_unit_test(a_refusal_is_remembered_for_a_minute_and_silence_not_at_all),
        cmocka_unit_test(an_answer_that_makes_no_sense_is_none),
        cmocka_unit_test(a_stranger_with_many_tokens_makes_us_ask_a_few_times_a_minute),
        cmocka_unit_test(memory_is_bounded_and_refusals_go_before_good_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
