/* Inside of the SQLite driver: a connection for each session, statements by name, transactions, migrations.
 * Writers take the process's lock before BEGIN IMMEDIATE, so that they wait for each other instead of polling the file;
 * another process that has the file open is waited for by SQLite's own busy handler. */
#ifndef HEDDLE_BACKEND_SQLITE_DB_H
#define HEDDLE_BACKEND_SQLITE_DB_H

#include <pthread.h>
#include <sqlite3.h>

#include "directory/backend/backend.h"

enum statement {
    ST_BEGIN,
    ST_COMMIT,
    ST_ROLLBACK,
    ST_PING,
    ST_BY_NAME,
    ST_BY_UID,
    ST_BY_MAIL,
    ST_VALUES,
    ST_ADD,
    ST_IDENTITY,
    ST_DELETE,
    ST_ERASE_ADD,
    ST_ERASE_DONE,
    ST_PASSWORD,
    ST_PASSWORD_SET,
    ST_PASSWORD_UPGRADE,
    ST_VALUE_ADD,
    ST_VALUE_DELETE,
    ST_ON_NODE,
    ST_WITH_INTENT,
    ST_WITH_ERASE,
    ST_ALL,
    ST_DISABLED,
    ST_BEGINS,
    ST_ERASES,
    ST_ERASE_VALUES,
    ST_NODE_GET,
    ST_NODES,
    ST_NODE_PUT,
    ST_NODE_CHANGE,
    ST_NODE_DELETE,
    ST_SEATS,
    ST_SEATS_SET,
    ST_SEATS_GIVE,
    ST_UID,
    ST_UID_SET,
    ST_INVITE_ADD,
    ST_INVITE_GET,
    ST_INVITES,
    ST_INVITE_TAKERS,
    ST_INVITE_LEFT,
    ST_INVITE_COMES,
    ST_INVITE_GOES,
    ST_INVITE_DELETE,
    ST_MARK_PUT,
    ST_MARK_THERE,
    ST_MARKS_SWEEP,
    ST_N
};

struct sqlite_backend {
    struct backend base; /* first */
    char *path;
    struct password_cost cost;
    const struct clock *clock;
    pthread_mutex_t writing; /* held from BEGIN IMMEDIATE to COMMIT; no other lock is taken inside */
};

struct sqlite_session {
    struct backend_session base; /* first */
    struct sqlite_backend *backend;
    sqlite3 *db;
    sqlite3_stmt *statements[ST_N]; /* prepared when first needed */
};

static inline struct sqlite_session *own(struct backend_session *s)
{
    return (struct sqlite_session *)s;
}

rc db_open(const char *path, sqlite3 **out, struct err *e);
rc db_migrate(sqlite3 *db, const char *path, struct err *e);
/* A failure of SQLite as an rc. */
rc db_fail(sqlite3 *db, struct err *e, const char *doing);

/* The statement, reset and without bindings. */
rc db_statement(struct sqlite_session *s, enum statement which, sqlite3_stmt **out, struct err *e);
/* VIEW_NONE binds NULL; borrowed until the statement is reset */
void db_text(sqlite3_stmt *st, int at, view v);
void db_number(sqlite3_stmt *st, int at, int64_t n);
void db_number_or_null(sqlite3_stmt *st, int at, int64_t n); /* 0 binds NULL */
/* One step: RC_OK with *out_row. Resets the statement when it is done. */
rc db_step(struct sqlite_session *s, sqlite3_stmt *st, bool *out_row, struct err *e);
/* Runs a statement that answers nothing. */
rc db_run(struct sqlite_session *s, sqlite3_stmt *st, struct err *e);
view db_column(sqlite3_stmt *st, int at, struct arena *a); /* copied; VIEW_NONE for NULL */
view db_column_lent(sqlite3_stmt *st, int at);             /* lives until the next step */

static inline void db_reset_scoped(sqlite3_stmt **st) /* SCOPED(db_reset) sqlite3_stmt *st = NULL; */
{
    if (*st) {
        sqlite3_reset(*st);
        sqlite3_clear_bindings(*st);
    }
}

/* A writing transaction. Leaving the scope without db_commit rolls it back. */
struct db_txn {
    struct sqlite_session *s; /* NULL: over */
};
rc db_begin(struct sqlite_session *s, struct db_txn *out, struct err *e);
rc db_commit(struct db_txn *t, struct err *e);
void db_rollback_scoped(struct db_txn *t); /* SCOPED(db_rollback) struct db_txn t = { 0 }; */

/* sqlite_nodes.c */
rc sqlite_erases_each(struct backend_session *bs, erase_visitor *visit, void *arg, struct err *e);
rc sqlite_leftovers_each(struct backend_session *bs, int64_t after_uid, erase_visitor *visit, void *arg,
                         struct err *e);
rc sqlite_erase_done(struct backend_session *bs, int64_t uid, struct err *e);
rc sqlite_node_get(struct backend_session *bs, view name, struct arena *a, struct node_entry *out,
                   struct err *e);
rc sqlite_nodes_each(struct backend_session *bs, node_visitor *visit, void *arg, struct err *e);
rc sqlite_node_put(struct backend_session *bs, const struct node_entry *n, struct err *e);
rc sqlite_node_delete(struct backend_session *bs, view name, struct err *e);
rc sqlite_seats_take(struct backend_session *bs, view node, int64_t want, int64_t *out_got, struct err *e);
rc sqlite_seats_give(struct backend_session *bs, view node, int64_t n, struct err *e);
rc sqlite_uid_next(struct backend_session *bs, int64_t count, int64_t *out_first, struct err *e);
rc sqlite_uid_peek(struct backend_session *bs, int64_t *out, struct err *e);

/* sqlite_marks.c */
rc sqlite_mark_put(struct backend_session *bs, view name, int64_t end_ms, struct err *e);
rc sqlite_mark_there(struct backend_session *bs, view name, bool *out, struct err *e);
rc sqlite_marks_sweep(struct backend_session *bs, int64_t before_ms, struct err *e);

/* sqlite_invites.c */
rc sqlite_invite_add(struct backend_session *bs, const struct invite *x, struct err *e);
rc sqlite_invite_get(struct backend_session *bs, view id, struct arena *a, struct invite *out, struct err *e);
rc sqlite_invite_cas(struct backend_session *bs, view id, const struct invite_change *c, struct err *e);
rc sqlite_invite_delete(struct backend_session *bs, view id, struct err *e);
rc sqlite_invites_each(struct backend_session *bs, invite_visitor *visit, void *arg, struct err *e);

#endif
