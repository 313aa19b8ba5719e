#include "node/cache/memory.h"

#include <pthread.h>

#include "common/base/mem.h"
#include "common/base/metrics.h"
#include "common/base/rand.h"

#define SHARDS      64  /* power of two */
#define BUCKETS_MIN 64  /* power of two */
#define SOON_BYTES  256 /* an entry of a user with few collections */

/* Who is asked for is not moved, which would touch his neighbours: he is only marked. What has to go is the oldest without a mark; who has
 * one loses it instead and counts as new. */
struct entry {
    struct entry *next;          /* in its bucket */
    struct entry *newer, *older; /* in the order of coming */
    int64_t uid, ends_us;        /* the latter on the steady clock */
    uint32_t n;
    bool used;
    char bytes[];
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct entry **buckets;
    size_t n_buckets, n_entries;
    size_t used_bytes, ceiling_bytes;
    struct entry *newest, *oldest;
};

struct memory {
    const struct clock *clock;
    uint64_t seed;
    metric evictions;
    struct shard shards[SHARDS];
};

/* ---- one shard; its lock is held ---- */

static uint64_t hash_of(const struct memory *m, int64_t uid)
{
    uint64_t h = ((uint64_t)uid ^ m->seed) * 0x9e3779b97f4a7c15u;
    return (h ^ h >> 32) * 0x9e3779b97f4a7c15u;
}

static size_t cost_of(size_t n_bytes) /* malloc's own included */
{
    return sizeof(struct entry) + n_bytes + 16;
}

static struct entry **slot_of(const struct shard *s, uint64_t hash)
{
    return &s->buckets[hash & (s->n_buckets - 1)];
}

static void line_leave(struct shard *s, struct entry *n)
{
    *(n->newer ? &n->newer->older : &s->newest) = n->older;
    *(n->older ? &n->older->newer : &s->oldest) = n->newer;
}

static void line_join(struct shard *s, struct entry *n)
{
    n->newer = NULL;
    n->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = n;
    s->newest = n;
}

static void entry_remove(const struct memory *m, struct shard *s, struct entry *gone)
{
    struct entry **p = slot_of(s, hash_of(m, gone->uid));
    while (*p != gone)
        p = &(*p)->next;
    *p = gone->next;
    line_leave(s, gone);
    s->used_bytes -= cost_of(gone->n);
    s->n_entries--;
    free(gone);
}

/* The living entry of that user, or NULL; one whose time is over is removed on the way. */
static struct entry *entry_find(const struct memory *m, struct shard *s, int64_t uid)
{
    for (struct entry *n = *slot_of(s, hash_of(m, uid)); n; n = n->next) {
        mem_soon(n, SOON_BYTES);
        if (n->uid != uid)
            continue;
        if (n->ends_us > clock_mono_us(m->clock))
            return n;
        entry_remove(m, s, n);
        return NULL;
    }
    return NULL;
}

static void grow(const struct memory *m, struct shard *s)
{
    size_t n_old = s->n_buckets;
    struct entry **old = s->buckets;
    s->n_buckets = n_old * 2;
    s->buckets = mem_need(calloc(s->n_buckets, sizeof(*s->buckets)));
    for (size_t i = 0; i < n_old; i++) {
        for (struct entry *n = old[i], *next; n; n = next) {
            next = n->next;
            struct entry **slot = slot_of(s, hash_of(m, n->uid));
            n->next = *slot;
            *slot = n;
        }
    }
    free(old);
}

static void make_room(const struct memory *m, struct shard *s, size_t bytes)
{
    while (s->oldest && s->used_bytes + bytes > s->ceiling_bytes) {
        struct entry *n = s->oldest;
        if (!n->used) {
            metric_add(m->evictions, 1);
            entry_remove(m, s, n);
            continue;
        }
        n->used = false;
        line_leave(s, n);
        line_join(s, n);
    }
}

static void entry_add(const struct memory *m, struct shard *s, int64_t uid, view value, int64_t ends_us)
{
    if (cost_of(value.n) > s->ceiling_bytes)
        return;
    make_room(m, s, cost_of(value.n));
    struct entry *n = mem_need(malloc(sizeof(*n) + value.n));
    *n = (struct entry){ .uid = uid, .ends_us = ends_us, .n = (uint32_t)value.n };
    memcpy(n->bytes, value.p, value.n);
    if (s->n_entries * 2 >= s->n_buckets) /* most have a bucket of their own */
        grow(m, s);
    struct entry **slot = slot_of(s, hash_of(m, uid));
    n->next = *slot;
    *slot = n;
    line_join(s, n);
    s->n_entries++;
    s->used_bytes += cost_of(value.n);
}

/* ---- all of them ---- */

struct memory *memory_new(size_t ceiling_bytes, const struct clock *clock)
{
    struct memory *m = mem_need(aligned_alloc(64, sizeof(*m)));
    memset(m, 0, sizeof(*m));
    m->clock = clock;
    m->evictions = metric_counter("heddle_cache_evictions_total", NULL,
                                  "Heads that left the cache in memory because it was full.");
    rand_bytes(&m->seed, sizeof(m->seed));
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &m->shards[i];
        pthread_mutex_init(&s->lock, NULL);
        s->n_buckets = BUCKETS_MIN;
        s->buckets = mem_need(calloc(s->n_buckets, sizeof(*s->buckets)));
        s->ceiling_bytes = ceiling_bytes / SHARDS;
    }
    return m;
}

void memory_free(struct memory *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &m->shards[i];
        while (s->oldest)
            entry_remove(m, s, s->oldest);
        free(s->buckets);
        pthread_mutex_destroy(&s->lock);
    }
    free(m);
}

static struct shard *shard_lock(struct memory *m, int64_t uid)
{
    struct shard *s = &m->shards[hash_of(m, uid) >> 58 & (SHARDS - 1)];
    pthread_mutex_lock(&s->lock);
    return s;
}

bool memory_get(struct memory *m, int64_t uid, struct buf *out)
{
    struct shard *s = shard_lock(m, uid);
    struct entry *n = entry_find(m, s, uid);
    if (n) {
        buf_add(out, (view){ .p = n->bytes, .n = n->n });
        n->used = true;
    }
    pthread_mutex_unlock(&s->lock);
    return n != NULL;
}

void memory_put(struct memory *m, int64_t uid, view value, unsigned ttl_s)
{
    struct shard *s = shard_lock(m, uid);
    struct entry *n = entry_find(m, s, uid);
    if (n)
        entry_remove(m, s, n);
    entry_add(m, s, uid, value, clock_mono_us(m->clock) + (int64_t)ttl_s * 1000000);
    pthread_mutex_unlock(&s->lock);
}
