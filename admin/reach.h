/* What verbs need of the cluster. */
#ifndef HEDDLE_ADMIN_REACH_H
#define HEDDLE_ADMIN_REACH_H

#include "admin/ask.h"
#include "admin/commands.h"

/* Opens a->ask at its first call. RC_BAD_INPUT: settings. */
MUST_USE rc admin_reach(struct admin *a, struct err *e);

/* ---- nodes.c ---- */

/* The entry of a node; json_decref. RC_BAD_INPUT: no name of a node. */
MUST_USE rc node_entry(struct admin *a, view name, json_t **out, struct err *e);
/* PUT of it: body is a JSON object of members to change. *out: the entry afterwards. */
MUST_USE rc node_change(struct admin *a, view name, view body, json_t **out, struct err *e);

#endif
