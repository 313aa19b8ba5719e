#include "tests/load/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/load/answer.h"

#define READ_FIRST  4096
#define LINGER_NS   INT64_C(5000000000) /* after the end, for what is under way */
#define SILENT_NS   INT64_C(30000000000)
#define BROKEN_MOST 1000
#define EVENTS      256
#define DUE_MOST    1000000 /* requests that may wait for a connection */

struct link {
    int fd;
    bool asked;   /* a request is under way */
    bool writing; /* and epoll waits for room to send the rest of it */
    size_t sent;
    int64_t since_ns; /* when it was sent, or due */
    int64_t sent_ns;
    struct buf out, in;
    struct session session;
    struct link *next_idle;
};

struct loop {
    const struct loop_conf *conf;
    struct work *work;
    struct loop_result *result;
    struct link *links, *idle;
    struct ask ask;
    char host_line[80];
    int epoll, timer;
    size_t under_way;
    uint64_t asked;
    int64_t wall_s;
    int64_t timer_ns;
    bool measuring, over, dry; /* dry: nothing is left to be asked */
    /* open loop */
    int64_t *due;
    size_t due_first, due_n;
    int64_t next_due_ns;
    struct chance chance;
};

/* ---- connections ---- */

static bool link_open(struct loop *l, struct link *k)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)l->conf->port) };
    int on = 1;

    k->fd = -1;
    if (inet_pton(AF_INET, l->conf->host, &to.sin_addr) != 1)
        return false;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    /* Connecting blocks: on loopback it is over at once. */
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return false;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = k };
    epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev);
    k->fd = fd;
    return true;
}

static void link_close(struct link *k)
{
    if (k->fd >= 0)
        close(k->fd);
    k->fd = -1;
    k->writing = false;
    buf_clear(&k->in);
}

static void link_watch(struct loop *l, struct link *k, bool writing)
{
    struct epoll_event ev = { .events = writing ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = k };

    if (writing != k->writing)
        epoll_ctl(l->epoll, EPOLL_CTL_MOD, k->fd, &ev);
    k->writing = writing;
}

static void link_lost(struct loop *l, struct link *k)
{
    if (k->asked) {
        l->result->broken++;
        l->under_way--;
    }
    k->asked = false;
    work_abandon(&k->session);
    link_close(k);
}

/* ---- asking ---- */

static void put_request(struct loop *l, struct link *k)
{
    const struct ask *a = &l->ask;
    struct buf *b = &k->out;

    buf_clear(b);
    buf_add(b, a->method);
    buf_addc(b, ' ');
    buf_add(b, buf_view(&a->target));
    buf_add(b, VIEW(" HTTP/1.1\r\n"));
    buf_add(b, view_of(l->host_line));
    buf_add(b, VIEW("User-Agent: heddle-load\r\nAccept: application/json\r\n"));
    for (size_t i = 0; i < l->work->conf->n_headers; i++) {
        buf_add(b, view_of(l->work->conf->headers[i]));
        buf_add(b, VIEW("\r\n"));
    }
    if (a->who)
        users_sign(l->work->users, a->who, a->method, buf_view(&a->target), l->wall_s, b);
    if (a->has_body) {
        buf_add(b, VIEW("Content-Type: application/json\r\nContent-Length: "));
        buf_add_i64(b, (int64_t)a->body.n);
        buf_add(b, VIEW("\r\n"));
    }
    buf_add(b, VIEW("\r\n"));
    if (a->has_body)
        buf_add(b, buf_view(&a->body));
}

/* false: the connection is lost. */
static bool send_some(struct loop *l, struct link *k)
{
    while (k->sent < k->out.n) {
        ssize_t n = send(k->fd, k->out.p + k->sent, k->out.n - k->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n < 0)
            return false;
        k->sent += (size_t)n;
    }
    link_watch(l, k, k->sent < k->out.n);
    return true;
}

enum asked { ASKED, NOTHING_LEFT, LOST };

/* since_ns 0: now. */
static enum asked ask_now(struct loop *l, struct link *k, int64_t since_ns)
{
    if (l->asked >= l->conf->most || !work_next(l->work, &k->session, &l->ask)) {
        l->dry = true;
        return NOTHING_LEFT;
    }
    if (k->fd < 0 && !link_open(l, k)) {
        l->result->broken++;
        work_abandon(&k->session);
        return LOST;
    }
    put_request(l, k);
    l->asked++;
    l->under_way++;
    k->asked = true;
    k->sent = 0;
    k->sent_ns = now_ns();
    k->since_ns = since_ns ? since_ns : k->sent_ns;
    if (!send_some(l, k))
        link_lost(l, k);
    return k->asked ? ASKED : LOST;
}

static void make_idle(struct loop *l, struct link *k)
{
    k->next_idle = l->idle;
    l->idle = k;
}

/* A connection is free: the next request that waits, or in the closed loop the next one at all. */
static void go_on(struct loop *l, struct link *k)
{
    int64_t due = 0;

    if (!l->over && l->conf->rate > 0) {
        if (l->due_n == 0) {
            make_idle(l, k);
            return;
        }
        due = l->due[l->due_first];
        l->due_first = (l->due_first + 1) % DUE_MOST;
        l->due_n--;
    }
    while (!l->over && l->result->broken < BROKEN_MOST)
        if (ask_now(l, k, due) != LOST)
            return;
}

/* ---- answers ---- */

static void count(struct loop *l, const struct link *k, const struct answer *a, size_t n)
{
    struct loop_result *r = l->result;

    if (!l->measuring)
        return;
    if (a->status ==
        503) /* how fast it says so; how long the generator had to wait for a connection is no matter of the server's */
        times_add(r->refused, (uint64_t)(now_ns() - k->sent_ns));
    else
        times_add(r->times, (uint64_t)(now_ns() - k->since_ns));
    r->answered++;
    r->bytes_in += n;
    r->bytes_out += k->out.n;
    r->status[a->status > 0 && a->status < STATUS_MAX ? a->status : 0]++;
}

static void take_answer(struct loop *l, struct link *k)
{
    struct answer a;
    size_t need;

    switch (answer_read(buf_view(&k->in), &a, &need)) {
    case ANSWER_MORE:
        if (need > k->in.cap)
            buf_reserve(&k->in, need - k->in.n);
        return;
    case ANSWER_BROKEN:
        link_lost(l, k);
        go_on(l, k);
        return;
    case ANSWER_WHOLE:
        break;
    }
    count(l, k, &a, need);
    k->asked = false;
    l->under_way--;
    work_answered(l->work, &k->session, a.status, a.last_modified, a.body);
    buf_clear(&k->in);
    if (a.close)
        link_close(k);
    go_on(l, k);
}

static void on_readable(struct loop *l, struct link *k)
{
    if (k->in.cap - k->in.n < READ_FIRST)
        buf_reserve(&k->in, READ_FIRST);
    ssize_t n = recv(k->fd, k->in.p + k->in.n, k->in.cap - k->in.n, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        /* an idle one may be closed at any time: it is opened again when it is needed */
        bool asked = k->asked;
        link_lost(l, k);
        if (asked)
            go_on(l, k);
        return;
    }
    k->in.n += (size_t)n;
    if (k->asked)
        take_answer(l, k);
}

static void on_link(struct loop *l, struct link *k, unsigned events)
{
    if ((events & EPOLLOUT) && !send_some(l, k)) {
        link_lost(l, k);
        go_on(l, k);
        return;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        on_readable(l, k);
}

/* ---- the open loop's clock ---- */

/* Gaps are drawn so that the requests come as from many people who know nothing of each other. */
static void come_due(struct loop *l, int64_t now)
{
    while (!l->over && l->next_due_ns <= now) {
        if (l->due_n < DUE_MOST)
            l->due[(l->due_first + l->due_n++) % DUE_MOST] = l->next_due_ns;
        else
            l->result->not_sent++;
        l->next_due_ns += (int64_t)(-log(chance_unit(&l->chance)) * 1e9 / l->conf->rate);
    }
    while (l->due_n > 0 && l->idle && !l->over && !l->dry) {
        struct link *k = l->idle;

        l->idle = k->next_idle;
        go_on(l, k);
    }
}

static void set_timer(struct loop *l, int64_t at_ns)
{
    if (at_ns == l->timer_ns)
        return;
    l->timer_ns = at_ns;
    struct itimerspec t = { .it_value = { .tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000 } };

    timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

/* ---- the run ---- */

static void turn(struct loop *l, int64_t until_ns)
{
    struct epoll_event events[EVENTS];
    int64_t wake = until_ns;

    if (l->conf->rate > 0 && !l->over && l->next_due_ns < wake)
        wake = l->next_due_ns;
    set_timer(l, wake);
    int n = epoll_wait(l->epoll, events, EVENTS, 1000);
    for (int i = 0; i < n; i++)
        if (events[i].data.ptr) {
            on_link(l, events[i].data.ptr, events[i].events);
        } else {
            uint64_t ticks;
            if (read(l->timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN)
                l->over = true;
        }
    l->wall_s = (int64_t)time(NULL);
    if (l->conf->rate > 0)
        come_due(l, now_ns());
}

static bool lost(const struct loop *l)
{
    return l->result->broken >= BROKEN_MOST;
}

static void run_until(struct loop *l, int64_t until_ns)
{
    int64_t heard = now_ns();
    uint64_t before = l->asked;

    while (now_ns() < until_ns && !lost(l) && !(l->dry && l->under_way == 0)) {
        turn(l, until_ns);
        if (l->asked != before || (l->conf->rate > 0 && l->under_way == 0)) {
            before = l->asked;
            heard = now_ns();
        } else if (now_ns() - heard > SILENT_NS) {
            return;
        }
    }
}

static bool start(struct loop *l)
{
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event ev = { .events = EPOLLIN };
    if (l->epoll < 0 || l->timer < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->timer, &ev) != 0)
        return false;
    l->links = mem_need(calloc(l->conf->connections, sizeof *l->links));
    for (size_t i = 0; i < l->conf->connections; i++)
        l->links[i].fd = -1;
    for (size_t i = 0; i < l->conf->connections; i++)
        if (!link_open(l, &l->links[i]))
            return false;
    if (l->conf->rate > 0)
        l->due = mem_need(calloc(DUE_MOST, sizeof *l->due));
    return true;
}

static void finish(struct loop *l)
{
    for (size_t i = 0; l->links && i < l->conf->connections; i++) {
        link_close(&l->links[i]);
        buf_done(&l->links[i].out);
        buf_done(&l->links[i].in);
    }
    free(l->links);
    free(l->due);
    buf_done(&l->ask.target);
    buf_done(&l->ask.body);
    close(l->epoll);
    close(l->timer);
}

static void run(struct loop *l, loop_mark *begins, loop_mark *ends, void *arg)
{
    const struct loop_conf *c = l->conf;
    int64_t start_ns = now_ns(), warm_ns = start_ns + (int64_t)(c->warm_s * 1e9);

    l->next_due_ns = start_ns;
    for (size_t i = 0; i < c->connections; i++)
        go_on(l, &l->links[i]);
    run_until(l, warm_ns);
    l->measuring = true;
    begins(arg);
    int64_t from = now_ns();
    run_until(l, from + (int64_t)(c->seconds * 1e9));
    l->result->seconds = (double)(now_ns() - from) / 1e9;
    ends(arg);
    l->measuring = c->rate > 0; /* the open loop's late ones are what it is there to find */
    l->result->not_sent += l->due_n;
    l->over = true;
    int64_t last = now_ns() + LINGER_NS;
    while (l->under_way > 0 && now_ns() < last)
        turn(l, last);
    l->result->unanswered = l->under_way;
    l->result->complete = l->dry && l->under_way == 0;
}

bool loop_run(const struct loop_conf *c, struct work *w, loop_mark *begins, loop_mark *ends, void *arg,
              struct loop_result *out)
{
    struct loop l = { .conf = c, .work = w, .result = out, .wall_s = (int64_t)time(NULL) };

    *out = (struct loop_result){ .times = mem_need(calloc(1, sizeof *out->times)),
                                 .refused = mem_need(calloc(1, sizeof *out->refused)) };
    l.chance.state = chance_mix(w->conf->seed ^ UINT64_C(0xd0e));
    snprintf(l.host_line, sizeof l.host_line, "Host: %s:%u\r\n", c->host, c->port);
    bool up = start(&l);
    if (up)
        run(&l, begins, ends, arg);
    else
        fprintf(stderr, "load: no connection to %s:%u: %s\n", c->host, c->port, strerror(errno));
    finish(&l);
    return up;
}
