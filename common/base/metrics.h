/* Counters, histograms and gauges in Prometheus' text form. Cells are per thread, so counting takes no lock;
 * reading sums them. Registering is for start-up (one thread); counting for any thread. */
#ifndef HEDDLE_BASE_METRICS_H
#define HEDDLE_BASE_METRICS_H

#include "common/base/buf.h"

typedef struct metric {
    unsigned slot;
} metric;

/* name: "heddle_requests_total"; labels: "route=\"/1.5/{uid}\",status=\"200\"" or NULL. All texts must live for ever
 * (labels are copied). Registering the same name and labels again gives the same metric. */
metric metric_counter(const char *name, const char *labels, const char *help);
/* A histogram of durations: observed in microseconds, shown in seconds. */
metric metric_histogram(const char *name, const char *labels, const char *help);
/* Asked when read; fn must be thread-safe. Registering again replaces fn and arg; fn NULL takes the gauge back, which
 * whoever frees arg does when nobody reads the page any more. */
void metric_gauge(const char *name, const char *labels, const char *help, double (*fn)(void *arg), void *arg);

/* Any thread; neither waits. */
void metric_add(metric m, uint64_t n);
void metric_observe_us(metric m, int64_t us);
uint64_t metric_value(metric m); /* for tests: a counter's sum; how often a histogram observed */

/* What a histogram has counted so far, to compare two moments. */
#define METRIC_BUCKETS 17
struct metric_counts {
    uint64_t bucket[METRIC_BUCKETS];
};
void metric_counts_read(metric m, struct metric_counts *out); /* m: a histogram */
uint64_t metric_counted(const struct metric_counts *before, const struct metric_counts *now);
/* The median of what came in between, in microseconds, within its bucket by interpolation; 0: nothing came. */
int64_t metric_median_us(const struct metric_counts *before, const struct metric_counts *now);

void metrics_put(struct buf *out); /* the whole page, text/plain; version=0.0.4 */

#endif
