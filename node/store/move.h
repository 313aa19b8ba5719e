/* Moving users between nodes: the steps of the fence, and carrying the data. The node's internal API is made of these.
 *
 * A move goes from S, whose owner's epoch is e, to T, who will have e + 1. Every call names the move, and a head remembers the move
 * that brought it into its state: only that move leads on. S and T may run on different engines.
 *
 *     T import_begin    from here on T holds data that nobody may use
 *     pass              S store_manifest -> T store_import_head, store_import_prune -> S store_items_find by ids -> T store_import_items;
 *                       again while it found much, S being used all the while
 *     S freeze          waits for the head's lock: what was acknowledged is in, what comes is refused; open batches are dropped
 *     pass              a short one, over what does not change any more
 *     T seal            if T's manifest has the sum of S's
 *     (flip)            the directory's business: T owns the user with e + 1
 *     T activate, S retire; before the flip it is undone instead: T drop, S thaw
 *
 * Each step is one transaction and can be repeated: one that was done answers as the first time, whoever did it. RC_UNSURE is therefore
 * not given by steps but RC_AWAY: try again. Whoever runs a step drops the cached head of the user, as every writer does.
 * The session must have no transaction open, and must not be a reader where something is written. Failures beside those of store.h are named at each call. */
#ifndef HEDDLE_STORE_MOVE_H
#define HEDDLE_STORE_MOVE_H

#include "common/auth/secrets.h"
#include "node/store/store.h"

#define MOVE_ID_MAX 64

/* ---- steps ---- */

/* STEP_LEAVE belongs to no move and takes an id all the same, which the head remembers. */
enum head_step {
    STEP_FREEZE,       /* S: e     open batches are dropped: the client starts that upload anew */
    STEP_THAW,         /* S: e     a freeze of the same move that comes later is refused */
    STEP_IMPORT_BEGIN, /* T: e + 1 what an earlier stay left behind is kept, the first pass corrects it */
    STEP_SEAL,         /* T: e + 1 RC_CONFLICT where the sums differ */
    STEP_ACTIVATE,     /* T: e + 1 */
    STEP_RETIRE,       /* S: e + 1 the items stay until erase */
    STEP_DROP,         /* T: e     what was imported goes;
                        *          an import_begin of the same move that comes later is refused */
    STEP_ERASE,        /* the data of GONE of that epoch or a lower one go, or of ACTIVE of that epoch, which
                        * becomes GONE: he deleted his account. The row stays for ever, against late credentials */
    STEP_LEAVE         /* S: what the directory has decided, where this store never heard of it (restored from
                        * an old copy): ACTIVE or FROZEN, of whatever move, becomes GONE of that epoch. The
                        * items stay until erase */
};

/* Whether the step is ever legal in that state, or was done already and has nothing left to do. Which epoch and whose move it takes is
 * in the same table (move.c). */
bool head_may(enum head_state from, enum head_step step);

/* "active", …; "none". Never NULL. */
const char *head_state_name(enum head_state state);
const char *head_step_name(enum head_step step);
bool head_step_parse(view name, enum head_step *out);

/* Borrowed for the call. */
struct move {
    int64_t uid;
    view id;       /* 1 … MOVE_ID_MAX bytes */
    int64_t epoch; /* that the head has after the step, see above; > 0 */
};

/* What S's manifest ended with. */
struct manifest_sum {
    uint8_t hash[SHA256_BYTES]; /* of everything but the clock */
    stamp clock;                /* T's must have come to be no earlier */
    stamp base;                 /* of the manifest */
};

struct head_info {
    struct head head; /* colls only from store_head_get */
    view move;        /* VIEW_NONE: none yet */
};

/* RC_CONFLICT: not in this state, of this epoch or for this move; nothing has changed. RC_BAD_INPUT: no move id, no epoch, or no sum
 * for seal (others take NULL). *out (may be NULL) is in the arena, its state what the step led to. */
MUST_USE rc store_head_step(struct store_session *ss, const struct move *m, enum head_step step,
                            const struct manifest_sum *sum, struct arena *a, struct head_info *out,
                            struct err *e);

/* HEAD_NONE where there is no row. */
MUST_USE rc store_head_get(struct store_session *ss, int64_t uid, struct arena *a, struct head_info *out,
                           struct err *e);

/* When a part of an upload that is still open was added last, in ms; 0: none is open. life_s: of a batch. */
MUST_USE rc store_batch_touched(struct store_session *ss, int64_t uid, int64_t life_s, int64_t *out_ms,
                                struct err *e);

/* The data of users who left go when they are GONE since `grace_s`: at most `limit` users, *out_n. Their rows stay for ever. */
MUST_USE rc store_purge_gone(struct store_session *ss, int64_t grace_s, unsigned limit, uint64_t *out_n,
                             struct err *e);

#define HEADS_PAGE_MAX 1000
/* Heads of uids above `after`, by uid, at most `limit` (1 … HEADS_PAGE_MAX); fewer: there are no more. -1: from the beginning. */
MUST_USE rc store_heads_list(struct store_session *ss, int64_t after, unsigned limit, struct arena *a,
                             const struct head_info **out, size_t *out_n, struct err *e);

/* ---- the two ends of a pass ---- */

/* One snapshot. Of a user without a row (empty), of ACTIVE or FROZEN of the move's epoch (frozen by this move), or of IMPORTING and READY
 * of this move. store_items_find gives expired items too. RC_CONFLICT: any other state. */
MUST_USE rc store_export_begin(struct store_session *ss, const struct move *m, struct arena *a,
                               struct store_txn **out, struct err *e);
/* One snapshot of whatever is there, for who compares and carries nothing: no fence, no move. *out_move as in head_info. */
MUST_USE rc store_inspect_begin(struct store_session *ss, int64_t uid, struct arena *a,
                                struct store_txn **out, view *out_move, struct err *e);
/* Of IMPORTING of this move alone, else RC_CONFLICT; the head's lock is held. RC_UNSURE from store_commit: repeat it all, nothing is
 * done twice. */
MUST_USE rc store_import_begin(struct store_session *ss, const struct move *m, struct arena *a,
                               struct store_txn **out, struct err *e);

/* ---- the manifest ---- */

/* {"coll","id","modified","payload","sortindex","expires","parentid","predecessorid"}: members in this order, absent ones left out,
 * times in hundredths of a second, no line break. The same on every engine; SHA-256 of it is the row's hash. */
void move_row_put(struct buf *out, view coll, const struct item *it);

/* Lines of the manifest, without line breaks. `["coll","id","hash"]`, the hash in lower-case hex. */
struct manifest_entry {
    view coll, id;
    uint8_t hash[SHA256_BYTES];
};
void manifest_entry_put(struct buf *out, const struct manifest_entry *m);
/* {"clock","modified","used_bytes","quota_bytes","colls":[["name",stamp],…]}, collections by name. */
void manifest_head_put(struct buf *out, const struct head *h, struct arena *a);

/* Where the manifests, sums and comparisons of this transaction begin to look closely; MANIFEST_ALL, for everything, unless it is called.
 * Items that are not newer than `base` are hashed without their payloads, which spares reading them: whoever changes a payload changes
 * `modified`. Collections that are not newer are left out: whoever changes anything in one gives it a stamp. For who knows that T had all
 * that was there at `base`; both ends must use the same one. */
#define MANIFEST_ALL ((stamp){ -1 })
void store_manifest_base(struct store_txn *tx, stamp base);

/* A place in the order of keys: names by bytes, then ids by bytes. {VIEW(""), VIEW("")} is before the first. */
struct item_key {
    view coll, id;
};

/* false stops. Views are valid during the call; the session is not to be used. */
typedef bool manifest_visitor(const struct manifest_entry *m, void *arg);

/* Entries of all items after that key, expired ones too, in the order of keys, at most `limit` (0: all). Reads some hundred items at a
 * time and keeps none. Pages of a user who is not frozen need not fit together: the next pass sets it right. */
MUST_USE rc store_manifest(struct store_txn *tx, const struct item_key *after, uint64_t limit,
                           manifest_visitor *visit, void *arg, struct err *e);
/* SHA-256 of the whole manifest: the head's line with a clock of 0, then the entries' lines, each with a "\n". */
MUST_USE rc store_manifest_sum(struct store_txn *tx, struct manifest_sum *out, struct err *e);

/* The same piece by piece, for who has the lines: so that what came over a wire is compared with the sum that came with it. */
struct manifest_digest;
/* of h's collections, in any order */
struct manifest_digest *manifest_digest_new(const struct head *h, struct arena *a);
void manifest_digest_add(struct manifest_digest *d, const struct manifest_entry *m);
void manifest_digest_end(struct manifest_digest *d, uint8_t out[SHA256_BYTES]); /* may be left out */
void manifest_digest_free(struct manifest_digest *d);                           /* takes NULL */
DEFINE_SCOPED(struct manifest_digest *, manifest_digest_free);

/* ---- importing ---- */

/* S's head: stamps, storage time, bytes, quota and collections become T's; collections that S has not go, with their items. The clock
 * rises to S's and never falls: a floor under every T to come, so that no stamp is given twice or goes back. From `h` only clock,
 * modified, used_bytes, quota_bytes and colls (names and stamps) are read.
 * RC_BAD_INPUT: a name that is empty, too long or there twice, or a stamp above the clock or below 0. */
MUST_USE rc store_import_head(struct store_txn *tx, const struct head *h, struct err *e);

struct import_row {
    view coll;
    struct item item; /* payload is not VIEW_NONE */
};
/* Each row becomes exactly this, expiry and stamp included; in one bulk call for each run of rows of one collection. A collection that the
 * head did not name yet is made without a stamp: the next head gives it. RC_BAD_INPUT: a name, id, text or time that no store holds. */
MUST_USE rc store_import_items(struct store_txn *tx, const struct import_row *rows, size_t n, struct err *e);

/* One page of S's manifest, entries after the key `after`: what T holds between there and the last entry (`last`: to the very end) and
 * S does not is deleted; entries that T lacks or holds differently go to `lacks` (may be NULL; false ends the call, not the deleting).
 * RC_BAD_INPUT: entries not in strictly rising order after `after`, or none in a page that is not the last. */
MUST_USE rc store_import_prune(struct store_txn *tx, const struct item_key *after,
                               const struct manifest_entry *page, size_t n, bool last,
                               manifest_visitor *lacks, void *arg, struct err *e);

#endif
