/* Questions about passwords that nobody waits for: a thread of its own asks them, one after the other.
 * A name and a password stay in memory until they were asked about, and are wiped then; 64 wait at most. */
#ifndef HEDDLE_NODE_AHEAD_H
#define HEDDLE_NODE_AHEAD_H

#include "common/base/err.h"
#include "common/base/view.h"

struct ahead;

/* What the thread does with each. */
typedef void ahead_asker(void *arg, view name, view password);

/* RC_BROKEN: no thread. */
MUST_USE rc ahead_start(ahead_asker *ask, void *arg, struct ahead **out, struct err *e);
/* Any thread; does not block. What has no room is dropped. */
void ahead_add(struct ahead *h, view name, view password);
/* Waits for the question that is under way; those that wait are dropped. h: or NULL. */
void ahead_stop(struct ahead *h);

#endif
