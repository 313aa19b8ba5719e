/* Writing and deleting items, collections and everything. */
#include <assert.h>

#include "common/base/buf.h"
#include "node/store/query.h"

#define DELETE_ROWS 1000 /* looked up and deleted in one go      */
#define DELETE_IDS  1024 /* of a longer list, looked up in one go */

/* ---- patches ---- */

static int64_t fields_of(const struct item_patch *p)
{
    return (p->payload_op != PATCH_LEAVE ? FIELD_PAYLOAD : 0) |
           (p->sortindex_op != PATCH_LEAVE ? FIELD_SORTINDEX : 0) |
           (p->ttl_op != PATCH_LEAVE ? FIELD_TTL : 0) | (p->parentid_op != PATCH_LEAVE ? FIELD_PARENTID : 0) |
           (p->predecessorid_op != PATCH_LEAVE ? FIELD_PREDECESSORID : 0) | (p->touches ? FIELD_TOUCHES : 0);
}

static view if_set(enum patch_op op, view v)
{
    if (op != PATCH_SET)
        return VIEW_NONE;
    return v.p ? v : VIEW("");
}

void patch_bind(struct stmt *st, const struct patch_params *at, const struct item_patch *p)
{
    bind_int(st, at->fields, fields_of(p));
    if (p->sortindex_op == PATCH_SET)
        bind_int(st, at->sortindex, p->sortindex);
    else
        bind_null(st, at->sortindex);
    bind_bytes(st, at->parentid, if_set(p->parentid_op, p->parentid));
    bind_bytes(st, at->predecessorid, if_set(p->predecessorid_op, p->predecessorid));
    view payload = if_set(p->payload_op, p->payload);
    bind_bytes(st, at->payload, payload.p ? payload : VIEW(""));
}

int64_t patches_bytes(const struct item_patch *patches, size_t n)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += patches[i].payload_op == PATCH_SET ? (int64_t)patches[i].payload.n : 0;
    return bytes;
}

struct put_job {
    const struct store_txn *tx;
    const struct item_patch *patches;
    uint32_t coll;
};

static void bind_put(struct stmt *st, size_t row, void *arg)
{
    static const struct patch_params at = {
        .fields = 10, .sortindex = 6, .parentid = 7, .predecessorid = 8, .payload = 9
    };
    const struct put_job *job = arg;
    const struct item_patch *p = &job->patches[row];
    int64_t t_ms = stamp_ms(job->tx->t);
    bind_int(st, 1, job->tx->head->uid);
    bind_int(st, 2, job->coll);
    bind_bytes(st, 3, p->id);
    bind_int(st, 4, t_ms);
    if (p->ttl_op == PATCH_SET)
        bind_int(st, 5, t_ms + p->ttl_s * 1000);
    else
        bind_null(st, 5);
    patch_bind(st, &at, p);
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
    struct stmt *st = NULL;
    TRY(tx_touch(tx, coll, &job.coll, e));
    if (n == 0)
        return RC_OK;
    TRY(tx_stmt(tx, SQL_ITEM_PUT, &st, e));
    TRY(stmt_bulk(st, n, bind_put, &job, NULL, e));
    tx_used_more(tx, patches_bytes(patches, n));
    if (out_modified && !patches[0].touches)
        return item_time(tx, job.coll, patches[0].id, out_modified, e);
    if (out_modified)
        *out_modified = tx->t;
    return RC_OK;
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
