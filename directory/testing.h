/* For tests of tokens: RSA keys made on the spot, JWTs signed with them, and a web that answers what the test says. */
#ifndef HEDDLE_DIRECTORY_TESTING_H
#define HEDDLE_DIRECTORY_TESTING_H

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "common/base/encode.h"
#include "common/base/scope.h"
#include "common/base/testing.h"
#include "directory/identity_oauth.h"

#define NOW_US    INT64_C(1767225600000000)
#define NOW_S     (NOW_US / 1000000)
#define TEST_SUB  "8f3ac2b1d4e54f6789aa0b1c2d3e4f50"
#define OLDSYNC   "https://identity.mozilla.com/apps/oldsync"
#define AT_HEADER "{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}"

static inline EVP_PKEY *test_key(unsigned bits)
{
    EVP_PKEY *k = EVP_RSA_gen(bits);
    assert_non_null(k);
    return k;
}

static inline view put_part(struct arena *a, view bytes)
{
    return base64_text(a, BASE64_URL_NOPAD, bytes);
}

static inline view jwk_number(struct arena *a, EVP_PKEY *k, const char *name)
{
    BIGNUM *n = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(k, name, &n), 1);
    size_t size = (size_t)BN_num_bytes(n);
    unsigned char *bytes = arena_alloc(a, size);
    BN_bn2bin(n, bytes);
    BN_free(n);
    return put_part(a, (view){ .p = (const char *)bytes, .n = size });
}

/* The public half as a JWK; more: further members, or "". */
static inline const char *test_jwk(struct arena *a, EVP_PKEY *k, const char *kid, const char *more)
{
    return arena_text(a, "{\"kty\":\"RSA\",\"kid\":\"%s\"%s,\"n\":\"%.*s\",\"e\":\"%.*s\"}", kid, more,
                      VIEW_ARG(jwk_number(a, k, OSSL_PKEY_PARAM_RSA_N)),
                      VIEW_ARG(jwk_number(a, k, OSSL_PKEY_PARAM_RSA_E)))
        .p;
}

static inline view test_jwt(struct arena *a, EVP_PKEY *k, const char *header, const char *claims)
{
    unsigned char signature[1024];
    size_t n = sizeof(signature);
    view text = arena_text(a, "%.*s.%.*s", VIEW_ARG(put_part(a, view_of(header))),
                           VIEW_ARG(put_part(a, view_of(claims))));
    EVP_MD_CTX *x = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(x, NULL, EVP_sha256(), NULL, k), 1);
    assert_int_equal(EVP_DigestSign(x, signature, &n, (const unsigned char *)text.p, text.n), 1);
    EVP_MD_CTX_free(x);
    return arena_text(a, "%.*s.%.*s", VIEW_ARG(text),
                      VIEW_ARG(put_part(a, (view){ .p = (const char *)signature, .n = n })));
}

/* A web that answers every call alike, and remembers. */
struct fake_web {
    int calls, failures;
    rc result;
    long status;
    const char *body;
    char url[256], sent[4096];
};

static inline rc fake_send(void *arg, const struct call *what, struct answer *out, struct err *e)
{
    struct fake_web *w = arg;
    w->calls++;
    snprintf(w->url, sizeof(w->url), "%s", what->url);
    snprintf(w->sent, sizeof(w->sent), "%.*s", VIEW_ARG(what->body));
    *out = (struct answer){ .status = w->status };
    if (w->result == RC_OK)
        buf_add(&out->body, view_of(w->body));
    else
        *e = (struct err){ .text = "no such host" };
    return w->result;
}

static inline void fake_failed(void *arg, const char *url, const struct err *why)
{
    (void)url;
    (void)why;
    ((struct fake_web *)arg)->failures++;
}

static inline struct oauth_http fake_http(struct fake_web *w)
{
    return (struct oauth_http){ .send = fake_send, .failed = fake_failed, .arg = w };
}

#endif
