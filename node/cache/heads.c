#include "node/cache/heads.h"

#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/scope.h"
#include "node/cache/shared.h"

#define SUFFIX "-heads1" /* the number is that of the layout: programs of another one share another table */
#define WAYS   4
#define WORDS  (HEADS_VALUE_MAX / sizeof(uint64_t))

/* What lies in shared memory: zeroes at first, of which the sum is wrong. */
struct place {
    _Atomic uint64_t sum, uid, n_bytes, words[WORDS];
};

struct bucket {
    struct place ways[WAYS];
};

struct heads {
    struct bucket *buckets;
    size_t n_buckets;
};

/* ---- life ---- */

static rc open_sized(const char *name, size_t bytes, int *out_fd, bool *out_fresh, struct err *e)
{
    size_t there;

    TRY(shared_open(name, out_fd, &there, e));
    *out_fresh = there == 0;
    if (*out_fresh || there == bytes)
        return RC_OK;
    shm_unlink(name);
    close(*out_fd);
    TRY(shared_open(name, out_fd, &there, e));
    *out_fresh = there == 0;
    if (*out_fresh || there == bytes)
        return RC_OK;
    close(*out_fd);
    return fail(e, RC_BROKEN, RESP_GENERIC, "shared memory %s is being replaced by somebody else, too", name);
}

rc heads_open(const char *scope, size_t bytes, struct heads **out, struct err *e)
{
    char name[SHARED_NAME_MAX];
    size_t n = bytes < sizeof(struct bucket) ? 1 : bytes / sizeof(struct bucket);
    void *at = NULL;
    bool fresh;
    int fd;

    shared_name(scope, SUFFIX, name);
    TRY(open_sized(name, n * sizeof(struct bucket), &fd, &fresh, e));
    rc r = shared_map(fd, name, n * sizeof(struct bucket), fresh, &at, e);
    flock(fd, LOCK_UN); /* the mapping would keep it */
    close(fd);
    if (r != RC_OK)
        return r;
    struct heads *h = mem_need(malloc(sizeof(*h)));
    *h = (struct heads){ .buckets = at, .n_buckets = n };
    *out = h;
    return RC_OK;
}

void heads_close(struct heads *h)
{
    if (!h)
        return;
    munmap(h->buckets, h->n_buckets * sizeof(*h->buckets));
    free(h);
}

void heads_unlink(const char *scope)
{
    char name[SHARED_NAME_MAX];
    shared_name(scope, SUFFIX, name);
    shm_unlink(name);
}

/* ---- places ---- */

/* Uids are given one after the other: so few users touch few pages. */
static struct bucket *bucket_of(const struct heads *h, int64_t uid)
{
    return &h->buckets[(uint64_t)uid % h->n_buckets];
}

static uint64_t get(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void set(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static size_t words_of(size_t n_bytes)
{
    return (n_bytes + sizeof(uint64_t) - 1) / sizeof(uint64_t);
}

static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 29;
}

static uint64_t sum_of(uint64_t uid, uint64_t n_bytes, const uint64_t *words)
{
    uint64_t sum = mix(mix(UINT64_C(0x6a09e667f3bcc909), uid), n_bytes);
    for (size_t i = 0; i < words_of(n_bytes); i++)
        sum = mix(sum, words[i]);
    return sum;
}

/* A copy of the place, if it is that user's, whole. */
static bool take(const struct place *p, uint64_t uid, uint64_t words[WORDS], size_t *out_bytes)
{
    uint64_t sum = get(&p->sum), n_bytes = get(&p->n_bytes);

    if (get(&p->uid) != uid || n_bytes > HEADS_VALUE_MAX)
        return false;
    for (size_t i = 0; i < words_of(n_bytes); i++)
        words[i] = get(&p->words[i]);
    *out_bytes = n_bytes;
    return sum_of(uid, n_bytes, words) == sum;
}

bool heads_get(const struct heads *h, int64_t uid, struct buf *out)
{
    const struct bucket *b = bucket_of(h, uid);
    uint64_t words[WORDS];
    size_t n_bytes;

    for (size_t i = 0; i < WAYS; i++) {
        if (!take(&b->ways[i], (uint64_t)uid, words, &n_bytes))
            continue;
        buf_add(out, (view){ .p = (const char *)words, .n = n_bytes });
        return true;
    }
    return false;
}

static struct place *place_for(struct bucket *b, uint64_t uid)
{
    static _Thread_local unsigned turn;

    for (size_t i = 0; i < WAYS; i++)
        if (get(&b->ways[i].uid) == uid)
            return &b->ways[i];
    return &b->ways[turn++ % WAYS];
}

void heads_put(struct heads *h, int64_t uid, view value)
{
    uint64_t words[WORDS], n_bytes = value.n;

    if (n_bytes == 0 || n_bytes > HEADS_VALUE_MAX)
        return;
    words[words_of(n_bytes) - 1] = 0; /* what is behind the value's end */
    memcpy(words, value.p, n_bytes);
    struct place *p = place_for(bucket_of(h, uid), (uint64_t)uid);
    set(&p->sum, sum_of((uint64_t)uid, n_bytes, words));
    set(&p->uid, (uint64_t)uid);
    set(&p->n_bytes, n_bytes);
    for (size_t i = 0; i < words_of(n_bytes); i++)
        set(&p->words[i], words[i]);
}
