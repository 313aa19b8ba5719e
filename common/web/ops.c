/* Operations endpoints. Protocol: Storage API 1.5, "Operations endpoints". */
#include "common/web/ops.h"

#include "common/base/json.h"
#include "common/web/inside.h"

#ifndef HEDDLE_VERSION
#define HEDDLE_VERSION "0.0.0"
#endif
#ifndef HEDDLE_COMMIT
#define HEDDLE_COMMIT "unknown"
#endif

const char heddle_version[] = HEDDLE_VERSION, heddle_commit[] = HEDDLE_COMMIT;

/* The process serves; on an io thread, so that it answers when all workers are busy. A full queue is what the protocol calls
 * an exhausted pool. */
static rc lbheartbeat(struct request *rq, struct err *e)
{
    struct server *s = rq->app;
    struct buf *b = reply_body(rq);
    int64_t full_us = queue_full_us(s);
    unsigned active = atomic_load(&s->active), all = atomic_load(&s->connections);

    (void)e;
    if (atomic_load(&s->draining))
        reply_status(rq, 503);
    else if (full_us >= 0)
        reply_status(rq, 500);
    buf_addf(b, "{\"active_connections\":%u,\"idle_connections\":%u", active,
             all > active ? all - active : 0);
    if (full_us >= 0)
        buf_addf(b, ",\"duration_ms\":%lld", (long long)(full_us / 1000));
    buf_addc(b, '}');
    return RC_OK;
}

static rc heartbeat(struct request *rq, struct err *e)
{
    struct server *s = rq->app;
    struct buf members = { 0 };
    struct buf *b = reply_body(rq);
    bool well = workers_health(rq, &members) && !atomic_load(&s->draining);

    (void)e;
    reply_status(rq, well ? 200 : 503);
    buf_addf(b, "{\"status\":\"%s\"", well ? "Ok" : "Err");
    buf_add(b, buf_view(&members));
    buf_add(b, VIEW(",\"version\":"));
    json_put_string(b, view_of(heddle_version));
    buf_addc(b, '}');
    buf_done(&members);
    return RC_OK;
}

static rc version(struct request *rq, struct err *e)
{
    struct buf *b = reply_body(rq);

    (void)e;
    buf_add(b, VIEW("{\"source\":\"heddle\",\"version\":"));
    json_put_string(b, view_of(heddle_version));
    buf_add(b, VIEW(",\"commit\":"));
    json_put_string(b, view_of(heddle_commit));
    buf_add(b, VIEW(",\"build\":\"\"}"));
    return RC_OK;
}

static rc metrics(struct request *rq, struct err *e)
{
    (void)e;
    reply_type(rq, "text/plain; version=0.0.4");
    metrics_put(reply_body(rq));
    return RC_OK;
}

const struct route ops_routes[] = {
    /* methods     path                 handler       who may    body  dialect         flags */
    { GET | HEAD, "/__lbheartbeat__", lbheartbeat, AUTH_NONE, 0, DIALECT_PLAIN, ROUTE_QUICK, NULL, NULL, 0 },
    { GET | HEAD, "/__heartbeat__", heartbeat, AUTH_NONE, 0, DIALECT_PLAIN, 0, NULL, NULL, 0 },
    { GET | HEAD, "/__version__", version, AUTH_NONE, 0, DIALECT_PLAIN, ROUTE_QUICK, NULL, NULL, 0 },
    { GET, "/metrics", metrics, AUTH_NONE, 0, DIALECT_PLAIN, ROUTE_QUICK | ROUTE_INTERNAL, NULL, NULL, 0 },
};
const size_t ops_routes_n = sizeof ops_routes / sizeof ops_routes[0];
