/* Maintenance: the operator takes a node out of service for a while, and its users are told. It is a note in the store, so that it holds
 * for all processes of the node and after a restart: whoever was asked acts at once, the other processes within MAINTENANCE_POLL_MS.
 * A store that does not answer leaves it as it was. Protocol: docs/internal-api.md, "Maintenance". */
#ifndef HEDDLE_NODE_MAINTENANCE_H
#define HEDDLE_NODE_MAINTENANCE_H

#include "node/front.h"
#include "node/store/store.h"

#define MAINTENANCE_POLL_MS  1000
#define MAINTENANCE_TEXT_MAX 200
#define MAINTENANCE_WAIT_MAX 86400

struct maintenance;

/* shared: other processes may change it. Reads what holds now. RC_AWAY, RC_BROKEN from the store. */
MUST_USE rc maintenance_start(struct store *store, struct front *front, bool shared, struct maintenance **out,
                              struct err *e);
void maintenance_stop(struct maintenance *m); /* joins; NULL is fine */

/* words NULL: off. RC_BAD_INPUT: a text that is too long or no printable ASCII, a time out of range. */
MUST_USE rc maintenance_set(struct maintenance *m, struct store_session *ss,
                            const struct maintenance_words *words, struct err *e);
/* false: off. Views in the arena. */
bool maintenance_now(struct maintenance *m, struct arena *a, struct maintenance_words *out);

#endif
