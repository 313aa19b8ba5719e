#include "node/cache/items.h"

#include <pthread.h>
#include <sys/mman.h>

#include "common/base/mem.h"
#include "common/base/rand.h"

#define SHARDS     16
#define SHARD_MIN  4096
#define VALUE_MAX  ((size_t)16 << 10)
#define SET_EXPECT 768 /* bytes of entries for each set; decides the size of the index */
#define WAYS       6
#define SOON_BYTES 448 /* an entry with a small record */

struct entry {
    int64_t uid, as_of;
    uint32_t coll, id_n, value_n;
    char bytes[]; /* the id, the value */
};

/* Where an item may be, in one line of the processor's caches: of many users' items each look costs this line and the entry's. Ids chosen
 * to meet in one set only push each other out.
 *
 * Positions count the bytes ever written, so a position tells by itself whether it was overwritten since. They begin at one ring's
 * length: 0 is nowhere. */
struct set {
    _Alignas(64) uint64_t at[WAYS];
    uint16_t tags[WAYS];
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct set *sets;
    char *ring;
    uint64_t end; /* position of what will be written next */
};

struct items {
    uint64_t seed;
    size_t n_sets, ring_bytes; /* of a shard; the former a power of two */
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
    size_t each = ceiling_bytes / SHARDS < SHARD_MIN ? SHARD_MIN : ceiling_bytes / SHARDS & ~(size_t)63;

    memset(s, 0, sizeof(*s));
    rand_bytes(&s->seed, sizeof(s->seed));
    s->n_sets = 1;
    while (s->n_sets * 2 * SET_EXPECT <= each)
        s->n_sets *= 2;
    s->ring_bytes = each - s->n_sets * sizeof(struct set);
    s->mapped_bytes = each * SHARDS;
    s->mapped = mmap(NULL, s->mapped_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    mem_need(s->mapped == MAP_FAILED ? NULL : s->mapped);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *h = &s->shards[i];
        void *at = s->mapped + i * each;
        pthread_mutex_init(&h->lock, NULL);
        h->sets = at;
        h->ring = (char *)at + s->n_sets * sizeof(struct set);
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

/* Where to look for an item, or to note where it was put. */
struct spot {
    struct shard *shard; /* locked */
    struct set *set;
    uint16_t tag;
};

/* What that item has, as of whatever time; WAYS: nothing. */
static size_t way_of(const struct items *s, const struct spot *p, const struct item_tag *k)
{
    const struct shard *h = p->shard;
    for (size_t way = 0; way < WAYS; way++) {
        uint64_t at = p->set->at[way];
        if (p->set->tags[way] != p->tag || at == 0 || at + s->ring_bytes < h->end)
            continue;
        const struct entry *n = entry_at(s, h, at);
        mem_soon(n, SOON_BYTES);
        if (is_of(n, k))
            return way;
    }
    return WAYS;
}

/* The one that is overwritten first, if it is not already. */
static size_t oldest(const struct set *set)
{
    size_t found = 0;
    for (size_t way = 1; way < WAYS; way++)
        if (set->at[way] < set->at[found])
            found = way;
    return found;
}

static void append(struct items *s, struct spot *p, size_t way, const struct item_tag *k, view value)
{
    struct shard *h = p->shard;
    size_t n_bytes = aligned(sizeof(struct entry) + k->id.n + value.n);
    if (n_bytes > s->ring_bytes / 4)
        return;
    size_t left = s->ring_bytes - h->end % s->ring_bytes;
    if (left < n_bytes) /* an entry lies in one piece */
        h->end += left;
    struct entry *n = entry_at(s, h, h->end);
    *n = (struct entry){ .uid = k->uid,
                         .as_of = k->as_of,
                         .coll = k->coll,
                         .id_n = (uint32_t)k->id.n,
                         .value_n = (uint32_t)value.n };
    memcpy(n->bytes, k->id.p, k->id.n);
    memcpy(n->bytes + k->id.n, value.p, value.n);
    p->set->at[way] = h->end;
    p->set->tags[way] = p->tag;
    h->end += n_bytes;
}

/* ---- all of them ---- */

static struct spot spot_lock(struct items *s, const struct item_tag *k)
{
    uint64_t h = s->seed ^ (uint64_t)k->uid ^ (uint64_t)k->coll << 32;
    for (size_t i = 0; i < k->id.n; i++)
        h = (h ^ (unsigned char)k->id.p[i]) * UINT64_C(1099511628211);
    h = (h ^ h >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    struct shard *shard = &s->shards[h >> 60 & (SHARDS - 1)];
    struct set *set = &shard->sets[h >> 20 & (s->n_sets - 1)];
    mem_soon(set, sizeof(*set));
    pthread_mutex_lock(&shard->lock);
    return (struct spot){ .shard = shard, .set = set, .tag = (uint16_t)h };
}

bool items_get(struct items *s, const struct item_tag *k, struct arena *a, view *out)
{
    struct spot p = spot_lock(s, k);
    size_t way = way_of(s, &p, k);
    const struct entry *n = way < WAYS ? entry_at(s, p.shard, p.set->at[way]) : NULL;
    bool found = n && n->as_of == k->as_of;
    if (found)
        *out = arena_copy(a, (view){ .p = n->bytes + n->id_n, .n = n->value_n });
    pthread_mutex_unlock(&p.shard->lock);
    return found;
}

void items_put(struct items *s, const struct item_tag *k, view value)
{
    if (value.n > VALUE_MAX)
        return;
    struct spot p = spot_lock(s, k);
    size_t way = way_of(s, &p, k);
    if (way == WAYS)
        append(s, &p, oldest(p.set), k, value);
    else if (entry_at(s, p.shard, p.set->at[way])->as_of != k->as_of)
        append(s, &p, way, k, value);
    pthread_mutex_unlock(&p.shard->lock);
}
