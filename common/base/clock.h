/* Time comes from here, so that tests can stop it, step it and turn it back. */
#ifndef HEDDLE_BASE_CLOCK_H
#define HEDDLE_BASE_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "common/base/stamp.h"

/* now_us: wall clock, microseconds since 1970; may be stepped by somebody.
 * mono_us: never goes back; for durations and life times. Callable from any thread. */
struct clock {
    int64_t (*now_us)(const struct clock *c);
    int64_t (*mono_us)(const struct clock *c);
};

/* The real clock. If the environment variable HEDDLE_CLOCK_FILE names a file when the process starts, its text (a signed
 * number of milliseconds) is added to now_us and looked at again every 50 ms: for tests of clocks that go wrong.
 * A build without HEDDLE_TEST_HOOKS knows no such variable. */
const struct clock *clock_system(void);

/* For waits that whoever sets the time cannot make longer or shorter: a condition by the steady clock of the system, and so long from now
 * for pthread_cond_timedwait on it. */
void clock_cond_init(pthread_cond_t *c);
struct timespec clock_in_ms(int64_t ms);

/* By the system, and all of it, whatever signals come. */
void clock_sleep_ms(int64_t ms);

/* For unit tests: both times are the fields below. */
struct clock_fake {
    struct clock clock;
    int64_t wall_us, steady_us;
};
void clock_fake_init(struct clock_fake *f, int64_t wall_us);

static inline int64_t clock_now_us(const struct clock *c)
{
    return c->now_us(c);
}

static inline int64_t clock_mono_us(const struct clock *c)
{
    return c->mono_us(c);
}

static inline int64_t clock_now_s(const struct clock *c)
{
    return c->now_us(c) / 1000000;
}

static inline stamp clock_stamp(const struct clock *c) /* rounded down */
{
    return (stamp){ .cs = c->now_us(c) / 10000 };
}

#endif
