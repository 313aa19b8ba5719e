/* What the files of a run share: its state, and its workers. */
#ifndef HEDDLE_ADMIN_RUN_INSIDE_H
#define HEDDLE_ADMIN_RUN_INSIDE_H

#include "admin/run/run.h"

struct run {
    const struct admin_conf *conf;
    struct journal *j;
    const struct run_options *o;
    const struct run_watch *watch;
    run_noter *note;
    void *note_arg;
    struct ease *ease;
    const struct clock *clock;

    pthread_mutex_t lock; /* of all below, and of the journal's moves */
    pthread_cond_t change;
    enum run_state state; /* running, waiting, paused; or one it ends with */
    const char *why;
    bool ending; /* no move begins any more */
    bool undo;   /* … and those under way are given up where they can be */
    size_t moving, in_a_row, first;
    struct run_slot slots[RUN_PARALLEL_MAX];
    int64_t begun_us;
    rc broken; /* the journal or the log cannot be written */
    struct err broken_why;
};

struct worker {
    struct run *run;
    struct run_slot *slot;
    struct ask *ask;
    pthread_t thread;
    struct run_move *m; /* under way */
    size_t i;
    int64_t eased_us, paged_us; /* of this move: what the brake made it wait, and what its pages took */
};

/* The journal or the log cannot be written: no further move begins, and the run ends with this. Under the lock. */
void run_broke(struct run *r, rc why, const struct err *e);

/* ---- run_carry.c ---- */

/* Carries the worker's move out, without the lock. *out_rest_us: so long the worker is to let both nodes alone now, for what the move cost
 * beside its pages. RC_NOT_FOUND: the plan does not fit any more; else as move_user. */
MUST_USE rc run_carry(struct worker *w, int64_t *out_rest_us, struct err *e);

#endif
