/* Settling as a part of another program: a thread that runs a round now and then, over the internal listener as any other settler does. */
#ifndef HEDDLE_ADMIN_SETTLE_THREAD_H
#define HEDDLE_ADMIN_SETTLE_THREAD_H

#include <stdint.h>

#include "common/base/err.h"

struct settle_thread_options {
    const char *directory; /* internal address */
    const char *name, *key;
    const char *node;         /* "NAME=ADDRESS" of a node that no directory names an address of; NULL: none */
    int64_t every_s, grace_s; /* settle.h */
};

struct settle_thread;

/* Texts are copied. The first round comes after `every_s`. What is done is logged. */
MUST_USE rc settle_thread_start(const struct settle_thread_options *o, struct settle_thread **out,
                                struct err *e);
void settle_thread_stop(struct settle_thread *t); /* joins; NULL is fine */

#endif
