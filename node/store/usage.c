/* Counting: exact, unexpired items only. */
#include <assert.h>

#include "node/store/internal.h"

static view coll_name(const struct head *h, int64_t number)
{
    for (size_t i = 0; i < h->n_colls; i++) {
        if (h->colls[i].number == number)
            return h->colls[i].name;
    }
    return VIEW_NONE;
}

rc store_usage(struct store_txn *tx, const struct coll_usage **out, size_t *out_n, struct err *e)
{
    const struct head *h = tx->head;
    struct coll_usage *list = arena_alloc(tx->arena, h->n_colls * sizeof *list);
    size_t n = 0;
    SCOPED(stmt_done) struct stmt *st = NULL;
    TRY(tx_stmt(tx, SQL_USAGE, &st, e));
    bind_int(st, 1, h->uid);
    bind_int(st, 2, tx->now_ms);
    for (;;) {
        bool row = false;
        TRY(stmt_step(st, &row, e));
        if (!row)
            break;
        view name = coll_name(h, col_int(st, 0));
        if (!name.p || n == h->n_colls)
            return fail(e, RC_BROKEN, RESP_GENERIC, "uid %lld has items in no collection", (long long)h->uid);
        list[n++] = (struct coll_usage){
            .name = name,
            .items = (uint64_t)col_int(st, 1),
            .bytes = (uint64_t)col_int(st, 2),
        };
    }
    *out = list;
    *out_n = n;
    return RC_OK;
}

rc store_used_exact(struct store_txn *tx, int64_t *out_bytes, struct err *e)
{
    struct stmt *st = NULL;
    int64_t bytes = 0;
    TRY(tx_stmt(tx, SQL_USED, &st, e));
    bind_int(st, 1, tx->head->uid);
    bind_int(st, 2, tx->now_ms);
    TRY(stmt_number(st, &bytes, NULL, e));
    if (tx->mode == STORE_WRITE && tx->head->used_bytes != bytes) {
        tx->head->used_bytes = bytes;
        tx->dirty = true;
    }
    *out_bytes = bytes;
    return RC_OK;
}
