/* Pools: parts of the nodes that are for parts of the users. A node belongs to pools (a list in its entry), a rule of the configuration
 * sends users to pools, by their mail domain or a group. Pure; any thread. */
#ifndef HEDDLE_DIRECTORY_POOLS_H
#define HEDDLE_DIRECTORY_POOLS_H

#include "common/base/conf.h"

#define POOL_DEFAULT "default" /* of nodes without pools, and of users without a rule */

/* "mail DOMAIN POOL …" or "group NAME POOL …"; pools are tried in that order. Borrowed from the configuration. */
struct pool_rule {
    bool by_group;
    view key, pools;
    view text; /* of the whole rule, for people */
};
/* RC_BAD_INPUT: a sentence that names the key assign.pools. */
MUST_USE rc pool_rule_read(const char *text, struct pool_rule *out, struct err *e);

/* Does a rule by mail take this account? Without an address the part of its name behind @ counts, which accounts that came with access
 * tokens have. Any case of letters. */
bool pool_rule_takes_mail(const struct pool_rule *r, view name, view mail);
/* The next word of a list of pools; false: no more. */
bool pool_next(view *list, view *out);
/* Is a node with this list of the pool? */
bool pool_has(view list, view pool);

#endif
