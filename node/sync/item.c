/* One item. GET serves both protocols; writing here is 1.5's.
 * Protocol: Storage API 1.5, 8.10 to 8.12; Storage API 1.1, "storage/<collection>/<id>". */
#include "common/base/json.h"
#include "node/sync/bso.h"
#include "node/sync/guard.h"
#include "node/sync/handlers.h"
#include "node/sync/negotiate.h"

/* 1.1 lets every segment through to here, to be able to say what is wrong with it. */
static rc id_checked(const struct request *rq, struct err *e)
{
    if (is_legacy(rq) && !item_id_legacy_ok(path_id(rq)))
        return fail(e, RC_BAD_INPUT, RESP_INVALID_WBO, "illegal id in the path");
    return RC_OK;
}

/* Under which key the item is remembered that is read by this head. false: it has no such collection. */
static bool key_of(const struct request *rq, const struct head *h, struct item_tag *out)
{
    const struct head_coll *c = head_coll_find(h, path_coll(rq));

    if (c)
        *out =
            (struct item_tag){ .uid = h->uid, .coll = c->number, .id = path_id(rq), .as_of = c->modified.cs };
    return c != NULL;
}

/* *out_known: the head, where memory has it; it may have the item too, then there is nothing more to ask. */
static bool remembered(struct request *rq, bool on_worker, struct head *h, const struct head **out_known,
                       struct item *out)
{
    const struct sync_worker *w = rq->worker;
    struct item_tag key;
    view packed;

    *out_known = (on_worker ? sync_head_known(rq, h) : sync_head_cached(rq, h)) ? h : NULL;
    return *out_known && key_of(rq, h, &key) && cache_item_get(w->cache, &key, rq->arena, &packed) &&
           item_unpack(packed, path_id(rq), h, rq->clock, out);
}

static void remember(const struct request *rq, const struct head *h, const struct cache_mark *mark,
                     const struct item *it)
{
    const struct sync_worker *w = rq->worker;
    SCOPED(buf_done) struct buf packed = { 0 };
    struct item_tag key;

    if (!key_of(rq, h, &key))
        return;
    item_pack(it, &packed);
    cache_item_put(w->cache, &key, mark, buf_view(&packed));
}

/* A head that came with an item. Else who asks for single items alone would have it read with each of them, where another process of the
 * node wrote last. */
static void remember_head(const struct request *rq, const struct head *h, const struct cache_mark *mark)
{
    const struct sync_worker *w = rq->worker;
    SCOPED(buf_done) struct buf packed = { 0 };

    head_pack(h, &packed);
    cache_keep(w->cache, rq->who.uid, mark, buf_view(&packed));
}

/* With a known head the store reads one table instead of two. One item is of one moment by itself; its fence is the head's, as for
 * info/collections. What is missing is asked for with the store's own fence: the user may have left since, and what he
 * had here may be erased; nobody is told that something is not there by a place that is not his any more. */
static rc read_store(struct request *rq, const struct head *known, struct item *out, struct err *e)
{
    struct sync_worker *w = rq->worker;
    int64_t begun_us = clock_mono_us(rq->clock);
    struct cache_mark mark;
    bool keep = w->cache && cache_mark_read(w->cache, rq->who.uid, &mark);
    struct head h;
    rc r = RC_NOT_FOUND;

    if (known)
        r = store_item_by_head(w->store, known, path_coll(rq), path_id(rq), rq->arena, out, e);
    if (r == RC_NOT_FOUND) {
        r = store_item_read(w->store, rq->who.uid, rq->who.epoch, path_coll(rq), path_id(rq), rq->arena, &h,
                            out, e);
        if (r == RC_OK && keep)
            remember_head(rq, &h, &mark);
        known = &h;
    }
    if (r == RC_OK && keep)
        remember(rq, known, &mark, out);
    rq->store_us += clock_mono_us(rq->clock) - begun_us;
    return r;
}

static rc read_item(struct request *rq, struct item *out, struct err *e)
{
    const struct head *known;
    struct head h;

    return remembered(rq, true, &h, &known, out) ? RC_OK : read_store(rq, known, out, e);
}

static void put_item(struct request *rq, const struct item *it)
{
    struct buf *b = reply_body(rq);
    struct time_text time = { .n = 0 };

    buf_reserve(b, it->payload.n + it->payload.n / 8 + 160);
    bso_put(b, it, is_legacy(rq), &time);
    tell_read(rq, it->modified);
}

rc item_get(struct request *rq, struct err *e)
{
    struct precondition p;
    struct item it;
    rc r;

    TRY(id_checked(rq, e));
    TRY(precondition_read(rq, &p, e));
    r = read_item(rq, &it, e);
    if (r == RC_NOT_HERE) {
        TRY(sync_renew(rq, e));
        r = read_item(rq, &it, e);
    }
    if (r != RC_OK && r != RC_NOT_FOUND)
        return r;
    /* A missing item counts as one of time 0 here, too. */
    TRY(precondition_check(rq, &p, r == RC_OK ? it.modified : STAMP_ZERO, e));
    if (r == RC_OK)
        put_item(rq, &it);
    return r;
}

/* Beside what is remembered, only where a read is a short one of this machine's disk; the server watches that it stays short. */
bool item_get_warm(struct request *rq)
{
    struct sync_worker *w = rq->worker;
    const struct head *known;
    struct precondition p;
    struct item it;
    struct head h;

    if (id_checked(rq, NULL) != RC_OK || precondition_read(rq, &p, NULL) != RC_OK || p.has_modified ||
        p.has_unmodified)
        return false;
    if (!remembered(rq, false, &h, &known, &it) &&
        (rq->memory_only || !w->store || strcmp(store_driver_name(w->sync->store), "sqlite") != 0 ||
         read_store(rq, known, &it, NULL) != RC_OK))
        return false;
    put_item(rq, &it);
    return true;
}

/* ---- writing, 1.5 ---- */

/* The item's time inside a transaction. Where the collection's already satisfies the client, the item need not be read. */
static rc item_precondition(struct request *rq, struct sync_txn *t, const struct precondition *p,
                            struct err *e)
{
    struct item it;
    rc r;

    if (!p->has_unmodified || coll_stamp(store_head(t->tx), path_coll(rq)).cs <= p->unmodified_since.cs)
        return RC_OK;
    r = store_item_get(t->tx, path_coll(rq), path_id(rq), &it, e);
    if (r == RC_NOT_FOUND)
        return RC_OK; /* 0: older than whatever was asked for */
    if (r != RC_OK)
        return r;
    return precondition_check(rq, p, it.modified, e);
}

static rc body_read(const struct request *rq, struct item_patch *out, json_t **out_root, struct err *e)
{
    struct sync_coll_limits l = sync_limits_of(limits_of(rq), path_coll(rq));
    struct bso_rules rules = { .max_payload_bytes = l.max_record_payload_bytes };
    struct bso_ctx c = { .rules = &rules, .arena = rq->arena };
    enum format format;

    TRY(body_format(rq->content_type, true, &format, e));
    TRY(bso_read(rq->body, path_id(rq), &c, out, out_root, e));
    if (view_eq(path_coll(rq), VIEW("crypto")) && payload_has_zero_iv(out->payload))
        return fail(e, RC_BAD_INPUT, RESP_INVALID_WBO, "a key record with an empty IV");
    return RC_OK;
}

rc item_put(struct request *rq, struct err *e)
{
    SCOPED(json_decref) json_t *root = NULL;
    SCOPED(sync_abort) struct sync_txn t = { .tx = NULL };
    struct item_patch patch;
    struct precondition p;
    stamp now;

    TRY(precondition_read(rq, &p, e));
    TRY(body_read(rq, &patch, &root, e));
    TRY(sync_begin_put(rq, path_coll(rq), patch.payload.n, &t, e));
    TRY(item_precondition(rq, &t, &p, e));
    TRY(quota_admits(&t, patch.payload.n, false, e));
    now = store_stamp(t.tx);
    TRY(store_items_put(t.tx, path_coll(rq), &patch, 1, NULL, e));
    TRY(sync_commit(&t, e));
    stamp_put(reply_body(rq), now);
    tell_write(rq, now);
    return RC_OK;
}

rc item_delete(struct request *rq, struct err *e)
{
    SCOPED(sync_abort) struct sync_txn t = { .tx = NULL };
    struct precondition p;
    stamp now;

    TRY(precondition_read(rq, &p, e));
    TRY(sync_begin(rq, STORE_WRITE, &t, e));
    TRY(item_precondition(rq, &t, &p, e));
    now = store_stamp(t.tx);
    TRY(store_item_delete(t.tx, path_coll(rq), path_id(rq), e));
    TRY(sync_commit(&t, e));
    put_modified(rq, now);
    tell_write(rq, now);
    return RC_OK;
}
