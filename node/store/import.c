/* The receiving end of a move: head, rows, and the comparison with the sender's manifest. */
#include <assert.h>

#include "node/store/internal.h"

#define TEXT_MAX 255 /* of parentid and predecessorid, as the tables hold them */

/* ---- the head ---- */

static rc check_head(const struct head *h, const struct head_coll *const *by_name, struct err *e)
{
    if (h->clock.cs < 0 || h->modified.cs < 0 || h->modified.cs > h->clock.cs || h->used_bytes < 0 ||
        h->quota_bytes < -1)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "the head's numbers cannot be");
    if (h->n_colls > COLLS_MAX)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "more than %d collections", COLLS_MAX);
    for (size_t i = 0; i < h->n_colls; i++) {
        const struct head_coll *c = by_name[i];
        if (c->name.n == 0 || c->name.n > COLL_NAME_MAX)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a collection's name of %zu bytes", c->name.n);
        if (i > 0 && view_eq(c->name, by_name[i - 1]->name))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "collection %.*s is there twice", VIEW_ARG(c->name));
        if (c->modified.cs < 0 || c->modified.cs > h->clock.cs)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "collection %.*s has a stamp after the clock",
                        VIEW_ARG(c->name));
    }
    return RC_OK;
}

static rc own_number(struct store_txn *tx, view name, uint32_t *out, struct err *e)
{
    uint32_t known = coll_known_number(name);
    if (!known && tx->head->next_number == UINT32_MAX)
        return fail(e, RC_OVER_QUOTA, RESP_OVER_QUOTA, "uid %lld had too many collections",
                    (long long)tx->head->uid);
    *out = known ? known : tx->head->next_number++;
    return RC_OK;
}

/* Both sides by name: what only we have goes, what both have keeps our number, what is new gets one. */
static rc import_colls(struct store_txn *tx, const struct head_coll *const *theirs, size_t n, struct err *e)
{
    struct head *h = tx->head;
    const struct head_coll **ours = colls_by_name(h, tx->arena);
    struct head_coll *list = arena_alloc(tx->arena, (n + 1) * sizeof *list);
    size_t next = 0;
    for (size_t i = 0, k = 0; i < h->n_colls || k < n;) {
        int order = i == h->n_colls ? 1 : k == n ? -1 : view_cmp(ours[i]->name, theirs[k]->name);
        if (order < 0) {
            TRY(tx_run_number(tx, SQL_COLL_DROP, ours[i++]->number, e));
            continue;
        }
        struct head_coll *c = &list[next++];
        *c = (struct head_coll){ .name = arena_copy(tx->arena, theirs[k]->name),
                                 .modified = theirs[k]->modified };
        if (order == 0)
            c->number = ours[i++]->number;
        else
            TRY(own_number(tx, c->name, &c->number, e));
        k++;
    }
    tx->colls = list;
    tx->colls_cap = n + 1;
    h->colls = list;
    h->n_colls = n;
    return RC_OK;
}

rc store_import_head(struct store_txn *tx, const struct head *theirs, struct err *e)
{
    assert(tx->mode == STORE_WRITE);
    struct head *h = tx->head;
    const struct head_coll **by_name = colls_by_name(theirs, tx->arena);
    TRY(check_head(theirs, by_name, e));
    TRY(import_colls(tx, by_name, theirs->n_colls, e));
    h->clock = stamp_max(h->clock, theirs->clock);
    h->modified = theirs->modified;
    h->used_bytes = theirs->used_bytes;
    tx->dirty = true;
    if (h->quota_bytes == theirs->quota_bytes)
        return RC_OK;
    h->quota_bytes = theirs->quota_bytes;
    return tx_run_number(tx, SQL_HEAD_QUOTA, h->quota_bytes, e);
}

/* ---- rows ---- */

struct import_job {
    const struct store_txn *tx;
    const struct import_row *rows;
    uint32_t coll;
};

/* All fields are named, so the row becomes what is bound here, whatever was there. */
static void bind_row(struct stmt *st, size_t row, void *arg)
{
    const struct import_job *job = arg;
    const struct item *it = &job->rows[row].item;
    bind_int(st, 1, job->tx->head->uid);
    bind_int(st, 2, job->coll);
    bind_bytes(st, 3, it->id);
    bind_int(st, 4, stamp_ms(it->modified));
    if (it->expires_ms != 0)
        bind_int(st, 5, it->expires_ms);
    else
        bind_null(st, 5);
    if (it->has_sortindex)
        bind_int(st, 6, it->sortindex);
    else
        bind_null(st, 6);
    bind_bytes(st, 7, it->parentid);
    bind_bytes(st, 8, it->predecessorid);
    bind_bytes(st, 9, it->payload);
    bind_int(st, 10, FIELDS_ALL);
}

static rc check_rows(const struct import_row *rows, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        const struct item *it = &rows[i].item;
        if (rows[i].coll.n == 0 || rows[i].coll.n > COLL_NAME_MAX || it->id.n == 0 || it->id.n > ITEM_ID_MAX)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "row %zu: a name of %zu, an id of %zu bytes", i,
                        rows[i].coll.n, it->id.n);
        if (!it->payload.p || it->parentid.n > TEXT_MAX || it->predecessorid.n > TEXT_MAX)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "row %zu: no payload, or a text too long", i);
        if (it->modified.cs < 0 || it->modified.cs > INT64_MAX / 10 || it->expires_ms % 10 != 0)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "row %zu: a time that no store gives", i);
    }
    return RC_OK;
}

rc store_import_items(struct store_txn *tx, const struct import_row *rows, size_t n, struct err *e)
{
    assert(tx->mode == STORE_WRITE);
    TRY(check_rows(rows, n, e));
    struct stmt *st = NULL;
    TRY(tx_stmt(tx, SQL_ITEM_PUT, &st, e));
    for (size_t i = 0, end; i < n; i = end) {
        struct import_job job = { .tx = tx, .rows = rows + i };
        struct head_coll *c = NULL;
        for (end = i + 1; end < n && view_eq(rows[end].coll, rows[i].coll);)
            end++;
        TRY(tx_coll(tx, rows[i].coll, &c, e));
        job.coll = c->number;
        TRY(stmt_bulk(st, end - i, bind_row, &job, NULL, e));
    }
    return RC_OK;
}

/* ---- comparing ---- */

struct prune {
    struct store_txn *tx;
    const struct manifest_entry *page;
    size_t n, at; /* entries before `at` are dealt with */
    manifest_visitor *lacks;
    void *arg;
    view coll;
    struct buf line, ids; /* scratch; ids to be deleted, one behind the other */
    size_t n_ids, ends[WALK_ROWS];
    uint32_t number;
};

static int key_cmp(view coll_a, view id_a, view coll_b, view id_b)
{
    int order = view_cmp(coll_a, coll_b);
    return order ? order : view_cmp(id_a, id_b);
}

static rc check_order(const struct item_key *after, const struct manifest_entry *page, size_t n, bool last,
                      struct err *e)
{
    struct item_key before = *after;
    if (n == 0 && !last)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "an empty page of a manifest that goes on");
    for (size_t i = 0; i < n; i++) {
        if (key_cmp(before.coll, before.id, page[i].coll, page[i].id) >= 0)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "entry %zu of the manifest is out of order", i);
        before = (struct item_key){ .coll = page[i].coll, .id = page[i].id };
    }
    return RC_OK;
}

static void lack(struct prune *p)
{
    const struct manifest_entry *m = &p->page[p->at++];
    if (p->lacks && !p->lacks(m, p->arg))
        p->lacks = NULL;
}

static bool compare_item(const struct item *it, void *arg)
{
    struct prune *p = arg;
    uint8_t own[SHA256_BYTES];
    int order = -1; /* of the entry at hand to the item */
    while (p->at < p->n && (order = key_cmp(p->page[p->at].coll, p->page[p->at].id, p->coll, it->id)) < 0)
        lack(p);
    if (p->at == p->n || order > 0) {
        buf_add(&p->ids, it->id);
        p->ends[p->n_ids++] = p->ids.n;
        return true;
    }
    item_hash(&p->line, p->coll, it, own);
    if (memcmp(own, p->page[p->at].hash, sizeof own) != 0)
        lack(p);
    else
        p->at++;
    return true;
}

static void bind_pruned(struct stmt *st, size_t row, void *arg)
{
    const struct prune *p = arg;
    size_t begin = row ? p->ends[row - 1] : 0;
    bind_int(st, 1, p->tx->head->uid);
    bind_int(st, 2, p->number);
    bind_bytes(st, 3, (view){ .p = p->ids.p + begin, .n = p->ends[row] - begin });
}

static rc delete_pruned(struct prune *p, struct err *e)
{
    struct stmt *st = NULL;
    if (p->n_ids > 0) {
        TRY(tx_stmt(p->tx, SQL_ITEM_DROP, &st, e));
        TRY(stmt_bulk(st, p->n_ids, bind_pruned, p, NULL, e));
    }
    p->n_ids = 0;
    buf_clear(&p->ids);
    return RC_OK;
}

/* What came while the manifest was read may name a collection that was not newer at its first page. */
static bool is_named(const struct prune *p, view coll)
{
    for (size_t i = p->at; i < p->n; i++) {
        int order = view_cmp(p->page[i].coll, coll);
        if (order >= 0)
            return order == 0;
    }
    return false;
}

/* What the page says of one of our collections. */
static rc prune_coll(struct prune *p, const struct head_coll *c, view after, view upto, struct err *e)
{
    SCOPED(buf_done) struct buf at = { 0 };
    struct walk w = { .coll = c->number, .upto = upto, .after = &at, .most = WALK_ROWS };
    unsigned n = 0;
    buf_add(&at, after);
    p->coll = c->name;
    p->number = c->number;
    do {
        TRY(items_walk(p->tx, &w, compare_item, p, &n, e));
        TRY(delete_pruned(p, e));
    } while (n == w.most);
    return RC_OK;
}

static rc prune_all(struct prune *p, const struct item_key *after, bool last, struct err *e)
{
    const struct head *h = p->tx->head;
    const struct head_coll **colls = colls_by_name(h, p->tx->arena);
    const struct manifest_entry *end = last ? NULL : &p->page[p->n - 1];
    for (size_t i = 0; i < h->n_colls; i++) {
        int from = view_cmp(colls[i]->name, after->coll);
        int to = end ? view_cmp(colls[i]->name, end->coll) : -1;
        if (from < 0 || to > 0 || !(coll_is_newer(p->tx, colls[i]) || is_named(p, colls[i]->name)))
            continue;
        TRY(prune_coll(p, colls[i], from == 0 ? after->id : VIEW(""), to == 0 ? end->id : VIEW_NONE, e));
    }
    while (p->at < p->n)
        lack(p);
    return RC_OK;
}

rc store_import_prune(struct store_txn *tx, const struct item_key *after, const struct manifest_entry *page,
                      size_t n, bool last, manifest_visitor *lacks, void *arg, struct err *e)
{
    assert(tx->mode == STORE_WRITE);
    TRY(check_order(after, page, n, last, e));
    struct prune p = { .tx = tx, .page = page, .n = n, .lacks = lacks, .arg = arg };
    rc r = prune_all(&p, after, last, e);
    buf_done(&p.line);
    buf_done(&p.ids);
    return r;
}
