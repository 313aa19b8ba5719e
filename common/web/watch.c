/* The one thread that looks at the clock: it ends connections whose request arrives too slowly (libmicrohttpd's own timeout
 * starts anew with each byte) or whose client left before it was whole, answers those who waited too long in the queue, lets closed
 * connections linger, and sees to it that lines of the log do not wait for long. */
#include "common/web/inside.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"

#define TICK_MS           500
#define LEAST_PATIENCE_US INT64_C(1000000) /* with a silent connection when no other fits in */
#define LINGERS_MAX       64
#define LINGER_US         (2 * 1000000)
#define LINGER_BYTES      ((size_t)16 << 20)

struct lingering {
    int fd;
    int64_t until_us;
    size_t bytes;
};

struct watch {
    struct server *server;
    pthread_t thread;
    pthread_mutex_t lock;
    struct web_conn *conns;
    struct lingering fresh[LINGERS_MAX]; /* handed over, not yet seen by the thread */
    size_t n_fresh, n_lingers;
    int wake_fd;
    atomic_bool pace;
    bool stopping;
};

/* ---- for the io threads ---- */

void watch_add(struct watch *w, struct web_conn *c)
{
    pthread_mutex_lock(&w->lock);
    c->prev = NULL;
    c->next = w->conns;
    if (c->next)
        c->next->prev = c;
    w->conns = c;
    pthread_mutex_unlock(&w->lock);
}

void watch_remove(struct watch *w, struct web_conn *c)
{
    pthread_mutex_lock(&w->lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        w->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    pthread_mutex_unlock(&w->lock);
}

/* A request that has come already can still be read. */
void watch_hang_up(struct watch *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    for (struct web_conn *c = w->conns; c; c = c->next)
        shutdown(c->fd, SHUT_RD);
    pthread_mutex_unlock(&w->lock);
}

void watch_linger(struct watch *w, int fd)
{
    bool taken = false;

    pthread_mutex_lock(&w->lock);
    if (!w->stopping && w->n_fresh + w->n_lingers < LINGERS_MAX) {
        w->fresh[w->n_fresh++] =
            (struct lingering){ .fd = fd, .until_us = clock_mono_us(clock_system()) + LINGER_US };
        taken = true;
    }
    pthread_mutex_unlock(&w->lock);
    if (taken)
        wake_up(w->wake_fd);
    else
        close(fd);
}

void watch_pace(struct watch *w)
{
    atomic_store(&w->pace, true);
    wake_up(w->wake_fd);
}

/* ---- the thread ---- */

/* The client has closed his side, and nothing of his is left to read. */
static bool client_left(int fd)
{
    char c;

    return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* libmicrohttpd 0.9.75 does not notice a client who leaves in the middle of a request when his last bytes and the end arrive in one
 * event. Seen at two ticks in a row: at the first the io thread may just be taking the end of a whole request. */
static void end_if_left(struct web_conn *c)
{
    bool left = client_left(c->fd);

    if (left && c->seen_left)
        shutdown(c->fd, SHUT_RDWR);
    c->seen_left = left;
}

int64_t watch_patience_us(int64_t idle_us, int64_t n, int64_t most)
{
    int64_t half = most / 2, left = most - n;

    if (n <= half || idle_us <= LEAST_PATIENCE_US)
        return idle_us;
    if (left <= 0)
        return LEAST_PATIENCE_US;
    return LEAST_PATIENCE_US +
           (int64_t)((double)(idle_us - LEAST_PATIENCE_US) * (double)left / (double)(most - half));
}

/* As when a keep-alive connection times out: its client knows that no request of his was begun. */
static void end_if_silent(struct watch *w, struct web_conn *c, int64_t now, int64_t patience_us)
{
    int64_t since = atomic_load_explicit(&c->idle_since_us, memory_order_relaxed);

    if (since == 0 || now - since <= patience_us)
        return;
    atomic_store_explicit(&c->idle_since_us, 0, memory_order_relaxed); /* once is enough */
    shutdown(c->fd, SHUT_RD);
    metric_add(w->server->hurried, 1);
}

/* While the lock is held a connection in the list has not been closed yet, so its number is its own. */
static void end_slow_ones(struct watch *w)
{
    struct server *s = w->server;
    int64_t now = clock_mono_us(s->clock), idle_us = s->conf->idle_s * 1000000;
    int64_t patience_us = watch_patience_us(idle_us, atomic_load(&s->connections), s->connections_most);

    pthread_mutex_lock(&w->lock);
    for (struct web_conn *c = w->conns; c; c = c->next) {
        if (patience_us < idle_us)
            end_if_silent(w, c, now, patience_us);
        int64_t deadline = atomic_load_explicit(&c->deadline_us, memory_order_relaxed);

        if (deadline && now > deadline) {
            atomic_store_explicit(&c->deadline_us, 0, memory_order_relaxed);
            shutdown(c->fd, SHUT_RDWR); /* one half alone would still let bytes in */
        } else if (deadline) {
            end_if_left(c);
        } else {
            c->seen_left = false;
        }
    }
    pthread_mutex_unlock(&w->lock);
}

/* Reads and drops; false: it is over. */
static bool linger_on(struct lingering *l, int64_t now)
{
    char drop[16384];

    for (int rounds = 0; rounds < 64; rounds++) {
        ssize_t n = recv(l->fd, drop, sizeof drop, MSG_DONTWAIT);

        if (n > 0)
            l->bytes += (size_t)n;
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return false;
        else
            break;
    }
    return now < l->until_us && l->bytes < LINGER_BYTES;
}

/* Until one that lingers has something to read, somebody wakes the thread, or so long. */
static void wait_for_any(struct watch *w, const struct lingering *lingers, size_t n, int limit_ms)
{
    struct pollfd polls[LINGERS_MAX + 1];

    polls[0] = (struct pollfd){ .fd = w->wake_fd, .events = POLLIN };
    for (size_t i = 0; i < n; i++)
        polls[i + 1] = (struct pollfd){ .fd = lingers[i].fd, .events = POLLIN };
    poll(polls, (nfds_t)n + 1, limit_ms);
    if (polls[0].revents)
        wake_taken(w->wake_fd);
}

/* How many of them go on; the others are closed. */
static size_t all_linger_on(struct lingering *lingers, size_t n, int64_t now)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (linger_on(&lingers[i], now))
            lingers[kept++] = lingers[i];
        else
            close(lingers[i].fd);
    }
    return kept;
}

/* Those that were handed over, behind the others; false: the thread is to stop. */
static bool take_fresh(struct watch *w, struct lingering *lingers, size_t *n)
{
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->n_fresh; i++)
        lingers[(*n)++] = w->fresh[i];
    w->n_fresh = 0;
    w->n_lingers = *n;
    bool goes_on = !w->stopping;
    pthread_mutex_unlock(&w->lock);
    return goes_on;
}

static void *watch_main(void *arg)
{
    struct watch *w = arg;
    struct lingering lingers[LINGERS_MAX];
    size_t n = 0;
    int64_t tick_us = 0;
    bool goes_on = true, pacing = false;

    while (goes_on) {
        wait_for_any(w, lingers, n, pacing ? QUEUE_PACE_MS : TICK_MS);
        pacing = atomic_exchange(&w->pace, false) || (pacing && queue_pace(w->server));
        int64_t now = clock_mono_us(clock_system());
        n = all_linger_on(lingers, n, now);
        goes_on = take_fresh(w, lingers, &n);
        if (now - tick_us >= TICK_MS * 1000 - 1000) {
            tick_us = now;
            end_slow_ones(w);
            queue_expire(w->server);
            refusals_tell(w->server);
            log_flush();
        }
    }
    for (size_t i = 0; i < n; i++)
        close(lingers[i].fd);
    refusals_tell(w->server);
    log_flush();
    return NULL;
}

/* ---- life ---- */

rc watch_start(struct server *s, struct watch **out, struct err *e)
{
    struct watch *w = mem_need(calloc(1, sizeof *w));

    w->server = s;
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake_fd < 0) {
        free(w);
        return fail(e, RC_BROKEN, RESP_GENERIC, "eventfd: %s", strerror(errno));
    }
    pthread_mutex_init(&w->lock, NULL);
    int why = pthread_create(&w->thread, NULL, watch_main, w);
    if (why != 0) {
        close(w->wake_fd);
        free(w);
        return fail(e, RC_BROKEN, RESP_GENERIC, "watch thread: %s", strerror(why));
    }
    *out = w;
    return RC_OK;
}

void watch_stop(struct watch *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_mutex_unlock(&w->lock);
    wake_up(w->wake_fd);
    pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    close(w->wake_fd);
    free(w);
}
