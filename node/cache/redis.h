/* Values by user in Redis, shared by all processes of a node and kept when they start anew. Each handle has a connection of its own
 * and never waits for another. What is not the answer to what was asked counts as "not there"; a connection that failed once is closed,
 * so that no late answer is taken for a later question.
 *
 * All processes must run on one machine, since their versions lie in its memory (versions.h). So the machine claims its scope in
 * Redis, under its page's id, and renews that while it is used; a machine that finds another's claim has no cache. */
#ifndef HEDDLE_CACHE_REDIS_H
#define HEDDLE_CACHE_REDIS_H

#include "node/cache/cache.h"

struct redis;        /* one for the process */
struct redis_handle; /* one for each thread */

/* RC_BAD_INPUT: another machine uses the scope. A Redis that does not answer is no error. */
MUST_USE rc redis_open(const struct cache_conf *c, const struct clock *clock, uint64_t page,
                       struct redis **out, struct err *e);
void redis_close(struct redis *r); /* after all handles */
struct redis_handle *redis_handle_open(struct redis *r);
void redis_handle_close(struct redis_handle *h);

/* Whether the scope is ours for now, as far as is known; asks nobody. */
bool redis_claimed(const struct redis *r, uint64_t page);
/* Connects where there is no connection, at most once a second, and renews the claim when that is due. false: no use asking. */
bool redis_ready(struct redis_handle *h, uint64_t page);

bool redis_connected(const struct redis_handle *h);

bool redis_get(struct redis_handle *h, int64_t uid, struct buf *out); /* appends; false: nothing usable */
void redis_put(struct redis_handle *h, int64_t uid, view value, unsigned ttl_s); /* as well as can be */

#endif
