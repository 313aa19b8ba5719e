/* Reading items. */
#include <assert.h>

#include "node/store/query.h"
#include "node/store/sorted.h"

#define READ_TRIES 4 /* of one item: the number of its collection was wrong, or the connection was lost */

void item_from_row(struct stmt *st, unsigned first, struct item *out)
{
    *out = (struct item){
        .id = col_bytes(st, first + ITEM_COL_ID),
        .modified = stamp_from_ms(col_int(st, first + ITEM_COL_MODIFIED)),
        .expires_ms = col_int(st, first + ITEM_COL_EXPIRES),
        .sortindex = col_int(st, first + ITEM_COL_SORTINDEX),
        .has_sortindex = !col_null(st, first + ITEM_COL_SORTINDEX),
        .parentid = col_bytes(st, first + ITEM_COL_PARENTID),
        .predecessorid = col_bytes(st, first + ITEM_COL_PREDECESSORID),
        .payload = col_bytes(st, first + ITEM_COL_PAYLOAD),
    };
}

static view keep(struct arena *a, view v)
{
    return v.p ? arena_copy(a, v) : VIEW_NONE;
}

static void item_keep(struct arena *a, const struct item *row, struct item *out)
{
    *out = *row;
    out->id = keep(a, row->id);
    out->payload = keep(a, row->payload);
    out->parentid = keep(a, row->parentid);
    out->predecessorid = keep(a, row->predecessorid);
}

/* ---- as bytes ---- */

#define ABSENT UINT32_MAX /* the length of what is null */

struct packed {
    int64_t modified_cs, expires_ms, sortindex;
    uint32_t has_sortindex, payload_n, parentid_n, predecessorid_n;
};

static uint32_t length(view v)
{
    return v.p ? (uint32_t)v.n : ABSENT;
}

void item_pack(const struct item *it, struct buf *out)
{
    struct packed p = { .modified_cs = it->modified.cs,
                        .expires_ms = it->expires_ms,
                        .sortindex = it->sortindex,
                        .has_sortindex = it->has_sortindex,
                        .payload_n = length(it->payload),
                        .parentid_n = length(it->parentid),
                        .predecessorid_n = length(it->predecessorid) };
    buf_add(out, (view){ .p = (const char *)&p, .n = sizeof(p) });
    buf_add(out, it->payload);
    buf_add(out, it->parentid);
    buf_add(out, it->predecessorid);
}

static bool take(view *rest, uint32_t n, view *out)
{
    *out = VIEW_NONE;
    if (n == ABSENT)
        return true;
    if (n > rest->n)
        return false;
    *out = (view){ .p = rest->p, .n = n };
    *rest = (view){ .p = rest->p + n, .n = rest->n - n };
    return true;
}

bool item_unpack(view bytes, view id, const struct head *h, const struct clock *clock, struct item *out)
{
    struct packed p;
    if (bytes.n < sizeof(p))
        return false;
    memcpy(&p, bytes.p, sizeof(p));
    view rest = { .p = bytes.p + sizeof(p), .n = bytes.n - sizeof(p) };
    *out = (struct item){ .id = id,
                          .modified = { .cs = p.modified_cs },
                          .expires_ms = p.expires_ms,
                          .sortindex = p.sortindex,
                          .has_sortindex = p.has_sortindex != 0 };
    return take(&rest, p.payload_n, &out->payload) && take(&rest, p.parentid_n, &out->parentid) &&
           take(&rest, p.predecessorid_n, &out->predecessorid) && rest.n == 0 &&
           (p.expires_ms == 0 || p.expires_ms > head_now_ms(h, clock));
}

/* ---- many ---- */

bool head_selects_nothing(const struct head *h, const struct item_query *q)
{
    const struct head_coll *c = head_coll_find(h, q->coll);
    return !c || (q->has_ids && q->n_ids == 0) || (q->has_limit && q->limit == 0) ||
           (q->has_newer && c->modified.cs <= q->newer.cs);
}

bool item_from_listing(const struct store_txn *tx, struct stmt *st, const struct item_query *q,
                       struct item *out)
{
    if (q->with_payload && !q->bare) {
        item_from_row(st, 0, out);
    } else {
        *out = (struct item){ .id = col_bytes(st, BARE_COL_ID),
                              .modified = stamp_from_ms(col_int(st, BARE_COL_MODIFIED)),
                              .expires_ms = col_int(st, BARE_COL_EXPIRES) };
        if (q->with_payload) {
            out->sortindex = col_int(st, BARE_COL_SORTINDEX);
            out->has_sortindex = out->sortindex != 0 || !col_null(st, BARE_COL_SORTINDEX);
            out->payload = col_bytes(st, BARE_COL_PAYLOAD);
        }
    }
    return out->expires_ms == 0 || out->expires_ms > tx->now_ms;
}

static rc read_rows(struct store_txn *tx, const struct item_query *q, uint32_t coll, struct page *page,
                    item_visitor *visit, void *arg, bool *out_more, struct err *e)
{
    SCOPED(stmt_done) struct stmt *st = NULL;
    bool counts = q->has_limit || page->skip > 0; /* then the engine must leave out what has expired */
    TRY(query_statement(tx, q, coll, page, counts ? WANT_ITEMS : WANT_ITEMS_AND_DEAD,
                        q->has_limit ? q->limit + 1 : 0, &st, e));
    for (uint64_t n = 0;; n++) {
        bool row = false;
        TRY(stmt_step(st, &row, e));
        tx->doubt = tx->doubt || (n == 0 && !row);
        if (!row)
            return RC_OK;
        if (q->has_limit && n == q->limit) {
            *out_more = true;
            return RC_OK;
        }
        struct item it;
        if (!item_from_listing(tx, st, q, &it))
            continue;
        page_pass(page, it.id, stamp_ms(it.modified));
        if (!visit(&it, arg))
            return RC_OK;
    }
}

rc store_items_find(struct store_txn *tx, const struct item_query *q, item_visitor *visit, void *arg,
                    view *out_next, struct err *e)
{
    struct page page;
    bool more = false;
    TRY(page_open(q, &page, e));
    if (!head_selects_nothing(tx->head, q)) {
        uint32_t coll = head_coll_find(tx->head, q->coll)->number;
        bool done = false;
        if (sorted_pays(tx, q))
            TRY(sorted_read(tx, q, coll, visit, arg, &done, e));
        if (!done)
            TRY(read_rows(tx, q, coll, &page, visit, arg, &more, e));
    }
    if (out_next)
        *out_next = more && q->skip == 0 ? page_token(&page, tx->arena) : VIEW_NONE;
    return RC_OK;
}

/* ---- by a head ---- */

/* A connection and a head are what reading needs of a transaction. */
struct by_head {
    struct store_txn nothing_begun;
    struct head head;
    bool fresh; /* the connection */
};

static rc by_head_open(struct store_session *ss, const struct head *h, struct arena *a, struct by_head *out,
                       struct err *e)
{
    struct conn *c = NULL;
    assert(!ss->in_txn);
    TRY(session_conn(ss, session_shard(ss, h->uid), &c, &out->fresh, e));
    out->head = *h;
    out->nothing_begun = (struct store_txn){ .session = ss,
                                             .conn = c,
                                             .arena = a,
                                             .mode = STORE_READ,
                                             .head = &out->head,
                                             .now_ms = head_now_ms(h, ss->store->clock) };
    return RC_OK;
}

rc store_items_by_head(struct store_session *ss, const struct head *h, const struct item_query *q,
                       struct arena *a, item_visitor *visit, void *arg, view *out_next, bool *out_same,
                       struct err *e)
{
    struct by_head b;
    TRY(by_head_open(ss, h, a, &b, e));
    struct store_txn *tx = &b.nothing_begun;
    /* SQLite reads the head in less time than it takes to compare all of it. */
    if (tx->conn->driver->dialect == DIALECT_MYSQL && !head_selects_nothing(h, q))
        tx->asked_colls = head_colls_packed(h, a);
    TRY(store_items_find(tx, q, visit, arg, out_next, e));
    *out_same = tx->asked_colls.p && !tx->doubt;
    return RC_OK;
}

rc store_item_by_head(struct store_session *ss, const struct head *h, view coll, view id, struct arena *a,
                      struct item *out, struct err *e)
{
    struct by_head b;
    TRY(by_head_open(ss, h, a, &b, e));
    rc r = store_item_get(&b.nothing_begun, coll, id, out, e);
    if (r == RC_AWAY && !b.fresh) {
        TRY(by_head_open(ss, h, a, &b, e));
        r = store_item_get(&b.nothing_begun, coll, id, out, e);
    }
    return r;
}

/* ---- one ---- */

rc store_item_get(struct store_txn *tx, view coll, view id, struct item *out, struct err *e)
{
    const struct head_coll *c = head_coll_find(tx->head, coll);
    bool row = false;
    if (c) {
        SCOPED(stmt_done) struct stmt *st = NULL;
        TRY(tx_stmt(tx, SQL_ITEM_GET, &st, e));
        bind_int(st, 1, tx->head->uid);
        bind_int(st, 2, c->number);
        bind_bytes(st, 3, id);
        bind_int(st, 4, tx->now_ms);
        TRY(stmt_step(st, &row, e));
        if (row) {
            struct item it;
            item_from_row(st, 0, &it);
            item_keep(tx->arena, &it, out);
        }
    }
    return row ? RC_OK : fail(e, RC_NOT_FOUND, RESP_GENERIC, "no such item");
}

/* The statement must name the collection's number before the head that tells it is read. Well-known names have fixed ones; for
 * others we guess, and the head in the same row says whether we guessed right. */
struct item_guess {
    uint32_t number;
    bool right;
};

static rc read_guessed(struct conn *conn, int64_t uid, int64_t epoch, view coll, view id,
                       const struct clock *clock, struct item_guess *guess, struct arena *a,
                       struct head *out_head, struct item *out, struct err *e)
{
    SCOPED(stmt_done) struct stmt *st = NULL;
    struct head_coll *colls = NULL;
    struct head h = { .uid = uid, .quota_bytes = -1 };
    struct item it;
    bool row = false;

    guess->right = true;
    TRY(conn_stmt(conn, SQL_ITEM_READ, &st, e));
    bind_int(st, 1, uid);
    bind_int(st, 2, guess->number);
    bind_bytes(st, 3, id);
    TRY(stmt_step(st, &row, e));
    if (row)
        TRY(head_from_row(st, uid, 0, a, &h, &colls, e));
    TRY(head_admits(&h, epoch, e));
    *out_head = h;
    const struct head_coll *c = head_coll_find(&h, coll);
    if (c && c->number != guess->number) {
        *guess = (struct item_guess){ .number = c->number, .right = false };
        return RC_OK;
    }
    if (!c || col_null(st, HEAD_COLS + ITEM_COL_ID))
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "no such item");
    item_from_row(st, HEAD_COLS, &it);
    if (it.expires_ms != 0 && it.expires_ms <= head_now_ms(&h, clock))
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "the item has expired");
    item_keep(a, &it, out);
    return RC_OK;
}

rc store_item_read(struct store_session *ss, int64_t uid, int64_t epoch, view coll, view id, struct arena *a,
                   struct head *out_head, struct item *out, struct err *e)
{
    assert(!ss->in_txn);
    uint32_t known = coll_known_number(coll);
    struct item_guess guess = { .number = known ? known : COLL_FIRST_OWN };
    struct conn *c = NULL;
    bool fresh = false, again = true;
    rc r = RC_OK;
    for (int attempt = 0; attempt < READ_TRIES && again; attempt++) {
        TRY(session_conn(ss, session_shard(ss, uid), &c, &fresh, e));
        r = read_guessed(c, uid, epoch, coll, id, ss->store->clock, &guess, a, out_head, out, e);
        again = (r == RC_OK && !guess.right) || (r == RC_AWAY && !fresh);
    }
    if (r == RC_OK && again)
        return fail(e, RC_BUSY, RESP_GENERIC, "the collection is made anew all the time");
    return r;
}

static rc read_head(struct conn *conn, int64_t uid, struct arena *a, struct head *out, struct err *e)
{
    SCOPED(stmt_done) struct stmt *st = NULL;
    struct head_coll *colls = NULL;
    bool row = false;
    TRY(conn_stmt(conn, SQL_HEAD_GET, &st, e));
    bind_int(st, 1, uid);
    TRY(stmt_step(st, &row, e));
    if (row)
        return head_from_row(st, uid, 0, a, out, &colls, e);
    *out = (struct head){ .uid = uid, .quota_bytes = -1 };
    return RC_OK;
}

rc store_head_read(struct store_session *ss, int64_t uid, struct arena *a, struct head *out, struct err *e)
{
    assert(!ss->in_txn);
    struct conn *c = NULL;
    bool fresh = false;
    TRY(session_conn(ss, session_shard(ss, uid), &c, &fresh, e));
    rc r = read_head(c, uid, a, out, e);
    if (r == RC_AWAY && !fresh) {
        TRY(session_conn(ss, session_shard(ss, uid), &c, &fresh, e));
        r = read_head(c, uid, a, out, e);
    }
    return r;
}
