#include "common/base/recall.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/mem.h"

#define WAYS    4 /* places that one answer may take */
#define STRIPES 64

/* One allocation: key and value lie behind it. */
struct kept {
    uint64_t era;
    int64_t until_us;
    view key, value;
};

struct set {
    uint64_t drops;
    struct kept *ways[WAYS]; /* the one used last stands first */
};

struct recall {
    pthread_mutex_t locks[STRIPES]; /* of every STRIPES-th set */
    _Atomic uint64_t era;
    size_t n;
    struct set sets[];
};

struct recall *recall_new(size_t most)
{
    size_t n = 1;
    while (n * WAYS < most)
        n *= 2;
    struct recall *r = mem_need(calloc(1, sizeof(*r) + n * sizeof(r->sets[0])));
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_init(&r->locks[i], NULL);
    r->n = n;
    return r;
}

void recall_free(struct recall *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++)
        for (size_t way = 0; way < WAYS; way++)
            free(r->sets[i].ways[way]);
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&r->locks[i]);
    free(r);
}

/* Who chooses keys that meet in one set puts out each other's answers, no more. */
static struct set *set_lock(struct recall *r, view key, pthread_mutex_t **out_lock)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (unsigned char)key.p[i]) * UINT64_C(1099511628211);
    size_t at = (size_t)(h ^ h >> 32) & (r->n - 1);
    *out_lock = &r->locks[at % STRIPES];
    pthread_mutex_lock(*out_lock);
    return &r->sets[at];
}

/* WAYS: not there. */
static size_t way_of(const struct set *s, view key)
{
    size_t way = 0;
    while (way < WAYS && !(s->ways[way] && view_eq(s->ways[way]->key, key)))
        way++;
    return way;
}

static void to_front(struct set *s, size_t way)
{
    struct kept *x = s->ways[way];
    for (; way > 0; way--)
        s->ways[way] = s->ways[way - 1];
    s->ways[0] = x;
}

static uint64_t era_of(const struct recall *r)
{
    return atomic_load_explicit(&r->era, memory_order_acquire);
}

struct recall_mark recall_mark(struct recall *r, view key)
{
    pthread_mutex_t *lock;
    const struct set *s = set_lock(r, key, &lock);
    const struct recall_mark m = { .era = era_of(r), .drops = s->drops };
    pthread_mutex_unlock(lock);
    return m;
}

static struct kept *kept_new(view key, view value, uint64_t era, int64_t until_us)
{
    struct kept *x = mem_need(malloc(sizeof(*x) + key.n + value.n));
    char *at = (char *)(x + 1);
    *x = (struct kept){ .era = era,
                        .until_us = until_us,
                        .key = { .p = at, .n = key.n },
                        .value = { .p = at + key.n, .n = value.n } };
    if (key.n)
        memcpy(at, key.p, key.n);
    if (value.n)
        memcpy(at + key.n, value.p, value.n);
    return x;
}

void recall_keep(struct recall *r, view key, struct recall_mark since, view value, int64_t until_us)
{
    struct kept *fresh = kept_new(key, value, since.era, until_us), *old = fresh;
    pthread_mutex_t *lock;
    struct set *s = set_lock(r, key, &lock);
    if (s->drops == since.drops && era_of(r) == since.era) {
        size_t way = way_of(s, key);
        if (way == WAYS)
            way = WAYS - 1;
        old = s->ways[way];
        s->ways[way] = fresh;
        to_front(s, way);
    }
    pthread_mutex_unlock(lock);
    free(old);
}

bool recall_find(struct recall *r, view key, int64_t now_us, struct arena *a, view *out)
{
    pthread_mutex_t *lock;
    struct set *s = set_lock(r, key, &lock);
    size_t way = way_of(s, key);
    bool found = way < WAYS && s->ways[way]->era == era_of(r) && now_us < s->ways[way]->until_us;
    if (found) {
        to_front(s, way);
        *out = arena_copy(a, s->ways[0]->value);
    }
    pthread_mutex_unlock(lock);
    return found;
}

void recall_drop(struct recall *r, view key)
{
    pthread_mutex_t *lock;
    struct kept *old = NULL;
    struct set *s = set_lock(r, key, &lock);
    size_t way = way_of(s, key);
    s->drops++;
    if (way < WAYS) {
        old = s->ways[way];
        s->ways[way] = NULL;
    }
    pthread_mutex_unlock(lock);
    free(old);
}

void recall_drop_all(struct recall *r)
{
    atomic_fetch_add_explicit(&r->era, 1, memory_order_acq_rel);
}
