/* A collection as a whole: listing (both protocols), deleting, and the wipe of all storage (1.5). Writing many items: batch.c.
 * Protocol: Storage API 1.5, 8.6 to 8.8; Storage API 1.1, "storage/<collection>". */
#include "common/base/json.h"
#include "node/sync/bso.h"
#include "node/sync/guard.h"
#include "node/sync/handlers.h"
#include "node/sync/negotiate.h"
#include "node/sync/query.h"

#define ROOM_BYTES ((size_t)512 << 10)

void put_modified(struct request *rq, stamp t)
{
    struct buf *b = reply_body(rq);

    buf_add(b, VIEW("{\"modified\":"));
    stamp_put(b, t);
    buf_addc(b, '}');
}

/* ---- GET ---- */

/* The answer while the store hands out its items. */
struct page {
    struct request *rq;
    enum format format;
    bool full;
    uint64_t n;
    struct time_text time; /* of the last record */
    bool same;             /* read by a head: it was the same in what was read */
    rc failed;             /* of the visit, with e filled */
    struct err *e;
};

static void put_record(struct page *p, struct buf *b, const struct item *it)
{
    if (p->full)
        bso_put(b, it, is_legacy(p->rq), &p->time);
    else
        json_put_string(b, it->id);
}

/* Four bytes of length, most significant first, before each record. */
static void put_whoisi(struct page *p, struct buf *b, const struct item *it)
{
    size_t at = b->n, n;

    buf_add(b, VIEW("\0\0\0\0"));
    put_record(p, b, it);
    n = b->n - at - 4;
    for (unsigned i = 0; i < 4; i++)
        b->p[at + i] = (char)(n >> (24 - 8 * i) & 0xff);
}

static bool page_visit(const struct item *it, void *arg)
{
    struct page *p = arg;
    struct buf *b = reply_body(p->rq);

    switch (p->format) {
    case FORMAT_WHOISI:
        put_whoisi(p, b, it);
        break;
    case FORMAT_NEWLINES:
        put_record(p, b, it);
        buf_addc(b, '\n');
        break;
    default:
        buf_addc(b, p->n ? ',' : '[');
        put_record(p, b, it);
        break;
    }
    p->n++;
    p->failed = reply_flush(p->rq, p->e);
    return p->failed == RC_OK;
}

static void page_type(struct request *rq, enum format format)
{
    if (format == FORMAT_NEWLINES)
        reply_type(rq, "application/newlines");
    else if (format == FORMAT_WHOISI)
        reply_type(rq, "application/whoisi");
}

/* Reads in a transaction; without one (NULL) by the head. */
static rc find(struct request *rq, struct sync_txn *t, const struct head *h, const struct item_query *q,
               struct page *p, view *out_next, struct err *e)
{
    struct sync_worker *w = rq->worker;
    int64_t begun_us;
    rc r;

    if (t)
        return store_items_find(t->tx, q, page_visit, p, out_next, e);
    begun_us = clock_mono_us(rq->clock);
    r = store_items_by_head(w->store, h, q, rq->arena, page_visit, p, out_next, &p->same, e);
    rq->store_us += clock_mono_us(rq->clock) - begun_us;
    return r;
}

/* Room at once for a whole collection, which would else be copied whenever it has outgrown what it has. The head knows how much all of
 * them have; room that is not written to costs nothing. */
static void make_room(struct request *rq, const struct head *h, const struct listing *l)
{
    const struct item_query *q = &l->q;
    size_t all = h->used_bytes > 0 ? (size_t)h->used_bytes : 0;

    if (l->full && !q->has_ids && !q->has_limit && (!q->has_newer || q->newer.cs <= 0))
        buf_reserve(reply_body(rq), all < ROOM_BYTES ? all : ROOM_BYTES);
}

/* *out_same: read by the head alone, what was read tells that it was the same all the while. */
static rc page_put(struct request *rq, struct sync_txn *t, const struct head *h, const struct listing *l,
                   enum format format, bool *out_same, struct err *e)
{
    struct page p = { .rq = rq, .format = format, .full = l->full, .failed = RC_OK, .e = e };
    view next = VIEW_NONE;

    page_type(rq, format);
    make_room(rq, h, l);
    TRY(find(rq, t, h, &l->q, &p, &next, e));
    TRY(p.failed);
    if (format == FORMAT_JSON)
        buf_add(reply_body(rq), p.n ? VIEW("]") : VIEW("[]"));
    tell_records(rq, p.n);
    if (next.p && !is_legacy(rq) && l->q.limit > 0)
        reply_header(rq, "X-Weave-Next-Offset", next);
    tell_read(rq, coll_stamp(h, l->q.coll));
    *out_same = p.same;
    return RC_OK;
}

static rc listing_of(const struct request *rq, struct listing *out, enum format *out_format, struct err *e)
{
    view accept = request_header(rq, "Accept");

    TRY(is_legacy(rq) ? listing_read_legacy(rq, out, NULL, e) : listing_read(rq, out, e));
    out->q.coll = path_coll(rq);
    *out_format = is_legacy(rq) ? accept_best_legacy(accept) : accept_best(accept);
    if (*out_format == FORMAT_NONE)
        return fail(e, RC_NOT_ACCEPTABLE, RESP_GENERIC, "Accept: %.*s", VIEW_ARG(accept));
    return RC_OK;
}

/* Most clients that ask for what is newer than they know hear "nothing", and that the head tells: no transaction, no item. */
static bool head_suffices(const struct listing *l)
{
    return l->q.has_newer && !l->q.offset.p; /* a wrong offset is an error even then */
}

static void put_nothing(struct request *rq, const struct listing *l, enum format format, const struct head *h)
{
    page_type(rq, format);
    if (format == FORMAT_JSON)
        buf_add(reply_body(rq), VIEW("[]"));
    tell_records(rq, 0);
    tell_read(rq, coll_stamp(h, l->q.coll));
}

bool collection_get_warm(struct request *rq)
{
    struct precondition p;
    struct listing l;
    enum format format;
    struct head h;

    if (precondition_read(rq, &p, NULL) != RC_OK || p.has_modified || p.has_unmodified ||
        listing_of(rq, &l, &format, NULL) != RC_OK || !head_suffices(&l))
        return false;
    if (!sync_head_cached(rq, &h) || !head_selects_nothing(&h, &l.q))
        return false;
    put_nothing(rq, &l, format, &h);
    return true;
}

/* Nobody wrote in the meantime, so no transaction was needed. false: one is, and the reply is empty again. */
static bool page_put_by_head(struct request *rq, const struct head *h, const struct listing *l,
                             enum format format)
{
    bool same = false;

    if (page_put(rq, NULL, h, l, format, &same, NULL) == RC_OK &&
        (same || head_selects_nothing(h, &l->q) || sync_head_stands(rq, h)))
        return true;
    reply_reset(rq);
    return false;
}

rc collection_get(struct request *rq, struct err *e)
{
    SCOPED(sync_abort) struct sync_txn t = { .tx = NULL };
    struct precondition p;
    struct listing l;
    enum format format;
    struct head h;
    bool same;

    TRY(precondition_read(rq, &p, e));
    TRY(listing_of(rq, &l, &format, e));
    TRY(sync_head(rq, &h, e));
    TRY(precondition_check(rq, &p, coll_stamp(&h, l.q.coll), e));
    if (head_suffices(&l) && head_selects_nothing(&h, &l.q)) {
        put_nothing(rq, &l, format, &h);
        return RC_OK;
    }
    if (page_put_by_head(rq, &h, &l, format))
        return RC_OK;
    TRY(sync_begin(rq, STORE_READ, &t, e));
    TRY(precondition_check(rq, &p, coll_stamp(store_head(t.tx), l.q.coll), e));
    TRY(page_put(rq, &t, store_head(t.tx), &l, format, &same, e));
    return sync_commit(&t, e);
}

/* ---- DELETE, 1.5 ---- */

static rc delete_some(struct request *rq, struct sync_txn *t, const struct item_query *q, struct err *e)
{
    stamp now = store_stamp(t->tx);
    uint64_t n;

    TRY(store_items_delete(t->tx, q, &n, e));
    TRY(store_coll_touch(t->tx, q->coll, e)); /* also where nothing matched */
    TRY(sync_commit(t, e));
    put_modified(rq, now);
    tell_write(rq, now);
    return RC_OK;
}

static rc delete_all(struct request *rq, struct sync_txn *t, view coll, struct err *e)
{
    stamp now = store_stamp(t->tx);
    bool existed;

    TRY(store_coll_delete(t->tx, coll, &existed, e));
    if (!existed) {
        now = store_head(t->tx)->modified;
        sync_abort(t);
        put_modified(rq, now);
        tell_read(rq, now);
        return RC_OK;
    }
    TRY(sync_commit(t, e));
    put_modified(rq, now);
    tell_write(rq, now);
    return RC_OK;
}

rc collection_delete(struct request *rq, struct err *e)
{
    SCOPED(sync_abort) struct sync_txn t = { .tx = NULL };
    struct item_query q = { .coll = path_coll(rq) };
    struct precondition p;

    TRY(precondition_read(rq, &p, e));
    TRY(query_ids_read(rq, &q, e));
    TRY(sync_begin(rq, STORE_WRITE, &t, e));
    TRY(precondition_check(rq, &p, coll_stamp(store_head(t.tx), q.coll), e));
    return q.has_ids ? delete_some(rq, &t, &q, e) : delete_all(rq, &t, q.coll, e);
}

/* DELETE of the endpoint, or of /storage. */
rc user_delete(struct request *rq, struct err *e)
{
    SCOPED(sync_abort) struct sync_txn t = { .tx = NULL };
    struct precondition p;
    stamp now;

    TRY(precondition_read(rq, &p, e));
    TRY(sync_begin(rq, STORE_WRITE, &t, e));
    TRY(precondition_check(rq, &p, store_head(t.tx)->modified, e));
    now = store_stamp(t.tx);
    TRY(store_user_wipe(t.tx, e));
    TRY(sync_commit(&t, e));
    buf_add(reply_body(rq), VIEW("{}"));
    tell_write(rq, now);
    return RC_OK;
}
