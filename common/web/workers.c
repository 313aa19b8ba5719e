/* The bounded queue and those who empty it. A worker that finds nothing to do lays itself on top of the stack of sleepers; the
 * one on top is woken first, so that a quiet server keeps few workers warm, and nobody is woken when nobody sleeps.
 *
 * Each job has a worker at once: it waits for a disk, or for somebody else's answer, together with others. Reads that compute instead
 * (mount.reads_compute) are left to one worker a core, two at least: whatever more of them are at work take the caches from each other, and
 * those who are awake come for the next one by themselves. A worker counts as brisk while he is awake and his job is a read that began less
 * than PATIENCE_US ago. So many brisk ones as `brisk_enough` says are enough, until a job has waited for as long; the watch looks for that at
 * every tick while the queue asks for it (queue_pace). So only reads that turn out to be slow, for a disk or for their length, let others
 * come to their side. */
#include "common/web/inside.h"

#include <errno.h>
#include <sched.h>

#include "common/base/cores.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define BRISK_LEAST    2
#define PATIENCE_US    20000
#define FEW_PER_WORKER 8
#define STANDING_US    INT64_C(1000000)
#define WAIT_US        INT64_C(100000)

/* Database and TLS libraries run on these stacks; only what is touched costs memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_BYTES ((size_t)4 << 20)
#else
#define STACK_BYTES ((size_t)512 << 10)
#endif

/* ---- the queue; its lock is held ---- */

static void gauge_depth(struct server *s, int by)
{
    atomic_fetch_add(&web_queue_depth[s->internal], by);
}

/* Takes one from the stack, to be woken when the lock is free; NULL: nobody sleeps. */
static struct worker *sleeper_pop(struct queue *q)
{
    struct worker *me = q->sleepers;

    if (me) {
        q->sleepers = me->next_sleeper;
        q->brisk++;
    }
    return me;
}

static void count_slow(struct queue *q, struct worker *me, bool slow)
{
    if (me->slow == slow)
        return;
    me->slow = slow;
    q->brisk += slow ? -1 : 1;
}

static bool is_read(const struct web_request *w)
{
    return w->rq.method == GET || w->rq.method == HEAD;
}

static struct web_request *queue_pop(struct server *s)
{
    struct queue *q = &s->queue;
    struct web_request *w = q->head;

    if (w) {
        q->head = w->next;
        if (!q->head)
            q->tail = NULL;
        w->next = NULL;
        q->depth--;
        q->full_since_us = 0;
        if (q->depth <= q->few)
            q->deep_since_us = 0;
        gauge_depth(s, -1);
        if (q->resting > 0 && q->depth <= q->few / 2)
            pthread_cond_broadcast(&q->half);
    }
    return w;
}

/* One came to more than few: since when there have been as many, and each has had to wait for WAIT_US. */
static void note_deep(struct queue *q, int64_t now)
{
    if (now - q->head->queued_us < WAIT_US)
        q->deep_since_us = 0;
    else if (!q->deep_since_us)
        q->deep_since_us = now;
}

/* A burst may wait; what stands for longer is no burst, and waiting helps nobody: all get as little done, later, and each that waits makes
 * the others dearer. So a queue that has been deep for STANDING_US overflows: it takes few, until it has not been full for as long. */
static bool is_full(struct queue *q, int64_t now)
{
    if (q->overflows && now - q->full_us > STANDING_US) {
        q->overflows = false;
    } else if (!q->overflows && q->deep_since_us && now - q->deep_since_us > STANDING_US) {
        q->overflows = true;
        q->full_us = now;
    }
    q->limit = q->overflows ? q->few : q->most;
    if (q->depth < q->limit)
        return false;
    q->full_us = now;
    if (!q->full_since_us)
        q->full_since_us = now;
    return true;
}

/* ---- the queue ---- */

enum queue_put queue_put(struct server *s, struct web_request *w)
{
    struct queue *q = &s->queue;
    struct worker *sleeper = NULL;
    enum queue_put result = QUEUE_TAKEN;
    bool pace = false;

    w->queued_us = clock_mono_us(s->clock);
    pthread_mutex_lock(&q->lock);
    if (q->closed) {
        result = QUEUE_CLOSED;
    } else if (is_full(q, w->queued_us)) {
        result = QUEUE_FULL;
    } else {
        w->next = NULL;
        if (q->tail)
            q->tail->next = w;
        else
            q->head = w;
        q->tail = w;
        if (++q->depth > q->few) {
            result = QUEUE_DEEP;
            note_deep(q, w->queued_us);
        }
        if (q->depth == q->limit)
            q->full_since_us = w->queued_us;
        gauge_depth(s, 1);
        if (q->brisk < q->brisk_enough || !is_read(w)) {
            sleeper = sleeper_pop(q);
        } else if (!q->paced && q->sleepers) {
            q->paced = pace = true;
        }
    }
    pthread_mutex_unlock(&q->lock);
    if (sleeper)
        sem_post(&sleeper->wake);
    if (pace)
        watch_pace(s->watch);
    return result;
}

int64_t queue_full_us(struct server *s)
{
    struct queue *q = &s->queue;
    int64_t now = clock_mono_us(s->clock);

    pthread_mutex_lock(&q->lock);
    int64_t us = is_full(q, now) ? now - q->full_since_us : -1;
    pthread_mutex_unlock(&q->lock);
    return us;
}

unsigned server_queue_depth(const struct server *s)
{
    struct queue *q = &((struct server *)(uintptr_t)s)->queue;

    pthread_mutex_lock(&q->lock);
    unsigned depth = q->depth;
    pthread_mutex_unlock(&q->lock);
    return depth;
}

static bool waited_too_long(const struct server *s, const struct web_request *w, int64_t now_us)
{
    return now_us - w->queued_us > s->conf->queue_wait_s * 1000000;
}

/* The job's answer is there (or its admission): back to its io thread. */
static void refuse_job(struct web_request *w, const char *why)
{
    w->result = fail(&w->err, RC_BUSY, RESP_GENERIC, "%s", why);
    io_resume(w);
}

/* Refuses those in front of the queue: all, or those who have waited too long. */
static void refuse_waiting(struct server *s, bool everybody, const char *why)
{
    struct queue *q = &s->queue;
    int64_t now = clock_mono_us(s->clock);

    for (;;) {
        pthread_mutex_lock(&q->lock);
        bool go = q->head && (everybody || waited_too_long(s, q->head, now));
        struct web_request *w = go ? queue_pop(s) : NULL;
        pthread_mutex_unlock(&q->lock);
        if (!w)
            return;
        w->queue_us += now - w->queued_us;
        refuse_job(w, why);
    }
}

void queue_expire(struct server *s)
{
    refuse_waiting(s, false, "waited too long for a worker");
}

/* The lock is held. */
static void find_slow_ones(struct server *s, int64_t now)
{
    struct queue *q = &s->queue;

    for (size_t i = 0; i < s->n_workers; i++) {
        struct worker *w = &s->workers[i];

        if (w->begun_us && now - w->begun_us >= PATIENCE_US)
            count_slow(q, w, true);
    }
}

bool queue_pace(struct server *s)
{
    struct queue *q = &s->queue;
    struct worker *woken = NULL, *sleeper;
    int64_t now = clock_mono_us(s->clock);
    unsigned jobs, had;

    pthread_mutex_lock(&q->lock);
    if (q->closed) { /* the workers may be gone */
        pthread_mutex_unlock(&q->lock);
        return false;
    }
    find_slow_ones(s, now);
    bool waits = q->head && now - q->head->queued_us >= PATIENCE_US;
    for (jobs = q->depth; jobs > 0 && (waits || q->brisk < q->brisk_enough); jobs--, waits = false) {
        sleeper = sleeper_pop(q);
        if (!sleeper)
            break;
        sleeper->next_sleeper = woken;
        woken = sleeper;
    }
    had = q->jobs_seen;
    q->jobs_seen = q->jobs;
    q->paced = q->depth > 0 || had != q->jobs;
    bool again = q->paced;
    pthread_mutex_unlock(&q->lock);
    while ((sleeper = woken)) {
        woken = sleeper->next_sleeper;
        sem_post(&sleeper->wake);
    }
    return again;
}

static void rest(struct worker *me)
{
    const struct server *s = me->server;

    for (size_t i = 0; i < s->n_mounts; i++)
        if (me->states[i] && s->mounts[i].worker_rest)
            s->mounts[i].worker_rest(me->states[i]);
}

/* Waits for the next job; NULL when the queue is closed and empty. */
static struct web_request *next_job(struct worker *me)
{
    struct queue *q = &me->server->queue;

    for (;;) {
        pthread_mutex_lock(&q->lock);
        struct web_request *w = queue_pop(me->server);
        bool closed = q->closed;

        count_slow(q, me, w && !is_read(w));
        me->begun_us = w ? clock_mono_us(me->server->clock) : 0;
        q->jobs += w != NULL;
        if (!w && !closed) {
            me->next_sleeper = q->sleepers;
            q->sleepers = me;
            q->brisk--;
        }
        pthread_mutex_unlock(&q->lock);
        if (w || closed)
            return w;
        rest(me);
        while (sem_wait(&me->wake) != 0 && errno == EINTR)
            ;
    }
}

/* ---- the work ---- */

/* The worker's own state for a mount, opened when it is first needed. A failure is tried again at the next job. */
static rc state_of(struct worker *me, const struct mount *m, void **out, struct err *e)
{
    size_t i = server_mount_index(me->server, m);

    if (!me->states[i] && m->worker_open) {
        rc r = m->worker_open(m->app, &me->states[i], e);

        if (r != RC_OK) {
            me->states[i] = NULL;
            return r;
        }
    }
    *out = me->states[i];
    return RC_OK;
}

static rc run_handler(struct web_request *w)
{
    struct request *rq = &w->rq;

    rc r = rq->route->handler(rq, &w->err);
    return r == RC_OK ? reply_finish(rq, &w->err) : r;
}

static rc run_job(struct worker *me, struct web_request *w)
{
    struct request *rq = &w->rq;
    bool late = w->phase == PHASE_LATE;

    w->worker = me;
    rc r = state_of(me, rq->mount, &rq->worker, &w->err);

    if (r == RC_OK && late)
        r = rq->mount->admit_late(rq, &w->err);
    if (r == RC_OK && late && w->length == 0 && !w->chunked) { /* no body to wait for: go on at once */
        if (rq->mount->admit_body)
            r = rq->mount->admit_body(rq, &w->err);
        w->phase = PHASE_PARKED;
        w->early = true;
        late = false;
    }
    if (r == RC_OK && !late)
        r = run_handler(w);
    rq->worker = NULL;
    w->worker = NULL;
    return r;
}

bool workers_health(struct request *rq, struct buf *out)
{
    struct server *s = rq->web->io->server;
    const struct mount *own_mount = rq->mount;
    void *own_app = rq->app, *own_worker = rq->worker;
    bool well = true;

    for (size_t i = 0; i < s->n_mounts; i++) {
        struct err e = ERR_NONE;

        if (!s->mounts[i].health)
            continue;
        if (state_of(rq->web->worker, &s->mounts[i], &rq->worker, &e) != RC_OK) {
            LOG(LOG_WARN, "not healthy", LOG_S("mount", s->mounts[i].name), LOG_S("why", e.text));
            buf_addf(out, ",\"%s\":\"Err\"", s->mounts[i].name);
            well = false;
            continue;
        }
        rq->mount = &s->mounts[i];
        rq->app = s->mounts[i].app;
        well &= s->mounts[i].health(rq, out);
    }
    rq->mount = own_mount;
    rq->app = own_app;
    rq->worker = own_worker;
    return well;
}

/* Whoever wakes a worker, an io thread or a database that answers, goes on first, and finds more to do: interrupted for each answer, it would
 * take them up one at a time, and be switched to and from for each. */
static void let_others_go_on(void)
{
    const struct sched_param none = { 0 };

    if (sched_setscheduler(0, SCHED_BATCH, &none) != 0)
        LOG(LOG_INFO, "a worker interrupts whoever wakes it", LOG_S("why", strerror(errno)));
}

static void *worker_main(void *arg)
{
    struct worker *me = arg;
    struct server *s = me->server;
    struct web_request *w;

    let_others_go_on();
    while ((w = next_job(me))) {
        int64_t now = clock_mono_us(s->clock), waited = now - w->queued_us;

        w->queue_us += waited;
        metric_observe_us(s->queue_wait, waited);
        if (waited_too_long(s, w, now)) {
            refuse_job(w, "waited too long for a worker");
            continue;
        }
        w->result = run_job(me, w);
        io_resume(w);
    }
    for (size_t i = 0; i < s->n_mounts; i++)
        if (me->states[i] && s->mounts[i].worker_close)
            s->mounts[i].worker_close(me->states[i]);
    return NULL;
}

/* ---- life ---- */

static int worker_start(struct worker *w, struct server *s)
{
    pthread_attr_t attr;

    *w = (struct worker){ .server = s, .states = mem_need(calloc(s->n_mounts, sizeof *w->states)) };
    sem_init(&w->wake, 0, 0);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int why = pthread_create(&w->thread, &attr, worker_main, w);
    pthread_attr_destroy(&attr);
    if (why != 0) {
        sem_destroy(&w->wake);
        free(w->states);
    }
    return why;
}

/* How many brisk workers are enough. */
static int brisk_choose(const struct server *s, size_t n_workers)
{
    int cores = (int)cores_usable();

    for (size_t i = 0; i < s->n_mounts; i++)
        if (s->mounts[i].reads_compute)
            return cores > BRISK_LEAST ? cores : BRISK_LEAST;
    return (int)n_workers;
}

rc workers_start(struct server *s, struct err *e)
{
    size_t n = (size_t)server_workers(s->conf);

    s->queue.most = s->queue.limit = (unsigned)s->conf->queue;
    s->queue.few =
        FEW_PER_WORKER * (unsigned)n < s->queue.most ? FEW_PER_WORKER * (unsigned)n : s->queue.most;
    s->queue.brisk_enough = brisk_choose(s, n);
    s->queue.brisk = (int)n; /* until they find nothing to do */
    s->workers = mem_need(calloc(n, sizeof *s->workers));
    for (s->n_workers = 0; s->n_workers < n; s->n_workers++) {
        int why = worker_start(&s->workers[s->n_workers], s);

        if (why != 0) {
            workers_stop(s);
            return fail(e, RC_BROKEN, RESP_GENERIC, "worker threads: %s", strerror(why));
        }
    }
    return RC_OK;
}

void workers_stop(struct server *s)
{
    struct queue *q = &s->queue;

    if (!s->workers)
        return;
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    struct worker *sleeper = q->sleepers;
    q->sleepers = NULL;
    pthread_mutex_unlock(&q->lock);
    refuse_waiting(s, true, "the server is stopping");
    while (sleeper) {
        struct worker *next = sleeper->next_sleeper;
        sem_post(&sleeper->wake);
        sleeper = next;
    }
    for (size_t i = 0; i < s->n_workers; i++) {
        pthread_join(s->workers[i].thread, NULL);
        sem_destroy(&s->workers[i].wake);
        free(s->workers[i].states);
    }
    free(s->workers);
    s->workers = NULL;
    s->n_workers = 0;
}
