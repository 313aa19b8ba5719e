/* The era of a cache: one 64-bit word that all processes of a node share, so that any of them can make everything cached
 * so far unreachable for all, at once and without asking the cache. Lock-free; any thread.
 *
 * The word: the upper half is a hash of the run of the cache server it belongs to, the lower half counts. It lies in a page of shared
 * memory (/dev/shm/heddle-era-<euid>-<scope>) that outlives the processes and ends with the machine. A page has a random
 * name of its own, which is part of every key. */
#ifndef HEDDLE_CACHE_ERA_H
#define HEDDLE_CACHE_ERA_H

#include "common/base/clock.h"
#include "common/base/err.h"

struct era;

/* scope NULL: not shared with other processes (a cache in memory). RC_BAD_INPUT: the page belongs to somebody else or is
 * damaged; RC_BROKEN: no shared memory. */
MUST_USE rc era_open(const char *scope, const struct clock *clock, struct era **out, struct err *e);
void era_close(struct era *era);

/* The word, and the name of the page it stands in (out_page may be NULL). */
uint64_t era_now(const struct era *era, uint64_t *out_page);

/* Begins a new one. */
void era_trip(struct era *era);

/* A connection met this run of the server: if the era belongs to another run, a new one begins. */
void era_meet(struct era *era, const char *run);
/* Whether `word` belongs to that run. A connection to another one is out of date: somebody met a newer server. */
bool era_is_of(uint64_t word, const char *run);

/* Looks, at most once a second, whether the page was removed from under us (systemd's RemoveIPC does that) and opens the
 * one that others find now. */
void era_refresh(struct era *era);

/* Removes the page's name: for tests. */
void era_unlink(const char *scope);

#endif
