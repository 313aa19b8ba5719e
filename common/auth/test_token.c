#include "common/auth/token.h"

#include <pthread.h>

#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/testing.h"

#define NOW  1767225600.0
#define NODE "https://node17.sync.example.net"

static const char old_text[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
static const char new_text[] = "5b1f0e7c9d2a4483b6c0a1e2f3d4958677665544332211ffeeddccbbaa998877";

static struct arena arena;
static struct secrets *both, *only_old, *only_new;
static struct token_verifier *verifier; /* holds both, for NODE, grace 7200 s */

static struct secrets *list_of(const char *const *items, size_t n)
{
    struct conf_list list = { .items = (char **)(uintptr_t)items, .n = n };
    struct secrets *s = NULL;

    assert_int_equal(secrets_new(&list, 1, &s, NULL), RC_OK);
    return s;
}

static struct token_verifier *verifier_of(const struct secrets *s, const char *node)
{
    struct token_verifier *v = NULL;
    view url = view_of(node);

    assert_int_equal(token_verifier_new(s, &url, 1, 7200, &v, NULL), RC_OK);
    return v;
}

static int setup(void **state)
{
    const char *const texts[] = { old_text, new_text };

    (void)state;
    arena_init(&arena, (size_t)8 << 20);
    both = list_of(texts, 2);
    only_old = list_of(&texts[0], 1);
    only_new = list_of(&texts[1], 1);
    verifier = verifier_of(both, NODE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    token_verifier_free(verifier);
    secrets_free(both);
    secrets_free(only_old);
    secrets_free(only_new);
    arena_done(&arena);
    return 0;
}

/* A payload of any kind, signed as the issuer would. */
static view signed_text(view payload)
{
    uint8_t key[SHA256_BYTES], mac[SHA256_BYTES];
    struct buf b = { 0 };
    view text;

    hkdf_sha256(view_of(new_text), VIEW_NONE, VIEW("services.mozilla.com/tokenlib/v1/signing"), key,
                sizeof key);
    hmac_sha256((view){ .p = (const char *)key, .n = sizeof key }, payload, mac);
    buf_add(&b, payload);
    buf_add(&b, (view){ .p = (const char *)mac, .n = sizeof mac });
    text = base64_text(&arena, BASE64_URL, buf_view(&b));
    buf_done(&b);
    return text;
}

static enum token_reason open_at(view text, double now_s, struct token *t, char key[TOKEN_KEY_TEXT],
                                 bool *expired)
{
    return token_open(verifier, text, now_s, &arena, t, key, expired);
}

static enum token_reason reason_of(view text)
{
    char key[TOKEN_KEY_TEXT];
    struct token t;
    bool expired;

    return open_at(text, NOW, &t, key, &expired);
}

static void assert_reason(view text, enum token_reason expected)
{
    enum token_reason r = reason_of(text);

    if (r != expected)
        fail_msg("%s instead of %s", token_reason_name(r), token_reason_name(expected));
}

static struct token sample(void)
{
    return (struct token){
        .uid = 12345,
        .epoch = 3,
        .node = VIEW(NODE),
        .expires = NOW + 3600,
        .fxa_uid = VIEW("8f3ac2b1d4e54f6789aa0b1c2d3e4f50"),
        .fxa_kid = VIEW("1700000000123-AQIDBAUGBwgJCgsMDQ4PEA"),
        .hashed_fxa_uid = VIEW("3c9b1d5e7f20416283a4c5e6f708192a"),
        .hashed_device_id = VIEW("0badc0ffee0ddf00d0123456789abcde"),
        .salt = VIEW("a1b2c3"),
    };
}

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
        cmocka_unit_test(a_signed_payload_is_still_read_strictly),
        cmocka_unit_test(a_refused_token_leaves_the_results_alone),
        cmocka_unit_test(a_node_is_compared_byte_for_byte),
        cmocka_unit_test(a_node_may_have_several_urls),
        cmocka_unit_test(a_token_lives_until_its_time_and_is_told_apart_inside_the_grace),
        cmocka_unit_test(fractions_of_expires_count),
        cmocka_unit_test(without_a_grace_an_expired_token_is_refused_at_once),
        cmocka_unit_test(a_verifier_needs_a_secret_a_node_and_a_grace),
        cmocka_unit_test(every_token_of_the_test_data_is_judged_as_expected),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
