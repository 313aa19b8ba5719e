/* How hard a run presses: a bucket of bytes for all moves together, and a brake for each node. Nodes of one machine, which share its
 * processors, share what we may take of them.
 *
 * After all that we let a node do we wait `back` times as long as it took. What is allowed, say a fifth, is used twice. First it is a share:
 * all moves together take no more of a node than a fifth of what others get, where one that works without a pause takes a processor.
 * (Latency alone tells too late: a node that is slow for every sixth request has the same median as before, and a 99th percentile that
 * it had not.) Then it is a measure: above its first latency by more than that the brake is pressed; well below, it is released, more
 * slowly than it was pressed. So it finds a level and stays near it. */
#include <math.h>

#include "admin/run/run.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

#define FLOOR_MS     0.2 /* differences below this are noise */
#define BACK_FIRST   1.0
#define BACK_MOST    31.0 /* a node works at least a 32nd of its time for us: a run shall end */
#define PRESS        2.0
#define RELEASE      0.8
#define MEASURES     3 /* so many latencies make the measure */
#define WAIT_MOST_US INT64_C(10000000)

struct machine {
    char *name;
    unsigned cores, active; /* moves that its nodes take part in */
};

struct feel {
    char *node;
    size_t machine;
    double measures[MEASURES];
    unsigned n;
    double base, back;
};

struct ease {
    struct ease_options o;
    pthread_mutex_t lock;
    struct feel *feels;
    size_t n;
    struct machine *machines;
    size_t n_machines;
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
    for (size_t i = 0; i < x->n_machines; i++)
        free(x->machines[i].name);
    free(x->machines);
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

static size_t machine_of(struct ease *x, view name)
{
    for (size_t i = 0; i < x->n_machines; i++)
        if (view_eq(view_of(x->machines[i].name), name))
            return i;
    x->machines = mem_need(reallocarray(x->machines, x->n_machines + 1, sizeof(*x->machines)));
    x->machines[x->n_machines] = (struct machine){ .name = mem_need(strndup(name.p, name.n)), .cores = 1 };
    return x->n_machines++;
}

/* On a machine of its own, until more is known. */
static struct feel *find_or_make(struct ease *x, view node)
{
    struct feel *f = find(x, node);
    if (f)
        return f;
    x->feels = mem_need(reallocarray(x->feels, x->n + 1, sizeof(*x->feels)));
    f = &x->feels[x->n++];
    *f = (struct feel){ .node = mem_need(strndup(node.p, node.n)), .machine = machine_of(x, node) };
    return f;
}

/* With so many at it, each waiting so long that together they keep to their share. */
static double held_back(const struct ease *x, const struct feel *f)
{
    double rise = (double)x->o.rise / 1e5;
    if (!f || x->o.rise <= 0)
        return 0;
    const struct machine *m = &x->machines[f->machine];
    double share = rise / (1 + rise) * (double)m->cores;
    double least = fmin((double)m->active / share - 1, BACK_MOST);
    return fmax(f->back, least);
}

static int64_t bounded(double us)
{
    return us > (double)WAIT_MOST_US ? WAIT_MOST_US : (int64_t)(us + 0.5);
}

int64_t ease_wait_us(struct ease *x, view from, view to, uint64_t bytes, int64_t source_us, int64_t target_us)
{
    pthread_mutex_lock(&x->lock);
    double a = held_back(x, find(x, from)), b = held_back(x, find(x, to));
    int64_t rate = pay(x, bytes);
    pthread_mutex_unlock(&x->lock);
    int64_t brake = bounded(a * (double)source_us + b * (double)target_us);
    return brake > rate ? brake : rate;
}

int64_t ease_rest_us(struct ease *x, view from, view to, int64_t us)
{
    pthread_mutex_lock(&x->lock);
    double back = fmax(held_back(x, find(x, from)), held_back(x, find(x, to)));
    pthread_mutex_unlock(&x->lock);
    return bounded(back * (double)us);
}

void ease_takes_part(struct ease *x, view from, view to, bool begins)
{
    pthread_mutex_lock(&x->lock);
    size_t ends[] = { find_or_make(x, from)->machine, find_or_make(x, to)->machine };
    for (size_t i = 0; i < (ends[0] == ends[1] ? 1 : 2); i++) { /* a move works at one end at a time */
        struct machine *m = &x->machines[ends[i]];
        if (begins)
            m->active++;
        else
            m->active--;
    }
    pthread_mutex_unlock(&x->lock);
}

void ease_know(struct ease *x, view node, view machine, int64_t cores, double latency_ms)
{
    pthread_mutex_lock(&x->lock);
    struct feel *f = find_or_make(x, node);
    if (machine.n > 0)
        f->machine = machine_of(x, machine);
    x->machines[f->machine].cores = cores < 1 ? 1 : cores > 4096 ? 4096 : (unsigned)cores;
    if (latency_ms > 0 && f->n == 0) {
        f->base = latency_ms;
        f->n = MEASURES;
    }
    pthread_mutex_unlock(&x->lock);
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
    struct feel *f = find_or_make(x, node);
    if (f->n < MEASURES)
        measure(f, latency_ms);
    else
        steer(f, latency_ms, (double)x->o.rise / 1e5);
    pthread_mutex_unlock(&x->lock);
}

double ease_back(struct ease *x, view node)
{
    pthread_mutex_lock(&x->lock);
    double back = held_back(x, find(x, node));
    pthread_mutex_unlock(&x->lock);
    return back;
}
