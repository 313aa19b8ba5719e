#include "directory/backend/sqlite_db.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "schema/embedded.h"

enum { BUSY_MS = 5000, BUSY_LEAST_MS = 200 };

#define ACCOUNT_COLUMNS                                                                                      \
    "SELECT id, name, uid, mail, password IS NOT NULL, enabled, node, placed, created, password_since, "     \
    "epoch, intent, client_state, generation, keys_changed, reset, disabled FROM accounts "
#define INVITE_COLUMNS "SELECT id, hash, note, made_by, uses, left_over, made, ends FROM invites "
#define NODE_COLUMNS   "SELECT name, url, address, node_type, pools, state, capacity, seats, opened FROM nodes "

static const char *const statement_text[ST_N] = {
    [ST_BEGIN] = "BEGIN IMMEDIATE",
    [ST_COMMIT] = "COMMIT",
    [ST_ROLLBACK] = "ROLLBACK",
    [ST_PING] = "SELECT next FROM counters WHERE name = 'uid'",
    [ST_BY_NAME] = ACCOUNT_COLUMNS "WHERE name = ?1",
    [ST_BY_UID] = ACCOUNT_COLUMNS "WHERE uid = ?1",
    [ST_BY_MAIL] = ACCOUNT_COLUMNS "WHERE mail = ?1 LIMIT 2",
    [ST_VALUES] = "SELECT attr, value FROM account_values WHERE account = ?1 ORDER BY attr, value",
    [ST_ADD] =
        "INSERT INTO accounts (name, uid, mail, password, node, placed, created, password_since, epoch, "
        "client_state, generation, keys_changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) "
        "ON CONFLICT (name) DO NOTHING",
    [ST_IDENTITY] = "SELECT id, uid, node, epoch FROM accounts WHERE name = ?1",
    [ST_DELETE] = "DELETE FROM accounts WHERE id = ?1",
    [ST_ERASE_ADD] = "INSERT INTO erases (uid, node, epoch, since, seat) VALUES (?1, ?2, ?3, ?4, ?5)",
    [ST_ERASE_DONE] = "DELETE FROM erases WHERE uid = ?1",
    [ST_PASSWORD] = "SELECT password FROM accounts WHERE name = ?1",
    [ST_PASSWORD_SET] = "UPDATE accounts SET password = ?2, password_since = ?3 WHERE name = ?1",
    [ST_PASSWORD_UPGRADE] = "UPDATE accounts SET password = ?2 WHERE name = ?1 AND password = ?3",
    [ST_VALUE_ADD] = "INSERT OR IGNORE INTO account_values (account, attr, value) VALUES (?1, ?2, ?3)",
    [ST_VALUE_DELETE] = "DELETE FROM account_values WHERE account = ?1 AND attr = ?2 AND value = ?3",
    [ST_ON_NODE] = ACCOUNT_COLUMNS "WHERE node = ?1 AND name > ?2 ORDER BY name",
    [ST_WITH_INTENT] = ACCOUNT_COLUMNS "WHERE intent IS NOT NULL AND name > ?2 ORDER BY name",
    [ST_WITH_ERASE] = ACCOUNT_COLUMNS "WHERE name > ?2 AND id IN (SELECT account FROM account_values "
                                      "WHERE attr = 'heddleErase') ORDER BY name",
    [ST_ALL] = ACCOUNT_COLUMNS "WHERE name > ?2 ORDER BY name",
    [ST_DISABLED] = ACCOUNT_COLUMNS "WHERE disabled >= ?1 AND name > ?2 ORDER BY name",
    /* Each half by its index; what stands behind every text that begins so is the end of the range. */
    [ST_BEGINS] =
        ACCOUNT_COLUMNS "WHERE name > ?2 AND id IN "
                        "(SELECT id FROM accounts WHERE name >= ?1 AND name < ?1 || char(1114111) UNION "
                        "SELECT id FROM accounts WHERE mail >= ?1 AND mail < ?1 || char(1114111)) "
                        "ORDER BY name",
    [ST_ERASES] = "SELECT uid, node, epoch, since, seat FROM erases WHERE uid > ?1 ORDER BY uid",
    [ST_ERASE_VALUES] = "SELECT a.name, v.value FROM account_values v JOIN accounts a ON a.id = v.account "
                        "WHERE v.attr = 'heddleErase' ORDER BY v.account, v.value",
    [ST_NODE_GET] = NODE_COLUMNS "WHERE name = ?1",
    [ST_NODES] = NODE_COLUMNS "ORDER BY name",
    [ST_NODE_PUT] =
        "INSERT OR REPLACE INTO nodes (name, url, address, node_type, pools, state, capacity, seats, "
        "opened) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [ST_NODE_CHANGE] = "UPDATE nodes SET url = ?2, address = ?3, node_type = ?4, pools = ?5, state = ?6, "
                       "capacity = ?7, opened = ?9 WHERE name = ?1 AND ?8 < 0",
    [ST_NODE_DELETE] = "DELETE FROM nodes WHERE name = ?1",
    [ST_SEATS] = "SELECT seats FROM nodes WHERE name = ?1",
    [ST_SEATS_SET] = "UPDATE nodes SET seats = ?2 WHERE name = ?1",
    [ST_SEATS_GIVE] = "UPDATE nodes SET seats = max(seats, min(seats + ?2, capacity)) WHERE name = ?1",
    [ST_UID] = "SELECT next FROM counters WHERE name = 'uid'",
    [ST_UID_SET] = "UPDATE counters SET next = ?1 WHERE name = 'uid'",
    [ST_INVITE_ADD] = "INSERT INTO invites (id, hash, note, made_by, uses, left_over, made, ends) "
                      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO NOTHING",
    [ST_INVITE_GET] = INVITE_COLUMNS "WHERE id = ?1",
    [ST_INVITES] = INVITE_COLUMNS "ORDER BY id",
    [ST_INVITE_TAKERS] = "SELECT taker FROM invite_takers WHERE invite = ?1 ORDER BY taker",
    [ST_INVITE_LEFT] = "UPDATE invites SET left_over = ?3 WHERE id = ?1 AND left_over = ?2",
    [ST_INVITE_COMES] = "INSERT OR IGNORE INTO invite_takers (invite, taker) VALUES (?1, ?2)",
    [ST_INVITE_GOES] = "DELETE FROM invite_takers WHERE invite = ?1 AND taker = ?2",
    [ST_INVITE_DELETE] = "DELETE FROM invites WHERE id = ?1",
    [ST_MARK_PUT] = "INSERT INTO marks (name, ends) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
    [ST_MARK_THERE] = "SELECT 1 FROM marks WHERE name = ?1",
    [ST_MARKS_SWEEP] =
        "DELETE FROM marks WHERE name IN (SELECT name FROM marks WHERE ends < ?1 ORDER BY ends LIMIT 5000)",
};

/* A file that another process keeps locked for all of BUSY_MS does not answer. It is not RC_BUSY, of which callers read that nodes are full. */
static bool is_away(int code)
{
    return code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_IOERR || code == SQLITE_FULL ||
           code == SQLITE_CANTOPEN || code == SQLITE_READONLY || code == SQLITE_NOMEM ||
           code == SQLITE_PROTOCOL;
}

rc db_fail(sqlite3 *db, struct err *e, const char *doing)
{
    int code = db ? sqlite3_errcode(db) & 0xff : SQLITE_NOMEM;
    const char *text = db ? sqlite3_errmsg(db) : "out of memory";
    return fail(e, is_away(code) ? RC_AWAY : RC_BROKEN, RESP_GENERIC, "directory's SQLite, %s: %s", doing,
                text);
}

/* ---- opening ---- */

static rc db_exec(sqlite3 *db, const char *sql, struct err *e)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return db_fail(db, e, "setting up");
    return RC_OK;
}

/* Made by us first, so that nobody else may read it: the journal files take over its mode. One that is there is not opened: closing
 * it would take away the locks that SQLite's other connections of this process hold on it, and another process would take its
 * own last connection for the last of all, and throw away a log that we still write to. */
static rc make_file(const char *path, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        return RC_OK;
    }
    if (errno == EEXIST && stat(path, &st) == 0) {
        errno = EISDIR;
        if (!S_ISDIR(st.st_mode) && access(path, R_OK | W_OK) == 0)
            return RC_OK;
    }
    return fail(e, RC_BAD_INPUT, RESP_GENERIC, "directory.path: cannot open \"%s\": %s", path,
                strerror(errno));
}

rc db_open(const char *path, sqlite3 **out, struct err *e)
{
    TRY(make_file(path, e));
    sqlite3 *db = NULL;
    rc r = RC_OK;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        r = db_fail(db, e, "opening");
    if (r == RC_OK) {
        sqlite3_extended_result_codes(db, 1);
        sqlite3_busy_timeout(db, BUSY_MS);
        /* A small box: a connection's cache holds the inner pages of the indexes, the kernel has the rest. */
        r = db_exec(
            db,
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
            "PRAGMA cache_size = -128; PRAGMA journal_size_limit = 1048576; PRAGMA trusted_schema = OFF",
            e);
    }
    if (r != RC_OK) {
        sqlite3_close(db);
        return r;
    }
    *out = db;
    return RC_OK;
}

static rc version_of(sqlite3 *db, int *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW) {
        sqlite3_finalize(st);
        return db_fail(db, e, "reading the schema's version");
    }
    *out = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return RC_OK;
}

/* "0001.sqlite.sql" → 1; 0: of another engine. */
static int migration_number(const char *name)
{
    view rest = view_of(name), head;
    uint64_t n;
    if (!view_cut(&rest, '.', &head) || !view_eq(rest, VIEW("sqlite.sql")) || !view_to_u64(head, 9999, &n))
        return 0;
    return (int)n;
}

static rc migrate_inside(sqlite3 *db, const char *path, struct err *e)
{
    int have = 0, newest = 0;
    TRY(version_of(db, &have, e));
    for (const struct embedded_file *m = embedded_directory_schema; m->name; m++) {
        int n = migration_number(m->name);
        if (n > have)
            TRY(db_exec(db, (const char *)m->bytes, e));
        newest = n > newest ? n : newest;
    }
    if (have > newest)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "\"%s\" was made by a newer version (schema %d, this program knows %d)", path, have,
                    newest);
    char sql[64];
    snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", newest);
    return db_exec(db, sql, e);
}

rc db_migrate(sqlite3 *db, const char *path, struct err *e)
{
    TRY(db_exec(db, "BEGIN IMMEDIATE", e));
    rc r = migrate_inside(db, path, e);
    if (r == RC_OK)
        r = db_exec(db, "COMMIT", e);
    if (r != RC_OK)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL); /* the failure to tell is the first one */
    return r;
}

/* ---- statements ---- */

rc db_statement(struct sqlite_session *s, enum statement which, sqlite3_stmt **out, struct err *e)
{
    sqlite3_stmt **st = &s->statements[which];
    if (!*st) {
        if (sqlite3_prepare_v3(s->db, statement_text[which], -1, SQLITE_PREPARE_PERSISTENT, st, NULL) !=
            SQLITE_OK)
            return db_fail(s->db, e, statement_text[which]);
    }
    *out = *st;
    return RC_OK;
}

void db_text(sqlite3_stmt *st, int at, view v)
{
    if (v.p)
        sqlite3_bind_text64(st, at, v.p, v.n, SQLITE_STATIC, SQLITE_UTF8);
    else
        sqlite3_bind_null(st, at);
}

void db_number(sqlite3_stmt *st, int at, int64_t n)
{
    sqlite3_bind_int64(st, at, n);
}

void db_number_or_null(sqlite3_stmt *st, int at, int64_t n)
{
    if (n)
        sqlite3_bind_int64(st, at, n);
    else
        sqlite3_bind_null(st, at);
}

rc db_step(struct sqlite_session *s, sqlite3_stmt *st, bool *out_row, struct err *e)
{
    int got = sqlite3_step(st);
    if (got != SQLITE_ROW && got != SQLITE_DONE)
        return db_fail(s->db, e, sqlite3_sql(st));
    *out_row = got == SQLITE_ROW;
    return RC_OK;
}

rc db_run(struct sqlite_session *s, sqlite3_stmt *st, struct err *e)
{
    bool row;
    return db_step(s, st, &row, e);
}

view db_column_lent(sqlite3_stmt *st, int at)
{
    const char *p = (const char *)sqlite3_column_text(st, at);
    return p ? (view){ .p = p, .n = (size_t)sqlite3_column_bytes(st, at) } : VIEW_NONE;
}

view db_column(sqlite3_stmt *st, int at, struct arena *a)
{
    view v = db_column_lent(st, at);
    return v.p ? arena_copy(a, v) : VIEW_NONE;
}

/* ---- transactions ---- */

static rc run_named(struct sqlite_session *s, enum statement which, struct err *e)
{
    SCOPED(db_reset) sqlite3_stmt *st = NULL;
    TRY(db_statement(s, which, &st, e));
    return db_run(s, st, e);
}

/* Who waited for another writer of ours has waited for whoever held that one up: a file that another process keeps locked is not waited for
 * BUSY_MS by each of us in turn. */
rc db_begin(struct sqlite_session *s, struct db_txn *out, struct err *e)
{
    int64_t came_us = clock_mono_us(s->backend->clock);
    pthread_mutex_lock(&s->backend->writing);
    int64_t left_ms = BUSY_MS - (clock_mono_us(s->backend->clock) - came_us) / 1000;
    sqlite3_busy_timeout(s->db, left_ms > BUSY_LEAST_MS ? (int)left_ms : BUSY_LEAST_MS);
    rc r = run_named(s, ST_BEGIN, e);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    if (r != RC_OK) {
        pthread_mutex_unlock(&s->backend->writing);
        return r;
    }
    out->s = s;
    return RC_OK;
}

rc db_commit(struct db_txn *t, struct err *e)
{
    struct sqlite_session *s = t->s;
    rc r = run_named(s, ST_COMMIT, e);
    if (r != RC_OK && !sqlite3_get_autocommit(s->db))
        return r; /* still open: the scope rolls it back */
    t->s = NULL;
    pthread_mutex_unlock(&s->backend->writing);
    if (r != RC_OK) /* SQLite gave it up by itself, perhaps after it had been written */
        return fail(e, RC_UNSURE, RESP_GENERIC, "directory's SQLite, commit: %s", sqlite3_errmsg(s->db));
    return RC_OK;
}

void db_rollback_scoped(struct db_txn *t)
{
    struct sqlite_session *s = t->s;
    if (!s)
        return;
    t->s = NULL;
    /* A ROLLBACK ends the transaction whatever it answers; the failure to tell is the one that led here. */
    rc r = sqlite3_get_autocommit(s->db) ? RC_OK : run_named(s, ST_ROLLBACK, NULL);
    (void)r;
    pthread_mutex_unlock(&s->backend->writing);
}
