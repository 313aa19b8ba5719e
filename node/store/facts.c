/* What an operator wants to know of the store as a whole. */
#include "node/store/internal.h"

_Static_assert(HEAD_GONE + 1 == HEAD_STATES, "a state that store_facts does not count");

static rc count_heads(struct conn *c, struct store_facts *f, struct err *e)
{
    SCOPED(stmt_done) struct stmt *st = NULL;
    TRY(conn_stmt(c, SQL_HEADS_COUNT, &st, e));
    for (;;) {
        bool row = false;
        TRY(stmt_step(st, &row, e));
        if (!row)
            return RC_OK;
        int64_t state = col_int(st, 0);
        if (state < 0 || state >= HEAD_STATES)
            return fail(e, RC_BROKEN, RESP_GENERIC, "heads of an unknown state %lld", (long long)state);
        f->heads[state] += (uint64_t)col_int(st, 1);
    }
}

static rc count_bytes(struct conn *c, struct store_facts *f, struct err *e)
{
    struct stmt *st = NULL;
    int64_t bytes = 0;
    TRY(conn_stmt(c, SQL_BYTES, &st, e));
    TRY(stmt_number(st, &bytes, NULL, e));
    f->bytes += bytes > 0 ? (uint64_t)bytes : 0;
    return RC_OK;
}

/* A server that we reach over a socket keeps its data on this machine. */
static rc find_folder(struct store_session *ss, struct conn *c, struct store_facts *f, struct err *e)
{
    const struct store_conf *conf = ss->store->conf;
    SCOPED(stmt_done) struct stmt *st = NULL;
    bool row = false;
    if (c->driver->dialect == DIALECT_SQLITE) {
        snprintf(f->folder, sizeof f->folder, "%s", conf->path);
        return RC_OK;
    }
    if (!conf->socket || conf->socket[0] == '\0')
        return RC_OK;
    TRY(conn_stmt(c, SQL_FOLDER, &st, e));
    TRY(stmt_step(st, &row, e));
    view folder = row ? col_bytes(st, 0) : VIEW_NONE;
    if (folder.n < sizeof f->folder)
        snprintf(f->folder, sizeof f->folder, "%.*s", VIEW_ARG(folder));
    return RC_OK;
}

rc store_facts(struct store_session *ss, struct store_facts *out, struct err *e)
{
    struct store_facts f = { .bytes = 0 };
    for (unsigned shard = 0; shard < ss->store->engine->shards; shard++) {
        struct conn *c = NULL;
        TRY(session_begin(ss, shard, STORE_READ, &c, e));
        rc r = count_heads(c, &f, e);
        if (r == RC_OK)
            r = count_bytes(c, &f, e);
        if (r == RC_OK && shard == 0)
            r = find_folder(ss, c, &f, e);
        c->driver->rollback(c);
        TRY(r);
    }
    *out = f;
    return RC_OK;
}

/* Protocol: MariaDB's manual, "innodb_flush_log_at_trx_commit", "sync_binlog" (with a binary log it decides what is recovered),
 * "innodb_doublewrite" (without it a torn page is lost); SQLite's, "PRAGMA synchronous" (FULL is 2). */
static void judge(enum dialect d, const int64_t v[4], struct store_durability *out)
{
    if (d == DIALECT_SQLITE) {
        out->durable = v[0] >= 2;
        snprintf(out->text, sizeof out->text, "synchronous=%lld", (long long)v[0]);
        return;
    }
    out->durable = v[0] == 1 && (v[1] == 0 || v[2] == 1) && v[3] != 0;
    snprintf(out->text, sizeof out->text,
             "innodb_flush_log_at_trx_commit=%lld log_bin=%lld sync_binlog=%lld innodb_doublewrite=%lld",
             (long long)v[0], (long long)v[1], (long long)v[2], (long long)v[3]);
}

rc store_durability(struct store_session *ss, struct store_durability *out, struct err *e)
{
    struct conn *c = NULL;
    TRY(session_conn(ss, 0, &c, &(bool){ false }, e));
    SCOPED(stmt_done) struct stmt *st = NULL;
    int64_t values[4] = { 0 };
    bool row = false;
    enum dialect d = c->driver->dialect;
    TRY(conn_stmt(c, SQL_DURABILITY, &st, e));
    TRY(stmt_step(st, &row, e));
    if (!row)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the database does not say how durable it is");
    for (unsigned i = 0; i < (d == DIALECT_SQLITE ? 1U : 4U); i++)
        values[i] = col_int(st, i);
    judge(d, values, out);
    return RC_OK;
}
