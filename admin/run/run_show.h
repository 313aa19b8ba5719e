/* How a run looks: bars that are drawn anew in a terminal, lines elsewhere, events with --json. */
#ifndef HEDDLE_ADMIN_RUN_SHOW_H
#define HEDDLE_ADMIN_RUN_SHOW_H

#include "admin/commands.h"
#include "admin/run/run.h"

struct run_screen {
    const struct admin *a;
    size_t drawn;       /* lines of the picture that stands in the terminal */
    int64_t told_us;    /* when the last line was written */
    int64_t rate_at_us; /* for the present rate: a look some seconds ago */
    uint64_t rate_bytes;
    double rate; /* bytes a second */
};

/* Slots of struct run_watch; arg is the screen. */
void run_screen_tick(void *arg, const struct run_view *v);
void run_screen_ended(void *arg, const struct journal *j, size_t i);
/* The last word. */
void run_screen_end(struct run_screen *s, const struct journal *j);

/* Seconds left at the pace of the whole run until now; -1: nobody knows yet. */
int64_t run_left_s(const struct run_view *v);

#endif
