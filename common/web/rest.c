/* The share of the processor that an io thread takes.
 *
 * It comes before the workers: eight busy ones leave it a ninth of a core, as the kernel shares it, and whoever is to be refused, or could be
 * answered from memory, waits for that. While the queue is deep or full, so that workers do not lack work, nearly all of a core is its own if
 * it needs that; not always, since being interrupted makes them slower.
 *
 * But so it would interrupt them for each request that comes, to wait or to hear "later", and for each answer of theirs, a little at a time:
 * the switches, and libmicrohttpd's walk through all parked connections after each resume, cost what the workers could have answered. So it
 * lets both gather, for some milliseconds where the queue is full and one where it is deep, unless others knock already: then it is behind
 * anyway, and finds enough at once. */
#include "common/web/inside.h"

#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/log.h"

#define NEARER  15 /* so much less nice while the queue is deep */
#define CALM_US INT64_C(1000000)
#define LOOK_US 250 /* between two looks at who knocks */

/* ---- nearer to the processor ---- */

static bool be_nice(int64_t nice)
{
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), (int)nice) == 0)
        return true;
    LOG(LOG_INFO, "an io thread is no nearer to the processor than others", LOG_I("io_nice", nice),
        LOG_S("why", strerror(errno)));
    return false;
}

void io_favour(struct io *io)
{
    int64_t nice = io->server->conf->io_nice;

    io->favoured = nice != 0 && be_nice(nice) && nice < 0;
}

void accept_favour(const struct server *s)
{
    int64_t nice = s->conf->io_nice;

    if (nice < 0 && be_nice(nice))
        be_nice(nice - NEARER);
}

void io_press(struct io *io, int64_t now)
{
    io->pressed_us = now;
    if (io->favoured && !io->pressed) {
        io->pressed = true;
        be_nice(io->server->conf->io_nice - NEARER); /* the kernel goes no lower than -20 */
    }
}

void io_relax(struct io *io)
{
    if (io->pressed && clock_mono_us(io->server->clock) - io->pressed_us > CALM_US) {
        io->pressed = false;
        be_nice(io->server->conf->io_nice);
    }
}

/* ---- resting ---- */

void queue_rest(struct server *s, int64_t most_ms)
{
    struct queue *q = &s->queue;
    const struct timespec until = clock_in_ms(most_ms);

    pthread_mutex_lock(&q->lock);
    q->resting++;
    q->rests += q->depth > q->few / 2;
    while (q->depth > q->few / 2 && !q->closed)
        if (pthread_cond_timedwait(&q->half, &q->lock, &until) == ETIMEDOUT)
            break;
    q->resting--;
    pthread_mutex_unlock(&q->lock);
}

static bool somebody_knocks(const struct io *io)
{
    struct pollfd loop = { .fd = io->epoll_fd, .events = POLLIN };

    return poll(&loop, 1, 0) != 0;
}

void io_rest(struct io *io, int64_t most_ms)
{
    const struct clock *clock = io->server->clock;
    int64_t now = clock_mono_us(clock);

    io_press(io, now);
    if (now - io->looked_us < LOOK_US)
        return;
    if (!somebody_knocks(io))
        queue_rest(io->server, most_ms);
    io->looked_us = clock_mono_us(clock);
}
