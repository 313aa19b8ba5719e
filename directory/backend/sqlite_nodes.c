/* Nodes, seats, account numbers and erases in SQLite. */
#include <inttypes.h>

#include "directory/backend/sqlite_db.h"

enum { COL_NAME, COL_URL, COL_ADDRESS, COL_TYPE, COL_POOLS, COL_STATE, COL_CAPACITY, COL_SEATS, COL_OPENED };

/* Runs a statement in a transaction of its own. RC_NOT_FOUND if it touched no row. */
static rc run_alone(struct sqlite_session *s, sqlite3_stmt *st, const char *what, struct err *e)
{
    SCOPED(db_rollback) struct db_txn t = { 0 };
    TRY(db_begin(s, &t, e));
    rc r = db_run(s, st, e);
    sqlite3_reset(st);
    TRY(r);
    if (sqlite3_changes(s->db) == 0)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "no such %s", what);
    return db_commit(&t, e);
}

/* ---- erases ---- */

static rc erases_of_deleted(struct sqlite_session *s, int64_t after_uid, erase_visitor *visit, void *arg,
                            bool *on, struct err *e)
{
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(s, ST_ERASES, &st, e));
    db_number(st, 1, after_uid);
    while (*on) {
        bool row;
        TRY(db_step(s, st, &row, e));
        if (!row)
            return RC_OK;
        *on = visit(arg, &(struct erase){ .account = VIEW_NONE,
                                          .uid = sqlite3_column_int64(st, 0),
                                          .node = db_column_lent(st, 1),
                                          .epoch = sqlite3_column_int64(st, 2),
                                          .since_ms = sqlite3_column_int64(st, 3),
                                          .seat = sqlite3_column_int(st, 4) != 0 });
    }
    return RC_OK;
}

static rc erases_of_living(struct sqlite_session *s, erase_visitor *visit, void *arg, bool *on, struct err *e)
{
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(s, ST_ERASE_VALUES, &st, e));
    while (*on) {
        bool row;
        struct erase x;
        TRY(db_step(s, st, &row, e));
        if (!row)
            return RC_OK;
        if (!erase_parse(db_column_lent(st, 1), &x))
            return fail(e, RC_BROKEN, RESP_GENERIC, "an heddleErase cannot be read");
        x.account = db_column_lent(st, 0);
        *on = visit(arg, &x);
    }
    return RC_OK;
}

rc sqlite_erases_each(struct backend_session *bs, erase_visitor *visit, void *arg, struct err *e)
{
    bool on = true;
    TRY(erases_of_deleted(own(bs), 0, visit, arg, &on, e));
    return erases_of_living(own(bs), visit, arg, &on, e);
}

rc sqlite_leftovers_each(struct backend_session *bs, int64_t after_uid, erase_visitor *visit, void *arg,
                         struct err *e)
{
    bool on = true;
    return erases_of_deleted(own(bs), after_uid, visit, arg, &on, e);
}

rc sqlite_erase_done(struct backend_session *bs, int64_t uid, struct err *e)
{
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(own(bs), ST_ERASE_DONE, &st, e));
    db_number(st, 1, uid);
    return run_alone(own(bs), st, "erase", e);
}

/* ---- nodes ---- */

static rc node_fill(sqlite3_stmt *st, struct arena *a, struct node_entry *out, struct err *e)
{
    struct node_entry n = {
        .name = db_column(st, COL_NAME, a),
        .url = db_column(st, COL_URL, a),
        .address = db_column(st, COL_ADDRESS, a),
        .node_type = db_column(st, COL_TYPE, a),
        .pools = db_column(st, COL_POOLS, a),
        .capacity = sqlite3_column_int64(st, COL_CAPACITY),
        .seats = sqlite3_column_int64(st, COL_SEATS),
        .opened_ms = sqlite3_column_int64(st, COL_OPENED),
    };
    if (!node_state_parse(db_column_lent(st, COL_STATE), &n.state))
        return fail(e, RC_BROKEN, RESP_GENERIC, "a node in a state that we do not know");
    *out = n;
    return RC_OK;
}

rc sqlite_node_get(struct backend_session *bs, view name, struct arena *a, struct node_entry *out,
                   struct err *e)
{
    bool row;
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(own(bs), ST_NODE_GET, &st, e));
    db_text(st, 1, name);
    TRY(db_step(own(bs), st, &row, e));
    if (!row)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "no such node");
    return node_fill(st, a, out, e);
}

rc sqlite_nodes_each(struct backend_session *bs, node_visitor *visit, void *arg, struct err *e)
{
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    SCOPED(arena_done) struct arena a;
    arena_init(&a, 64 * 1024);
    TRY(db_statement(own(bs), ST_NODES, &st, e));
    for (;;) {
        bool row;
        struct node_entry n;
        TRY(db_step(own(bs), st, &row, e));
        if (!row)
            return RC_OK;
        arena_reset(&a);
        TRY(node_fill(st, &a, &n, e));
        if (!visit(arg, &n))
            return RC_OK;
    }
}

rc sqlite_node_put(struct backend_session *bs, const struct node_entry *n, struct err *e)
{
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(own(bs), n->seats == SEATS_KEPT ? ST_NODE_CHANGE : ST_NODE_PUT, &st, e));
    db_text(st, 1, n->name);
    db_text(st, 2, n->url);
    db_text(st, 3, n->address);
    db_text(st, 4, n->node_type.p ? n->node_type : VIEW(""));
    db_text(st, 5, n->pools.p ? n->pools : VIEW(""));
    db_text(st, 6, view_of(node_state_name(n->state)));
    db_number(st, 7, n->capacity);
    db_number(st, 8, n->seats);
    db_number(st, 9, n->opened_ms);
    return run_alone(own(bs), st, "node", e);
}

rc sqlite_node_delete(struct backend_session *bs, view name, struct err *e)
{
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(own(bs), ST_NODE_DELETE, &st, e));
    db_text(st, 1, name);
    return run_alone(own(bs), st, "node", e);
}

/* ---- counters ---- */

/* One number; inside a transaction, where it is to be changed. RC_NOT_FOUND: no row. */
static rc read_number(struct sqlite_session *s, enum statement which, view key, int64_t *out, struct err *e)
{
    bool row;
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(s, which, &st, e));
    if (key.p)
        db_text(st, 1, key);
    TRY(db_step(s, st, &row, e));
    if (!row)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "no such entry");
    *out = sqlite3_column_int64(st, 0);
    return RC_OK;
}

rc sqlite_seats_take(struct backend_session *bs, view node, int64_t want, int64_t *out_got, struct err *e)
{
    struct sqlite_session *s = own(bs);
    int64_t seats;
    SCOPED(db_rollback) struct db_txn t = { 0 };
    TRY(db_begin(s, &t, e));
    TRY(read_number(s, ST_SEATS, node, &seats, e));
    int64_t got = want < seats ? want : seats;
    if (got > 0) {
        SCOPED(db_reset) sqlite3_stmt *st = NULL;
        TRY(db_statement(s, ST_SEATS_SET, &st, e));
        db_text(st, 1, node);
        db_number(st, 2, seats - got);
        TRY(db_run(s, st, e));
    }
    TRY(db_commit(&t, e));
    *out_got = got;
    return RC_OK;
}

rc sqlite_seats_give(struct backend_session *bs, view node, int64_t n, struct err *e)
{
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(own(bs), ST_SEATS_GIVE, &st, e));
    db_text(st, 1, node);
    db_number(st, 2, n);
    return run_alone(own(bs), st, "node", e);
}

rc sqlite_uid_next(struct backend_session *bs, int64_t count, int64_t *out_first, struct err *e)
{
    struct sqlite_session *s = own(bs);
    int64_t first;
    SCOPED(db_rollback) struct db_txn t = { 0 };
    TRY(db_begin(s, &t, e));
    rc r = read_number(s, ST_UID, VIEW_NONE, &first, e);
    if (r == RC_NOT_FOUND || (r == RC_OK && first > UID_MAX - count + 1))
        return fail(e, RC_BROKEN, RESP_GENERIC,
                    r == RC_OK ? "all uids are used up" : "the counter of uids is gone");
    TRY(r);
    {
        SCOPED(db_reset) sqlite3_stmt *st = NULL;
        TRY(db_statement(s, ST_UID_SET, &st, e));
        db_number(st, 1, first + count);
        TRY(db_run(s, st, e));
    }
    TRY(db_commit(&t, e));
    *out_first = first;
    return RC_OK;
}

rc sqlite_uid_peek(struct backend_session *bs, int64_t *out, struct err *e)
{
    rc r = read_number(own(bs), ST_UID, VIEW_NONE, out, e);
    if (r == RC_NOT_FOUND)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the counter of uids is gone");
    return r;
}
