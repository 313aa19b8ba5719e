/* Running plans, for the verbs of run and of node. */
#ifndef HEDDLE_ADMIN_RUN_CLI_H
#define HEDDLE_ADMIN_RUN_CLI_H

#include "admin/run/plan_doc.h"
#include "admin/run/run.h"

#define RUN_OPTIONS                                                                                          \
    { .name = "parallel",                                                                                    \
      .type = OPTION_NUMBER,                                                                                 \
      .value = "N",                                                                                          \
      .help = "so many moves at a time",                                                                     \
      .least = 1,                                                                                            \
      .most = RUN_PARALLEL_MAX,                                                                              \
      .fallback = "4" },                                                                                     \
        { .name = "rate",                                                                                    \
          .type = OPTION_SIZE,                                                                               \
          .value = "BYTES",                                                                                  \
          .help = "most bytes a second, of all moves together; 0: no limit",                                 \
          .fallback = "0" },                                                                                 \
        { .name = "rise",                                                                                    \
          .type = OPTION_PERCENT,                                                                            \
          .value = "PERCENT",                                                                                \
          .help = "hold back so that a node's latency rises by no more; 0: do not hold back",                \
          .fallback = "20" },                                                                                \
        { .name = "window",                                                                                  \
          .type = OPTION_TEXT,                                                                               \
          .value = "HH:MM-HH:MM",                                                                            \
          .help = "begin moves only at these hours (local time)" },                                          \
        { .name = "tries",                                                                                   \
          .type = OPTION_NUMBER,                                                                             \
          .value = "N",                                                                                      \
          .help = "give a user up after so many failures",                                                   \
          .least = 1,                                                                                        \
          .most = 1000,                                                                                      \
          .fallback = "6" },                                                                                 \
    {                                                                                                        \
        .name = "max-skew", .type = OPTION_SECONDS, .value = "TIME",                                         \
        .help = "refuse moves between clocks further apart", .fallback = "10"                                \
    }

/* The options of a's command. EXIT_MISUSED: said on stderr. */
int run_options_given(const struct admin *a, struct run_options *out);
/* Shows the plan and asks; EXIT_DONE: it may be run, or there is nothing to do. */
int run_plan_ask(struct admin *a, const json_t *plan);
/* Runs it to its end; the plan is borrowed. Gives the exit status. */
int run_plan_go(struct admin *a, const json_t *plan);
/* Asks all unfinished runs of this kind for this node to be cancelled; *out: how many. */
MUST_USE rc run_cancel_of(struct admin *a, const char *kind, const char *node, size_t *out, struct err *e);

#endif
