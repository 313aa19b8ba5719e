/* Tokens: made and opened, their keys, what is refused at once, nodes, and the vectors of other implementations. */
#include <pthread.h>

#include "common/auth/testing_token.h"
#include "common/base/json.h"

/* ---- round trip ---- */

static void what_is_minted_is_opened_with_the_same_key(void **state)
{
    struct token made = sample(), t;
    char made_key[TOKEN_KEY_TEXT], key[TOKEN_KEY_TEXT];
    bool expired = true;
    view text;

    (void)state;
    made.svc = VIEW("notes");
    token_mint(both, &made, &arena, &text, made_key);
    assert_int_equal(open_at(text, NOW, &t, key, &expired), TOKEN_GOOD);
    assert_false(expired);
    assert_int_equal(t.uid, 12345);
    assert_int_equal(t.epoch, 3);
    assert_true(t.expires == NOW + 3600);
    assert_true(view_eq(t.node, made.node));
    assert_true(view_eq(t.fxa_uid, made.fxa_uid));
    assert_true(view_eq(t.fxa_kid, made.fxa_kid));
    assert_true(view_eq(t.hashed_fxa_uid, made.hashed_fxa_uid));
    assert_true(view_eq(t.hashed_device_id, made.hashed_device_id));
    assert_true(view_eq(t.svc, made.svc));
    assert_true(view_eq(t.salt, made.salt));
    assert_memory_equal(key, made_key, sizeof key);
}

static void a_minted_payload_is_compact_and_in_the_order_of_the_token_server(void **state)
{
    struct token made = sample();
    char key[TOKEN_KEY_TEXT];
    view text, bytes;

    (void)state;
    made.expires = NOW + 3600.75;
    token_mint(both, &made, &arena, &text, key);
    assert_true(base64_decode(BASE64_URL, text, &arena, &bytes));
    bytes.n -= SHA256_BYTES;
    assert_true(
        view_eq(bytes, VIEW("{\"node\":\"https://node17.sync.example.net\","
                            "\"fxa_kid\":\"1700000000123-AQIDBAUGBwgJCgsMDQ4PEA\","
                            "\"fxa_uid\":\"8f3ac2b1d4e54f6789aa0b1c2d3e4f50\","
                            "\"hashed_device_id\":\"0badc0ffee0ddf00d0123456789abcde\","
                            "\"hashed_fxa_uid\":\"3c9b1d5e7f20416283a4c5e6f708192a\","
                            "\"expires\":1767229200,\"uid\":12345,\"epoch\":3,\"salt\":\"a1b2c3\"}")));
}

static void a_token_without_the_optional_members_is_opened(void **state)
{
    struct token made = { .uid = 0, .node = VIEW(NODE), .expires = NOW + 1 }, t;
    char made_key[TOKEN_KEY_TEXT], key[TOKEN_KEY_TEXT];
    bool expired;
    view text;

    (void)state;
    token_mint(both, &made, &arena, &text, made_key);
    assert_int_equal(open_at(text, NOW, &t, key, &expired), TOKEN_GOOD);
    assert_int_equal(t.uid, 0);
    assert_int_equal(t.epoch, 0);
    assert_null(t.fxa_uid.p);
    assert_null(t.fxa_kid.p);
    assert_null(t.hashed_fxa_uid.p);
    assert_null(t.hashed_device_id.p);
    assert_null(t.svc.p);
    assert_int_equal(t.salt.n, 6); /* made by the mint */
    assert_int_equal(strspn(t.salt.p, "0123456789abcdef"), 6);
}

static void token_and_key_are_plain_ascii(void **state)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=";
    struct token made = sample();
    char key[TOKEN_KEY_TEXT];
    view text;

    (void)state;
    for (int i = 0; i < 50; i++) {
        made.salt = VIEW_NONE;
        token_mint(both, &made, &arena, &text, key);
        for (size_t k = 0; k < text.n; k++)
            assert_non_null(strchr(alphabet, text.p[k]));
        for (size_t k = 0; k < sizeof key; k++)
            assert_non_null(strchr(alphabet, key[k]));
    }
}

/* ---- keys ---- */

static void the_key_of_a_token_never_changes(void **state)
{
    struct token made = sample(), t;
    char made_key[TOKEN_KEY_TEXT], key[TOKEN_KEY_TEXT];
    bool expired;
    view text;

    (void)state;
    token_mint(both, &made, &arena, &text, made_key);
    for (int i = 0; i < 3; i++) {
        struct token_verifier *fresh = verifier_of(both, NODE);

        memset(key, 0, sizeof key);
        assert_int_equal(token_open(fresh, text, NOW + i, &arena, &t, key, &expired), TOKEN_GOOD);
        assert_memory_equal(key, made_key, sizeof key);
        token_verifier_free(fresh);
    }
}

static void two_tokens_of_one_user_have_different_keys(void **state)
{
    struct token made = sample();
    char a[TOKEN_KEY_TEXT], b[TOKEN_KEY_TEXT];
    view first, second;

    (void)state;
    made.salt = VIEW("a1b2c3");
    token_mint(both, &made, &arena, &first, a);
    made.salt = VIEW("a1b2c4");
    token_mint(both, &made, &arena, &second, b);
    assert_false(view_eq(first, second));
    assert_memory_not_equal(a, b, sizeof a);
    made.salt = VIEW("a1b2c3");
    made.expires += 1;
    token_mint(both, &made, &arena, &second, b);
    assert_memory_not_equal(a, b, sizeof a);
}

static void two_secrets_give_one_user_different_keys(void **state)
{
    struct token made = sample();
    char a[TOKEN_KEY_TEXT], b[TOKEN_KEY_TEXT];
    view text;

    (void)state;
    token_mint(only_old, &made, &arena, &text, a);
    token_mint(only_new, &made, &arena, &text, b);
    assert_memory_not_equal(a, b, sizeof a);
}

static void the_newest_secret_signs_and_any_verifies(void **state)
{
    struct token_verifier *old_node = verifier_of(only_old, NODE), *new_node = verifier_of(only_new, NODE);
    struct token made = sample(), t;
    char made_key[TOKEN_KEY_TEXT], key[TOKEN_KEY_TEXT];
    bool expired;
    view text;

    (void)state;
    token_mint(both, &made, &arena, &text, made_key);
    assert_int_equal(token_open(new_node, text, NOW, &arena, &t, key, &expired), TOKEN_GOOD);
    assert_memory_equal(key, made_key, sizeof key);
    assert_int_equal(token_open(old_node, text, NOW, &arena, &t, key, &expired), TOKEN_BAD_SIGNATURE);
    token_mint(only_old, &made, &arena, &text, made_key);
    assert_int_equal(token_open(verifier, text, NOW, &arena, &t, key, &expired), TOKEN_GOOD);
    assert_memory_equal(key, made_key, sizeof key); /* derived from the secret that verified */
    token_verifier_free(old_node);
    token_verifier_free(new_node);
}

static void a_secret_derived_for_another_node_does_not_verify(void **state)
{
    struct secrets *here = NULL, *there = NULL;
    struct token_verifier *v;
    struct token made = sample(), t;
    char key[TOKEN_KEY_TEXT];
    bool expired;
    view text;

    (void)state;
    assert_int_equal(secrets_derive(both, VIEW(NODE), &here, NULL), RC_OK);
    assert_int_equal(secrets_derive(both, VIEW("https://other.example.net"), &there, NULL), RC_OK);
    v = verifier_of(here, NODE);
    token_mint(there, &made, &arena, &text, key);
    assert_int_equal(token_open(v, text, NOW, &arena, &t, key, &expired), TOKEN_BAD_SIGNATURE);
    token_mint(here, &made, &arena, &text, key);
    assert_int_equal(token_open(v, text, NOW, &arena, &t, key, &expired), TOKEN_GOOD);
    token_verifier_free(v);
    secrets_free(here);
    secrets_free(there);
}

static void a_secret_outside_ascii_is_its_bytes(void **state)
{
    const char *const texts[] = { "gehe\xc3\xafm \xe2\x98\x83 secret" };
    struct secrets *s = list_of(texts, 1);
    struct token_verifier *v = verifier_of(s, NODE);
    struct token made = sample(), t;
    char made_key[TOKEN_KEY_TEXT], key[TOKEN_KEY_TEXT];
    bool expired;
    view text;

    (void)state;
    made.salt = VIEW("s\xc3\xa4lt");
    token_mint(s, &made, &arena, &text, made_key);
    assert_int_equal(token_open(v, text, NOW, &arena, &t, key, &expired), TOKEN_GOOD);
    assert_memory_equal(key, made_key, sizeof key);
    assert_true(view_eq(t.salt, made.salt));
    token_verifier_free(v);
    secrets_free(s);
}

struct opener {
    view text;
    char key[TOKEN_KEY_TEXT];
    unsigned opened;
};

static void *open_often(void *arg)
{
    struct opener *o = arg;
    struct arena mine;
    struct token t;
    bool expired;

    arena_init(&mine, 1 << 20);
    for (int i = 0; i < 300; i++) {
        char key[TOKEN_KEY_TEXT];

        o->opened += token_open(verifier, o->text, NOW, &mine, &t, key, &expired) == TOKEN_GOOD &&
                     memcmp(key, o->key, sizeof key) == 0 && t.uid == 12345;
        arena_reset(&mine);
    }
    arena_done(&mine);
    return NULL;
}

static void one_verifier_serves_many_threads(void **state)
{
    enum { N = 4 };
    struct token made = sample();
    struct opener openers[N];
    pthread_t threads[N];

    (void)state;
    for (int i = 0; i < N; i++) {
        openers[i].opened = 0;
        made.salt = VIEW_NONE;
        token_mint(i % 2 ? both : only_old, &made, &arena, &openers[i].text, openers[i].key);
        assert_int_equal(pthread_create(&threads[i], NULL, open_often, &openers[i]), 0);
    }
    for (int i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < N; i++)
        assert_int_equal(openers[i].opened, 300);
}

/* ---- what is refused before anything is believed ---- */

static void a_changed_byte_anywhere_is_refused(void **state)
{
    struct token made = sample();
    char key[TOKEN_KEY_TEXT];
    view text;

    (void)state;
    token_mint(both, &made, &arena, &text, key);
    for (size_t i = 0; i < text.n; i++) {
        view changed = arena_copy(&arena, text);
        char *p = (char *)(uintptr_t)changed.p;

        p[i] = p[i] == 'A' ? 'B' : 'A';
        if (reason_of(changed) != TOKEN_BAD_SIGNATURE && reason_of(changed) != TOKEN_MALFORMED)
            fail_msg("character %zu", i);
        changed.n = i; /* and so is one that ends too early */
        if (reason_of(changed) == TOKEN_GOOD)
            fail_msg("cut at %zu", i);
    }
}

static void only_canonical_base64url_is_a_token(void **state)
{
    struct token made = sample();
    char key[TOKEN_KEY_TEXT];
    view text, other;

    (void)state;
    do { /* until the text ends with padding */
        made.expires += 1;
        made.uid = made.uid * 10 + 1;
        token_mint(both, &made, &arena, &text, key);
    } while (text.p[text.n - 1] != '=');
    assert_reason(text, TOKEN_GOOD);
    assert_reason((view){ .p = text.p, .n = text.n - 1 }, TOKEN_MALFORMED); /* padding taken off */
    assert_reason(arena_text(&arena, "%.*s=", VIEW_ARG(text)), TOKEN_MALFORMED);
    assert_reason(arena_text(&arena, "%.*s\n", VIEW_ARG(text)), TOKEN_MALFORMED);
    assert_reason(arena_text(&arena, " %.*s", VIEW_ARG(text)), TOKEN_MALFORMED);
    other = arena_copy(&arena, text);
    for (size_t at = 0; at < 3; at++) {
        ((char *)(uintptr_t)other.p)[10] = "@+/"[at];
        assert_reason(other, TOKEN_MALFORMED);
    }
    assert_reason(VIEW("XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"), TOKEN_MALFORMED);
    assert_reason(VIEW("XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"), TOKEN_BAD_SIGNATURE);
    assert_reason(VIEW(""), TOKEN_MALFORMED);
    assert_reason(VIEW_NONE, TOKEN_MALFORMED);
}

static void a_signature_without_a_payload_is_malformed(void **state)
{
    (void)state;
    assert_reason(signed_text(VIEW("")), TOKEN_MALFORMED);
}

static void a_text_above_the_limit_is_malformed(void **state)
{
    struct buf b = { 0 };

    (void)state;
    buf_addf(&b, "{\"uid\":1,\"node\":\"%s\",\"expires\":%.0f,\"salt\":\"aa\",\"more\":\"%*s\"}", NODE,
             NOW + 5, 2900, "");
    assert_reason(signed_text(buf_view(&b)), TOKEN_GOOD);
    buf_clear(&b);
    buf_addf(&b, "{\"uid\":1,\"node\":\"%s\",\"expires\":%.0f,\"salt\":\"aa\",\"more\":\"%*s\"}", NODE,
             NOW + 5, 3100, "");
    assert_reason(signed_text(buf_view(&b)), TOKEN_MALFORMED);
    buf_done(&b);
}

/* ---- nodes ---- */

static void a_node_is_compared_byte_for_byte(void **state)
{
    const char *const others[] = {
        "http://node17.sync.example.net",       "https://node17.sync.example.net/",
        "https://node18.sync.example.net",      "https://node17.sync.example.net:443",
        "https://NODE17.sync.example.net",      "",
        "https://node17.sync.example.net:8000",
    };
    struct token made = sample();
    char key[TOKEN_KEY_TEXT];
    view text;

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        made.node = view_of(others[i]);
        token_mint(both, &made, &arena, &text, key);
        assert_reason(text, TOKEN_WRONG_NODE);
    }
}

static void a_node_may_have_several_urls(void **state)
{
    const view urls[] = { VIEW(NODE), VIEW("https://alias.example.net"), VIEW("http://localhost:8000") };
    struct token_verifier *v = NULL;
    struct token made = sample(), t;
    char key[TOKEN_KEY_TEXT];
    bool expired;
    view text;

    (void)state;
    assert_int_equal(token_verifier_new(both, urls, 3, 0, &v, NULL), RC_OK);
    for (size_t i = 0; i < 3; i++) {
        made.node = urls[i];
        token_mint(both, &made, &arena, &text, key);
        assert_int_equal(token_open(v, text, NOW, &arena, &t, key, &expired), TOKEN_GOOD);
        assert_true(view_eq(t.node, urls[i]));
    }
    token_verifier_free(v);
}

/* ---- the test data, made by other implementations ---- */

static enum token_reason reason_named(view name)
{
    for (int r = TOKEN_GOOD; r <= TOKEN_EXPIRED; r++)
        if (view_eq(name, view_of(token_reason_name((enum token_reason)r))))
            return (enum token_reason)r;
    fail_msg("no such reason: %.*s", VIEW_ARG(name));
    return TOKEN_GOOD;
}

static void vector_runs(const json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "name")), *texts[4];
    const json_t *list = json_object_get(row, "accepted_secrets"), *expect = json_object_get(row, "expect");
    bool ok = json_is_true(json_object_get(expect, "ok")), expired = false;
    struct token_verifier *v;
    struct secrets *s;
    char key[TOKEN_KEY_TEXT];
    struct token t = { 0 };
    enum token_reason r;

    assert_in_range(json_array_size(list), 1, 4);
    for (size_t i = 0; i < json_array_size(list); i++)
        texts[i] = json_string_value(json_array_get(list, i));
    s = list_of(texts, json_array_size(list));
    v = verifier_of(s, json_string_value(json_object_get(row, "node")));
    r = token_open(v, json_text(json_object_get(row, "token")),
                   json_number_value(json_object_get(row, "now")), &arena, &t, key, &expired);
    if (r != (ok ? TOKEN_GOOD : reason_named(json_text(json_object_get(expect, "error")))))
        fail_msg("%s: %s", name, token_reason_name(r));
    if (ok) {
        assert_int_equal(t.uid, json_integer_value(json_object_get(expect, "uid")));
        assert_int_equal(expired, json_is_true(json_object_get(expect, "expired_grace_only")));
        assert_true(
            view_eq((view){ .p = key, .n = sizeof key }, json_text(json_object_get(row, "derived_key"))));
        assert_true(view_eq(t.salt, json_text(json_object_get(row, "salt_utf8"))));
    }
    token_verifier_free(v);
    secrets_free(s);
}

static void every_token_of_the_test_data_is_judged_as_expected(void **state)
{
    json_t *data = json_load_file("tests/data/tokens.json", 0, NULL);
    json_t *rows = json_object_get(data, "tokens"), *row;
    size_t i;

    (void)state;
    assert_true(json_array_size(rows) >= 29);
    json_array_foreach (rows, i, row)
        vector_runs(row);
    json_decref(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_minted_is_opened_with_the_same_key),
        cmocka_unit_test(a_minted_payload_is_compact_and_in_the_order_of_the_token_server),
        cmocka_unit_test(a_token_without_the_optional_members_is_opened),
        cmocka_unit_test(token_and_key_are_plain_ascii),
        cmocka_unit_test(the_key_of_a_token_never_changes),
        cmocka_unit_test(two_tokens_of_one_user_have_different_keys),
        cmocka_unit_test(two_secrets_give_one_user_different_keys),
        cmocka_unit_test(the_newest_secret_signs_and_any_verifies),
        cmocka_unit_test(a_secret_derived_for_another_node_does_not_verify),
        cmocka_unit_test(a_secret_outside_ascii_is_its_bytes),
        cmocka_unit_test(one_verifier_serves_many_threads),
        cmocka_unit_test(a_changed_byte_anywhere_is_refused),
        cmocka_unit_test(only_canonical_base64url_is_a_token),
        cmocka_unit_test(a_signature_without_a_payload_is_malformed),
        cmocka_unit_test(a_text_above_the_limit_is_malformed),
        cmocka_unit_test(a_node_is_compared_byte_for_byte),
        cmocka_unit_test(a_node_may_have_several_urls),
        cmocka_unit_test(every_token_of_the_test_data_is_judged_as_expected),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
