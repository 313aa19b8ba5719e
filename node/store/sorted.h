/* Whole collections in another order than they lie in, sorted here.
 *
 * MariaDB's items lie by id. Read newest first, each is looked up by itself, which costs three times the walk over all of them; its own
 * sorting does the same, as it leaves payloads out. SQLite's lie much as they came, as the index by time has them: read by id, each is on
 * another page than the one before. So a collection is read as it lies, kept in memory and sorted. Where it is larger than what is kept,
 * MariaDB sorts the rest alone, and both are merged; SQLite all of it. Measured in docs/performance.md. */
#ifndef HEDDLE_STORE_SORTED_H
#define HEDDLE_STORE_SORTED_H

#include "node/store/query.h"

bool sorted_pays(const struct store_txn *tx, const struct item_query *q);

/* As store_items_find for a query for which it pays. *out_done false: it cannot be done so, and nothing was visited. */
MUST_USE rc sorted_read(struct store_txn *tx, const struct item_query *q, uint32_t coll, item_visitor *visit,
                        void *arg, bool *out_done, struct err *e);

#endif
