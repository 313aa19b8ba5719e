/* The handlers of the route table, and the few words they share. */
#ifndef HEDDLE_SYNC_HANDLERS_H
#define HEDDLE_SYNC_HANDLERS_H

#include "node/sync/limits.h"
#include "node/sync/sync.h"

/* Both protocols. */
handler_fn info_collections, info_counts, info_usage, info_quota, info_configuration;
handler_fn collection_get, item_get;
warm_fn info_collections_warm, item_get_warm, collection_get_warm;

/* 1.5 */
handler_fn collection_post, collection_delete, item_put, item_delete, user_delete;

/* 1.1 */
handler_fn legacy_collection_post, legacy_collection_delete, legacy_item_put, legacy_item_delete,
    legacy_user_delete;

static inline bool is_legacy(const struct request *rq)
{
    return rq->route->dialect == DIALECT_SYNC_11;
}

/* Where the segments stand: /1.5/{uid}/storage/{coll}/{id}, /{version}/{user}/storage/{coll}/{id}. */
static inline view path_coll(const struct request *rq)
{
    return rq->params[is_legacy(rq) ? 2 : 1];
}

static inline view path_id(const struct request *rq)
{
    return rq->params[is_legacy(rq) ? 3 : 2];
}

static inline const struct sync_limits *limits_of(const struct request *rq)
{
    return ((const struct sync_worker *)rq->worker)->sync->limits;
}

/* The time of a collection; 0 where there is none. */
static inline stamp coll_stamp(const struct head *h, view coll)
{
    const struct head_coll *c = head_coll_find(h, coll);

    return c ? c->modified : STAMP_ZERO;
}

/* Headers of time. A read of 1.5 tells the target's time; 1.1 has only X-Weave-Timestamp, never before what it shows.
 * A write tells T, exactly. */
static inline void tell_read(struct request *rq, stamp target)
{
    if (is_legacy(rq))
        reply_timestamp(rq, stamp_max(rq->started, target));
    else
        reply_last_modified(rq, target);
}

static inline void tell_write(struct request *rq, stamp t)
{
    if (!is_legacy(rq))
        reply_last_modified(rq, t);
    reply_timestamp(rq, t);
}

/* A header with a count: X-Weave-Records. */
void tell_records(struct request *rq, uint64_t n);

/* The body {"modified":T}. */
void put_modified(struct request *rq, stamp t);

#endif
