/* For tests of tokens: secrets, and a verifier that holds them. */
#ifndef HEDDLE_AUTH_TESTING_TOKEN_H
#define HEDDLE_AUTH_TESTING_TOKEN_H

#include "common/auth/testing_secrets.h"
#include "common/auth/token.h"
#include "common/base/encode.h"

#define NOW  1767225600.0
#define NODE "https://node17.sync.example.net"

static const char old_text[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
static const char new_text[] = "5b1f0e7c9d2a4483b6c0a1e2f3d4958677665544332211ffeeddccbbaa998877";

static struct arena arena;
static struct secrets *both, *only_old, *only_new;
static struct token_verifier *verifier; /* holds both, for NODE, grace 7200 s */

static inline struct token_verifier *verifier_of(const struct secrets *s, const char *node)
{
    struct token_verifier *v = NULL;
    view url = view_of(node);

    assert_int_equal(token_verifier_new(s, &url, 1, 7200, &v, NULL), RC_OK);
    return v;
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
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
static inline view signed_text(view payload)
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

static inline enum token_reason open_at(view text, double now_s, struct token *t, char key[TOKEN_KEY_TEXT],
                                        bool *expired)
{
    return token_open(verifier, text, now_s, &arena, t, key, expired);
}

static inline enum token_reason reason_of(view text)
{
    char key[TOKEN_KEY_TEXT];
    struct token t;
    bool expired;

    return open_at(text, NOW, &t, key, &expired);
}

static inline void assert_reason(view text, enum token_reason expected)
{
    enum token_reason r = reason_of(text);

    if (r != expected)
        fail_msg("%s instead of %s", token_reason_name(r), token_reason_name(expected));
}

static inline struct token sample(void)
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

#endif
