/* How often something happened from one address within a window of time. Bounded: with very many addresses the oldest are forgotten,
 * so an honest client is never refused for others. IPv6 counts by /64. Loopback, and callers without an address, are not counted.
 * Any thread. */
#ifndef HEDDLE_PAGE_LIMITS_H
#define HEDDLE_PAGE_LIMITS_H

#include "common/base/view.h"

struct limits;

struct limits *limits_new(int64_t most, int64_t window_s); /* most 0: no limit */
/* Loopback is counted like any other: where not everybody on this machine is trusted. At the start. */
void limits_count_loopback(struct limits *l);
void limits_free(struct limits *l);
/* Seconds until the address may try again; 0: now. */
unsigned limits_wait(struct limits *l, view peer, int64_t now_s);
void limits_count(struct limits *l, view peer, int64_t now_s);

#endif
