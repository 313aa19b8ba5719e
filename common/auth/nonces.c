/* A ring of the last `capacity` digests in the order of their coming, with a hash index over it. Digests are of a random
 * prefix and the three parts, so nobody outside can choose which of them share a bucket. All memory is taken at once. */
#include "common/auth/hawk.h"

#include <assert.h>
#include <pthread.h>

#include "common/auth/digest.h"
#include "common/base/mem.h"
#include "common/base/rand.h"

#define NOBODY UINT32_MAX

struct seen {
    uint8_t digest[16];
    int64_t at_s;  /* when it came */
    uint32_t next; /* in its bucket; NOBODY: the last */
};

struct nonces {
    pthread_mutex_t lock; /* for everything below it; held for nothing but memory */
    struct seen *ring;
    uint32_t *buckets; /* power of two of them */
    uint32_t capacity, used, oldest, bucket_mask;
    int64_t keep_s;
    uint8_t prefix[16]; /* read-only */
};

struct nonces *nonces_new(size_t capacity, int64_t keep_s)
{
    struct nonces *n = mem_need(calloc(1, sizeof *n));
    size_t buckets = 16;

    assert(capacity > 0 && capacity < (size_t)1 << 30 && keep_s >= 0);
    while (buckets < capacity)
        buckets *= 2;
    n->capacity = (uint32_t)capacity;
    n->bucket_mask = (uint32_t)buckets - 1;
    n->keep_s = keep_s;
    n->ring = mem_need(calloc(capacity, sizeof *n->ring));
    n->buckets = mem_need(malloc(buckets * sizeof *n->buckets));
    for (size_t i = 0; i < buckets; i++)
        n->buckets[i] = NOBODY;
    rand_bytes(n->prefix, sizeof n->prefix);
    pthread_mutex_init(&n->lock, NULL);
    return n;
}

void nonces_free(struct nonces *n)
{
    if (!n)
        return;
    pthread_mutex_destroy(&n->lock);
    free(n->ring);
    free(n->buckets);
    free(n);
}

/* Lengths stand before the texts: ("ab", "c") is not ("a", "bc"). */
static void digest_of(const struct nonces *n, view id, int64_t ts, view nonce, uint8_t out[16])
{
    int64_t numbers[2] = { ts, (int64_t)id.n };
    uint8_t whole[SHA256_BYTES];

    digest_begin();
    digest_add((view){ .p = (const char *)n->prefix, .n = sizeof n->prefix });
    digest_add((view){ .p = (const char *)numbers, .n = sizeof numbers });
    digest_add(id);
    digest_add(nonce);
    digest_end(whole);
    memcpy(out, whole, 16);
}

static uint32_t *bucket_of(struct nonces *n, const uint8_t digest[16])
{
    uint32_t hash;

    memcpy(&hash, digest, sizeof hash);
    return &n->buckets[hash & n->bucket_mask];
}

static struct seen *find(struct nonces *n, const uint8_t digest[16])
{
    for (uint32_t i = *bucket_of(n, digest); i != NOBODY; i = n->ring[i].next)
        if (memcmp(n->ring[i].digest, digest, 16) == 0)
            return &n->ring[i];
    return NULL;
}

static void unlink_from_bucket(struct nonces *n, uint32_t place)
{
    uint32_t *link = bucket_of(n, n->ring[place].digest);

    while (*link != place)
        link = &n->ring[*link].next;
    *link = n->ring[place].next;
}

/* The place of the oldest is given away when the ring is full. */
static void insert(struct nonces *n, const uint8_t digest[16], int64_t now_s)
{
    uint32_t place, *bucket = bucket_of(n, digest);

    if (n->used < n->capacity) {
        place = n->used++;
    } else {
        place = n->oldest;
        n->oldest = (n->oldest + 1) % n->capacity;
        unlink_from_bucket(n, place);
    }
    n->ring[place].at_s = now_s;
    memcpy(n->ring[place].digest, digest, 16);
    n->ring[place].next = *bucket;
    *bucket = place;
}

bool nonces_fresh(struct nonces *n, view id, int64_t ts, view nonce, int64_t now_s)
{
    uint8_t digest[16];
    struct seen *before;
    bool fresh;

    digest_of(n, id, ts, nonce, digest);
    pthread_mutex_lock(&n->lock);
    before = find(n, digest);
    fresh = !before || now_s - before->at_s > n->keep_s;
    if (!before)
        insert(n, digest, now_s);
    else if (fresh)
        before->at_s = now_s;
    pthread_mutex_unlock(&n->lock);
    return fresh;
}
