/* When somebody last settled what moves and deleted accounts had left: each round of heddle-admin settle says so here, and doctor asks.
 * Kept in memory: after a start nobody has been here, until the next round. Protocol: docs/internal-api.md, "Admin to directory". */
#include <inttypes.h>

#include "directory/internal.h"

rc internal_settled_put(struct request *rq, struct err *e)
{
    static const char *const members[] = { "failed", NULL };
    const struct directory_worker *w = rq->worker;
    SCOPED(json_decref) json_t *body = NULL;
    int64_t failed = 0;
    TRY(internal_body(rq, members, &body, e));
    TRY(internal_number(body, "failed", 0, &failed, e));
    atomic_store(&w->d->internal->settled_failed, failed);
    atomic_store(&w->d->internal->settled_us, clock_mono_us(w->d->clock));
    buf_add(reply_body(rq), VIEW("{}"));
    return RC_OK;
}

rc internal_settled_get(struct request *rq, struct err *e)
{
    const struct directory_worker *w = rq->worker;
    const struct internal *x = w->d->internal;
    struct buf *b = reply_body(rq);
    int64_t now_us = clock_mono_us(w->d->clock), then_us = atomic_load(&x->settled_us);
    (void)e;
    buf_addf(b, "{\"up_ms\":%" PRId64, (now_us - x->opened_us) / 1000);
    if (then_us > INT64_MIN)
        buf_addf(b, ",\"age_ms\":%" PRId64 ",\"failed\":%" PRId64, (now_us - then_us) / 1000,
                 (int64_t)atomic_load(&x->settled_failed));
    buf_addc(b, '}');
    return RC_OK;
}
