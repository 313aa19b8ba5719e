/* For tests: limits as they are without a line in the configuration, and a small store and cache. */
#ifndef HEDDLE_SYNC_TESTING_CONF_H
#define HEDDLE_SYNC_TESTING_CONF_H

#include "node/cache/cache.h"
#include "node/store/store.h"
#include "node/sync/limits.h"

static inline struct sync_limits usual_limits(void)
{
    return (struct sync_limits){ .max_request_bytes = 2625536,
                                 .max_record_payload_bytes = 2621440,
                                 .max_post_records = 100,
                                 .max_post_bytes = 2621440,
                                 .max_total_records = 10000,
                                 .max_total_bytes = 262144000,
                                 .batches = true,
                                 .batch_life_s = 7200,
                                 .quota_enforced = true,
                                 .legacy_request_bytes = 33554432,
                                 .legacy_payload_bytes = 262144,
                                 .legacy_post_records = 100,
                                 .legacy_post_bytes = 1048576 };
}

/* SQLite; the path is borrowed. */
static inline struct store_conf small_store(char *path)
{
    return (struct store_conf){
        .driver = (char *)"sqlite", .path = path, .files = 2, .lock_wait_s = 5, .cache_bytes = 1 << 20
    };
}

/* Without a Redis; the texts are constants. */
static inline struct cache_conf small_cache(const char *driver, const char *scope)
{
    return (struct cache_conf){ .driver = (char *)(uintptr_t)driver,
                                .redis_socket = (char *)"",
                                .redis_host = (char *)"",
                                .redis_password = (char *)"",
                                .ttl_s = 60,
                                .memory_bytes = 1 << 20,
                                .items_bytes = 1 << 20,
                                .scope = (char *)(uintptr_t)scope };
}

#endif
