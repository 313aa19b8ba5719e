/* What must hold of both ends before anybody is touched. */
#include <inttypes.h>

#include "admin/move/move.h"
#include "common/base/clock.h"

#define ROOM_LEAST ((int64_t)64 << 20) /* on the target's disk, beyond twice what comes */

#define PROMPT_US 50000 /* an answer that tells the time well enough */

struct end {
    int64_t schema, disk_free, quota; /* disk_free: -1: not known */
    int64_t ahead_ms;                 /* of our clock, half a round trip either way */
};

static rc ask_status(struct reach *r, view node, struct end *out, struct err *e)
{
    SCOPED(json_decref) json_t *o = NULL;
    struct answer a = { .status = 0 };
    const struct reach_call c = { .method = "GET", .path = "status?brief=1", .body = VIEW_NONE };
    rc result = RC_OK;
    int64_t before_us = 0, after_us = 0;
    for (int tries = 0; tries < 2 && result == RC_OK; tries++) {
        before_us = clock_now_us(r->clock);
        result = reach_node(r, node, &c, &a, e);
        after_us = clock_now_us(r->clock);
        if (after_us - before_us < PROMPT_US) /* else: the first may have had to look for the way */
            break;
    }
    if (result == RC_OK)
        result = ask_object(&a, &o, e);
    answer_done(&a);
    TRY(result);
    const json_t *disk = json_object_get(o, "disk_free");
    *out = (struct end){ .schema = json_integer_value(json_object_get(o, "schema")),
                         .disk_free = disk ? json_integer_value(disk) : -1,
                         .quota = json_integer_value(json_object_get(o, "quota_bytes")),
                         .ahead_ms = json_integer_value(json_object_get(o, "clock")) -
                                     (before_us + after_us) / 2000 };
    return RC_OK;
}

static rc check_target(struct reach *r, view to, struct err *e)
{
    SCOPED(json_decref) json_t *o = NULL;
    SCOPED(buf_done) struct buf path = { 0 };
    buf_add(&path, VIEW("nodes/"));
    buf_add(&path, to);
    const struct reach_call c = { .method = "GET", .path = buf_text(&path), .body = VIEW_NONE };
    TRY(reach_directory_object(r, &c, &o, e));
    if (view_eq(json_text(json_object_get(o, "state")), VIEW("down")))
        return fail(e, RC_CONFLICT, RESP_GENERIC, "node %.*s is marked down", VIEW_ARG(to));
    return RC_OK;
}

static rc compare(const struct move_ends *x, const struct end *s, const struct end *t, struct err *e)
{
    int64_t skew = s->ahead_ms - t->ahead_ms;
    if (s->schema != t->schema)
        return fail(e, RC_CONFLICT, RESP_GENERIC,
                    "%.*s has schema %" PRId64 ", %.*s has %" PRId64 ": bring both to one version first",
                    VIEW_ARG(x->from), s->schema, VIEW_ARG(x->to), t->schema);
    if (skew > x->skew_ms || skew < -x->skew_ms)
        return fail(e, RC_CONFLICT, RESP_GENERIC,
                    "the clocks of %.*s and %.*s are %" PRId64 " ms apart, %" PRId64
                    " are allowed: set them first",
                    VIEW_ARG(x->from), VIEW_ARG(x->to), skew < 0 ? -skew : skew, x->skew_ms);
    if (t->disk_free >= 0 && t->disk_free < 2 * x->used_bytes + ROOM_LEAST)
        return fail(e, RC_CONFLICT, RESP_GENERIC,
                    "%.*s has %" PRId64 " bytes of disk left, %" PRId64 " are needed", VIEW_ARG(x->to),
                    t->disk_free, 2 * x->used_bytes + ROOM_LEAST);
    return RC_OK;
}

static rc check_quota(struct reach *r, const struct move_ends *x, const struct end *t, struct err *e)
{
    struct head_seen h;
    TRY(head_ask(r, x->from, x->uid, &h, e));
    int64_t quota = h.quota_bytes >= 0 ? h.quota_bytes : t->quota;
    if (quota > 0 && h.used_bytes > quota)
        return fail(e, RC_CONFLICT, RESP_GENERIC,
                    "uid %" PRId64 " uses %" PRId64 " bytes, %.*s allows %" PRId64, x->uid, h.used_bytes,
                    VIEW_ARG(x->to), quota);
    return RC_OK;
}

rc move_check(struct reach *r, const struct move_ends *x, int64_t *out_skew_ms, struct err *e)
{
    struct end s, t;
    TRY(check_target(r, x->to, e));
    TRY(ask_status(r, x->from, &s, e));
    TRY(ask_status(r, x->to, &t, e));
    if (out_skew_ms)
        *out_skew_ms = s.ahead_ms - t.ahead_ms;
    TRY(compare(x, &s, &t, e));
    return x->uid > 0 ? check_quota(r, x, &t, e) : RC_OK;
}
