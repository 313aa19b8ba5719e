/* Calls that may be repeated, with patience: what moving and settling are made of. Thin over admin/ask.h. */
#ifndef HEDDLE_ADMIN_REACH_H
#define HEDDLE_ADMIN_REACH_H

#include "admin/ask.h"
#include "common/base/clock.h"
#include "common/base/json.h"

/* One thread's. */
struct reach {
    struct ask *ask;
    const struct clock *clock;
    int64_t patience_ms; /* how long a call is tried again while nobody answers or is too busy */
};

/* A call. Paths are below /internal/v1/; body VIEW_NONE: none. */
struct reach_call {
    const char *method;
    const char *path;
    view body;
};

/* As ask_directory and ask_node. RC_AWAY also where ask says RC_UNSURE: whoever calls these looks, or repeats. */
MUST_USE rc reach_directory(struct reach *r, const struct reach_call *c, struct answer *out, struct err *e);
MUST_USE rc reach_node(struct reach *r, view node, const struct reach_call *c, struct answer *out,
                       struct err *e);
/* The same, for an answer that is one object: json_decref. */
MUST_USE rc reach_directory_object(struct reach *r, const struct reach_call *c, json_t **out, struct err *e);
MUST_USE rc reach_node_object(struct reach *r, view node, const struct reach_call *c, json_t **out,
                              struct err *e);
/* The path and query that such a call has on the wire: what page sums are made of. */
void reach_target(struct buf *out, const char *path);

#endif
