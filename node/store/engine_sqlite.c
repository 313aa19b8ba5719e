/* SQLite: users are spread over several files (uid mod their number), so that as many can be written at once. A writer takes the
 * process's lock of the file before BEGIN IMMEDIATE: SQLite itself would make him poll. WAL, so readers wait for nobody. */
#include "node/store/engine.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/clock.h"

#define READER_WAIT_MS  50    /* only while another process recovers or closes the file */
#define SCHEMA_WAIT_MS  60000 /* another process may be migrating */
#define WAL_PAUSE_MS    5
#define LOG_PAGES       4000     /* in the log, before they move into the file */
#define LOG_KEPT_BYTES  16777216 /* of it afterwards: writing over them is cheaper than growing anew */
#define PAGES_AT_ONCE   2
#define WORKING_KIB     2048 /* of pages at least, for a worker: the rows of some 6,000 records of 256 bytes */
#define LOOKASIDE_SIZE  512
#define LOOKASIDE_SLOTS 32
#define FILES_MOST      256
#define PATH_TEXT_MAX   4096

/* A file has one writer at a time, from BEGIN IMMEDIATE to the end. A flag and not a mutex held all the while, so that waiting for it
 * has a limit that no step of the wall clock moves. Nobody holds two. */
struct engine_file {
    pthread_mutex_t lock; /* of `taken`, for a moment */
    pthread_cond_t freed;
    bool taken;
};

struct engine_s {
    struct engine base;
    const struct store_conf *conf;
    struct engine_file *files;
};

struct conn_s {
    struct conn base;
    sqlite3 *db;
    struct engine_file *file;
    bool reader, has_lock;
    int64_t cache_kib; /* of pages at most */
    struct stmt_s *begin_read, *begin_write, *commit, *rollback;
};

struct stmt_s {
    struct stmt base;
    sqlite3_stmt *st;
};

static struct engine_s *engine_of(const struct conn *c)
{
    return (struct engine_s *)c->engine;
}

static struct conn_s *conn_of(struct conn *c)
{
    return (struct conn_s *)c;
}

static sqlite3_stmt *stmt_of(struct stmt *st)
{
    return ((struct stmt_s *)st)->st;
}

/* ---- errors ---- */

/* No room: the disk is full, or a limit of the file system or of the process is reached. */
static bool no_room(sqlite3 *db, int code)
{
    if ((code & 0xff) == SQLITE_FULL)
        return true;
    if ((code & 0xff) != SQLITE_IOERR && (code & 0xff) != SQLITE_CANTOPEN)
        return false;
    int os = sqlite3_system_errno(db);
    return os == ENOSPC || os == EDQUOT || os == EFBIG;
}

static rc failed(struct conn *c, const char *what, struct err *e)
{
    sqlite3 *db = conn_of(c)->db;
    int code = sqlite3_extended_errcode(db);
    rc r = RC_BROKEN;
    if (no_room(db, code) || (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED ||
        (code & 0xff) == SQLITE_NOMEM)
        r = RC_BUSY;
    else if ((code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_IOERR)
        r = RC_AWAY;
    c->failed = true;
    if (r == RC_AWAY)
        c->broken = true;
    return fail(e, r, RESP_GENERIC, "SQLite, %s: %s (%d)", what, sqlite3_errmsg(db), code);
}

/* ---- page caches ---- */

/* Records whose times are shuffled lie on other pages than their neighbours in the index, so that a cache of few pages reads each of them
 * again and again: while a worker works it has as many as help, and each file's connection that lies ready keeps its share of what may be
 * kept in all. Readers are asked for single records, and keep the few pages on the way to them. */
static int64_t share_kib(const struct engine_s *g)
{
    int64_t files = g->base.shards ? g->base.shards : 1;
    return g->conf->kept_bytes / 1024 / files;
}

static bool keeps_too_much(struct conn_s *c)
{
    int64_t share = share_kib(engine_of(&c->base));
    int used = 0, most = 0;
    if (c->cache_kib <= share)
        return false;
    int code = sqlite3_db_status(c->db, SQLITE_DBSTATUS_CACHE_USED, &used, &most, 0);
    return code != SQLITE_OK || used / 1024 > share;
}

static void sqlite_trim(struct conn *base, bool all)
{
    struct conn_s *c = conn_of(base);
    if (!c->reader && (all || keeps_too_much(c)))
        (void)sqlite3_db_release_memory(c->db); /* always SQLITE_OK */
}

/* ---- statements ---- */

static rc sqlite_prepare(struct conn *c, const char *sql, struct stmt **out, struct err *e)
{
    struct stmt_s *st = calloc(1, sizeof *st);
    if (!st)
        return fail(e, RC_BUSY, RESP_GENERIC, "no memory for a statement");
    if (sqlite3_prepare_v3(conn_of(c)->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st->st, NULL) != SQLITE_OK) {
        free(st);
        return failed(c, "prepare", e);
    }
    st->base.conn = c;
    *out = &st->base;
    return RC_OK;
}

static void sqlite_stmt_free(struct stmt *st)
{
    sqlite3_finalize(stmt_of(st));
    free(st);
}

static void sqlite_bind_int(struct stmt *st, unsigned param, int64_t v)
{
    int code = sqlite3_bind_int64(stmt_of(st), (int)param, v);
    (void)code; /* out of range is the only failure: a parameter that this statement does not have */
}

static void sqlite_bind_bytes(struct stmt *st, unsigned param, view v)
{
    int code = v.p ? sqlite3_bind_blob64(stmt_of(st), (int)param, v.p, v.n, SQLITE_STATIC)
                   : sqlite3_bind_null(stmt_of(st), (int)param);
    if (code == SQLITE_TOOBIG)
        st->conn->failed = true; /* the commit refuses */
}

static rc sqlite_run(struct stmt *st, uint64_t *out_rows, struct err *e)
{
    struct conn_s *c = conn_of(st->conn);
    int code = sqlite3_step(stmt_of(st));
    rc r = code == SQLITE_DONE || code == SQLITE_ROW ? RC_OK : failed(&c->base, "run", e);
    sqlite3_reset(stmt_of(st));
    if (r == RC_OK && out_rows)
        *out_rows = (uint64_t)sqlite3_changes64(c->db);
    return r;
}

static rc sqlite_bulk(struct stmt *st, size_t n, row_binder *bind, void *arg, uint64_t *out_rows,
                      struct err *e)
{
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t rows = 0;
        bind(st, i, arg);
        TRY(sqlite_run(st, &rows, e));
        all += rows;
    }
    if (out_rows)
        *out_rows = all;
    return RC_OK;
}

static rc sqlite_step(struct stmt *st, bool *out_row, struct err *e)
{
    int code = sqlite3_step(stmt_of(st));
    if (code == SQLITE_ROW || code == SQLITE_DONE) {
        *out_row = code == SQLITE_ROW;
        return RC_OK;
    }
    rc r = failed(st->conn, "read", e);
    sqlite3_reset(stmt_of(st));
    return r;
}

static void sqlite_done(struct stmt *st)
{
    sqlite3_reset(stmt_of(st));
}

/* Looked up once for all that is asked of it, which is a part of what reading many rows costs. Connections have no locks of their own
 * here (SQLITE_CONFIG_MULTITHREAD): without that such a value must not be looked into. */
static sqlite3_value *column(struct stmt *st, unsigned col)
{
    return sqlite3_column_value(stmt_of(st), (int)col);
}

static int64_t sqlite_col_int(struct stmt *st, unsigned col)
{
    return sqlite3_value_int64(column(st, col));
}

static view sqlite_col_bytes(struct stmt *st, unsigned col)
{
    sqlite3_value *v = column(st, col);
    const void *p = sqlite3_value_blob(v);
    if (p)
        return (view){ .p = p, .n = (size_t)sqlite3_value_bytes(v) };
    return sqlite3_value_type(v) == SQLITE_NULL ? VIEW_NONE : VIEW("");
}

static bool sqlite_col_null(struct stmt *st, unsigned col)
{
    return sqlite3_value_type(column(st, col)) == SQLITE_NULL;
}

/* ---- transactions ---- */

static rc control(struct conn *c, struct stmt_s **kept, const char *sql, struct err *e)
{
    if (!*kept) {
        struct stmt *st = NULL;
        TRY(sqlite_prepare(c, sql, &st, e));
        *kept = (struct stmt_s *)st;
    }
    return sqlite_run(&(*kept)->base, NULL, e);
}

static rc lock_file(struct conn_s *c, struct err *e)
{
    struct engine_file *f = c->file;
    int64_t wait_s = engine_of(&c->base)->conf->lock_wait_s;
    struct timespec until;
    int code = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_s;
    pthread_mutex_lock(&f->lock);
    while (f->taken && code == 0)
        code = pthread_cond_timedwait(&f->freed, &f->lock, &until);
    if (!f->taken)
        f->taken = c->has_lock = true;
    pthread_mutex_unlock(&f->lock);
    if (c->has_lock)
        return RC_OK;
    return fail(e, RC_BUSY, RESP_GENERIC, "waited %lld s for other writers of the file", (long long)wait_s);
}

static void unlock_file(struct conn_s *c)
{
    if (!c->has_lock)
        return;
    c->has_lock = false;
    pthread_mutex_lock(&c->file->lock);
    c->file->taken = false;
    pthread_cond_signal(&c->file->freed);
    pthread_mutex_unlock(&c->file->lock);
}

static rc sqlite_begin(struct conn *base, enum store_mode mode, struct err *e)
{
    struct conn_s *c = conn_of(base);
    base->failed = base->deadlock = false;
    if (mode == STORE_WRITE)
        TRY(lock_file(c, e));
    rc r = mode == STORE_WRITE ? control(base, &c->begin_write, "BEGIN IMMEDIATE", e)
                               : control(base, &c->begin_read, "BEGIN", e);
    if (r != RC_OK)
        unlock_file(c);
    base->in_txn = r == RC_OK;
    return r;
}

static void sqlite_rollback(struct conn *base)
{
    struct conn_s *c = conn_of(base);
    if (!base->in_txn)
        return;
    base->in_txn = false;
    /* A full disk may have rolled it back already. */
    if (!sqlite3_get_autocommit(c->db) && control(base, &c->rollback, "ROLLBACK", NULL) != RC_OK)
        base->broken = true; /* closing the connection undoes it for sure */
    unlock_file(c);
}

static rc sqlite_commit(struct conn *base, struct err *e)
{
    struct conn_s *c = conn_of(base);
    if (base->failed) {
        sqlite_rollback(base);
        return fail(e, RC_BROKEN, RESP_GENERIC, "commit after a failure in the transaction");
    }
    rc r = control(base, &c->commit, "COMMIT", e);
    if (r == RC_OK) {
        base->in_txn = false;
        unlock_file(c);
        return RC_OK;
    }
    sqlite_rollback(base);
    return r == RC_BUSY ? RC_BUSY : RC_UNSURE; /* a failed flush may be found whole by the next recovery */
}

/* ---- connections ---- */

static rc pragma_failed(sqlite3 *db, const char *sql, struct err *e)
{
    int code = sqlite3_extended_errcode(db);
    rc r = (code & 0xff) == SQLITE_BUSY || no_room(db, code) ? RC_BUSY : RC_BROKEN;
    return fail(e, r, RESP_GENERIC, "SQLite, %s: %s", sql, sqlite3_errmsg(db));
}

static rc pragma(sqlite3 *db, const char *sql, struct err *e)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? RC_OK : pragma_failed(db, sql, e);
}

/* Its code. SQLite reads first and then wants to write, and who reads already it tells at once that another writes, whatever the busy timeout
 * (btree.c, sqlite3BtreeSetVersion and sqlite3BtreeBeginTrans): of two that open a new file together one has to ask again. */
static int wal_turn_on(sqlite3 *db, int64_t wait_ms)
{
    int64_t until = clock_mono_us(clock_system()) + wait_ms * 1000;

    for (;;) {
        int code = sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);

        if ((code & 0xff) != SQLITE_BUSY || clock_mono_us(clock_system()) >= until)
            return code;
        sqlite3_sleep(WAL_PAUSE_MS);
    }
}

static rc set_up(struct conn_s *c, const struct store_conf *conf, struct err *e)
{
    int64_t share = share_kib(engine_of(&c->base)), working = share > WORKING_KIB ? share : WORKING_KIB;
    int wait_ms = c->reader ? READER_WAIT_MS : (int)(conf->lock_wait_s * 1000);
    char text[200];
    c->cache_kib = c->reader ? (conf->cache_bytes + 1023) / 1024 : working;
    /* Small: there may be a connection for each file and worker, and statements that stay are not kept in it. */
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, LOOKASIDE_SIZE, LOOKASIDE_SLOTS);
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_timeout(c->db, wait_ms);
    if (wal_turn_on(c->db, wait_ms) != SQLITE_OK)
        return pragma_failed(c->db, "write-ahead log", e);
    snprintf(text, sizeof text, "PRAGMA synchronous = %s; PRAGMA cache_size = -%lld",
             conf->durable ? "FULL" : "NORMAL", (long long)c->cache_kib);
    TRY(pragma(c->db, text, e));
    snprintf(text, sizeof text, "PRAGMA journal_size_limit = %d; PRAGMA wal_autocheckpoint = %d",
             LOG_KEPT_BYTES, LOG_PAGES);
    return pragma(c->db, text, e);
}

static void sqlite_conn_close(struct conn *base)
{
    struct conn_s *c = conn_of(base);
    struct stmt_s *own[] = { c->begin_read, c->begin_write, c->commit, c->rollback };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (own[i])
            sqlite_stmt_free(&own[i]->base);
    }
    sqlite3_close(c->db);
    unlock_file(c);
    free(c);
}

static rc file_path(const struct store_conf *conf, unsigned shard, char out[PATH_TEXT_MAX], struct err *e)
{
    int n = snprintf(out, PATH_TEXT_MAX, "%s/node-%02u.sqlite", conf->path, shard);
    if (n < 0 || n >= PATH_TEXT_MAX)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "store.path is too long.");
    return RC_OK;
}

static rc sqlite_conn_open(struct engine *g, unsigned shard, bool reader, struct conn **out, struct err *e)
{
    struct engine_s *engine = (struct engine_s *)g;
    char path[PATH_TEXT_MAX];
    TRY(file_path(engine->conf, shard, path, e));

    struct conn_s *c = calloc(1, sizeof *c);
    if (!c)
        return fail(e, RC_BUSY, RESP_GENERIC, "no memory for a connection");
    c->base.driver = &engine_sqlite;
    c->base.engine = g;
    c->reader = reader;
    c->file = engine->files ? &engine->files[shard] : NULL;
    int code =
        sqlite3_open_v2(path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    rc r = RC_OK;
    if (code != SQLITE_OK)
        r = fail(e, c->db && no_room(c->db, code) ? RC_BUSY : RC_AWAY, RESP_GENERIC, "%s: %s", path,
                 sqlite3_errstr(code));
    else
        r = set_up(c, engine->conf, e);
    if (r != RC_OK) {
        sqlite_conn_close(&c->base);
        return r;
    }
    *out = &c->base;
    return RC_OK;
}

/* ---- schema: the version is SQLite's own user_version; the file's write lock is the lock ---- */

static rc sqlite_schema_lock(struct conn *c, struct err *e)
{
    sqlite3_busy_timeout(conn_of(c)->db, SCHEMA_WAIT_MS);
    return pragma(conn_of(c)->db, "BEGIN IMMEDIATE", e);
}

static rc read_number(struct conn *c, const char *sql, bool *out_found, int64_t *out, struct err *e)
{
    struct stmt *st = NULL;
    bool row = false;
    TRY(sqlite_prepare(c, sql, &st, e));
    assert(st);
    rc r = sqlite_step(st, &row, e);
    if (r == RC_OK && row)
        *out = sqlite_col_int(st, 0);
    if (r == RC_OK)
        *out_found = row;
    sqlite_stmt_free(st);
    return r;
}

static rc sqlite_schema_version(struct conn *c, int *out, struct err *e)
{
    int64_t version = 0;
    bool found = false;
    TRY(read_number(c, "PRAGMA user_version", &found, &version, e));
    *out = (int)version;
    return RC_OK;
}

static rc sqlite_schema_apply(struct conn *c, const char *sql, int version, struct err *e)
{
    char text[64];
    snprintf(text, sizeof text, "PRAGMA user_version = %d", version);
    if (sqlite3_exec(conn_of(c)->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return failed(c, "schema", e);
    return pragma(conn_of(c)->db, text, e);
}

static rc sqlite_schema_unlock(struct conn *c, bool done, struct err *e)
{
    rc r = pragma(conn_of(c)->db, done ? "COMMIT" : "ROLLBACK", e);
    sqlite3_busy_timeout(conn_of(c)->db, (int)(engine_of(c)->conf->lock_wait_s * 1000));
    return r;
}

static rc sqlite_ping(struct conn *c, struct err *e)
{
    int64_t n = 0;
    bool found = false;
    return read_number(c, "SELECT COUNT(*) FROM settings", &found, &n, e);
}

/* ---- the folder ---- */

static rc make_folder(const char *path, struct err *e)
{
    struct stat st;
    if (path[0] == '\0')
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "store.path is not set: name the folder of the database.");
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "The folder %s (store.path) cannot be made: %s.", path,
                    strerror(errno));
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%s (store.path) is not a folder.", path);
    return RC_OK;
}

/* The number of files: what the first file says, else what is configured now. Two processes may start together: the first file's
 * write lock decides. */
static rc settle_files_locked(struct conn *c, int64_t configured, int64_t *out, struct err *e)
{
    bool found = false;
    TRY(read_number(c, "SELECT value FROM settings WHERE name = 'files'", &found, out, e));
    if (found && (*out < 1 || *out > FILES_MOST))
        return fail(e, RC_BROKEN, RESP_GENERIC, "the first file names %lld files", (long long)*out);
    if (found)
        return RC_OK;
    char text[100];
    snprintf(text, sizeof text, "INSERT INTO settings (name, value) VALUES ('files', %lld)",
             (long long)configured);
    *out = configured;
    return pragma(conn_of(c)->db, text, e);
}

static rc settle_files(struct engine_s *g, int64_t *out, struct err *e)
{
    struct conn *c = NULL;
    int version = 0;
    TRY(sqlite_conn_open(&g->base, 0, false, &c, e));
    rc r = schema_migrate(c, &version, e);
    if (r == RC_OK)
        r = sqlite_schema_lock(c, e);
    if (r == RC_OK) {
        r = settle_files_locked(c, g->conf->files, out, e);
        rc end = sqlite_schema_unlock(c, r == RC_OK, r == RC_OK ? e : NULL);
        r = r == RC_OK ? end : r;
    }
    conn_free(c);
    return r;
}

static void files_init(struct engine_s *g, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        pthread_mutex_init(&g->files[i].lock, NULL);
        clock_cond_init(&g->files[i].freed);
    }
    g->base.shards = n;
}

static void sqlite_close(struct engine *base)
{
    struct engine_s *g = (struct engine_s *)base;
    for (unsigned i = 0; i < g->base.shards; i++) {
        pthread_cond_destroy(&g->files[i].freed);
        pthread_mutex_destroy(&g->files[i].lock);
    }
    free(g->files);
    free(g);
}

/* SQLite would take 20 pages for each connection at its first one; there may be one for each worker and file, and most hold a page
 * or two. Its count of the memory it has, which nobody reads, is one lock for all threads at each allocation. No connection is shared by
 * threads. Before main, since it must be said before anybody opens a file, and in the one box the directory is first. */
__attribute__((constructor)) static void configure(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    (void)sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, PAGES_AT_ONCE);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static rc sqlite_open(const struct store_conf *conf, struct engine **out, struct err *e)
{
    if (conf->files < 1 || conf->files > FILES_MOST)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "store.files must be 1 to %d.", FILES_MOST);
    TRY(make_folder(conf->path, e));
    struct engine_s *g = calloc(1, sizeof *g);
    if (!g)
        return fail(e, RC_BUSY, RESP_GENERIC, "no memory for the store");
    g->base = (struct engine){ .driver = &engine_sqlite, .shards = 0 };
    g->conf = conf;

    int64_t files = 0;
    rc r = settle_files(g, &files, e);
    if (r == RC_OK) {
        g->files = calloc((size_t)files, sizeof *g->files);
        if (!g->files)
            r = fail(e, RC_BUSY, RESP_GENERIC, "no memory for the store");
    }
    if (r != RC_OK) {
        sqlite_close(&g->base);
        return r;
    }
    files_init(g, (unsigned)files);
    *out = &g->base;
    return RC_OK;
}

const struct engine_driver engine_sqlite = {
    .name = "sqlite",
    .dialect = DIALECT_SQLITE,
    .open = sqlite_open,
    .close = sqlite_close,
    .conn_open = sqlite_conn_open,
    .conn_close = sqlite_conn_close,
    .trim = sqlite_trim,
    .ping = sqlite_ping,
    .schema_lock = sqlite_schema_lock,
    .schema_version = sqlite_schema_version,
    .schema_apply = sqlite_schema_apply,
    .schema_unlock = sqlite_schema_unlock,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .prepare = sqlite_prepare,
    .stmt_free = sqlite_stmt_free,
    .bind_int = sqlite_bind_int,
    .bind_bytes = sqlite_bind_bytes,
    .run = sqlite_run,
    .bulk = sqlite_bulk,
    .step = sqlite_step,
    .done = sqlite_done,
    .col_int = sqlite_col_int,
    .col_bytes = sqlite_col_bytes,
    .col_null = sqlite_col_null,
};
