/* Counts bad credentials by address, minute by minute, so that guessing is answered with “later” instead of an endless row of
 * refusals. Bounded: a fixed table; when a set of it is full, the address whose minute began first is forgotten. Loopback is never
 * counted: there sit our own tests and tools, or a proxy that nobody told us to trust. Thread-safe. */
#ifndef HEDDLE_NODE_STRIKES_H
#define HEDDLE_NODE_STRIKES_H

#include "common/base/clock.h"
#include "common/base/view.h"

struct strikes;

/* most: how many in a minute are still answered. */
struct strikes *strikes_new(const struct clock *clock, unsigned most);
void strikes_free(struct strikes *s);

/* One more. true: too many. */
bool strikes_add(struct strikes *s, view address);
/* Whether it is one too many already; counts nothing. out_wait_s: until its minute is over. */
bool strikes_over(struct strikes *s, view address, unsigned *out_wait_s);

#endif
