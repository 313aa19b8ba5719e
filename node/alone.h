/* A cache in memory is right only while no other process writes the same store. So each node holds a lock of its store for life: a node
 * with a cache in memory alone, others together. The kernel gives it back when the process ends, however it ends.
 *
 * SQLite: a file in the store's folder. MySQL: shared memory named after server and database; it reaches as far as the machine. */
#ifndef HEDDLE_NODE_ALONE_H
#define HEDDLE_NODE_ALONE_H

#include "node/store/store.h"

/* driver: store_driver_name. *out_fd: close it to give the lock back. RC_BUSY: the other kind of process has the store open (err.text says
 * it in a sentence). */
MUST_USE rc alone_lock(const struct store_conf *c, const char *driver, bool alone, int *out_fd,
                       struct err *e);

#endif
