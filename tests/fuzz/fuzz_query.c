/* URL parameters of collections in both protocols, batch parameters, and Accept headers (after a LF). Whatever comes, the query handed
 * to the store keeps its bounds. */
#include <assert.h>

#include "common/web/inside.h"
#include "node/sync/names.h"
#include "node/sync/negotiate.h"
#include "node/sync/query.h"

static void bounds_kept(const struct listing *l, size_t most)
{
    assert(l->q.n_ids <= most);
    for (size_t i = 0; i < l->q.n_ids; i++)
        assert(item_id_ok(l->q.ids[i]));
    assert(!l->q.has_newer || l->q.newer.cs <= INT64_MAX / 10);
    assert(l->q.has_limit || l->q.limit == 0);
    assert(l->q.has_limit || l->q.skip == 0);
}

static void batch(const struct request *rq, bool on)
{
    struct batch_wish w;
    rc r = batch_wish_read(rq, on, &w, NULL);

    assert(r == RC_OK || r == RC_BAD_INPUT);
    assert(r != RC_OK || (w.step >= BATCH_APPEND) == (w.id.n == BATCH_ID_TEXT));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    view accept = { .p = (const char *)data, .n = size }, query;
    struct web_request *w;
    struct clock_fake clock;
    struct listing l;
    rc r;

    clock_fake_init(&clock, INT64_C(1767225600000000));
    if (!view_cut(&accept, '\n', &query))
        return 0;
    w = web_request_new(&clock.clock, 1 << 20, VIEW("/"));
    w->rq.query = query;
    request_args_parse(&w->rq);
    r = listing_read(&w->rq, &l, NULL);
    assert(r == RC_OK || r == RC_BAD_INPUT);
    if (r == RC_OK)
        bounds_kept(&l, QUERY_IDS_MAX);
    r = listing_read_legacy(&w->rq, &l, NULL, NULL);
    assert(r == RC_OK || r == RC_BAD_INPUT);
    if (r == RC_OK)
        bounds_kept(&l, QUERY_LEGACY_IDS_MAX);
    batch(&w->rq, true);
    batch(&w->rq, false);
    assert(accept_best(accept) != FORMAT_WHOISI);
    assert(accept_best_legacy(accept) != FORMAT_NONE);
    web_request_free(w);
    return 0;
}
