/* So many threads at once, the others wait: for work in which more of them at the same moment only get into each other's way. Any thread;
 * a turn belongs to nobody in particular. */
#ifndef HEDDLE_STORE_TURNS_H
#define HEDDLE_STORE_TURNS_H

#include <semaphore.h>

#include "common/base/err.h"

struct turns {
    sem_t left;
    int64_t patience_s;
};

void turns_init(struct turns *t, unsigned at_once, int64_t patience_s);
void turns_done(struct turns *t); /* nobody has one or waits for one */

/* RC_BUSY: none came for so long. */
MUST_USE rc turn_take(struct turns *t, struct err *e);
void turn_give(struct turns *t);

#endif
