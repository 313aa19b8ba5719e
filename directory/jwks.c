#include "directory/jwks.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/scope.h"
#include "directory/rs256.h"

enum {
    KEYS_MAX = 32,
    KID_MAX = 256,
    SET_BYTES_MAX = 256 * 1024,
    REFRESH_S = 3600,
    UNKNOWN_KID_S = 60,
    NO_KEYS_S = 1 /* between two tries while there is nothing to check with */
};

struct key {
    struct rs256 *rsa;
    char *kid; /* "": none */
};

struct key_set {
    struct key keys[KEYS_MAX];
    size_t n;
};

/* Locks: fetching before lock. `lock` is held shared while a signature is checked, which is CPU alone; `fetching` while the URL is
 * asked, so that one worker asks for all. */
struct jwks {
    const char *file, *url;
    int64_t timeout_s;
    const struct clock *clock;
    pthread_rwlock_t lock;
    struct key_set *set; /* NULL: none at hand */
    pthread_mutex_t fetching;
    int64_t tried_us; /* monotonic, under `fetching`; INT64_MIN: never */
    _Atomic int64_t fetched_us;
    _Atomic uint64_t edition;
};

/* ---- a set of keys ---- */

static void set_free(struct key_set *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++) {
        rs256_free(s->keys[i].rsa);
        free(s->keys[i].kid);
    }
    free(s);
}

DEFINE_SCOPED(struct key_set *, set_free);

/* RSA, for signatures: everything else in a set is for others. */
static bool is_usable(const json_t *key)
{
    view use = json_text(json_object_get(key, "use")), alg = json_text(json_object_get(key, "alg"));
    return view_eq(json_text(json_object_get(key, "kty")), VIEW("RSA")) &&
           (!use.p || view_eq(use, VIEW("sig"))) && (!alg.p || view_eq(alg, VIEW("RS256"))) &&
           json_text(json_object_get(key, "kid")).n <= KID_MAX;
}

static struct rs256 *rsa_of(const json_t *key)
{
    SCOPED(arena_done) struct arena a;
    view n, e;
    arena_init(&a, SET_BYTES_MAX);
    if (!base64_decode(BASE64_URL_NOPAD, json_text(json_object_get(key, "n")), &a, &n) ||
        !base64_decode(BASE64_URL_NOPAD, json_text(json_object_get(key, "e")), &a, &e))
        return NULL;
    return rs256_new(n, e);
}

static void set_add(struct key_set *s, const json_t *key)
{
    if (s->n == KEYS_MAX || !is_usable(key))
        return;
    struct rs256 *rsa = rsa_of(key);
    if (!rsa)
        return;
    view kid = json_text(json_object_get(key, "kid"));
    s->keys[s->n++] = (struct key){ .rsa = rsa, .kid = mem_need(strndup(kid.p ? kid.p : "", kid.n)) };
}

static rc set_read(view text, struct key_set **out, struct err *e)
{
    SCOPED(json_decref) json_t *root = NULL;
    SCOPED(set_free) struct key_set *s = mem_need(calloc(1, sizeof(*s)));
    size_t i;
    json_t *key;
    TRY(json_read(text, JSON_DEPTH_MAX, JSON_READ_PLAIN, &root, e));
    json_array_foreach (json_object_get(root, "keys"), i, key)
        set_add(s, key);
    if (s->n == 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "no usable key (RSA, RS256, 2048 bits) in the JWK set");
    *out = s;
    s = NULL;
    return RC_OK;
}

/* ---- life ---- */

struct jwks *jwks_new(const char *file, const char *url, int64_t timeout_s, const struct clock *clock)
{
    struct jwks *k = mem_need(calloc(1, sizeof(*k)));
    k->file = file && file[0] ? file : NULL;
    k->url = url && url[0] && !k->file ? url : NULL;
    k->timeout_s = timeout_s;
    k->clock = clock;
    k->tried_us = INT64_MIN;
    pthread_rwlock_init(&k->lock, NULL);
    pthread_mutex_init(&k->fetching, NULL);
    return k;
}

void jwks_free(struct jwks *k)
{
    if (!k)
        return;
    set_free(k->set);
    pthread_rwlock_destroy(&k->lock);
    pthread_mutex_destroy(&k->fetching);
    free(k);
}

static void set_swap(struct jwks *k, struct key_set *fresh)
{
    pthread_rwlock_wrlock(&k->lock);
    struct key_set *old = k->set;
    k->set = fresh;
    k->edition++;
    pthread_rwlock_unlock(&k->lock);
    set_free(old);
}

uint64_t jwks_edition(const struct jwks *k)
{
    return k->edition;
}

static rc file_read(const char *path, struct buf *out, struct err *e)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "cannot open %s: %s", path, strerror(errno));
    buf_reserve(out, SET_BYTES_MAX + 1);
    out->n = fread(out->p, 1, SET_BYTES_MAX + 1, f);
    bool broken = ferror(f) != 0;
    fclose(f);
    if (broken || out->n > SET_BYTES_MAX)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%s: %s", path, broken ? "cannot be read" : "too large");
    return RC_OK;
}

rc jwks_reload(struct jwks *k, struct err *e)
{
    SCOPED(buf_done) struct buf text = { 0 };
    struct key_set *fresh;
    if (!k->file)
        return RC_OK;
    TRY(file_read(k->file, &text, e));
    TRY(set_read(buf_view(&text), &fresh, e));
    set_swap(k, fresh);
    return RC_OK;
}

/* ---- the URL ---- */

/* Asks the URL unless that was done within `gap_s`. Who comes while another asks waits for him and sees what he got; or goes on
 * with the keys at hand (wait: false). */
static void fetch(struct jwks *k, const struct oauth_http *http, int64_t gap_s, bool wait)
{
    struct answer got = { 0 };
    struct key_set *fresh;
    struct err why = ERR_NONE;
    if (wait)
        pthread_mutex_lock(&k->fetching);
    else if (pthread_mutex_trylock(&k->fetching) != 0)
        return;
    int64_t now_us = clock_mono_us(k->clock);
    if (k->tried_us == INT64_MIN || now_us - k->tried_us >= gap_s * 1000000) {
        rc r = http->send(http->arg,
                          &(struct call){ .method = "GET",
                                          .url = k->url,
                                          .timeout_ms = (long)(k->timeout_s * 1000),
                                          .answer_max = SET_BYTES_MAX },
                          &got, &why);
        if (r == RC_OK && got.status != 200)
            r = fail(&why, RC_AWAY, RESP_GENERIC, "status %ld", got.status);
        if (r == RC_OK)
            r = set_read(buf_view(&got.body), &fresh, &why);
        answer_done(&got);
        if (r == RC_OK) {
            set_swap(k, fresh);
            k->fetched_us = clock_mono_us(k->clock);
        } else {
            http->failed(http->arg, k->url, &why);
        }
        k->tried_us = clock_mono_us(k->clock);
    }
    pthread_mutex_unlock(&k->fetching);
}

static bool has_keys(struct jwks *k)
{
    pthread_rwlock_rdlock(&k->lock);
    bool has = k->set != NULL;
    pthread_rwlock_unlock(&k->lock);
    return has;
}

static void freshen(struct jwks *k, const struct oauth_http *http)
{
    if (!has_keys(k))
        fetch(k, http, NO_KEYS_S, true);
    else if (clock_mono_us(k->clock) - k->fetched_us >= (int64_t)REFRESH_S * 1000000)
        fetch(k, http, UNKNOWN_KID_S, false);
}

/* ---- proving ---- */

static bool is_named(const struct key *key, view kid)
{
    return kid.n > 0 && view_eq(kid, view_of(key->kid));
}

/* *out_known: one of the keys has this kid. */
static bool set_proves(const struct key_set *s, const struct signed_text *t, bool *out_known)
{
    *out_known = false;
    for (size_t i = 0; i < s->n; i++)
        if (is_named(&s->keys[i], t->kid)) {
            *out_known = true;
            if (rs256_proves(s->keys[i].rsa, t->text, t->signature))
                return true;
        }
    for (size_t i = 0; i < s->n; i++)
        if (!is_named(&s->keys[i], t->kid) && rs256_proves(s->keys[i].rsa, t->text, t->signature))
            return true;
    return false;
}

static rc try_keys(struct jwks *k, const struct signed_text *t, bool *out_known)
{
    rc r = RC_AWAY;
    *out_known = false;
    pthread_rwlock_rdlock(&k->lock);
    if (k->set)
        r = set_proves(k->set, t, out_known) ? RC_OK : RC_DENIED;
    pthread_rwlock_unlock(&k->lock);
    return r;
}

rc jwks_prove(struct jwks *k, const struct oauth_http *http, const struct signed_text *t, struct err *e)
{
    bool known;
    if (!k->file && !k->url)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "no JWK set is configured");
    if (k->url)
        freshen(k, http);
    rc r = try_keys(k, t, &known);
    if (r == RC_DENIED && k->url && t->kid.n > 0 && !known) {
        fetch(k, http, UNKNOWN_KID_S, true);
        r = try_keys(k, t, &known);
    }
    if (r == RC_AWAY)
        return fail(e, r, RESP_GENERIC, "no keys at hand to check access tokens with");
    if (r == RC_DENIED)
        return fail(e, r, RESP_GENERIC, "no key of ours made this signature");
    return r;
}
