/* Operations endpoints shared by all programs: /__lbheartbeat__, /__heartbeat__, /__version__, /__error__, /metrics.
 * A mount like any other; the server adds it by itself. */
#ifndef HEDDLE_WEB_OPS_H
#define HEDDLE_WEB_OPS_H

#include "common/web/router.h"

extern const struct route ops_routes[];
extern const size_t ops_routes_n;

/* What /__version__ tells; set by the build. */
extern const char heddle_version[], heddle_commit[];

#endif
