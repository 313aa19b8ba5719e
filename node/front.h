/* What happens to a request whoever it is from: clients that are refused, the node's state, back-off, CORS. The mount's `before` and
 * `decorate`; both run on io threads and look only at memory.
 *
 * The settings may change while requests run (SIGHUP): a change makes a new struct and swaps one pointer. Old ones stay until the
 * end, as somebody may still read them; there is one for each reload.
 *
 * Protocol: Storage API 1.1, "Node states"; Storage API 1.5, "Response headers" (back-off) and "Operations endpoints and CORS". */
#ifndef HEDDLE_NODE_FRONT_H
#define HEDDLE_NODE_FRONT_H

#include "common/web/request.h"
#include "node/node.h"

struct front;

/* RC_BAD_INPUT: node.state is none of the words. */
MUST_USE rc front_new(const struct node_conf *c, struct front **out, struct err *e);
void front_free(struct front *f);
/* Follows a reload; on RC_BAD_INPUT the settings stay. One thread at a time. */
MUST_USE rc front_change(struct front *f, const struct node_conf *c, struct err *e);

/* What users of a node under maintenance are told. */
struct maintenance_words {
    view text; /* X-Weave-Alert; "": none */
    unsigned retry_after_s;
};
/* NULL: over. The heartbeat stays good: a balancer would answer with a page of its own, which tells clients nothing. One thread at a time. */
void front_maintenance(struct front *f, const struct maintenance_words *w);

/* What the directory has decided, while it runs: down refuses all as node.state = down does. Any thread. */
void front_down(struct front *f, bool down);

/* false: answered. */
bool front_before(const struct front *f, struct request *rq);
void front_decorate(const struct front *f, struct request *rq);
/* For the heartbeat: false in the states that refuse all. */
bool front_serves(const struct front *f);

#endif
