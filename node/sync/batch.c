/* POST to a collection (1.5): many items at once, alone or as part of a batch.
 *
 *   plain    batch=true&commit=true     put, 200
 *   start    batch=true                 open, append, 202
 *   append   batch=<id>                 append, 202
 *   commit   batch=<id>&commit=true     append, everything becomes visible, 200
 *
 * Protocol: Storage API 1.5, 8.9 and "Batch upload". */
#include "common/base/json.h"
#include "node/sync/bso_list.h"
#include "node/sync/guard.h"
#include "node/sync/handlers.h"
#include "node/sync/query.h"

struct post {
    struct request *rq;
    view coll;
    struct precondition precondition;
    struct batch_wish wish;
    struct bso_list list;
    struct sync_txn t;
};

static void post_done_scoped(struct post *p)
{
    sync_abort(&p->t);
    bso_list_done(&p->list);
}

static rc keys_ok(const struct post *p, struct err *e)
{
    if (!view_eq(p->coll, VIEW("crypto")))
        return RC_OK;
    for (size_t i = 0; i < p->list.n; i++)
        if (payload_has_zero_iv(p->list.patches[i].payload))
            return fail(e, RC_BAD_INPUT, RESP_INVALID_WBO, "a key record with an empty IV");
    return RC_OK;
}

/* Everything that can be wrong without asking the store. */
static rc post_read(struct post *p, struct err *e)
{
    const struct sync_limits *l = limits_of(p->rq);
    struct sync_coll_limits own = sync_limits_of(l, p->coll);
    struct bso_rules rules = { .max_payload_bytes = own.max_record_payload_bytes,
                               .max_post_bytes = own.max_post_bytes,
                               .max_post_records = l->max_post_records };
    struct bso_ctx c = { .rules = &rules, .arena = p->rq->arena };
    enum format format;

    TRY(precondition_read(p->rq, &p->precondition, e));
    TRY(body_format(p->rq->content_type, false, &format, e));
    TRY(announced_sizes_ok(p->rq, l, own.max_post_bytes, e));
    TRY(batch_wish_read(p->rq, l->batches, &p->wish, e));
    TRY(bso_list_read(p->rq->body, format, &c, &p->list, e));
    return keys_ok(p, e);
}

/* The batch exists, and what it would hold then is within the limits of a batch. */
static rc batch_fits(struct post *p, struct err *e)
{
    const struct sync_limits *l = limits_of(p->rq);
    struct batch_totals had = { .items = 0 };
    rc r;

    if (p->wish.step != BATCH_START) {
        r = store_batch_totals(p->t.tx, p->coll, p->wish.id, l->batch_life_s, &had, e);
        if (r == RC_NOT_FOUND)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "no such batch");
        if (r != RC_OK)
            return r;
    }
    if (had.items + p->list.n > (uint64_t)l->max_total_records ||
        had.bytes + p->list.payload_bytes > (uint64_t)l->max_total_bytes)
        return fail(e, RC_BAD_INPUT, RESP_TOO_LARGE, "the batch is full");
    return RC_OK;
}

/* "batch":"…", or "modified":T */
static void answer(struct post *p, view batch_id, stamp t)
{
    struct buf *b = reply_body(p->rq);

    if (batch_id.p) {
        buf_add(b, VIEW("{\"batch\":"));
        json_put_string(b, batch_id);
    } else {
        buf_add(b, VIEW("{\"modified\":"));
        stamp_put(b, t);
    }
    buf_addc(b, ',');
    bso_list_put(b, &p->list);
    buf_addc(b, '}');
}

/* Nothing of a batch shows before its commit: the time told is the collection's, unchanged. */
static rc pend(struct post *p, struct err *e)
{
    stamp unchanged = coll_stamp(store_head(p->t.tx), p->coll);
    char opened[BATCH_ID_TEXT + 1];
    view id = p->wish.id;

    if (p->wish.step == BATCH_START) {
        TRY(store_batch_open(p->t.tx, p->coll, opened, e));
        id = (view){ .p = opened, .n = BATCH_ID_TEXT };
    }
    TRY(store_batch_append(p->t.tx, id, p->list.patches, p->list.n, e));
    TRY(sync_commit(&p->t, e));
    reply_status(p->rq, 202);
    answer(p, id, STAMP_ZERO);
    tell_read(p->rq, unchanged);
    return RC_OK;
}

static rc publish(struct post *p, struct err *e)
{
    stamp now = store_stamp(p->t.tx);

    if (p->wish.step == BATCH_COMMIT)
        TRY(store_batch_finish(p->t.tx, p->coll, p->wish.id, p->list.patches, p->list.n, e));
    else
        TRY(store_items_put(p->t.tx, p->coll, p->list.patches, p->list.n, NULL, e));
    TRY(sync_commit(&p->t, e));
    answer(p, VIEW_NONE, now);
    tell_write(p->rq, now);
    return RC_OK;
}

rc collection_post(struct request *rq, struct err *e)
{
    SCOPED(post_done) struct post p = { .rq = rq, .coll = path_coll(rq) };
    bool batch;

    TRY(post_read(&p, e));
    batch = p.wish.step != BATCH_NONE;
    TRY(batch ? sync_begin(rq, STORE_WRITE, &p.t, e)
              : sync_begin_put(rq, p.coll, p.list.payload_bytes, &p.t, e));
    TRY(precondition_check(rq, &p.precondition, coll_stamp(store_head(p.t.tx), p.coll), e));
    if (batch)
        TRY(batch_fits(&p, e));
    TRY(quota_admits(&p.t, p.list.payload_bytes, batch, e));
    return p.wish.step == BATCH_START || p.wish.step == BATCH_APPEND ? pend(&p, e) : publish(&p, e);
}
