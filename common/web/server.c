#include "common/web/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cores.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/scope.h"
#include "common/web/ops.h"

#define HANDSHAKES_MS       250 /* a handshake that has begun ends within this, over most of the world */
#define HANDSHAKES_ALONE_MS 20  /* where nobody else listens, who comes later is refused anyway */
#define QUEUE_MOST_US       INT64_C(1000000)
#define QUEUE_LOOK_MS       2
#define FAREWELL_S          1
#define LAST_ANSWERS_S      3 /* they leave at once, unless their thread does not get the processor */

#define FILES_BESIDE 1024 /* open files that are no connections */

atomic_int web_queue_depth[2], web_connections[2];

/* ---- configuration ---- */

#define NAMED(section, name, field, type, fallback, least, most, unit, help)                                 \
    {                                                                                                        \
        section "." name, type, offsetof(struct server_conf, field), fallback, least, most, 0, unit, help    \
    }
#define KEY(section, field, type, fallback, least, most, unit, help)                                         \
    NAMED(section, #field, field, type, fallback, least, most, unit, help)

#define KEYS(s, at, url_help, io, work, depth, conns)                                                                          \
    KEY(s, listen, CONF_TEXT, at, 0, 0, "", "HOST:PORT, [V6]:PORT, or the path of a unix socket."),                            \
        KEY(s, url, CONF_TEXT, "", 0, 0, "", url_help),                                                                        \
        KEY(s, io_threads, CONF_INT, io, 0, 64, "",                                                                            \
            "Threads that read and write sockets; 0: one for each core that the process may run on."),                         \
        KEY(s, io_nice, CONF_INT, "-5", -20, 19, "",                                                                           \
            "Niceness of these threads, 15 less while requests queue up: below 0 those who knock are answered, or refused, "   \
            "however busy the workers are. That needs LimitNICE= or CAP_SYS_NICE; where it is not allowed it stays as it is, " \
            "and the log says so."),                                                                                           \
        KEY(s, workers, CONF_INT, work, 0, 1024, "",                                                                           \
            "Threads that run handlers; 0: eight for each such core."),                                                        \
        KEY(s, queue, CONF_INT, depth, 1, 1000000, "",                                                                         \
            "Requests that may wait for a worker; more get 503. Only eight for each worker once, for a second, more than that" \
            " waited for 100 ms and longer."),                                                                                 \
        NAMED(s, "queue_wait", queue_wait_s, CONF_SECONDS, "20", 1, 600, "s",                                                  \
              "Who has waited longer for a worker gets 503."),                                                                 \
        KEY(s, connections, CONF_INT, conns, 1, 1000000, "", "Open connections at most."),                                     \
        NAMED(                                                                                                                 \
            s, "connection_memory", connection_bytes, CONF_SIZE, "16k", 4096, 1 << 20, "bytes",                                \
            "Memory of each connection; request line and headers must fit into some three quarters of it."),                   \
        NAMED(                                                                                                                 \
            s, "connections_memory", connections_bytes, CONF_SIZE, "256m", 1 << 20, (int64_t)1 << 40,                          \
            "bytes",                                                                                                           \
            "Memory of all connections together: it bounds their number; from half of it on, silent ones are closed sooner."), \
        NAMED(s, "idle", idle_s, CONF_SECONDS, "75", 1, 3600, "s",                                                             \
              "A silent connection is closed after this; a request's headers must come within it."),                           \
        NAMED(s, "bodies_memory", body_bytes, CONF_SIZE, "256m", 1 << 16, (int64_t)1 << 40, "bytes",                           \
              "All request bodies in memory together; beyond it 503."),                                                        \
        NAMED(s, "request_memory", arena_bytes, CONF_SIZE, "8m", 1 << 16, (int64_t)1 << 30, "bytes",                           \
              "Memory of one request beside its body; beyond it 503."),                                                        \
        NAMED(s, "drain", drain_s, CONF_SECONDS, "30", 0, 3600, "s",                                                           \
              "Time for running requests when stopping."),                                                                     \
        KEY(s, tls_cert, CONF_TEXT, "", 0, 0, "", "PEM file with the certificate chain; empty: no TLS."),                      \
        KEY(s, tls_key, CONF_TEXT, "", 0, 0, "", "PEM file with its private key."),                                            \
        KEY(s, spool_dir, CONF_TEXT, "", 0, 0, "",                                                                             \
            "Folder for answers above 4 MiB (unlinked files); empty: TMPDIR or /tmp."),                                        \
        KEY(s, trusted_proxies, CONF_LIST, "", 0, 0, "",                                                                       \
            "Addresses or networks whose X-Forwarded-For is believed; \"unix\": whoever uses the socket."),                    \
        KEY(s, reuse_port, CONF_BOOL, "no", 0, 0, "", "Let several processes share the port.")

const struct conf_key server_conf_public[] = {
    KEYS("public", "127.0.0.1:8000",
         "The URL that clients use, without a slash at its end; empty: from listen.", "0", "0", "1024",
         "10000"),
};
const size_t server_conf_public_n = sizeof server_conf_public / sizeof server_conf_public[0];

const struct conf_key server_conf_internal[] = {
    KEYS("internal", "", "The URL that our own programs use; empty: from listen.", "1", "4", "256", "256"),
};
const size_t server_conf_internal_n = sizeof server_conf_internal / sizeof server_conf_internal[0];

int64_t server_io_threads(const struct server_conf *c)
{
    return c->io_threads ? c->io_threads : cores_usable();
}

int64_t server_workers(const struct server_conf *c)
{
    return c->workers ? c->workers : 8 * cores_usable();
}

/* What one connection costs at most while it is idle: libmicrohttpd's pool and structures, ours, and the allocator's. */
#define CONNECTION_OVERHEAD INT64_C(2048)

int64_t server_connections_most(const struct server_conf *c)
{
    int64_t fit = c->connections_bytes / (c->connection_bytes + CONNECTION_OVERHEAD);

    if (c->connections_bytes == 0 || fit >= c->connections)
        return c->connections;
    return fit > 1 ? fit : 1;
}

/* ---- mounts and metrics ---- */

static double gauge(void *arg)
{
    return atomic_load((atomic_int *)arg);
}

static void text_label(struct buf *b, const char *name, const char *value)
{
    buf_addf(b, "%s%s=\"%s\"", b->n ? "," : "", name, value);
}

static const char *method_label(unsigned methods)
{
    return methods & GET      ? "GET"
           : methods & POST   ? "POST"
           : methods & PUT    ? "PUT"
           : methods & DELETE ? "DELETE"
           : methods & HEAD   ? "HEAD"
                              : "OTHER";
}

static void register_route(struct route_state *state, const char *service, const char *path,
                           const char *method)
{
    static const char *const classes[6] = { "none", NULL, "2xx", "3xx", "4xx", "5xx" };

    for (size_t i = 0; i < 6; i++) {
        struct buf labels = { 0 };

        if (!classes[i]) /* nobody sends 1xx */
            continue;
        text_label(&labels, "service", service);
        text_label(&labels, "route", path);
        text_label(&labels, "method", method);
        text_label(&labels, "status", classes[i]);
        state->requests[i] =
            metric_counter("heddle_requests_total", buf_text(&labels), "Requests by route and status.");
        buf_done(&labels);
    }
}

static const char *listener_label(bool internal)
{
    return internal ? "listener=\"internal\"" : "listener=\"public\"";
}

metric server_latency(bool internal)
{
    return metric_histogram("heddle_request_seconds", listener_label(internal),
                            "From the request line to the reply.");
}

unsigned server_waiting(bool internal)
{
    int n = atomic_load(&web_queue_depth[internal]);
    return n > 0 ? (unsigned)n : 0;
}

static void register_metrics(struct server *s)
{
    const char *labels = listener_label(s->internal);

    s->latency = server_latency(s->internal);
    s->queue_wait = metric_histogram("heddle_queue_wait_seconds", labels, "Waiting for a worker.");
    metric_gauge("heddle_queue_depth", labels, "Requests waiting for a worker.", gauge,
                 &web_queue_depth[s->internal]);
    s->hurried = metric_counter("heddle_connections_hurried_total", labels,
                                "Silent connections closed before their time, to make room.");
    metric_gauge("heddle_connections", labels, "Open connections.", gauge, &web_connections[s->internal]);
    register_route(&s->nowhere, "none", "-", "-");
    s->routes = mem_need(calloc(s->n_mounts, sizeof *s->routes));
    for (size_t i = 0; i < s->n_mounts; i++) {
        const struct mount *m = &s->mounts[i];

        s->routes[i] = mem_need(calloc(m->n_routes + 1, sizeof *s->routes[i]));
        for (size_t j = 0; j < m->n_routes; j++)
            register_route(&s->routes[i][j], m->service ? m->service : m->name, m->routes[j].path,
                           method_label(m->routes[j].methods));
    }
}

static void mounts_join(struct server *s, const struct mount *mounts, size_t n)
{
    s->n_mounts = n + 1;
    s->mounts = mem_need(calloc(s->n_mounts, sizeof *s->mounts));
    for (size_t i = 0; i < n; i++)
        s->mounts[i] = mounts[i];
    s->mounts[n] = (struct mount){
        .name = "ops", .service = "ops", .routes = ops_routes, .n_routes = ops_routes_n, .app = s
    };
}

size_t server_mount_index(const struct server *s, const struct mount *m)
{
    return (size_t)(m - s->mounts);
}

struct route_state *server_route_state(struct server *s, const struct web_request *w)
{
    const struct request *rq = &w->rq;

    if (!rq->route)
        return &s->nowhere;
    return &s->routes[server_mount_index(s, rq->mount)][rq->route - rq->mount->routes];
}

/* ---- opening ---- */

static rc url_set(struct server *s, struct err *e)
{
    struct url_parts parts;
    struct buf b = { 0 };

    if (s->conf->url && s->conf->url[0])
        buf_add(&b, view_of(s->conf->url));
    else
        buf_addf(&b, "http%s://%s", s->tls_cert ? "s" : "", s->listener.text);
    s->url = mem_need(strdup(buf_text(&b)));
    buf_done(&b);
    if (!url_cut(view_of(s->url), &parts))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "url: \"%.160s\" is no http or https URL", s->url);
    s->base = parts.base;
    return RC_OK;
}

static rc ios_start(struct server *s, struct err *e)
{
    s->n_ios = (size_t)server_io_threads(s->conf);
    s->io_share = (int)((s->connections_most + (int64_t)s->n_ios - 1) / (int64_t)s->n_ios);
    s->ios = mem_need(calloc(s->n_ios, sizeof *s->ios));
    for (size_t i = 0; i < s->n_ios; i++) {
        struct io *io = &s->ios[i];
        uint64_t prefix;

        io->server = s;
        io->wake_fd = -1;
        io->states = mem_need(calloc(s->n_mounts, sizeof *io->states));
        io->states_retry_us = mem_need(calloc(s->n_mounts, sizeof *io->states_retry_us));
        rand_bytes(&prefix, sizeof prefix);
        snprintf(io->id_prefix, sizeof io->id_prefix, "%012llx", (unsigned long long)(prefix >> 16));
    }
    for (size_t i = 0; i < s->n_ios; i++)
        TRY(io_start(&s->ios[i], e));
    return RC_OK;
}

/* Each connection is a file, and so are database handles; the soft limit is often 1024. */
static void files_allow(const struct server *s)
{
    struct rlimit limit;
    rlim_t need = (rlim_t)s->conf->connections + FILES_BESIDE;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= need)
        return;
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > need ? need : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < need)
        LOG(LOG_WARN, "fewer open files are allowed than connections",
            LOG_I("files", (int64_t)limit.rlim_cur), LOG_I("connections", s->conf->connections));
}

rc server_check(const struct server_conf *c, struct err *e)
{
    struct proxies proxies;
    char *cert = NULL, *key = NULL;

    if (c->listen[0] != '\0')
        TRY(listener_check(c->listen, e));
    TRY(proxies_parse(&c->trusted_proxies, &proxies, e));
    proxies_done(&proxies);
    TRY(tls_read(c, &cert, &key, e));
    tls_forget(cert, key);
    return RC_OK;
}

static rc start(struct server *s, struct err *e)
{
    files_allow(s);
    TRY(proxies_parse(&s->conf->trusted_proxies, &s->proxies, e));
    TRY(tls_read(s->conf, &s->tls_cert, &s->tls_key, e));
    TRY(listener_open(s->conf->listen, s->conf->reuse_port, &s->listener, e));
    TRY(url_set(s, e));
    TRY(workers_start(s, e));
    TRY(watch_start(s, &s->watch, e));
    TRY(ios_start(s, e));
    return acceptor_start(s, &s->acceptor, e);
}

rc server_open(const struct server_conf *c, bool internal, const struct mount *mounts, size_t n_mounts,
               const struct clock *clock, struct server **out, struct err *e)
{
    struct server *s = mem_need(calloc(1, sizeof *s));

    s->conf = c;
    s->connections_most = server_connections_most(c);
    s->clock = clock;
    s->internal = internal;
    s->listener.fd = -1;
    pthread_mutex_init(&s->quiet_lock, NULL);
    pthread_mutex_init(&s->queue.lock, NULL);
    clock_cond_init(&s->quiet);
    clock_cond_init(&s->queue.half);
    mounts_join(s, mounts, n_mounts);
    register_metrics(s);
    rc r = start(s, e);
    if (r != RC_OK) {
        server_close(s);
        return r;
    }
    *out = s;
    return RC_OK;
}

/* ---- closing ---- */

static void tell_if_last(struct server *s, unsigned before)
{
    if (before != 1 || !atomic_load(&s->draining))
        return;
    pthread_mutex_lock(&s->quiet_lock);
    pthread_cond_broadcast(&s->quiet);
    pthread_mutex_unlock(&s->quiet_lock);
}

void server_request_ended(struct server *s)
{
    tell_if_last(s, atomic_fetch_sub(&s->active, 1));
}

void io_connection_ended(struct io *io)
{
    struct server *s = io->server;

    atomic_fetch_sub(&io->n_conns, 1);
    acceptor_room(s->acceptor);
    tell_if_last(s, atomic_fetch_sub(&s->connections, 1));
}

static bool all_ended(const struct server *s)
{
    return atomic_load(&s->active) == 0;
}

static bool all_gone(const struct server *s)
{
    return atomic_load(&s->connections) == 0;
}

static void wait_until(struct server *s, bool (*done)(const struct server *s), int64_t seconds)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&s->quiet_lock);
    while (!done(s))
        if (pthread_cond_timedwait(&s->quiet, &s->quiet_lock, &until) == ETIMEDOUT)
            break;
    pthread_mutex_unlock(&s->quiet_lock);
}

/* Whoever has dialled already is let in: until the last handshakes can have ended, and the queue is empty. */
static void let_in_who_dialled(struct server *s)
{
    int64_t began = clock_mono_us(clock_system()), now = began;
    int64_t least = (s->conf->reuse_port ? HANDSHAKES_MS : HANDSHAKES_ALONE_MS) * INT64_C(1000);

    listener_retire(&s->listener);
    while (now - began < least || (listener_waiting(&s->listener) && now - began < QUEUE_MOST_US)) {
        poll(NULL, 0, QUEUE_LOOK_MS);
        now = clock_mono_us(clock_system());
    }
}

/* Those who came between the last look at the queue and the end of accepting. */
static void let_in_the_last(struct server *s)
{
    for (size_t i = 0; accept_one(s, &s->ios[i % s->n_ios]) == 0; i++)
        ;
}

static void stop_listening(struct server *s)
{
    if (s->acceptor) {
        let_in_who_dialled(s);
        acceptor_stop(s->acceptor);
        let_in_the_last(s);
    }
    listener_close(&s->listener);
}

void server_drain(struct server *s)
{
    if (s->drained)
        return;
    s->drained = true;
    atomic_store(&s->draining, true);
    stop_listening(s);
    wait_until(s, all_ended, s->conf->drain_s);
    if (!all_ended(s))
        return;
    /* Where others go on at this port, clients are given a moment to come with their next request: its answer ends the connection, and
     * none of them meets a closed one. */
    if (s->conf->reuse_port)
        wait_until(s, all_gone, FAREWELL_S);
    /* Who kept his connection open would send his next request into a server that has no workers any more. */
    watch_hang_up(s->watch);
    wait_until(s, all_gone, s->conf->reuse_port ? s->conf->drain_s : 1);
}

/* Workers go first, since every suspended connection must have been resumed when its daemon stops. */
void server_close(struct server *s)
{
    if (!s)
        return;
    server_drain(s);
    workers_stop(s);
    wait_until(s, all_ended, LAST_ANSWERS_S); /* the last answers leave */
    for (size_t i = 0; i < s->n_ios; i++) {
        io_stop(&s->ios[i]);
        free(s->ios[i].states);
        free(s->ios[i].states_retry_us);
    }
    watch_stop(s->watch);
    acceptor_free(s->acceptor);
    for (size_t i = 0; i < s->n_mounts; i++)
        free(s->routes[i]);
    proxies_done(&s->proxies);
    pthread_cond_destroy(&s->quiet);
    pthread_cond_destroy(&s->queue.half);
    pthread_mutex_destroy(&s->quiet_lock);
    pthread_mutex_destroy(&s->queue.lock);
    free(s->routes);
    free(s->mounts);
    free(s->ios);
    free(s->url);
    tls_forget(s->tls_cert, s->tls_key);
    free(s);
}

unsigned server_port(const struct server *s)
{
    return s->listener.port;
}

const char *server_url(const struct server *s)
{
    return s->url;
}
