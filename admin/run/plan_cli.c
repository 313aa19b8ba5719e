/* heddle-admin plan …: shows what run would do. */
#include "admin/run/plan_doc.h"
#include "admin/verbs.h"
#include "common/base/json.h"

static int show_plan(struct admin *a, enum plan_kind kind)
{
    SCOPED(json_decref) json_t *plan = NULL;
    struct err e = ERR_NONE;
    rc r = plan_make_and_save(a, kind, &plan, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    plan_show(a, plan);
    return json_array_size(json_object_get(plan, "left")) > 0 ? EXIT_PARTLY : EXIT_DONE;
}

static int plan_rebalance_verb(struct admin *a)
{
    return show_plan(a, PLAN_REBALANCE);
}
static int plan_drain_verb(struct admin *a)
{
    return show_plan(a, PLAN_DRAIN);
}
static int plan_decommission_verb(struct admin *a)
{
    return show_plan(a, PLAN_DECOMMISSION);
}
static int plan_move_verb(struct admin *a)
{
    return show_plan(a, PLAN_MOVE);
}

static const struct command_option plan_options[] = { PLAN_OPTIONS, OPTIONS_END };
static const struct command_option move_options[] = {
    { .name = "to", .type = OPTION_NODE, .value = "NODE", .help = "where they are to live" },
    PLAN_OPTIONS,
    OPTIONS_END,
};

#define ABOUT_SHARES                                                                                                                   \
    "A node's share is its part of all capacities. Users go only to open nodes that answer, have room and have a pool in common with " \
    "their present one; users on their way already are left alone. Exit status 7: some users cannot be moved, the plan names them."

const struct command plan_commands[] = {
    { .name = "plan rebalance",
      .help = "show which moves bring all nodes to their shares",
      .about = ABOUT_SHARES,
      .options = plan_options,
      .examples = { "heddle-admin plan rebalance", "heddle-admin plan rebalance --by bytes --threshold 5",
                    "look first, then do exactly that\nheddle-admin plan rebalance --save tonight.plan" },
      .run = plan_rebalance_verb },
    { .name = "plan drain",
      .arguments = "NODE",
      .least = 1,
      .most = 1,
      .completes = "@node",
      .help = "show which moves empty a node for a while",
      .about = ABOUT_SHARES,
      .options = plan_options,
      .examples = { "heddle-admin plan drain node7.example.net" },
      .run = plan_drain_verb },
    { .name = "plan decommission",
      .arguments = "NODE",
      .least = 1,
      .most = 1,
      .completes = "@node",
      .help = "show which moves empty a node for good",
      .about = ABOUT_SHARES,
      .options = plan_options,
      .examples = { "heddle-admin plan decommission node7.example.net --by bytes" },
      .run = plan_decommission_verb },
    { .name = "plan move",
      .arguments = "USER …",
      .least = 1,
      .most = 10000,
      .help = "show what moving these users to one node would be",
      .about = ABOUT_SHARES,
      .options = move_options,
      .examples = { "heddle-admin plan move alice bob --to node8.example.net" },
      .run = plan_move_verb },
    COMMANDS_END,
};
