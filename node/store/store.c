/* The store's life: settings, opening, sessions and their connections. */
#include "node/store/store.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "node/store/internal.h"

#define KEY(key, kind, field, def, low, high, u, text)                                                       \
    {                                                                                                        \
        .name = "store." key, .type = kind, .offset = offsetof(struct store_conf, field), .fallback = def,   \
        .least = low, .most = high, .unit = u, .help = text                                                  \
    }

const struct conf_key store_conf_keys[] = {
    KEY("driver", CONF_TEXT, driver, "sqlite", 0, 0, "",
        "The database: sqlite (files in a folder) or mysql (MariaDB, MySQL)."),
    KEY("path", CONF_TEXT, path, "", 0, 0, "", "sqlite: the folder of the files; made if missing."),
    KEY("files", CONF_INT, files, "16", 1, 256, "files",
        "sqlite: over how many files users are spread; fixed when the folder is made."),
    KEY("durable", CONF_BOOL, durable, "on", 0, 0, "",
        "What was confirmed survives a power cut; off is faster and loses the last moments."),
    KEY("host", CONF_TEXT, host, "localhost", 0, 0, "", "mysql: the server, over TCP."),
    KEY("port", CONF_INT, port, "3306", 1, 65535, "", "mysql: its port."),
    KEY("socket", CONF_TEXT, socket, "", 0, 0, "", "mysql: its unix socket; wins over the host."),
    KEY("user", CONF_TEXT, user, "heddle", 0, 0, "", "mysql: the account."),
    { .name = "store.password",
      .type = CONF_TEXT,
      .offset = offsetof(struct store_conf, password),
      .fallback = "",
      .flags = CONF_SECRET,
      .unit = "",
      .help = "mysql: its password." },
    KEY("database", CONF_TEXT, database, "heddle", 0, 0, "",
        "mysql: the database of this node; it must exist."),
    KEY("lock_wait", CONF_SECONDS, lock_wait_s, "5s", 1, 300, "s",
        "How long a writer waits for another writer of the same user before the client is told to come later."),
    KEY("connect_timeout", CONF_SECONDS, connect_s, "5s", 1, 300, "s", "mysql: limit on connecting."),
    KEY("answer_timeout", CONF_SECONDS, answer_s, "30s", 2, 3600, "s",
        "mysql: limit on one answer; longer than lock_wait."),
    KEY("wide_writers", CONF_INT, wide_writers, "0", 0, 1024, "number",
        "mysql: how many requests write or delete many rows at the same moment, the rest wait; more of them hinder each other"
        " inside the database. 0: one more than there are cores that the process may run on."),
    KEY("cache", CONF_SIZE, cache_bytes, "128k", 32768, 67108864, "bytes",
        "sqlite: page cache of an io thread's connection; there is at most one for each io thread and file."),
    KEY("kept", CONF_SIZE, kept_bytes, "32m", 0, 17179869184, "bytes",
        "sqlite: what stays in page caches between requests, for all files together; each has its share of it. While a worker works its"
        " connection has that share, or 2 MiB if that is more. 0: nothing stays."),
};
const size_t store_conf_keys_n = sizeof store_conf_keys / sizeof store_conf_keys[0];

static const struct engine_driver *const drivers[] = { &engine_sqlite, &engine_mysql };

static const struct engine_driver *driver_of(const char *name)
{
    for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++) {
        if (view_eq(view_of(name), view_of(drivers[i]->name)))
            return drivers[i];
    }
    return NULL;
}

static rc migrate_all(struct store *s, struct err *e)
{
    for (unsigned shard = 0; shard < s->engine->shards; shard++) {
        struct conn *c = NULL;
        TRY(s->driver->conn_open(s->engine, shard, false, &c, e));
        rc r = schema_migrate(c, &s->schema_version, e);
        conn_free(c);
        TRY(r);
    }
    return RC_OK;
}

rc store_check(const struct store_conf *c, struct err *e)
{
    if (!driver_of(c->driver))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "store.driver is \"%s\"; it must be sqlite or mysql.",
                    c->driver);
    return RC_OK;
}

rc store_open(const struct store_conf *c, const struct clock *clock, struct store **out, struct err *e)
{
    TRY(store_check(c, e));
    const struct engine_driver *driver = driver_of(c->driver);
    struct store *s = mem_need(calloc(1, sizeof *s));
    *s = (struct store){ .conf = c, .clock = clock, .driver = driver };
    rc r = driver->open(c, &s->engine, e);
    if (r == RC_OK)
        r = migrate_all(s, e);
    if (r != RC_OK) {
        store_close(s);
        return r;
    }
    s->pool = pool_new(s->engine->shards);
    *out = s;
    return RC_OK;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    pool_free(s->pool);
    if (s->engine)
        s->driver->close(s->engine);
    free(s);
}

const char *store_driver_name(const struct store *s)
{
    return s->driver->name;
}

int store_schema_version(const struct store *s)
{
    return s->schema_version;
}

bool store_is_embedded(const struct store *s)
{
    return s->driver->dialect == DIALECT_SQLITE;
}

rc store_session_open(struct store *s, bool reader, struct store_session **out, struct err *e)
{
    (void)e;
    struct store_session *ss = mem_need(calloc(1, sizeof *ss));
    *ss = (struct store_session){ .store = s, .reader = reader };
    *out = ss;
    return RC_OK;
}

void store_session_close(struct store_session *ss)
{
    if (!ss)
        return;
    if (ss->in_txn)
        store_rollback(&ss->tx);
    store_session_rest(ss);
    free(ss);
}

void store_session_rest(struct store_session *ss)
{
    assert(!ss->in_txn);
    if (ss->conn && (ss->conn->broken || ss->conn->in_txn)) /* closing it undoes what was begun */
        conn_free(ss->conn);
    else if (ss->conn)
        pool_give(ss->store->pool, ss->shard, ss->reader, ss->conn);
    ss->conn = NULL;
}

unsigned session_shard(const struct store_session *ss, int64_t uid)
{
    assert(uid >= 0);
    return (unsigned)(uid % ss->store->engine->shards);
}

rc session_conn(struct store_session *ss, unsigned shard, struct conn **out, bool *out_fresh, struct err *e)
{
    struct store *s = ss->store;
    bool lost = ss->conn && ss->conn->broken && ss->shard == shard;
    *out_fresh = false;
    if (ss->conn && (ss->conn->broken || ss->shard != shard))
        store_session_rest(ss);
    if (!ss->conn && !lost) /* where one is lost the others may be, too */
        ss->conn = pool_take(s->pool, shard, ss->reader);
    if (!ss->conn) {
        rc r = s->driver->conn_open(s->engine, shard, ss->reader, &ss->conn, e);
        if (r != RC_OK) /* settings were right when we started: a refusal now is the server's trouble */
            return r == RC_BAD_INPUT ? RC_AWAY : r;
        *out_fresh = true;
    }
    ss->shard = shard;
    *out = ss->conn;
    return RC_OK;
}

rc session_begin(struct store_session *ss, unsigned shard, enum store_mode mode, struct conn **out,
                 struct err *e)
{
    struct conn *c = NULL;
    bool fresh = false;
    TRY(session_conn(ss, shard, &c, &fresh, e));
    rc r = ss->store->driver->begin(c, mode, e);
    if (r == RC_AWAY && !fresh) { /* lost while it was idle */
        TRY(session_conn(ss, shard, &c, &fresh, e));
        r = ss->store->driver->begin(c, mode, e);
    }
    if (r == RC_OK)
        *out = c;
    return r;
}

rc store_ping(struct store_session *ss, struct err *e)
{
    assert(!ss->in_txn);
    struct conn *c = NULL;
    bool fresh = false;
    TRY(session_conn(ss, 0, &c, &fresh, e));
    rc r = ss->store->driver->ping(c, e);
    if (r == RC_AWAY && !fresh) {
        TRY(session_conn(ss, 0, &c, &fresh, e));
        r = ss->store->driver->ping(c, e);
    }
    return r;
}
