/* How this node is, as the pulse and the operator are told: who lives here, how much there is, how busy it is. Cheap to know: heads and
 * bytes are counted in the background, once a minute and never for more than a hundredth of the time; requests and their latency are
 * the difference of two looks at counters that are kept anyway. Thread-safe. */
#ifndef HEDDLE_NODE_LOAD_H
#define HEDDLE_NODE_LOAD_H

#include "common/base/metrics.h"
#include "node/store/store.h"

struct load_options {
    struct store *store;
    const struct clock *clock;
    metric latency;          /* of our requests */
    unsigned (*queue)(void); /* requests waiting for a worker */
};

struct load_now {
    bool counted; /* false: nothing was counted yet, or the store did not answer; the next two are nothing */
    struct store_facts facts;
    int64_t counted_age_ms;
    double requests_s;  /* over the last 10 s or more */
    int64_t latency_us; /* the median of these; 0: there were none */
    unsigned queue;
};

struct load;

/* options are copied */
MUST_USE rc load_start(const struct load_options *o, struct load **out, struct err *e);
void load_stop(struct load *l); /* joins; NULL is fine */
void load_read(struct load *l, struct load_now *out);
/* Counts at once, on the caller's session: for who cannot wait a minute. */
MUST_USE rc load_count(struct load *l, struct store_session *ss, struct err *e);

#endif
