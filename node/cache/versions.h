/* Which version of a user's head is the present one: a counter in memory that all processes of a node share, so that any of them can
 * make what the others remember of a user worthless, at once and without asking anybody. Lock-free; any thread.
 *
 * A version is a place of that memory (page), how often processes have begun to use it (start), and the user's counter. Users share
 * counters when there are more of them than counters: one's write then makes the other's head be read again, no more.
 *
 * The page (/dev/shm/heddle-cache-<euid>-<scope>, 2 MiB, reserved when it is made) outlives the processes and ends with the machine;
 * its name is random, so versions of another page, or of before a reboot, equal none of this one. */
#ifndef HEDDLE_CACHE_VERSIONS_H
#define HEDDLE_CACHE_VERSIONS_H

#include "common/base/clock.h"
#include "common/base/err.h"

struct versions;

struct version {
    uint64_t page, start, count;
};

/* scope NULL: not shared with other processes (a cache in memory). Opening begins a new `start`: whatever a process that died left
 * behind is forgotten. RC_BAD_INPUT: the page belongs to somebody else or is damaged; RC_BROKEN: no shared memory. */
MUST_USE rc versions_open(const char *scope, const struct clock *clock, struct versions **out, struct err *e);
void versions_close(struct versions *v);

/* The present one. false: the page was removed and there is no other: nobody can know. */
bool version_now(const struct versions *v, int64_t uid, struct version *out);

/* Begins a new one. true: none has come in between since `before`, and *out is what follows it. */
bool version_next(struct versions *v, int64_t uid, const struct version *before, struct version *out);

bool version_eq(const struct version *a, const struct version *b);

/* Looks, at most once a second, whether the page was removed from under us (systemd's RemoveIPC does that) and opens the
 * one that others find now. */
void versions_refresh(struct versions *v);

/* Removes the page's name: for tests. */
void versions_unlink(const char *scope);

#endif
