/* Settling: whatever a mover left half done is finished or undone, and what is to be erased is erased. Everything can be repeated and done
 * by several at once: the account's intent says what is to be done, each step can be repeated, and a cas decides who was first.
 *
 *     intent    what is done
 *     copy      nothing while the lease runs; then cas copy -> abort, and on
 *     abort     the target drops, the owner thaws; then cas abort -> absent
 *     retire    the new owner is activated, and only then the old one retires; then cas retire -> absent
 *
 * A step at a node that does not answer is left for the next round, and so is the clearing of the intent. A node whose entry is gone
 * from the directory has nothing to do any more. Protocol: docs/internal-api.md, "Moving a user". */
#ifndef HEDDLE_ADMIN_SETTLE_H
#define HEDDLE_ADMIN_SETTLE_H

#include "admin/subject.h"

enum settle_act {
    SETTLE_NOTHING,  /* no intent, or somebody else was quicker */
    SETTLE_WAITS,    /* a move is running, or an erase is too young */
    SETTLE_UNDONE,   /* the move is undone: he lives where he lived */
    SETTLE_FINISHED, /* the move is finished: he lives where he moved to */
    SETTLE_ERASED,   /* data of an account that is no more */
    SETTLE_WOULD,    /* a dry run would have done something here */
    SETTLE_FAILED    /* another round is needed: the text says what was in the way */
};
const char *settle_act_name(enum settle_act act);

/* What was found and done about one account. Views live during the call. */
struct settle_report {
    enum settle_act act;
    int64_t uid;
    view name;   /* VIEW_NONE: the account is gone */
    view intent; /* as it was found; or "erase" */
    view node;   /* the other end */
    const char *text;
};
typedef void settle_reporter(void *arg, const struct settle_report *r);

struct settle_rules {
    bool dry_run;
    bool at_once;    /* does not wait for leases: a mover that still runs loses */
    bool force;      /* erases on a node that is down count as done */
    int64_t grace_s; /* how old an erase must be */
    size_t most;     /* erases in one round; 0: no limit */
    settle_reporter *report;
    void *arg;
};

/* One account. RC_OK with SETTLE_FAILED is not given: then the rc and text of what was in the way. */
MUST_USE rc settle_subject(struct reach *r, const struct settle_rules *rules, const struct subject *s,
                           enum settle_act *out, struct err *e);

struct settle_counts {
    size_t waits, undone, finished, erased, would, failed;
};
/* A round over all accounts with an intent, and over what is to be erased. Single failures are reported and counted; the rc is that of the
 * lists alone. Tells the directory that it was here (doctor asks for it). */
MUST_USE rc settle_round(struct reach *r, const struct settle_rules *rules, struct settle_counts *out,
                         struct err *e);

/* ---- purge.c ---- */
MUST_USE rc settle_erases(struct reach *r, const struct settle_rules *rules, struct settle_counts *counts,
                          struct err *e);
/* What the deleted account with this number left, alone. SETTLE_NOTHING: nothing is noted. */
MUST_USE rc settle_erase_of(struct reach *r, const struct settle_rules *rules, int64_t uid,
                            enum settle_act *out, struct err *e);
void settle_tell(const struct settle_rules *rules, struct settle_counts *counts,
                 const struct settle_report *report);

/* RC_OK: there is no such node (any more). RC_CONFLICT: there is. */
MUST_USE rc node_is_gone(struct reach *r, view node, struct err *e);

/* ---- points at which tests stop us ---- */

/* In builds with test hooks: stops the process (SIGSTOP) where the environment's HEDDLE_MOVE_STOP names this point. */
void move_point(const char *name);

#endif
