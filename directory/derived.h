/* Secrets of nodes, derived from the masters and the node's URL: each is derived once. Any thread. */
#ifndef HEDDLE_DIRECTORY_DERIVED_H
#define HEDDLE_DIRECTORY_DERIVED_H

#include "common/auth/secrets.h"

#define DERIVED_MOST 1024 /* nodes */

struct derived;
struct derived *derived_new(void);
void derived_free(struct derived *d); /* NULL is fine; wipes them */

/* *out lives as long as d. RC_BAD_INPUT: secrets_derive's. RC_BUSY: DERIVED_MOST others are there already. */
MUST_USE rc derived_get(struct derived *d, const struct secrets *masters, view url,
                        const struct secrets **out, struct err *e);

#endif
