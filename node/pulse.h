/* The pulse: one thread for each directory tells it how this node is, and brings back whose credentials are void. Who hears which
 * directories decides how long verdicts live (authority.h). Protocol: docs/internal-api.md, "Pulse". */
#ifndef HEDDLE_NODE_PULSE_H
#define HEDDLE_NODE_PULSE_H

#include "common/base/buf.h"
#include "node/remote.h"

#define PULSE_LOADS_US INT64_C(10000000) /* how often a pulse brings the loads */

struct pulse_options {
    struct remote *remote;
    struct authority *authority;
    const struct clock *clock;
    view name;        /* ours */
    int64_t every_ms; /* between an answer without news and the next question */
    /* Appends the object of loads by service, {"sync":{…}}; from any of the threads. */
    void (*loads)(void *arg, struct buf *out);
    /* The decided state of this node has changed: down, by the word of all directories that are heard and say anything, or not. May be
     * NULL. From any of the threads, one at a time; before pulse_start returns, too. */
    void (*decided)(void *arg, bool down);
    void *arg;
};

struct pulse;

/* Waits for the first answers, 3 s at most: so that nobody is served whose tokens have been void since before this start. Options but
 * for what they point at are copied. */
MUST_USE rc pulse_start(const struct pulse_options *o, struct pulse **out, struct err *e);
void pulse_stop(struct pulse *p);    /* joins; NULL is fine */
size_t pulse_heard(struct pulse *p); /* how many directories answer */

/* An answer of a directory, acted on. *cursor and boot (65 bytes) are what to tell next. *out_more: ask again at once.
 * RC_BROKEN: it makes no sense; what could be acted on was. For pulse.c and its tests. */
MUST_USE rc pulse_act(const json_t *answer, struct authority *a, char boot[65], int64_t *cursor,
                      bool *out_more, struct err *e);

#endif
