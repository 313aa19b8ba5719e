/* Values by user in this process: a hash table cut into shards, each with its lock, its line and its share of the ceiling. A
 * lock is held for some hundred nanoseconds and never while anything is waited for, so io threads may ask too. Forgetting is
 * always allowed; so a value goes when its time is over or when its shard is full, those first that nobody has
 * asked for since they came or were spared. Any thread. */
#ifndef HEDDLE_CACHE_MEMORY_H
#define HEDDLE_CACHE_MEMORY_H

#include "common/base/buf.h"
#include "common/base/clock.h"

struct memory;

/* ceiling_bytes: of all values together, with what keeping them costs. */
struct memory *memory_new(size_t ceiling_bytes, const struct clock *clock);
void memory_free(struct memory *m);

bool memory_get(struct memory *m, int64_t uid, struct buf *out); /* appends; false: not there */
/* What is larger than a shard is not kept, and what was there before it is gone. */
void memory_put(struct memory *m, int64_t uid, view value, unsigned ttl_s);

#endif
