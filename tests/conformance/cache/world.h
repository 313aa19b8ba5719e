/* What the parts of the cache's suite share: the cache of one process, and what befalls a Redis. Time is a clock of the tests' own. */
#ifndef HEDDLE_CONFORMANCE_CACHE_WORLD_H
#define HEDDLE_CONFORMANCE_CACHE_WORLD_H

#include <hiredis/hiredis.h>

#include "common/base/testing.h"
#include "node/cache/cache.h"

#define USER INT64_C(4711)

extern const char *driver_name, *redis_socket;
extern bool heads_shared;     /* in memory, too */
extern redisContext *control; /* NULL without Redis */
extern char scope[64];        /* another for each test */

/* One cache, as one process has it. */
struct world {
    struct clock_fake clock;
    struct cache *cache;
    struct cache_handle *h;
    struct buf out;
};

void world_open(struct world *w);
void world_close(struct world *w);

int fresh(void **state); /* of a test: an empty Redis, a scope of its own */
int leave(void **state);

bool caches(void); /* a driver that keeps anything at all */

bool reads(struct world *w, const char *value);
bool reads_nothing(struct world *w);
void fill(struct world *w, const char *value);
void write_value(struct world *w, const char *value);

/* ---- what befalls a Redis ---- */

void order(const char *command);
void cut_all_connections(void);
void plant_wrong_types(void); /* replaces each key by a list */

/* ---- groups of tests ---- */

#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, leave)

/* driver and rule: of every kind that keeps anything; memory: of that alone; redis, shared: of Redis; heads: of heads in
 * shared memory; race: of all; nothing: of none. */
extern const struct test_group driver_group, memory_group, redis_group, rule_group, shared_group, heads_group,
    race_group, nothing_group;

#endif
