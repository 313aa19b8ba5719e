#include "node/sync/query.h"

#include <math.h>

#include "node/sync/names.h"

#define INDEX_TEXT_MAX 64
#define BATCH_ID_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

static rc bad(struct err *e, const char *name)
{
    return fail(e, RC_BAD_INPUT, RESP_GENERIC, "parameter %s is malformed", name);
}

static rc args_decode(const struct request *rq, struct err *e)
{
    if (rq->args_broken)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "broken percent escape in the query");
    return RC_OK;
}

/* ---- 1.5 ---- */

static rc stamp_arg(const struct request *rq, const char *name, bool *out_has, stamp *out, struct err *e)
{
    const struct query_arg *arg = request_arg(rq, name);

    if (!arg)
        return RC_OK;
    if (!stamp_parse_15(arg->value, out))
        return bad(e, name);
    *out_has = true;
    return RC_OK;
}

rc query_ids_read(const struct request *rq, struct item_query *out, struct err *e)
{
    const struct query_arg *arg = request_arg(rq, "ids");
    view rest, piece, *ids;
    size_t n = 0;

    TRY(args_decode(rq, e));
    if (!arg)
        return RC_OK;
    rest = arg->value;
    if (rest.n > 0 && rest.p[rest.n - 1] == ',') /* one comma at the end is harmless */
        rest.n--;
    ids = arena_alloc(rq->arena, QUERY_IDS_MAX * sizeof *ids);
    while (view_cut(&rest, ',', &piece)) {
        piece = view_trim(piece);
        if (n == QUERY_IDS_MAX)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "more than %d ids", QUERY_IDS_MAX);
        if (!item_id_ok(piece))
            return bad(e, "ids");
        ids[n++] = piece;
    }
    if (n == 0)
        return bad(e, "ids");
    out->has_ids = true;
    out->ids = ids;
    out->n_ids = n;
    return RC_OK;
}

static rc sort_arg(const struct request *rq, struct item_query *q, struct err *e)
{
    const struct query_arg *arg = request_arg(rq, "sort");

    q->order = ORDER_NEWEST;
    if (!arg || view_eq(arg->value, VIEW("newest")))
        return RC_OK;
    if (view_eq(arg->value, VIEW("oldest")))
        q->order = ORDER_OLDEST;
    else if (view_eq(arg->value, VIEW("index")))
        q->order = ORDER_INDEX;
    else
        return bad(e, "sort");
    return RC_OK;
}

static rc limit_arg(const struct request *rq, struct item_query *q, struct err *e)
{
    const struct query_arg *arg = request_arg(rq, "limit");

    if (!arg)
        return RC_OK;
    if (!view_to_u64(arg->value, UINT32_MAX, &q->limit))
        return bad(e, "limit");
    q->has_limit = true;
    return RC_OK;
}

static rc offset_arg(const struct request *rq, struct item_query *q, struct err *e)
{
    const struct query_arg *arg = request_arg(rq, "offset");

    if (!arg)
        return RC_OK;
    if (arg->value.n == 0)
        return bad(e, "offset");
    q->offset = arg->value;
    return RC_OK;
}

rc listing_read(const struct request *rq, struct listing *out, struct err *e)
{
    struct item_query *q = &out->q;

    *out = (struct listing){ .full = request_arg(rq, "full") != NULL };
    TRY(query_ids_read(rq, q, e));
    TRY(stamp_arg(rq, "newer", &q->has_newer, &q->newer, e));
    TRY(stamp_arg(rq, "older", &q->has_older, &q->older, e));
    q->has_newer = q->has_newer && q->newer.cs > 0; /* every item is newer than 0 */
    TRY(sort_arg(rq, q, e));
    TRY(limit_arg(rq, q, e));
    TRY(offset_arg(rq, q, e));
    q->with_payload = out->full;
    q->bare = true;
    return RC_OK;
}

static bool is_batch_id(view v)
{
    if (v.n != BATCH_ID_TEXT)
        return false;
    for (size_t i = 0; i < v.n; i++)
        if (!memchr(BATCH_ID_CHARS, v.p[i], sizeof BATCH_ID_CHARS - 1))
            return false;
    return true;
}

rc batch_wish_read(const struct request *rq, bool on, struct batch_wish *out, struct err *e)
{
    const struct query_arg *batch = request_arg(rq, "batch"), *commit = request_arg(rq, "commit");
    bool start = batch && (batch->value.n == 0 || view_eq_nocase(batch->value, VIEW("true")));

    *out = (struct batch_wish){ .step = BATCH_NONE, .id = VIEW_NONE };
    TRY(args_decode(rq, e));
    if (!on && (!batch || start))
        return RC_OK;
    if (commit && !view_eq_nocase(commit->value, VIEW("true")))
        return bad(e, "commit");
    if (commit && !batch)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "commit without batch");
    if (start) {
        out->step = commit ? BATCH_NONE : BATCH_START;
    } else if (batch) {
        if (!on || !is_batch_id(batch->value))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "no such batch");
        out->step = commit ? BATCH_COMMIT : BATCH_APPEND;
        out->id = batch->value;
    }
    return RC_OK;
}

/* ---- 1.1 ---- */

static rc legacy_stamp_arg(const struct request *rq, const char *name, bool *out_has, stamp *out,
                           struct err *e)
{
    const struct query_arg *arg = request_arg(rq, name);

    if (!arg)
        return RC_OK;
    if (!stamp_parse_11(arg->value, out))
        return bad(e, name);
    *out_has = true;
    return RC_OK;
}

/* A decimal number: letters such as in "nan", "inf" and "0x1" are not for us. */
static bool decimal_parse(view text, double *out)
{
    char copy[INDEX_TEXT_MAX + 1], *end;

    text = view_trim(text);
    if (text.n == 0 || text.n > INDEX_TEXT_MAX)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (!memchr("0123456789+-.eE", text.p[i], 15))
            return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    *out = strtod(copy, &end);
    return end == copy + text.n && isfinite(*out);
}

static rc index_arg(const struct request *rq, const char *name, bool *out_has, double *out, struct err *e)
{
    const struct query_arg *arg = request_arg(rq, name);

    if (!arg)
        return RC_OK;
    if (!decimal_parse(arg->value, out))
        return bad(e, name);
    *out_has = true;
    return RC_OK;
}

/* An integer with or without sign; *out is 0 where it is not positive, and the largest number where it is larger. */
static bool count_parse(view text, uint64_t *out)
{
    bool negative = false;

    text = view_trim(text);
    if (text.n > 0 && (text.p[0] == '-' || text.p[0] == '+')) {
        negative = text.p[0] == '-';
        text.p++;
        text.n--;
    }
    if (text.n == 0)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
    if (negative)
        *out = 0;
    else if (!view_to_u64(text, INT64_MAX, out))
        *out = INT64_MAX;
    return true;
}

static rc count_arg(const struct request *rq, const char *name, uint64_t *out, struct err *e)
{
    const struct query_arg *arg = request_arg(rq, name);

    *out = 0;
    if (arg && !count_parse(arg->value, out))
        return bad(e, name);
    return RC_OK;
}

/* Ids that nobody can have are left out: they match nothing. */
static rc legacy_ids_arg(const struct request *rq, struct item_query *q, struct err *e)
{
    const struct query_arg *arg = request_arg(rq, "ids");
    view rest, piece, *ids;
    size_t n = 0, room = 1;

    if (!arg)
        return RC_OK;
    rest = arg->value;
    for (size_t i = 0; i < rest.n; i++)
        room += rest.p[i] == ',';
    ids = arena_alloc(rq->arena, room * sizeof *ids);
    while (view_cut(&rest, ',', &piece))
        if (item_id_legacy_ok(piece))
            ids[n++] = piece;
    if (n > QUERY_LEGACY_IDS_MAX)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "more than %d ids", QUERY_LEGACY_IDS_MAX);
    q->has_ids = true;
    q->ids = ids;
    q->n_ids = n;
    return RC_OK;
}

static view text_arg(const struct request *rq, const char *name)
{
    const struct query_arg *arg = request_arg(rq, name);

    return !arg ? VIEW_NONE : arg->value.p ? arg->value : VIEW("");
}

static enum item_order legacy_order(const struct request *rq)
{
    view sort = text_arg(rq, "sort");

    if (view_eq(sort, VIEW("oldest")))
        return ORDER_OLDEST;
    if (view_eq(sort, VIEW("newest")))
        return ORDER_NEWEST_ID_ASC;
    return view_eq(sort, VIEW("index")) ? ORDER_INDEX_ID_ASC : ORDER_ID;
}

rc listing_read_legacy(const struct request *rq, struct listing *out, bool *out_selects, struct err *e)
{
    struct item_query *q = &out->q;

    *out = (struct listing){ .full = text_arg(rq, "full").n > 0 };
    TRY(args_decode(rq, e));
    TRY(legacy_ids_arg(rq, q, e));
    TRY(legacy_stamp_arg(rq, "newer", &q->has_newer, &q->newer, e));
    TRY(legacy_stamp_arg(rq, "older", &q->has_older, &q->older, e));
    TRY(index_arg(rq, "index_above", &q->has_index_above, &q->index_above, e));
    TRY(index_arg(rq, "index_below", &q->has_index_below, &q->index_below, e));
    q->parentid = text_arg(rq, "parentid");
    q->predecessorid = text_arg(rq, "predecessorid");
    TRY(count_arg(rq, "limit", &q->limit, e));
    TRY(count_arg(rq, "offset", &q->skip, e));
    q->has_limit = q->limit > 0;
    if (!q->has_limit)
        q->skip = 0;
    q->order = legacy_order(rq);
    q->with_payload = out->full;
    if (out_selects)
        *out_selects = q->has_ids || q->has_newer || q->has_older || q->has_index_above ||
                       q->has_index_below || q->parentid.p || q->predecessorid.p || q->has_limit;
    q->has_newer = q->has_newer && q->newer.cs > 0; /* every item is newer than 0 */
    return RC_OK;
}
