/* Moving one user from the node where he lives to another, while he syncs. Prints nothing: who watches is told by callbacks.
 *
 *     check     both ends are named, reachable, of one schema, with room, and with clocks not too far apart
 *     intend    cas: intent absent -> "copy T …": one move at a time for each user
 *     warm      T import_begin; passes, again while they find much, and less than before: the user keeps syncing
 *     pause     until the client has no upload open that it adds to
 *     freeze    S: from here on he gets 503 and Retry-After
 *     rest      the last pass
 *     seal      T holds what S holds, or all is undone
 *     flip      cas: node and epoch and intent at once: the only point of no return
 *     news      the other directory processes hear of it
 *     settle    T activate, S retire, intent absent (settle.h)
 *
 * What fails before the flip is undone by ourselves, or, if that fails too or we die, by the next settler once the lease is over.
 * Protocol: docs/internal-api.md, "Moving a user". */
#ifndef HEDDLE_ADMIN_MOVE_H
#define HEDDLE_ADMIN_MOVE_H

#include "admin/subject.h"

enum move_phase {
    MOVE_CHECK,
    MOVE_INTEND,
    MOVE_WARM,
    MOVE_PAUSE,
    MOVE_FREEZE,
    MOVE_REST,
    MOVE_SEAL,
    MOVE_FLIP,
    MOVE_NEWS,
    MOVE_SETTLE,
    MOVE_DONE,
    MOVE_UNDO
};
const char *move_phase_name(enum move_phase p);

/* How far a move is. Views live as long as the move. */
struct move_progress {
    enum move_phase phase;
    int64_t uid, epoch;
    view name, from, to, move;
    unsigned passes;
    uint64_t items_seen;   /* in the manifest of this pass */
    uint64_t items, bytes; /* carried in all */
    int64_t begun_us;      /* steady clock */
    /* how long the user was refused: from the freeze until both ends know of the flip; 0: not yet over */
    int64_t frozen_us;
    const char *note; /* what deserves a word ("the target has no seat left"), or "" */
};

/* Called from the moving thread. Slots may be NULL. */
struct move_watch {
    void (*progress)(void *arg, const struct move_progress *p); /* at each phase and each page */
    bool (*cancelled)(void *arg);                               /* asked between pages until the freeze */
    /* After each page of the warm passes, with what it weighed and how long the two nodes took for it; gives the µs to wait. */
    int64_t (*throttle_us)(void *arg, uint64_t bytes, int64_t source_us, int64_t target_us);
    /* Begin: just before the freeze; else: he may be asked for again, at the one end or the other. Each begin is followed by an end. For
     * who can let the user's requests wait meanwhile (lb_cut_over). */
    void (*cut_over)(void *arg, const struct move_progress *p, bool begin);
    void *arg;
};

struct move_options {
    view who, to;         /* name, number or mail; the node's name */
    int64_t rate;         /* bytes a second in the warm passes; 0: as fast as it goes */
    int64_t skew_ms;      /* clocks further apart: RC_CONFLICT */
    int64_t lease_s;      /* how long we may be silent before others may undo the move */
    int64_t pause_s;      /* an upload that nobody has added to for so long does not hold us up */
    int64_t pause_most_s; /* … nor any for longer than this */
    const struct move_watch *watch;
};
#define MOVE_LEASE_S      60
#define MOVE_PAUSE_S      10
#define MOVE_PAUSE_MOST_S 120

/* RC_OK: he lives there now (or did already: out->phase is MOVE_CHECK). Anything else: he lives where he lived, unless out->phase is MOVE_NEWS
 * or later: then the move is decided and the next settle ends it. RC_CONFLICT: another move has him, a check failed, or he was changed
 * under our hands; RC_BUSY: cancelled; RC_AWAY: somebody does not answer. out->note tells of an undoing that could not be completed. */
MUST_USE rc move_user(struct reach *r, const struct move_options *o, struct move_progress *out,
                      struct err *e);

/* ---- move_carry.c ---- */

struct carry {
    struct reach *r;
    view from, to, move;
    int64_t uid, epoch; /* of the source: the target has one more */
    bool frozen;        /* the last pass: the page that ends it brings the sum */
    /* a stamp up to which T is known to have everything, see store_manifest_base; -1: nothing is known */
    int64_t base;
    unsigned page; /* counts on through the whole move */
    /* After each page; anything but RC_OK ends the pass. */
    rc (*breathe)(void *arg, uint64_t bytes, int64_t source_us, int64_t target_us, struct err *e);
    void *arg;
    uint64_t items_seen, rows, bytes; /* of this pass */
    int64_t clock;                    /* of S, as it began */
    /* after a pass: up to there T has what S had, and no row that came is older: so each is compared once more */
    int64_t next_base;
    char sum[192]; /* of a frozen user: for seal */
};
/* One pass. RC_CONFLICT: a page was not what was sent, or one end is in another state. */
MUST_USE rc carry_pass(struct carry *c, struct err *e);

/* ---- move_check.c ---- */

struct move_ends {
    view from, to;
    int64_t uid, used_bytes; /* as the source has them */
    int64_t skew_ms;         /* most of it that is allowed */
};
/* Both answer, know the same schema, are of one mind about the time; the target has room. *out_skew_ms (may be NULL): the source's clock
 * less the target's. RC_CONFLICT: says what does not fit. */
MUST_USE rc move_check(struct reach *r, const struct move_ends *x, int64_t *out_skew_ms, struct err *e);

#endif
