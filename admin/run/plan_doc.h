/* A plan as a document: what `plan` prints and saves, and what `run` does.
 *
 *   {"plan":1,"made":ms,"kind":"drain","node":…,"by":"users","threshold":0.02,
 *    "moves":[{"user","uid","epoch","from","to","items","bytes","reason"}],
 *    "totals":{"moves","items","bytes"},
 *    "nodes":[{"node","weight","takes","users_before","users_after","bytes_before","bytes_after","share_before","share_after"}],
 *    "skipped":{"moves":12,"with":"--threshold 0"}, "left":[{"user","uid","why"}], "notes":["…"]}
 *
 * A share is the load over what the node's part of it would be: 1 is even. */
#ifndef HEDDLE_ADMIN_PLAN_DOC_H
#define HEDDLE_ADMIN_PLAN_DOC_H

#include "admin/commands.h"
#include "admin/run/survey.h"

/* Options of planning, for the tables of plan, run and node. */
#define PLAN_OPTIONS                                                                                         \
    { .name = "by",                                                                                          \
      .type = OPTION_CHOICE,                                                                                 \
      .value = "WHAT",                                                                                       \
      .help = "what makes the load",                                                                         \
      .choices = "users bytes requests",                                                                     \
      .fallback = "users" },                                                                                 \
        { .name = "threshold",                                                                               \
          .type = OPTION_PERCENT,                                                                            \
          .value = "PERCENT",                                                                                \
          .help = "leave nodes alone that are so near to their share (rebalance)",                           \
          .fallback = "2" },                                                                                 \
        { .name = "quick", .type = OPTION_FLAG, .help = "do not count each user's records" },                \
    {                                                                                                        \
        .name = "save", .type = OPTION_FILE, .value = "FILE", .help = "write the plan into this file too"    \
    }

enum plan_kind { PLAN_REBALANCE, PLAN_DRAIN, PLAN_DECOMMISSION, PLAN_MOVE };
const char *plan_kind_name(enum plan_kind k);

/* Surveys and plans as the options and arguments of a's command say (arguments begin at `first`). *out: json_decref.
 * RC_BAD_INPUT, RC_NOT_FOUND: arguments; RC_AWAY: somebody who is needed does not answer. */
MUST_USE rc plan_make(struct admin *a, enum plan_kind kind, int first, json_t **out, struct err *e);
/* The same of a command whose arguments are all of the plan, and into the file that --save names. */
MUST_USE rc plan_make_and_save(struct admin *a, enum plan_kind kind, json_t **out, struct err *e);
/* A saved one. RC_BAD_INPUT: the file holds none. */
MUST_USE rc plan_load(const char *path, json_t **out, struct err *e);
MUST_USE rc plan_save(const char *path, const json_t *plan, struct err *e);
/* A document of somebody's making is whole. RC_BAD_INPUT. */
MUST_USE rc plan_check(const json_t *plan, struct err *e);
void plan_show(const struct admin *a, const json_t *plan);

#endif
