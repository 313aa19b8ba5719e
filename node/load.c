#include "node/load.h"

#include <pthread.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "node/background.h"

#define COUNT_EVERY_MS INT64_C(60000)
#define COUNT_SHARE    100 /* counting may take one part in so many of the time */
#define WINDOW_US      INT64_C(10000000)
#define LOOK_EVERY_US  INT64_C(2000000)
#define LOOKS          8 /* at LOOK_EVERY_US they reach back over the window */

/* The counters at one moment. */
struct look {
    int64_t at_us;
    struct metric_counts counts;
};

struct load {
    struct load_options o;
    struct background background;

    pthread_mutex_t lock; /* of all below; nothing is asked of the store while it is held */
    bool told;
    bool counted;
    struct store_facts facts;
    int64_t counted_us;
    struct look looks[LOOKS]; /* the newest first */
    size_t n_looks;
};

/* ---- counting ---- */

static void keep(struct load *l, const struct store_facts *f)
{
    pthread_mutex_lock(&l->lock);
    l->facts = *f;
    l->counted = true;
    l->told = false;
    l->counted_us = clock_mono_us(l->o.clock);
    pthread_mutex_unlock(&l->lock);
}

rc load_count(struct load *l, struct store_session *ss, struct err *e)
{
    struct store_facts f;
    TRY(store_facts(ss, &f, e));
    keep(l, &f);
    return RC_OK;
}

/* With a session of its own: an idle one would be cut by the database. */
static rc count_once(struct load *l, struct err *e)
{
    struct store_session *ss = NULL;
    TRY(store_session_open(l->o.store, true, &ss, e));
    rc r = load_count(l, ss, e);
    store_session_close(ss);
    return r;
}

static void tell_failure(struct load *l, const struct err *why)
{
    pthread_mutex_lock(&l->lock);
    bool tell = !l->told;
    l->told = true;
    pthread_mutex_unlock(&l->lock);
    if (tell)
        LOG(LOG_WARN, "users cannot be counted, the old figure stays", LOG_S("why", why->text));
}

static void *run(void *arg)
{
    struct load *l = arg;
    int64_t wait_ms;
    do {
        struct err e = ERR_NONE;
        int64_t began_us = clock_mono_us(clock_system());
        if (count_once(l, &e) != RC_OK)
            tell_failure(l, &e);
        int64_t took_ms = (clock_mono_us(clock_system()) - began_us) / 1000;
        wait_ms = took_ms * COUNT_SHARE > COUNT_EVERY_MS ? took_ms * COUNT_SHARE : COUNT_EVERY_MS;
    } while (background_rest(&l->background, wait_ms));
    return NULL;
}

/* ---- reading ---- */

static void look(struct load *l, int64_t now_us) /* the lock is held */
{
    if (l->n_looks > 0 && now_us - l->looks[0].at_us < LOOK_EVERY_US)
        return;
    for (size_t i = LOOKS - 1; i > 0; i--)
        l->looks[i] = l->looks[i - 1];
    l->looks[0].at_us = now_us;
    metric_counts_read(l->o.latency, &l->looks[0].counts);
    l->n_looks += l->n_looks < LOOKS;
}

/* The newest look that is as old as the window; the oldest one if all are younger. */
static const struct look *before(const struct load *l, int64_t now_us)
{
    for (size_t i = 0; i < l->n_looks; i++)
        if (now_us - l->looks[i].at_us >= WINDOW_US)
            return &l->looks[i];
    return &l->looks[l->n_looks - 1];
}

void load_read(struct load *l, struct load_now *out)
{
    struct metric_counts counts;
    int64_t now_us = clock_mono_us(l->o.clock);

    metric_counts_read(l->o.latency, &counts);
    pthread_mutex_lock(&l->lock);
    const struct look *then = before(l, now_us);
    int64_t passed_us = now_us - then->at_us;
    *out = (struct load_now){ .counted = l->counted,
                              .facts = l->facts,
                              .counted_age_ms = (now_us - l->counted_us) / 1000,
                              .latency_us = metric_median_us(&then->counts, &counts),
                              .queue = l->o.queue() };
    if (passed_us > 0)
        out->requests_s = (double)metric_counted(&then->counts, &counts) * 1e6 / (double)passed_us;
    look(l, now_us);
    pthread_mutex_unlock(&l->lock);
}

/* ---- life ---- */

rc load_start(const struct load_options *o, struct load **out, struct err *e)
{
    struct load *l = mem_need(calloc(1, sizeof(*l)));

    l->o = *o;
    look(l, clock_mono_us(o->clock)); /* so that there is always one */
    pthread_mutex_init(&l->lock, NULL);
    rc r = background_start(&l->background, "count users", run, l, e);
    if (r != RC_OK) {
        load_stop(l);
        return r;
    }
    *out = l;
    return RC_OK;
}

void load_stop(struct load *l)
{
    if (!l)
        return;
    background_stop(&l->background);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
