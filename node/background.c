#include "node/background.h"

#include <errno.h>

#include "common/base/clock.h"

rc background_start(struct background *b, const char *what, void *(*run)(void *arg), void *arg, struct err *e)
{
    *b = (struct background){ .stopping = false };
    pthread_mutex_init(&b->lock, NULL);
    clock_cond_init(&b->changed);
    int why = pthread_create(&b->thread, NULL, run, arg);
    if (why != 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "no thread to %s: %s", what, strerror(why));
    b->started = true;
    return RC_OK;
}

bool background_rest(struct background *b, int64_t ms)
{
    const struct timespec until = clock_in_ms(ms);
    pthread_mutex_lock(&b->lock);
    while (!b->stopping && pthread_cond_timedwait(&b->changed, &b->lock, &until) != ETIMEDOUT)
        ;
    bool go = !b->stopping;
    pthread_mutex_unlock(&b->lock);
    return go;
}

void background_stop(struct background *b)
{
    pthread_mutex_lock(&b->lock);
    b->stopping = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    if (b->started)
        pthread_join(b->thread, NULL);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
}
