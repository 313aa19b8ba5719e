/* The thread that accepts, and gives each connection to an io thread. Io threads that listened themselves took what they could whenever they
 * woke: sixteen clients were one thread's at one time and nearly halved at another, and asked a fourth more or less with it.
 *
 * An io thread with few connections sleeps between their requests and wakes for each of them; one with more finds several when it looks. So
 * the first gets a few dozen before the second gets any; from there on each goes to the one that has the fewest.
 *
 * Where every io thread has its share, nobody is accepted until a connection has ended: who dials waits in the listening socket's queue. */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/web/inside.h"

#define FIRST_TO_ONE     32 /* connections */
#define TROUBLED_MS      100
#define COMPLAIN_EACH_US INT64_C(10000000)

struct acceptor {
    struct server *server;
    pthread_t thread;
    int wake_fd;
    atomic_bool stopping;
    atomic_bool rests; /* until there is room */
    int64_t complained_us;
};

void acceptor_room(struct acceptor *a)
{
    if (a && atomic_load(&a->rests))
        wake_up(a->wake_fd);
}

/* ---- the thread ---- */

/* Who is to get the next one; NULL: nobody has room. */
static struct io *next_taker(const struct server *s)
{
    struct io *found = NULL;
    int fewest = s->io_share;

    for (size_t i = 0; i < s->n_ios; i++) {
        int n = atomic_load(&s->ios[i].n_conns);

        if (n < fewest) {
            fewest = n;
            found = &s->ios[i];
            if (n < FIRST_TO_ONE)
                break;
        }
    }
    return found;
}

/* The connection stays in the queue. Until something else that has files or memory gives some back, there is nothing to do but wait. */
static void bear(struct acceptor *a, int why)
{
    struct pollfd woken = { .fd = a->wake_fd, .events = POLLIN };
    int64_t now = clock_mono_us(clock_system());

    if (!a->complained_us || now - a->complained_us > COMPLAIN_EACH_US) {
        a->complained_us = now;
        LOG(LOG_WARN, "no connection can be accepted", LOG_S("why", strerror(why)),
            LOG_I("connections", (int64_t)atomic_load(&a->server->connections)));
    }
    poll(&woken, 1, TROUBLED_MS);
}

static void accept_all(struct acceptor *a)
{
    struct server *s = a->server;
    struct io *io;

    while (!atomic_load(&a->stopping) && (io = next_taker(s))) {
        int why = accept_one(s, io);

        switch (why) {
        case 0:
        case ECONNABORTED: /* he has left again */
        case EINTR:
            break;
        case EAGAIN:
            return;
        default:
            bear(a, why);
            return;
        }
    }
}

/* Who rests says so first and looks then, who ends a connection the other way round: one of them sees the other. */
static bool finds_room(struct acceptor *a)
{
    atomic_store(&a->rests, true);
    bool room = next_taker(a->server) != NULL;
    if (room)
        atomic_store(&a->rests, false);
    return room;
}

static void *accept_main(void *arg)
{
    struct acceptor *a = arg;
    struct pollfd polls[2] = { { .fd = a->wake_fd, .events = POLLIN }, { .events = POLLIN } };

    pthread_setname_np(pthread_self(), "heddle-accept");
    accept_favour(a->server);
    while (!atomic_load(&a->stopping)) {
        polls[1].fd = finds_room(a) ? a->server->listener.fd : -1;
        if (poll(polls, 2, -1) < 0)
            continue;
        if (polls[0].revents)
            wake_taken(a->wake_fd);
        if (polls[1].fd >= 0 && polls[1].revents)
            accept_all(a);
    }
    return NULL;
}

/* ---- from outside ---- */

int accept_one(struct server *s, struct io *io)
{
    struct sockaddr_storage peer;
    socklen_t n = sizeof peer;
    int fd = accept4(s->listener.fd, (struct sockaddr *)&peer, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return errno;
    io_take(io, fd, (const struct sockaddr *)&peer, n);
    return 0;
}

rc acceptor_start(struct server *s, struct acceptor **out, struct err *e)
{
    struct acceptor *a = mem_need(calloc(1, sizeof *a));

    a->server = s;
    a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *out = a; /* before there is a thread: its connections may end at once */
    int why = a->wake_fd < 0 ? errno : pthread_create(&a->thread, NULL, accept_main, a);
    if (why != 0) {
        *out = NULL;
        if (a->wake_fd >= 0)
            close(a->wake_fd);
        free(a);
        return fail(e, RC_BROKEN, RESP_GENERIC, "the thread that accepts: %s", strerror(why));
    }
    return RC_OK;
}

void acceptor_stop(struct acceptor *a)
{
    atomic_store(&a->stopping, true);
    wake_up(a->wake_fd);
    pthread_join(a->thread, NULL);
}

void acceptor_free(struct acceptor *a)
{
    if (!a)
        return;
    close(a->wake_fd);
    free(a);
}
