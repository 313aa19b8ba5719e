/* What the parts of the cache's conformance suite share. */
#ifndef HEDDLE_CONFORMANCE_CACHE_H
#define HEDDLE_CONFORMANCE_CACHE_H

#include "node/cache/cache.h"

/* driver: "memory", "redis" or "none"; socket: of a Redis that the suite may flush and maltreat, NULL without; heads: processes share
 * heads in memory, too. */
int suite_run(const char *driver, const char *socket, bool heads);

/* Processes and threads read and write through one Redis for so long, while somebody outside does his worst to it. Prints what
 * happened; 0: no answer was stale. */
int storm_run(const char *socket, unsigned seconds, unsigned seed);

/* Does what standard input says, line by line (talk.c). */
int talk_run(const char *socket, const char *scope);

/* A configuration for tests, without heads in shared memory; driver, socket and scope are borrowed. */
struct cache_conf conformance_conf(const char *driver, const char *socket, const char *scope);

#endif
