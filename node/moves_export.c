/* What a node holds of a user, told to the admin: the manifest, rows, and usage. */
#include <inttypes.h>

#include "common/auth/secrets.h"
#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "node/move_lines.h"
#include "node/moves.h"

#define LINE_ROOM 512 /* an entry and the last lines fit in this */

/* A snapshot: of the move that the query names, or without one, for who only looks, of whatever is there. */
static rc begin(struct request *rq, struct store_txn **out, struct err *e)
{
    const struct node_worker *w = rq->worker;
    struct move m;
    view move;
    if (moves_arg(rq, "move").n == 0)
        return store_inspect_begin(w->sync.store, node_internal_uid(rq), rq->arena, out, &move, e);
    TRY(moves_args(rq, &m, e));
    return store_export_begin(w->sync.store, &m, rq->arena, out, e);
}

/* ---- the manifest ---- */

struct listing {
    struct request *rq;
    struct buf *page;
    struct buf coll, id; /* of the last entry */
    bool full;
};

static bool put_entry(const struct manifest_entry *m, void *arg)
{
    struct listing *l = arg;
    manifest_entry_put(l->page, m);
    buf_addc(l->page, '\n');
    l->full = l->page->n > MOVE_PAGE_BYTES - LINE_ROOM;
    if (l->full) {
        buf_add(&l->coll, m->coll);
        buf_add(&l->id, m->id);
    }
    return !l->full;
}

/* {"manifest":"<hex>","clock":…}: of all pages, taken in the snapshot of the last one. Only of a frozen user it tells what was sent. */
static rc put_total(struct store_txn *tx, struct buf *page, struct err *e)
{
    struct manifest_sum sum;
    TRY(store_manifest_sum(tx, &sum, e));
    buf_add(page, VIEW("{\"manifest\":\""));
    hex_put(page, (view){ .p = (const char *)sum.hash, .n = sizeof sum.hash });
    buf_addf(page, "\",\"clock\":%" PRId64 "}\n", sum.clock.cs);
    return RC_OK;
}

static rc put_manifest(struct listing *l, struct store_txn *tx, const struct item_key *after, struct err *e)
{
    if (after->coll.n == 0) {
        manifest_head_put(l->page, store_head(tx), l->rq->arena);
        buf_addc(l->page, '\n');
    }
    TRY(store_manifest(tx, after, 0, put_entry, l, e));
    if (l->full) {
        const struct item_key last = { buf_view(&l->coll), buf_view(&l->id) };
        reply_header(l->rq, "X-Heddle-Next", key_text(l->rq->arena, &last));
    } else if (moves_arg(l->rq, "total").n > 0) {
        TRY(put_total(tx, l->page, e));
    }
    lines_end(l->page, l->rq->target);
    return RC_OK;
}

rc moves_manifest(struct request *rq, struct err *e)
{
    SCOPED(store_rollback) struct store_txn *tx = NULL;
    struct listing l = { .rq = rq, .page = reply_body(rq) };
    struct item_key after;
    if (!key_parse(moves_arg(rq, "after"), rq->arena, &after))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "after is not what X-Heddle-Next gave");
    TRY(begin(rq, &tx, e));
    TRY(moves_base(rq, tx, e));
    reply_type(rq, "application/x-ndjson");
    rc r = put_manifest(&l, tx, &after, e);
    buf_done(&l.coll);
    buf_done(&l.id);
    return r;
}

/* ---- rows ---- */

struct wanted {
    view coll;
    view *ids;
    size_t n;
};

struct rows {
    struct buf *page;
    view coll;
    size_t given; /* rows of this collection */
    struct buf last;
    bool full;
};

static bool put_row(const struct item *it, void *arg)
{
    struct rows *r = arg;
    if (r->page->n > 0 && r->page->n + it->payload.n > MOVE_PAGE_BYTES) {
        r->full = true;
        return false;
    }
    move_row_put(r->page, r->coll, it);
    buf_addc(r->page, '\n');
    buf_clear(&r->last);
    buf_add(&r->last, it->id);
    r->given++;
    return true;
}

/* ["coll","id"] in rising order: so the place of the last row tells what is left. */
static rc read_wanted(const struct request *rq, struct item_key **out, size_t *out_n, struct err *e)
{
    SCOPED(json_decref) json_t *o = NULL;
    TRY(json_read(rq->body, 4, JSON_READ_NO_DUPLICATES, &o, e));
    const json_t *ids = json_object_get(o, "ids");
    size_t n = json_array_size(ids);
    if (!json_is_array(ids) || json_object_size(o) != 1)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "the body must be {\"ids\":[[\"coll\",\"id\"],…]}");
    struct item_key *keys = arena_zero(rq->arena, (n + 1) * sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(ids, i);
        view coll = json_text(json_array_get(pair, 0)), id = json_text(json_array_get(pair, 1));
        if (json_array_size(pair) != 2 || coll.n == 0 || coll.n > COLL_NAME_MAX || id.n == 0 ||
            id.n > ITEM_ID_MAX)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "ids[%zu] is no [\"coll\",\"id\"]", i);
        keys[i] = (struct item_key){ arena_copy(rq->arena, coll), arena_copy(rq->arena, id) };
        int order = i == 0 ? 1 : view_cmp(keys[i].coll, keys[i - 1].coll);
        if (order < 0 || (order == 0 && view_cmp(keys[i].id, keys[i - 1].id) <= 0))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "ids[%zu] is not behind the one before", i);
    }
    *out = keys;
    *out_n = n;
    return RC_OK;
}

#define IDS_AT_ONCE 1000

/* Rows of keys[from …] of one collection, until the page is full. *out_next: what comes next. */
static rc put_run(struct store_txn *tx, const struct item_key *keys, size_t from, size_t n, struct arena *a,
                  struct rows *r, size_t *out_next, struct err *e)
{
    size_t end = from, count = 0;
    view *ids = arena_alloc(a, IDS_AT_ONCE * sizeof *ids);
    view none;
    while (end < n && count < IDS_AT_ONCE && view_eq(keys[end].coll, keys[from].coll))
        ids[count++] = keys[end++].id;
    const struct item_query q = { .coll = keys[from].coll,
                                  .ids = ids,
                                  .n_ids = count,
                                  .has_ids = true,
                                  .order = ORDER_ID,
                                  .with_payload = true };
    r->coll = keys[from].coll;
    r->given = 0;
    TRY(store_items_find(tx, &q, put_row, r, &none, e));
    if (!r->full) {
        *out_next = end;
        return RC_OK;
    }
    for (*out_next = from; *out_next < end && r->given > 0; ++*out_next)
        if (view_cmp(keys[*out_next].id, buf_view(&r->last)) > 0)
            break;
    return RC_OK;
}

rc moves_export(struct request *rq, struct err *e)
{
    SCOPED(store_rollback) struct store_txn *tx = NULL;
    struct rows rows = { .page = reply_body(rq) };
    struct item_key *keys = NULL;
    size_t n = 0;
    rc r = RC_OK;
    TRY(read_wanted(rq, &keys, &n, e));
    TRY(begin(rq, &tx, e));
    reply_type(rq, "application/x-ndjson");
    size_t i = 0;
    while (i < n && !rows.full && r == RC_OK)
        r = put_run(tx, keys, i, n, rq->arena, &rows, &i, e);
    buf_done(&rows.last);
    TRY(r);
    if (i < n)
        reply_header(rq, "X-Heddle-Next", arena_text(rq->arena, "%zu", i));
    lines_end(rows.page, rq->target);
    return RC_OK;
}

/* ---- usage ---- */

struct digesting {
    const struct head *h;
    struct arena *a;
    struct manifest_digest *digest; /* of the collection at hand */
    struct buf coll;
    struct coll_digest {
        view coll;
        uint8_t hash[SHA256_BYTES];
    } * list;
    size_t n;
};

static void end_digest(struct digesting *d)
{
    if (!d->digest)
        return;
    d->list[d->n].coll = arena_copy(d->a, buf_view(&d->coll));
    manifest_digest_end(d->digest, d->list[d->n++].hash);
    manifest_digest_free(d->digest);
    d->digest = NULL;
}

static bool add_entry(const struct manifest_entry *m, void *arg)
{
    static const struct head nothing = { .epoch = 1 };
    struct digesting *d = arg;
    if (!d->digest || !view_eq(buf_view(&d->coll), m->coll)) {
        end_digest(d);
        buf_clear(&d->coll);
        buf_add(&d->coll, m->coll);
        d->digest = manifest_digest_new(&nothing, d->a);
    }
    manifest_digest_add(d->digest, m);
    return true;
}

static void put_coll(struct buf *b, const struct head *h, const struct coll_usage *u,
                     const struct digesting *d)
{
    const struct head_coll *c = head_coll_find(h, u->name);
    buf_add(b, VIEW("{\"name\":"));
    json_put_string(b, u->name);
    buf_addf(b, ",\"items\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"modified\":%" PRId64 ",\"digest\":\"",
             u->items, u->bytes, c ? c->modified.cs : 0);
    for (size_t i = 0; i < d->n; i++)
        if (view_eq(d->list[i].coll, u->name))
            hex_put(b, (view){ .p = (const char *)d->list[i].hash, .n = SHA256_BYTES });
    buf_add(b, VIEW("\"}"));
}

static rc put_usage(struct request *rq, struct store_txn *tx, view move, struct digesting *d, struct err *e)
{
    const struct head *h = store_head(tx);
    const struct item_key first = { VIEW(""), VIEW("") };
    const struct coll_usage *list = NULL;
    struct buf *b = reply_body(rq);
    size_t n = 0;
    TRY(store_usage(tx, &list, &n, e));
    TRY(store_manifest(tx, &first, 0, add_entry, d, e));
    end_digest(d);
    buf_addf(b,
             "{\"uid\":%" PRId64 ",\"epoch\":%" PRId64 ",\"state\":\"%s\",\"clock\":%" PRId64
             ",\"used_bytes\":%" PRId64 ",\"quota_bytes\":%" PRId64 ",\"move\":",
             h->uid, h->epoch, head_state_name(h->state), h->clock.cs, h->used_bytes, h->quota_bytes);
    json_put_string(b, move.p ? move : VIEW(""));
    buf_add(b, VIEW(",\"colls\":["));
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(b, ',');
        put_coll(b, h, &list[i], d);
    }
    buf_add(b, VIEW("]}"));
    return RC_OK;
}

/* Of whatever is there, expired items too: the digest of a collection is the same on every node that holds the same. */
rc moves_usage(struct request *rq, struct err *e)
{
    const struct node_worker *w = rq->worker;
    SCOPED(store_rollback) struct store_txn *tx = NULL;
    view move;
    TRY(store_inspect_begin(w->sync.store, node_internal_uid(rq), rq->arena, &tx, &move, e));
    const struct head *h = store_head(tx);
    struct digesting d = { .h = h,
                           .a = rq->arena,
                           .list = arena_zero(rq->arena, (h->n_colls + 1) * sizeof(struct coll_digest)) };
    rc r = put_usage(rq, tx, move, &d, e);
    manifest_digest_free(d.digest);
    buf_done(&d.coll);
    return r;
}
