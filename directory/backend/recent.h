/* Inside of the driver's wrappers: what was read of the backend a moment ago (backend.h, "a moment ago"). Any thread. */
#ifndef HEDDLE_BACKEND_RECENT_H
#define HEDDLE_BACKEND_RECENT_H

#include "common/base/recall.h"
#include "directory/backend/backend.h"

struct recent;
struct recent *recent_new(const struct clock *clock, int64_t accounts_s);
void recent_free(struct recent *r);
/* NULL is fine here and below: nothing is kept (connections of ldap-init, which are none of a directory's). */

/* Before something is read that may be kept. */
struct recall_mark recent_account_mark(struct recent *r, view name);
struct recall_mark recent_node_mark(struct recent *r, view name);
void recent_account_keep(struct recent *r, view name, struct recall_mark since, const struct account *acc);
void recent_node_keep(struct recent *r, view name, struct recall_mark since, const struct node_entry *from);
bool recent_account(struct recent *r, view name, struct arena *a, struct account *out);
bool recent_node(struct recent *r, view name, struct arena *a, struct node_entry *out);
/* It was changed, or may have been. */
void recent_account_drop(struct recent *r, view name);
void recent_node_drop(struct recent *r, view name);

#endif
