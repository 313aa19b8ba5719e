/* The URLs that a node goes by: what clients sign, what tokens may name, and its name in the directory. */
#ifndef HEDDLE_NODE_URLS_H
#define HEDDLE_NODE_URLS_H

#include "node/node.h"

/* Fills public_url, own_urls (ours, then the aliases, each with and without its usual port) and own_name from the settings; texts lie in the
 * arena. RC_BAD_INPUT: says which is no URL. */
MUST_USE rc node_urls(struct node *n, const struct node_options *o, struct arena *a, struct err *e);

#endif
