/* Writing and deleting items, collections and everything. */
#include <assert.h>

#include "common/base/buf.h"
#include "node/store/patches.h"
#include "node/store/query.h"

#define DELETE_ROWS 1000 /* looked up and deleted in one go */
#define DELETE_IDS  1024 /* of a longer list, looked up in one go */

/* ---- putting ---- */

/* An item that a batch puts with a ttl of 0 lives so long beyond T until the whole batch is in. Else what comes later in the same batch
 * would find it expired, and begin anew instead of adding to it. No other item expires then: a ttl has whole seconds. */
#define GRACE_MS 1

struct put_job {
    struct store_txn *tx;
    const struct item_patch *patches;
    uint32_t coll;
    bool batch;     /* each item gets T, also one that is not touched otherwise */
    bool stillborn; /* one was put with a ttl of 0 by a batch */
};

static view if_set(enum patch_op op, view v)
{
    if (op != PATCH_SET)
        return VIEW_NONE;
    return v.p ? v : VIEW("");
}

static void bind_expiry(struct stmt *st, const struct item_patch *p, struct put_job *job)
{
    bool stillborn = job->batch && p->ttl_op == PATCH_SET && p->ttl_s == 0;
    if (p->ttl_op == PATCH_SET)
        bind_int(st, 5, stamp_ms(job->tx->t) + p->ttl_s * 1000 + (stillborn ? GRACE_MS : 0));
    else
        bind_null(st, 5);
    job->stillborn = job->stillborn || stillborn;
}

static void bind_put(struct stmt *st, size_t row, void *arg)
{
    struct put_job *job = arg;
    const struct item_patch *p = &job->patches[row];
    view payload = if_set(p->payload_op, p->payload);
    bind_int(st, 1, job->tx->head->uid);
    bind_int(st, 2, job->coll);
    bind_bytes(st, 3, p->id);
    bind_int(st, 4, stamp_ms(job->tx->t));
    bind_expiry(st, p, job);
    if (p->sortindex_op == PATCH_SET)
        bind_int(st, 6, p->sortindex);
    else
        bind_null(st, 6);
    bind_bytes(st, 7, if_set(p->parentid_op, p->parentid));
    bind_bytes(st, 8, if_set(p->predecessorid_op, p->predecessorid));
    bind_bytes(st, 9, payload.p ? payload : VIEW(""));
    bind_int(st, 10, patch_fields(p) | (job->batch ? FIELD_TOUCHES : 0));
}

static rc put(struct put_job *job, view coll, size_t n, struct err *e)
{
    struct stmt *st = NULL;
    TRY(tx_touch(job->tx, coll, &job->coll, e));
    if (n == 0)
        return RC_OK;
    TRY(tx_stmt(job->tx, SQL_ITEM_PUT, &st, e));
    TRY(stmt_bulk(st, n, bind_put, job, NULL, e));
    tx_used_more(job->tx, patches_bytes(job->patches, n));
    return RC_OK;
}

/* The time of an item after a write that need not have touched it. */
static rc item_time(struct store_txn *tx, uint32_t coll, view id, stamp *out, struct err *e)
{
    struct stmt *st = NULL;
    int64_t ms = 0;
    TRY(tx_stmt(tx, SQL_ITEM_TIME, &st, e));
    bind_int(st, 1, tx->head->uid);
    bind_int(st, 2, coll);
    bind_bytes(st, 3, id);
    TRY(stmt_number(st, &ms, NULL, e));
    *out = stamp_from_ms(ms);
    return RC_OK;
}

rc store_items_put(struct store_txn *tx, view coll, const struct item_patch *patches, size_t n,
                   stamp *out_modified, struct err *e)
{
    assert(!out_modified || n == 1);
    struct put_job job = { .tx = tx, .patches = patches };
    TRY(put(&job, coll, n, e));
    if (out_modified && !patches[0].touches)
        return item_time(tx, job.coll, patches[0].id, out_modified, e);
    if (out_modified)
        *out_modified = tx->t;
    return RC_OK;
}

rc tx_batch_put(struct store_txn *tx, view coll, const struct item_patch *patches, size_t n, bool *stillborn,
                struct err *e)
{
    struct put_job job = { .tx = tx, .patches = patches, .batch = true };
    TRY(put(&job, coll, n, e));
    *stillborn = *stillborn || job.stillborn;
    return RC_OK;
}

rc tx_batch_settle(struct store_txn *tx, view coll, struct err *e)
{
    const struct head_coll *c = head_coll_find(tx->head, coll);
    struct stmt *st = NULL;
    assert(c);
    TRY(tx_stmt(tx, SQL_BATCH_SETTLE, &st, e));
    bind_int(st, 1, tx->head->uid);
    bind_int(st, 2, c->number);
    bind_int(st, 3, stamp_ms(tx->t));
    bind_int(st, 4, stamp_ms(tx->t) + GRACE_MS);
    return stmt_run(st, NULL, e);
}

/* ---- deleting ---- */

rc store_item_delete(struct store_txn *tx, view coll, view id, struct err *e)
{
    const struct head_coll *c = head_coll_find(tx->head, coll);
    struct stmt *st = NULL;
    uint64_t rows = 0;
    uint32_t number = 0;
    if (c) {
        TRY(tx_stmt(tx, SQL_ITEM_DELETE, &st, e));
        bind_int(st, 1, tx->head->uid);
        bind_int(st, 2, c->number);
        bind_bytes(st, 3, id);
        bind_int(st, 4, tx->now_ms);
        TRY(stmt_run(st, &rows, e));
    }
    if (rows == 0)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "no such item");
    return tx_touch(tx, coll, &number, e);
}

/* Ids that were looked up, to be deleted next. */
struct doomed {
    const struct store_txn *tx;
    uint32_t coll;
    struct buf bytes;
    size_t n, ends[DELETE_ROWS];
    uint64_t unexpired;
};

static rc look_up(struct store_txn *tx, const struct item_query *q, const struct page *page,
                  enum query_want want, uint64_t most, struct doomed *d, struct err *e)
{
    SCOPED(stmt_done) struct stmt *st = NULL;
    TRY(query_statement(tx, q, d->coll, page, want, most, &st, e));
    for (;;) {
        bool row = false;
        TRY(stmt_step(st, &row, e));
        if (!row)
            return RC_OK;
        assert(d->n < DELETE_ROWS);
        buf_add(&d->bytes, col_bytes(st, 0));
        d->ends[d->n++] = d->bytes.n;
        d->unexpired += col_int(st, 1) == 0;
    }
}

static void bind_doomed(struct stmt *st, size_t row, void *arg)
{
    const struct doomed *d = arg;
    size_t begin = row ? d->ends[row - 1] : 0;
    bind_int(st, 1, d->tx->head->uid);
    bind_int(st, 2, d->coll);
    bind_bytes(st, 3, (view){ .p = d->bytes.p + begin, .n = d->ends[row] - begin });
}

/* Deletes what the query selects, some at a time; each time the rest of it is selected anew. */
static rc delete_selected(struct store_txn *tx, const struct item_query *q, uint32_t coll, uint64_t *out_n,
                          struct err *e)
{
    bool counts = q->has_limit || q->skip > 0; /* then expired ones do not: nobody sees them */
    struct page page;
    struct stmt *drop = NULL;
    TRY(page_open(q, &page, e));
    TRY(tx_stmt(tx, SQL_ITEM_DROP, &drop, e));

    rc r = RC_OK;
    struct doomed d = { .tx = tx, .coll = coll };
    uint64_t left = q->has_limit ? q->limit : UINT64_MAX;
    bool more = left > 0;
    while (r == RC_OK && more) {
        uint64_t most = left < DELETE_ROWS ? left : DELETE_ROWS;
        d.n = 0;
        buf_clear(&d.bytes);
        r = look_up(tx, q, &page, counts ? WANT_IDS : WANT_IDS_AND_DEAD, most, &d, e);
        if (r == RC_OK && d.n > 0)
            r = stmt_bulk(drop, d.n, bind_doomed, &d, NULL, e);
        left -= d.n;
        more = d.n == most && left > 0;
    }
    buf_done(&d.bytes);
    *out_n += d.unexpired;
    return r;
}

rc store_items_delete(struct store_txn *tx, const struct item_query *q, uint64_t *out_n, struct err *e)
{
    const struct head_coll *c = head_coll_find(tx->head, q->coll);
    uint64_t n = 0;
    rc r = RC_OK;
    assert(!q->offset.p && tx->mode == STORE_WRITE);
    if (c && q->has_ids && !q->has_limit && q->skip == 0) {
        struct item_query part = *q;
        for (size_t i = 0; i < q->n_ids && r == RC_OK; i += part.n_ids) {
            part.ids = q->ids + i;
            part.n_ids = q->n_ids - i < DELETE_IDS ? q->n_ids - i : DELETE_IDS;
            part.order = ORDER_ID;
            r = delete_selected(tx, &part, c->number, &n, e);
        }
    } else if (c && !(q->has_ids && q->n_ids == 0)) {
        r = delete_selected(tx, q, c->number, &n, e);
    }
    if (r == RC_OK)
        *out_n = n;
    return r;
}

rc store_coll_touch(struct store_txn *tx, view coll, struct err *e)
{
    uint32_t number = 0;
    return tx_touch(tx, coll, &number, e);
}

rc store_coll_delete(struct store_txn *tx, view coll, bool *out_existed, struct err *e)
{
    struct head *h = tx->head;
    const struct head_coll *c = head_coll_find(h, coll);
    if (!c) {
        *out_existed = false;
        return RC_OK;
    }
    TRY(tx_run_number(tx, SQL_COLL_DROP, c->number, e));
    TRY(tx_run_text(tx, SQL_BATCHES_DROP_COLL_ITEMS, coll, e));
    TRY(tx_run_text(tx, SQL_BATCHES_DROP_COLL, coll, e));
    tx->colls[c - h->colls] = h->colls[h->n_colls - 1];
    h->n_colls--;
    tx_use_stamp(tx);
    *out_existed = true;
    return RC_OK;
}

rc tx_drop_batches(struct store_txn *tx, struct err *e)
{
    TRY(tx_run(tx, SQL_BATCHES_DROP_USER_ITEMS, e));
    return tx_run(tx, SQL_BATCHES_DROP_USER, e);
}

rc tx_drop_data(struct store_txn *tx, struct err *e)
{
    TRY(tx_run(tx, SQL_USER_DROP, e));
    TRY(tx_drop_batches(tx, e));
    tx->head->modified = STAMP_ZERO;
    tx->head->n_colls = 0;
    tx->head->used_bytes = 0;
    tx->dirty = true;
    return RC_OK;
}

rc store_user_wipe(struct store_txn *tx, struct err *e)
{
    tx_use_stamp(tx);
    return tx_drop_data(tx, e);
}
