#include "node/store/pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/base/mem.h"

struct stack {
    pthread_mutex_t lock; /* for a moment */
    struct conn *top;
    bool warm; /* the one on top keeps pages */
};

struct pool {
    unsigned shards;
    struct stack stacks[]; /* two for each shard, the second for readers */
};

static struct stack *stack_of(struct pool *p, unsigned shard, bool reader)
{
    assert(shard < p->shards);
    return &p->stacks[2 * shard + reader];
}

struct pool *pool_new(unsigned shards)
{
    struct pool *p = mem_need(calloc(1, sizeof *p + 2 * shards * sizeof p->stacks[0]));
    p->shards = shards;
    for (unsigned i = 0; i < 2 * shards; i++)
        pthread_mutex_init(&p->stacks[i].lock, NULL);
    return p;
}

void pool_free(struct pool *p)
{
    for (unsigned i = 0; p && i < 2 * p->shards; i++) {
        struct stack *s = &p->stacks[i];
        for (struct conn *c = s->top, *below; c; c = below) {
            below = c->below;
            conn_free(c);
        }
        pthread_mutex_destroy(&s->lock);
    }
    free(p);
}

struct conn *pool_take(struct pool *p, unsigned shard, bool reader)
{
    struct stack *s = stack_of(p, shard, reader);
    pthread_mutex_lock(&s->lock);
    struct conn *c = s->top;
    if (c)
        s->top = c->below;
    s->warm = false;
    pthread_mutex_unlock(&s->lock);
    return c;
}

/* On top, where no other keeps pages. */
static bool lay_warm(struct stack *s, struct conn *c)
{
    pthread_mutex_lock(&s->lock);
    bool laid = !s->warm;
    if (laid) {
        c->below = s->top;
        s->top = c;
        s->warm = true;
    }
    pthread_mutex_unlock(&s->lock);
    return laid;
}

static void lay_cold(struct stack *s, struct conn *c)
{
    pthread_mutex_lock(&s->lock);
    struct conn **place = s->warm ? &s->top->below : &s->top;
    c->below = *place;
    *place = c;
    pthread_mutex_unlock(&s->lock);
}

void pool_give(struct pool *p, unsigned shard, bool reader, struct conn *c)
{
    struct stack *s = stack_of(p, shard, reader);
    assert(!c->in_txn && !c->broken);
    c->driver->trim(c, false);
    if (lay_warm(s, c))
        return;
    c->driver->trim(c, true);
    lay_cold(s, c);
}
