/* Answers that an io thread gives itself, and the guard over them: a route that made one wait for long answers from memory alone for a while,
 * and one that even then waited goes to the workers. */
#include "common/web/inside.h"

#include <sys/resource.h>

#include "common/base/log.h"

#define WARM_SLOW_US    10000            /* a warm answer that took longer …              */
#define WARM_STUCK_US   100000           /* … and, where it was not the disk, much longer */
#define WARM_SUSPECT_US (60 * 1000000LL) /* … lets the next ones be looked at, and the next such one */
#define WARM_PAUSE_US                                                                                        \
    (1 * 1000000LL) /* … leaves reads of the route, or all of it, to the workers for so long, */
#define WARM_PAUSE_MOST (60 * 1000000LL) /* and ever longer if it was slow again at once  */
#define IO_RETRY_US     (10 * 1000000LL)

/* The mount's state of this io thread; false: none to be had now. */
static bool warm_state(struct io *io, const struct mount *m, void **out)
{
    size_t i = server_mount_index(io->server, m);
    struct err e = ERR_NONE;

    *out = NULL;
    if (!m->io_open || io->states[i]) {
        *out = io->states[i];
        return true;
    }
    int64_t now = clock_mono_us(io->server->clock);
    if (now < io->states_retry_us[i])
        return false;
    if (m->io_open(m->app, &io->states[i], &e) != RC_OK) {
        io->states[i] = NULL;
        io->states_retry_us[i] = now + IO_RETRY_US;
        LOG(LOG_WARN, "no warm answers for a while", LOG_S("mount", m->name), LOG_S("why", e.text));
        return false;
    }
    *out = io->states[i];
    return true;
}

/* What this thread has waited for so far. Being sent off the processor by others does not count. A call of the kernel, which is why it is
 * asked only after a slow answer, about the next ones. */
static struct waits waits_of_thread(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_THREAD, &u) != 0)
        return (struct waits){ 0 };
    return (struct waits){ .disk = u.ru_majflt + u.ru_inblock, .any = u.ru_nvcsw };
}

/* A lock that is held for a moment becomes a long wait where its holder, or who waited for it, is not given the processor again soon: on a
 * busy machine that happens all the time, and workers would only wait longer. */
bool warm_waited(const struct waits *before, const struct waits *after, int64_t took_us)
{
    return (took_us > WARM_SLOW_US && after->disk > before->disk) ||
           (took_us > WARM_STUCK_US && after->any > before->any);
}

/* Opening a file for the first time may be slow once; a slow disk is slow again as soon as it is tried. */
static void make_cold(struct cold *c, const struct request *rq, int64_t now, int64_t took_us)
{
    int64_t ended = atomic_load_explicit(&c->until_us, memory_order_relaxed);
    int64_t pause = atomic_load_explicit(&c->pause_us, memory_order_relaxed);

    pause = now - ended > WARM_PAUSE_MOST ? WARM_PAUSE_US
            : 4 * pause < WARM_PAUSE_MOST ? 4 * pause
                                          : WARM_PAUSE_MOST;
    atomic_store_explicit(&c->pause_us, pause, memory_order_relaxed);
    atomic_store_explicit(&c->until_us, now + pause, memory_order_relaxed);
    LOG(LOG_WARN, "a warm answer was slow, workers take over for a while", LOG_S("route", rq->route->path),
        LOG_S("what", rq->memory_only ? "all" : "reads"), LOG_I("took_us", took_us),
        LOG_I("pause_us", pause));
}

static bool is_cold(const struct cold *c, int64_t now)
{
    return now < atomic_load_explicit(&c->until_us, memory_order_relaxed);
}

/* The guard: what waits for long must not be done on an io thread, whatever the route's author thought. Time alone would not tell it
 * from a busy machine, where every thread is slow at times. */
bool warm_answered(struct web_request *w)
{
    struct request *rq = &w->rq;
    struct server *s = w->io->server;
    struct route_state *state = server_route_state(s, w);
    int64_t before = clock_mono_us(s->clock);

    if (!rq->route->warm || is_cold(&state->all, before) || !warm_state(w->io, rq->mount, &rq->worker))
        return false;
    rq->memory_only = is_cold(&state->reads, before);
    bool looked_at = before < atomic_load_explicit(&state->suspect_until_us, memory_order_relaxed);
    struct waits waits = looked_at ? waits_of_thread() : (struct waits){ 0 };
    bool done = rq->route->warm(rq);
    rq->worker = NULL;
    int64_t after = clock_mono_us(s->clock);
    if (after - before > WARM_SLOW_US) {
        atomic_store_explicit(&state->suspect_until_us, after + WARM_SUSPECT_US, memory_order_relaxed);
        struct waits now = looked_at ? waits_of_thread() : waits;
        if (warm_waited(&waits, &now, after - before))
            make_cold(rq->memory_only ? &state->all : &state->reads, rq, after, after - before);
    }
    return done;
}
