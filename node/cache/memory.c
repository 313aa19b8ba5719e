/* The cache in this process: a hash table cut into shards, each with its lock, its list of use and its share of the ceiling. A lock is
 * held for some hundred nanoseconds and never while anything is waited for, so io threads may ask too. Forgetting is always
 * allowed (the rule sees it as a flush); so an entry goes when its time is over or when its shard is full. */
#include <pthread.h>

#include "common/base/mem.h"
#include "common/base/metrics.h"
#include "common/base/rand.h"
#include "node/cache/cache.h"

#define SHARDS      64 /* power of two */
#define BUCKETS_MIN 64 /* power of two */

struct entry {
    struct entry *next;          /* in its bucket                          */
    struct entry *newer, *older; /* in the order of use                    */
    uint64_t hash;
    int64_t ends_us; /* on the steady clock                    */
    uint32_t key_n, value_n;
    char bytes[]; /* key, then value                        */
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

static uint64_t hash_of(const struct memory *m, view key) /* FNV-1a, and a last mix for the upper bits */
{
    uint64_t h = 14695981039346656037u ^ m->seed;
    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (uint8_t)key.p[i]) * 1099511628211u;
    h ^= h >> 32;
    return h * 0x9e3779b97f4a7c15u;
}

static size_t cost_of(const struct entry *n) /* malloc's own included */
{
    return sizeof(*n) + n->key_n + n->value_n + 16;
}

static struct entry **slot_of(const struct shard *s, uint64_t hash)
{
    return &s->buckets[hash & (s->n_buckets - 1)];
}

static void use_unlink(struct shard *s, struct entry *n)
{
    *(n->newer ? &n->newer->older : &s->newest) = n->older;
    *(n->older ? &n->older->newer : &s->oldest) = n->newer;
}

static void use_link(struct shard *s, struct entry *n)
{
    n->newer = NULL;
    n->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = n;
    s->newest = n;
}

static void entry_remove(struct shard *s, struct entry *gone)
{
    struct entry **p = slot_of(s, gone->hash);
    while (*p != gone)
        p = &(*p)->next;
    *p = gone->next;
    use_unlink(s, gone);
    s->used_bytes -= cost_of(gone);
    s->n_entries--;
    free(gone);
}

/* The living entry of that key, or NULL; one whose time is over is removed on the way. */
static struct entry *entry_find(struct shard *s, uint64_t hash, view key, int64_t now_us)
{
    for (struct entry *n = *slot_of(s, hash); n; n = n->next) {
        if (n->hash != hash || !view_eq((view){ .p = n->bytes, .n = n->key_n }, key))
            continue;
        if (n->ends_us > now_us)
            return n;
        entry_remove(s, n);
        return NULL;
    }
    return NULL;
}

static view entry_value(const struct entry *n)
{
    return (view){ .p = n->bytes + n->key_n, .n = n->value_n };
}

static void grow(struct shard *s)
{
    size_t n_old = s->n_buckets;
    struct entry **old = s->buckets;
    s->n_buckets = n_old * 2;
    s->buckets = mem_need(calloc(s->n_buckets, sizeof(*s->buckets)));
    for (size_t i = 0; i < n_old; i++) {
        for (struct entry *n = old[i], *next; n; n = next) {
            next = n->next;
            struct entry **slot = slot_of(s, n->hash);
            n->next = *slot;
            *slot = n;
        }
    }
    free(old);
}

static void entry_add(struct memory *m, struct shard *s, uint64_t hash, view key, view value, int64_t ends_us)
{
    struct entry *n = mem_need(malloc(sizeof(*n) + key.n + value.n));
    *n = (struct entry){
        .hash = hash, .ends_us = ends_us, .key_n = (uint32_t)key.n, .value_n = (uint32_t)value.n
    };
    memcpy(n->bytes, key.p, key.n);
    memcpy(n->bytes + key.n, value.p, value.n);
    if (s->n_entries >= s->n_buckets)
        grow(s);
    struct entry **slot = slot_of(s, hash);
    n->next = *slot;
    *slot = n;
    use_link(s, n);
    s->n_entries++;
    s->used_bytes += cost_of(n);
    while (s->used_bytes >
           s->ceiling_bytes) { /* the new one last of all: what is too big for its shard does not stay */
        metric_add(m->evictions, 1);
        entry_remove(s, s->oldest);
    }
}

/* ---- the driver ---- */

static rc memory_open(const struct cache_conf *c, const struct clock *clock, uint64_t page, void **out,
                      struct err *e)
{
    (void)page, (void)e;
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
        s->ceiling_bytes = (size_t)c->memory_bytes / SHARDS;
    }
    *out = m;
    return RC_OK;
}

static void memory_close(void *shared)
{
    struct memory *m = shared;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &m->shards[i];
        while (s->oldest)
            entry_remove(s, s->oldest);
        free(s->buckets);
        pthread_mutex_destroy(&s->lock);
    }
    free(m);
}

static rc memory_handle_open(void *shared, void **out, struct err *e)
{
    (void)e;
    *out = shared; /* all threads use the one table */
    return RC_OK;
}

static void memory_handle_done(void *h)
{
    (void)h;
}

static const char *memory_run(void *h, uint64_t page, bool *out_fresh)
{
    (void)h, (void)page;
    *out_fresh = false;
    return "";
}

static struct shard *shard_lock(struct memory *m, uint64_t hash)
{
    struct shard *s = &m->shards[hash >> 58 & (SHARDS - 1)];
    pthread_mutex_lock(&s->lock);
    return s;
}

static bool memory_get(void *h, view key, struct buf *out)
{
    struct memory *m = h;
    uint64_t hash = hash_of(m, key);
    int64_t now = clock_mono_us(m->clock);
    struct shard *s = shard_lock(m, hash);
    struct entry *n = entry_find(s, hash, key, now);
    if (n) {
        buf_add(out, entry_value(n));
        use_unlink(s, n);
        use_link(s, n);
    }
    pthread_mutex_unlock(&s->lock);
    return n != NULL;
}

/* Writes where `may` says so of what stands there (NULL: nothing). */
static bool write_if(struct memory *m, view key, view value, unsigned ttl_s,
                     bool (*may)(const struct entry *n, view arg), view arg)
{
    uint64_t hash = hash_of(m, key);
    int64_t now = clock_mono_us(m->clock);
    struct shard *s = shard_lock(m, hash);
    struct entry *n = entry_find(s, hash, key, now);
    bool yes = may(n, arg);
    if (yes) {
        if (n)
            entry_remove(s, n);
        entry_add(m, s, hash, key, value, now + (int64_t)ttl_s * 1000000);
    }
    pthread_mutex_unlock(&s->lock);
    return yes;
}

static bool always(const struct entry *n, view arg)
{
    (void)n, (void)arg;
    return true;
}

static bool where_none(const struct entry *n, view arg)
{
    (void)arg;
    return n == NULL;
}

static bool where_equal(const struct entry *n, view arg)
{
    return n && view_eq(entry_value(n), arg);
}

static bool memory_put(void *h, view key, view value, unsigned ttl_s)
{
    return write_if(h, key, value, ttl_s, always, VIEW_NONE);
}

static bool memory_add(void *h, view key, view value, unsigned ttl_s)
{
    return write_if(h, key, value, ttl_s, where_none, VIEW_NONE);
}

static bool memory_swap(void *h, view key, view mine, view value, unsigned ttl_s)
{
    return write_if(h, key, value, ttl_s, where_equal, mine);
}

static bool memory_drop(void *h, view key)
{
    struct memory *m = h;
    uint64_t hash = hash_of(m, key);
    int64_t now = clock_mono_us(m->clock);
    struct shard *s = shard_lock(m, hash);
    struct entry *n = entry_find(s, hash, key, now);
    if (n)
        entry_remove(s, n);
    pthread_mutex_unlock(&s->lock);
    return true;
}

const struct cache_driver cache_memory = {
    .name = "memory",
    .open = memory_open,
    .close = memory_close,
    .handle_open = memory_handle_open,
    .handle_close = memory_handle_done,
    .run = memory_run,
    .hang_up = memory_handle_done,
    .get = memory_get,
    .put = memory_put,
    .add = memory_add,
    .swap = memory_swap,
    .drop = memory_drop,
};
