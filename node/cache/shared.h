/* Memory that the processes of a node share, by a name of their scope: files of /dev/shm, which outlive the processes and end with the
 * machine. Any thread. */
#ifndef HEDDLE_CACHE_SHARED_H
#define HEDDLE_CACHE_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define SHARED_NAME_MAX 128

/* Scopes may hold any bytes and lengths; the name has what is legible of it, and a hash of all. suffix: tells several of one scope apart. */
void shared_name(const char *scope, const char *suffix, char out[SHARED_NAME_MAX]);

/* Opens what has that name, or makes it, and locks it: who comes first fills it. The caller gives the lock free (flock) or closes *out_fd.
 * *out_bytes: how long it is; 0: it is new. RC_BAD_INPUT: it belongs to somebody else; RC_BROKEN: no shared memory. */
MUST_USE rc shared_open(const char *name, int *out_fd, size_t *out_bytes, struct err *e);

/* Makes what is new so long, and maps it. All of it is reserved: a page that is missing when it is first touched would end the process. */
MUST_USE rc shared_map(int fd, const char *name, size_t bytes, bool fresh, void **out, struct err *e);

#endif
