#include "node/sweep.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/metrics.h"

#define PORTION       500 /* rows in one transaction */
#define BREATH_MS     20  /* between two portions */
#define FIRST_AFTER_S 60  /* the first round comes soon: a node may never run for an hour */

struct sweep {
    struct sweep_options o;
    metric items, batches, gone;
    pthread_t thread;
    bool started;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    bool stopping, woken;
    uint64_t rounds;
};

typedef rc purge_fn(struct store_session *ss, int64_t age_s, unsigned limit, uint64_t *out_n, struct err *e);

/* Sleeps until then, a stop, or a wake. false: stop. */
static bool rest(struct sweep *s, int64_t ms, bool heed_wake)
{
    const struct timespec until = clock_in_ms(ms);
    pthread_mutex_lock(&s->lock);
    while (!s->stopping && !(heed_wake && s->woken))
        if (pthread_cond_timedwait(&s->changed, &s->lock, &until) == ETIMEDOUT)
            break;
    if (heed_wake)
        s->woken = false;
    bool go = !s->stopping;
    pthread_mutex_unlock(&s->lock);
    return go;
}

/* All there is of one kind, in portions. */
static bool purge(struct sweep *s, struct store_session *ss, purge_fn *fn, int64_t age_s, metric count,
                  const char *what)
{
    for (;;) {
        struct err e = ERR_NONE;
        uint64_t n = 0;
        if (fn(ss, age_s, PORTION, &n, &e) != RC_OK) {
            LOG(LOG_WARN, "purge interrupted, the next round goes on", LOG_S("what", what),
                LOG_S("why", e.text));
            return true;
        }
        metric_add(count, n);
        if (n == 0)
            return true;
        if (!rest(s, BREATH_MS, false))
            return false;
    }
}

/* A session for each round: an idle one would be cut by the database. */
static bool round_once(struct sweep *s)
{
    struct store_session *ss = NULL;
    struct err e = ERR_NONE;

    if (store_session_open(s->o.store, false, &ss, &e) != RC_OK) {
        LOG(LOG_WARN, "purge postponed: no session of the store", LOG_S("why", e.text));
        return true;
    }
    bool go = purge(s, ss, store_purge_expired, s->o.grace_s, s->items, "items") &&
              purge(s, ss, store_purge_batches, s->o.batch_life_s, s->batches, "batches") &&
              purge(s, ss, store_purge_gone, s->o.gone_s, s->gone, "users who left");
    store_session_close(ss);
    return go;
}

static void *run(void *arg)
{
    struct sweep *s = arg;
    int64_t every_ms = s->o.every_s * 1000;
    int64_t wait_ms = s->o.every_s < FIRST_AFTER_S ? every_ms : FIRST_AFTER_S * 1000;

    while (rest(s, wait_ms, true) && round_once(s)) {
        pthread_mutex_lock(&s->lock);
        s->rounds++;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
        wait_ms = every_ms;
    }
    return NULL;
}

rc sweep_start(const struct sweep_options *o, struct sweep **out, struct err *e)
{
    struct sweep *s = mem_need(calloc(1, sizeof(*s)));

    s->o = *o;
    s->items = metric_counter("heddle_purged_total", "what=\"items\"", "Rows removed in the background.");
    s->batches = metric_counter("heddle_purged_total", "what=\"batches\"", "Rows removed in the background.");
    s->gone = metric_counter("heddle_purged_total", "what=\"gone\"", "Rows removed in the background.");
    pthread_mutex_init(&s->lock, NULL);
    clock_cond_init(&s->changed);
    if (o->every_s > 0) {
        int why = pthread_create(&s->thread, NULL, run, s);
        if (why != 0) {
            sweep_stop(s);
            return fail(e, RC_BROKEN, RESP_GENERIC, "no thread for the purge: %s", strerror(why));
        }
        s->started = true;
    }
    *out = s;
    return RC_OK;
}

void sweep_stop(struct sweep *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (s->started)
        pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void sweep_wake(struct sweep *s)
{
    pthread_mutex_lock(&s->lock);
    s->woken = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

uint64_t sweep_rounds(struct sweep *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t n = s->rounds;
    pthread_mutex_unlock(&s->lock);
    return n;
}
