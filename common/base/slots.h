/* Hash slots: which node a new user is given by preference, so that a balancer can find nearly everybody with a table of 4,096 rows
 * and keeps single rows only for those who live elsewhere. Pure; any thread.
 *
 * Three programs must come to the same number: `assign` in the directory, HAProxy and nginx. So the functions are made of what both
 * balancers can compute in their configuration (lb-rules/README.md, "Slots"):
 *   1.5   (uid mod 10000) mod 4096: HAProxy's converter mod(); in nginx a table of the last four digits
 *   1.1   the low four bits of each of the first three bytes of the name: HAProxy's hex, hex2i, and(); in nginx three tables of one
 *         character. Upper and lower case are the same. Names made of mail addresses (base32) spread as 2,451 equal slots would
 * Which node a slot belongs to is weighted rendezvous hashing: a new node takes its share of the slots evenly from all others, and
 * no slot goes from one old node to another. */
#ifndef HEDDLE_BASE_SLOTS_H
#define HEDDLE_BASE_SLOTS_H

#include "common/base/view.h"

#define SLOTS 4096

unsigned slot_of_uid(uint64_t uid);
unsigned slot_of_name(view name); /* of a 1.1 account; "" is 0 */

/* A node that may own slots. */
struct slot_node {
    view name;
    int64_t weight; /* its capacity; 0 or less: it owns none */
};

/* Index of the node that owns the slot, whatever the order of the nodes; -1: none has a weight. */
int slot_owner(unsigned slot, const struct slot_node *nodes, size_t n);

#endif
