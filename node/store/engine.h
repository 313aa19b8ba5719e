/* The thin layer between the store's operations and a database: connections, transactions, prepared statements, bound values,
 * rows. It knows nothing of users or items; what it prepares is in dialect.h or built by query.c.
 *
 * An engine belongs to the process and is thread-safe; a connection and its statements belong to one session, so to one thread,
 * until it is laid into the pool.
 * A shard is one database of several that users are spread over (SQLite: a file; MySQL has one).
 *
 * Errors: RC_AWAY the database does not answer (the connection is marked broken and of no more use), RC_BUSY a lock was not to be
 * had or the disk is full, RC_BROKEN anything it should not say, RC_UNSURE from commit alone, RC_BAD_INPUT from open alone. After a
 * failure inside a transaction only rollback helps; commit then rolls back. */
#ifndef HEDDLE_STORE_ENGINE_H
#define HEDDLE_STORE_ENGINE_H

#include "node/store/dialect.h"
#include "node/store/store.h"
#include "node/store/turns.h"

struct engine;
struct conn;
struct stmt;

/* Binds all parameters of one row of a bulk call. */
typedef void row_binder(struct stmt *st, size_t row, void *arg);

struct engine_driver {
    const char *name; /* as in the configuration, and in the names of schema files */
    enum dialect dialect;

    /* Checks settings; for SQLite the folder is made. */
    rc (*open)(const struct store_conf *c, struct engine **out, struct err *e);
    void (*close)(struct engine *g);

    /* A reader's connection never waits long for anybody. */
    rc (*conn_open)(struct engine *g, unsigned shard, bool reader, struct conn **out, struct err *e);
    void (*conn_close)(struct conn *c); /* after its statements are freed */
    /* Gives back the memory that is more than a connection may keep while nobody uses it; all: all that is not needed. */
    void (*trim)(struct conn *c, bool all);
    rc (*ping)(struct conn *c, struct err *e);

    /* Schema changes, one process at a time: lock, version, apply (which also writes the new version), unlock. */
    rc (*schema_lock)(struct conn *c, struct err *e);
    rc (*schema_version)(struct conn *c, int *out, struct err *e);
    rc (*schema_apply)(struct conn *c, const char *sql, int version, struct err *e);
    rc (*schema_unlock)(struct conn *c, bool done, struct err *e); /* done false: undo what can be undone */

    rc (*begin)(struct conn *c, enum store_mode mode, struct err *e);
    rc (*commit)(struct conn *c, struct err *e);
    void (*rollback)(struct conn *c); /* does nothing outside a transaction */

    rc (*prepare)(struct conn *c, const char *sql, struct stmt **out, struct err *e);
    void (*stmt_free)(struct stmt *st);

    /* Parameters count from 1 and keep their values until bound again; bytes are borrowed until the run or the last step. */
    void (*bind_int)(struct stmt *st, unsigned param, int64_t v);
    void (*bind_bytes)(struct stmt *st, unsigned param, view v); /* VIEW_NONE: NULL */

    /* Statements without rows. out_rows (may be NULL): how many rows were deleted, changed or inserted. */
    rc (*run)(struct stmt *st, uint64_t *out_rows, struct err *e);
    /* The same for n rows of parameters, n >= 1. */
    rc (*bulk)(struct stmt *st, size_t n, row_binder *bind, void *arg, uint64_t *out_rows, struct err *e);

    /* Reading: step until *out_row is false or enough is seen, then done. One reading at a time on a connection. Columns count
     * from 0; views die with the next step. */
    rc (*step)(struct stmt *st, bool *out_row, struct err *e);
    void (*done)(struct stmt *st);
    int64_t (*col_int)(struct stmt *st, unsigned col); /* NULL: 0 */
    view (*col_bytes)(struct stmt *st, unsigned col);  /* NULL: VIEW_NONE; empty: p is not NULL */
    bool (*col_null)(struct stmt *st, unsigned col);
};
extern const struct engine_driver engine_sqlite, engine_mysql;

struct engine { /* the drivers' own begin with this */
    const struct engine_driver *driver;
    unsigned shards;
    struct turns *wide; /* to write many rows; NULL: nobody waits */
};

/* Writing so many rows in one statement, or any number of them, waits for its turn in MySQL (store.wide_writers). */
#define WIDE_ROWS 8

#define SHAPES_MAX 10

struct conn {
    const struct engine_driver *driver;
    struct engine *engine;
    bool broken;   /* the connection is lost: close it */
    bool failed;   /* a statement of this transaction failed */
    bool deadlock; /* the last failure was one: the transaction is undone */
    bool in_txn;
    struct stmt *fixed[SQL_N];
    struct conn_shape { /* statements built for one shape of query, least used go first */
        uint32_t key;
        uint64_t used_at;
        struct stmt *st;
    } shapes[SHAPES_MAX];
    uint64_t shape_clock;
    struct conn *below; /* in the pool */
};

struct stmt {
    struct conn *conn;
    bool wide; /* it touches any number of rows */
};

/* The statement of that name, prepared at its first use. It belongs to the connection. */
MUST_USE rc conn_stmt(struct conn *c, enum sql_id id, struct stmt **out, struct err *e);
/* Built statements: get what is kept under the key (NULL: nothing), or prepare and keep. */
struct stmt *conn_shape(struct conn *c, uint32_t key);
MUST_USE rc conn_shape_add(struct conn *c, uint32_t key, const char *sql, struct stmt **out, struct err *e);
void conn_free(struct conn *c); /* statements and connection; takes NULL */

/* Brings one shard to the schema of this program. RC_BAD_INPUT: it is newer than we are. */
MUST_USE rc schema_migrate(struct conn *c, int *out_version, struct err *e);

static inline void bind_int(struct stmt *st, unsigned param, int64_t v)
{
    st->conn->driver->bind_int(st, param, v);
}

static inline void bind_bytes(struct stmt *st, unsigned param, view v)
{
    st->conn->driver->bind_bytes(st, param, v);
}

static inline void bind_null(struct stmt *st, unsigned param)
{
    st->conn->driver->bind_bytes(st, param, VIEW_NONE);
}

MUST_USE static inline rc stmt_run(struct stmt *st, uint64_t *out_rows, struct err *e)
{
    return st->conn->driver->run(st, out_rows, e);
}

MUST_USE static inline rc stmt_bulk(struct stmt *st, size_t n, row_binder *bind, void *arg,
                                    uint64_t *out_rows, struct err *e)
{
    return st->conn->driver->bulk(st, n, bind, arg, out_rows, e);
}

MUST_USE static inline rc stmt_step(struct stmt *st, bool *out_row, struct err *e)
{
    return st->conn->driver->step(st, out_row, e);
}

static inline void stmt_done(struct stmt *st) /* takes NULL */
{
    if (st)
        st->conn->driver->done(st);
}
DEFINE_SCOPED(struct stmt *, stmt_done);

static inline int64_t col_int(struct stmt *st, unsigned col)
{
    return st->conn->driver->col_int(st, col);
}

static inline view col_bytes(struct stmt *st, unsigned col)
{
    return st->conn->driver->col_bytes(st, col);
}

static inline bool col_null(struct stmt *st, unsigned col)
{
    return st->conn->driver->col_null(st, col);
}

#endif
