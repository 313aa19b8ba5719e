/* What the limits say for one collection. The settings themselves: sync.h. Any thread. */
#ifndef HEDDLE_SYNC_LIMITS_H
#define HEDDLE_SYNC_LIMITS_H

#include "node/sync/names.h"
#include "node/sync/sync.h"

/* Of that collection, or the general ones where it has none of its own (VIEW_NONE: always those). */
struct sync_coll_limits sync_limits_of(const struct sync_limits *l, view coll);

#endif
