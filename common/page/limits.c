#include "common/page/limits.h"

#include <arpa/inet.h>
#include <pthread.h>

#include "common/auth/secrets.h"
#include "common/base/mem.h"
#include "common/base/rand.h"

enum { ROWS = 1024, WAYS = 4 };

struct cell {
    uint64_t who; /* keyed hash of the address */
    int64_t began_s;
    int64_t count; /* 0: free */
};

struct limits {
    int64_t most, window_s;
    bool loopback; /* is counted too */
    char key[16];  /* so that nobody outside can aim at a row */
    pthread_mutex_t lock;
    struct cell cells[ROWS][WAYS];
};

struct limits *limits_new(int64_t most, int64_t window_s)
{
    struct limits *l = mem_need(calloc(1, sizeof(*l)));
    l->most = most;
    l->window_s = window_s;
    rand_bytes(l->key, sizeof(l->key));
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void limits_count_loopback(struct limits *l)
{
    l->loopback = true;
}

void limits_free(struct limits *l)
{
    if (!l)
        return;
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* The bytes that stand for one customer. 0: not counted. */
static size_t address_bytes(view peer, bool loopback, unsigned char out[16])
{
    char text[INET6_ADDRSTRLEN];
    if (peer.n == 0 || peer.n >= sizeof(text))
        return 0;
    memcpy(text, peer.p, peer.n);
    text[peer.n] = '\0';
    if (inet_pton(AF_INET, text, out) == 1)
        return out[0] == 127 && !loopback ? 0 : 4;
    if (inet_pton(AF_INET6, text, out) != 1)
        return 0;
    const struct in6_addr *v6 = (const struct in6_addr *)out;
    if (IN6_IS_ADDR_LOOPBACK(v6))
        return loopback ? 8 : 0;
    if (IN6_IS_ADDR_V4MAPPED(v6)) {
        memmove(out, out + 12, 4);
        return out[0] == 127 && !loopback ? 0 : 4;
    }
    return 8;
}

static bool who_is(const struct limits *l, view peer, uint64_t *out)
{
    unsigned char address[sizeof(struct in6_addr)] __attribute__((aligned(8)));
    uint8_t mac[SHA256_BYTES];
    size_t n = l->most > 0 ? address_bytes(peer, l->loopback, address) : 0;
    if (n == 0)
        return false;
    hmac_sha256((view){ .p = l->key, .n = sizeof(l->key) }, (view){ .p = (const char *)address, .n = n },
                mac);
    memcpy(out, mac, sizeof(*out));
    return true;
}

static bool is_live(const struct limits *l, const struct cell *c, int64_t now_s)
{
    return c->count > 0 && now_s >= c->began_s && now_s - c->began_s < l->window_s;
}

unsigned limits_wait(struct limits *l, view peer, int64_t now_s)
{
    uint64_t who;
    unsigned wait = 0;
    if (!who_is(l, peer, &who))
        return 0;
    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < WAYS; i++) {
        const struct cell *c = &l->cells[who % ROWS][i];
        if (c->who == who && is_live(l, c, now_s) && c->count >= l->most)
            wait = (unsigned)(c->began_s + l->window_s - now_s);
    }
    pthread_mutex_unlock(&l->lock);
    return wait;
}

/* The cell of `who`, else a dead one, else the one that began first. */
static struct cell *cell_for(struct limits *l, uint64_t who, int64_t now_s)
{
    struct cell *row = l->cells[who % ROWS], *best = &row[0];
    for (int i = 0; i < WAYS; i++) {
        if (row[i].who == who && is_live(l, &row[i], now_s))
            return &row[i];
        if (is_live(l, best, now_s) && (!is_live(l, &row[i], now_s) || row[i].began_s < best->began_s))
            best = &row[i];
    }
    *best = (struct cell){ .who = who, .began_s = now_s };
    return best;
}

void limits_count(struct limits *l, view peer, int64_t now_s)
{
    uint64_t who;
    if (!who_is(l, peer, &who))
        return;
    pthread_mutex_lock(&l->lock);
    cell_for(l, who, now_s)->count++;
    pthread_mutex_unlock(&l->lock);
}
