#include "node/exchange.h"

#include <pthread.h>

#include "common/base/mem.h"

#define SETS     2048 /* of WAYS entries each: some 1 MB, made at the first token of another node */
#define WAYS     4
#define COUNTERS 1024
#define MINUTE_S 60

struct entry {
    uint8_t token[SHA256_BYTES]; /* digest of its text */
    bool used, good;
    int64_t until_s; /* good: wall clock, when it expires; else steady clock */
    int64_t epoch, uid;
    char key[TOKEN_KEY_TEXT];
};

/* How often was asked for one user in the minute that began then. Users that share a counter take it from each other. */
struct counter {
    int64_t uid, since_s;
    unsigned n;
};

struct exchange {
    struct exchange_options o;
    pthread_mutex_t lock; /* of what follows; nothing is asked while it is held */
    struct entry *entries;
    struct counter counters[COUNTERS];
};

static int64_t steady_s(const struct exchange *x)
{
    return clock_mono_us(x->o.clock) / 1000000;
}

/* ---- memory; the lock is held ---- */

static struct entry *set_of(struct exchange *x, const uint8_t token[SHA256_BYTES])
{
    size_t i;
    memcpy(&i, token, sizeof(i));
    return &x->entries[i % SETS * WAYS];
}

static bool holds(const struct exchange *x, const struct entry *t)
{
    return t->used && t->until_s > (t->good ? clock_now_s(x->o.clock) : steady_s(x));
}

static struct entry *find(struct exchange *x, const uint8_t token[SHA256_BYTES])
{
    struct entry *set = x->entries ? set_of(x, token) : NULL;
    for (size_t i = 0; set && i < WAYS; i++)
        if (holds(x, &set[i]) && memcmp(set[i].token, token, SHA256_BYTES) == 0)
            return &set[i];
    return NULL;
}

/* Room in the token's set: a free place, else that of a refusal, else that of the one that expires first. */
static struct entry *room(struct exchange *x, const uint8_t token[SHA256_BYTES])
{
    if (!x->entries)
        x->entries = mem_need(calloc((size_t)SETS * WAYS, sizeof(*x->entries)));
    struct entry *set = set_of(x, token), *best = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        struct entry *t = &set[i];
        if (!holds(x, t) || memcmp(t->token, token, SHA256_BYTES) == 0)
            return t;
        if (best->good != t->good ? best->good : t->until_s < best->until_s)
            best = t;
    }
    return best;
}

static bool may_ask(struct exchange *x, int64_t uid)
{
    struct counter *c = &x->counters[(uint64_t)uid % COUNTERS];
    int64_t now_s = steady_s(x);
    if (c->uid != uid || now_s - c->since_s >= MINUTE_S)
        *c = (struct counter){ .uid = uid, .since_s = now_s };
    return c->n++ < EXCHANGE_ASKS_A_MINUTE;
}

/* ---- life ---- */

struct exchange *exchange_new(const struct exchange_options *o)
{
    struct exchange *x = mem_need(calloc(1, sizeof(*x)));
    x->o = *o;
    pthread_mutex_init(&x->lock, NULL);
    return x;
}

void exchange_free(struct exchange *x)
{
    if (!x)
        return;
    if (x->entries)
        secret_wipe(x->entries, (size_t)SETS * WAYS * sizeof(*x->entries));
    free(x->entries);
    pthread_mutex_destroy(&x->lock);
    free(x);
}

int64_t exchange_arrived_s(const struct exchange *x)
{
    return x->o.arrived_s;
}

/* ---- what it is for ---- */

enum exchange_word exchange_known(struct exchange *x, view token, struct exchanged *out)
{
    uint8_t digest[SHA256_BYTES];
    enum exchange_word word = EXCHANGE_UNKNOWN;

    sha256(token, digest);
    pthread_mutex_lock(&x->lock);
    const struct entry *t = find(x, digest);
    if (t && t->good) {
        *out = (struct exchanged){ .uid = t->uid, .epoch = t->epoch, .expires_s = t->until_s };
        memcpy(out->key, t->key, sizeof(out->key));
    }
    if (t)
        word = t->good ? EXCHANGE_GOOD : EXCHANGE_REFUSED;
    pthread_mutex_unlock(&x->lock);
    return word;
}

static rc read_answer(const json_t *answer, int64_t uid, struct exchanged *out, struct err *e)
{
    const json_t *owner = json_object_get(answer, "uid"), *epoch = json_object_get(answer, "epoch");
    const json_t *expires = json_object_get(answer, "expires");
    view key = json_text(json_object_get(answer, "key"));

    if (json_is_true(json_object_get(answer, "refused")))
        return fail(e, RC_DENIED, RESP_GENERIC, "refused by the directory");
    if (!json_is_integer(owner) || json_integer_value(owner) != uid || !json_is_integer(epoch) ||
        json_integer_value(epoch) <= 0 || !json_is_integer(expires) || key.n != TOKEN_KEY_TEXT)
        return fail(e, RC_AWAY, RESP_GENERIC, "an answer about a token that makes no sense");
    *out = (struct exchanged){ .uid = uid,
                               .epoch = json_integer_value(epoch),
                               .expires_s = json_integer_value(expires) };
    memcpy(out->key, key.p, key.n);
    return RC_OK;
}

static rc ask(struct exchange *x, int64_t uid, view token, struct exchanged *out, struct err *e)
{
    SCOPED(buf_done) struct buf body = { 0 };
    SCOPED(json_decref) json_t *answer = NULL;
    buf_add(&body, VIEW("{\"id\":"));
    json_put_string(&body, token);
    buf_addc(&body, '}');
    TRY(x->o.ask(x->o.arg, buf_view(&body), &answer, e));
    return read_answer(answer, uid, out, e);
}

rc exchange_ask(struct exchange *x, int64_t uid, view token, struct exchanged *out, struct err *e)
{
    uint8_t digest[SHA256_BYTES];
    struct exchanged got = { .uid = 0 };

    pthread_mutex_lock(&x->lock);
    bool may = may_ask(x, uid);
    pthread_mutex_unlock(&x->lock);
    if (!may)
        return fail(e, RC_DENIED, RESP_GENERIC, "too many tokens of other nodes for uid %lld",
                    (long long)uid);
    rc r = ask(x, uid, token, &got, e);
    if (r != RC_OK && r != RC_DENIED)
        return r;
    sha256(token, digest);
    pthread_mutex_lock(&x->lock);
    struct entry *t = room(x, digest);
    *t = (struct entry){ .used = true, .good = r == RC_OK, .until_s = steady_s(x) + EXCHANGE_REFUSED_S };
    memcpy(t->token, digest, sizeof(digest));
    if (t->good) {
        t->until_s = got.expires_s;
        t->uid = got.uid;
        t->epoch = got.epoch;
        memcpy(t->key, got.key, sizeof(t->key));
    }
    pthread_mutex_unlock(&x->lock);
    if (r == RC_OK)
        *out = got;
    return r;
}
