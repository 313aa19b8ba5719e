/* Heads and the steps of the fence. */
#include "node/moves.h"

#include <inttypes.h>

#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "node/move_lines.h"
#include "node/step.h"

#define STAMP_MOST (INT64_MAX / 10)

enum { STEP_BODY = 4096, EXPORT_BODY = 2 << 20, LIST_PAGE = 1000 };

/* ---- what was asked ---- */

view moves_arg(const struct request *rq, const char *name)
{
    const struct query_arg *arg = request_arg(rq, name);
    return arg && arg->value.p ? arg->value : VIEW("");
}

rc moves_args(const struct request *rq, struct move *out, struct err *e)
{
    uint64_t epoch = 0;
    if (!view_to_u64(moves_arg(rq, "epoch"), INT64_MAX, &epoch))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "epoch must be a number");
    *out =
        (struct move){ .uid = node_internal_uid(rq), .id = moves_arg(rq, "move"), .epoch = (int64_t)epoch };
    return RC_OK;
}

rc moves_base(const struct request *rq, struct store_txn *tx, struct err *e)
{
    view text = moves_arg(rq, "base");
    uint64_t base = 0;
    if (text.n == 0)
        return RC_OK;
    if (!view_to_u64(text, STAMP_MOST, &base))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "base must be a stamp");
    store_manifest_base(tx, (stamp){ (int64_t)base });
    return RC_OK;
}

/* ---- heads ---- */

static void put_head(struct buf *b, const struct head_info *i)
{
    const struct head *h = &i->head;
    buf_addf(b,
             "{\"uid\":%" PRId64 ",\"epoch\":%" PRId64 ",\"state\":\"%s\",\"since\":%" PRId64
             ",\"clock\":%" PRId64 ",\"modified\":%" PRId64 ",\"used_bytes\":%" PRId64
             ",\"quota_bytes\":%" PRId64,
             h->uid, h->epoch, head_state_name(h->state), h->since_ms, h->clock.cs, h->modified.cs,
             h->used_bytes, h->quota_bytes);
    if (i->move.p) {
        buf_add(b, VIEW(",\"move\":"));
        json_put_string(b, i->move);
    }
}

rc moves_heads(struct request *rq, struct err *e)
{
    const struct node_worker *w = rq->worker;
    struct buf *b = reply_body(rq);
    view after = moves_arg(rq, "after");
    uint64_t from = 0;
    const struct head_info *heads = NULL;
    size_t n = 0;
    if (after.n > 0 && !view_to_u64(after, INT64_MAX, &from))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "after must be a uid");
    TRY(store_heads_list(w->sync.store, after.n > 0 ? (int64_t)from : -1, LIST_PAGE, rq->arena, &heads, &n,
                         e));
    reply_type(rq, "application/x-ndjson");
    for (size_t i = 0; i < n; i++) {
        put_head(b, &heads[i]);
        buf_add(b, VIEW("}\n"));
    }
    if (n == LIST_PAGE)
        reply_header(rq, "X-Heddle-Next", arena_text(rq->arena, "%" PRId64, heads[n - 1].head.uid));
    return RC_OK;
}

/* How long ago a part of an open upload was added: a move waits for a pause of the client. */
static rc put_batch_age(struct request *rq, const struct head *h, struct err *e)
{
    const struct node_worker *w = rq->worker;
    int64_t ms = 0, now_ms = clock_now_us(w->node->clock) / 1000;
    TRY(store_batch_touched(w->sync.store, h->uid, w->sync.sync->limits->batch_life_s, &ms, e));
    if (ms > 0)
        buf_addf(reply_body(rq), ",\"batch_age_ms\":%" PRId64, now_ms > ms ? now_ms - ms : 0);
    return RC_OK;
}

rc moves_head(struct request *rq, struct err *e)
{
    const struct node_worker *w = rq->worker;
    struct head_info info;
    TRY(store_head_get(w->sync.store, node_internal_uid(rq), rq->arena, &info, e));
    put_head(reply_body(rq), &info);
    TRY(put_batch_age(rq, &info.head, e));
    buf_addc(reply_body(rq), '}');
    return RC_OK;
}

/* ---- steps ---- */

static rc odd_body(struct err *e)
{
    return fail(
        e, RC_BAD_INPUT, RESP_GENERIC,
        "the body must be {\"move\",\"epoch\"}, for seal with \"sum\", \"clock\" and, if there is one, \"base\"");
}

/* {"move","epoch"[,"sum","clock"[,"base"]]} and nothing else. */
static rc read_step(const struct request *rq, struct move *m, struct manifest_sum *sum, bool *out_sum,
                    struct err *e)
{
    SCOPED(json_decref) json_t *o = NULL;
    const char *name;
    json_t *v;
    view hash = VIEW_NONE;
    *m = (struct move){ .uid = node_internal_uid(rq) };
    sum->clock.cs = -1;
    sum->base = MANIFEST_ALL;
    TRY(json_read(rq->body, 4, JSON_READ_NO_DUPLICATES, &o, e));
    json_object_foreach (o, name, v) {
        if (strcmp(name, "move") == 0 && json_is_string(v))
            m->id = arena_copy(rq->arena, json_text(v));
        else if (strcmp(name, "epoch") == 0 && json_is_integer(v))
            m->epoch = json_integer_value(v);
        else if (strcmp(name, "clock") == 0 && json_is_integer(v))
            sum->clock.cs = json_integer_value(v);
        else if (strcmp(name, "base") == 0 && json_is_integer(v) && json_integer_value(v) >= 0 &&
                 json_integer_value(v) <= STAMP_MOST)
            sum->base.cs = json_integer_value(v);
        else if (strcmp(name, "sum") != 0 || !hex_decode(json_text(v), rq->arena, &hash))
            return odd_body(e);
    }
    if (m->id.n == 0 || m->epoch <= 0 || (hash.p != NULL) != (sum->clock.cs >= 0) ||
        (!hash.p && sum->base.cs >= 0) || (hash.p && hash.n != sizeof sum->hash))
        return odd_body(e);
    *out_sum = hash.p != NULL;
    if (hash.p)
        memcpy(sum->hash, hash.p, sizeof sum->hash);
    return RC_OK;
}

/* The cached head is dropped before this is answered, whatever became of the step: nobody may read it after a freeze. A reader who puts
 * it there again must have read the store after us. */
rc moves_step(struct request *rq, struct err *e)
{
    const struct node_worker *w = rq->worker;
    enum head_step step;
    struct move m;
    struct manifest_sum sum;
    struct head_info info;
    bool has_sum = false;

    if (!head_step_parse(rq->params[1], &step))
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "no such step");
    TRY(read_step(rq, &m, &sum, &has_sum, e));
    rc r = node_step(&w->sync, &m, step, has_sum ? &sum : NULL, rq->arena, &info, e);
    LOG(r == RC_OK ? LOG_INFO : LOG_WARN, "step of a move", LOG_S("step", head_step_name(step)),
        LOG_I("uid", m.uid), LOG_I("epoch", m.epoch), LOG_V("move", m.id), LOG_S("rc", rc_name(r)),
        LOG_S("why", r == RC_OK ? "" : e->text), LOG_V("id", rq->id));
    TRY(r);
    put_head(reply_body(rq), &info);
    buf_addc(reply_body(rq), '}');
    return RC_OK;
}

/* ---- the table ---- */

static const struct route routes[] = {
    { .methods = GET, .path = "/internal/v1/heads", .handler = moves_heads, INTERNAL_FOR("admin") },
    { .methods = GET, .path = "/internal/v1/heads/{uid}", .handler = moves_head, INTERNAL_FOR("admin") },
    { .methods = POST,
      .path = "/internal/v1/heads/{uid}/{word}",
      .handler = moves_step,
      .body_max = STEP_BODY,
      INTERNAL_FOR("admin") },
    { .methods = GET,
      .path = "/internal/v1/users/{uid}/manifest",
      .handler = moves_manifest,
      INTERNAL_FOR("admin") },
    { .methods = POST,
      .path = "/internal/v1/users/{uid}/manifest",
      .handler = moves_compare,
      .body_max = EXPORT_BODY,
      INTERNAL_FOR("admin") },
    { .methods = POST,
      .path = "/internal/v1/users/{uid}/export",
      .handler = moves_export,
      .body_max = EXPORT_BODY,
      INTERNAL_FOR("admin") },
    { .methods = POST,
      .path = "/internal/v1/users/{uid}/import",
      .handler = moves_import,
      .body_max = MOVE_PAGE_MAX,
      INTERNAL_FOR("admin") },
    { .methods = GET,
      .path = "/internal/v1/users/{uid}/usage",
      .handler = moves_usage,
      INTERNAL_FOR("admin") },
};
const struct route_table move_routes = { .routes = routes, .n = sizeof routes / sizeof *routes };
