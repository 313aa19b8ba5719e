/* An account, as the directory has it, for who moves, settles and compares. Calls of admin/reach.h in the words of this job. */
#ifndef HEDDLE_ADMIN_SUBJECT_H
#define HEDDLE_ADMIN_SUBJECT_H

#include "admin/intent.h"
#include "admin/reach.h"

struct subject {
    json_t *entry; /* what the views look at */
    int64_t uid, epoch;
    view name;
    view node;   /* VIEW_NONE: has none yet */
    view intent; /* VIEW_NONE: none */
    bool enabled;
};

void subject_done(struct subject *s);
static inline void subject_done_scoped(struct subject *s)
{
    subject_done(s);
}

/* By name, number or mail address, as it is decided (never from a replica). *out: zeroed or an earlier one. RC_NOT_FOUND. */
MUST_USE rc subject_get(struct reach *r, view who, struct subject *out, struct err *e);
/* The account that has this number now. */
MUST_USE rc subject_get_uid(struct reach *r, int64_t uid, struct subject *out, struct err *e);
/* From an entry, as lists have it; takes a reference. RC_BROKEN. */
MUST_USE rc subject_read(json_t *entry, struct subject *out, struct err *e);

/* Attribute, expected, wanted; VIEW_NONE: absent. */
struct swap {
    const char *attr;
    view expected, wanted;
};
/* All or nothing. RC_CONFLICT: something was not as expected; RC_NOT_FOUND: nobody has this number now; RC_AWAY: it may have happened. */
MUST_USE rc subject_cas(struct reach *r, int64_t uid, const struct swap *swaps, size_t n, struct err *e);

/* Accounts of a list, as the directory pages them: "accounts?intent=1". false stops. The visitor may make calls. */
typedef bool subject_visitor(void *arg, const struct subject *s);
MUST_USE rc subjects_each(struct reach *r, const char *list, subject_visitor *visit, void *arg,
                          struct err *e);
/* The same for lines of any kind, of the directory or (not VIEW_NONE) of a node. */
typedef bool line_visitor(void *arg, json_t *line);
MUST_USE rc lines_each(struct reach *r, view node, const char *list, line_visitor *visit, void *arg,
                       struct err *e);

/* ---- heads ---- */

struct head_seen {
    int64_t uid, epoch, clock_cs, used_bytes, quota_bytes;
    int64_t batch_age_ms; /* -1: no upload is open */
    char state[16];       /* "none", "active", … */
    char move[65];
};
MUST_USE rc head_read(const json_t *o, struct head_seen *out, struct err *e);
MUST_USE rc head_ask(struct reach *r, view node, int64_t uid, struct head_seen *out, struct err *e);
/* One step. sum: {"sum":…,"clock":…} for seal, as text to be put into the body; else NULL. *out may be NULL. */
MUST_USE rc head_step_ask(struct reach *r, view node, const char *step, int64_t uid, view move, int64_t epoch,
                          const char *sum, struct head_seen *out, struct err *e);

#endif
