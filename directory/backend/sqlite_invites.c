/* Invite codes in SQLite. */
#include "directory/backend/sqlite_db.h"

enum { COL_ID, COL_HASH, COL_NOTE, COL_BY, COL_USES, COL_LEFT, COL_MADE, COL_ENDS };
enum { INVITE_BYTES = 256 * 1024 };

static void fill(sqlite3_stmt *st, struct arena *a, struct invite *out)
{
    *out = (struct invite){
        .id = db_column(st, COL_ID, a),
        .hash = db_column(st, COL_HASH, a),
        .note = db_column(st, COL_NOTE, a),
        .by = db_column(st, COL_BY, a),
        .uses = sqlite3_column_int64(st, COL_USES),
        .left = sqlite3_column_int64(st, COL_LEFT),
        .made_ms = sqlite3_column_int64(st, COL_MADE),
        .end_ms = sqlite3_column_int64(st, COL_ENDS),
    };
}

static rc fill_takers(struct sqlite_session *s, struct arena *a, struct invite *x, struct err *e)
{
    size_t room = 0;
    view *takers = NULL;
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(s, ST_INVITE_TAKERS, &st, e));
    db_text(st, 1, x->id);
    for (;;) {
        bool row;
        TRY(db_step(s, st, &row, e));
        if (!row)
            break;
        if (x->n_takers == room) {
            room = room ? 2 * room : 8;
            view *more = arena_alloc(a, room * sizeof(view));
            if (takers)
                memcpy(more, takers, x->n_takers * sizeof(view));
            takers = more;
        }
        takers[x->n_takers++] = db_column(st, 0, a);
    }
    x->takers = takers;
    return RC_OK;
}

rc sqlite_invite_add(struct backend_session *bs, const struct invite *x, struct err *e)
{
    struct sqlite_session *s = own(bs);
    SCOPED(db_rollback) struct db_txn t = { 0 };
    TRY(db_begin(s, &t, e));
    {
        SCOPED(db_reset) sqlite3_stmt *st = NULL;
        TRY(db_statement(s, ST_INVITE_ADD, &st, e));
        db_text(st, 1 + COL_ID, x->id);
        db_text(st, 1 + COL_HASH, x->hash);
        db_text(st, 1 + COL_NOTE, x->note.n ? x->note : VIEW_NONE);
        db_text(st, 1 + COL_BY, x->by.n ? x->by : VIEW_NONE);
        db_number(st, 1 + COL_USES, x->uses);
        db_number(st, 1 + COL_LEFT, x->left);
        db_number(st, 1 + COL_MADE, x->made_ms);
        db_number(st, 1 + COL_ENDS, x->end_ms);
        TRY(db_run(s, st, e));
    }
    if (sqlite3_changes(s->db) == 0)
        return fail(e, RC_CONFLICT, RESP_GENERIC, "there is an invite code of that name");
    return db_commit(&t, e);
}

rc sqlite_invite_get(struct backend_session *bs, view id, struct arena *a, struct invite *out, struct err *e)
{
    struct sqlite_session *s = own(bs);
    struct invite x;
    bool row;
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(s, ST_INVITE_GET, &st, e));
    db_text(st, 1, id);
    TRY(db_step(s, st, &row, e));
    if (!row)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "no such invite code");
    fill(st, a, &x);
    TRY(fill_takers(s, a, &x, e));
    *out = x;
    return RC_OK;
}

/* RC_NOT_FOUND, RC_CONFLICT: no row was touched, because there is no such code, or for another reason. */
static rc one_row(struct sqlite_session *s, view id, struct err *e)
{
    bool row;
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    if (sqlite3_changes(s->db) > 0)
        return RC_OK;
    TRY(db_statement(s, ST_INVITE_GET, &st, e));
    db_text(st, 1, id);
    TRY(db_step(s, st, &row, e));
    return row ? fail(e, RC_CONFLICT, RESP_GENERIC, "the invite code was changed by somebody else")
               : fail(e, RC_NOT_FOUND, RESP_GENERIC, "no such invite code");
}

static rc change_left(struct sqlite_session *s, view id, const struct invite_change *c, struct err *e)
{
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(s, ST_INVITE_LEFT, &st, e));
    db_text(st, 1, id);
    db_number(st, 2, c->left);
    db_number(st, 3, c->wanted);
    TRY(db_run(s, st, e));
    return one_row(s, id, e);
}

static rc change_taker(struct sqlite_session *s, view id, const struct invite_change *c, struct err *e)
{
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(s, c->comes ? ST_INVITE_COMES : ST_INVITE_GOES, &st, e));
    db_text(st, 1, id);
    db_text(st, 2, c->taker);
    TRY(db_run(s, st, e));
    return one_row(s, id, e);
}

rc sqlite_invite_cas(struct backend_session *bs, view id, const struct invite_change *c, struct err *e)
{
    struct sqlite_session *s = own(bs);
    SCOPED(db_rollback) struct db_txn t = { 0 };
    TRY(db_begin(s, &t, e));
    if (c->left != c->wanted)
        TRY(change_left(s, id, c, e));
    TRY(change_taker(s, id, c, e));
    return db_commit(&t, e);
}

rc sqlite_invite_delete(struct backend_session *bs, view id, struct err *e)
{
    struct sqlite_session *s = own(bs);
    SCOPED(db_rollback) struct db_txn t = { 0 };
    TRY(db_begin(s, &t, e));
    {
        SCOPED(db_reset) sqlite3_stmt *st = NULL;
        TRY(db_statement(s, ST_INVITE_DELETE, &st, e));
        db_text(st, 1, id);
        TRY(db_run(s, st, e));
    }
    if (sqlite3_changes(s->db) == 0)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "no such invite code");
    return db_commit(&t, e);
}

rc sqlite_invites_each(struct backend_session *bs, invite_visitor *visit, void *arg, struct err *e)
{
    struct sqlite_session *s = own(bs);
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    SCOPED(arena_done) struct arena a;
    arena_init(&a, INVITE_BYTES);
    TRY(db_statement(s, ST_INVITES, &st, e));
    for (;;) {
        bool row;
        struct invite x;
        TRY(db_step(s, st, &row, e));
        if (!row)
            return RC_OK;
        arena_reset(&a);
        fill(st, &a, &x);
        TRY(fill_takers(s, &a, &x, e));
        if (a.spent)
            return fail(e, RC_BROKEN, RESP_GENERIC, "an invite code with too many takers");
        if (!visit(arg, &x))
            return RC_OK;
    }
}
