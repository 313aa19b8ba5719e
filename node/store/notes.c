/* Facts of the whole node, and what is set for one user: upkeep that is no step of a move. */
#include <assert.h>

#include "node/store/internal.h"

rc store_note_get(struct store_session *ss, view name, struct arena *a, view *out, struct err *e)
{
    struct conn *c = NULL;
    assert(!ss->in_txn);
    TRY(session_begin(ss, 0, STORE_READ, &c, e));
    struct stmt *st = NULL;
    bool row = false;
    view value = VIEW_NONE;
    rc r = conn_stmt(c, SQL_NOTE_GET, &st, e);
    if (r == RC_OK) {
        bind_bytes(st, 1, name);
        r = stmt_step(st, &row, e);
    }
    if (r == RC_OK && row)
        value = arena_copy(a, col_bytes(st, 0));
    stmt_done(st);
    c->driver->rollback(c);
    if (r == RC_OK)
        *out = value;
    return r;
}

rc store_note_put(struct store_session *ss, view name, view value, struct err *e)
{
    struct conn *c = NULL;
    struct stmt *st = NULL;
    assert(!ss->in_txn && name.n > 0 && name.n <= NOTE_NAME_MAX && value.n <= NOTE_VALUE_MAX);
    TRY(session_begin(ss, 0, STORE_WRITE, &c, e));
    rc r = conn_stmt(c, value.p ? SQL_NOTE_PUT : SQL_NOTE_DROP, &st, e);
    if (r == RC_OK) {
        bind_bytes(st, 1, name);
        if (value.p)
            bind_bytes(st, 2, value);
        r = stmt_run(st, NULL, e);
    }
    if (r == RC_OK)
        r = c->driver->commit(c, e);
    else
        c->driver->rollback(c);
    return r == RC_UNSURE ? RC_AWAY : r; /* put again, it is the same */
}

rc store_quota_set(struct store_session *ss, int64_t uid, int64_t quota_bytes, struct arena *a, struct err *e)
{
    SCOPED(store_rollback) struct store_txn *tx = NULL;
    bool found = false;
    assert(quota_bytes >= -1);
    TRY(tx_open(ss, uid, STORE_WRITE, a, &tx, &found, e));
    if (!found)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "uid %lld has nothing here yet", (long long)uid);
    if (tx->head->state != HEAD_ACTIVE)
        return fail(e, RC_CONFLICT, RESP_GENERIC, "the head of uid %lld is %s", (long long)uid,
                    head_state_name(tx->head->state));
    TRY(tx_run_number(tx, SQL_HEAD_QUOTA, quota_bytes, e));
    rc r = store_commit(&tx, e);
    return r == RC_UNSURE ? RC_AWAY : r;
}
