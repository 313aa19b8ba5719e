/* What the admin brings of a user from another node: the head, the manifest to compare with, and rows. */
#include <inttypes.h>

#include "common/base/json.h"
#include "node/move_lines.h"
#include "node/moves.h"

static rc begin(struct request *rq, struct store_txn **out, struct err *e)
{
    const struct node_worker *w = rq->worker;
    struct move m;
    TRY(moves_args(rq, &m, e));
    return store_import_begin(w->sync.store, &m, rq->arena, out, e);
}

/* The next line, without its "\n". */
static bool next_line(view *rest, view *out)
{
    return rest->n > 0 && view_cut(rest, '\n', out);
}

/* ---- comparing ---- */

static bool put_lack(const struct manifest_entry *m, void *arg)
{
    struct buf *b = arg;
    manifest_entry_put(b, m);
    buf_addc(b, '\n');
    return true;
}

static rc read_entries(view lines, struct arena *a, struct manifest_entry **out, size_t *out_n, struct err *e)
{
    struct manifest_entry *list = arena_zero(a, (view_count(lines, '\n') + 1) * sizeof *list);
    view line;
    size_t n = 0;
    while (next_line(&lines, &line))
        TRY(line_read_entry(line, a, &list[n++], e));
    *out = list;
    *out_n = n;
    return RC_OK;
}

/* A page of the sender's manifest. What is here and not there goes; what is there and not here, or differs, is answered. */
rc moves_compare(struct request *rq, struct err *e)
{
    SCOPED(store_rollback) struct store_txn *tx = NULL;
    struct item_key after;
    struct manifest_entry *list = NULL;
    struct head head;
    bool first = moves_arg(rq, "after").n == 0, last = moves_arg(rq, "last").n > 0;
    size_t n = 0;
    view lines, line;

    if (!key_parse(moves_arg(rq, "after"), rq->arena, &after))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "after is not what X-Heddle-Next gave");
    TRY(lines_open(rq->body, rq->target, &lines, e));
    if (first) {
        if (!next_line(&lines, &line))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "the first page has no head");
        TRY(line_read_head(line, rq->arena, &head, e));
    }
    TRY(read_entries(lines, rq->arena, &list, &n, e));
    TRY(begin(rq, &tx, e));
    TRY(moves_base(rq, tx, e));
    if (first)
        TRY(store_import_head(tx, &head, e));
    reply_type(rq, "application/x-ndjson");
    TRY(store_import_prune(tx, &after, list, n, last, put_lack, reply_body(rq), e));
    rc r = store_commit(&tx, e);
    lines_end(reply_body(rq), rq->target);
    return r == RC_UNSURE ? RC_AWAY : r; /* it can be done again */
}

/* ---- rows ---- */

/* Rows in the order of keys, and what holds their texts. */
struct rows {
    struct import_row *list;
    json_t **keep;
    size_t n;
};

static void rows_done_scoped(struct rows *r)
{
    for (size_t i = 0; i < r->n; i++)
        json_decref(r->keep[i]);
}

static rc read_rows(view lines, struct arena *a, struct rows *out, struct err *e)
{
    size_t most = view_count(lines, '\n');
    view line;
    out->list = arena_zero(a, (most + 1) * sizeof *out->list);
    out->keep = arena_zero(a, (most + 1) * sizeof *out->keep);
    while (next_line(&lines, &line)) {
        const struct import_row *r = &out->list[out->n], *before = r - 1;
        TRY(line_read_row(line, &out->list[out->n], &out->keep[out->n], e));
        int order = out->n == 0 ? 1 : view_cmp(r->coll, before->coll);
        out->n++;
        if (order < 0 || (order == 0 && view_cmp(r->item.id, before->item.id) <= 0))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "row %zu is not behind the one before", out->n - 1);
    }
    return RC_OK;
}

rc moves_import(struct request *rq, struct err *e)
{
    SCOPED(store_rollback) struct store_txn *tx = NULL;
    SCOPED(rows_done) struct rows rows = { .n = 0 };
    view lines;
    TRY(lines_open(rq->body, rq->target, &lines, e));
    TRY(read_rows(lines, rq->arena, &rows, e));
    TRY(begin(rq, &tx, e));
    TRY(store_import_items(tx, rows.list, rows.n, e));
    rc r = store_commit(&tx, e);
    TRY(r == RC_UNSURE ? RC_AWAY : r); /* it can be done again */
    stamp oldest = rows.n > 0 ? rows.list[0].item.modified : STAMP_ZERO;
    for (size_t i = 1; i < rows.n; i++)
        if (rows.list[i].item.modified.cs < oldest.cs)
            oldest = rows.list[i].item.modified;
    buf_addf(reply_body(rq), "{\"rows\":%zu,\"oldest\":%" PRId64 "}", rows.n, oldest.cs);
    return RC_OK;
}
