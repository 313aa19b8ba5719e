/* Whether those who live here by our own account still do. A node may have been started from an old copy of its database, where users
 * who have left since are ACTIVE. So after each start the directory is asked about every head that serves: about all of them in the
 * background, page by page, and about a user who comes before his turn at once, before he is served. Who has left becomes GONE; of whom no
 * account knows any more (deleted, or his number replaced) the tokens are void, and his data are left to whoever erases.
 *
 *     strict   until a directory has answered, a user not yet confirmed gets 503: a late sync costs nothing, an old answer can cost him data
 *     lenient  he is served all the same, and the log says so
 *
 * Once all are confirmed it costs a request one read of a flag. Protocol: docs/internal-api.md, "After a start". */
#ifndef HEDDLE_NODE_CONFIRM_H
#define HEDDLE_NODE_CONFIRM_H

#include "common/base/json.h"
#include "node/sync/sync.h"

#define CONFIRM_PAGE 1000 /* heads in one question; what the directory takes at most */

struct confirm_options {
    struct store *store;
    struct cache *cache;
    bool lenient;
    /* Brings {"heads":[[uid,epoch],…]} before a directory and gives its {"left":[[uid,epoch],…],"nobody":[uid,…],"until":s}, the caller's.
     * Blocks; from any thread. RC_AWAY: none knows. */
    rc (*owners)(void *arg, view heads, json_t **out, struct err *e);
    void *arg;
    /* Whose tokens are void until then, in seconds, from when this returns on; before he counts as confirmed. From any thread. */
    void (*nobody)(void *arg, int64_t uid, int64_t until_s);
    void *nobody_arg;
};

struct confirm;

/* Starts the thread. Options but for what they point at are copied. */
MUST_USE rc confirm_start(const struct confirm_options *o, struct confirm **out, struct err *e);
void confirm_stop(struct confirm *c); /* joins; NULL is fine */

/* From memory alone, for io threads. NULL: nobody needs to be confirmed. */
bool confirm_knows(struct confirm *c, int64_t uid);
/* On a worker: asks about him now. RC_AWAY: strict, and no directory answered, or one that knows less than we do. */
MUST_USE rc confirm_user(struct confirm *c, const struct sync_worker *w, int64_t uid, struct arena *a,
                         struct err *e);

/* For status. */
struct confirm_progress {
    bool done;
    uint64_t asked, left; /* heads that a directory was asked about; of these, gone */
    uint64_t doubtful;    /* heads of a higher epoch than the directory knows: is it an old copy itself? */
};
void confirm_progress(struct confirm *c, struct confirm_progress *out); /* NULL: done */
void confirm_await(struct confirm *c); /* for tests: returns when all are confirmed */

#endif
