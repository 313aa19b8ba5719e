#include "node/cache/items.h"

#include <pthread.h>
#include <sys/mman.h>

#include "common/base/mem.h"
#include "common/base/rand.h"

#define SHARDS       16
#define SHARD_MIN    4096
#define VALUE_MAX    ((size_t)16 << 10)
#define ENTRY_EXPECT 512 /* bytes; decides the size of the index */
#define STEPS_MAX    16  /* along one chain: ids chosen to meet there cost no more than this */

/* Positions count the bytes ever written, so a position tells by itself whether it was overwritten since. They begin at one ring's
 * length: 0 is nowhere. */
struct entry {
    uint64_t older; /* position of the entry before it in its chain */
    int64_t uid, as_of;
    uint32_t coll, id_n, value_n;
    char bytes[]; /* the id, the value */
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    uint64_t *chains; /* positions of their newest entries */
    char *ring;
    uint64_t end; /* position of what will be written next */
};

struct items {
    uint64_t seed;
    size_t n_chains, ring_bytes; /* of a shard; the former a power of two */
    size_t mapped_bytes;
    char *mapped;
    struct shard shards[SHARDS];
};

/* ---- life ---- */

static size_t aligned(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

struct items *items_new(size_t ceiling_bytes)
{
    struct items *s = mem_need(aligned_alloc(64, sizeof(*s)));
    size_t each = ceiling_bytes / SHARDS < SHARD_MIN ? SHARD_MIN : ceiling_bytes / SHARDS & ~(size_t)7;

    memset(s, 0, sizeof(*s));
    rand_bytes(&s->seed, sizeof(s->seed));
    s->n_chains = 1;
    while (s->n_chains * 2 * ENTRY_EXPECT <= each)
        s->n_chains *= 2;
    s->ring_bytes = each - s->n_chains * sizeof(uint64_t);
    s->mapped_bytes = each * SHARDS;
    s->mapped = mmap(NULL, s->mapped_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    mem_need(s->mapped == MAP_FAILED ? NULL : s->mapped);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *h = &s->shards[i];
        void *at = s->mapped + i * each;
        pthread_mutex_init(&h->lock, NULL);
        h->chains = at;
        h->ring = (char *)at + s->n_chains * sizeof(uint64_t);
        h->end = s->ring_bytes;
    }
    return s;
}

void items_free(struct items *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_destroy(&s->shards[i].lock);
    munmap(s->mapped, s->mapped_bytes);
    free(s);
}

/* ---- one shard; its lock is held ---- */

static struct entry *entry_at(const struct items *s, const struct shard *h, uint64_t position)
{
    void *at = h->ring + position % s->ring_bytes;
    return at;
}

static bool is_of(const struct entry *n, const struct item_tag *k)
{
    return n->uid == k->uid && n->coll == k->coll && view_eq((view){ .p = n->bytes, .n = n->id_n }, k->id);
}

/* The newest entry of that item, as of whatever time, or NULL. */
static const struct entry *find(const struct items *s, const struct shard *h, uint64_t chain,
                                const struct item_tag *k)
{
    uint64_t at = h->chains[chain];
    for (int step = 0; step < STEPS_MAX && at != 0 && at + s->ring_bytes >= h->end; step++) {
        const struct entry *n = entry_at(s, h, at);
        if (is_of(n, k))
            return n;
        at = n->older;
    }
    return NULL;
}

static void append(struct items *s, struct shard *h, uint64_t chain, const struct item_tag *k, view value)
{
    size_t n_bytes = aligned(sizeof(struct entry) + k->id.n + value.n);
    if (n_bytes > s->ring_bytes / 4)
        return;
    size_t left = s->ring_bytes - h->end % s->ring_bytes;
    if (left < n_bytes) /* an entry lies in one piece */
        h->end += left;
    struct entry *n = entry_at(s, h, h->end);
    *n = (struct entry){ .older = h->chains[chain],
                         .uid = k->uid,
                         .as_of = k->as_of,
                         .coll = k->coll,
                         .id_n = (uint32_t)k->id.n,
                         .value_n = (uint32_t)value.n };
    memcpy(n->bytes, k->id.p, k->id.n);
    memcpy(n->bytes + k->id.n, value.p, value.n);
    h->chains[chain] = h->end;
    h->end += n_bytes;
}

/* ---- all of them ---- */

static struct shard *shard_lock(struct items *s, const struct item_tag *k, uint64_t *out_chain)
{
    uint64_t h = s->seed ^ (uint64_t)k->uid ^ (uint64_t)k->coll << 32;
    for (size_t i = 0; i < k->id.n; i++)
        h = (h ^ (unsigned char)k->id.p[i]) * UINT64_C(1099511628211);
    h = (h ^ h >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    *out_chain = h >> 20 & (s->n_chains - 1);
    struct shard *shard = &s->shards[h >> 60 & (SHARDS - 1)];
    pthread_mutex_lock(&shard->lock);
    return shard;
}

bool items_get(struct items *s, const struct item_tag *k, struct arena *a, view *out)
{
    uint64_t chain;
    struct shard *h = shard_lock(s, k, &chain);
    const struct entry *n = find(s, h, chain, k);
    bool found = n && n->as_of == k->as_of;
    if (found)
        *out = arena_copy(a, (view){ .p = n->bytes + n->id_n, .n = n->value_n });
    pthread_mutex_unlock(&h->lock);
    return found;
}

void items_put(struct items *s, const struct item_tag *k, view value)
{
    if (value.n > VALUE_MAX)
        return;
    uint64_t chain;
    struct shard *h = shard_lock(s, k, &chain);
    const struct entry *n = find(s, h, chain, k);
    if (!n || n->as_of != k->as_of)
        append(s, h, chain, k, value);
    pthread_mutex_unlock(&h->lock);
}
