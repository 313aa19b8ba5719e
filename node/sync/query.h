/* URL parameters of collections, in both protocols, into the store's query. What they hold lives as long as the request. */
#ifndef HEDDLE_SYNC_QUERY_H
#define HEDDLE_SYNC_QUERY_H

#include "common/web/request.h"
#include "node/store/store.h"

#define QUERY_IDS_MAX        100  /* Storage API 1.5, "Fixed limits" */
#define QUERY_LEGACY_IDS_MAX 1000 /* 1.1 names no limit; clients send 50 to 100 */

struct listing {
    struct item_query q; /* all but coll */
    bool full;           /* objects instead of ids */
};

/* GET of a 1.5 collection. RC_BAD_INPUT: a parameter that is known and malformed. Unknown ones are ignored. */
MUST_USE rc listing_read(const struct request *rq, struct listing *out, struct err *e);

/* GET and DELETE of a 1.1 collection. *out_selects (may be NULL): a parameter chooses among the items, so a DELETE is not one of
 * the whole collection. */
MUST_USE rc listing_read_legacy(const struct request *rq, struct listing *out, bool *out_selects,
                                struct err *e);

/* `ids` alone, for DELETE of a 1.5 collection; out->has_ids tells whether it was there. RC_BAD_INPUT: empty, too many, an
 * illegal id: an empty list must never come to mean "all". */
MUST_USE rc query_ids_read(const struct request *rq, struct item_query *out, struct err *e);

/* Batch parameters of a POST. Protocol: Storage API 1.5, "Batch upload". */
enum batch_step {
    BATCH_NONE, /* a plain POST, also `batch=true&commit=true` */
    BATCH_START,
    BATCH_APPEND,
    BATCH_COMMIT
};
struct batch_wish {
    enum batch_step step;
    view id; /* of APPEND and COMMIT: BATCH_ID_TEXT bytes of base64url */
};
/* on: the node offers batches; without, `batch=true` and `commit` are ignored and an id is unknown. RC_BAD_INPUT. */
MUST_USE rc batch_wish_read(const struct request *rq, bool on, struct batch_wish *out, struct err *e);

#endif
