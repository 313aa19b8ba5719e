#include "node/strikes.h"

#include <pthread.h>

#include "common/base/mem.h"
#include "common/base/rand.h"

#define SETS      1024 /* power of two */
#define WAYS      4
#define MINUTE_US INT64_C(60000000)

struct strike {
    uint64_t who;     /* hash of the address; 0: free */
    int64_t since_us; /* steady clock */
    unsigned n;
};

struct strikes {
    const struct clock *clock;
    unsigned most;
    uint64_t seed; /* of this process: nobody can aim at another's place in the table */
    pthread_mutex_t lock;
    struct strike table[SETS][WAYS];
};

struct strikes *strikes_new(const struct clock *clock, unsigned most)
{
    struct strikes *s = mem_need(calloc(1, sizeof(*s)));
    s->clock = clock;
    s->most = most;
    rand_bytes(&s->seed, sizeof(s->seed));
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void strikes_free(struct strikes *s)
{
    if (!s)
        return;
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static bool is_loopback(view address)
{
    return address.n == 0 || view_starts(address, VIEW("127.")) || view_eq(address, VIEW("::1")) ||
           view_starts(address, VIEW("::ffff:127.")) || view_eq(address, VIEW("local"));
}

static uint64_t hash_of(const struct strikes *s, view address)
{
    uint64_t h = 14695981039346656037u ^ s->seed;
    for (size_t i = 0; i < address.n; i++)
        h = (h ^ (uint8_t)address.p[i]) * 1099511628211u;
    h = (h ^ h >> 32) * 0x9e3779b97f4a7c15u;
    return h ? h : 1;
}

/* The address's place, if its minute is not over. */
static struct strike *find(struct strikes *s, uint64_t who, int64_t now_us)
{
    struct strike *set = s->table[who >> 32 & (SETS - 1)];
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].who == who && now_us - set[i].since_us < MINUTE_US)
            return &set[i];
    return NULL;
}

static struct strike *find_or_make(struct strikes *s, uint64_t who, int64_t now_us)
{
    struct strike *found = find(s, who, now_us);
    if (found)
        return found;
    struct strike *set = s->table[who >> 32 & (SETS - 1)], *place = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].who == who || set[i].who == 0) {
            place = &set[i];
            break;
        }
        if (set[i].since_us < place->since_us)
            place = &set[i];
    }
    *place = (struct strike){ .who = who, .since_us = now_us };
    return place;
}

bool strikes_add(struct strikes *s, view address)
{
    if (is_loopback(address))
        return false;
    uint64_t who = hash_of(s, address);
    int64_t now = clock_mono_us(s->clock);
    pthread_mutex_lock(&s->lock);
    struct strike *mine = find_or_make(s, who, now);
    if (mine->n <= s->most)
        mine->n++;
    bool over = mine->n > s->most;
    pthread_mutex_unlock(&s->lock);
    return over;
}

bool strikes_over(struct strikes *s, view address, unsigned *out_wait_s)
{
    if (is_loopback(address))
        return false;
    uint64_t who = hash_of(s, address);
    int64_t now = clock_mono_us(s->clock);
    pthread_mutex_lock(&s->lock);
    const struct strike *mine = find(s, who, now);
    bool over = mine && mine->n > s->most;
    if (over)
        *out_wait_s = (unsigned)((MINUTE_US - (now - mine->since_us) + 999999) / 1000000);
    pthread_mutex_unlock(&s->lock);
    return over;
}
