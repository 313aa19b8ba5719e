/* Transactions: the user's lock, the fence, the stamp, the head. */
#include <assert.h>

#include "node/store/internal.h"

#define COLLS_SPARE 4

int64_t head_now_ms(const struct head *h, const struct clock *clock)
{
    return stamp_ms(stamp_max(clock_stamp(clock), h->clock));
}

rc head_from_row(struct stmt *st, int64_t uid, size_t spare, struct arena *a, struct head *out,
                 struct head_coll **out_colls, struct err *e)
{
    struct head h = {
        .uid = uid,
        .epoch = col_int(st, HEAD_COL_EPOCH),
        .state = (enum head_state)col_int(st, HEAD_COL_STATE),
        .since_ms = col_int(st, HEAD_COL_SINCE),
        .clock = stamp_from_ms(col_int(st, HEAD_COL_CLOCK)),
        .modified = stamp_from_ms(col_int(st, HEAD_COL_MODIFIED)),
        .used_bytes = col_int(st, HEAD_COL_USED),
        .quota_bytes = col_int(st, HEAD_COL_QUOTA),
    };
    if (!colls_unpack(col_bytes(st, HEAD_COL_COLLS), spare, a, out_colls, &h.n_colls, &h.next_number))
        return fail(e, RC_BROKEN, RESP_GENERIC, "the head of uid %lld cannot be read", (long long)uid);
    h.colls = *out_colls;
    *out = h;
    return RC_OK;
}

/* Reads the head of the transaction (and, in a write, locks it). *out_found false: no row. */
static rc load_head(struct store_txn *tx, int64_t uid, bool *out_found, struct err *e)
{
    SCOPED(stmt_done) struct stmt *st = NULL;
    TRY(tx_stmt(tx, tx->mode == STORE_WRITE ? SQL_HEAD_LOCK : SQL_HEAD_GET, &st, e));
    bind_int(st, 1, uid);
    TRY(stmt_step(st, out_found, e));
    if (!*out_found) {
        *tx->head = (struct head){ .uid = uid, .quota_bytes = -1, .next_number = COLL_FIRST_OWN };
        return RC_OK;
    }
    size_t spare = tx->mode == STORE_WRITE ? COLLS_SPARE : 0;
    TRY(head_from_row(st, uid, spare, tx->arena, tx->head, &tx->colls, e));
    tx->colls_cap = tx->head->n_colls + spare;
    return RC_OK;
}

rc head_insert(struct store_session *ss, const struct new_head *h, struct err *e)
{
    struct conn *c = NULL;
    struct stmt *st = NULL;
    TRY(session_begin(ss, session_shard(ss, h->uid), STORE_WRITE, &c, e));
    rc r = conn_stmt(c, SQL_HEAD_MAKE, &st, e);
    if (r == RC_OK) {
        bind_int(st, 1, h->uid);
        bind_int(st, 2, h->epoch);
        bind_int(st, 3, h->state);
        bind_int(st, 4, clock_now_us(ss->store->clock) / 1000);
        bind_bytes(st, 5, VIEW(""));
        bind_bytes(st, 6, h->move);
        r = stmt_run(st, NULL, e);
    }
    if (r == RC_OK)
        r = c->driver->commit(c, e);
    else
        c->driver->rollback(c);
    return r == RC_UNSURE ? RC_AWAY : r; /* a head may be made or not: no harm either way */
}

/* ---- a head that is known ---- */

static stamp next_stamp(const struct head *h, const struct clock *clock)
{
    return stamp_max(clock_stamp(clock), (stamp){ .cs = h->clock.cs + 1 });
}

view head_colls_packed(const struct head *h, struct arena *a)
{
    SCOPED(buf_done) struct buf b = { 0 };
    colls_pack(h->colls, h->n_colls, h->next_number, &b);
    return arena_copy(a, buf_view(&b));
}

/* With its collections, and room for more of them. */
static struct head *head_copy(const struct head *h, struct arena *a, struct head_coll **out_colls)
{
    struct head *copy = arena_alloc(a, sizeof *copy);
    struct head_coll *colls = arena_alloc(a, (h->n_colls + COLLS_SPARE) * sizeof *colls);
    for (size_t i = 0; i < h->n_colls; i++) {
        colls[i] = h->colls[i];
        colls[i].name = arena_copy(a, h->colls[i].name);
    }
    *copy = *h;
    copy->colls = colls;
    *out_colls = colls;
    return copy;
}

/* What the head becomes by the write that was told; NULL: that cannot be told beforehand. */
static const struct head *head_to_be(const struct store_begin *o, stamp t)
{
    const struct head_coll *c = head_coll_find(o->known, o->coll);
    struct head_coll *colls = NULL;
    if (!c || o->known->state != HEAD_ACTIVE || o->known->next_number < COLL_FIRST_OWN)
        return NULL;
    struct head *h = head_copy(o->known, o->arena, &colls);
    colls[c - o->known->colls].modified = t;
    h->clock = h->modified = t;
    h->used_bytes += o->adding_bytes;
    return h;
}

/* The row is locked, checked and saved by one statement, if it is what the caller takes it for: all that a head consists of is compared.
 * *out_done false: it is not, and nothing has happened. */
static rc swap_known(struct store_txn *tx, const struct store_begin *o, bool *out_done, struct err *e)
{
    const struct head *known = o->known;
    struct stmt *st = NULL;
    uint64_t rows = 0;
    stamp t = next_stamp(known, tx->session->store->clock);
    const struct head *saved = head_admits(known, o->epoch, NULL) == RC_OK ? head_to_be(o, t) : NULL;
    if (!saved)
        return RC_OK;
    view colls = head_colls_packed(saved, o->arena), before = head_colls_packed(known, o->arena);
    TRY(tx_stmt(tx, SQL_HEAD_SWAP, &st, e));
    bind_int(st, 1, known->uid);
    bind_int(st, 2, stamp_ms(saved->clock));
    bind_int(st, 3, stamp_ms(saved->modified));
    bind_int(st, 4, saved->used_bytes);
    bind_bytes(st, 5, colls);
    bind_int(st, 6, stamp_ms(known->clock));
    bind_int(st, 7, stamp_ms(known->modified));
    bind_int(st, 8, known->used_bytes);
    bind_bytes(st, 9, before);
    bind_int(st, 10, known->epoch);
    bind_int(st, 11, known->state);
    bind_int(st, 12, known->since_ms);
    bind_int(st, 13, known->quota_bytes);
    TRY(stmt_run(st, &rows, e));
    if (rows != 1)
        return RC_OK;
    tx->head = head_copy(known, o->arena, &tx->colls);
    tx->colls_cap = known->n_colls + COLLS_SPARE;
    tx->t = t;
    tx->saved = saved;
    tx->saved_colls = colls;
    *out_done = true;
    return RC_OK;
}

/* One attempt. *out_again: the head was missing and has been made, or a deadlock undid the attempt. */
static rc try_begin(struct store_txn *tx, const struct store_begin *o, bool *out_again, struct err *e)
{
    struct store_session *ss = tx->session;
    bool found = false, done = false;
    *out_again = false;
    TRY(session_begin(ss, session_shard(ss, o->uid), o->mode, &tx->conn, e));
    rc r = o->known && o->mode == STORE_WRITE ? swap_known(tx, o, &done, e) : RC_OK;
    if (r == RC_OK && done)
        return RC_OK;
    if (r == RC_OK)
        r = load_head(tx, o->uid, &found, e);
    if (r == RC_OK && (found || o->mode == STORE_READ))
        r = head_admits(tx->head, o->epoch, e);
    else if (r == RC_OK || tx->conn->deadlock)
        *out_again = true;
    if (r == RC_OK && !*out_again)
        return RC_OK;
    tx->conn->driver->rollback(tx->conn);
    if (r != RC_OK || !*out_again)
        return r;
    struct new_head made = { .uid = o->uid, .epoch = o->epoch > 0 ? o->epoch : 1, .state = HEAD_ACTIVE };
    return head_insert(ss, &made, e);
}

/* What a write knows from the beginning: T, and that a credential of its epoch makes a READY head ACTIVE. */
static void prepare_write(struct store_txn *tx)
{
    struct head *h = tx->head;
    const struct clock *clock = tx->session->store->clock;
    if (!tx->saved)
        tx->t = next_stamp(h, clock);
    tx->now_ms = stamp_ms(tx->t);
    if (h->state == HEAD_READY) {
        h->state = HEAD_ACTIVE;
        h->since_ms = clock_now_us(clock) / 1000;
        tx->dirty = true;
    }
}

rc store_begin(struct store_session *ss, const struct store_begin *o, struct store_txn **out, struct err *e)
{
    assert(!ss->in_txn && o->arena && !(ss->reader && o->mode == STORE_WRITE));
    struct store_txn *tx = &ss->tx;
    *tx = (struct store_txn){ .session = ss, .arena = o->arena, .mode = o->mode };
    tx->head = arena_zero(o->arena, sizeof *tx->head);

    bool again = true;
    rc r = RC_OK;
    for (int attempt = 0; attempt < 3 && again; attempt++)
        r = try_begin(tx, o, &again, e);
    if (r == RC_OK && again)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the head of uid %lld does not stay", (long long)o->uid);
    TRY(r);
    if (o->mode == STORE_WRITE)
        prepare_write(tx);
    else
        tx->now_ms = head_now_ms(tx->head, ss->store->clock);
    ss->in_txn = true;
    *out = tx;
    return RC_OK;
}

rc tx_open(struct store_session *ss, int64_t uid, enum store_mode mode, struct arena *a,
           struct store_txn **out, bool *out_found, struct err *e)
{
    assert(!ss->in_txn && a && !(ss->reader && mode == STORE_WRITE));
    struct store_txn *tx = &ss->tx;
    *tx = (struct store_txn){
        .session = ss, .arena = a, .mode = mode, .now_ms = INT64_MIN, .base = MANIFEST_ALL
    };
    tx->head = arena_zero(a, sizeof *tx->head);
    TRY(session_begin(ss, session_shard(ss, uid), mode, &tx->conn, e));
    rc r = load_head(tx, uid, out_found, e);
    if (r != RC_OK) {
        tx->conn->driver->rollback(tx->conn);
        return r;
    }
    ss->in_txn = true;
    *out = tx;
    return RC_OK;
}

const struct head *store_head(const struct store_txn *tx)
{
    return tx->head;
}

stamp store_stamp(const struct store_txn *tx)
{
    return tx->t;
}

static bool is_saved(const struct store_txn *tx, view colls)
{
    const struct head *h = tx->head, *s = tx->saved;
    return s && h->state == s->state && h->since_ms == s->since_ms && h->clock.cs == s->clock.cs &&
           h->modified.cs == s->modified.cs && h->used_bytes == s->used_bytes &&
           view_eq(colls, tx->saved_colls);
}

static rc save_head(struct store_txn *tx, struct err *e)
{
    const struct head *h = tx->head;
    struct stmt *st = NULL;
    view colls = head_colls_packed(h, tx->arena);
    if (is_saved(tx, colls))
        return RC_OK;
    TRY(tx_stmt(tx, SQL_HEAD_SAVE, &st, e));
    bind_int(st, 1, h->uid);
    bind_int(st, 2, h->state);
    bind_int(st, 3, h->since_ms);
    bind_int(st, 4, stamp_ms(h->clock));
    bind_int(st, 5, stamp_ms(h->modified));
    bind_int(st, 6, h->used_bytes);
    bind_bytes(st, 7, colls);
    return stmt_run(st, NULL, e);
}

rc store_commit(struct store_txn **txp, struct err *e)
{
    struct store_txn *tx = *txp;
    *txp = NULL;
    /* What was put together in it is to be answered 503, so it must not have happened. */
    if (tx->arena->spent) {
        store_rollback(tx);
        return fail(e, RC_BUSY, RESP_GENERIC, "the request needs more memory than it may have");
    }
    rc r = tx->dirty || tx->saved ? save_head(tx, e) : RC_OK;
    if (r == RC_OK)
        r = tx->conn->driver->commit(tx->conn, e);
    if (r != RC_OK)
        tx->conn->driver->rollback(tx->conn);
    tx->session->in_txn = false;
    return r;
}

void store_rollback(struct store_txn *tx)
{
    if (!tx || !tx->session->in_txn)
        return;
    tx->conn->driver->rollback(tx->conn);
    tx->session->in_txn = false;
}

/* ---- what the head remembers ---- */

void tx_use_stamp(struct store_txn *tx)
{
    assert(tx->mode == STORE_WRITE);
    tx->head->clock = tx->t;
    tx->head->modified = tx->t;
    tx->dirty = true;
}

void tx_used_more(struct store_txn *tx, int64_t bytes)
{
    tx->head->used_bytes += bytes;
    tx->dirty = true;
}

static rc add_coll(struct store_txn *tx, view name, struct head_coll **out, struct err *e)
{
    struct head *h = tx->head;
    if (h->n_colls >= COLLS_MAX || tx->head->next_number == UINT32_MAX)
        return fail(e, RC_OVER_QUOTA, RESP_OVER_QUOTA, "uid %lld has too many collections",
                    (long long)h->uid);
    if (h->n_colls == tx->colls_cap) {
        size_t cap = tx->colls_cap * 2 + COLLS_SPARE;
        struct head_coll *more = arena_alloc(tx->arena, cap * sizeof *more);
        for (size_t i = 0; i < h->n_colls; i++)
            more[i] = tx->colls[i];
        tx->colls = more;
        tx->colls_cap = cap;
        h->colls = more;
    }
    uint32_t number = coll_known_number(name);
    struct head_coll *c = &tx->colls[h->n_colls++];
    *c = (struct head_coll){ .name = arena_copy(tx->arena, name),
                             .number = number ? number : tx->head->next_number++ };
    *out = c;
    return RC_OK;
}

rc tx_coll(struct store_txn *tx, view coll, struct head_coll **out, struct err *e)
{
    assert(coll.n > 0 && coll.n <= COLL_NAME_MAX && tx->mode == STORE_WRITE);
    for (size_t i = 0; i < tx->head->n_colls; i++) {
        if (view_eq(tx->colls[i].name, coll)) {
            *out = &tx->colls[i];
            return RC_OK;
        }
    }
    tx->dirty = true;
    return add_coll(tx, coll, out, e);
}

rc tx_touch(struct store_txn *tx, view coll, uint32_t *out_number, struct err *e)
{
    struct head_coll *c = NULL;
    TRY(tx_coll(tx, coll, &c, e));
    c->modified = tx->t;
    tx_use_stamp(tx);
    *out_number = c->number;
    return RC_OK;
}

/* ---- small statements ---- */

rc tx_run(struct store_txn *tx, enum sql_id id, struct err *e)
{
    struct stmt *st = NULL;
    TRY(tx_stmt(tx, id, &st, e));
    bind_int(st, 1, tx->head->uid);
    return stmt_run(st, NULL, e);
}

rc tx_run_text(struct store_txn *tx, enum sql_id id, view text, struct err *e)
{
    struct stmt *st = NULL;
    TRY(tx_stmt(tx, id, &st, e));
    bind_int(st, 1, tx->head->uid);
    bind_bytes(st, 2, text);
    return stmt_run(st, NULL, e);
}

rc tx_run_number(struct store_txn *tx, enum sql_id id, int64_t number, struct err *e)
{
    struct stmt *st = NULL;
    TRY(tx_stmt(tx, id, &st, e));
    bind_int(st, 1, tx->head->uid);
    bind_int(st, 2, number);
    return stmt_run(st, NULL, e);
}

rc stmt_number(struct stmt *st, int64_t *out, bool *out_found, struct err *e)
{
    bool row = false;
    rc r = stmt_step(st, &row, e);
    if (r == RC_OK && row)
        *out = col_int(st, 0);
    if (r == RC_OK && out_found)
        *out_found = row;
    stmt_done(st);
    return r;
}
