/* What is not as it should be: every head of every node against the directory, clocks, schemas, durability, and whether anybody settles.
 * For the day after a backup was restored: the higher epoch is right. */
#ifndef HEDDLE_ADMIN_DOCTOR_H
#define HEDDLE_ADMIN_DOCTOR_H

#include "admin/subject.h"

enum doctor_level {
    DOCTOR_NOTE,    /* will mend itself, or was chosen */
    DOCTOR_WARNING, /* may become an error */
    DOCTOR_ERROR    /* somebody is not served, or wrongly */
};
const char *doctor_level_name(enum doctor_level level);

/* Views live during the call. */
struct doctor_finding {
    enum doctor_level level;
    view node;        /* VIEW(""): of none */
    int64_t uid;      /* 0: of nobody */
    const char *text; /* what was found */
    const char *cure; /* what to do, often a command */
};
typedef void doctor_reporter(void *arg, const struct doctor_finding *f);

struct doctor_rules {
    int64_t skew_ms;  /* clocks further apart are told */
    int64_t settle_s; /* a settle longer ago is told */
    bool mend;        /* puts right what can be put right; is told all the same */
    doctor_reporter *report;
    void *arg;
};

struct doctor_counts {
    size_t notes, warnings, errors;
    size_t nodes, heads, accounts; /* looked at */
};

/* Looks at everything that answers; what does not is a finding. RC_AWAY: no directory. */
MUST_USE rc doctor_run(struct reach *r, const struct doctor_rules *rules, struct doctor_counts *out,
                       struct err *e);

/* ---- doctor_heads.c ---- */

struct doctor {
    struct reach *r;
    const struct doctor_rules *rules;
    struct doctor_counts *counts;
};
void doctor_tell(struct doctor *d, enum doctor_level level, view node, int64_t uid, const char *cure,
                 const char *fmt, ...) PRINTF_LIKE(6, 7);

/* All heads of all nodes (names: array of texts) against all accounts. */
MUST_USE rc doctor_heads(struct doctor *d, const json_t *nodes, struct err *e);

#endif
