/* A step of the fence as the whole node sees it: what the cache holds of that user's head goes with it. */
#ifndef HEDDLE_NODE_STEP_H
#define HEDDLE_NODE_STEP_H

#include "node/store/move.h"
#include "node/sync/sync.h"

/* store_head_step (move.h) with the rule of the cache around it. */
MUST_USE rc node_step(const struct sync_worker *w, const struct move *m, enum head_step step,
                      const struct manifest_sum *sum, struct arena *a, struct head_info *out, struct err *e);

#endif
