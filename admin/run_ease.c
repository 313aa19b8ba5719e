/* How hard a run presses: a bucket of bytes for all moves together, and a brake for each node that feels us.
 *
 * The first latencies of a node are the measure. Above it by more than what is allowed, the brake is pressed: after each page we wait `back`
 * times as long as the two nodes worked for it, so of its time a node works 1/(1+back) for us. Well below, the brake is released, more slowly
 * than it was pressed: so it finds a level and stays near it. */
#include <math.h>

#include "admin/run.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

#define FLOOR_MS     0.2 /* differences below this are noise                                 */
#define BACK_FIRST   1.0
#define BACK_MOST    31.0 /* a node works at least a 32nd of its time for us: a run shall end */
#define PRESS        2.0
#define RELEASE      0.8
#define MEASURES     3 /* so many latencies make the measure                               */
#define WAIT_MOST_US INT64_C(10000000)

struct feel {
    char *node;
    double measures[MEASURES];
    unsigned n;
    double base, back;
};

struct ease {
    struct ease_options o;
    pthread_mutex_t lock;
    struct feel *feels;
    size_t n;
    int64_t free_at_us; /* when what was carried so far is paid for at the rate */
};

struct ease *ease_new(const struct ease_options *o)
{
    struct ease *x = mem_need(calloc(1, sizeof(*x)));
    x->o = *o;
    x->free_at_us = INT64_MIN;
    pthread_mutex_init(&x->lock, NULL);
    return x;
}

void ease_free(struct ease *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < x->n; i++)
        free(x->feels[i].node);
    free(x->feels);
    pthread_mutex_destroy(&x->lock);
    free(x);
}

static struct feel *find(struct ease *x, view node)
{
    for (size_t i = 0; i < x->n; i++)
        if (view_eq(view_of(x->feels[i].node), node))
            return &x->feels[i];
    return NULL;
}

static int64_t pay(struct ease *x, uint64_t bytes)
{
    int64_t now = clock_mono_us(x->o.clock);
    if (x->o.rate <= 0)
        return 0;
    if (x->free_at_us < now)
        x->free_at_us = now;
    x->free_at_us += (int64_t)((double)bytes * 1e6 / (double)x->o.rate);
    return x->free_at_us - now;
}

int64_t ease_wait_us(struct ease *x, view from, view to, uint64_t bytes, int64_t source_us, int64_t target_us)
{
    pthread_mutex_lock(&x->lock);
    const struct feel *a = find(x, from), *b = find(x, to);
    double brake = (a ? a->back * (double)source_us : 0) + (b ? b->back * (double)target_us : 0);
    int64_t rate = pay(x, bytes);
    pthread_mutex_unlock(&x->lock);
    if (brake > (double)WAIT_MOST_US)
        brake = (double)WAIT_MOST_US;
    return (int64_t)brake > rate ? (int64_t)brake : rate;
}

/* The least of the first ones: we may have been at work already. */
static void measure(struct feel *f, double latency_ms)
{
    f->measures[f->n++] = latency_ms;
    if (f->n < MEASURES)
        return;
    f->base = f->measures[0];
    for (unsigned i = 1; i < MEASURES; i++)
        f->base = fmin(f->base, f->measures[i]);
}

static void steer(struct feel *f, double latency_ms, double rise)
{
    double most = f->base * (1 + rise) + FLOOR_MS;
    if (latency_ms > most)
        f->back = f->back > 0 ? fmin(f->back * PRESS, BACK_MOST) : BACK_FIRST;
    else if (latency_ms < f->base + (most - f->base) / 2)
        f->back = f->back > 0.1 ? f->back * RELEASE : 0;
}

void ease_hear(struct ease *x, view node, double latency_ms)
{
    if (x->o.rise <= 0 || latency_ms <= 0)
        return;
    pthread_mutex_lock(&x->lock);
    struct feel *f = find(x, node);
    if (!f) {
        x->feels = mem_need(reallocarray(x->feels, x->n + 1, sizeof(*x->feels)));
        f = &x->feels[x->n++];
        *f = (struct feel){ .node = mem_need(strndup(node.p, node.n)) };
    }
    if (f->n < MEASURES)
        measure(f, latency_ms);
    else
        steer(f, latency_ms, (double)x->o.rise / 1e5);
    pthread_mutex_unlock(&x->lock);
}

double ease_back(struct ease *x, view node)
{
    pthread_mutex_lock(&x->lock);
    const struct feel *f = find(x, node);
    double back = f ? f->back : 0;
    pthread_mutex_unlock(&x->lock);
    return back;
}
