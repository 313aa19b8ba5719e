/* For tests: limits as they are without a line in the configuration. */
#ifndef HEDDLE_SYNC_TESTING_LIMITS_H
#define HEDDLE_SYNC_TESTING_LIMITS_H

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

#endif
