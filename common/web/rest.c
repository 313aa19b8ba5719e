/* An io thread comes before the workers. Where the queue is full it would interrupt them for each request that is to hear "later", and for
 * each answer of theirs, a little at a time: the switches, and libmicrohttpd's walk through all parked connections after each resume, cost
 * what the workers could have answered. So it lets both gather for some milliseconds, unless others knock already: then it is behind
 * anyway, and finds enough at once. */
#include "common/web/inside.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>

#define REST_MS 5
#define LOOK_US 250 /* between two looks at who knocks */

void queue_rest(struct server *s, int64_t most_ms)
{
    struct queue *q = &s->queue;
    const struct timespec until = clock_in_ms(most_ms);

    pthread_mutex_lock(&q->lock);
    q->resting++;
    while (q->depth > q->most / 2 && !q->closed)
        if (pthread_cond_timedwait(&q->half, &q->lock, &until) == ETIMEDOUT)
            break;
    q->resting--;
    pthread_mutex_unlock(&q->lock);
}

static bool somebody_knocks(const struct web_request *w)
{
    const union MHD_ConnectionInfo *of = MHD_get_connection_info(w->mhd, MHD_CONNECTION_INFO_DAEMON);
    struct pollfd loop = { .fd = MHD_get_daemon_info(of->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
                           .events = POLLIN };

    return poll(&loop, 1, 0) != 0;
}

void io_rest(struct web_request *w)
{
    struct io *io = w->io;
    const struct clock *clock = io->server->clock;

    if (clock_mono_us(clock) - io->looked_us < LOOK_US)
        return;
    if (!somebody_knocks(w))
        queue_rest(io->server, REST_MS);
    io->looked_us = clock_mono_us(clock);
}
