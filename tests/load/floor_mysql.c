/* MariaDB: four text statements for a write, one for a read. */
#include "tests/load/floor.h"

#include <inttypes.h>
#include <mysqld_error.h>

#include "common/base/mem.h"

struct session {
    MYSQL *db;
    struct buf sql;
};

static char socket_path[200], database[64];

static void must(MYSQL *db, int failed, const char *what)
{
    if (failed)
        floor_die(what, mysql_error(db));
}

static MYSQL *connect_to(void)
{
    MYSQL *db = mem_need(mysql_init(NULL));

    if (!mysql_real_connect(db, NULL, "root", NULL, database, 0, socket_path, 0))
        floor_die("connect", mysql_error(db));
    must(db, mysql_set_character_set(db, "binary"), "character set");
    return db;
}

static void start(const char *where)
{
    static const char *const tables[] = {
        "CREATE TABLE IF NOT EXISTS items (uid BIGINT NOT NULL, coll INT NOT NULL, id VARBINARY(64) NOT NULL,"
        " modified BIGINT NOT NULL, sortindex BIGINT NULL, payload MEDIUMBLOB NOT NULL, PRIMARY KEY (uid, coll, id),"
        " KEY (uid, coll, modified)) ENGINE=InnoDB DEFAULT CHARSET=binary",
        "CREATE TABLE IF NOT EXISTS colls (uid BIGINT NOT NULL, coll INT NOT NULL, modified BIGINT NOT NULL,"
        " PRIMARY KEY (uid, coll)) ENGINE=InnoDB DEFAULT CHARSET=binary",
    };
    view rest = view_of(where), name = VIEW_NONE;

    (void)view_cut(&rest, ':', &name);
    snprintf(socket_path, sizeof socket_path, "%.*s", VIEW_ARG(name));
    snprintf(database, sizeof database, "%.*s", VIEW_ARG(rest));
    if (mysql_library_init(0, NULL, NULL))
        floor_die("MySQL", "no library");
    MYSQL *db = connect_to();
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        must(db, mysql_query(db, tables[i]), "create");
    mysql_close(db);
}

static void *session(void)
{
    struct session *s = mem_need(calloc(1, sizeof *s));

    s->db = connect_to();
    return s;
}

/* ---- statements ---- */

static void query(struct session *s, view sql)
{
    must(s->db, mysql_real_query(s->db, sql.p, sql.n), "query");
}

/* Two that insert between the same neighbours may wait for each other; MariaDB then ends one of them, of which nothing is left. */
static void transaction(struct session *s, const view *sql, size_t n)
{
    size_t done;

    do {
        query(s, VIEW("BEGIN"));
        for (done = 0; done < n; done++) {
            int failed = mysql_real_query(s->db, sql[done].p, sql[done].n);
            if (failed && mysql_errno(s->db) == ER_LOCK_DEADLOCK)
                break;
            must(s->db, failed, "query");
        }
    } while (done < n);
    query(s, VIEW("COMMIT"));
}

static void add_quoted(struct session *s, view text)
{
    struct buf *b = &s->sql;

    buf_addc(b, '\'');
    buf_reserve(b, text.n * 2 + 1);
    b->n += mysql_real_escape_string(s->db, b->p + b->n, text.p, (unsigned long)text.n);
    buf_addc(b, '\'');
}

static void add_row(struct session *s, const struct floor_job *job, const struct floor_record *r, bool first)
{
    buf_add(&s->sql, first ? VIEW("(") : VIEW(",("));
    buf_add_i64(&s->sql, job->uid);
    buf_addc(&s->sql, ',');
    buf_add_i64(&s->sql, job->coll);
    buf_addc(&s->sql, ',');
    add_quoted(s, r->id);
    buf_addc(&s->sql, ',');
    buf_add_i64(&s->sql, job->now_ms);
    buf_addc(&s->sql, ',');
    if (r->sorted)
        buf_add_i64(&s->sql, r->sortindex);
    else
        buf_add(&s->sql, VIEW("NULL"));
    buf_addc(&s->sql, ',');
    add_quoted(s, r->payload);
    buf_addc(&s->sql, ')');
}

struct text {
    char at[256];
};

static view put_text(struct text *out, const char *fmt, ...) PRINTF_LIKE(2, 3);
static view put_text(struct text *out, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(out->at, sizeof out->at, fmt, args);
    va_end(args);
    return (view){ .p = out->at, .n = (size_t)n };
}

static void write_records(struct session *s, const struct floor_job *job)
{
    view rest = job->body;
    struct floor_record r;
    struct text colls;
    bool first = true;

    buf_clear(&s->sql);
    buf_add(&s->sql, VIEW("INSERT INTO items (uid, coll, id, modified, sortindex, payload) VALUES "));
    for (; floor_record_next(&rest, &r); first = false)
        add_row(s, job, &r, first);
    buf_add(&s->sql,
            VIEW(" ON DUPLICATE KEY UPDATE modified = VALUES(modified), sortindex = VALUES(sortindex),"
                 " payload = VALUES(payload)"));
    const view sql[] = {
        buf_view(&s->sql),
        put_text(&colls,
                 "INSERT INTO colls (uid, coll, modified) VALUES (%" PRId64 ", %u, %" PRId64
                 ") ON DUPLICATE KEY UPDATE modified = VALUES(modified)",
                 job->uid, job->coll, job->now_ms),
    };
    transaction(s, first ? sql + 1 : sql, first ? 1 : 2);
}

static void drop(struct session *s, const struct floor_job *job)
{
    char where[80];
    struct text items, colls;

    if (job->kind == FLOOR_DROP_ALL)
        snprintf(where, sizeof where, "uid = %" PRId64, job->uid);
    else
        snprintf(where, sizeof where, "uid = %" PRId64 " AND coll = %u", job->uid, job->coll);
    const view sql[] = { put_text(&items, "DELETE FROM items WHERE %s", where),
                         put_text(&colls, "DELETE FROM colls WHERE %s", where) };
    transaction(s, sql, 2);
}

/* ---- reads ---- */

static view field(MYSQL_ROW row, const unsigned long *lengths, unsigned i)
{
    return row[i] ? (view){ .p = row[i], .n = lengths[i] } : VIEW_NONE;
}

static bool read_records(struct session *s, bool list, struct buf *body, int64_t *last_ms)
{
    MYSQL_RES *res = mysql_store_result(s->db);
    MYSQL_ROW row;
    bool first = true;

    must(s->db, res == NULL, "result");
    if (list)
        buf_addc(body, '[');
    while ((row = mysql_fetch_row(res))) {
        const unsigned long *lengths = mysql_fetch_lengths(res);
        int64_t modified = strtoll(row[1], NULL, 10);

        if (modified > *last_ms)
            *last_ms = modified;
        floor_put_record(body, field(row, lengths, 0), modified, field(row, lengths, 2),
                         field(row, lengths, 3), &first);
    }
    if (list)
        buf_addc(body, ']');
    mysql_free_result(res);
    return list || !first;
}

static void read_stamps(struct session *s, struct buf *body, int64_t *last_ms)
{
    MYSQL_RES *res = mysql_store_result(s->db);
    MYSQL_ROW row;
    bool first = true;

    must(s->db, res == NULL, "result");
    while ((row = mysql_fetch_row(res))) {
        int64_t modified = strtoll(row[1], NULL, 10);

        if (modified > *last_ms)
            *last_ms = modified;
        floor_put_stamp(body, (unsigned)strtoul(row[0], NULL, 10), modified, &first);
    }
    buf_add(body, first ? VIEW("{}") : VIEW("}"));
    mysql_free_result(res);
}

static bool read_one(struct session *s, const struct floor_job *job, struct buf *body, int64_t *last_ms)
{
    struct buf *b = &s->sql;

    buf_clear(b);
    buf_addf(b,
             "SELECT id, modified, sortindex, payload FROM items WHERE uid = %" PRId64
             " AND coll = %u AND id = ",
             job->uid, job->coll);
    add_quoted(s, job->id);
    query(s, buf_view(b));
    return read_records(s, false, body, last_ms);
}

static bool run(void *arg, const struct floor_job *job, struct buf *body, int64_t *last_ms)
{
    struct session *s = arg;
    struct text sql;

    switch (job->kind) {
    case FLOOR_INFO:
        query(s, put_text(&sql, "SELECT coll, modified FROM colls WHERE uid = %" PRId64, job->uid));
        read_stamps(s, body, last_ms);
        return true;
    case FLOOR_FIND:
        query(s, put_text(&sql,
                          "SELECT id, modified, sortindex, payload FROM items WHERE uid = %" PRId64
                          " AND coll = %u AND modified > %" PRId64,
                          job->uid, job->coll, job->newer_ms));
        *last_ms = job->newer_ms;
        return read_records(s, true, body, last_ms);
    case FLOOR_GET:
        return read_one(s, job, body, last_ms);
    case FLOOR_POST:
    case FLOOR_PUT:
        write_records(s, job);
        break;
    case FLOOR_DROP_COLL:
    case FLOOR_DROP_ALL:
        drop(s, job);
        break;
    case FLOOR_NOTHING:
        break;
    }
    *last_ms = job->now_ms;
    return true;
}

const struct floor_backend floor_mysql = { .start = start, .session = session, .run = run };
