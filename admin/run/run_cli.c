/* heddle-admin run …: plans are carried out, looked at, paused, resumed and cancelled. */
#include "admin/run/run_cli.h"

#include <inttypes.h>

#include "admin/audit/audit.h"
#include "admin/run/run_show.h"
#include "admin/show.h"
#include "admin/verbs.h"
#include "common/base/json.h"
#include "common/base/mem.h"

/* ---- going ---- */

int run_options_given(const struct admin *a, struct run_options *out)
{
    const char *window = option_text(a, "window");
    *out = (struct run_options){ .parallel = (unsigned)option_number(a, "parallel"),
                                 .tries = (unsigned)option_number(a, "tries"),
                                 .rate = option_number(a, "rate"),
                                 .rise = option_number(a, "rise"),
                                 .skew_s = option_number(a, "max-skew"),
                                 .has_window = window != NULL };
    if (window && !run_window_parse(window, &out->window))
        return admin_wrong("%s: --window is \"%.40s\": must be like 22:00-06:00", a->command->name, window);
    return EXIT_DONE;
}

static rc note_move(void *arg, const struct run_change *c, struct err *e)
{
    return audit_note(arg,
                      &(struct audit_note){ .user = c->move->user,
                                            .uid = c->move->uid,
                                            .node = c->move->from,
                                            .to = c->move->to,
                                            .before = c->before,
                                            .after = c->after,
                                            .data_before = c->data_before,
                                            .data_after = c->data_after,
                                            .text = "moved" },
                      e);
}

static int status_of(enum run_state s)
{
    return s == RUN_DONE ? EXIT_DONE : EXIT_PARTLY;
}

static int go(struct admin *a, struct journal *j, const struct run_options *o)
{
    struct run_screen screen = { .a = a };
    const struct run_watch watch = { .tick = run_screen_tick, .ended = run_screen_ended, .arg = &screen };
    enum run_state state = RUN_STOPPED;
    struct err e = ERR_NONE;
    show_text(a, "Run %s: heddle-admin run pause|resume|cancel|show %s\n", j->id, j->id);
    rc r = run_go(a->conf, j, o, &watch, note_move, a, &state, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    run_screen_end(&screen, j);
    return status_of(state);
}

int run_plan_ask(struct admin *a, const json_t *plan)
{
    struct run_options o;
    size_t n = json_array_size(json_object_get(plan, "moves"));
    int status = run_options_given(a, &o);
    if (status != EXIT_DONE)
        return status;
    if (!a->json)
        plan_show(a, plan);
    if (n == 0)
        return EXIT_DONE;
    return admin_confirm(a, "heddle-admin %s: %zu users are moved; each is refused for a moment.",
                         a->command->name, n);
}

/* The journal of a run that carries the plan out by the options given. The caller closes it. */
static int make_journal(struct admin *a, const json_t *plan, struct run_options *out_o, struct journal **out)
{
    SCOPED(json_decref) json_t *options = NULL;
    struct err e = ERR_NONE;
    int status = run_options_given(a, out_o);
    if (status != EXIT_DONE)
        return status;
    options = run_options_json(out_o);
    rc r = journal_create(a->conf, plan, options, out, &e);
    return r == RC_OK ? EXIT_DONE : admin_status(r, &e);
}

int run_plan_go(struct admin *a, const json_t *plan)
{
    SCOPED(journal_close) struct journal *j = NULL;
    struct run_options o;
    int status = make_journal(a, plan, &o, &j);
    return status == EXIT_DONE ? go(a, j, &o) : status;
}

static int run_plan(struct admin *a, const json_t *plan)
{
    int status = run_plan_ask(a, plan);
    if (status != EXIT_DONE)
        return status;
    if (json_array_size(json_object_get(plan, "moves")) > 0)
        return run_plan_go(a, plan);
    SCOPED(json_decref)
    json_t *none = mem_need(json_pack("{s:s,s:s,s:i}", "event", "end", "state", "done", "moves", 0));
    if (a->json)
        show_object(a, none, NULL);
    show_text(a, "\nThere is nothing to move.\n");
    return EXIT_DONE;
}

static int make_and_run(struct admin *a, enum plan_kind kind)
{
    SCOPED(json_decref) json_t *plan = NULL;
    struct err e = ERR_NONE;
    rc r = plan_make_and_save(a, kind, &plan, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    int status = run_plan(a, plan);
    bool left = json_array_size(json_object_get(plan, "left")) > 0;
    return status == EXIT_DONE && left ? EXIT_PARTLY : status;
}

static int run_rebalance(struct admin *a)
{
    return make_and_run(a, PLAN_REBALANCE);
}
static int run_drain(struct admin *a)
{
    return make_and_run(a, PLAN_DRAIN);
}
static int run_decommission(struct admin *a)
{
    return make_and_run(a, PLAN_DECOMMISSION);
}
static int run_move(struct admin *a)
{
    return make_and_run(a, PLAN_MOVE);
}

static int run_saved(struct admin *a)
{
    SCOPED(json_decref) json_t *plan = NULL;
    struct err e = ERR_NONE;
    rc r = plan_load(a->argv[0], &plan, &e);
    return r == RC_OK ? run_plan(a, plan) : admin_status(r, &e);
}

/* A run that nobody runs yet: "run resume" does. */
static int run_prepare(struct admin *a)
{
    SCOPED(journal_close) struct journal *j = NULL;
    SCOPED(json_decref) json_t *plan = NULL;
    struct run_options o;
    struct err e = ERR_NONE;
    rc r = plan_load(a->argv[0], &plan, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    int status = make_journal(a, plan, &o, &j);
    if (status != EXIT_DONE)
        return status;
    SCOPED(json_decref)
    json_t *made = mem_need(json_pack("{s:s,s:I}", "run", j->id, "moves", (json_int_t)j->n_moves));
    show_object(a, made, NULL);
    return EXIT_DONE;
}

/* ---- from other terminals ---- */

static const char *run_named(const struct admin *a)
{
    return a->argc > 0 ? a->argv[0] : "last";
}

static int asked(const struct admin *a, rc r, const struct err *e, const char *id, const char *what)
{
    if (r == RC_OK)
        show_text(a, "Run %s was asked to %s.\n", id, what);
    return admin_status(r, e);
}

static int run_pause(struct admin *a)
{
    char id[RUN_ID_MAX];
    struct err e = ERR_NONE;
    return asked(a, run_ask(a->conf, run_named(a), RUN_PAUSE, id, &e), &e, id, "pause");
}

/* One that nobody runs is taken over by this process. */
static int run_resume(struct admin *a)
{
    SCOPED(journal_close) struct journal *j = NULL;
    struct run_options o;
    char id[RUN_ID_MAX];
    struct err e = ERR_NONE;
    rc r = run_take(a->conf, run_named(a), &j, &o, &e);
    if (r == RC_CONFLICT)
        return asked(a, run_ask(a->conf, run_named(a), RUN_GO, id, &e), &e, id, "go on");
    return r == RC_OK ? go(a, j, &o) : admin_status(r, &e);
}

/* Of a run that nobody runs only the journal is closed: settle undoes what it left half done. */
static int run_cancel_it(struct admin *a)
{
    bool under_way = false;
    char id[RUN_ID_MAX];
    struct err e = ERR_NONE;
    rc r = run_cancel(a->conf, run_named(a), &under_way, id, &e);
    if (r != RC_OK || under_way)
        return asked(a, r, &e, id, "end");
    show_text(a, "Run %s is cancelled. What it left half done is undone by: heddle-admin settle\n", id);
    return EXIT_DONE;
}

/* ---- looking ---- */

static const struct column list_columns[] = {
    { "run", "RUN", COLUMN_TEXT },         { "state", "STATE", COLUMN_STATE },
    { "kind", "KIND", COLUMN_TEXT },       { "node", "NODE", COLUMN_TEXT },
    { "made", "MADE", COLUMN_TIME },       { "moves", "MOVES", COLUMN_NUMBER },
    { "done", "DONE", COLUMN_NUMBER },     { "skipped", "SKIPPED", COLUMN_NUMBER },
    { "failed", "FAILED", COLUMN_NUMBER }, { "pending", "LEFT", COLUMN_NUMBER },
    { "bytes", "BYTES", COLUMN_BYTES },    COLUMNS_END,
};
static const struct column move_columns[] = {
    { "user", "USER", COLUMN_TEXT },
    { "from", "FROM", COLUMN_TEXT },
    { "to", "TO", COLUMN_TEXT },
    { "state", "STATE", COLUMN_STATE },
    { "tries", "FAILURES", COLUMN_NUMBER },
    { "items", "ITEMS", COLUMN_NUMBER },
    { "bytes", "BYTES", COLUMN_BYTES },
    { "frozen_ms", "FROZEN MS", COLUMN_NUMBER },
    { "why", "WHY", COLUMN_TEXT },
    COLUMNS_END,
};

static int run_list(struct admin *a)
{
    SCOPED(json_decref) json_t *ids = NULL, *rows = mem_need(json_array());
    struct err e = ERR_NONE;
    const json_t *id;
    size_t i;
    rc r = journal_list(a->conf, &ids, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    json_array_foreach (ids, i, id) {
        SCOPED(journal_close) struct journal *j = NULL;
        r = journal_open(a->conf, json_string_value(id), false, &j, &e);
        if (r != RC_OK)
            return admin_status(r, &e);
        json_array_append_new(rows, journal_summary(j));
    }
    show_rows(a, rows, list_columns);
    return EXIT_DONE;
}

static json_t *moves_json(const struct journal *j)
{
    static const char *const names[] = {
        [RUN_MOVE_PENDING] = "pending", [RUN_MOVE_BEGUN] = "begun",   [RUN_MOVE_DONE] = "done",
        [RUN_MOVE_SKIPPED] = "skipped", [RUN_MOVE_FAILED] = "failed", [RUN_MOVE_GIVEN_UP] = "given up"
    };
    json_t *list = mem_need(json_array());
    for (size_t i = 0; i < j->n_moves; i++) {
        const struct run_move *m = &j->moves[i];
        json_array_append_new(list, json_pack("{s:s,s:I,s:s,s:s,s:s,s:i,s:I,s:I,s:I,s:s}", "user", m->user,
                                              "uid", (json_int_t)m->uid, "from", m->from, "to", m->to,
                                              "state", names[m->state], "tries", (int)m->tries, "items",
                                              (json_int_t)m->items, "bytes", (json_int_t)m->bytes,
                                              "frozen_ms", (json_int_t)(m->frozen_us / 1000), "why", m->why));
    }
    return list;
}

static int run_show(struct admin *a)
{
    SCOPED(journal_close) struct journal *j = NULL;
    struct err e = ERR_NONE;
    rc r = journal_open(a->conf, run_named(a), false, &j, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    SCOPED(json_decref) json_t *summary = journal_summary(j), *moves = moves_json(j);
    if (a->json) {
        json_object_set(summary, "list", moves);
        show_object(a, summary, NULL);
        return EXIT_DONE;
    }
    show_object(a, summary, list_columns);
    show_text(a, "\n");
    show_rows(a, moves, move_columns);
    return EXIT_DONE;
}

/* ---- for others ---- */

rc run_cancel_of(struct admin *a, const char *kind, const char *node, size_t *out, struct err *e)
{
    SCOPED(json_decref) json_t *ids = NULL;
    const json_t *id;
    size_t i;
    *out = 0;
    TRY(journal_list(a->conf, &ids, e));
    json_array_foreach (ids, i, id) {
        SCOPED(journal_close) struct journal *j = NULL;
        TRY(journal_open(a->conf, json_string_value(id), false, &j, e));
        const json_t *plan = json_object_get(j->head, "plan");
        if (run_is_over(j->state) || j->state == RUN_PARTLY ||
            !view_eq(json_text(json_object_get(plan, "kind")), view_of(kind)) ||
            !view_eq(json_text(json_object_get(plan, "node")), view_of(node)))
            continue;
        if (j->state == RUN_STOPPED) {
            SCOPED(journal_close) struct journal *mine = NULL;
            TRY(journal_open(a->conf, j->id, true, &mine, e));
            TRY(journal_add_state(mine, RUN_CANCELLED, "asked for", e));
        } else {
            TRY(journal_ask(j, RUN_CANCEL, e));
        }
        ++*out;
    }
    return RC_OK;
}

/* ---- the table ---- */

static const struct command_option run_options[] = { PLAN_OPTIONS, RUN_OPTIONS, OPTIONS_END };
static const struct command_option saved_options[] = { RUN_OPTIONS, OPTIONS_END };
static const struct command_option move_options[] = {
    { .name = "to", .type = OPTION_NODE, .value = "NODE", .help = "where they are to live" },
    PLAN_OPTIONS,
    RUN_OPTIONS,
    OPTIONS_END,
};

#define ABOUT_RUN                                                                                                                            \
    "It goes on until all is moved, and can be paused, resumed and cancelled from any terminal of this host. Ctrl-C finishes what is under " \
    "way and stops; the second one stops at once. A run that was stopped or killed goes on with \"run resume\"."
#define DANGER "users are moved to other nodes; each is refused for a moment."

/* clang-format off */
const struct command run_commands[] = {
    { .name = "run rebalance", .help = "bring all nodes to their shares", .about = ABOUT_RUN, .options = run_options,
      .examples = { "heddle-admin run rebalance --parallel 8", "at night, gently\nheddle-admin run rebalance --window 22:00-06:00 --rate 20m --yes" },
      .danger = DANGER, .asks_itself = true, .changes = true, .run = run_rebalance },
    { .name = "run drain", .arguments = "NODE", .least = 1, .most = 1, .completes = "@node", .help = "move all users of a node away",
      .about = "Does not change the node's state: \"node drain\" does, and then this. " ABOUT_RUN, .options = run_options,
      .examples = { "heddle-admin run drain node7.example.net" },
      .danger = DANGER, .asks_itself = true, .changes = true, .run = run_drain },
    { .name = "run decommission", .arguments = "NODE", .least = 1, .most = 1, .completes = "@node", .help = "move all users of a node away, for good",
      .about = "Does not change the node's state: \"node decommission\" does, and then this. " ABOUT_RUN, .options = run_options,
      .examples = { "heddle-admin run decommission node7.example.net --by bytes" },
      .danger = DANGER, .asks_itself = true, .changes = true, .run = run_decommission },
    { .name = "run move", .arguments = "USER …", .least = 1, .most = 10000, .help = "move these users to one node", .about = ABOUT_RUN, .options = move_options,
      .examples = { "heddle-admin run move alice bob --to node8.example.net" },
      .danger = DANGER, .asks_itself = true, .changes = true, .run = run_move },
    { .name = "run plan", .arguments = "FILE", .least = 1, .most = 1, .completes = "@file", .help = "do exactly what a saved plan says",
      .about = "Users who live elsewhere by now than the plan says are skipped. " ABOUT_RUN, .options = saved_options,
      .examples = { "heddle-admin run plan tonight.plan --window 22:00-06:00" },
      .danger = DANGER, .asks_itself = true, .changes = true, .run = run_saved },
    { .name = "run prepare", .arguments = "FILE", .least = 1, .most = 1, .completes = "@file", .help = "make a run of a saved plan without beginning it",
      .about = "\"run resume\" begins it, here or in another terminal; the console starts its runs so.", .options = saved_options,
      .examples = { "heddle-admin run prepare tonight.plan --window 22:00-06:00" },
      .changes = true, .run = run_prepare },
    { .name = "run list", .help = "all runs of this host, youngest last", .examples = { "heddle-admin run list" }, .run = run_list },
    { .name = "run show", .arguments = "[RUN]", .most = 1, .help = "one run and its moves; the youngest unless it is named",
      .examples = { "heddle-admin run show", "what failed\nheddle-admin run show --json | jq .list" }, .run = run_show },
    { .name = "run pause", .arguments = "[RUN]", .most = 1, .help = "let a run finish what is under way and then wait",
      .examples = { "heddle-admin run pause" }, .changes = true, .run = run_pause },
    { .name = "run resume", .arguments = "[RUN]", .most = 1, .help = "let a run go on, also one that was stopped or killed",
      .about = "One that waits in another terminal goes on there. One that nobody runs any more goes on here; what it left half done is finished or "
               "undone first, and users who were given up are tried again.",
      .examples = { "heddle-admin run resume" }, .changes = true, .run = run_resume },
    { .name = "run cancel", .arguments = "[RUN]", .most = 1, .help = "end a run; who was moved stays where he is",
      .about = "Moves that are not decided yet are undone.",
      .examples = { "heddle-admin run cancel" }, .changes = true, .run = run_cancel_it },
    COMMANDS_END,
};
