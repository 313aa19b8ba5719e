/* A picture of the cluster for planning: nodes and what was decided about them, who lives where, how much each has. */
#ifndef HEDDLE_ADMIN_SURVEY_H
#define HEDDLE_ADMIN_SURVEY_H

#include <jansson.h>

#include "admin/ask.h"
#include "admin/run/plan.h"

struct survey {
    struct plan_input in;
    struct plan_node *nodes;    /* in.nodes: entries in the order of names */
    struct plan_user *users;    /* in.users: in the order of uids */
    json_t *entries, *accounts; /* whose texts the views borrow */
    json_t *notes;              /* texts: what was left out, and why */
    bool *answers;              /* of each node */
};

struct survey_wish {
    bool heads;    /* bytes (and requests) of each user, from the nodes */
    bool requests; /* share a node's requests among those who sync */
    view must;     /* this node must answer; VIEW_NONE: none */
};

/* *out: zeroed. A node that does not answer is fixed and not open, and there is a note of it; RC_AWAY if it is the one that must. */
MUST_USE rc survey_take(struct ask *a, const struct survey_wish *w, struct survey *out, struct err *e);
void survey_done(struct survey *s);
static inline void survey_done_scoped(struct survey *s)
{
    survey_done(s);
}

/* Index; PLAN_NOWHERE: there is none. */
size_t survey_node(const struct survey *s, view name);
size_t survey_user(const struct survey *s, int64_t uid);

#endif
