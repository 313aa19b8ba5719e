/* Which node gets a new user. Pure; any thread. Protocol: Token server, "Node assignment" (5.5). */
#ifndef HEDDLE_DIRECTORY_ASSIGN_H
#define HEDDLE_DIRECTORY_ASSIGN_H

#include "directory/backend/backend.h"

struct assign_node {
    view name;
    enum node_state state;
    int64_t capacity; /* users at most                       */
    int64_t load;     /* users there now                     */
    int64_t seats;    /* how many new ones it takes for now  */
};

/* The open node with seats that is filled least: load/capacity, then the lower load, then the name. -1: none. */
int assign_choose(const struct assign_node *nodes, size_t n);

#endif
