/* Connections that no session has at the moment. Those of a shard lie in a stack: whoever comes takes the one that was used last, whose
 * statements and pages are still in the processor's caches, so that few are in use while few work. Any thread. */
#ifndef HEDDLE_STORE_POOL_H
#define HEDDLE_STORE_POOL_H

#include "node/store/engine.h"

struct pool;

struct pool *pool_new(unsigned shards);
void pool_free(struct pool *p); /* with the connections in it; takes NULL */

/* Readers' connections are apart. NULL: none lies there. It is the caller's then. */
struct conn *pool_take(struct pool *p, unsigned shard, bool reader);

/* A connection that is whole, outside of a transaction, its statements done. Of a shard only the one on top keeps pages: what others
 * would keep has mostly been written by it since. */
void pool_give(struct pool *p, unsigned shard, bool reader, struct conn *c);

#endif
