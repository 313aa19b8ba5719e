#include "node/step.h"

/* The mark is made before the step takes the head's lock: no value is put after it. */
rc node_step(const struct sync_worker *w, const struct move *m, enum head_step step,
             const struct manifest_sum *sum, struct arena *a, struct head_info *out, struct err *e)
{
    struct cache_mark mark;

    cache_before(w->cache, m->uid, &mark);
    rc r = store_head_step(w->store, m, step, sum, a, out, e);
    cache_after(w->cache, m->uid, &mark, VIEW_NONE);
    return r;
}
