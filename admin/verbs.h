/* The tables of commands, one for each file of verbs; put together in admin/commands.c. */
#ifndef HEDDLE_ADMIN_VERBS_H
#define HEDDLE_ADMIN_VERBS_H

#include "admin/commands.h"

extern const struct command node_commands[];   /* nodes.c  */
extern const struct command secret_commands[]; /* secret.c */

#endif
