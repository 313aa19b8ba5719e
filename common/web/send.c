/* The reply leaves: the one place for what all replies share, for the log line and for the metrics. */
#include "common/web/inside.h"

#include <microhttpd.h>

#include "common/base/log.h"

/* ---- log line and metrics ---- */

#define REFUSAL_LINES 100u /* between two looks of the watch */

/* Under a flood there are tens of thousands a second, alike but for their ids: they would fill a disk, and take time from those who are
 * served. */
static bool refusal_has_a_line(struct server *s)
{
    return atomic_fetch_add_explicit(&s->refusals, 1, memory_order_relaxed) < REFUSAL_LINES;
}

void refusals_tell(struct server *s)
{
    unsigned n = atomic_exchange(&s->refusals, 0);

    if (n > REFUSAL_LINES)
        LOG(LOG_WARN, "refused without a line each", LOG_S("listener", s->internal ? "internal" : "public"),
            LOG_I("requests", n - REFUSAL_LINES));
}

void request_account(struct web_request *w, int status, const char *aborted)
{
    struct request *rq = &w->rq;
    struct server *s = w->io->server;
    int64_t total = clock_mono_us(s->clock) - w->begun_us;
    const char *reason = aborted ? aborted : rq->log_reason ? rq->log_reason : w->err.text;
    enum log_level level = w->result == RC_BROKEN || w->result == RC_UNSURE ? LOG_ERROR
                           : w->result == RC_AWAY                           ? LOG_WARN
                                                                            : LOG_INFO;

    if (w->logged)
        return;
    w->logged = true;
    metric_add(server_route_state(s, w)->requests[status >= 200 && status < 600 ? status / 100 : 0], 1);
    metric_observe_us(s->latency, total);
    if (!log_wants(level) || (level == LOG_INFO && status == 503 && !refusal_has_a_line(s)))
        return;
    const struct log_field fields[] = {
        LOG_V("id", rq->id),
        LOG_V("method", rq->method_text),
        LOG_S("route", rq->route ? rq->route->path : "-"),
        LOG_I("status", status),
        LOG_I("uid", rq->who.uid),
        LOG_I("in", (int64_t)w->received),
        LOG_I("out", (int64_t)reply_size(rq)),
        LOG_I("queue_us", w->queue_us),
        LOG_I("store_us", rq->store_us),
        LOG_I("total_us", total),
        LOG_S("rc", rc_name(w->result)),
        LOG_S("reason", reason),
        LOG_V("peer", rq->peer),
    };
    bool many = (status >= 200 && status < 400) || status == 503;
    if (level == LOG_INFO && many) /* thousands a second, and nobody waits for them */
        log_event_soon(level, "request", fields, sizeof fields / sizeof fields[0]);
    else
        log_event(level, "request", fields, sizeof fields / sizeof fields[0]);
}

/* ---- the reply ---- */

static struct MHD_Response *response_of(struct reply *r)
{
    if (r->spill_fd >= 0) {
        int fd = r->spill_fd;

        r->spill_fd = -1;
        return MHD_create_response_from_fd64(r->spilled, fd);
    }
    char *bytes = r->body.p;
    size_t n = r->body.n;
    if (n == 0)
        return MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
    r->body.p = NULL; /* keeps n, for the log */
    r->body.cap = 0;
    return MHD_create_response_from_buffer_with_free_callback(n, bytes, free);
}

static void add_headers(struct MHD_Response *m, const struct reply *r)
{
    view rest = buf_view(&r->headers);
    const char *p = rest.p, *end = rest.p + rest.n;

    if (r->status != 304 && r->type)
        MHD_add_response_header(m, "Content-Type", r->type);
    while (p < end) {
        const char *name = p, *value = p + strlen(p) + 1;

        MHD_add_response_header(m, name, value);
        p = value + strlen(value) + 1;
    }
}

static struct MHD_Response *made(struct reply *r)
{
    struct MHD_Response *m = response_of(r);

    if (m)
        add_headers(m, r);
    return m;
}

static bool is_like(const struct refusal *last, const struct reply *r)
{
    return last->response && last->type == r->type &&
           view_eq(buf_view(&last->headers), buf_view(&r->headers)) &&
           view_eq(last->body, buf_view(&r->body));
}

void refusal_forget(struct refusal *last)
{
    if (last->response)
        MHD_destroy_response(last->response);
    buf_done(&last->headers);
    *last = (struct refusal){ 0 };
}

/* The last one's, or its own, which then is the last one. */
static bool refusal_send(struct web_request *w)
{
    struct refusal *last = &w->io->refusal;
    struct reply *r = &w->reply;

    if (!is_like(last, r)) {
        refusal_forget(last);
        last->type = r->type;
        last->body = buf_view(&r->body);
        last->response = made(r);
        if (!last->response)
            return false;
        last->headers = r->headers;
        r->headers = (struct buf){ 0 };
    }
    return MHD_queue_response(w->mhd, 503, last->response) == MHD_YES;
}

bool reply_send(struct web_request *w)
{
    struct request *rq = &w->rq;
    struct server *s = w->io->server;

    if (w->arena.spent) { /* whatever was built with it is not to be trusted */
        w->arena.spent = false;
        w->arena.ceiling_bytes += 64 << 10; /* for the headers of this one */
        w->result = fail(&w->err, RC_BUSY, RESP_GENERIC, "the request needed more than %lld bytes",
                         (long long)s->conf->arena_bytes);
        reply_fail(rq, RC_BUSY, &w->err);
    }
    if (atomic_load_explicit(&s->draining, memory_order_relaxed))
        w->reply.close = true;
    if (rq->mount && rq->mount->decorate)
        rq->mount->decorate(rq);
    reply_common_headers(rq);
    request_account(w, w->reply.status, NULL);

    atomic_store_explicit(&w->conn->deadline_us, 0, memory_order_relaxed);

    w->phase = PHASE_SENT;
    if (w->reply.status == 503 && w->reply.spill_fd < 0)
        return refusal_send(w);
    struct MHD_Response *m = made(&w->reply);
    if (!m)
        return false;
    bool queued = MHD_queue_response(w->mhd, (unsigned)w->reply.status, m) == MHD_YES;
    MHD_destroy_response(m);
    return queued;
}
