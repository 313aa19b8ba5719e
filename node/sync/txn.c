/* Transactions with the rule of the cache around them (node/cache/cache.h). A write that ends in 412 or 400 leaves what is cached
 * alone. */
#include "node/sync/sync.h"

#define ASK_EVERY_US 1000000

static void count_time(struct sync_txn *t)
{
    t->rq->store_us += clock_mono_us(t->rq->clock) - t->begun_us;
}

rc sync_renew(struct request *rq, struct err *e)
{
    const struct sync_worker *w = rq->worker;

    return w->sync->renew ? w->sync->renew(rq, e) : RC_NOT_HERE;
}

static rc begin_once(struct request *rq, const struct store_begin *wish, struct sync_txn *out, struct err *e)
{
    struct sync_worker *w = rq->worker;
    struct store_begin o = *wish;
    rc r;

    o.uid = rq->who.uid;
    o.epoch = rq->who.epoch;
    o.arena = rq->arena;
    *out = (struct sync_txn){
        .rq = rq, .w = w, .begun_us = clock_mono_us(rq->clock), .writing = o.mode == STORE_WRITE
    };
    r = store_begin(w->store, &o, &out->tx, e);
    if (r != RC_OK)
        count_time(out);
    return r;
}

static rc begin(struct request *rq, const struct store_begin *wish, struct sync_txn *out, struct err *e)
{
    rc r = begin_once(rq, wish, out, e);

    if (r != RC_NOT_HERE)
        return r;
    TRY(sync_renew(rq, e));
    return begin_once(rq, wish, out, e);
}

rc sync_begin(struct request *rq, enum store_mode mode, struct sync_txn *out, struct err *e)
{
    return begin(rq, &(struct store_begin){ .mode = mode }, out, e);
}

/* Only where a statement goes over a socket: in SQLite reading the head costs no more than comparing all of it. */
rc sync_begin_put(struct request *rq, view coll, uint64_t adding_bytes, struct sync_txn *out, struct err *e)
{
    struct sync_worker *w = rq->worker;
    struct store_begin wish = { .mode = STORE_WRITE };
    struct head known;

    if (strcmp(store_driver_name(w->sync->store), "mysql") == 0 && sync_head_known(rq, &known)) {
        wish.known = &known;
        wish.coll = coll;
        wish.adding_bytes = (int64_t)adding_bytes;
    }
    return begin(rq, &wish, out, e);
}

rc sync_commit(struct sync_txn *t, struct err *e)
{
    const struct head *h = store_head(t->tx);
    int64_t uid = t->rq->who.uid;
    rc r;

    if (t->writing)
        cache_before(t->w->cache, uid, &t->mark);
    r = store_commit(&t->tx, e);
    t->tx = NULL;
    if (t->writing) {
        SCOPED(buf_done) struct buf packed = { 0 };

        if (r == RC_OK)
            head_pack(h, &packed);
        cache_after(t->w->cache, uid, &t->mark, r == RC_OK ? buf_view(&packed) : VIEW_NONE);
    }
    count_time(t);
    return r;
}

void sync_abort(struct sync_txn *t)
{
    if (!t->tx)
        return;
    store_rollback(t->tx);
    t->tx = NULL;
    count_time(t);
}

/* What the cache says, if it may speak: a head that refuses is asked for again in the store, which knows why. */
static bool speaks(struct request *rq, view packed, struct head *out)
{
    struct head h;

    if (!head_unpack(packed, rq->arena, &h) || h.uid != rq->who.uid ||
        head_admits(&h, rq->who.epoch, NULL) != RC_OK)
        return false;
    *out = h;
    return true;
}

bool sync_head_cached(struct request *rq, struct head *out)
{
    struct sync_worker *w = rq->worker;
    SCOPED(buf_done) struct buf packed = { 0 };

    return w->cache && cache_peek(w->cache, rq->who.uid, &packed) && speaks(rq, buf_view(&packed), out);
}

bool sync_head_known(struct request *rq, struct head *out)
{
    struct sync_worker *w = rq->worker;
    SCOPED(buf_done) struct buf packed = { 0 };
    int64_t now;

    if (sync_head_cached(rq, out))
        return true;
    now = clock_mono_us(rq->clock);
    if (!w->cache || now - w->asked_us < ASK_EVERY_US)
        return false;
    w->asked_us = now;
    return cache_get(w->cache, rq->who.uid, &packed, NULL) && speaks(rq, buf_view(&packed), out);
}

static rc head_once(struct request *rq, struct head *out, struct err *e)
{
    struct sync_worker *w = rq->worker;
    SCOPED(buf_done) struct buf packed = { 0 };
    struct cache_mark mark;
    int64_t begun_us;
    rc r;

    if (cache_get(w->cache, rq->who.uid, &packed, &mark) && speaks(rq, buf_view(&packed), out))
        return RC_OK;
    begun_us = clock_mono_us(rq->clock);
    r = store_head_read(w->store, rq->who.uid, rq->arena, out, e);
    rq->store_us += clock_mono_us(rq->clock) - begun_us;
    if (r != RC_OK)
        return r;
    /* "No row" is not remembered: the row may be made by a write that is then refused and so touches no cache. */
    if (out->state != HEAD_NONE && mark.good) {
        buf_clear(&packed);
        head_pack(out, &packed);
        cache_fill(w->cache, rq->who.uid, &mark, buf_view(&packed));
    }
    return head_admits(out, rq->who.epoch, e);
}

rc sync_head(struct request *rq, struct head *out, struct err *e)
{
    rc r = head_once(rq, out, e);

    if (r != RC_NOT_HERE)
        return r;
    TRY(sync_renew(rq, e));
    return head_once(rq, out, e);
}

bool sync_head_stands(struct request *rq, const struct head *h)
{
    struct sync_worker *w = rq->worker;
    SCOPED(buf_done) struct buf before = { 0 }, after = { 0 };
    int64_t begun_us = clock_mono_us(rq->clock);
    struct head now;
    rc r = store_head_read(w->store, h->uid, rq->arena, &now, NULL);

    rq->store_us += clock_mono_us(rq->clock) - begun_us;
    if (r != RC_OK)
        return false;
    head_pack(h, &before);
    head_pack(&now, &after);
    return view_eq(buf_view(&before), buf_view(&after));
}
