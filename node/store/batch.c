/* Batches: parts of one upload that become visible together. Protocol: Storage API 1.5, "Batch upload". */
#include <assert.h>

#include "common/base/encode.h"
#include "common/base/rand.h"
#include "node/store/internal.h"

rc store_batch_open(struct store_txn *tx, view coll, char out_id[BATCH_ID_TEXT + 1], struct err *e)
{
    unsigned char bytes[16];
    struct stmt *st = NULL;
    rand_bytes(bytes, sizeof bytes);
    view id = base64_text(tx->arena, BASE64_URL_NOPAD, (view){ .p = (const char *)bytes, .n = sizeof bytes });
    assert(id.n == BATCH_ID_TEXT);
    TRY(tx_stmt(tx, SQL_BATCH_OPEN, &st, e));
    bind_int(st, 1, tx->head->uid);
    bind_bytes(st, 2, id);
    bind_bytes(st, 3, coll);
    bind_int(st, 4, tx->now_ms);
    TRY(stmt_run(st, NULL, e));
    memcpy(out_id, id.p, id.n);
    out_id[id.n] = '\0';
    return RC_OK;
}

static rc get_totals(struct store_txn *tx, view coll, view batch_id, int64_t created_after_ms,
                     struct batch_totals *out, struct err *e)
{
    SCOPED(stmt_done) struct stmt *st = NULL;
    bool row = false;
    if (batch_id.n == BATCH_ID_TEXT) {
        TRY(tx_stmt(tx, SQL_BATCH_GET, &st, e));
        bind_int(st, 1, tx->head->uid);
        bind_bytes(st, 2, batch_id);
        bind_bytes(st, 3, coll);
        bind_int(st, 4, created_after_ms);
        TRY(stmt_step(st, &row, e));
    }
    if (!row)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "no such batch");
    *out = (struct batch_totals){ .items = (uint64_t)col_int(st, 0), .bytes = (uint64_t)col_int(st, 1) };
    return RC_OK;
}

rc store_batch_totals(struct store_txn *tx, view coll, view batch_id, int64_t life_s,
                      struct batch_totals *out, struct err *e)
{
    return get_totals(tx, coll, batch_id, tx->now_ms - life_s * 1000, out, e);
}

struct append_job {
    const struct store_txn *tx;
    view batch_id;
    const struct item_patch *patches;
};

static void bind_append(struct stmt *st, size_t row, void *arg)
{
    static const struct patch_params at = {
        .fields = 4, .sortindex = 6, .parentid = 7, .predecessorid = 8, .payload = 9
    };
    const struct append_job *job = arg;
    const struct item_patch *p = &job->patches[row];
    bind_int(st, 1, job->tx->head->uid);
    bind_bytes(st, 2, job->batch_id);
    bind_bytes(st, 3, p->id);
    if (p->ttl_op == PATCH_SET)
        bind_int(st, 5, p->ttl_s);
    else
        bind_null(st, 5);
    patch_bind(st, &at, p);
}

rc store_batch_append(struct store_txn *tx, view batch_id, const struct item_patch *patches, size_t n,
                      struct err *e)
{
    struct append_job job = { .tx = tx, .batch_id = batch_id, .patches = patches };
    struct stmt *st = NULL;
    if (n > 0) {
        TRY(tx_stmt(tx, SQL_BATCH_PUT, &st, e));
        TRY(stmt_bulk(st, n, bind_append, &job, NULL, e));
    }
    TRY(tx_stmt(tx, SQL_BATCH_COUNT, &st, e));
    bind_int(st, 1, tx->head->uid);
    bind_bytes(st, 2, batch_id);
    bind_int(st, 3, (int64_t)n);
    bind_int(st, 4, patches_bytes(patches, n));
    bind_int(st, 5, tx->now_ms);
    return stmt_run(st, NULL, e);
}

rc store_batch_commit(struct store_txn *tx, view coll, view batch_id, struct err *e)
{
    struct batch_totals totals;
    struct stmt *st = NULL;
    uint32_t number = 0;
    TRY(get_totals(tx, coll, batch_id, INT64_MIN, &totals, e));
    TRY(tx_touch(tx, coll, &number, e));
    TRY(tx_stmt(tx, SQL_BATCH_COMMIT, &st, e));
    bind_int(st, 1, tx->head->uid);
    bind_bytes(st, 2, batch_id);
    bind_int(st, 3, number);
    bind_int(st, 4, stamp_ms(tx->t));
    TRY(stmt_run(st, NULL, e));
    tx_used_more(tx, (int64_t)totals.bytes);
    TRY(tx_run_text(tx, SQL_BATCH_DROP_ITEMS, batch_id, e));
    return tx_run_text(tx, SQL_BATCH_DROP, batch_id, e);
}

/* What was committed before with a ttl of 0 is expired at once, and a write over it begins anew instead of adding to it. */
static rc stillborn(struct store_txn *tx, view batch_id, int64_t *out, struct err *e)
{
    struct stmt *st = NULL;
    TRY(tx_stmt(tx, SQL_BATCH_STILLBORN, &st, e));
    bind_int(st, 1, tx->head->uid);
    bind_bytes(st, 2, batch_id);
    return stmt_number(st, out, NULL, e);
}

/* Every item of a batch gets T, also one that is not touched otherwise. */
static rc put_touched(struct store_txn *tx, view coll, const struct item_patch *patches, size_t n,
                      struct err *e)
{
    struct item_patch *touched = arena_alloc(tx->arena, n * sizeof *touched);
    for (size_t i = 0; i < n; i++) {
        touched[i] = patches[i];
        touched[i].touches = true;
    }
    return store_items_put(tx, coll, touched, n, NULL, e);
}

rc store_batch_finish(struct store_txn *tx, view coll, view batch_id, const struct item_patch *patches,
                      size_t n, struct err *e)
{
    int64_t dead = 0;
    TRY(stillborn(tx, batch_id, &dead, e));
    if (dead > 0) {
        TRY(store_batch_append(tx, batch_id, patches, n, e));
        return store_batch_commit(tx, coll, batch_id, e);
    }
    TRY(store_batch_commit(tx, coll, batch_id, e));
    return n > 0 ? put_touched(tx, coll, patches, n, e) : RC_OK;
}

rc store_batch_pending(struct store_txn *tx, int64_t life_s, int64_t *out_bytes, struct err *e)
{
    struct stmt *st = NULL;
    int64_t bytes = 0;
    TRY(tx_stmt(tx, SQL_BATCH_PENDING, &st, e));
    bind_int(st, 1, tx->head->uid);
    bind_int(st, 2, tx->now_ms - life_s * 1000);
    TRY(stmt_number(st, &bytes, NULL, e));
    *out_bytes = bytes;
    return RC_OK;
}

rc store_batch_touched(struct store_session *ss, int64_t uid, int64_t life_s, int64_t *out_ms, struct err *e)
{
    SCOPED(stmt_done) struct stmt *st = NULL;
    struct conn *c = NULL;
    int64_t ms = 0;
    TRY(session_begin(ss, session_shard(ss, uid), STORE_READ, &c, e));
    rc r = conn_stmt(c, SQL_BATCH_TOUCHED, &st, e);
    if (r == RC_OK) {
        bind_int(st, 1, uid);
        bind_int(st, 2, clock_now_us(ss->store->clock) / 1000 - life_s * 1000);
        r = stmt_number(st, &ms, NULL, e);
    }
    c->driver->rollback(c);
    if (r == RC_OK)
        *out_ms = ms;
    return r;
}
