/* A thread of its own for what goes on beside requests: it works, rests, and stops when it is told to. */
#ifndef HEDDLE_NODE_BACKGROUND_H
#define HEDDLE_NODE_BACKGROUND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/base/err.h"

struct background {
    pthread_t thread;
    bool started;

    pthread_mutex_t lock; /* of stopping */
    pthread_cond_t changed;
    bool stopping;
};

/* After it *b is to be stopped, whatever it gives. RC_BROKEN: no thread to be had for `what`. */
MUST_USE rc background_start(struct background *b, const char *what, void *(*run)(void *arg), void *arg,
                             struct err *e);
/* For the thread. false: stop. */
bool background_rest(struct background *b, int64_t ms);
void background_stop(struct background *b); /* joins */

#endif
