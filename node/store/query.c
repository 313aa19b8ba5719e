#include "node/store/query.h"

#include <assert.h>
#include <math.h>

#include "common/base/encode.h"

/* ---- pages ---- */

static bool by_time(enum item_order o)
{
    return o == ORDER_NEWEST || o == ORDER_OLDEST || o == ORDER_NEWEST_ID_ASC;
}

static int64_t ms_of(stamp t) /* bounds may come from clients: far off is as good as never */
{
    if (t.cs > INT64_MAX / 10)
        return INT64_MAX;
    return t.cs < INT64_MIN / 10 ? INT64_MIN : stamp_ms(t);
}

static bool parse_id_token(view token, struct page *p)
{
    static const char digits[] = "0123456789abcdef";
    if (token.n < 3 || token.p[0] != 'i' || token.n % 2 == 0 || token.n / 2 > sizeof p->after_id)
        return false;
    for (size_t i = 1; i < token.n; i++) {
        const char *digit = memchr(digits, token.p[i], 16);
        if (!digit)
            return false;
        size_t at = (i - 1) / 2, value = (size_t)(digit - digits);
        p->after_id[at] = (char)(i % 2 ? value << 4 : (size_t)(unsigned char)p->after_id[at] | value);
    }
    p->after_n = token.n / 2;
    p->resumes = true;
    return true;
}

static bool parse_token(view token, struct page *p)
{
    const uint64_t most = INT64_MAX / 4;
    view ms = token;
    size_t mark = 0;
    while (mark < token.n && token.p[mark] != '_' && token.p[mark] != ':')
        mark++;
    if (p->by_id)
        return parse_id_token(token, p);
    if (!p->by_time)
        return view_to_u64(token, most, &p->passed);
    if (mark == token.n)
        return false;
    uint64_t at = 0;
    ms.n = mark;
    view rest = { .p = token.p + mark + 1, .n = token.n - mark - 1 };
    if (!view_to_u64(ms, most, &at) || !view_to_u64(rest, most, &p->passed))
        return false;
    p->at_ms = (int64_t)at;
    p->resumes = true;
    return true;
}

rc page_open(const struct item_query *q, struct page *out, struct err *e)
{
    struct page p = { .by_time = by_time(q->order), .by_id = q->order == ORDER_ID, .at_ms = -1 };
    if (q->offset.p) {
        if (!parse_token(q->offset, &p))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "offset \"%.*s\" is not one of ours",
                        VIEW_ARG(q->offset));
        if (p.resumes && p.by_time &&
            ((q->has_newer && p.at_ms < ms_of(q->newer)) || (q->has_older && p.at_ms > ms_of(q->older))))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "offset %.*s is outside newer and older",
                        VIEW_ARG(q->offset));
    }
    p.skip = p.passed + (q->skip < INT64_MAX / 4 ? q->skip : INT64_MAX / 4);
    *out = p;
    return RC_OK;
}

void page_pass(struct page *p, view id, int64_t modified_ms)
{
    if (p->by_id) {
        p->last_n = id.n <= sizeof p->last_id ? id.n : 0;
        memcpy(p->last_id, id.p, p->last_n);
    }
    if (p->by_time && p->at_ms != modified_ms) {
        p->at_ms = modified_ms;
        p->passed = 0;
    }
    p->passed++;
}

void page_go_on(struct page *p)
{
    p->resumes = p->last_n > 0;
    p->after_n = p->last_n;
    memcpy(p->after_id, p->last_id, p->last_n);
}

view page_token(const struct page *p, struct arena *a)
{
    if (p->by_time)
        return arena_text(a, "%lld_%llu", (long long)p->at_ms, (unsigned long long)p->passed);
    if (p->by_id) {
        SCOPED(buf_done) struct buf text = { 0 };
        buf_addc(&text, 'i');
        hex_put(&text, (view){ .p = p->last_id, .n = p->last_n });
        return arena_copy(a, buf_view(&text));
    }
    return arena_text(a, "%llu", (unsigned long long)p->passed);
}

/* ---- text ---- */

enum query_param {
    P_UID = 1,
    P_COLL,
    P_NEWER,
    P_OLDER,
    P_NOW,
    P_ABOVE,
    P_BELOW,
    P_PARENTID,
    P_PREDECESSORID,
    P_LIMIT,
    P_SKIP,
    P_AFTER,
    P_HEAD_CLOCK,
    P_HEAD_MODIFIED,
    P_HEAD_USED,
    P_HEAD_COLLS,
    P_HEAD_EPOCH,
    P_HEAD_STATE,
    P_HEAD_SINCE,
    P_HEAD_QUOTA,
    P_IDS
};

static const char *const head_columns[] = {
    [P_HEAD_CLOCK] = "clock", [P_HEAD_MODIFIED] = "modified", [P_HEAD_USED] = "used_bytes",
    [P_HEAD_COLLS] = "colls", [P_HEAD_EPOCH] = "epoch",       [P_HEAD_STATE] = "state",
    [P_HEAD_SINCE] = "since", [P_HEAD_QUOTA] = "quota_bytes"
};

/* Lists of ids have one of these lengths; the last id is repeated to fill one up. So few statements serve all. */
static const unsigned id_sizes[] = { 1, 4, 16, 64, 128, 1024, QUERY_IDS_MAX };
#define ID_SIZES (sizeof id_sizes / sizeof id_sizes[0])

/* What makes two queries need different statements. */
struct shape {
    enum item_order order;
    enum query_want want;
    bool payload, bare, newer, older, above, below, parentid, predecessorid, limit, after, head;
    unsigned ids; /* 0: none; else 1 + index into id_sizes */
};

static uint32_t shape_key(const struct shape *s)
{
    const bool bits[] = { s->payload,  s->bare,          s->newer, s->older, s->above, s->below,
                          s->parentid, s->predecessorid, s->limit, s->after, s->head };
    uint32_t key = ((uint32_t)s->order << 4 | (uint32_t)s->want) << 4 | s->ids;
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
        key = key << 1 | bits[i];
    return key;
}

static const char *const orders[] = {
    [ORDER_NEWEST] = "modified DESC, id DESC",
    [ORDER_OLDEST] = "modified, id",
    [ORDER_INDEX] = "sortindex DESC, id DESC", /* both engines: NULL is least, so last here */
    [ORDER_ID] = "id",
    [ORDER_NEWEST_ID_ASC] = "modified DESC, id",
    [ORDER_INDEX_ID_ASC] = "sortindex DESC, id",
};

static void add_condition(struct buf *b, bool wanted, const char *condition, unsigned param)
{
    if (wanted)
        buf_addf(b, " AND %s ?%u", condition, param);
}

/* The engine looks this up once, before the first row. */
static void add_head(struct buf *b)
{
    buf_addf(b, " AND EXISTS (SELECT 1 FROM heads WHERE uid = ?%d", P_UID);
    for (unsigned i = P_HEAD_CLOCK; i <= P_HEAD_QUOTA; i++)
        buf_addf(b, " AND %s = ?%u", head_columns[i], i);
    buf_addc(b, ')');
}

static void build(const struct shape *s, struct buf *b)
{
    buf_addf(b, "SELECT ");
    switch (s->want) {
    case WANT_ITEMS:
    case WANT_ITEMS_AND_DEAD:
    case WANT_AS_THEY_LIE:
        buf_add(b, s->bare ? VIEW(BARE_COLUMNS) : s->payload ? VIEW(ITEM_COLUMNS) : VIEW(BRIEF_COLUMNS));
        break;
    case WANT_IDS:
        buf_addf(b, "id, 0");
        break;
    case WANT_IDS_AND_DEAD:
        buf_addf(b, "id, CASE WHEN expires <= ?%d THEN 1 ELSE 0 END", P_NOW);
        break;
    }
    buf_addf(b, " FROM items%s WHERE uid = ?%d AND coll = ?%d",
             s->want == WANT_AS_THEY_LIE ? " FORCE INDEX (PRIMARY)" : "", P_UID, P_COLL);
    add_condition(b, s->newer, "modified >", P_NEWER);
    add_condition(b, s->older, "modified <", P_OLDER);
    add_condition(b, s->above, "sortindex >", P_ABOVE);
    add_condition(b, s->below, "sortindex <", P_BELOW);
    add_condition(b, s->parentid, "parentid =", P_PARENTID);
    add_condition(b, s->predecessorid, "predecessorid =", P_PREDECESSORID);
    add_condition(b, s->after, "id >", P_AFTER);
    if (s->ids) {
        buf_addf(b, " AND id IN (?%d", P_IDS);
        for (unsigned i = 1; i < id_sizes[s->ids - 1]; i++)
            buf_addf(b, ",?%u", P_IDS + i);
        buf_addc(b, ')');
    }
    if (s->head)
        add_head(b);
    if (s->want == WANT_ITEMS || s->want == WANT_IDS)
        buf_addf(b, " AND (expires IS NULL OR expires > ?%d)", P_NOW);
    if (s->want != WANT_AS_THEY_LIE)
        buf_addf(b, " ORDER BY %s", orders[s->order]);
    if (s->limit)
        buf_addf(b, " LIMIT ?%d OFFSET ?%d", P_LIMIT, P_SKIP);
}

/* ---- values ---- */

/* sortindex is an integer, the bounds of 1.1 need not be one: x > 12.5 is x > 12, x < 12.5 is x < 13. */
static int64_t index_bound(double d, bool above)
{
    d = above ? floor(d) : ceil(d);
    if (isnan(d))
        return above ? INT64_MAX : INT64_MIN;
    return d >= 9e18 ? INT64_MAX : d <= -9e18 ? INT64_MIN : (int64_t)d;
}

static void bind_ids(struct stmt *st, const struct item_query *q, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        bind_bytes(st, P_IDS + i, q->ids[i < q->n_ids ? i : q->n_ids - 1]);
}

static void bind_text(struct stmt *st, unsigned param, bool wanted, view v)
{
    if (wanted)
        bind_bytes(st, param, v);
}

static void bind_number(struct stmt *st, unsigned param, bool wanted, int64_t v)
{
    if (wanted)
        bind_int(st, param, v);
}

/* newer and older are strict; a page that resumes takes its own stamp in. */
static void bind_times(struct stmt *st, const struct shape *s, const struct item_query *q,
                       const struct page *p)
{
    int64_t newer = q->has_newer ? ms_of(q->newer) : INT64_MIN;
    int64_t older = q->has_older ? ms_of(q->older) : INT64_MAX;
    if (p->resumes && p->by_time && q->order == ORDER_OLDEST)
        newer = p->at_ms - 1 > newer ? p->at_ms - 1 : newer;
    else if (p->resumes && p->by_time)
        older = p->at_ms + 1 < older ? p->at_ms + 1 : older;
    bind_number(st, P_NEWER, s->newer, newer);
    bind_number(st, P_OLDER, s->older, older);
}

static void bind_head(struct stmt *st, const struct store_txn *tx)
{
    const struct head *h = tx->head;

    bind_int(st, P_HEAD_CLOCK, stamp_ms(h->clock));
    bind_int(st, P_HEAD_MODIFIED, stamp_ms(h->modified));
    bind_int(st, P_HEAD_USED, h->used_bytes);
    bind_bytes(st, P_HEAD_COLLS, tx->asked_colls);
    bind_int(st, P_HEAD_EPOCH, h->epoch);
    bind_int(st, P_HEAD_STATE, h->state);
    bind_int(st, P_HEAD_SINCE, h->since_ms);
    bind_int(st, P_HEAD_QUOTA, h->quota_bytes);
}

static bool wants_items(enum query_want want)
{
    return want == WANT_ITEMS || want == WANT_ITEMS_AND_DEAD || want == WANT_AS_THEY_LIE;
}

rc query_statement(struct store_txn *tx, const struct item_query *q, uint32_t coll, const struct page *p,
                   enum query_want want, uint64_t limit, struct stmt **out, struct err *e)
{
    bool resume_up = p->resumes && q->order == ORDER_OLDEST,
         resume_down = p->resumes && p->by_time && !resume_up;
    struct shape s = {
        .order = want == WANT_AS_THEY_LIE ? ORDER_NEWEST : q->order,
        .want = want,
        .payload = q->with_payload && wants_items(want),
        .bare = q->with_payload && q->bare && wants_items(want),
        .newer = q->has_newer || resume_up,
        .older = q->has_older || resume_down,
        .above = q->has_index_above,
        .below = q->has_index_below,
        .parentid = q->parentid.p != NULL,
        .predecessorid = q->predecessorid.p != NULL,
        .limit = limit > 0 || p->skip > 0,
        .after = p->resumes && p->by_id,
        .head = tx->asked_colls.p && wants_items(want),
    };
    if (q->has_ids) {
        assert(q->n_ids > 0);
        while (s.ids < ID_SIZES && id_sizes[s.ids] < q->n_ids)
            s.ids++;
        if (s.ids++ == ID_SIZES)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "more than %d ids in one query", QUERY_IDS_MAX);
    }

    struct stmt *st = conn_shape(tx->conn, shape_key(&s));
    if (!st) {
        SCOPED(buf_done) struct buf sql = { 0 };
        build(&s, &sql);
        TRY(conn_shape_add(tx->conn, shape_key(&s), buf_text(&sql), &st, e));
    }
    bind_int(st, P_UID, tx->head->uid);
    bind_int(st, P_COLL, coll);
    bind_int(st, P_NOW, tx->now_ms);
    bind_times(st, &s, q, p);
    bind_number(st, P_ABOVE, s.above, index_bound(q->index_above, true));
    bind_number(st, P_BELOW, s.below, index_bound(q->index_below, false));
    bind_text(st, P_PARENTID, s.parentid, q->parentid);
    bind_text(st, P_PREDECESSORID, s.predecessorid, q->predecessorid);
    bind_number(st, P_LIMIT, s.limit, limit > 0 && limit < INT64_MAX / 4 ? (int64_t)limit : INT64_MAX / 4);
    bind_number(st, P_SKIP, s.limit, (int64_t)p->skip);
    bind_text(st, P_AFTER, s.after, (view){ .p = p->after_id, .n = p->after_n });
    if (s.head)
        bind_head(st, tx);
    if (s.ids)
        bind_ids(st, q, id_sizes[s.ids - 1]);
    *out = st;
    return RC_OK;
}
