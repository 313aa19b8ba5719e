/* The thread that removes what nobody can see any more: expired items, abandoned batches, what users left behind who moved away. It works in small portions with a breath
 * between them, so that writers wait for it no longer than for each other, and stops at once. */
#ifndef HEDDLE_NODE_SWEEP_H
#define HEDDLE_NODE_SWEEP_H

#include "common/base/clock.h"
#include "node/store/move.h"

struct sweep_options {
    struct store *store;
    const struct clock *clock;
    int64_t every_s; /* 0: never */
    int64_t grace_s; /* of expired items */
    int64_t batch_life_s;
    int64_t gone_s; /* since a user left, until his data go */
};

struct sweep;

/* Options are copied; what they name is borrowed until sweep_stop. RC_BROKEN: no thread. */
MUST_USE rc sweep_start(const struct sweep_options *o, struct sweep **out, struct err *e);
void sweep_stop(struct sweep *s); /* joins; NULL is fine */
/* Begins a round now. For tests: sweep_rounds counts the finished ones. */
void sweep_wake(struct sweep *s);
uint64_t sweep_rounds(struct sweep *s);

#endif
