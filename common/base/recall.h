/* Answers of a slower place, kept for a bounded time: a table of fixed size from keys to bytes. What is kept may be void by the time it is
 * found, for as long as whoever keeps it says; so it is for questions where that is bearable, and never for what decides.
 *
 * Nothing old comes in after something new was learned: who wants to keep an answer takes a mark before he asks for it, and whatever was
 * dropped in between makes that mark worth nothing. Any thread. */
#ifndef HEDDLE_BASE_RECALL_H
#define HEDDLE_BASE_RECALL_H

#include "common/base/arena.h"
#include "common/base/scope.h"

struct recall;
struct recall_mark {
    uint64_t era, drops;
};

/* Room for so many answers, rounded up to a power of two; others have to go when it is full. */
struct recall *recall_new(size_t most);
void recall_free(struct recall *r); /* NULL is fine */

/* Before the answer is looked for, for recall_keep. */
struct recall_mark recall_mark(struct recall *r, view key);
/* Takes a copy, unless something was dropped since the mark. until_us: on whatever clock the finders use. */
void recall_keep(struct recall *r, view key, struct recall_mark since, view value, int64_t until_us);
/* *out: a copy in the arena, aligned for any type. false: not known, or not any more. */
bool recall_find(struct recall *r, view key, int64_t now_us, struct arena *a, view *out);
/* That answer is void, and so are those that are on their way. */
void recall_drop(struct recall *r, view key);
void recall_drop_all(struct recall *r);

DEFINE_SCOPED(struct recall *, recall_free);

#endif
