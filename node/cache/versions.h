/* Which version of a user's head is the present one: a counter in memory that all processes of a node share, so that any of them can
 * make what the others remember of a user worthless, at once and without asking anybody. Lock-free; any thread.
 *
 * A version is a place of that memory (page), how often processes have begun to use it (start), and the user's counter. Users share
 * counters when there are more of them than counters: one's write then makes the other's head be read again, no more.
 *
 * While somebody changes a head there is no present version: nobody knows whether the change is visible already. What a process that
 * died had begun to change is ended by the others within a second or two, or by the next that begins.
 *
 * The page (/dev/shm/heddle-cache-<euid>-<scope>, 2.1 MiB, reserved when it is made) outlives the processes and ends with the machine;
 * its name is random, so versions of another page, or of before a reboot, equal none of this one. */
#ifndef HEDDLE_CACHE_VERSIONS_H
#define HEDDLE_CACHE_VERSIONS_H

#include "common/base/clock.h"
#include "common/base/err.h"

struct versions;

struct version {
    uint64_t page, start, count;
};

struct version_change {
    struct version from; /* the version before it */
    uint32_t note;
};

/* scope NULL: not shared with other processes (a cache in memory). Opening begins a new `start`: whatever was remembered under
 * earlier ones is worthless. RC_BAD_INPUT: the page belongs to somebody else or is damaged; RC_BROKEN: no shared memory. */
MUST_USE rc versions_open(const char *scope, const struct clock *clock, struct versions **out, struct err *e);
void versions_close(struct versions *v);

/* The present one. false: there is none: the head is being changed, or the page was removed and there is no other. */
bool version_now(const struct versions *v, int64_t uid, struct version *out);

/* A change of the head begins, and ends with version_end, always. */
void version_begin(struct versions *v, int64_t uid, struct version_change *out);
/* true: nobody else changed the head meanwhile, and *out is the version that begins now. */
bool version_end(struct versions *v, int64_t uid, const struct version_change *c, struct version *out);

/* Which page it is now. false: it was removed, and there is no other. */
bool versions_page(const struct versions *v, uint64_t *out);

bool version_eq(const struct version *a, const struct version *b);

/* At most once a second: ends the changes of processes that died, and looks whether the page was removed from under us (systemd's RemoveIPC
 * does that), to open the one that others find now. */
void versions_refresh(struct versions *v);

/* Removes the page's name: for tests. */
void versions_unlink(const char *scope);

#endif
