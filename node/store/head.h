/* The packing of a user's collections: inside the store, what store.h does not show of head.c. */
#ifndef HEDDLE_STORE_HEAD_H
#define HEDDLE_STORE_HEAD_H

#include "node/store/store.h"

/* Numbers below this belong to well-known names, the same for every user. */
#define COLL_FIRST_OWN 100
/* Ceiling for one user: his head is read and written as a whole. */
#define COLLS_MAX      10000

/* The number of a well-known name, else 0. */
uint32_t coll_known_number(view name);

/* Rows hold the name only where the number does not tell it. next_number: what the next own name will get; it only grows, so a
 * number is never used for two names. */
void colls_pack(const struct head_coll *colls, size_t n, uint32_t next_number, struct buf *out);
/* Everything is copied into the arena, with room for `spare` more. false: not ours. An empty view has no collections. */
bool colls_unpack(view bytes, size_t spare, struct arena *a, struct head_coll **out, size_t *out_n,
                  uint32_t *out_next_number);

#endif
