/* What there is, without the things themselves. Both protocols: 1.1 differs in headers alone (handlers.h).
 * Protocol: Storage API 1.5, 8.1 to 8.5; Storage API 1.1, "info". */
#include "common/base/json.h"
#include "node/sync/guard.h"
#include "node/sync/handlers.h"

void tell_records(struct request *rq, uint64_t n)
{
    SCOPED(buf_done) struct buf text = { 0 };

    buf_add_i64(&text, (int64_t)n);
    reply_header(rq, "X-Weave-Records", buf_view(&text));
}

static void put_name(struct buf *b, size_t i, view name)
{
    if (i > 0)
        buf_addc(b, ',');
    json_put_string(b, name);
    buf_addc(b, ':');
}

/* ---- info/collections ---- */

static void put_collections(struct request *rq, const struct head *h)
{
    struct buf *b = reply_body(rq);

    buf_addc(b, '{');
    for (size_t i = 0; i < h->n_colls; i++) {
        put_name(b, i, h->colls[i].name);
        stamp_put(b, h->colls[i].modified);
    }
    buf_addc(b, '}');
    tell_read(rq, h->modified);
    tell_records(rq, h->n_colls);
}

rc info_collections(struct request *rq, struct err *e)
{
    struct precondition p;
    struct head h;

    TRY(precondition_read(rq, &p, e));
    TRY(sync_head(rq, &h, e));
    TRY(precondition_check(rq, &p, h.modified, e));
    put_collections(rq, &h);
    return RC_OK;
}

bool info_collections_warm(struct request *rq)
{
    struct precondition p;
    struct head h;

    if (precondition_read(rq, &p, NULL) != RC_OK || p.has_modified || p.has_unmodified)
        return false;
    if (!sync_head_cached(rq, &h))
        return false;
    put_collections(rq, &h);
    return true;
}

/* ---- info/collection_counts, info/collection_usage, info/quota: counted in one snapshot ---- */

typedef rc put_counted(struct request *rq, struct sync_txn *t, struct err *e);

static rc info_counted(struct request *rq, put_counted *put, struct err *e)
{
    SCOPED(sync_abort) struct sync_txn t = { .tx = NULL };
    struct precondition p;
    stamp modified;

    TRY(precondition_read(rq, &p, e));
    TRY(sync_begin(rq, STORE_READ, &t, e));
    modified = store_head(t.tx)->modified;
    TRY(precondition_check(rq, &p, modified, e));
    TRY(put(rq, &t, e));
    tell_read(rq, modified);
    return sync_commit(&t, e);
}

typedef void put_figure(struct buf *b, const struct coll_usage *u);

/* An object with one figure for each collection. */
static rc put_each(struct request *rq, struct sync_txn *t, put_figure *put, size_t *out_n, struct err *e)
{
    const struct coll_usage *u;
    struct buf *b;

    TRY(store_usage(t->tx, &u, out_n, e));
    b = reply_body(rq);
    buf_addc(b, '{');
    for (size_t i = 0; i < *out_n; i++) {
        put_name(b, i, u[i].name);
        put(b, &u[i]);
    }
    buf_addc(b, '}');
    return RC_OK;
}

static void put_items(struct buf *b, const struct coll_usage *u)
{
    buf_add_i64(b, (int64_t)u->items);
}

static rc put_counts(struct request *rq, struct sync_txn *t, struct err *e)
{
    size_t n;

    TRY(put_each(rq, t, put_items, &n, e));
    tell_records(rq, n);
    return RC_OK;
}

rc info_counts(struct request *rq, struct err *e)
{
    return info_counted(rq, put_counts, e);
}

static void put_kilobytes(struct buf *b, const struct coll_usage *u)
{
    put_kb(b, (int64_t)u->bytes);
}

static rc put_usage(struct request *rq, struct sync_txn *t, struct err *e)
{
    size_t n;

    TRY(put_each(rq, t, put_kilobytes, &n, e));
    if (!is_legacy(rq))
        tell_records(rq, n);
    return RC_OK;
}

rc info_usage(struct request *rq, struct err *e)
{
    return info_counted(rq, put_usage, e);
}

static rc put_quota(struct request *rq, struct sync_txn *t, struct err *e)
{
    int64_t used, quota;
    struct buf *b;

    TRY(store_used_exact(t->tx, &used, e));
    b = reply_body(rq);
    buf_addc(b, '[');
    put_kb(b, used);
    buf_addc(b, ',');
    if (quota_of(limits_of(rq), store_head(t->tx), &quota))
        put_kb(b, quota);
    else
        buf_add(b, VIEW("null"));
    buf_addc(b, ']');
    return RC_OK;
}

rc info_quota(struct request *rq, struct err *e)
{
    return info_counted(rq, put_quota, e);
}

/* ---- info/configuration (1.5) ---- */

static void put_limit(struct buf *b, view name, int64_t value)
{
    if (b->p[b->n - 1] != '{')
        buf_addc(b, ',');
    json_put_string(b, name);
    buf_addc(b, ':');
    buf_add_i64(b, value);
}

static void put_overrides(struct buf *b, const struct sync_limits *l)
{
    buf_add(b, VIEW(",\"collections\":{"));
    for (size_t i = 0; i < l->n_colls; i++) {
        const struct sync_coll_limits *c = &l->colls[i];

        put_name(b, i, c->coll);
        buf_addc(b, '{');
        put_limit(b, VIEW("max_record_payload_bytes"), c->max_record_payload_bytes);
        put_limit(b, VIEW("max_post_bytes"), c->max_post_bytes);
        put_limit(b, VIEW("max_request_bytes"), c->max_request_bytes);
        buf_addc(b, '}');
    }
    buf_addc(b, '}');
}

static void put_limits(struct buf *b, const struct sync_limits *l, const struct head *h)
{
    int64_t quota;

    buf_addc(b, '{');
    if (l->batches) {
        put_limit(b, VIEW("max_post_bytes"), l->max_post_bytes);
        put_limit(b, VIEW("max_post_records"), l->max_post_records);
    }
    put_limit(b, VIEW("max_record_payload_bytes"), l->max_record_payload_bytes);
    put_limit(b, VIEW("max_request_bytes"), l->max_request_bytes);
    if (l->batches) {
        put_limit(b, VIEW("max_total_bytes"), l->max_total_bytes);
        put_limit(b, VIEW("max_total_records"), l->max_total_records);
    }
    if (quota_of(l, h, &quota))
        put_limit(b, VIEW("max_quota_limit"), quota);
    if (l->n_colls)
        put_overrides(b, l);
    buf_addc(b, '}');
}

/* The head is read for the fence's sake: who has moved away must hear it from whatever he asks first. Where a setting opens this
 * route to everybody, nobody is named and there is no fence. Preconditions do not apply. */
rc info_configuration(struct request *rq, struct err *e)
{
    struct head h = { .quota_bytes = -1 };

    if (rq->route->auth != AUTH_NONE)
        TRY(sync_head(rq, &h, e));
    put_limits(reply_body(rq), limits_of(rq), &h);
    reply_last_modified(rq, STAMP_ZERO);
    return RC_OK;
}
