/* What a signed token says: its members are read strictly, and its time counts. */
#include "common/auth/testing_token.h"

/* ---- payloads ---- */

#define REST  "\"node\":\"" NODE "\",\"expires\":1767229200,\"salt\":\"a1b2c3\""
#define WHOLE "\"uid\":7," REST

static const struct {
    const char *payload;
    enum token_reason reason;
} payloads[] = {
    { "{" WHOLE "}", TOKEN_GOOD },
    { " { \"salt\" : \"a1b2c3\" ,\n\"expires\":1767229200,\t\"node\":\"" NODE "\", \"uid\" : 7 } ",
      TOKEN_GOOD },
    { "{" WHOLE ",\"tokenserver_origin\":\"rust\",\"other\":[1,{}]}", TOKEN_GOOD },
    { "{" WHOLE ",\"fxa_uid\":\"abc\",\"device_id\":\"def\"}", TOKEN_GOOD },
    { "{" WHOLE
      ",\"fxa_uid\":\"abc\",\"fxa_kid\":\"1-A_=\",\"hashed_fxa_uid\":\"x\",\"hashed_device_id\":\"y\"}",
      TOKEN_GOOD },
    { "{" WHOLE ",\"svc\":\"notes\",\"epoch\":1}", TOKEN_GOOD },
    { "{\"uid\":9223372036854775807," REST "}", TOKEN_GOOD },
    { "{\"uid\":0," REST "}", TOKEN_GOOD },
    { "{\"uid\":7,\"node\":\"" NODE "\",\"expires\":1767229200.5,\"salt\":\"\\u00e4\"}", TOKEN_GOOD },

    { "NOTJSON", TOKEN_MALFORMED },
    { "42", TOKEN_MALFORMED },
    { "null", TOKEN_MALFORMED },
    { "[]", TOKEN_MALFORMED },
    { "\"text\"", TOKEN_MALFORMED },
    { "{" WHOLE "}x", TOKEN_MALFORMED },
    { "{" WHOLE ",}", TOKEN_MALFORMED },
    { "{" WHOLE "", TOKEN_MALFORMED },
    { "{'uid':7," REST "}", TOKEN_MALFORMED },
    { "{" WHOLE ",\"uid\":7}", TOKEN_MALFORMED }, /* twice */
    { "{" WHOLE ",\"other\":1,\"other\":2}", TOKEN_MALFORMED },
    { "{" WHOLE ",\"other\":[[[1]]]}", TOKEN_GOOD }, /* depth 4 */
    { "{" WHOLE ",\"other\":[[[[1]]]]}", TOKEN_MALFORMED },
    { "{" WHOLE ",\"other\":\"\xff\"}", TOKEN_MALFORMED },
    { "{\"uid\":9223372036854775808," REST "}", TOKEN_MALFORMED },
    { "{\"uid\":7,\"node\":\"" NODE "\",\"expires\":NaN,\"salt\":\"aa\"}", TOKEN_MALFORMED },
    { "{\"uid\":7,\"node\":\"" NODE "\",\"expires\":1e999,\"salt\":\"aa\"}", TOKEN_MALFORMED },

    { "{}", TOKEN_MISSING_FIELD },
    { "{" REST "}", TOKEN_MISSING_FIELD },
    { "{\"uid\":7,\"expires\":1767229200,\"salt\":\"aa\"}", TOKEN_MISSING_FIELD },
    { "{\"uid\":7,\"node\":\"" NODE "\",\"salt\":\"aa\"}", TOKEN_MISSING_FIELD },
    { "{\"uid\":7,\"node\":\"" NODE "\",\"expires\":1767229200}", TOKEN_MISSING_FIELD },
    { "{" WHOLE ",\"hashed_fxa_uid\":\"x\"}", TOKEN_MISSING_FIELD },
    { "{" WHOLE ",\"hashed_fxa_uid\":\"x\",\"fxa_uid\":\"abc\"}", TOKEN_MISSING_FIELD },
    { "{" WHOLE ",\"hashed_fxa_uid\":\"x\",\"fxa_kid\":\"abc\"}", TOKEN_MISSING_FIELD },

    { "{\"uid\":\"7\"," REST "}", TOKEN_INVALID_FIELD },
    { "{\"uid\":7.0," REST "}", TOKEN_INVALID_FIELD },
    { "{\"uid\":7e0," REST "}", TOKEN_INVALID_FIELD },
    { "{\"uid\":-1," REST "}", TOKEN_INVALID_FIELD },
    { "{\"uid\":true," REST "}", TOKEN_INVALID_FIELD },
    { "{\"uid\":null," REST "}", TOKEN_INVALID_FIELD },
    { "{\"uid\":7,\"node\":17,\"expires\":1767229200,\"salt\":\"aa\"}", TOKEN_INVALID_FIELD },
    { "{\"uid\":7,\"node\":\"" NODE "\",\"expires\":\"1767229200\",\"salt\":\"aa\"}", TOKEN_INVALID_FIELD },
    { "{\"uid\":7,\"node\":\"" NODE "\",\"expires\":-1,\"salt\":\"aa\"}", TOKEN_INVALID_FIELD },
    { "{\"uid\":7,\"node\":\"" NODE "\",\"expires\":null,\"salt\":\"aa\"}", TOKEN_INVALID_FIELD },
    { "{\"uid\":7,\"node\":\"" NODE "\",\"expires\":1767229200,\"salt\":\"\"}", TOKEN_INVALID_FIELD },
    { "{\"uid\":7,\"node\":\"" NODE "\",\"expires\":1767229200,\"salt\":123456}", TOKEN_INVALID_FIELD },
    { "{\"uid\":7,\"node\":\"" NODE "\",\"expires\":1767229200,\"salt\":"
      "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}",
      TOKEN_GOOD }, /* 64 */
    { "{\"uid\":7,\"node\":\"" NODE "\",\"expires\":1767229200,\"salt\":"
      "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0\"}",
      TOKEN_INVALID_FIELD }, /* 65 */
    { "{" WHOLE ",\"fxa_uid\":\"a\\nb\"}", TOKEN_INVALID_FIELD },
    { "{" WHOLE ",\"fxa_uid\":\"abc\\n\"}", TOKEN_INVALID_FIELD },
    { "{" WHOLE ",\"fxa_uid\":\"a\\u0000b\"}", TOKEN_INVALID_FIELD },
    { "{" WHOLE ",\"fxa_uid\":\"\"}", TOKEN_INVALID_FIELD },
    { "{" WHOLE ",\"fxa_uid\":7}", TOKEN_INVALID_FIELD },
    { "{" WHOLE ",\"fxa_uid\":null}", TOKEN_INVALID_FIELD },
    { "{" WHOLE ",\"fxa_uid\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0\"}",
      TOKEN_INVALID_FIELD },
    { "{" WHOLE ",\"fxa_uid\":\"a\",\"fxa_kid\":\"invalid!kid\"}", TOKEN_INVALID_FIELD },
    { "{" WHOLE ",\"fxa_uid\":\"a\",\"fxa_kid\":\"b\",\"hashed_fxa_uid\":\"c d\"}", TOKEN_INVALID_FIELD },
    { "{" WHOLE ",\"hashed_device_id\":\"\xc3\xa4\"}", TOKEN_INVALID_FIELD },
    { "{" WHOLE ",\"svc\":\"\"}", TOKEN_INVALID_FIELD },
    { "{" WHOLE ",\"epoch\":0}", TOKEN_INVALID_FIELD },
    { "{" WHOLE ",\"epoch\":-1}", TOKEN_INVALID_FIELD },
    { "{" WHOLE ",\"epoch\":1.5}", TOKEN_INVALID_FIELD },
    { "{" WHOLE ",\"epoch\":\"1\"}", TOKEN_INVALID_FIELD },
    { "{" WHOLE ",\"epoch\":null}", TOKEN_INVALID_FIELD },
};

static void a_signed_payload_is_still_read_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        enum token_reason r = reason_of(signed_text(view_of(payloads[i].payload)));

        if (r != payloads[i].reason)
            fail_msg("%s: %s instead of %s", payloads[i].payload, token_reason_name(r),
                     token_reason_name(payloads[i].reason));
    }
}

static void a_refused_token_leaves_the_results_alone(void **state)
{
    struct token made = sample(), t = { .uid = -42 };
    char key[TOKEN_KEY_TEXT];
    bool expired = true;
    view text;

    (void)state;
    made.node = VIEW("https://other.example.net");
    token_mint(both, &made, &arena, &text, key);
    memset(key, 'k', sizeof key);
    assert_int_equal(open_at(text, NOW, &t, key, &expired), TOKEN_WRONG_NODE);
    assert_int_equal(t.uid, -42);
    assert_int_equal(key[0], 'k');
    assert_true(expired);
}

/* ---- time ---- */

static const struct {
    double late_s; /* now - expires */
    enum token_reason reason;
    bool expired;
} times[] = {
    { -3600, TOKEN_GOOD, false },   { -0.01, TOKEN_GOOD, false },    { 0, TOKEN_GOOD, true },
    { 0.5, TOKEN_GOOD, true },      { 60, TOKEN_GOOD, true },        { 7199.99, TOKEN_GOOD, true },
    { 7200, TOKEN_EXPIRED, false }, { 86400, TOKEN_EXPIRED, false },
};

static void a_token_lives_until_its_time_and_is_told_apart_inside_the_grace(void **state)
{
    struct token made = sample(), t;
    char key[TOKEN_KEY_TEXT];
    view text;

    (void)state;
    token_mint(both, &made, &arena, &text, key);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        bool expired = false;
        enum token_reason r = open_at(text, made.expires + times[i].late_s, &t, key, &expired);

        if (r != times[i].reason || expired != times[i].expired)
            fail_msg("%f s late: %s", times[i].late_s, token_reason_name(r));
    }
}

static void fractions_of_expires_count(void **state)
{
    view text =
        signed_text(VIEW("{\"uid\":7,\"node\":\"" NODE "\",\"expires\":1767229200.5,\"salt\":\"aa\"}"));
    char key[TOKEN_KEY_TEXT];
    struct token t;
    bool expired;

    (void)state;
    assert_int_equal(open_at(text, 1767229200.49, &t, key, &expired), TOKEN_GOOD);
    assert_false(expired);
    assert_int_equal(open_at(text, 1767229200.5, &t, key, &expired), TOKEN_GOOD);
    assert_true(expired);
}

static void without_a_grace_an_expired_token_is_refused_at_once(void **state)
{
    view url = VIEW(NODE), text;
    struct token_verifier *v = NULL;
    struct token made = sample(), t;
    char key[TOKEN_KEY_TEXT];
    bool expired;

    (void)state;
    assert_int_equal(token_verifier_new(both, &url, 1, 0, &v, NULL), RC_OK);
    token_mint(both, &made, &arena, &text, key);
    assert_int_equal(token_open(v, text, made.expires - 0.01, &arena, &t, key, &expired), TOKEN_GOOD);
    assert_int_equal(token_open(v, text, made.expires, &arena, &t, key, &expired), TOKEN_EXPIRED);
    token_verifier_free(v);
}

static void a_verifier_needs_a_secret_a_node_and_a_grace(void **state)
{
    struct secrets none = { 0 };
    struct token_verifier *v = NULL;
    view url = VIEW(NODE);
    struct err e;

    (void)state;
    assert_int_equal(token_verifier_new(&none, &url, 1, 0, &v, &e), RC_BAD_INPUT);
    assert_int_equal(token_verifier_new(both, &url, 0, 0, &v, &e), RC_BAD_INPUT);
    assert_int_equal(token_verifier_new(both, &url, 1, -1, &v, &e), RC_BAD_INPUT);
    assert_null(v);
    token_verifier_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signed_payload_is_still_read_strictly),
        cmocka_unit_test(a_refused_token_leaves_the_results_alone),
        cmocka_unit_test(a_token_lives_until_its_time_and_is_told_apart_inside_the_grace),
        cmocka_unit_test(fractions_of_expires_count),
        cmocka_unit_test(without_a_grace_an_expired_token_is_refused_at_once),
        cmocka_unit_test(a_verifier_needs_a_secret_a_node_and_a_grace),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
