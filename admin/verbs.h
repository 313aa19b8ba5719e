/* The tables of commands, one for each file of verbs, whatever its room; put together in admin/commands.c. */
#ifndef HEDDLE_ADMIN_VERBS_H
#define HEDDLE_ADMIN_VERBS_H

#include "admin/ask.h"
#include "admin/commands.h"

/* A line for each table, so that two who add one do not meet. */
/* clang-format off */
extern const struct command audit_commands[]; /* audit/audit_cli.c */
extern const struct command console_commands[]; /* console/verbs.c */
extern const struct command doctor_commands[]; /* verbs/doctor_cli.c */
extern const struct command explain_commands[]; /* verbs/explain.c */
extern const struct command invite_commands[]; /* verbs/invites.c */
extern const struct command lb_commands[]; /* lb/lb_verbs.c */
extern const struct command mail_commands[]; /* verbs/mail.c */
extern const struct command move_commands[]; /* move/move_cli.c */
extern const struct command node_commands[]; /* verbs/nodes.c */
extern const struct command node_life_commands[]; /* verbs/nodes_life.c */
extern const struct command plan_commands[]; /* run/plan_cli.c */
extern const struct command run_commands[]; /* run/run_cli.c */
extern const struct command secret_commands[]; /* verbs/secret.c */
extern const struct command settings_commands[]; /* verbs/settings.c */
extern const struct command settle_commands[]; /* move/settle_cli.c */
extern const struct command user_commands[]; /* verbs/users.c */
extern const struct command verify_commands[]; /* move/verify_cli.c */
/* clang-format on */

/* Opens a->ask at its first call. RC_BAD_INPUT: settings. */
MUST_USE rc admin_connect(struct admin *a, struct err *e);

/* ---- verbs/nodes.c ---- */

/* The entry of a node; json_decref. RC_BAD_INPUT: no name of a node. */
MUST_USE rc node_entry(struct admin *a, view name, json_t **out, struct err *e);
/* PUT of it: body is a JSON object of members to change. *out: the entry afterwards. */
MUST_USE rc node_change(struct admin *a, view name, view body, json_t **out, struct err *e);

/* Into the audit log; before, after: the entry, or NULL. node_change does it. */
MUST_USE rc node_note(const struct admin *a, view name, const json_t *before, const json_t *after,
                      struct err *e);

#endif
