/* What a user holds, in lines that are the same on every engine: rows, their hashes, the manifest and its sum. */
#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "node/store/internal.h"

/* ---- lines ---- */

static void put_member(struct buf *b, const char *name)
{
    buf_addc(b, ',');
    buf_addc(b, '"');
    buf_add(b, view_of(name));
    buf_add(b, VIEW("\":"));
}

static void put_text_member(struct buf *b, const char *name, view text)
{
    if (!text.p)
        return;
    put_member(b, name);
    json_put_string(b, text);
}

static void put_number_member(struct buf *b, const char *name, int64_t number)
{
    put_member(b, name);
    buf_add_i64(b, number);
}

void move_row_put(struct buf *out, view coll, const struct item *it)
{
    buf_add(out, VIEW("{\"coll\":"));
    json_put_string(out, coll);
    put_text_member(out, "id", it->id);
    put_number_member(out, "modified", it->modified.cs);
    put_text_member(out, "payload", it->payload);
    if (it->has_sortindex)
        put_number_member(out, "sortindex", it->sortindex);
    if (it->expires_ms != 0)
        put_number_member(out, "expires",
                          it->expires_ms / 10); /* a stamp and whole seconds: nothing is lost */
    put_text_member(out, "parentid", it->parentid);
    put_text_member(out, "predecessorid", it->predecessorid);
    buf_addc(out, '}');
}

void item_hash(struct buf *line, view coll, const struct item *it, uint8_t out[SHA256_BYTES])
{
    buf_clear(line);
    move_row_put(line, coll, it);
    sha256(buf_view(line), out);
}

void manifest_entry_put(struct buf *out, const struct manifest_entry *m)
{
    buf_addc(out, '[');
    json_put_string(out, m->coll);
    buf_addc(out, ',');
    json_put_string(out, m->id);
    buf_add(out, VIEW(",\""));
    hex_put(out, (view){ .p = (const char *)m->hash, .n = sizeof m->hash });
    buf_add(out, VIEW("\"]"));
}

static int by_name(const void *a, const void *b)
{
    const struct head_coll *const *x = a, *const *y = b;
    return view_cmp((*x)->name, (*y)->name);
}

const struct head_coll **colls_by_name(const struct head *h, struct arena *a)
{
    const struct head_coll **list = arena_alloc(a, (h->n_colls + 1) * sizeof(const struct head_coll *));
    for (size_t i = 0; i < h->n_colls; i++)
        list[i] = &h->colls[i];
    qsort(list, h->n_colls, sizeof *list, by_name);
    return list;
}

void manifest_head_put(struct buf *out, const struct head *h, struct arena *a)
{
    const struct head_coll **colls = colls_by_name(h, a);
    buf_add(out, VIEW("{\"clock\":"));
    buf_add_i64(out, h->clock.cs);
    put_number_member(out, "modified", h->modified.cs);
    put_number_member(out, "used_bytes", h->used_bytes);
    put_number_member(out, "quota_bytes", h->quota_bytes);
    put_member(out, "colls");
    buf_addc(out, '[');
    for (size_t i = 0; i < h->n_colls; i++) {
        if (i > 0)
            buf_addc(out, ',');
        buf_addc(out, '[');
        json_put_string(out, colls[i]->name);
        buf_addc(out, ',');
        buf_add_i64(out, colls[i]->modified.cs);
        buf_addc(out, ']');
    }
    buf_add(out, VIEW("]}"));
}

/* ---- the sum ---- */

/* A context of its own: while it grows, each row is hashed with the thread's. */
struct manifest_digest {
    EVP_MD_CTX *ctx;
    struct buf line;
};

static void add_line(struct manifest_digest *d)
{
    buf_addc(&d->line, '\n');
    int ok = EVP_DigestUpdate(d->ctx, d->line.p, d->line.n);
    assert(ok);
    (void)ok;
    buf_clear(&d->line);
}

struct manifest_digest *manifest_digest_new(const struct head *h, struct arena *a)
{
    struct manifest_digest *d = mem_need(calloc(1, sizeof *d));
    d->ctx = mem_need(EVP_MD_CTX_new());
    int ok = EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL);
    assert(ok);
    (void)ok;
    struct head without_clock = *h; /* that of the target may be ahead */
    without_clock.clock = STAMP_ZERO;
    manifest_head_put(&d->line, &without_clock, a);
    add_line(d);
    return d;
}

void manifest_digest_add(struct manifest_digest *d, const struct manifest_entry *m)
{
    manifest_entry_put(&d->line, m);
    add_line(d);
}

void manifest_digest_end(struct manifest_digest *d, uint8_t out[SHA256_BYTES])
{
    unsigned n = 0;
    int ok = EVP_DigestFinal_ex(d->ctx, out, &n);
    assert(ok && n == SHA256_BYTES);
    (void)ok;
}

void manifest_digest_free(struct manifest_digest *d)
{
    if (!d)
        return;
    EVP_MD_CTX_free(d->ctx);
    buf_done(&d->line);
    free(d);
}

/* ---- walking ---- */

/* Above every id that a table can hold. */
#define FF16         "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
#define FF64         FF16 FF16 FF16 FF16
#define PAST_ALL_IDS VIEW(FF64 FF64 FF64 FF64)

rc items_walk(struct store_txn *tx, struct walk *w, item_visitor *visit, void *arg, unsigned *out_n,
              struct err *e)
{
    SCOPED(stmt_done) struct stmt *st = NULL;
    SCOPED(buf_done) struct buf last = { 0 };
    unsigned n = 0;
    TRY(tx_stmt(tx, SQL_ITEMS_WALK, &st, e));
    bind_int(st, 1, tx->head->uid);
    bind_int(st, 2, w->coll);
    bind_bytes(st, 3, buf_view(w->after));
    bind_bytes(st, 4, w->upto.p ? w->upto : PAST_ALL_IDS);
    bind_int(st, 5, w->most);
    bind_int(st, 6, tx->base.cs < 0 ? -1 : stamp_ms(tx->base));
    for (bool go = true; go;) {
        struct item it;
        bool row = false;
        TRY(stmt_step(st, &row, e));
        if (!row)
            break;
        item_from_row(st, 0, &it);
        buf_clear(&last);
        buf_add(&last, it.id);
        n++;
        go = visit(&it, arg);
    }
    if (n > 0) { /* not before: it is bound */
        buf_clear(w->after);
        buf_add(w->after, buf_view(&last));
    }
    *out_n = n;
    return RC_OK;
}

/* ---- the manifest ---- */

void store_manifest_base(struct store_txn *tx, stamp base)
{
    tx->base = base;
}

struct reader {
    view coll;
    struct buf line;
    manifest_visitor *visit;
    void *arg;
    bool stopped;
};

static bool read_item(const struct item *it, void *arg)
{
    struct reader *r = arg;
    struct manifest_entry m = { .coll = r->coll, .id = it->id };
    item_hash(&r->line, r->coll, it, m.hash);
    r->stopped = !r->visit(&m, r->arg);
    return !r->stopped;
}

static rc read_coll(struct store_txn *tx, const struct head_coll *c, view after, uint64_t *left,
                    struct reader *r, struct err *e)
{
    SCOPED(buf_done) struct buf at = { 0 };
    struct walk w = { .coll = c->number, .after = &at };
    unsigned n = 0;
    buf_add(&at, after);
    r->coll = c->name;
    do {
        w.most = *left < WALK_ROWS ? (unsigned)*left : WALK_ROWS;
        TRY(items_walk(tx, &w, read_item, r, &n, e));
        *left -= n;
    } while (n == w.most && *left > 0 && !r->stopped);
    return RC_OK;
}

rc store_manifest(struct store_txn *tx, const struct item_key *after, uint64_t limit, manifest_visitor *visit,
                  void *arg, struct err *e)
{
    const struct head_coll **colls = colls_by_name(tx->head, tx->arena);
    struct reader r = { .visit = visit, .arg = arg };
    uint64_t left = limit ? limit : UINT64_MAX;
    rc result = RC_OK;
    for (size_t i = 0; i < tx->head->n_colls && left > 0 && result == RC_OK && !r.stopped; i++) {
        int order = view_cmp(colls[i]->name, after->coll);
        if (order >= 0 && coll_is_newer(tx, colls[i]))
            result = read_coll(tx, colls[i], order == 0 ? after->id : VIEW(""), &left, &r, e);
    }
    buf_done(&r.line);
    return result;
}

static bool add_entry(const struct manifest_entry *m, void *arg)
{
    manifest_digest_add(arg, m);
    return true;
}

rc store_manifest_sum(struct store_txn *tx, struct manifest_sum *out, struct err *e)
{
    SCOPED(manifest_digest_free) struct manifest_digest *d = manifest_digest_new(tx->head, tx->arena);
    struct item_key first = { VIEW(""), VIEW("") };
    TRY(store_manifest(tx, &first, 0, add_entry, d, e));
    manifest_digest_end(d, out->hash);
    out->clock = tx->head->clock;
    out->base = tx->base;
    return RC_OK;
}
