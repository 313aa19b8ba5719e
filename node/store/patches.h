/* Writes of items: which fields they name, and many of them packed into one value, as a batch keeps them. Inside the store. */
#ifndef HEDDLE_STORE_PATCHES_H
#define HEDDLE_STORE_PATCHES_H

#include "node/store/store.h"

/* The bits of enum field_bit. */
int64_t patch_fields(const struct item_patch *p);
int64_t patches_bytes(const struct item_patch *patches, size_t n); /* of the payloads they set */

/* A run: so many that one value stays far below what a database takes at once (MySQL: max_allowed_packet), however long a POST may be. */
#define RUN_RECORDS 1000
#define RUN_BYTES   ((size_t)1 << 20) /* the record that reaches it is the last */

/* Adds as many of them to `out` as make a run, n >= 1; gives how many. `touches` is not kept. */
size_t run_pack(const struct item_patch *patches, size_t n, struct buf *out);
/* The whole run, 1 … cap of them; views into `bytes`, `touches` set. false: damaged, or more than cap; *out_n is untouched. */
bool run_unpack(view bytes, size_t cap, struct item_patch *out, size_t *out_n);

#endif
