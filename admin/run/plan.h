/* Which users move where. Pure: a picture of the cluster goes in, a list of moves comes out; the same picture gives the same list.
 *
 *   rebalance   open nodes come to their share of the load; a share is the node's part of all weights (capacities)
 *   drain       all users of one node go to open nodes, so that those keep to their shares
 *   move        users that were named go to a node that was named
 *
 * Load is counted in users, in bytes, or in requests. A user may only go where one of the pools of his node is, and nobody goes to a node
 * that is full, is not open, or does not answer. Users on their way already are left alone. */
#ifndef HEDDLE_ADMIN_PLAN_H
#define HEDDLE_ADMIN_PLAN_H

#include "common/base/err.h"
#include "common/base/view.h"

enum plan_by { PLAN_BY_USERS, PLAN_BY_BYTES, PLAN_BY_REQUESTS };

struct plan_node {
    view name, pools; /* pools: words parted by blanks or commas; none: "default" */
    int64_t weight;   /* its capacity: users at most, and its part of all */
    bool open;        /* decided to be, and answers: takes users */
    bool fixed;       /* what lives there stays: closed, draining, or silent */
    /* filled by the planner */
    int64_t users_before, users_after, bytes_before, bytes_after;
    double load_before, load_after, target; /* in units of `by` */
};

struct plan_user {
    view name;
    int64_t uid, epoch;
    size_t node; /* index; PLAN_NOWHERE: lives nowhere */
    int64_t bytes;
    double requests; /* a second */
    bool on_his_way; /* has an intent */
};
#define PLAN_NOWHERE ((size_t)-1)

struct plan_move {
    size_t user, from, to;
    char reason[120];
};

/* Somebody who should move and cannot. */
struct plan_left {
    size_t user;
    const char *why; /* constant */
};

struct plan_rules {
    enum plan_by by;
    double threshold; /* rebalance: nodes within this part (0.02) of their share are left alone */
};

struct plan_input {
    struct plan_node *nodes;
    size_t n_nodes;
    const struct plan_user *users;
    size_t n_users;
};

struct plan {
    struct plan_move *moves;
    size_t n_moves;
    struct plan_left *left;
    size_t n_left;
    size_t skipped; /* moves that the threshold left out: with threshold 0 they would be there */
};

void plan_done(struct plan *p);
static inline void plan_done_scoped(struct plan *p)
{
    plan_done(p);
}

/* *out: zeroed. Fills the nodes' figures too. */
void plan_rebalance(const struct plan_input *in, const struct plan_rules *rules, struct plan *out);
void plan_drain(const struct plan_input *in, const struct plan_rules *rules, size_t node, struct plan *out);
/* users: indices. */
void plan_move(const struct plan_input *in, const struct plan_rules *rules, const size_t *users, size_t n,
               size_t to, struct plan *out);

/* Load over what the share of a node is; 1 where both are nothing. */
double plan_ratio(double load, double target);
/* Do two lists of pools have one in common? */
bool plan_pools_meet(view a, view b);
const char *plan_by_name(enum plan_by by);
bool plan_by_parse(view text, enum plan_by *out);

#endif
