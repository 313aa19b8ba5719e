/* The Sync storage protocols on the store: 1.5, and 1.1/1.0 where `legacy` holds all that differs. Handlers only: admission, life
 * and background work are node/'s. */
#ifndef HEDDLE_SYNC_H
#define HEDDLE_SYNC_H

#include "common/base/conf.h"
#include "common/web/reply.h"
#include "common/web/request.h"
#include "node/cache/cache.h"
#include "node/store/store.h"

/* Keys of [limits]. Protocol: Storage API 1.5 "info/configuration"; 1.1 section on POST. All limits are inclusive. */
struct sync_limits {
    int64_t max_request_bytes, max_record_payload_bytes, max_post_records, max_post_bytes;
    int64_t max_total_records, max_total_bytes;
    /* "coll:max_record_payload_bytes:max_post_bytes:max_request_bytes"; 0: the global value */
    struct conf_list collections;
    bool batches;
    int64_t batch_life_s;
    int64_t quota_bytes; /* 0: off */
    bool quota_enforced; /* off: tracked and shown alone */
    int64_t legacy_request_bytes, legacy_payload_bytes, legacy_post_records, legacy_post_bytes; /* 1.1 */

    struct sync_coll_limits { /* made of `collections` by sync_limits_ready */
        view coll;
        int64_t max_record_payload_bytes, max_post_bytes, max_request_bytes;
    } * colls;
    size_t n_colls;
};
extern const struct conf_key sync_limits_keys[];
extern const size_t sync_limits_keys_n;
/* Checks the relations that the protocol requires (RC_BAD_INPUT names the one that does not hold) and fills colls. */
MUST_USE rc sync_limits_ready(struct sync_limits *l, struct err *e);
void sync_limits_done(struct sync_limits *l);

/* What the handlers need of the node. node/ fills it; sync/ knows no more of it. */
struct sync_node {
    const struct sync_limits *limits;
    const struct clock *clock;
    struct cache *cache;
    struct store *store;
    /* Called where the fence refuses the credential (RC_NOT_HERE): whether it is only what we remember of it that is old. RC_OK: rq->who
     * has the epoch of now. RC_NOT_HERE: it is not. Else why nobody can tell. Blocks; on a worker, outside transactions. NULL: never. */
    rc (*renew)(struct request *rq, struct err *e);
};

/* rq->worker of every route below must begin with this. */
struct sync_worker {
    const struct sync_node *sync;
    struct store_session *store;
    struct cache_handle *cache;
    int64_t asked_us; /* when sync_head_known last asked more than memory */
};

extern const struct route sync_routes[];
extern const size_t sync_routes_n;
extern const struct param_kind sync_param_kinds[];
extern const size_t sync_param_kinds_n;

/* mount.body_max for routes with BODY_BY_APP. */
size_t sync_body_max(const struct request *rq, const struct sync_limits *l);

/* ---- transactions with the rule of the cache around them (txn.c): handlers use these, never store_begin/commit ---- */

struct sync_txn {
    struct request *rq;
    struct sync_worker *w;
    struct store_txn *tx;
    struct cache_mark mark;
    int64_t begun_us; /* steady clock */
    bool writing;
};

/* After RC_NOT_HERE: sync_node.renew. RC_OK: try once more. What follows does so by itself. */
MUST_USE rc sync_renew(struct request *rq, struct err *e);
/* Fence and lock. uid and epoch from rq->who. rq->store_us counts the time until the end of the transaction. */
MUST_USE rc sync_begin(struct request *rq, enum store_mode mode, struct sync_txn *out, struct err *e);
/* The same for one that will put items with so many payload bytes into a collection: cheaper where memory has the head. */
MUST_USE rc sync_begin_put(struct request *rq, view coll, uint64_t adding_bytes, struct sync_txn *out,
                           struct err *e);
/* Tells the cache of the new head after the commit and before the answer. */
MUST_USE rc sync_commit(struct sync_txn *t, struct err *e);
void sync_abort(struct sync_txn *t); /* does nothing after a commit; for SCOPED */
static inline void sync_abort_scoped(struct sync_txn *t)
{
    sync_abort(t);
}

/* The head for a read: cache, else store (and fills the cache). The fence is checked. *out lives in the request's arena. */
MUST_USE rc sync_head(struct request *rq, struct head *out, struct err *e);
/* The same from memory alone, for warm functions too. false: not there, or the fence says no (the way over the store
 * tells why). */
bool sync_head_cached(struct request *rq, struct head *out);
/* The same for workers. At most once a second it asks behind that memory too (Redis): what is kept in memory counts only while the process is
 * heard of there, and where users only read and write single items nobody else would ask. */
bool sync_head_known(struct request *rq, struct head *out);
/* Whether the store still has it so: what was read in between, in single statements, then belongs to it, since no write leaves the head
 * as it is. As good as a transaction that held both, at half of its statements, and where the head was cached without any in front. */
bool sync_head_stands(struct request *rq, const struct head *h);

#endif
