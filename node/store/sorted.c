#include "node/store/sorted.h"

#include <stdlib.h>

#include "common/base/mem.h"

#define ROWS_MAX   4096
#define BYTES_MAX  ((size_t)4 << 20) /* of one reading at a time in each worker */
#define ROWS_FIRST 64

/* Where an item stands in its order: they come by id, so that their numbers sort as their ids do. */
struct place {
    int64_t modified_cs;
    size_t number;
};

struct rows {
    struct item *all;
    struct place *places;
    size_t n, cap;
    struct arena bytes;
};

static void rows_done_scoped(struct rows *r)
{
    free(r->all);
    free(r->places);
    arena_done(&r->bytes);
}

bool sorted_pays(const struct store_txn *tx, const struct item_query *q)
{
    return tx->conn->driver->dialect == DIALECT_MYSQL && q->order == ORDER_NEWEST && !q->has_newer &&
           !q->has_older && !q->has_limit && q->skip == 0 && !q->offset.p;
}

static void rows_add(struct rows *r, const struct item *it)
{
    if (r->n == r->cap) {
        r->cap = r->cap ? 2 * r->cap : ROWS_FIRST;
        r->all = mem_need(realloc(r->all, r->cap * sizeof *r->all));
        r->places = mem_need(realloc(r->places, r->cap * sizeof *r->places));
    }
    r->places[r->n] = (struct place){ .modified_cs = it->modified.cs, .number = r->n };
    item_keep(&r->bytes, it, &r->all[r->n++]);
}

/* ORDER_NEWEST. */
static int newest_first(const void *left, const void *right)
{
    const struct place *a = left, *b = right;

    if (a->modified_cs != b->modified_cs)
        return a->modified_cs < b->modified_cs ? 1 : -1;
    return a->number < b->number ? 1 : -1;
}

/* false in *out_fits: there are more than may be kept. */
static rc read_all(struct store_txn *tx, const struct item_query *q, uint32_t coll, struct rows *r,
                   bool *out_fits, struct err *e)
{
    SCOPED(stmt_done) struct stmt *st = NULL;
    struct item_query by_id = *q;
    struct page page;

    by_id.order = ORDER_ID;
    TRY(page_open(&by_id, &page, e));
    TRY(query_statement(tx, &by_id, coll, &page, WANT_ITEMS, ROWS_MAX + 1, &st, e));
    for (;;) {
        bool row = false;
        struct item it;

        TRY(stmt_step(st, &row, e));
        *out_fits = r->n < ROWS_MAX || !row;
        if (!row || !*out_fits)
            return RC_OK;
        item_from_listing(st, q, &it);
        rows_add(r, &it);
        if (r->bytes.spent) {
            *out_fits = false;
            return RC_OK;
        }
    }
}

rc sorted_read(struct store_txn *tx, const struct item_query *q, uint32_t coll, item_visitor *visit,
               void *arg, bool *out_done, struct err *e)
{
    SCOPED(rows_done) struct rows r = { .n = 0 };
    bool fits = false;

    arena_init(&r.bytes, BYTES_MAX);
    TRY(read_all(tx, q, coll, &r, &fits, e));
    *out_done = fits;
    if (!fits)
        return RC_OK;
    if (r.n > 1)
        qsort(r.places, r.n, sizeof *r.places, newest_first);
    for (size_t i = 0; i < r.n && visit(&r.all[r.places[i].number], arg); i++)
        ;
    return RC_OK;
}
