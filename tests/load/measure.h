/* What a run found: times in buckets, and the processor time and memory of other processes. One thread. */
#ifndef HEDDLE_LOAD_MEASURE_H
#define HEDDLE_LOAD_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#define MEASURE_STEPS   128 /* buckets for each doubling: an error below 1 % */
#define MEASURE_BUCKETS (44 * MEASURE_STEPS)

struct times {
    uint64_t count, most_ns;
    uint32_t buckets[MEASURE_BUCKETS];
};

void times_add(struct times *t, uint64_t ns);
/* The time that `share` of all stay at or below (0.5, 0.99 …), in microseconds; 0 where there are none. */
double times_at(const struct times *t, double share);

int64_t now_ns(void); /* monotonic */

/* From /proc/PID/stat and status; false: no such process. */
bool process_cpu_us(int pid, int64_t *out);
bool process_memory_kb(int pid, int64_t *out_now, int64_t *out_peak);

#endif
