/* "Who is this, and does he live here?", asked of the directory: over HTTP in a cluster (authority_remote), by a function call in
 * the one box. Answers about passwords are remembered for a while in this process, under an HMAC of name and password, never
 * the password itself; refusals are not remembered. */
#ifndef HEDDLE_NODE_AUTHORITY_H
#define HEDDLE_NODE_AUTHORITY_H

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/view.h"

struct verdict {
    int64_t uid, epoch;
    char node[256]; /* the owner's own URL; differs from ours: 401 */
};

/* What asks. verify blocks; called by worker threads, thread-safe. RC_DENIED: unknown, wrong, disabled, alike.
 * RC_AWAY: the directory does not answer. */
struct authority_driver {
    rc (*verify)(void *arg, view name, view password, struct verdict *out, struct err *e);
    void *arg;
};

struct authority;
MUST_USE rc authority_new(const struct authority_driver *d, const struct clock *clock, int64_t keep_s,
                          size_t capacity, struct authority **out, struct err *e);
void authority_free(struct authority *a);

/* From memory alone, for the io thread. false: not known, ask authority_verify on a worker. */
bool authority_known(struct authority *a, view name, view password, struct verdict *out);
MUST_USE rc authority_verify(struct authority *a, view name, view password, struct verdict *out,
                             struct err *e);

/* A password changed, a user was moved, disabled or deleted. A verdict being fetched meanwhile is not remembered either. */
void authority_forget(struct authority *a, view name);
void authority_forget_all(struct authority *a);

/* Tokens of that uid are void until then, although they have not expired (disabled, deleted, client state replaced). */
void authority_refuse(struct authority *a, int64_t uid, int64_t until_s);
void authority_allow(struct authority *a, int64_t uid);
bool authority_refused(struct authority *a, int64_t uid);

#endif
