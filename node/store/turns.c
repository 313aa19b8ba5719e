#include "node/store/turns.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#include "common/base/clock.h"

void turns_init(struct turns *t, unsigned at_once, int64_t patience_s)
{
    int failed = sem_init(&t->left, 0, at_once);
    assert(at_once > 0 && !failed);
    (void)failed;
    t->patience_s = patience_s;
}

void turns_done(struct turns *t)
{
    sem_destroy(&t->left);
}

rc turn_take(struct turns *t, struct err *e)
{
    const struct timespec until = clock_in_ms(t->patience_s * 1000);
    while (sem_clockwait(&t->left, CLOCK_MONOTONIC, &until) != 0) {
        if (errno != EINTR)
            return fail(e, RC_BUSY, RESP_GENERIC, "no turn to write many rows for %lld s",
                        (long long)t->patience_s);
    }
    return RC_OK;
}

void turn_give(struct turns *t)
{
    sem_post(&t->left);
}
