/* SQLite: a file a user, one handle for each that its requests lock, WAL and synchronous=FULL. */
#include "tests/load/floor.h"

#include <pthread.h>
#include <sqlite3.h>

#include "common/base/mem.h"

#define USERS_MOST 4096 /* whose handles stay open; more end the process */

enum sql {
    SQL_INFO,
    SQL_FIND,
    SQL_GET,
    SQL_BEGIN,
    SQL_PUT,
    SQL_STAMP,
    SQL_COMMIT,
    SQL_DROP,
    SQL_DROP_STAMP,
    SQL_DROP_ALL,
    SQL_DROP_STAMPS,
    N_SQL
};

static const char put_text[] =
    "INSERT INTO items (coll, id, modified, sortindex, payload) VALUES (?1, ?2, ?3, ?4, ?5)"
    " ON CONFLICT (coll, id) DO UPDATE SET modified = excluded.modified,"
    " sortindex = excluded.sortindex, payload = excluded.payload";
static const char stamp_text[] = "INSERT INTO colls (coll, modified) VALUES (?1, ?2)"
                                 " ON CONFLICT (coll) DO UPDATE SET modified = excluded.modified";

static const char *const texts[N_SQL] = {
    [SQL_INFO] = "SELECT coll, modified FROM colls",
    [SQL_FIND] = "SELECT id, modified, sortindex, payload FROM items WHERE coll = ?1 AND modified > ?2",
    [SQL_GET] = "SELECT id, modified, sortindex, payload FROM items WHERE coll = ?1 AND id = ?2",
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_PUT] = put_text,
    [SQL_STAMP] = stamp_text,
    [SQL_COMMIT] = "COMMIT",
    [SQL_DROP] = "DELETE FROM items WHERE coll = ?1",
    [SQL_DROP_STAMP] = "DELETE FROM colls WHERE coll = ?1",
    [SQL_DROP_ALL] = "DELETE FROM items",
    [SQL_DROP_STAMPS] = "DELETE FROM colls",
};

struct file {
    int64_t uid; /* 0: free */
    pthread_mutex_t lock;
    sqlite3 *db;
    sqlite3_stmt *st[N_SQL];
};

static struct file files[USERS_MOST];
static pthread_mutex_t files_lock = PTHREAD_MUTEX_INITIALIZER;
static const char *folder;

static void must(struct file *f, int code)
{
    if (code != SQLITE_OK && code != SQLITE_DONE)
        floor_die("SQLite", f->db ? sqlite3_errmsg(f->db) : "no handle");
}

static void start(const char *where)
{
    folder = where;
}

static void *session(void)
{
    return NULL;
}

static void open_file(struct file *f, int64_t uid)
{
    char path[300];

    snprintf(path, sizeof path, "%s/%lld.db", folder, (long long)uid);
    f->uid = uid;
    pthread_mutex_init(&f->lock, NULL);
    must(f, sqlite3_open_v2(path, &f->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                            NULL));
    must(
        f,
        sqlite3_exec(
            f->db,
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "CREATE TABLE IF NOT EXISTS items (coll INTEGER NOT NULL, id TEXT NOT NULL, modified INTEGER NOT NULL,"
            " sortindex INTEGER, payload BLOB NOT NULL, PRIMARY KEY (coll, id)) WITHOUT ROWID;"
            "CREATE INDEX IF NOT EXISTS items_modified ON items (coll, modified);"
            "CREATE TABLE IF NOT EXISTS colls (coll INTEGER PRIMARY KEY, modified INTEGER NOT NULL)",
            NULL, NULL, NULL));
    for (size_t i = 0; i < N_SQL; i++)
        must(f, sqlite3_prepare_v3(f->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &f->st[i], NULL));
}

static struct file *file_of(int64_t uid)
{
    struct file *f = NULL;

    pthread_mutex_lock(&files_lock);
    for (size_t i = 0; i < USERS_MOST && !f; i++) {
        struct file *at = &files[((uint64_t)uid + i) % USERS_MOST];
        if (at->uid == 0)
            open_file(at, uid);
        if (at->uid == uid)
            f = at;
    }
    pthread_mutex_unlock(&files_lock);
    if (!f)
        floor_die("SQLite", "too many users");
    return f;
}

/* ---- statements ---- */

static void bind_text(sqlite3_stmt *st, int at, view v)
{
    sqlite3_bind_text(st, at, v.p, (int)v.n, SQLITE_STATIC);
}

static void finish(struct file *f, sqlite3_stmt *st)
{
    must(f, sqlite3_step(st));
    sqlite3_reset(st);
}

static void do_only(struct file *f, enum sql which)
{
    finish(f, f->st[which]);
}

static void write_records(struct file *f, const struct floor_job *job)
{
    sqlite3_stmt *st = f->st[SQL_PUT];
    view rest = job->body;
    struct floor_record r;

    do_only(f, SQL_BEGIN);
    while (floor_record_next(&rest, &r)) {
        sqlite3_bind_int64(st, 1, job->coll);
        bind_text(st, 2, r.id);
        sqlite3_bind_int64(st, 3, job->now_ms);
        if (r.sorted)
            sqlite3_bind_int64(st, 4, r.sortindex);
        else
            sqlite3_bind_null(st, 4);
        sqlite3_bind_blob(st, 5, r.payload.p, (int)r.payload.n, SQLITE_STATIC);
        finish(f, st);
    }
    st = f->st[SQL_STAMP];
    sqlite3_bind_int64(st, 1, job->coll);
    sqlite3_bind_int64(st, 2, job->now_ms);
    finish(f, st);
    do_only(f, SQL_COMMIT);
}

static void drop(struct file *f, const struct floor_job *job)
{
    bool all = job->kind == FLOOR_DROP_ALL;

    do_only(f, SQL_BEGIN);
    if (!all) {
        sqlite3_bind_int64(f->st[SQL_DROP], 1, job->coll);
        sqlite3_bind_int64(f->st[SQL_DROP_STAMP], 1, job->coll);
    }
    do_only(f, all ? SQL_DROP_ALL : SQL_DROP);
    do_only(f, all ? SQL_DROP_STAMPS : SQL_DROP_STAMP);
    do_only(f, SQL_COMMIT);
}

static view column(sqlite3_stmt *st, int i)
{
    if (sqlite3_column_type(st, i) == SQLITE_NULL)
        return VIEW_NONE;
    const char *p = (const char *)(i == 3 ? sqlite3_column_blob(st, i) : sqlite3_column_text(st, i));
    return (view){ .p = p, .n = (size_t)sqlite3_column_bytes(st, i) };
}

static bool read_records(struct file *f, sqlite3_stmt *st, bool list, struct buf *body, int64_t *last_ms)
{
    bool first = true;

    if (list)
        buf_addc(body, '[');
    while (sqlite3_step(st) == SQLITE_ROW) {
        int64_t modified = sqlite3_column_int64(st, 1);

        if (modified > *last_ms)
            *last_ms = modified;
        floor_put_record(body, column(st, 0), modified, column(st, 2), column(st, 3), &first);
    }
    must(f, sqlite3_reset(st));
    if (list)
        buf_addc(body, ']');
    return list || !first;
}

static void read_stamps(struct file *f, struct buf *body, int64_t *last_ms)
{
    sqlite3_stmt *st = f->st[SQL_INFO];
    bool first = true;

    while (sqlite3_step(st) == SQLITE_ROW) {
        int64_t modified = sqlite3_column_int64(st, 1);

        if (modified > *last_ms)
            *last_ms = modified;
        floor_put_stamp(body, (unsigned)sqlite3_column_int(st, 0), modified, &first);
    }
    must(f, sqlite3_reset(st));
    buf_add(body, first ? VIEW("{}") : VIEW("}"));
}

static bool run_locked(struct file *f, const struct floor_job *job, struct buf *body, int64_t *last_ms)
{
    switch (job->kind) {
    case FLOOR_INFO:
        read_stamps(f, body, last_ms);
        return true;
    case FLOOR_FIND:
        sqlite3_bind_int64(f->st[SQL_FIND], 1, job->coll);
        sqlite3_bind_int64(f->st[SQL_FIND], 2, job->newer_ms);
        *last_ms = job->newer_ms;
        return read_records(f, f->st[SQL_FIND], true, body, last_ms);
    case FLOOR_GET:
        sqlite3_bind_int64(f->st[SQL_GET], 1, job->coll);
        bind_text(f->st[SQL_GET], 2, job->id);
        return read_records(f, f->st[SQL_GET], false, body, last_ms);
    case FLOOR_POST:
    case FLOOR_PUT:
        write_records(f, job);
        break;
    case FLOOR_DROP_COLL:
    case FLOOR_DROP_ALL:
        drop(f, job);
        break;
    case FLOOR_NOTHING:
        break;
    }
    *last_ms = job->now_ms;
    return true;
}

static bool run(void *arg, const struct floor_job *job, struct buf *body, int64_t *last_ms)
{
    struct file *f = file_of(job->uid);

    (void)arg;
    pthread_mutex_lock(&f->lock);
    bool found = run_locked(f, job, body, last_ms);
    pthread_mutex_unlock(&f->lock);
    return found;
}

const struct floor_backend floor_sqlite = { .start = start, .session = session, .run = run };
