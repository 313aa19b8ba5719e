/* "Who is this, and does he live here?", asked of the directory: over HTTP in a cluster (remote.h), by a function call in
 * the one box. Answers about passwords are remembered for a while in this process, under an HMAC of name and password, never
 * the password itself (only a question that waits holds one: ahead.h); refusals are not remembered.
 *
 * How long a verdict is trusted, from when it was asked for, follows from who could tell us that it is void (authority_hears):
 *   every directory   its whole life: what changes through them we hear at once
 *   some              5 s: what changes through the silent one we do not hear. Lasts it longer than 5 s, older ones are gone for good
 *   none              the outage's grace: while no directory answers, nobody can change a password through them
 * A verdict whose life is over is asked about again without the password where its giver can tell from something it kept (recheck): in the
 * one box, where hashing each user's password once a minute would cost more than all else.
 * Protocol: docs/internal-api.md, "Verdicts". */
#ifndef HEDDLE_NODE_AUTHORITY_H
#define HEDDLE_NODE_AUTHORITY_H

#include "common/auth/secrets.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/view.h"

struct verdict {
    int64_t uid, epoch;
    char node[256];             /* the owner's own URL; differs from ours: 401 */
    bool marked;                /* whoever gave it can be asked again without the password, by: */
    uint8_t mark[SHA256_BYTES]; /* theirs */
};

/* What asks. verify blocks; called by worker threads, thread-safe. RC_DENIED: unknown, wrong, disabled, alike.
 * RC_AWAY: the directory does not answer. */
struct authority_driver {
    rc (*verify)(void *arg, view name, view password, struct verdict *out, struct err *e);
    /* Whether a verdict that was given still holds, at little cost; NULL: cannot be told. Anything but RC_OK: verify. */
    rc (*recheck)(void *arg, view name, const struct verdict *was, struct verdict *out, struct err *e);
    void *arg;
};

struct authority;
/* Verdicts are trusted for keep_s, and of so many at most: the oldest go. The driver is copied, the clock borrowed. All of it from any thread.
 * RC_BAD_INPUT: no room, or a time below 0. */
MUST_USE rc authority_new(const struct authority_driver *d, const struct clock *clock, int64_t keep_s,
                          size_t capacity, struct authority **out, struct err *e);
void authority_free(struct authority *a);

#define AUTHORITY_UNSURE_S 5 /* life of a verdict while some directories are silent */

/* Which directories tell us what is void. The one box hears all, always: so it is at first. */
enum authority_hears { AUTHORITY_HEARS_ALL, AUTHORITY_HEARS_SOME, AUTHORITY_HEARS_NONE };
void authority_hears(struct authority *a, enum authority_hears what);
/* How old a verdict may be that is trusted while nobody can be asked; at first 0: verdicts die with their life. Before threads. */
void authority_outage_grace(struct authority *a, int64_t grace_s);

/* Whoever is asked about in the last quarter of a verdict's life (authority_known) is verified again meanwhile, by a thread of its own: who
 * comes all the time never waits for the directory. RC_BROKEN: no thread. Before other threads; authority_free ends it. */
MUST_USE rc authority_ask_ahead(struct authority *a, struct err *e);

/* From memory alone, for the io thread. false: not known, ask authority_verify on a worker. */
bool authority_known(struct authority *a, view name, view password, struct verdict *out);
/* Asks, unless it is known by now. While nobody can be asked an older verdict may do, see authority_outage_grace. */
MUST_USE rc authority_verify(struct authority *a, view name, view password, struct verdict *out,
                             struct err *e);

/* A password changed, a user was moved, disabled or deleted. A verdict being fetched meanwhile is not remembered either. */
void authority_forget(struct authority *a, view name);
void authority_forget_all(struct authority *a);
/* The same for who was moved, as his data show before the news are here: a verdict of an earlier epoch is void, one of this epoch stays. */
void authority_forget_before(struct authority *a, view name, int64_t epoch);

/* Tokens of that uid are void until then, although they have not expired (disabled, deleted, client state replaced). */
void authority_refuse(struct authority *a, int64_t uid, int64_t until_s);
void authority_allow(struct authority *a, int64_t uid);
bool authority_refused(struct authority *a, int64_t uid);

#endif
