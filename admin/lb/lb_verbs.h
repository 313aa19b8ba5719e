/* The verbs of `heddle-admin lb`. */
#ifndef HEDDLE_ADMIN_LB_VERBS_H
#define HEDDLE_ADMIN_LB_VERBS_H

#include "admin/commands.h"

verb_fn lb_follow, lb_explain; /* lb_follow.c, lb_explain.c; the others in lb_verbs.c */

#endif
