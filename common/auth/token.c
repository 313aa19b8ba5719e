#include "common/auth/token.h"

#include <assert.h>
#include <math.h>

#include "common/auth/digest.h"
#include "common/auth/remembered.h"
#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/rand.h"

#define SIGNING_INFO   VIEW("services.mozilla.com/tokenlib/v1/signing")
#define DERIVE_INFO    VIEW("services.mozilla.com/tokenlib/v1/derive/")
#define DEPTH_MAX      4
#define SALT_BYTES     3 /* that we make */
#define SALT_TEXT_MAX  64
#define IDENTIFIER_MAX 64

struct verifier_key {
    view secret;
    uint8_t signing[SHA256_BYTES];
};

struct token_verifier {
    struct verifier_key *keys; /* newest first: it signed nearly every token we see */
    size_t n_keys;
    view *nodes;
    size_t n_nodes;
    double grace_s;
    struct remembered *remembered; /* good ones, whatever the time */
};

const char *token_reason_name(enum token_reason r)
{
    static const char *const names[] = {
        [TOKEN_GOOD] = "good",
        [TOKEN_MALFORMED] = "malformed",
        [TOKEN_BAD_SIGNATURE] = "bad-signature",
        [TOKEN_MISSING_FIELD] = "missing-field",
        [TOKEN_INVALID_FIELD] = "invalid-field",
        [TOKEN_WRONG_NODE] = "wrong-node",
        [TOKEN_EXPIRED] = "expired",
    };

    return names[r];
}

static view bytes_view(const uint8_t *p, size_t n)
{
    return (view){ .p = (const char *)p, .n = n };
}

static view copy_of(view v)
{
    char *p = mem_need(malloc(v.n + 1));

    if (v.n)
        memcpy(p, v.p, v.n);
    p[v.n] = '\0';
    return (view){ .p = p, .n = v.n };
}

static void copy_free(view v)
{
    char *p = (char *)(uintptr_t)v.p; /* ours: copy_of made it */

    secret_wipe(p, v.n);
    free(p);
}

static void signing_key(view secret, uint8_t out[SHA256_BYTES])
{
    hkdf_sha256(secret, VIEW_NONE, SIGNING_INFO, out, SHA256_BYTES);
}

rc token_verifier_new(const struct secrets *s, const view *nodes, size_t n_nodes, double grace_s,
                      struct token_verifier **out, struct err *e)
{
    struct token_verifier *v;

    if (s->n == 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "no secret to check tokens with");
    if (n_nodes == 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "no node URL to accept tokens for");
    if (!(grace_s >= 0) || !isfinite(grace_s))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "the grace for expired tokens is no time");
    v = mem_need(calloc(1, sizeof *v));
    v->grace_s = grace_s;
    v->remembered = remembered_new();
    v->keys = mem_need(calloc(s->n, sizeof *v->keys));
    v->nodes = mem_need(calloc(n_nodes, sizeof *v->nodes));
    for (size_t i = s->n; i-- > 0;) {
        struct verifier_key *k = &v->keys[v->n_keys++];

        k->secret = copy_of(s->items[i]);
        signing_key(k->secret, k->signing);
    }
    for (size_t i = 0; i < n_nodes; i++)
        v->nodes[v->n_nodes++] = copy_of(nodes[i]);
    *out = v;
    return RC_OK;
}

void token_verifier_free(struct token_verifier *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->n_keys; i++)
        copy_free(v->keys[i].secret);
    for (size_t i = 0; i < v->n_nodes; i++)
        copy_free(v->nodes[i]);
    secret_wipe(v->keys, v->n_keys * sizeof *v->keys);
    remembered_free(v->remembered);
    free(v->keys);
    free(v->nodes);
    free(v);
}

/* ---- the Hawk key ---- */

/* b64url(HKDF(secret, salt, DERIVE_INFO + text, 32)); one block, so its info need not be put together first. */
static void derive_key(view secret, view salt, view text, char out[TOKEN_KEY_TEXT])
{
    uint8_t prk[SHA256_BYTES], okm[SHA256_BYTES];
    struct hmac h;

    hmac_sha256(salt, secret, prk);
    hmac_begin(&h, bytes_view(prk, sizeof prk));
    digest_add(DERIVE_INFO);
    digest_add(text);
    digest_add(VIEW("\x01"));
    hmac_end(&h, okm);
    base64_write(BASE64_URL, bytes_view(okm, sizeof okm), out);
    secret_wipe(prk, sizeof prk);
    secret_wipe(okm, sizeof okm);
}

/* ---- the payload ---- */

/* [A-Za-z0-9=_-]{1,64} */
static bool is_identifier(view v)
{
    return v.n > 0 && v.n <= IDENTIFIER_MAX && view_only_alnum(v, "=_-");
}

static enum token_reason identifier(const json_t *payload, const char *name, view *out)
{
    const json_t *member = json_object_get(payload, name);

    *out = json_text(member); /* lives in the payload until the caller copies it */
    if (!member)
        return TOKEN_GOOD;
    return out->p && is_identifier(*out) ? TOKEN_GOOD : TOKEN_INVALID_FIELD;
}

static enum token_reason required(const json_t *payload, struct token *t)
{
    const json_t *uid = json_object_get(payload, "uid"), *node = json_object_get(payload, "node");
    const json_t *expires = json_object_get(payload, "expires"), *salt = json_object_get(payload, "salt");

    if (!uid || !node || !expires || !salt)
        return TOKEN_MISSING_FIELD;
    if (!json_is_integer(uid) || !json_is_string(node) || !json_is_number(expires) || !json_is_string(salt))
        return TOKEN_INVALID_FIELD;
    t->uid = json_integer_value(uid);
    t->node = json_text(node);
    t->expires = json_number_value(expires);
    t->salt = json_text(salt);
    if (t->uid < 0 || !(t->expires >= 0) || t->salt.n == 0 || t->salt.n > SALT_TEXT_MAX)
        return TOKEN_INVALID_FIELD;
    return TOKEN_GOOD;
}

static enum token_reason optional(const json_t *payload, struct token *t)
{
    const json_t *epoch = json_object_get(payload, "epoch");
    const struct {
        const char *name;
        view *out;
    } identifiers[] = {
        { "fxa_uid", &t->fxa_uid },
        { "fxa_kid", &t->fxa_kid },
        { "hashed_fxa_uid", &t->hashed_fxa_uid },
        { "hashed_device_id", &t->hashed_device_id },
        { "svc", &t->svc },
    };

    for (size_t i = 0; i < sizeof identifiers / sizeof identifiers[0]; i++)
        if (identifier(payload, identifiers[i].name, identifiers[i].out) != TOKEN_GOOD)
            return TOKEN_INVALID_FIELD;
    if (t->hashed_fxa_uid.p && (!t->fxa_uid.p || !t->fxa_kid.p))
        return TOKEN_MISSING_FIELD;
    if (!epoch)
        return TOKEN_GOOD;
    t->epoch = json_integer_value(epoch); /* 0 of everything that is no integer */
    return t->epoch >= 1 ? TOKEN_GOOD : TOKEN_INVALID_FIELD;
}

static view keep(struct arena *a, view v)
{
    return v.p ? arena_copy(a, v) : VIEW_NONE;
}

static enum token_reason payload_read(view payload, struct arena *a, struct token *out)
{
    SCOPED(json_decref) json_t *json = NULL;
    struct token t = { 0 };
    enum token_reason why;

    if (json_read(payload, DEPTH_MAX, JSON_READ_NO_DUPLICATES, &json, NULL) != RC_OK || !json_is_object(json))
        return TOKEN_MALFORMED;
    why = required(json, &t);
    if (why == TOKEN_GOOD)
        why = optional(json, &t);
    if (why != TOKEN_GOOD)
        return why;
    t.node = keep(a, t.node);
    t.salt = keep(a, t.salt);
    t.fxa_uid = keep(a, t.fxa_uid);
    t.fxa_kid = keep(a, t.fxa_kid);
    t.hashed_fxa_uid = keep(a, t.hashed_fxa_uid);
    t.hashed_device_id = keep(a, t.hashed_device_id);
    t.svc = keep(a, t.svc);
    *out = t;
    return TOKEN_GOOD;
}

/* ---- opening ---- */

static const struct verifier_key *key_of(const struct token_verifier *v, view payload, view signature)
{
    for (size_t i = 0; i < v->n_keys; i++) {
        uint8_t mac[SHA256_BYTES];

        hmac_sha256(bytes_view(v->keys[i].signing, SHA256_BYTES), payload, mac);
        if (secret_eq(bytes_view(mac, sizeof mac), signature))
            return &v->keys[i];
    }
    return NULL;
}

static bool is_ours(const struct token_verifier *v, view node)
{
    for (size_t i = 0; i < v->n_nodes; i++)
        if (view_eq(v->nodes[i], node))
            return true;
    return false;
}

/* Payload and signature of a token's text. */
static bool text_cut(view text, struct arena *a, view *out_payload, view *out_signature)
{
    view bytes;

    if (text.n > TOKEN_TEXT_MAX || !base64_decode(BASE64_URL, text, a, &bytes) || bytes.n <= SHA256_BYTES)
        return false;
    *out_payload = (view){ .p = bytes.p, .n = bytes.n - SHA256_BYTES };
    *out_signature = (view){ .p = bytes.p + out_payload->n, .n = SHA256_BYTES };
    return true;
}

enum token_reason token_peek(view text, struct arena *a, struct token *out)
{
    view payload, signature;

    return text_cut(text, a, &payload, &signature) ? payload_read(payload, a, out) : TOKEN_MALFORMED;
}

/* All that does not depend on the time. */
static enum token_reason open_timeless(const struct token_verifier *v, view text, struct arena *a,
                                       struct token *out, char out_key[TOKEN_KEY_TEXT])
{
    const struct verifier_key *key;
    enum token_reason why;
    view payload, signature;

    if (!text_cut(text, a, &payload, &signature))
        return TOKEN_MALFORMED;
    key = key_of(v, payload, signature);
    if (!key)
        return TOKEN_BAD_SIGNATURE;
    why = payload_read(payload, a, out);
    if (why != TOKEN_GOOD)
        return why;
    if (!is_ours(v, out->node))
        return TOKEN_WRONG_NODE;
    derive_key(key->secret, out->salt, text, out_key);
    return TOKEN_GOOD;
}

enum token_reason token_open(const struct token_verifier *v, view text, double now_s, struct arena *a,
                             struct token *out, char out_key[TOKEN_KEY_TEXT], bool *out_expired)
{
    enum token_reason why = TOKEN_GOOD;
    char key[TOKEN_KEY_TEXT];
    struct token t;

    if (text.n > TOKEN_TEXT_MAX)
        return TOKEN_MALFORMED;
    if (!remembered_find(v->remembered, text, a, &t, key)) {
        why = open_timeless(v, text, a, &t, key);
        if (why == TOKEN_GOOD && !a->spent) /* what a full arena gave is not to be kept */
            remembered_add(v->remembered, text, &t, key);
    }
    if (why == TOKEN_GOOD && t.expires <= now_s && now_s - t.expires >= v->grace_s)
        why = TOKEN_EXPIRED;
    if (why == TOKEN_GOOD) {
        memcpy(out_key, key, TOKEN_KEY_TEXT);
        *out = t;
        *out_expired = t.expires <= now_s;
    }
    secret_wipe(key, sizeof key);
    return why;
}

/* ---- minting ---- */

static void put_name(struct buf *b, const char *name)
{
    buf_addc(b, b->n ? ',' : '{');
    buf_addc(b, '"');
    buf_add(b, view_of(name));
    buf_add(b, VIEW("\":"));
}

static void put_text(struct buf *b, const char *name, view v)
{
    if (!v.p)
        return;
    put_name(b, name);
    json_put_string(b, v);
}

static void put_number(struct buf *b, const char *name, int64_t v)
{
    put_name(b, name);
    buf_add_i64(b, v);
}

static view salt_new(struct arena *a)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[SALT_BYTES];
    char *p = arena_alloc(a, sizeof bytes * 2);

    rand_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        p[i * 2] = digits[bytes[i] >> 4];
        p[i * 2 + 1] = digits[bytes[i] & 15];
    }
    return (view){ .p = p, .n = sizeof bytes * 2 };
}

void token_mint(const struct secrets *s, const struct token *t, struct arena *a, view *out_id,
                char out_key[TOKEN_KEY_TEXT])
{
    SCOPED(buf_done) struct buf b = { 0 };
    uint8_t signing[SHA256_BYTES], signature[SHA256_BYTES];
    view salt = t->salt.p ? t->salt : salt_new(a);
    view secret;

    assert(s->n > 0 && t->uid >= 0 && t->epoch >= 0 && t->node.p);
    assert(t->expires >= 0 && t->expires < 1e15);
    secret = s->items[s->n - 1];
    put_text(&b, "node", t->node);
    put_text(&b, "fxa_kid", t->fxa_kid);
    put_text(&b, "fxa_uid", t->fxa_uid);
    put_text(&b, "hashed_device_id", t->hashed_device_id);
    put_text(&b, "hashed_fxa_uid", t->hashed_fxa_uid);
    put_number(&b, "expires", (int64_t)t->expires);
    put_number(&b, "uid", t->uid);
    put_text(&b, "svc", t->svc);
    if (t->epoch)
        put_number(&b, "epoch", t->epoch);
    put_text(&b, "salt", salt);
    buf_addc(&b, '}');
    signing_key(secret, signing);
    hmac_sha256(bytes_view(signing, sizeof signing), buf_view(&b), signature);
    buf_add(&b, bytes_view(signature, sizeof signature));
    *out_id = base64_text(a, BASE64_URL, buf_view(&b));
    derive_key(secret, salt, *out_id, out_key);
    secret_wipe(signing, sizeof signing);
}
