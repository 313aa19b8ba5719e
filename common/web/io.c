/* Everything that libmicrohttpd calls, on the io thread (loop.c) whose daemon it is.
 *
 * Facts of 0.9.75 that the phases below follow: a reply queued before the whole request was read closes the connection, so a
 * request without a body is answered in its last call; while a body is arriving no reply can be queued at all; a request
 * suspended in its first call gets that call again. Its own strictness stays off: web_request_headers_done checks more, and
 * what libmicrohttpd refuses after the headers it answers with its status line twice. */
#include "common/web/inside.h"

#include <fcntl.h>
#include <microhttpd.h>

#include "common/base/encode.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define BODY_RATE_BYTES 1024 /* a second, on average: slower senders are ended */
#ifdef __SANITIZE_ADDRESS__
#define SPARE_REQUESTS 0u /* so that it sees who touches one that is over */
#else
#define SPARE_REQUESTS 16u
#endif

/* ---- the reply leaves ---- */

static enum MHD_Result send_reply(struct web_request *w)
{
    return reply_send(w) ? MHD_YES : MHD_NO;
}

/* The whole request is known to be refused, or answered. If its body may be read and dropped cheaply the connection lives
 * on, and the reply leaves in the last call; else the reply leaves now and the connection is closed after it. */
static enum MHD_Result answer_before_body(struct web_request *w)
{
    bool body = w->chunked || w->length > 0;

    if (!w->reply.close && (!body || (!w->chunked && w->length <= BODY_DROP_BYTES && !w->expects))) {
        w->phase = PHASE_READY;
        w->dropping = true;
        return MHD_YES;
    }
    if (body) { /* the client may be sending still: it shall hear the answer, not a reset */
        int fd = fcntl(w->conn->fd, F_DUPFD_CLOEXEC, 0);

        if (fd >= 0)
            w->linger_fd = fd;
    }
    w->reply.close = true;
    return send_reply(w);
}

/* The same for a failure. */
static enum MHD_Result refuse(struct web_request *w, rc r)
{
    w->result = r;
    reply_fail(&w->rq, r, &w->err);
    return answer_before_body(w);
}

/* ---- handing over ---- */

static void park(struct web_request *w, enum web_phase phase)
{
    struct io *io = w->io;

    w->phase = phase;
    w->result = RC_OK;
    atomic_store_explicit(&w->conn->deadline_us, 0, memory_order_relaxed);
    /* Suspended first: a worker may be done before queue_put returns. */
    MHD_suspend_connection(w->mhd);
    enum queue_put put = queue_put(io->server, w);
    if (put == QUEUE_DEEP)
        io_rest(io, REST_DEEP_MS);
    else if (put == QUEUE_FULL)
        io_press(io, clock_mono_us(io->server->clock));
    if (put == QUEUE_TAKEN || put == QUEUE_DEEP)
        return;
    w->result = fail(&w->err, RC_BUSY, RESP_GENERIC, "%s",
                     put == QUEUE_FULL ? "the queue is full" : "the server is stopping");
    io_resume(w);
}

/* ---- the whole request is here ---- */

static enum MHD_Result on_complete(struct web_request *w)
{
    struct request *rq = &w->rq;
    rc r = RC_OK;

    rq->body = buf_view(&w->body);
    if (rq->mount->admit_body && rq->route->auth != AUTH_NONE && rq->route->auth != AUTH_SELF)
        r = rq->mount->admit_body(rq, &w->err);
    if (rq->route->body_max == 0)
        rq->body = VIEW("");
    if (r == RC_OK && (rq->route->flags & ROUTE_QUICK))
        r = rq->route->handler(rq, &w->err);
    else if (r == RC_OK && !warm_answered(w)) {
        park(w, PHASE_PARKED);
        return MHD_YES;
    }
    w->result = r;
    if (r != RC_OK)
        reply_fail(rq, r, &w->err);
    return send_reply(w);
}

/* A worker is done, or the queue would not have it. */
static enum MHD_Result on_answered(struct web_request *w)
{
    if (w->result != RC_OK)
        reply_fail(&w->rq, w->result, &w->err);
    return send_reply(w);
}

/* ---- the body arrives ---- */

static bool account(struct web_request *w, size_t cap)
{
    struct server *s = w->io->server;
    int64_t more = (int64_t)cap - (int64_t)w->body_counted;

    if (atomic_fetch_add(&s->bodies_bytes, more) + more > s->conf->body_bytes) {
        atomic_fetch_sub(&s->bodies_bytes, more);
        return false;
    }
    w->body_counted = cap;
    return true;
}

static void body_free(struct web_request *w)
{
    atomic_fetch_sub(&w->io->server->bodies_bytes, (int64_t)w->body_counted);
    w->body_counted = 0;
    buf_done(&w->body);
}

/* From here on the body is read and dropped; r is answered when it is over. */
static void give_up_body(struct web_request *w, rc r)
{
    body_free(w);
    w->result = r;
    w->dropping = true;
    reply_fail(&w->rq, r, &w->err);
    w->reply.close = true;
    w->phase = PHASE_READY;
}

/* Room for n more bytes: doubled as they come, so that an announcement alone costs nothing. */
static bool body_room(struct web_request *w, size_t n)
{
    size_t need = w->body.n + n, cap = w->body.cap ? w->body.cap : BODY_FIRST_BYTES;

    if (need <= w->body.cap)
        return true;
    while (cap < need)
        cap *= 2;
    if (w->has_length && cap > w->length)
        cap = (size_t)w->length;
    if (cap < need || !account(w, cap))
        return false;
    buf_reserve(&w->body, cap - w->body.n);
    return true;
}

static enum MHD_Result on_body(struct web_request *w, const char *data, size_t *n)
{
    size_t got = *n;

    *n = 0;
    w->received += got;
    if (w->dropping) /* with a Content-Length it is small; chunks may go on for ever */
        return w->received > w->body_max + BODY_OVERRUN_BYTES ? MHD_NO : MHD_YES;
    if (w->received > w->body_max) {
        rc r = fail(&w->err, RC_TOO_LARGE, RESP_TOO_LARGE, "the body is larger than %zu bytes", w->body_max);
        give_up_body(w, r);
    } else if (!body_room(w, got)) {
        rc r = fail(&w->err, RC_BUSY, RESP_GENERIC, "all bodies together have reached their limit");
        give_up_body(w, r);
    } else {
        buf_add(&w->body, (view){ .p = data, .n = got });
    }
    return MHD_YES;
}

/* ---- the headers are complete ---- */

static size_t body_ceiling(const struct web_request *w)
{
    const struct request *rq = &w->rq;

    if (rq->route->body_max == BODY_BY_APP)
        return rq->mount->body_max(rq);
    return rq->route->body_max ? rq->route->body_max : BODY_DROP_BYTES;
}

/* Admitted: now the body may come. */
static enum MHD_Result await_body(struct web_request *w)
{
    struct server *s = w->io->server;
    int64_t grace_us = 2 * s->conf->idle_s * 1000000;

    w->body_max = body_ceiling(w);
    if (w->has_length && w->length > w->body_max) {
        w->reply.close = true;
        return refuse(w, fail(&w->err, RC_TOO_LARGE, RESP_TOO_LARGE, "Content-Length %llu is above %zu",
                              (unsigned long long)w->length, w->body_max));
    }
    if (w->has_length && (int64_t)w->length > s->conf->body_bytes - atomic_load(&s->bodies_bytes))
        return refuse(w,
                      fail(&w->err, RC_BUSY, RESP_GENERIC, "all bodies together have reached their limit"));
    int64_t bytes = (int64_t)(w->has_length ? w->length : w->chunked ? w->body_max : 0);
    atomic_store_explicit(&w->conn->deadline_us,
                          clock_mono_us(s->clock) + grace_us + bytes * (1000000 / BODY_RATE_BYTES),
                          memory_order_relaxed);
    w->phase = PHASE_BODY;
    return MHD_YES;
}

static enum MHD_Result collect_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_n,
                                      const char *value, size_t value_n)
{
    (void)kind;
    web_request_header_add(cls, (view){ .p = name, .n = name_n },
                           (view){ .p = value ? value : "", .n = value_n });
    return MHD_YES;
}

static bool id_ok(view v)
{
    return v.n > 0 && v.n <= REQUEST_ID_MAX && view_only_alnum(v, "._-");
}

/* Who calls, and under which id this request is known to others. */
static void identify(struct web_request *w)
{
    struct io *io = w->io;
    struct request *rq = &w->rq;
    view given = request_header(rq, "X-Request-Id");

    if (w->conn->trusted) {
        struct address client;

        proxies_client(&io->server->proxies, &w->conn->address, rq, &client);
        address_print(&client, w->peer);
        rq->peer = view_of(w->peer);
    } else {
        rq->peer = view_of(w->conn->peer);
    }
    io->requests++;
    if ((w->conn->trusted || io->server->internal) && id_ok(given)) {
        memcpy(w->id, given.p, given.n);
        w->id[given.n] = '\0';
    } else {
        size_t n = strlen(io->id_prefix);
        memcpy(w->id, io->id_prefix, n);
        w->id[n++] = '-';
        w->id[n + hex_print(io->requests, w->id + n)] = '\0';
    }
    rq->id = view_of(w->id);
}

static void find_route(struct web_request *w)
{
    struct server *s = w->io->server;
    struct request *rq = &w->rq;

    w->routed = route_find(s->mounts, s->n_mounts, s->internal, s->base, rq->method, rq->path, &w->arena,
                           &rq->route, &rq->mount, rq->params, &rq->n_params, &w->allow);
    if (w->routed == ROUTE_NO_PATH)
        rq->mount = &s->mounts[0];
    rq->app = rq->mount->app;
}

static bool path_broken(struct web_request *w)
{
    view drop;

    return !percent_decode(w->rq.path, &w->arena, &drop);
}

static enum MHD_Result admit(struct web_request *w)
{
    struct request *rq = &w->rq;
    bool late = false;
    rc r = RC_OK;

    if (rq->mount->admit && rq->route->auth != AUTH_NONE && rq->route->auth != AUTH_SELF)
        r = rq->mount->admit(rq, &late, &w->err);
    if (r != RC_OK)
        return refuse(w, r);
    if (!late)
        return await_body(w);
    park(w, PHASE_LATE);
    return MHD_YES;
}

/* Only a worker can answer it, and the queue has no place. */
static bool would_wait(const struct web_request *w)
{
    const struct route *route = w->rq.route;

    return !route->warm && !(route->flags & ROUTE_QUICK) && queue_full_us(w->io->server) >= 0;
}

static enum MHD_Result on_headers(struct web_request *w, const char *method, const char *version)
{
    struct request *rq = &w->rq;

    w->active = true;
    atomic_fetch_add(&w->io->server->active, 1);
    io_relax(w->io);
    web_request_method(w, view_of(method));
    MHD_get_connection_values_n(w->mhd, MHD_HEADER_KIND, collect_header, w);
    web_request_headers_done(w, strcmp(version, "HTTP/1.0") == 0);
    request_args_parse(rq);
    identify(w);
    find_route(w);
    if (w->malformed) {
        rq->log_reason = w->malformed;
        w->result = RC_BAD_INPUT;
        reply_refuse(rq, 400, 0);
        w->reply.close = true;
        return answer_before_body(w);
    }
    if (rq->mount->before && !rq->mount->before(rq))
        return answer_before_body(w);
    if (w->routed == ROUTE_NO_METHOD) {
        w->result = RC_BAD_INPUT;
        reply_refuse(rq, 405, w->allow);
        return answer_before_body(w);
    }
    if (w->routed == ROUTE_NO_PATH)
        return refuse(w, path_broken(w)
                             ? fail(&w->err, RC_BAD_INPUT, RESP_GENERIC, "broken escape in the path")
                             : fail(&w->err, RC_NOT_FOUND, RESP_GENERIC, "no such path"));
    if (would_wait(w)) { /* the sooner the cheaper: no body is read, no credential looked at */
        io_rest(w->io, REST_FULL_MS);
        return refuse(w, fail(&w->err, RC_BUSY, RESP_GENERIC, "the queue is full"));
    }
    return admit(w);
}

/* Back from admit_late, still before the body. */
static enum MHD_Result on_admitted(struct web_request *w)
{
    return w->result == RC_OK ? await_body(w) : refuse(w, w->result);
}

/* ---- what libmicrohttpd calls ---- */

/* Called for the headers, for each piece of the body, and at the end; and once more after each resume. */
static enum MHD_Result on_call(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                               const char *version, const char *data, size_t *n, void **ctx)
{
    struct web_request *w = *ctx;

    (void)cls;
    (void)url;
    if (!w)
        return MHD_NO;
    w->mhd = mhd;
    switch (w->phase) {
    case PHASE_HEADERS:
        return on_headers(w, method, version);
    case PHASE_LATE:
        return on_admitted(w);
    case PHASE_BODY:
        return *n ? on_body(w, data, n) : on_complete(w);
    case PHASE_PARKED:
        if (w->early) { /* answered along with its late admission: this is still the first call */
            w->early = false;
            return MHD_YES;
        }
        return on_answered(w);
    case PHASE_READY:
        return *n ? on_body(w, data, n) : send_reply(w);
    case PHASE_SENT:
        break;
    }
    *n = 0;
    return MHD_YES;
}

static struct web_request *request_begun(struct io *io, view target)
{
    const struct server *s = io->server;
    struct web_request *w = io->spare;

    if (!w)
        return web_request_new(s->clock, (size_t)s->conf->arena_bytes, target);
    io->spare = w->next;
    io->n_spare--;
    w->next = NULL;
    web_request_begin(w, s->clock, target);
    return w;
}

static void request_over(struct io *io, struct web_request *w)
{
    if (io->n_spare == SPARE_REQUESTS) {
        web_request_free(w);
        return;
    }
    web_request_clear(w);
    w->next = io->spare;
    io->spare = w;
    io->n_spare++;
}

void io_spares_free(struct io *io)
{
    for (struct web_request *w = io->spare, *next; w; w = next) {
        next = w->next;
        web_request_free(w);
    }
    io->spare = NULL;
    io->n_spare = 0;
}

static void *on_target(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct io *io = cls;
    struct server *s = io->server;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct web_request *w = request_begun(io, view_of(uri));

    w->io = io;
    w->conn = info->socket_context;
    w->mhd = mhd;
    atomic_store_explicit(&w->conn->deadline_us, w->begun_us + s->conf->idle_s * 1000000,
                          memory_order_relaxed);
    atomic_store_explicit(&w->conn->idle_since_us, 0, memory_order_relaxed);
    return w;
}

/* The reply is out, or never will be. */
static void on_completed(void *cls, struct MHD_Connection *mhd, void **ctx,
                         enum MHD_RequestTerminationCode why)
{
    struct io *io = cls;
    struct web_request *w = *ctx;
    static const char *const ends[] = {
        [MHD_REQUEST_TERMINATED_COMPLETED_OK] = "malformed",
        [MHD_REQUEST_TERMINATED_WITH_ERROR] = "malformed",
        [MHD_REQUEST_TERMINATED_TIMEOUT_REACHED] = "timeout",
        [MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN] = "shutdown",
        [MHD_REQUEST_TERMINATED_READ_ERROR] = "read error",
        [MHD_REQUEST_TERMINATED_CLIENT_ABORT] = "client gone",
    };

    if (!w)
        return;
    *ctx = NULL;
    if (!w->logged) { /* refused by libmicrohttpd itself (431, 400 …), or gone before there was an answer */
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_HTTP_STATUS);

        if (!w->rq.id.p) {
            w->rq.id = w->rq.method_text = VIEW("-");
            w->rq.peer = view_of(w->conn->peer);
        }
        w->result = RC_BAD_INPUT;
        request_account(w, info ? (int)info->http_status : 0, ends[why]);
    }
    int64_t now = clock_mono_us(io->server->clock);
    atomic_store_explicit(&w->conn->deadline_us, now + 2 * io->server->conf->idle_s * 1000000,
                          memory_order_relaxed);
    atomic_store_explicit(&w->conn->idle_since_us, now, memory_order_relaxed);
    if (w->linger_fd >= 0)
        watch_linger(io->server->watch, w->linger_fd);
    body_free(w);
    bool active = w->active;
    request_over(io, w);
    if (active)
        server_request_ended(io->server);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **ctx,
                          enum MHD_ConnectionNotificationCode what)
{
    struct io *io = cls;
    struct server *s = io->server;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        struct web_conn *c = mem_need(calloc(1, sizeof *c));

        c->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        address_of(MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
                   &c->address);
        address_print(&c->address, c->peer);
        c->trusted = proxies_trust(&s->proxies, &c->address);
        int64_t now = clock_mono_us(s->clock);
        atomic_init(&c->deadline_us, now + s->conf->idle_s * 1000000);
        atomic_init(&c->idle_since_us, now);
        *ctx = c;
        io->came = true;
        watch_add(s->watch, c);
        atomic_fetch_add_explicit(&web_connections[s->internal], 1, memory_order_relaxed);
    } else if (*ctx) {
        watch_remove(s->watch, *ctx);
        free(*ctx);
        *ctx = NULL;
        atomic_fetch_sub_explicit(&web_connections[s->internal], 1, memory_order_relaxed);
        io_connection_ended(io);
    }
}

/* Nothing is unescaped: the router does it, segment by segment. */
static size_t leave_alone(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

/* What libmicrohttpd has to say is about single connections (a malformed request, a client gone). */
static void on_complaint(void *cls, const char *fmt, va_list args)
{
    char text[256];
    (void)cls;

    if (!log_wants(LOG_DEBUG))
        return;
    vsnprintf(text, sizeof text, fmt, args);
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == '\n')
        text[--n] = '\0';
    LOG(LOG_DEBUG, "libmicrohttpd", LOG_S("text", text));
}

rc io_daemon_start(struct io *io, struct err *e)
{
    struct server *s = io->server;
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem tls[] = {
        { MHD_OPTION_HTTPS_MEM_CERT, 0, s->tls_cert },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, s->tls_key },
        { MHD_OPTION_END, 0, NULL },
    };
    struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };

    if (s->tls_cert)
        flags |= MHD_USE_TLS;
    io->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_call, io, MHD_OPTION_EXTERNAL_LOGGER, on_complaint, NULL,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)s->conf->connection_bytes, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)s->io_share, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)s->conf->idle_s,
        MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_URI_LOG_CALLBACK, on_target, io,
        MHD_OPTION_UNESCAPE_CALLBACK, leave_alone, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, io,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, io, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_ARRAY, s->tls_cert ? tls : none, MHD_OPTION_END);
    if (!io->daemon)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%s",
                    s->tls_cert ? "tls_cert and tls_key do not make a TLS server (wrong certificate or key?)"
                                : "the HTTP server did not start");
    return RC_OK;
}
