/* All that Sync 1.1 (and 1.0, which is served alike) does differently when it writes. Reading differs in little and stands beside
 * 1.5's: listing_read_legacy, accept_best_legacy, the fields of 1.1 in bso.c, tell_read.
 *
 * A body is read before the user's lock is taken, but what is wrong with it is told only after 412 (and, for a PUT, after the quota):
 * the protocol wants that order, and nobody should hold a lock while he parses.
 * Protocol: Storage API 1.1, "POST", "DELETE", "storage/<collection>/<id>", "DELETE storage". */
#include "common/base/json.h"
#include "node/sync/bso_list.h"
#include "node/sync/guard.h"
#include "node/sync/handlers.h"
#include "node/sync/query.h"

static struct bso_rules rules_of(const struct request *rq)
{
    const struct sync_limits *l = limits_of(rq);

    return (struct bso_rules){ .legacy = true,
                               .max_payload_bytes = l->legacy_payload_bytes,
                               .max_post_bytes = l->legacy_post_bytes,
                               .max_post_records = l->legacy_post_records };
}

/* A failure found early and told later. */
struct verdict_kept {
    rc r;
    struct err why;
};

static rc told(const struct verdict_kept *v, struct err *e)
{
    if (v->r != RC_OK && e)
        *e = v->why;
    return v->r;
}

static rc writable(view coll, struct err *e)
{
    if (coll.n > COLL_NAME_MAX)
        return fail(e, RC_BAD_INPUT, RESP_COLLECTION, "a collection's name of %zu bytes", coll.n);
    return RC_OK;
}

/* Begins and compares with the collection's time, whatever the target is. */
static rc begin_unmodified(struct request *rq, struct sync_txn *t, struct err *e)
{
    struct precondition p;

    TRY(precondition_read(rq, &p, e));
    TRY(sync_begin(rq, STORE_WRITE, t, e));
    return precondition_check(rq, &p, coll_stamp(store_head(t->tx), path_coll(rq)), e);
}

static rc answer_stamp(struct request *rq, stamp body, stamp now)
{
    stamp_put(reply_body(rq), body);
    tell_write(rq, now);
    return RC_OK;
}

/* Nothing was there to change: no time passes for the collection, and the server's own is told. */
static rc answer_nothing(struct request *rq, struct sync_txn *t)
{
    stamp now = stamp_max(rq->started, store_head(t->tx)->modified);

    sync_abort(t);
    return answer_stamp(rq, now, now);
}

/* ---- writing ---- */

/* One record; the answer's body is its time, which a write without payload leaves alone. */
static rc put_one(struct request *rq, struct sync_txn *t, const struct item_patch *patch, struct err *e)
{
    stamp now = store_stamp(t->tx), modified;

    TRY(store_items_put(t->tx, path_coll(rq), patch, 1, &modified, e));
    TRY(sync_commit(t, e));
    return answer_stamp(rq, modified, now);
}

rc legacy_item_put(struct request *rq, struct err *e)
{
    SCOPED(json_decref) json_t *root = NULL;
    SCOPED(sync_abort) struct sync_txn t = { .tx = NULL };
    struct bso_rules rules = rules_of(rq);
    struct bso_ctx c = { .rules = &rules, .arena = rq->arena };
    struct verdict_kept body = { .r = RC_OK, .why = ERR_NONE };
    struct precondition p;
    struct item_patch patch;

    TRY(writable(path_coll(rq), e));
    if (!item_id_legacy_ok(path_id(rq)))
        return fail(e, RC_BAD_INPUT, RESP_INVALID_WBO, "illegal id in the path");
    TRY(precondition_read(rq, &p, e));
    body.r = bso_read(rq->body, path_id(rq), &c, &patch, &root, &body.why);
    TRY(sync_begin_put(rq, path_coll(rq), body.r == RC_OK ? patch.payload.n : 0, &t, e));
    TRY(quota_admits_legacy(&t, e));
    TRY(precondition_check(rq, &p, coll_stamp(store_head(t.tx), path_coll(rq)), e));
    TRY(told(&body, e));
    return put_one(rq, &t, &patch, e);
}

static rc put_list(struct request *rq, struct sync_txn *t, const struct bso_list *l, struct err *e)
{
    stamp now = store_stamp(t->tx);
    struct buf *b;

    if (l->n > 0) {
        TRY(store_items_put(t->tx, path_coll(rq), l->patches, l->n, NULL, e));
        TRY(sync_commit(t, e));
    } else { /* nothing to store makes no collection */
        now = stamp_max(rq->started, store_head(t->tx)->modified);
        sync_abort(t);
    }
    b = reply_body(rq);
    buf_add(b, VIEW("{\"modified\":"));
    stamp_put(b, now);
    buf_addc(b, ',');
    bso_list_put(b, l);
    buf_addc(b, '}');
    tell_write(rq, now);
    return RC_OK;
}

/* POST, and PUT alike: a list, or one object, which is a PUT of the id that it names. */
rc legacy_collection_post(struct request *rq, struct err *e)
{
    SCOPED(bso_list_done) struct bso_list l = { .n = 0 };
    SCOPED(sync_abort) struct sync_txn t = { .tx = NULL };
    struct bso_rules rules = rules_of(rq);
    struct bso_ctx c = { .rules = &rules, .arena = rq->arena };
    struct verdict_kept body = { .r = RC_OK, .why = ERR_NONE };

    TRY(writable(path_coll(rq), e));
    body.r = bso_list_read(rq->body, FORMAT_JSON, &c, &l, &body.why);
    TRY(begin_unmodified(rq, &t, e));
    TRY(told(&body, e));
    TRY(quota_admits_legacy(&t, e));
    return l.single ? put_one(rq, &t, &l.patches[0], e) : put_list(rq, &t, &l, e);
}

/* ---- deleting: 200 whether or not anything was there ---- */

rc legacy_item_delete(struct request *rq, struct err *e)
{
    SCOPED(sync_abort) struct sync_txn t = { .tx = NULL };
    stamp now;
    rc r;

    if (!item_id_legacy_ok(path_id(rq)))
        return fail(e, RC_BAD_INPUT, RESP_INVALID_WBO, "illegal id in the path");
    TRY(begin_unmodified(rq, &t, e));
    now = store_stamp(t.tx);
    r = store_item_delete(t.tx, path_coll(rq), path_id(rq), e);
    if (r == RC_NOT_FOUND)
        return answer_nothing(rq, &t);
    TRY(r);
    TRY(sync_commit(&t, e));
    return answer_stamp(rq, now, now);
}

rc legacy_collection_delete(struct request *rq, struct err *e)
{
    SCOPED(sync_abort) struct sync_txn t = { .tx = NULL };
    struct listing l;
    bool selects, changed;
    uint64_t n;
    stamp now;

    TRY(listing_read_legacy(rq, &l, &selects, e));
    l.q.coll = path_coll(rq);
    TRY(begin_unmodified(rq, &t, e));
    now = store_stamp(t.tx);
    if (selects) {
        TRY(store_items_delete(t.tx, &l.q, &n, e));
        changed = n > 0;
        if (changed)
            TRY(store_coll_touch(t.tx, l.q.coll, e));
    } else {
        TRY(store_coll_delete(t.tx, l.q.coll, &changed, e));
    }
    if (!changed)
        return answer_nothing(rq, &t);
    TRY(sync_commit(&t, e));
    return answer_stamp(rq, now, now);
}

/* All storage of the user. X-If-Unmodified-Since is not looked at. */
rc legacy_user_delete(struct request *rq, struct err *e)
{
    SCOPED(sync_abort) struct sync_txn t = { .tx = NULL };
    stamp now;

    if (!request_header(rq, "X-Confirm-Delete").p)
        return fail(e, RC_BAD_INPUT, RESP_OVERWRITE, "DELETE storage without X-Confirm-Delete");
    TRY(sync_begin(rq, STORE_WRITE, &t, e));
    now = store_stamp(t.tx);
    TRY(store_user_wipe(t.tx, e));
    TRY(sync_commit(&t, e));
    return answer_stamp(rq, now, now);
}
