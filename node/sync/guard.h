/* What stands between a request and its action: preconditions, announced sizes, the quota, damaged keys. */
#ifndef HEDDLE_SYNC_GUARD_H
#define HEDDLE_SYNC_GUARD_H

#include "node/sync/sync.h"

/* ---- preconditions ---- */

struct precondition {
    bool has_modified, has_unmodified;
    stamp modified_since, unmodified_since;
};

/* Reads both headers by the rules of the route's dialect. RC_BAD_INPUT: not a time; in 1.5 also both at once, or one twice.
 * 1.1 knows X-If-Unmodified-Since on writes alone.
 * Protocol: Storage API 1.5, "Preconditions"; 1.1, "Preconditions, concurrency". */
MUST_USE rc precondition_read(const struct request *rq, struct precondition *out, struct err *e);

/* Compares with the time of the target (0: it does not exist). RC_NOT_MODIFIED (GET and HEAD), RC_MODIFIED; the reply then
 * carries X-Last-Modified. */
MUST_USE rc precondition_check(struct request *rq, const struct precondition *p, stamp target, struct err *e);

/* ---- sizes that a POST announces (1.5) ---- */

/* X-Weave-Records, -Bytes, -Total-Records, -Total-Bytes. RC_BAD_INPUT with 1: not an unsigned integer; with 17: too much. */
MUST_USE rc announced_sizes_ok(const struct request *rq, const struct sync_limits *l, int64_t max_post_bytes,
                               struct err *e);

/* ---- quota ---- */

/* The limit in force for that user; false: none. */
bool quota_of(const struct sync_limits *l, const struct head *h, int64_t *out_bytes);

/* 1.5, before a write: used + pending + adding must stay below the quota. Adds X-Weave-Quota-Remaining (what is left after it)
 * when that is below 1 MiB. RC_OVER_QUOTA. The exact count is asked of the store only where the bound in the head is close.
 * batches: what waits in open batches counts as well. */
MUST_USE rc quota_admits(struct sync_txn *t, uint64_t adding_bytes, bool batches, struct err *e);

/* 1.1: refuses when nothing is left before the write; the last one may overshoot. The header tells what was left before. */
MUST_USE rc quota_admits_legacy(struct sync_txn *t, struct err *e);

/* Bytes as KB, exactly: 216 is "0.2109375", 0 is "0.0". */
void put_kb(struct buf *b, int64_t bytes);
/* Rounded to two decimals, half to even: 200 is "0.2". */
void put_kb_rounded(struct buf *b, int64_t bytes);

/* ---- damaged keys ---- */

/* A payload that was encrypted with an all-zero IV: "IV": "AAAAAAAAAAAAAAAAAAAAAA==". Collection `crypto` of 1.5 refuses it.
 * Protocol: Storage API 1.5, "Damaged crypto guard". */
bool payload_has_zero_iv(view payload);

#endif
