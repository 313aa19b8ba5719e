/* Single items in this process: what an item was when its collection had a certain time. A log in a ring of fixed size, cut into shards,
 * each with its lock and an index: what is kept overwrites what was kept longest ago, nothing is allocated or freed. A lock is held
 * while at most 16 KiB are copied and never while anything is waited for, so io threads may ask too. Any thread. */
#ifndef HEDDLE_CACHE_ITEMS_H
#define HEDDLE_CACHE_ITEMS_H

#include "common/base/arena.h"

struct items;

struct item_tag {
    int64_t uid;
    uint32_t coll; /* its number */
    view id;
    int64_t as_of; /* the collection's time */
};

/* ceiling_bytes: of everything, index included; memory is taken as it fills. */
struct items *items_new(size_t ceiling_bytes);
void items_free(struct items *s); /* NULL is fine */

/* *out: a copy in the arena. false: not there, or as of another time. */
bool items_get(struct items *s, const struct item_tag *k, struct arena *a, view *out);
/* Takes a copy. Values of more than 16 KiB, or of a quarter of a shard, are not kept. */
void items_put(struct items *s, const struct item_tag *k, view value);

#endif
