/* Keep-alive connections on one thread and one epoll. Closed loop: each connection asks again as soon as it was answered. Open
 * loop: requests come due at a rate of their own, wait for a free connection, and their time counts from when they were due.
 * Ends after its time, at its number of requests, when nothing is left to be asked, or when the server is lost; requests that
 * are under way then have a few seconds to be answered. */
#ifndef HEDDLE_LOAD_LOOP_H
#define HEDDLE_LOAD_LOOP_H

#include "tests/load/measure.h"
#include "tests/load/work.h"

#define STATUS_MAX 600

struct loop_conf {
    const char *host; /* an IPv4 address */
    unsigned port;
    size_t connections;
    double warm_s, seconds; /* nothing of the first counts */
    uint64_t most;          /* requests */
    double rate;            /* a second, of an open loop; 0: closed */
};

struct loop_result {
    double seconds; /* that were measured */
    uint64_t answered, bytes_in, bytes_out, status[STATUS_MAX];
    uint64_t broken;     /* connections lost in the middle of a request, or answers that are no HTTP */
    uint64_t unanswered; /* under way at the end, and not answered in time */
    uint64_t not_sent;   /* open loop: due, and no connection was free for it */
    bool complete;       /* all that there was to ask was asked and answered */
    struct times *times;
    struct times *refused; /* those answered 503, from when they were sent */
};

/* Called when the warm-up is over, and when the time is. */
typedef void loop_mark(void *arg);

/* false, with a line on stderr: no connection at all. */
bool loop_run(const struct loop_conf *c, struct work *w, loop_mark *begins, loop_mark *ends, void *arg,
              struct loop_result *out);

#endif
