/* Upkeep: rows nobody can see any more. It moves no stamp. Whoever deletes holds the locks of the users' heads, taken in the order
 * of their ids, as every writer holds one: so nobody deadlocks. */
#include <assert.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "node/store/internal.h"

#define PURGE_ROWS 1000 /* in one transaction */

/* A row that was found: an item, or a batch. */
struct victim {
    int64_t uid, coll;
    size_t id_begin, id_n;
};

struct purge {
    bool batches;     /* else items */
    int64_t until_ms; /* older ones go */
    unsigned n;
    struct victim victims[PURGE_ROWS];
    struct buf ids;
};

static rc find_victims(struct conn *c, struct purge *p, unsigned most, struct err *e)
{
    SCOPED(stmt_done) struct stmt *st = NULL;
    p->n = 0;
    buf_clear(&p->ids);
    TRY(conn_stmt(c, p->batches ? SQL_PURGE_BATCHES : SQL_PURGE_EXPIRED, &st, e));
    bind_int(st, 1, p->until_ms);
    if (!p->batches)
        bind_int(st, 2, HEAD_ACTIVE); /* the rows of a user on the move are not ours to change */
    bind_int(st, p->batches ? 2 : 3, most);
    for (;;) {
        bool row = false;
        TRY(stmt_step(st, &row, e));
        if (!row)
            return RC_OK;
        assert(p->n < PURGE_ROWS);
        view id = col_bytes(st, p->batches ? 1 : 2);
        p->victims[p->n++] = (struct victim){
            .uid = col_int(st, 0),
            .coll = p->batches ? 0 : col_int(st, 1),
            .id_begin = p->ids.n,
            .id_n = id.n,
        };
        buf_add(&p->ids, id);
    }
}

static view victim_id(const struct purge *p, const struct victim *v)
{
    return (view){ .p = p->ids.p + v->id_begin, .n = v->id_n };
}

/* Locks a head. *out_mine: the user may still be purged. */
static rc lock_head(struct conn *c, const struct purge *p, int64_t uid, bool *out_mine, struct err *e)
{
    SCOPED(stmt_done) struct stmt *st = NULL;
    bool row = false;
    TRY(conn_stmt(c, SQL_HEAD_LOCK, &st, e));
    bind_int(st, 1, uid);
    TRY(stmt_step(st, &row, e));
    *out_mine = p->batches || (row && col_int(st, HEAD_COL_STATE) == HEAD_ACTIVE);
    return RC_OK;
}

static rc delete_victim(struct conn *c, const struct purge *p, const struct victim *v, uint64_t *out_rows,
                        struct err *e)
{
    struct stmt *st = NULL;
    view id = victim_id(p, v);
    if (p->batches) {
        TRY(conn_stmt(c, SQL_BATCH_DROP_ITEMS, &st, e));
        bind_int(st, 1, v->uid);
        bind_bytes(st, 2, id);
        TRY(stmt_run(st, NULL, e));
        TRY(conn_stmt(c, SQL_BATCH_DROP, &st, e));
        bind_int(st, 1, v->uid);
        bind_bytes(st, 2, id);
        return stmt_run(st, out_rows, e);
    }
    TRY(conn_stmt(c, SQL_PURGE_ITEM, &st, e));
    bind_int(st, 1, v->uid);
    bind_int(st, 2, v->coll);
    bind_bytes(st, 3, id);
    bind_int(st, 4, p->until_ms); /* somebody may have written it anew */
    return stmt_run(st, out_rows, e);
}

static rc delete_victims(struct conn *c, const struct purge *p, uint64_t *out_n, struct err *e)
{
    int64_t locked = -1;
    bool mine = false;
    for (unsigned i = 0; i < p->n; i++) {
        const struct victim *v = &p->victims[i];
        uint64_t rows = 0;
        if (v->uid != locked)
            TRY(lock_head(c, p, v->uid, &mine, e));
        locked = v->uid;
        if (mine)
            TRY(delete_victim(c, p, v, &rows, e));
        *out_n += rows;
    }
    return RC_OK;
}

/* One transaction. Looking needs no lock, so an idle purge disturbs no writer. */
static rc purge_some(struct store_session *ss, unsigned shard, struct purge *p, unsigned most,
                     uint64_t *out_n, struct err *e)
{
    struct conn *c = NULL;
    uint64_t n = 0;
    TRY(session_begin(ss, shard, STORE_READ, &c, e));
    rc r = find_victims(c, p, most, e);
    c->driver->rollback(c);
    if (r != RC_OK || p->n == 0)
        return r;
    TRY(session_begin(ss, shard, STORE_WRITE, &c, e));
    r = delete_victims(c, p, &n, e);
    if (r == RC_OK)
        r = c->driver->commit(c, e);
    if (r != RC_OK) {
        c->driver->rollback(c);
        return r == RC_UNSURE ? RC_AWAY : r; /* it can be done again */
    }
    *out_n += n;
    return RC_OK;
}

/* Until nothing is found, `limit` is reached, or what is found is kept from us by its writers. */
static rc purge_shard(struct store_session *ss, unsigned shard, struct purge *p, unsigned limit, uint64_t *n,
                      struct err *e)
{
    uint64_t before;
    do {
        uint64_t left = limit - *n;
        before = *n;
        TRY(purge_some(ss, shard, p, left < PURGE_ROWS ? (unsigned)left : PURGE_ROWS, n, e));
    } while (*n<limit && * n> before);
    return RC_OK;
}

static rc purge(struct store_session *ss, bool batches, int64_t age_s, unsigned limit, uint64_t *out_n,
                struct err *e)
{
    assert(!ss->in_txn && !ss->reader);
    struct purge *p = mem_need(calloc(1, sizeof *p));
    unsigned shards = ss->store->engine->shards;
    uint64_t n = 0;
    rc r = RC_OK;
    assert(shards > 0);
    p->batches = batches;
    p->until_ms = clock_now_us(ss->store->clock) / 1000 - age_s * 1000;
    for (unsigned i = 0; i < shards && n < limit && r == RC_OK; i++)
        r = purge_shard(ss, (ss->purge_shard + i) % shards, p, limit, &n, e);
    ss->purge_shard = (ss->purge_shard + 1) % shards; /* so that a busy one does not take every turn */
    buf_done(&p->ids);
    free(p);
    if (r == RC_OK)
        *out_n = n;
    return r;
}

rc store_purge_expired(struct store_session *ss, int64_t grace_s, unsigned limit, uint64_t *out_n,
                       struct err *e)
{
    return purge(ss, false, grace_s, limit, out_n, e);
}

rc store_purge_batches(struct store_session *ss, int64_t life_s, unsigned limit, uint64_t *out_n,
                       struct err *e)
{
    return purge(ss, true, life_s, limit, out_n, e);
}

/* ---- users who left ---- */

struct gone {
    int64_t uid, epoch;
    view move;
};

static rc find_gone(struct conn *c, int64_t until_ms, unsigned most, struct arena *a, struct gone *out,
                    unsigned *out_n, struct err *e)
{
    SCOPED(stmt_done) struct stmt *st = NULL;
    unsigned n = 0;
    TRY(conn_stmt(c, SQL_GONE_LIST, &st, e));
    bind_int(st, 1, HEAD_GONE);
    bind_int(st, 2, until_ms);
    bind_int(st, 3, most);
    for (;;) {
        bool row = false;
        TRY(stmt_step(st, &row, e));
        if (!row)
            break;
        assert(n < most);
        view move = col_bytes(st, 2);
        out[n++] = (struct gone){ .uid = col_int(st, 0),
                                  .epoch = col_int(st, 1),
                                  .move = move.n > 0 ? arena_copy(a, move) : VIEW("sweep") };
    }
    *out_n = n;
    return RC_OK;
}

/* The head keeps its move: a step of it that is still on its way must find that it was here. He may have come back in the meantime,
 * which the step sees. */
static rc erase_gone(struct store_session *ss, const struct gone *g, struct arena *a, uint64_t *n,
                     struct err *e)
{
    const struct move m = { .uid = g->uid, .id = g->move, .epoch = g->epoch };
    rc r = store_head_step(ss, &m, STEP_ERASE, NULL, a, NULL, e);
    if (r == RC_OK)
        ++*n;
    return r == RC_CONFLICT ? RC_OK : r;
}

rc store_purge_gone(struct store_session *ss, int64_t grace_s, unsigned limit, uint64_t *out_n, struct err *e)
{
    assert(!ss->in_txn && !ss->reader && limit > 0 && limit <= HEADS_PAGE_MAX);
    struct gone *list = mem_need(calloc(limit, sizeof *list));
    int64_t until_ms = clock_now_us(ss->store->clock) / 1000 - grace_s * 1000;
    struct arena a;
    uint64_t n = 0;
    rc r = RC_OK;
    arena_init(&a, (size_t)8 << 20);
    for (unsigned shard = 0; shard < ss->store->engine->shards && n < limit && r == RC_OK; shard++) {
        struct conn *c = NULL;
        unsigned found = 0;
        r = session_begin(ss, shard, STORE_READ, &c, e);
        if (r == RC_OK) {
            r = find_gone(c, until_ms, limit - (unsigned)n, &a, list, &found, e);
            c->driver->rollback(c);
        }
        for (unsigned i = 0; i < found && r == RC_OK; i++)
            r = erase_gone(ss, &list[i], &a, &n, e);
    }
    arena_done(&a);
    free(list);
    if (r == RC_OK)
        *out_n = n;
    return r;
}
