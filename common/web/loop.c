/* An io thread: it waits, and has libmicrohttpd do what there is to do (io.c). Each has a daemon of its own, so that a callback knows its
 * thread; connections are accepted elsewhere (accept.c).
 *
 * The loop is ours since libmicrohttpd's own can stand still: it asks the kernel for 128 events at a time, and if it got as many, for more,
 * waiting as long as the first time, before it looks at any of them (MHD_epoll in daemon.c, 0.9.75 to 1.0.1). When 128 clients asked at
 * once, all of them waited until somebody else came, or for `idle` seconds. So it may wait only where there are fewer files than that, and
 * is run without waiting where there are more. */
#include <errno.h>
#include <limits.h>
#include <microhttpd.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/scope.h"
#include "common/web/inside.h"

#define STACK_BYTES ((size_t)1 << 20)
#define AT_ONCE     128 /* events */
#define OTHER_FILES 1   /* in its epoll, beside connections: what wakes it */
#define TROUBLED_MS 100

struct taken {
    struct taken *next;
    int fd;
    struct sockaddr_storage peer;
    socklen_t n;
};

/* ---- from other threads ---- */

/* Whoever calls and the thread that goes to sleep both say so first and look then: one of them sees the other. */
static void call(struct io *io)
{
    atomic_store(&io->called, true);
    if (atomic_exchange(&io->asleep, false))
        wake_up(io->wake_fd);
}

void io_resume(struct web_request *w)
{
    struct io *io = w->io;

    MHD_resume_connection(w->mhd);
    call(io);
}

void io_take(struct io *io, int fd, const struct sockaddr *peer, socklen_t n)
{
    atomic_fetch_add(&io->n_conns, 1);
    atomic_fetch_add(&io->server->connections, 1);
    struct taken *t = mem_need(calloc(1, sizeof *t));
    t->fd = fd;
    t->n = n;
    memcpy(&t->peer, peer, n);
    t->next = atomic_load(&io->taken);
    while (!atomic_compare_exchange_weak(&io->taken, &t->next, t))
        ;
    call(io);
}

/* ---- the thread ---- */

static void let_in(struct io *io)
{
    for (struct taken *t = atomic_exchange(&io->taken, NULL), *next; t; t = next) {
        next = t->next;
        io->came = false;
        MHD_add_connection(io->daemon, t->fd, (struct sockaddr *)&t->peer, t->n); /* owns fd in any case */
        if (!io->came)
            io_connection_ended(io);
        free(t);
    }
}

/* As libmicrohttpd would. */
static void wait_for_any(struct io *io)
{
    struct pollfd loop = { .fd = io->epoll_fd, .events = POLLIN };
    MHD_UNSIGNED_LONG_LONG ms;
    int most_ms = -1;

    if (MHD_get_timeout(io->daemon, &ms) == MHD_YES)
        most_ms = ms > INT_MAX ? INT_MAX : (int)ms;
    if (most_ms != 0)
        poll(&loop, 1, most_ms);
}

/* Waits until there is something to do, and does it. */
static void run(struct io *io)
{
    bool few = io->n_conns + OTHER_FILES < AT_ONCE;

    atomic_store(&io->asleep, true);
    bool called = atomic_load(&io->called);
    if (!called && !few)
        wait_for_any(io);
    if (MHD_run_wait(io->daemon, few && !called ? -1 : 0) != MHD_YES) {
        LOG(LOG_ERROR, "an io thread cannot wait for its connections", LOG_S("why", strerror(errno)));
        poll(NULL, 0, TROUBLED_MS);
    }
    atomic_store(&io->asleep, false);
    if (atomic_exchange(&io->called, false))
        let_in(io);
}

static void *io_main(void *arg)
{
    struct io *io = arg;
    sigset_t pipe;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL); /* as libmicrohttpd was promised */
    pthread_setname_np(pthread_self(), "heddle-io");
    io_favour(io);
    while (!atomic_load(&io->stopping))
        run(io);
    return NULL;
}

/* ---- life ---- */

rc io_start(struct io *io, struct err *e)
{
    /* libmicrohttpd does nothing for an event that points nowhere; each write is a new one, so nobody needs to read. */
    struct epoll_event wakes = { .events = EPOLLIN | EPOLLET };
    pthread_attr_t attr;

    io->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (io->wake_fd < 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "eventfd of an io thread: %s", strerror(errno));
    TRY(io_daemon_start(io, e));
    io->epoll_fd = MHD_get_daemon_info(io->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    if (epoll_ctl(io->epoll_fd, EPOLL_CTL_ADD, io->wake_fd, &wakes) != 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "epoll of an io thread: %s", strerror(errno));
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int why = pthread_create(&io->thread, &attr, io_main, io);
    pthread_attr_destroy(&attr);
    if (why != 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "io thread: %s", strerror(why));
    io->runs = true;
    return RC_OK;
}

static void thread_end(struct io *io)
{
    if (!io->runs)
        return;
    atomic_store(&io->stopping, true);
    call(io);
    pthread_join(io->thread, NULL);
}

void io_stop(struct io *io)
{
    struct server *s = io->server;

    thread_end(io);
    if (io->daemon) {
        let_in(io); /* who came last is closed with the others */
        MHD_stop_daemon(io->daemon);
    }
    if (io->wake_fd >= 0)
        close(io->wake_fd);
    io->daemon = NULL;
    io_spares_free(io);
    refusal_forget(&io->refusal);
    for (size_t i = 0; i < s->n_mounts; i++)
        if (io->states && io->states[i] && s->mounts[i].worker_close)
            s->mounts[i].worker_close(io->states[i]);
}
