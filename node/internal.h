/* The internal routes of a node: what the admin may ask and do. One table for each subject, joined by internal.c; a new subject is a
 * file internal_*.c (or moves*.c), its table below, and a line in internal.c. All handlers run on workers of the internal listener:
 * rq->app is the struct node, rq->worker a struct node_worker with a store session and a cache handle of its own. Bodies: the functions
 * of common/web/internal.h. Protocol: docs/internal-api.md, "Admin to node". */
#ifndef HEDDLE_NODE_INTERNAL_H
#define HEDDLE_NODE_INTERNAL_H

#include "common/web/internal.h"
#include "node/node.h"

/* What every row of these tables has; who: "admin", "node", "admin node". */
#define INTERNAL_FOR(who)                                                                                    \
    .auth = AUTH_INTERNAL, .dialect = DIALECT_INTERNAL, .flags = ROUTE_INTERNAL, .callers = (who)

struct route_table {
    const struct route *routes;
    size_t n;
};

extern const struct route_table status_routes; /* internal_status.c */
extern const struct route_table upkeep_routes; /* internal_upkeep.c */
extern const struct route_table move_routes;   /* moves.c */

/* ---- parameters: what the patterns may name ---- */

/* {uid}: a decimal number; {word}: small letters and "_" */
extern const struct param_kind node_internal_kinds[];
extern const size_t node_internal_kinds_n;
int64_t node_internal_uid(const struct request *rq); /* the first parameter, which must be {uid} */

/* ---- life; for node.c ---- */

struct node_internal;

/* keys: internal.keys; NULL or empty: nobody is admitted. RC_BAD_INPUT as callers_new. */
MUST_USE rc node_internal_open(const struct conf_list *keys, const struct clock *clock,
                               struct node_internal **out, struct err *e);
void node_internal_close(struct node_internal *x); /* NULL is fine */
rc node_internal_admit(const struct node_internal *x, struct request *rq, struct err *e);
const struct route_table *node_internal_all_routes(const struct node_internal *x);

#endif
