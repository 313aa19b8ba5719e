/* Marks in SQLite. */
#include "directory/backend/sqlite_db.h"

rc sqlite_mark_put(struct backend_session *bs, view name, int64_t end_ms, struct err *e)
{
    struct sqlite_session *s = own(bs);
    SCOPED(db_rollback) struct db_txn t = { 0 };
    TRY(db_begin(s, &t, e));
    {
        SCOPED(db_reset) sqlite3_stmt *st = NULL;
        TRY(db_statement(s, ST_MARK_PUT, &st, e));
        db_text(st, 1, name);
        db_number(st, 2, end_ms);
        TRY(db_run(s, st, e));
    }
    if (sqlite3_changes(s->db) == 0)
        return fail(e, RC_CONFLICT, RESP_GENERIC, "it is marked already");
    return db_commit(&t, e);
}

rc sqlite_mark_there(struct backend_session *bs, view name, bool *out, struct err *e)
{
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(own(bs), ST_MARK_THERE, &st, e));
    db_text(st, 1, name);
    return db_step(own(bs), st, out, e);
}

rc sqlite_marks_sweep(struct backend_session *bs, int64_t before_ms, struct err *e)
{
    struct sqlite_session *s = own(bs);
    SCOPED(db_rollback) struct db_txn t = { 0 };
    TRY(db_begin(s, &t, e));
    {
        SCOPED(db_reset) sqlite3_stmt *st = NULL;
        TRY(db_statement(s, ST_MARKS_SWEEP, &st, e));
        db_number(st, 1, before_ms);
        TRY(db_run(s, st, e));
    }
    return db_commit(&t, e);
}
