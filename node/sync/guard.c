#include "node/sync/guard.h"

#include <inttypes.h>

#include "node/sync/handlers.h"

#define WARN_BELOW_BYTES INT64_C(1048576)

static rc stamp_header(const struct request *rq, const char *name, bool *out_has, stamp *out, struct err *e)
{
    view text = request_header(rq, name);
    bool good;

    if (!text.p)
        return RC_OK;
    text = view_trim(text);
    good = is_legacy(rq) ? stamp_parse_11(text, out)
                         : stamp_parse_15(text, out) && request_header_count(rq, name) == 1;
    if (!good)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%s is not a time", name);
    *out_has = true;
    return RC_OK;
}

rc precondition_read(const struct request *rq, struct precondition *out, struct err *e)
{
    bool reading = rq->method == GET || rq->method == HEAD;

    *out = (struct precondition){ .has_modified = false };
    if (is_legacy(rq) && reading)
        return RC_OK;
    TRY(stamp_header(rq, "X-If-Unmodified-Since", &out->has_unmodified, &out->unmodified_since, e));
    if (is_legacy(rq))
        return RC_OK;
    TRY(stamp_header(rq, "X-If-Modified-Since", &out->has_modified, &out->modified_since, e));
    if (out->has_modified && out->has_unmodified)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "both precondition headers in one request");
    if (!reading)
        out->has_modified = false; /* but a malformed one was refused above */
    return RC_OK;
}

rc precondition_check(struct request *rq, const struct precondition *p, stamp target, struct err *e)
{
    if (p->has_modified && target.cs <= p->modified_since.cs) {
        tell_read(rq, target);
        return fail(e, RC_NOT_MODIFIED, RESP_GENERIC, "not modified since");
    }
    if (p->has_unmodified && target.cs > p->unmodified_since.cs) {
        tell_read(rq, target);
        return fail(e, RC_MODIFIED, RESP_GENERIC,
                    "modified at %" PRId64 " cs, not after %" PRId64 " was wanted", target.cs,
                    p->unmodified_since.cs);
    }
    return RC_OK;
}

static rc size_ok(const struct request *rq, const char *name, int64_t max, struct err *e)
{
    view text = request_header(rq, name);
    uint64_t n;

    if (!text.p)
        return RC_OK;
    text = view_trim(text);
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < '0' || text.p[i] > '9')
            return fail(e, RC_BAD_INPUT, RESP_ILLEGAL, "%s is not an unsigned integer", name);
    if (text.n == 0)
        return fail(e, RC_BAD_INPUT, RESP_ILLEGAL, "%s is empty", name);
    if (!view_to_u64(text, (uint64_t)max, &n))
        return fail(e, RC_BAD_INPUT, RESP_TOO_LARGE, "%s is above the limit of %" PRId64, name, max);
    return RC_OK;
}

rc announced_sizes_ok(const struct request *rq, const struct sync_limits *l, int64_t max_post_bytes,
                      struct err *e)
{
    TRY(size_ok(rq, "X-Weave-Records", l->max_post_records, e));
    TRY(size_ok(rq, "X-Weave-Bytes", max_post_bytes, e));
    TRY(size_ok(rq, "X-Weave-Total-Records", l->max_total_records, e));
    return size_ok(rq, "X-Weave-Total-Bytes", l->max_total_bytes, e);
}

bool quota_of(const struct sync_limits *l, const struct head *h, int64_t *out_bytes)
{
    if (h->quota_bytes < 0 && l->quota_bytes == 0)
        return false;
    *out_bytes = h->quota_bytes >= 0 ? h->quota_bytes : l->quota_bytes;
    return true;
}

static int64_t saturated(uint64_t n)
{
    return n > INT64_MAX / 4 ? INT64_MAX / 4 : (int64_t)n;
}

/* What would be left of the quota: by the bound in the head if that says "plenty", else exactly. */
static rc left_after(struct sync_txn *t, int64_t quota, int64_t more, int64_t *out_left, struct err *e)
{
    int64_t used;

    *out_left = quota - store_head(t->tx)->used_bytes - more;
    if (*out_left > WARN_BELOW_BYTES)
        return RC_OK;
    TRY(store_used_exact(t->tx, &used, e));
    *out_left = quota - used - more;
    return RC_OK;
}

static void tell_left(struct request *rq, int64_t left, void (*put)(struct buf *, int64_t))
{
    SCOPED(buf_done) struct buf text = { 0 };

    put(&text, left > 0 ? left : 0);
    reply_header(rq, "X-Weave-Quota-Remaining", buf_view(&text));
}

rc quota_admits(struct sync_txn *t, uint64_t adding_bytes, bool batches, struct err *e)
{
    const struct sync_limits *l = t->w->sync->limits;
    int64_t quota, left, pending = 0;

    if (!quota_of(l, store_head(t->tx), &quota))
        return RC_OK;
    if (batches)
        TRY(store_batch_pending(t->tx, l->batch_life_s, &pending, e));
    TRY(left_after(t, quota, pending + saturated(adding_bytes), &left, e));
    if (left <= 0 && l->quota_enforced)
        return fail(e, RC_OVER_QUOTA, RESP_OVER_QUOTA, "%" PRIu64 " bytes more do not fit into %" PRId64,
                    adding_bytes, quota);
    if (left < WARN_BELOW_BYTES)
        tell_left(t->rq, left, put_kb_rounded);
    return RC_OK;
}

rc quota_admits_legacy(struct sync_txn *t, struct err *e)
{
    const struct sync_limits *l = t->w->sync->limits;
    int64_t quota, left;

    if (!quota_of(l, store_head(t->tx), &quota))
        return RC_OK;
    TRY(left_after(t, quota, 0, &left, e));
    if (left <= 0 && l->quota_enforced)
        return fail(e, RC_OVER_QUOTA, RESP_OVER_QUOTA, "nothing is left of %" PRId64 " bytes", quota);
    if (left <= WARN_BELOW_BYTES)
        tell_left(t->rq, left, put_kb);
    return RC_OK;
}

/* Digits behind the point, at least one, without zeros at the end. */
static void put_fraction(struct buf *b, uint64_t part, unsigned digits)
{
    char text[16];

    for (unsigned i = digits; i-- > 0; part /= 10)
        text[i] = (char)('0' + part % 10);
    while (digits > 1 && text[digits - 1] == '0')
        digits--;
    buf_addc(b, '.');
    buf_add(b, (view){ .p = text, .n = digits });
}

void put_kb(struct buf *b, int64_t bytes)
{
    uint64_t n = bytes > 0 ? (uint64_t)bytes : 0;

    buf_add_i64(b, (int64_t)(n / 1024));
    put_fraction(b, n % 1024 * 9765625, 10); /* 1/1024 is 0.0009765625 */
}

void put_kb_rounded(struct buf *b, int64_t bytes)
{
    uint64_t n = bytes > 0 ? (uint64_t)bytes : 0;
    uint64_t scaled = n % 1024 * 100, cents = scaled / 1024, rest = scaled % 1024;

    if (rest > 512 || (rest == 512 && cents % 2 == 1))
        cents++;
    buf_add_i64(b, (int64_t)(n / 1024 + cents / 100));
    put_fraction(b, cents % 100, 2);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool payload_has_zero_iv(view payload)
{
    static const char name[] = "\"IV\":", zeros[] = "\"AAAAAAAAAAAAAAAAAAAAAA==\"";
    const char *p = payload.p, *end = payload.p + payload.n;

    while (payload.n > 0 && (p = memmem(p, (size_t)(end - p), name, sizeof name - 1))) {
        p += sizeof name - 1;
        while (p < end && is_space(*p))
            p++;
        if ((size_t)(end - p) >= sizeof zeros - 1 && memcmp(p, zeros, sizeof zeros - 1) == 0)
            return true;
    }
    return false;
}
