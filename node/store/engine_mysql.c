/* MariaDB and MySQL over Connector/C: connections, transactions, errors. Statements are in mysql_stmt.c.
 *
 * Writers run READ COMMITTED: they hold the lock of their user's head, so what they read stays, and gap locks, which would make
 * neighbours in the key wait for each other or deadlock, are not taken. Readers run REPEATABLE READ: head and items are one snapshot.
 * The level is a property of the connection and is changed only when a transaction of the other kind begins. */
#include "node/store/mysql_stmt.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/base/cores.h"

#define PACKET_LEAST  (4 * 1024 * 1024) /* of max_allowed_packet: a large record and what is around it */
#define BULK_BYTES    (4 * 1024 * 1024)
#define SCHEMA_WAIT_S 120

struct engine_m {
    struct engine base;
    const struct store_conf *conf;
    size_t bulk_bytes;
    struct turns wide;
};

static struct conn_m *conn_of(struct conn *c)
{
    return (struct conn_m *)c;
}

/* ---- errors ---- */

enum effect {
    LOST = 1,  /* the connection is of no more use */
    UNDONE = 2 /* the server rolled the transaction back */
};

static const struct {
    unsigned code;
    rc r;
    unsigned effect;
} errors[] = {
    { ER_LOCK_WAIT_TIMEOUT, RC_BUSY, 0 },
    { ER_LOCK_DEADLOCK, RC_BUSY, UNDONE },
    { ER_DISK_FULL, RC_BUSY, 0 },
    { ER_RECORD_FILE_FULL, RC_BUSY, 0 },
    { ER_LOCK_TABLE_FULL, RC_BUSY, UNDONE },
    { ER_OUT_OF_RESOURCES, RC_BUSY, 0 },
    { ER_QUERY_INTERRUPTED, RC_BUSY, 0 },
    { ER_STATEMENT_TIMEOUT, RC_BUSY, 0 },
    { ER_CON_COUNT_ERROR, RC_BUSY, LOST },
    { ER_TOO_MANY_USER_CONNECTIONS, RC_BUSY, LOST },
    { ER_SERVER_SHUTDOWN, RC_AWAY, LOST },
    { ER_CONNECTION_KILLED, RC_AWAY, LOST },
    { ER_ABORTING_CONNECTION, RC_AWAY, LOST },
    { ER_NEW_ABORTING_CONNECTION, RC_AWAY, LOST },
    { ER_NET_READ_ERROR, RC_AWAY, LOST },
    { ER_NET_READ_INTERRUPTED, RC_AWAY, LOST },
    { ER_NET_ERROR_ON_WRITE, RC_AWAY, LOST },
    { ER_NET_WRITE_INTERRUPTED, RC_AWAY, LOST },
    { ER_OPTION_PREVENTS_STATEMENT, RC_AWAY, LOST }, /* read-only: it is another server's turn */
    { ER_ACCESS_DENIED_ERROR, RC_BAD_INPUT, LOST },  /* these four can only come from connecting */
    { ER_ACCESS_DENIED_NO_PASSWORD_ERROR, RC_BAD_INPUT, LOST },
    { ER_DBACCESS_DENIED_ERROR, RC_BAD_INPUT, LOST },
    { ER_BAD_DB_ERROR, RC_BAD_INPUT, LOST },
    { CR_CONNECTION_ERROR, RC_AWAY, LOST },
    { CR_CONN_HOST_ERROR, RC_AWAY, LOST },
    { CR_UNKNOWN_HOST, RC_AWAY, LOST },
    { CR_SERVER_GONE_ERROR, RC_AWAY, LOST },
    { CR_SERVER_HANDSHAKE_ERR, RC_AWAY, LOST },
    { CR_SERVER_LOST, RC_AWAY, LOST },
    { CR_MALFORMED_PACKET, RC_AWAY, LOST },
    { 2055, RC_AWAY, LOST }, /* server lost, with the system's reason */
};

/* Errors of the storage engine come under several numbers; the system's is in the text. */
static bool says_no_room(const char *text)
{
    return strstr(text, "No space left") || strstr(text, "rrno: 28") || strstr(text, "rrcode: 28");
}

rc conn_m_failed(struct conn *c, const char *what, unsigned code, const char *text, struct err *e)
{
    rc r = RC_BROKEN;
    unsigned effect = 0;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (errors[i].code == code) {
            r = errors[i].r;
            effect = errors[i].effect;
        }
    }
    if (r == RC_BROKEN && says_no_room(text))
        r = RC_BUSY;
    c->failed = true;
    c->broken = c->broken || (effect & LOST);
    c->deadlock = (effect & UNDONE) != 0;
    return fail(e, r, RESP_GENERIC, "MySQL, %s: %s (%u)", what, text, code);
}

static rc db_failed(struct conn_m *c, const char *what, struct err *e)
{
    return conn_m_failed(&c->base, what, mysql_errno(c->db), mysql_error(c->db), e);
}

static rc command(struct conn_m *c, const char *sql, struct err *e)
{
    return mysql_real_query(c->db, sql, strlen(sql)) ? db_failed(c, sql, e) : RC_OK;
}

/* The first column of the first row; RC_BROKEN where there is none. NULL: 0. */
static rc ask_number(struct conn_m *c, const char *sql, int64_t *out, struct err *e)
{
    TRY(command(c, sql, e));
    MYSQL_RES *res = mysql_store_result(c->db);
    if (!res)
        return db_failed(c, sql, e);
    MYSQL_ROW row = mysql_fetch_row(res);
    bool found = row != NULL;
    if (found)
        *out = row[0] ? strtoll(row[0], NULL, 10) : 0;
    mysql_free_result(res);
    return found ? RC_OK : fail(e, RC_BROKEN, RESP_GENERIC, "MySQL, %s: no row", sql);
}

/* ---- transactions ---- */

static rc mysql_begin(struct conn *base, enum store_mode mode, struct err *e)
{
    struct conn_m *c = conn_of(base);
    bool write = mode == STORE_WRITE;
    int wanted = write ? ISOLATION_WRITE : ISOLATION_READ;
    base->failed = base->deadlock = false;
    if ((int)c->isolation != wanted) {
        TRY(command(c,
                    write ? "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
                          : "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                    e));
        c->isolation = write ? ISOLATION_WRITE : ISOLATION_READ;
    }
    TRY(command(c, write ? "START TRANSACTION" : "START TRANSACTION READ ONLY", e));
    c->mode = mode;
    base->in_txn = true;
    return RC_OK;
}

static void mysql_roll_back(struct conn *base)
{
    if (!base->in_txn)
        return;
    base->in_txn = false;
    if (!base->broken && command(conn_of(base), "ROLLBACK", NULL) != RC_OK)
        base->broken = true; /* closing the connection undoes it for sure */
}

static rc mysql_end(struct conn *base, struct err *e)
{
    struct conn_m *c = conn_of(base);
    if (base->failed) {
        mysql_roll_back(base);
        return fail(e, RC_BROKEN, RESP_GENERIC, "commit after a failure in the transaction");
    }
    rc r = command(c, "COMMIT", e);
    if (r == RC_OK) {
        base->in_txn = false;
        return RC_OK;
    }
    mysql_roll_back(base);
    if (c->mode == STORE_READ || r == RC_BUSY)
        return r;
    base->broken = true;
    return RC_UNSURE;
}

/* ---- connections ---- */

static void set_options(MYSQL *db, const struct store_conf *conf)
{
    unsigned connect_s = (unsigned)conf->connect_s, answer_s = (unsigned)conf->answer_s;
    unsigned protocol = conf->socket[0] ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    char init[240];
    snprintf(init, sizeof init,
             "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1,"
             " innodb_lock_wait_timeout = %lld, lock_wait_timeout = %lld",
             (long long)conf->lock_wait_s, (long long)conf->lock_wait_s);
    mysql_options(db, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    mysql_options(db, MYSQL_OPT_READ_TIMEOUT, &answer_s);
    mysql_options(db, MYSQL_OPT_WRITE_TIMEOUT, &answer_s);
    mysql_options(db, MYSQL_OPT_PROTOCOL, &protocol);
    mysql_options(db, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(db, MYSQL_INIT_COMMAND, init);
}

static void mysql_conn_close(struct conn *base)
{
    struct conn_m *c = conn_of(base);
    mysql_close(c->db);
    free(c);
}

static rc mysql_conn_open(struct engine *g, unsigned shard, bool reader, struct conn **out, struct err *e)
{
    (void)shard;
    (void)reader; /* no reader waits for a writer here */
    const struct engine_m *engine = (const struct engine_m *)g;
    const struct store_conf *conf = engine->conf;
    struct conn_m *c = calloc(1, sizeof *c);
    if (!c)
        return fail(e, RC_BUSY, RESP_GENERIC, "no memory for a connection");
    c->base.driver = &engine_mysql;
    c->base.engine = g;
    c->bulk_bytes = engine->bulk_bytes;
    c->db = mysql_init(NULL);
    if (!c->db) {
        free(c);
        return fail(e, RC_BUSY, RESP_GENERIC, "no memory for a connection");
    }
    set_options(c->db, conf);
    bool local = conf->socket[0] != '\0';
    if (!mysql_real_connect(c->db, local ? NULL : conf->host, conf->user, conf->password, conf->database,
                            (unsigned)conf->port, local ? conf->socket : NULL, 0)) {
        rc r = db_failed(c, "connect", e);
        mysql_conn_close(&c->base);
        return r;
    }
    unsigned long extended = 0;
    mariadb_get_infov(c->db, MARIADB_CONNECTION_EXTENDED_SERVER_CAPABILITIES, &extended);
    c->arrays = (extended & (MARIADB_CLIENT_STMT_BULK_OPERATIONS >> 32)) != 0;
    *out = &c->base;
    return RC_OK;
}

static rc mysql_conn_ping(struct conn *base, struct err *e)
{
    int64_t one = 0;
    return ask_number(conn_of(base), "SELECT 1 FROM schema_version LIMIT 1", &one, e);
}

/* ---- schema ---- */

static rc mysql_schema_lock(struct conn *c, struct err *e)
{
    int64_t got = 0;
    char sql[100];
    /* The library's own limit on an answer comes first where another process migrates for long: the start fails and is repeated. */
    snprintf(sql, sizeof sql, "SELECT GET_LOCK(CONCAT('heddle.schema.', DATABASE()), %d)", SCHEMA_WAIT_S);
    TRY(ask_number(conn_of(c), sql, &got, e));
    if (got != 1)
        return fail(e, RC_BUSY, RESP_GENERIC, "another process has been changing the schema for %d s",
                    SCHEMA_WAIT_S);
    return RC_OK;
}

static rc mysql_schema_version(struct conn *c, int *out, struct err *e)
{
    int64_t version = 0;
    TRY(command(conn_of(c),
                "CREATE TABLE IF NOT EXISTS schema_version"
                " (version INT NOT NULL PRIMARY KEY) ENGINE=InnoDB DEFAULT CHARSET=binary",
                e));
    TRY(ask_number(conn_of(c), "SELECT MAX(version) FROM schema_version", &version, e));
    *out = (int)version;
    return RC_OK;
}

/* Statements end with a semicolon at the end of a line. */
static rc mysql_schema_apply(struct conn *c, const char *sql, int version, struct err *e)
{
    while (*sql) {
        const char *end = strstr(sql, ";\n");
        size_t n = end ? (size_t)(end - sql) : strlen(sql);
        if (mysql_real_query(conn_of(c)->db, sql, n))
            return db_failed(conn_of(c), "schema", e);
        sql += n + (end ? 2 : 0);
    }
    char text[80];
    snprintf(text, sizeof text, "INSERT INTO schema_version (version) VALUES (%d)", version);
    return command(conn_of(c), text, e);
}

static rc mysql_schema_unlock(struct conn *c, bool done, struct err *e)
{
    (void)done; /* what a half-finished migration did is found and finished by the next */
    int64_t released = 0;
    return ask_number(conn_of(c), "SELECT RELEASE_LOCK(CONCAT('heddle.schema.', DATABASE()))", &released, e);
}

/* ---- start ---- */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_failed;

static void library_start(void)
{
    library_failed = mysql_library_init(0, NULL, NULL);
}

static rc check_settings(const struct store_conf *c, struct err *e)
{
    if (c->database[0] == '\0')
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "store.database is not set: name the database of this node.");
    if (c->socket[0] == '\0' && c->host[0] == '\0')
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "Neither store.socket nor store.host is set.");
    if (c->answer_s <= c->lock_wait_s)
        return fail(
            e, RC_BAD_INPUT, RESP_GENERIC,
            "store.answer_timeout must be longer than store.lock_wait, or waiting for a lock looks like a dead server.");
    return RC_OK;
}

static rc check_server(struct engine_m *g, struct conn_m *c, struct err *e)
{
    int64_t flush = 0, packet = 0;
    TRY(ask_number(c, "SELECT @@innodb_flush_log_at_trx_commit", &flush, e));
    if (g->conf->durable && flush != 1)
        return fail(
            e, RC_BAD_INPUT, RESP_GENERIC,
            "The database has innodb_flush_log_at_trx_commit = %lld and may lose what it confirmed: set it to 1, or"
            " store.durable to off.",
            (long long)flush);
    TRY(ask_number(c, "SELECT @@max_allowed_packet", &packet, e));
    if (packet < PACKET_LEAST)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "The database has max_allowed_packet = %lld; set it to at least %d.", (long long)packet,
                    PACKET_LEAST);
    g->bulk_bytes = packet / 4 < BULK_BYTES ? (size_t)packet / 4 : BULK_BYTES;
    return RC_OK;
}

static void mysql_engine_close(struct engine *g)
{
    turns_done(&((struct engine_m *)g)->wide);
    free(g);
}

static rc mysql_engine_open(const struct store_conf *conf, struct engine **out, struct err *e)
{
    TRY(check_settings(conf, e));
    pthread_once(&library_once, library_start);
    if (library_failed)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the MySQL client library does not start");
    struct engine_m *g = calloc(1, sizeof *g);
    if (!g)
        return fail(e, RC_BUSY, RESP_GENERIC, "no memory for the store");
    g->base = (struct engine){ .driver = &engine_mysql, .shards = 1, .wide = &g->wide };
    g->conf = conf;
    /* one more than cores: whoever commits waits for the disk */
    turns_init(&g->wide, (unsigned)(conf->wide_writers ? conf->wide_writers : cores_usable() + 1),
               conf->answer_s);

    struct conn *c = NULL;
    rc r = mysql_conn_open(&g->base, 0, false, &c, e);
    if (r == RC_OK)
        r = check_server(g, conn_of(c), e);
    conn_free(c);
    if (r != RC_OK) {
        mysql_engine_close(&g->base);
        return r;
    }
    *out = &g->base;
    return RC_OK;
}

static void mysql_trim(struct conn *base, bool all) /* it keeps no pages */
{
    (void)base;
    (void)all;
}

const struct engine_driver engine_mysql = {
    .name = "mysql",
    .dialect = DIALECT_MYSQL,
    .open = mysql_engine_open,
    .close = mysql_engine_close,
    .conn_open = mysql_conn_open,
    .conn_close = mysql_conn_close,
    .trim = mysql_trim,
    .ping = mysql_conn_ping,
    .schema_lock = mysql_schema_lock,
    .schema_version = mysql_schema_version,
    .schema_apply = mysql_schema_apply,
    .schema_unlock = mysql_schema_unlock,
    .begin = mysql_begin,
    .commit = mysql_end,
    .rollback = mysql_roll_back,
    .prepare = stmt_m_make,
    .stmt_free = stmt_m_drop,
    .bind_int = stmt_m_int,
    .bind_bytes = stmt_m_bytes,
    .run = stmt_m_run,
    .bulk = stmt_m_bulk,
    .step = stmt_m_step,
    .done = stmt_m_done,
    .col_int = stmt_m_col_int,
    .col_bytes = stmt_m_col_bytes,
    .col_null = stmt_m_col_null,
};
