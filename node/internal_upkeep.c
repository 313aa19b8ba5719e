/* What the operator sets on a node: maintenance, and a user's own quota. */
#include <inttypes.h>

#include "common/base/log.h"
#include "node/internal.h"
#include "node/maintenance.h"

enum { SMALL_BODY = 4096, RETRY_AFTER_S = 600 };

/* ---- maintenance ---- */

static void put_maintenance(struct request *rq)
{
    const struct node *n = rq->app;
    struct buf *b = reply_body(rq);
    struct maintenance_words w;

    if (!maintenance_now(n->maintenance, rq->arena, &w)) {
        buf_add(b, VIEW("{\"on\":false}"));
        return;
    }
    buf_add(b, VIEW("{\"on\":true,\"text\":"));
    json_put_string(b, w.text);
    buf_addf(b, ",\"retry_after\":%u}", w.retry_after_s);
}

static rc maintenance_get(struct request *rq, struct err *e)
{
    (void)e;
    put_maintenance(rq);
    return RC_OK;
}

static rc maintenance_put(struct request *rq, struct err *e)
{
    static const char *const members[] = { "on", "text", "retry_after", NULL };
    const struct node *n = rq->app;
    const struct node_worker *w = rq->worker;
    SCOPED(json_decref) json_t *body = NULL;
    struct maintenance_words words = { .text = VIEW("") };
    int64_t retry_after = RETRY_AFTER_S;

    TRY(internal_body(rq, members, &body, e));
    const json_t *on = json_object_get(body, "on");
    if (!json_is_boolean(on))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "on must be true or false");
    TRY(internal_text(body, "text", &words.text, e));
    TRY(internal_number(body, "retry_after", 1, &retry_after, e));
    words.retry_after_s = retry_after > MAINTENANCE_WAIT_MAX ? UINT32_MAX : (unsigned)retry_after;
    TRY(maintenance_set(n->maintenance, w->sync.store, json_is_true(on) ? &words : NULL, e));
    LOG(LOG_WARN, "maintenance set", LOG_S("on", json_is_true(on) ? "yes" : "no"),
        LOG_V("by", internal_caller(rq)->name), LOG_V("id", rq->id));
    put_maintenance(rq);
    return RC_OK;
}

/* ---- quota ---- */

static rc quota_put(struct request *rq, struct err *e)
{
    static const char *const members[] = { "quota_bytes", NULL };
    const struct node_worker *w = rq->worker;
    SCOPED(json_decref) json_t *body = NULL;
    struct cache_mark mark;
    int64_t uid = node_internal_uid(rq), quota = INT64_MIN;

    TRY(internal_body(rq, members, &body, e));
    TRY(internal_number(body, "quota_bytes", -1, &quota, e));
    if (quota == INT64_MIN)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "quota_bytes is needed; -1: the node's own setting");
    cache_before(w->sync.cache, uid, &mark);
    rc r = store_quota_set(w->sync.store, uid, quota, rq->arena, e);
    cache_after(w->sync.cache, uid, &mark, VIEW_NONE);
    TRY(r);
    LOG(LOG_INFO, "quota set", LOG_I("uid", uid), LOG_I("quota_bytes", quota),
        LOG_V("by", internal_caller(rq)->name), LOG_V("id", rq->id));
    buf_addf(reply_body(rq), "{\"uid\":%" PRId64 ",\"quota_bytes\":%" PRId64 "}", uid, quota);
    return RC_OK;
}

static const struct route routes[] = {
    { .methods = GET, .path = "/internal/v1/maintenance", .handler = maintenance_get, INTERNAL_FOR("admin") },
    { .methods = PUT,
      .path = "/internal/v1/maintenance",
      .handler = maintenance_put,
      .body_max = SMALL_BODY,
      INTERNAL_FOR("admin") },
    { .methods = PUT,
      .path = "/internal/v1/users/{uid}/quota",
      .handler = quota_put,
      .body_max = SMALL_BODY,
      INTERNAL_FOR("admin") },
};
const struct route_table upkeep_routes = { .routes = routes, .n = sizeof(routes) / sizeof(routes[0]) };
