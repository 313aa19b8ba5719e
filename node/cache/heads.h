/* Heads in memory that all processes of a node share, so that what one of them changed or read is there for the others without a question
 * to anybody. A table of fixed size: four places for the users whose numbers end alike, the newcomer takes one of them. Forgetting is
 * always allowed.
 *
 * No locks, which a process that dies could leave behind: who puts writes over whatever is there, and a value is taken only if its sum is
 * right. What is half written, or written by two at once, is nothing, until somebody puts again. Any thread; nothing is waited for.
 *
 * If the name is removed (systemd's RemoveIPC does that) its users go on sharing what they have mapped, and those who begin later
 * share another. That changes no answer: what a value is worth its version tells (cache.h). */
#ifndef HEDDLE_CACHE_HEADS_H
#define HEDDLE_CACHE_HEADS_H

#include "common/base/buf.h"
#include "common/base/err.h"

#define HEADS_VALUE_MAX                                                                                      \
    1000 /* bytes; what is longer is not shared. A head of fifteen known collections has some 160, its version included */

struct heads;

/* bytes: of the whole table, all of it reserved. One of another size, which somebody made with another setting, is replaced: those who
 * have it keep it. RC_BAD_INPUT: it belongs to somebody else; RC_BROKEN: no shared memory. */
MUST_USE rc heads_open(const char *scope, size_t bytes, struct heads **out, struct err *e);
void heads_close(struct heads *h); /* NULL is fine */

bool heads_get(const struct heads *h, int64_t uid, struct buf *out); /* appends; false: not there */
void heads_put(struct heads *h, int64_t uid, view value);

/* Removes the table's name: for tests. */
void heads_unlink(const char *scope);

#endif
