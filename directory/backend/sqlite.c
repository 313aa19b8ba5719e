/* Accounts in SQLite. What is generic about SQLite is in sqlite_db.c, nodes and counters are in sqlite_nodes.c. */
#include "directory/backend/backend.h"

#include <inttypes.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "directory/backend/sqlite_db.h"

/* Columns of ACCOUNT_COLUMNS (sqlite_db.c). */
enum {
    COL_ID,
    COL_NAME,
    COL_UID,
    COL_MAIL,
    COL_HAS_PASSWORD,
    COL_ENABLED,
    COL_NODE,
    COL_PLACED,
    COL_CREATED,
    COL_PASSWORD_SINCE,
    COL_EPOCH,
    COL_INTENT,
    COL_CLIENT_STATE,
    COL_GENERATION,
    COL_KEYS_CHANGED,
    COL_RESET,
    COL_DISABLED
};

/* The column behind an attribute; NULL: kept in account_values. */
static const char *const attr_columns[ATTR_N] = {
    [ATTR_UID_NUMBER] = "uid",        [ATTR_MAIL] = "mail",
    [ATTR_ENABLED] = "enabled",       [ATTR_NODE] = "node",
    [ATTR_PLACED] = "placed",         [ATTR_EPOCH] = "epoch",
    [ATTR_INTENT] = "intent",         [ATTR_CLIENT_STATE] = "client_state",
    [ATTR_GENERATION] = "generation", [ATTR_KEYS_CHANGED] = "keys_changed",
    [ATTR_RESET] = "reset",           [ATTR_DISABLED] = "disabled",
};

/* ---- life ---- */

static void sqlite_close(struct backend *b)
{
    struct sqlite_backend *x = (struct sqlite_backend *)b;
    pthread_mutex_destroy(&x->writing);
    free(x->path);
    free(x);
}

static rc sqlite_open(const struct backend_conf *c, struct backend **out, struct err *e)
{
    sqlite3 *db;
    TRY(db_open(c->path, &db, e));
    rc r = db_migrate(db, c->path, e);
    sqlite3_close(db);
    TRY(r);
    struct sqlite_backend *b = mem_need(calloc(1, sizeof(*b)));
    b->base.driver = &backend_sqlite;
    b->path = mem_need(strdup(c->path));
    b->cost = c->cost;
    b->clock = c->clock;
    pthread_mutex_init(&b->writing, NULL);
    *out = &b->base;
    return RC_OK;
}

static void sqlite_session_close(struct backend_session *bs)
{
    struct sqlite_session *s = own(bs);
    for (int i = 0; i < ST_N; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    free(s);
}

static rc sqlite_session_open(struct backend *bb, struct backend_session **out, struct err *e)
{
    struct sqlite_backend *b = (struct sqlite_backend *)bb;
    sqlite3 *db;
    TRY(db_open(b->path, &db, e));
    struct sqlite_session *s = mem_need(calloc(1, sizeof(*s)));
    s->base.driver = &backend_sqlite;
    s->backend = b;
    s->db = db;
    *out = &s->base;
    return RC_OK;
}

static rc sqlite_ping(struct backend_session *bs, struct err *e)
{
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(own(bs), ST_PING, &st, e));
    return db_run(own(bs), st, e);
}

/* ---- reading ---- */

static void account_fill(sqlite3_stmt *st, struct arena *a, struct account *out)
{
    *out = (struct account){
        .name = db_column(st, COL_NAME, a),
        .uid = sqlite3_column_int64(st, COL_UID),
        .mail = db_column(st, COL_MAIL, a),
        .enabled = view_eq(db_column_lent(st, COL_ENABLED), VIEW("Yes")),
        .has_password = sqlite3_column_int(st, COL_HAS_PASSWORD) != 0,
        .node = db_column(st, COL_NODE, a),
        .placed = db_column(st, COL_PLACED, a),
        .created_ms = sqlite3_column_int64(st, COL_CREATED),
        .password_since_ms = sqlite3_column_int64(st, COL_PASSWORD_SINCE),
        .epoch = sqlite3_column_int64(st, COL_EPOCH),
        .intent = db_column(st, COL_INTENT, a),
        .client_state = db_column(st, COL_CLIENT_STATE, a),
        .generation = sqlite3_column_int64(st, COL_GENERATION),
        .keys_changed = sqlite3_column_int64(st, COL_KEYS_CHANGED),
        .reset = db_column(st, COL_RESET, a),
        .disabled_ms = sqlite3_column_int64(st, COL_DISABLED),
    };
}

struct values {
    view *items;
    size_t n, room;
};

static void values_add(struct arena *a, struct values *v, view value)
{
    if (v->n == v->room) {
        size_t room = v->room ? 2 * v->room : 8;
        view *more = arena_alloc(a, room * sizeof(view));
        if (v->n)
            memcpy(more, v->items, v->n * sizeof(view));
        v->items = more;
        v->room = room;
    }
    v->items[v->n++] = arena_copy(a, value);
}

static rc account_values(struct sqlite_session *s, int64_t id, struct arena *a, struct account *out,
                         struct err *e)
{
    struct values old = { 0 }, erases = { 0 };
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(s, ST_VALUES, &st, e));
    db_number(st, 1, id);
    for (;;) {
        bool row;
        TRY(db_step(s, st, &row, e));
        if (!row)
            break;
        bool is_old = view_eq(db_column_lent(st, 0), VIEW("heddleOldState"));
        values_add(a, is_old ? &old : &erases, db_column_lent(st, 1));
    }
    if (old.n > 1)
        qsort(old.items, old.n, sizeof(view), old_state_order);
    out->old_states = old.items;
    out->n_old_states = old.n;
    out->erases = erases.items;
    out->n_erases = erases.n;
    return RC_OK;
}

static rc sqlite_account_get(struct backend_session *bs, enum account_key by, view key, struct arena *a,
                             struct account *out, struct err *e)
{
    static const enum statement which[] = { ST_BY_NAME, ST_BY_UID, ST_BY_MAIL };
    struct sqlite_session *s = own(bs);
    struct account found;
    bool row;
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(s, which[by], &st, e));
    db_text(st, 1, key);
    TRY(db_step(s, st, &row, e));
    if (!row)
        return fail(e, RC_NOT_FOUND, RESP_USERNAME, "no such account");
    int64_t id = sqlite3_column_int64(st, COL_ID);
    account_fill(st, a, &found);
    if (by == ACCOUNT_BY_MAIL) {
        TRY(db_step(s, st, &row, e));
        if (row)
            return fail(e, RC_CONFLICT, RESP_GENERIC, "several accounts have this mail address");
    }
    TRY(account_values(s, id, a, &found, e));
    *out = found;
    return RC_OK;
}

/* There is one truth here, and nobody remembers anything of it. */
static void sqlite_account_changed(struct backend_session *bs, view name)
{
    (void)bs;
    (void)name;
}

/* SQLite keeps no groups. */
static rc sqlite_account_in_group(struct backend_session *bs, view name, view group, struct arena *a,
                                  bool *out, struct err *e)
{
    (void)bs, (void)name, (void)group, (void)a, (void)e;
    *out = false;
    return RC_OK;
}

/* The id of an account, inside a transaction. */
static rc account_id(struct sqlite_session *s, view name, int64_t *out_id, struct err *e)
{
    bool row;
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(s, ST_IDENTITY, &st, e));
    db_text(st, 1, name);
    TRY(db_step(s, st, &row, e));
    if (!row)
        return fail(e, RC_NOT_FOUND, RESP_USERNAME, "no such account");
    *out_id = sqlite3_column_int64(st, 0);
    return RC_OK;
}

/* ---- passwords ---- */

static rc stored_password(struct sqlite_session *s, view name, struct arena *a, view *out, struct err *e)
{
    bool row;
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(s, ST_PASSWORD, &st, e));
    db_text(st, 1, name);
    TRY(db_step(s, st, &row, e));
    *out = row ? db_column(st, 0, a) : VIEW_NONE;
    return RC_OK;
}

/* Only over the hash that was checked: a password that was changed meanwhile stays. */
static rc upgrade_password(struct sqlite_session *s, view name, view password, view old, struct err *e)
{
    SCOPED(buf_done) struct buf hash = { 0 };
    SCOPED(db_rollback) struct db_txn t = { 0 };
    TRY(password_hash(password, &s->backend->cost, &hash, e));
    TRY(db_begin(s, &t, e));
    {
        SCOPED(db_reset) sqlite3_stmt *st = NULL;
        TRY(db_statement(s, ST_PASSWORD_UPGRADE, &st, e));
        db_text(st, 1, name);
        db_text(st, 2, buf_view(&hash));
        db_text(st, 3, old);
        TRY(db_run(s, st, e));
    }
    return db_commit(&t, e);
}

static rc sqlite_account_check_password(struct backend_session *bs, view name, view password, struct arena *a,
                                        struct account *out, struct err *e)
{
    struct sqlite_session *s = own(bs);
    const struct password_cost *cost = &s->backend->cost;
    enum password_verdict verdict = PASSWORD_WRONG;
    struct account found;
    view stored;
    TRY(stored_password(s, name, a, &stored, e));
    if (stored.p)
        TRY(password_check(password, stored, cost, &verdict, e));
    else
        TRY(password_waste(password, cost, e));
    if (verdict == PASSWORD_WRONG)
        return fail(e, RC_DENIED, RESP_GENERIC, "unknown name or wrong password");
    rc r = sqlite_account_get(bs, ACCOUNT_BY_NAME, name, a, &found, e);
    if (r == RC_NOT_FOUND || (r == RC_OK && !found.enabled))
        return fail(e, RC_DENIED, RESP_GENERIC, r == RC_OK ? "the account is disabled" : "deleted meanwhile");
    TRY(r);
    if (verdict == PASSWORD_RIGHT_OLD)
        TRY(upgrade_password(s, name, password, stored, e));
    *out = found;
    return RC_OK;
}

static rc sqlite_account_password_kept(struct backend_session *bs, view name, struct arena *a, view *out,
                                       struct err *e)
{
    return stored_password(own(bs), name, a, out, e);
}

static rc sqlite_account_set_password(struct backend_session *bs, view name, view password, struct err *e)
{
    struct sqlite_session *s = own(bs);
    SCOPED(buf_done) struct buf hash = { 0 };
    SCOPED(db_rollback) struct db_txn t = { 0 };
    TRY(password_hash(password, &s->backend->cost, &hash, e));
    TRY(db_begin(s, &t, e));
    {
        SCOPED(db_reset) sqlite3_stmt *st = NULL;
        TRY(db_statement(s, ST_PASSWORD_SET, &st, e));
        db_text(st, 1, name);
        db_text(st, 2, buf_view(&hash));
        db_number(st, 3, clock_now_us(s->backend->clock) / 1000);
        TRY(db_run(s, st, e));
    }
    if (sqlite3_changes(s->db) == 0)
        return fail(e, RC_NOT_FOUND, RESP_USERNAME, "no such account");
    return db_commit(&t, e);
}

/* ---- life of an account ---- */

static rc sqlite_account_add(struct backend_session *bs, const struct account_new *n, struct err *e)
{
    struct sqlite_session *s = own(bs);
    SCOPED(buf_done) struct buf hash = { 0 };
    SCOPED(db_rollback) struct db_txn t = { 0 };
    if (n->password.p)
        TRY(password_hash(n->password, &s->backend->cost, &hash, e));
    TRY(db_begin(s, &t, e));
    {
        SCOPED(db_reset) sqlite3_stmt *st = NULL;
        TRY(db_statement(s, ST_ADD, &st, e));
        db_text(st, 1, n->name);
        db_number(st, 2, n->uid);
        db_text(st, 3, n->mail.n ? n->mail : VIEW_NONE);
        db_text(st, 4, n->password.p ? buf_view(&hash) : VIEW_NONE);
        db_text(st, 5, n->node.n ? n->node : VIEW_NONE);
        db_text(st, 6, n->placed.n ? n->placed : VIEW_NONE);
        db_number(st, 7, n->created_ms);
        db_number_or_null(st, 8, n->password.p ? n->created_ms : 0);
        db_number(st, 9, n->epoch);
        db_text(st, 10, n->client_state.n ? n->client_state : VIEW_NONE);
        db_number_or_null(st, 11, n->generation);
        db_number_or_null(st, 12, n->keys_changed);
        TRY(db_run(s, st, e));
    }
    if (sqlite3_changes(s->db) == 0)
        return fail(e, RC_CONFLICT, RESP_OVERWRITE, "the account exists already");
    return db_commit(&t, e);
}

static rc leave_erase(struct sqlite_session *s, const struct erase *x, struct err *e)
{
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(s, ST_ERASE_ADD, &st, e));
    db_number(st, 1, x->uid);
    db_text(st, 2, x->node);
    db_number(st, 3, x->epoch);
    db_number(st, 4, x->since_ms);
    db_number(st, 5, x->seat);
    return db_run(s, st, e);
}

static rc sqlite_account_delete(struct backend_session *bs, view name, int64_t uid, int64_t since_ms,
                                struct err *e)
{
    struct sqlite_session *s = own(bs);
    struct account acc;
    int64_t id;
    SCOPED(arena_done) struct arena a;
    arena_init(&a, 256 * 1024);
    SCOPED(db_rollback) struct db_txn t = { 0 };
    TRY(db_begin(s, &t, e));
    TRY(account_id(s, name, &id, e));
    TRY(sqlite_account_get(bs, ACCOUNT_BY_NAME, name, &a, &acc, e));
    if (acc.uid != uid)
        return fail(e, RC_CONFLICT, RESP_GENERIC, "the account has another uid by now");
    if (acc.node.p)
        TRY(leave_erase(
            s,
            &(struct erase){
                .node = acc.node, .uid = uid, .epoch = acc.epoch, .since_ms = since_ms, .seat = true },
            e));
    for (size_t i = 0; i < acc.n_erases; i++) {
        struct erase x;
        if (!erase_parse(acc.erases[i], &x))
            return fail(e, RC_BROKEN, RESP_GENERIC, "an heddleErase of account %" PRId64 " cannot be read",
                        uid);
        if (x.uid != uid)
            TRY(leave_erase(s, &x, e));
    }
    {
        SCOPED(db_reset) sqlite3_stmt *st = NULL;
        TRY(db_statement(s, ST_DELETE, &st, e));
        db_number(st, 1, id);
        TRY(db_run(s, st, e));
    }
    if (a.spent)
        return fail(e, RC_BROKEN, RESP_GENERIC, "account %" PRId64 " has too many values", uid);
    return db_commit(&t, e);
}

/* ---- compare and set ---- */

/* One UPDATE with the expected values in its WHERE: "node IS ?" also compares with absent. */
static rc change_columns(struct sqlite_session *s, int64_t id, const struct change *changes, size_t n,
                         struct err *e)
{
    SCOPED(buf_done) struct buf sql = { 0 };
    sqlite3_stmt *st = NULL;
    size_t columns = 0;
    buf_add(&sql, VIEW("UPDATE accounts SET id = id"));
    for (size_t i = 0; i < n; i++)
        if (attr_columns[changes[i].attr]) {
            buf_addf(&sql, ", %s = ?%zu", attr_columns[changes[i].attr], 2 * i + 1);
            columns++;
        }
    buf_addf(&sql, " WHERE id = %" PRId64, id);
    for (size_t i = 0; i < n; i++)
        if (attr_columns[changes[i].attr])
            buf_addf(&sql, " AND %s IS ?%zu", attr_columns[changes[i].attr], 2 * i + 2);
    if (columns == 0)
        return RC_OK;
    if (sqlite3_prepare_v2(s->db, buf_text(&sql), -1, &st, NULL) != SQLITE_OK)
        return db_fail(s->db, e, "preparing a change");
    for (size_t i = 0; i < n; i++)
        if (attr_columns[changes[i].attr]) {
            db_text(st, (int)(2 * i + 1), changes[i].wanted);
            db_text(st, (int)(2 * i + 2), changes[i].expected);
        }
    rc r = db_run(s, st, e);
    sqlite3_finalize(st);
    if (r == RC_OK && sqlite3_changes(s->db) == 0)
        return fail(e, RC_CONFLICT, RESP_GENERIC, "the account was changed by somebody else");
    return r;
}

static rc change_value(struct sqlite_session *s, int64_t id, const struct change *c, struct err *e)
{
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(s, c->wanted.p ? ST_VALUE_ADD : ST_VALUE_DELETE, &st, e));
    db_number(st, 1, id);
    db_text(st, 2, view_of(account_attr_name(c->attr)));
    db_text(st, 3, c->wanted.p ? c->wanted : c->expected);
    TRY(db_run(s, st, e));
    if (sqlite3_changes(s->db) == 0)
        return fail(e, RC_CONFLICT, RESP_GENERIC, "a value of %s is %s", account_attr_name(c->attr),
                    c->wanted.p ? "there already" : "not there");
    return RC_OK;
}

static rc sqlite_account_cas(struct backend_session *bs, view name, const struct change *changes, size_t n,
                             struct err *e)
{
    struct sqlite_session *s = own(bs);
    int64_t id;
    SCOPED(db_rollback) struct db_txn t = { 0 };
    TRY(db_begin(s, &t, e));
    TRY(account_id(s, name, &id, e));
    TRY(change_columns(s, id, changes, n, e));
    for (size_t i = 0; i < n; i++)
        if (account_attr_many(changes[i].attr))
            TRY(change_value(s, id, &changes[i], e));
    return db_commit(&t, e);
}

/* ---- walking ---- */

static rc sqlite_accounts_each(struct backend_session *bs, const struct account_filter *f,
                               account_visitor *visit, void *arg, struct err *e)
{
    struct sqlite_session *s = own(bs);
    enum statement which = f->node.p              ? ST_ON_NODE
                           : f->with_intent       ? ST_WITH_INTENT
                           : f->with_erase        ? ST_WITH_ERASE
                           : f->disabled_since_ms ? ST_DISABLED
                           : f->begins.p          ? ST_BEGINS
                                                  : ST_ALL;
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    SCOPED(arena_done) struct arena a;
    arena_init(&a, 256 * 1024);
    TRY(db_statement(s, which, &st, e));
    if (f->node.p)
        db_text(st, 1, f->node);
    if (f->disabled_since_ms)
        db_number(st, 1, f->disabled_since_ms);
    if (f->begins.p)
        db_text(st, 1, f->begins);
    db_text(st, 2, f->after.p ? f->after : VIEW(""));
    for (;;) {
        bool row;
        struct account acc;
        TRY(db_step(s, st, &row, e));
        if (!row)
            return RC_OK;
        arena_reset(&a);
        account_fill(st, &a, &acc);
        TRY(account_values(s, sqlite3_column_int64(st, COL_ID), &a, &acc, e));
        if (a.spent)
            return fail(e, RC_BROKEN, RESP_GENERIC, "an account with too many values");
        if (!visit(arg, &acc))
            return RC_OK;
    }
}

const struct backend_driver backend_sqlite = {
    .name = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .session_open = sqlite_session_open,
    .session_close = sqlite_session_close,
    .ping = sqlite_ping,
    .account_get = sqlite_account_get,
    .account_truth = sqlite_account_get,
    .account_changed = sqlite_account_changed,
    .account_in_group = sqlite_account_in_group,
    .account_add = sqlite_account_add,
    .account_delete = sqlite_account_delete,
    .account_check_password = sqlite_account_check_password,
    .account_set_password = sqlite_account_set_password,
    .account_password_kept = sqlite_account_password_kept,
    .account_cas = sqlite_account_cas,
    .accounts_each = sqlite_accounts_each,
    .erases_each = sqlite_erases_each,
    .leftovers_each = sqlite_leftovers_each,
    .erase_done = sqlite_erase_done,
    .node_get = sqlite_node_get,
    .nodes_each = sqlite_nodes_each,
    .node_put = sqlite_node_put,
    .node_delete = sqlite_node_delete,
    .seats_take = sqlite_seats_take,
    .seats_give = sqlite_seats_give,
    .uid_next = sqlite_uid_next,
    .uid_peek = sqlite_uid_peek,
    .invite_add = sqlite_invite_add,
    .invite_get = sqlite_invite_get,
    .invite_cas = sqlite_invite_cas,
    .invite_delete = sqlite_invite_delete,
    .invites_each = sqlite_invites_each,
    .mark_put = sqlite_mark_put,
    .mark_there = sqlite_mark_there,
    .marks_sweep = sqlite_marks_sweep,
};
