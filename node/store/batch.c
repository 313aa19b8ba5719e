/* Batches: parts of one upload that become visible together. Protocol: Storage API 1.5, "Batch upload".
 *
 * What is appended is kept as it came, packed, a run of records (patches.h) in each row of batch_items, under the number of records that
 * came before it. The commit puts run after run as if each were a POST of its own at T, so later fields win over earlier ones; it needs no
 * order but these numbers, and sees whether all is there.
 *
 * Programs of before kept a row for each record in the same tables. Their batches have ids of 22 characters, ours of 24, and each of the
 * two takes an id of the other's length for that of no batch: so while processes of a node are replaced one by one, none commits what it
 * cannot read, and each drops and purges both kinds, which are rows with the same keys to it. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/encode.h"
#include "common/base/rand.h"
#include "node/store/internal.h"
#include "node/store/patches.h"

static rc no_such_batch(struct err *e)
{
    return fail(e, RC_NOT_FOUND, RESP_GENERIC, "no such batch");
}

rc store_batch_open(struct store_txn *tx, view coll, char out_id[BATCH_ID_TEXT + 1], struct err *e)
{
    unsigned char bytes[BATCH_ID_BYTES];
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
        return no_such_batch(e);
    *out = (struct batch_totals){ .items = (uint64_t)col_int(st, 0), .bytes = (uint64_t)col_int(st, 1) };
    return RC_OK;
}

rc store_batch_totals(struct store_txn *tx, view coll, view batch_id, int64_t life_s,
                      struct batch_totals *out, struct err *e)
{
    return get_totals(tx, coll, batch_id, tx->now_ms - life_s * 1000, out, e);
}

/* ---- runs of records ---- */

static rc put_run(struct store_txn *tx, view batch_id, size_t offset, view run, struct err *e)
{
    struct stmt *st = NULL;
    uint64_t rows = 0;
    TRY(tx_stmt(tx, SQL_BATCH_PUT, &st, e));
    bind_int(st, 1, tx->head->uid);
    bind_bytes(st, 2, batch_id);
    bind_int(st, 3, (int64_t)offset);
    bind_bytes(st, 4, run);
    TRY(stmt_run(st, &rows, e));
    return rows == 1 ? RC_OK : no_such_batch(e);
}

static rc damaged(const struct store_txn *tx, view batch_id, struct err *e)
{
    return fail(e, RC_BROKEN, RESP_GENERIC, "batch %.*s of uid %lld is damaged: it cannot be committed",
                VIEW_ARG(batch_id), (long long)tx->head->uid);
}

/* The run that begins with that record. */
static rc get_run(struct store_txn *tx, view batch_id, uint64_t first, struct buf *out, struct err *e)
{
    SCOPED(stmt_done) struct stmt *st = NULL;
    bool row = false;
    char key[24];
    int n = snprintf(key, sizeof key, "%010" PRIu64, first);
    TRY(tx_stmt(tx, SQL_BATCH_RUN, &st, e));
    bind_int(st, 1, tx->head->uid);
    bind_bytes(st, 2, batch_id);
    bind_bytes(st, 3, (view){ .p = key, .n = (size_t)n });
    TRY(stmt_step(st, &row, e));
    buf_clear(out);
    if (!row)
        return damaged(tx, batch_id, e);
    buf_add(out, col_bytes(st, 0));
    return RC_OK;
}

/* Puts all that was appended, one run after the other, so that no more than one is in memory; exactly what was counted. */
static rc put_runs(struct store_txn *tx, view coll, view batch_id, const struct batch_totals *totals,
                   bool *stillborn, struct err *e)
{
    SCOPED(buf_done) struct buf run = { 0 };
    size_t cap = totals->items < RUN_RECORDS ? (size_t)totals->items : RUN_RECORDS;
    struct item_patch *patches = arena_alloc(tx->arena, cap * sizeof *patches);
    struct batch_totals done = { .items = 0 };
    while (done.items < totals->items) {
        uint64_t left = totals->items - done.items;
        size_t n = 0;
        TRY(get_run(tx, batch_id, done.items, &run, e));
        if (!run_unpack(buf_view(&run), left < cap ? (size_t)left : cap, patches, &n))
            return damaged(tx, batch_id, e);
        TRY(tx_batch_put(tx, coll, patches, n, stillborn, e));
        done.items += n;
        done.bytes += (uint64_t)patches_bytes(patches, n);
    }
    return done.bytes == totals->bytes ? RC_OK : damaged(tx, batch_id, e);
}

/* ---- appending, committing ---- */

rc store_batch_append(struct store_txn *tx, view batch_id, const struct item_patch *patches, size_t n,
                      struct err *e)
{
    SCOPED(buf_done) struct buf run = { 0 };
    struct stmt *st = NULL;
    for (size_t done = 0, some; done < n; done += some) {
        buf_clear(&run);
        some = run_pack(patches + done, n - done, &run);
        TRY(put_run(tx, batch_id, done, buf_view(&run), e));
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
    return store_batch_finish(tx, coll, batch_id, NULL, 0, e);
}

rc store_batch_finish(struct store_txn *tx, view coll, view batch_id, const struct item_patch *patches,
                      size_t n, struct err *e)
{
    struct batch_totals totals;
    bool stillborn = false;
    TRY(get_totals(tx, coll, batch_id, INT64_MIN, &totals, e));
    TRY(put_runs(tx, coll, batch_id, &totals, &stillborn, e));
    TRY(tx_batch_put(tx, coll, patches, n, &stillborn, e)); /* of none, too: the collection gets T */
    if (stillborn)
        TRY(tx_batch_settle(tx, coll, e));
    TRY(tx_run_text(tx, SQL_BATCH_DROP_ITEMS, batch_id, e));
    return tx_run_text(tx, SQL_BATCH_DROP, batch_id, e);
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
