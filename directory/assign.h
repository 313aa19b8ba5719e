/* Which node gets a new user. Pure; any thread. Protocol: Token server, "Node assignment" (5.5).
 *
 * Each node that takes users has a weight, and gets its part of the new users to within one: not by lot, but by credit, which grows with
 * each user by the node's part of all weights and is paid back, a whole user, when it is chosen.
 *
 *     weight = free seats * ramp * ease
 *
 *     free   its seats, at most what its capacity leaves above the users that it counts itself, at least a tenth of the seats
 *     ramp   for ASSIGN_STEPS steps after its opening 1/10, 2/10 … 10/10: many at once would find an empty cache and a slow disk
 *     ease   by how many requests wait there: see assign_ease
 *
 * A weight is above 0 wherever there is a seat: nobody is refused while any node that takes users has one. */
#ifndef HEDDLE_DIRECTORY_ASSIGN_H
#define HEDDLE_DIRECTORY_ASSIGN_H

#include "directory/backend/backend.h"

#define ASSIGN_SILENCE_MS 60000 /* no new users for a node that was not heard for so long */
#define ASSIGN_STEPS      10

/* Why a node gets nobody; the first that holds. */
enum assign_no {
    ASSIGN_TAKES,
    ASSIGN_CLOSED,
    ASSIGN_DRAINING,
    ASSIGN_DOWN,
    ASSIGN_SILENT, /* its pulse is missing */
    ASSIGN_POOL,   /* it is not of his pool */
    ASSIGN_FULL    /* no seats */
};
const char *assign_no_text(enum assign_no no); /* "", "closed", … */

struct assign_node {
    view name;
    enum node_state state;
    int64_t capacity; /* users at most */
    int64_t seats;    /* how many new ones it takes for now */
    int64_t age_ms;   /* since it was opened */
    bool silent;      /* not heard for ASSIGN_SILENCE_MS */
    bool other_pool;  /* it is not of the pool that is asked for */
    int64_t users;    /* as it counts them itself; below 0: unknown */
    int64_t queue;    /* requests that wait there; below 0: unknown */
    int64_t credit;   /* kept from choice to choice, at first 0; see assign_choose */
};

/* Parts of a thousand. */
int assign_ramp(int64_t age_ms, int64_t ramp_ms); /* ramp_ms 0: there is none */
int assign_ease(int64_t queue);
/* 0 exactly if the node gets nobody; then *out_why (may be NULL) tells. */
double assign_weight(const struct assign_node *n, int64_t ramp_ms, enum assign_no *out_why);

/* The node that is due. -1: none takes anybody. Moves the credits. */
int assign_choose(struct assign_node *nodes, size_t n, int64_t ramp_ms);
/* The one that was chosen did not get the user: as if it had not been asked. */
void assign_refund(struct assign_node *node);

#endif
