/* heddle-admin node drain … recover: nodes come to an end, for a while or for good. */
#include <inttypes.h>

#include "admin/audit/audit.h"
#include "admin/run/run_cli.h"
#include "admin/show.h"
#include "admin/subject.h"
#include "admin/verbs.h"
#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/mem.h"

enum { ROUNDS_MOST = 5, NEWS_BATCH = 500 };

static rc set_state(struct admin *a, const char *node, const char *body, struct err *e)
{
    SCOPED(json_decref) json_t *entry = NULL;
    return node_change(a, view_of(node), view_of(body), &entry, e);
}

static size_t moves_of(const json_t *plan)
{
    return json_array_size(json_object_get(plan, "moves"));
}

/* ---- drain, decommission ---- */

/* Whoever came while the first run went on goes in a second one. */
static int empty_node(struct admin *a, enum plan_kind kind, const json_t *first)
{
    SCOPED(json_decref) json_t *plan = json_incref((json_t *)(uintptr_t)first);
    struct err e = ERR_NONE;
    int status = EXIT_DONE;
    for (int i = 0; i < ROUNDS_MOST && status == EXIT_DONE && moves_of(plan) > 0; i++) {
        status = run_plan_go(a, plan);
        json_decref(plan);
        plan = NULL;
        rc r = plan_make(a, kind, 0, &plan, &e);
        if (r != RC_OK)
            return admin_status(r, &e);
    }
    bool left = json_array_size(json_object_get(plan, "left")) > 0 || moves_of(plan) > 0;
    if (left && status == EXIT_DONE)
        plan_show(a, plan);
    return left && status == EXIT_DONE ? EXIT_PARTLY : status;
}

static int drain_with(struct admin *a, enum plan_kind kind, const char *change)
{
    SCOPED(json_decref) json_t *plan = NULL;
    struct err e = ERR_NONE;
    rc r = plan_make_and_save(a, kind, &plan, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    int status = run_plan_ask(a, plan);
    if (status != EXIT_DONE)
        return status;
    r = set_state(a, a->argv[0], change, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    return empty_node(a, kind, plan);
}

static int node_drain(struct admin *a)
{
    return drain_with(a, PLAN_DRAIN, "{\"state\":\"draining\"}");
}

static int node_decommission(struct admin *a)
{
    int status = drain_with(a, PLAN_DECOMMISSION, "{\"state\":\"draining\",\"capacity\":0,\"seats\":0}");
    if (status == EXIT_DONE)
        show_text(a, "%s is empty. To forget it: heddle-admin node remove %s\n", a->argv[0], a->argv[0]);
    return status;
}

static rc stop_draining(struct admin *a, size_t *out, struct err *e)
{
    SCOPED(json_decref) json_t *entry = NULL;
    const char *node = a->argv[0];
    TRY(node_entry(a, view_of(node), &entry, e));
    if (json_integer_value(json_object_get(entry, "capacity")) == 0)
        return fail(
            e, RC_CONFLICT, RESP_GENERIC,
            "%.100s is decommissioned: to take it back, give it a weight (node weight) and open it (node open)",
            node);
    if (!view_eq(json_text(json_object_get(entry, "state")), VIEW("draining")))
        return fail(e, RC_CONFLICT, RESP_GENERIC, "%.100s is not draining", node);
    TRY(run_cancel_of(a, "drain", node, out, e));
    return set_state(a, node, "{\"state\":\"open\"}", e);
}

static int node_undrain(struct admin *a)
{
    struct err e = ERR_NONE;
    size_t n = 0;
    rc r = stop_draining(a, &n, &e);
    if (r == RC_OK && a->json)
        fprintf(a->out, "{\"node\":\"%s\",\"state\":\"open\",\"cancelled\":%zu}\n", a->argv[0], n);
    else if (r == RC_OK)
        show_text(a, "%s is open again; %zu runs were cancelled. Who was moved stays where he is.\n",
                  a->argv[0], n);
    return admin_status(r, &e);
}

/* ---- remove ---- */

struct counting {
    int64_t heads;
    json_int_t uid; /* of one of them */
    char state[16];
};

/* GONE is what stays for ever, against late credentials. */
static rc count_head(void *arg, json_t *line, struct err *e)
{
    struct counting *c = arg;
    const char *state = json_string_value(json_object_get(line, "state"));
    (void)e;
    if (!state || strcmp(state, "gone") == 0 || strcmp(state, "none") == 0)
        return RC_OK;
    c->heads++;
    c->uid = json_integer_value(json_object_get(line, "uid"));
    snprintf(c->state, sizeof(c->state), "%s", state);
    return RC_OK;
}

struct notes {
    view node;
    int64_t n;
};

static rc count_erase(void *arg, json_t *line, struct err *e)
{
    struct notes *x = arg;
    (void)e;
    x->n += view_eq(json_text(json_object_get(line, "node")), x->node);
    return RC_OK;
}

/* Of live accounts: "NODE UID EPOCH MS". */
static rc count_erases(void *arg, json_t *line, struct err *e)
{
    struct notes *x = arg;
    const json_t *value;
    size_t i;
    (void)e;
    json_array_foreach (json_object_get(line, "erases"), i, value) {
        view rest = json_text(value), node;
        x->n += view_cut(&rest, ' ', &node) && view_eq(node, x->node);
    }
    return RC_OK;
}

static rc check_empty(struct admin *a, view node, struct err *e)
{
    struct counting c = { .heads = 0 };
    struct notes notes = { .node = node };
    if (!option_given(a, "dead")) {
        rc r = ask_each(a->ask, node, "heads", count_head, &c, e);
        if (r == RC_AWAY || r == RC_NOT_FOUND) {
            struct err why = *e;
            return fail(e, RC_AWAY, RESP_GENERIC, "%.120s; if its machine is no more: --dead", why.text);
        }
        TRY(r);
        if (c.heads > 0)
            return fail(e, RC_CONFLICT, RESP_GENERIC,
                        "%.*s still has %" PRId64 " heads, %s that of uid %lld: see heddle-admin doctor",
                        VIEW_ARG(node), c.heads, c.state, (long long)c.uid);
    }
    TRY(ask_each(a->ask, VIEW_NONE, "erases", count_erase, &notes, e));
    TRY(ask_each(a->ask, VIEW_NONE, "accounts?erase=1", count_erases, &notes, e));
    if (notes.n > 0 && !option_given(a, "dead"))
        return fail(e, RC_CONFLICT, RESP_GENERIC,
                    "%.*s still has data of %" PRId64 " users to erase: heddle-admin settle --grace 0",
                    VIEW_ARG(node), notes.n);
    return RC_OK;
}

static rc nobody_lives(struct admin *a, view name, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    buf_add(&path, VIEW("accounts?limit=1&node="));
    percent_put(&path, name);
    TRY(ask_directory(a->ask, "GET", buf_text(&path), VIEW_NONE, &answer, e));
    if (answer.body.n > 0)
        return fail(e, RC_CONFLICT, RESP_GENERIC,
                    "users live on %.*s: heddle-admin node decommission moves them away", VIEW_ARG(name));
    return RC_OK;
}

static rc remove_entry(struct admin *a, view name, struct err *e)
{
    SCOPED(json_decref) json_t *before = NULL;
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    TRY(node_entry(a, name, &before, e));
    TRY(nobody_lives(a, name, e));
    TRY(check_empty(a, name, e));
    buf_addf(&path, "nodes/%.*s", VIEW_ARG(name));
    TRY(ask_directory(a->ask, "DELETE", buf_text(&path), VIEW_NONE, &answer, e));
    TRY(node_note(a, name, before, NULL, e));
    show_object(a, before, NULL);
    return RC_OK;
}

static int node_remove(struct admin *a)
{
    struct err e = ERR_NONE;
    rc r = remove_entry(a, view_of(a->argv[0]), &e);
    return admin_status(r, &e);
}

/* ---- maintenance ---- */

static rc put_maintenance(struct admin *a, bool on, struct answer *out, struct err *e)
{
    SCOPED(answer_done) struct answer before = { .status = 0 };
    SCOPED(buf_done) struct buf body = { 0 };
    char had[AUDIT_HASH_TEXT + 1], has[AUDIT_HASH_TEXT + 1];
    view node = view_of(a->argv[0]);
    TRY(ask_node(a->ask, node, "GET", "maintenance", VIEW_NONE, &before, e));
    buf_addf(&body, "{\"on\":%s", on ? "true" : "false");
    if (option_text(a, "text")) {
        buf_add(&body, VIEW(",\"text\":"));
        json_put_string(&body, view_of(option_text(a, "text")));
    }
    if (option_given(a, "retry-after"))
        buf_addf(&body, ",\"retry_after\":%" PRId64, option_number(a, "retry-after"));
    buf_addc(&body, '}');
    TRY(ask_node(a->ask, node, "PUT", "maintenance", buf_view(&body), out, e));
    audit_digest(buf_view(&before.body), had);
    audit_digest(buf_view(&out->body), has);
    return audit_note(a,
                      &(struct audit_note){ .node = a->argv[0],
                                            .before = had,
                                            .after = has,
                                            .text = on ? "maintenance on" : "maintenance off" },
                      e);
}

static int node_maintenance(struct admin *a)
{
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    SCOPED(json_decref) json_t *o = NULL;
    struct err e = ERR_NONE;
    const char *word = a->argc > 1 ? a->argv[1] : NULL;
    if (word && strcmp(word, "on") != 0 && strcmp(word, "off") != 0)
        return admin_wrong("node maintenance: \"%.40s\" is neither on nor off", word);
    rc r = admin_connect(a, &e);
    if (r == RC_OK)
        r = word ? put_maintenance(a, strcmp(word, "on") == 0, &answer, &e)
                 : ask_node(a->ask, view_of(a->argv[0]), "GET", "maintenance", VIEW_NONE, &answer, &e);
    if (r == RC_OK)
        r = ask_object(&answer, &o, &e);
    if (r == RC_OK)
        show_object(a, o, NULL);
    return admin_status(r, &e);
}

/* ---- recover ---- */

struct recovery {
    struct admin *a;
    view node;
    json_t *accounts; /* who lives there */
    bool answers;
    json_int_t silent_ms;    /* -1: no directory has heard it */
    json_int_t users, bytes; /* as it last said; -1: unknown */
    json_t *uids;            /* reassigned, for the news */
    int64_t done, failed;
};

static void recovery_done_scoped(struct recovery *x)
{
    json_decref(x->accounts);
    json_decref(x->uids);
}

static rc read_loads(void *arg, json_t *line, struct err *e)
{
    struct recovery *x = arg;
    const json_t *sync = json_object_get(json_object_get(line, "loads"), "sync");
    (void)e;
    if (!view_eq(json_text(json_object_get(line, "node")), x->node))
        return RC_OK;
    json_int_t age = json_integer_value(json_object_get(line, "age_ms"));
    if (x->silent_ms < 0 || age < x->silent_ms)
        x->silent_ms = age;
    if (json_object_get(sync, "users"))
        x->users = json_integer_value(json_object_get(sync, "users"));
    if (json_object_get(sync, "bytes"))
        x->bytes = json_integer_value(json_object_get(sync, "bytes"));
    return RC_OK;
}

static rc look(struct recovery *x, struct err *e)
{
    SCOPED(json_decref) json_t *entry = NULL;
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    struct err none = ERR_NONE;
    x->silent_ms = x->users = x->bytes = -1;
    TRY(node_entry(x->a, x->node, &entry, e));
    buf_add(&path, VIEW("accounts?node="));
    percent_put(&path, x->node);
    TRY(ask_all(x->a->ask, VIEW_NONE, buf_text(&path), &x->accounts, e));
    TRY(ask_each(x->a->ask, VIEW_NONE, "loads", read_loads, x, e));
    x->answers = ask_node(x->a->ask, x->node, "GET", "status", VIEW_NONE, &answer, &none) == RC_OK;
    return RC_OK;
}

static const struct {
    const char *name, *what, *loses;
} choices[] = {
    { "replica", "Promote a replica of its database, start a node with the same node.url and secrets on it.",
      "What was acknowledged in the moments before and had not reached the replica; clients that have it upload it again at their next full "
      "sync. With a semi-synchronous replica: nothing." },
    { "backup",
      "Restore the newest backup, start a node with the same node.url and secrets on it. Before it serves anybody it asks the directory who "
      "still lives there; heddle-admin doctor --mend then compares.",
      "What was written after the backup. Clients that are ahead of it upload what it lacks at their next full sync; what only lost devices "
      "had is gone." },
    { "reassign",
      "heddle-admin node recover NODE --reassign: everybody who lives there gets another node, with nothing on it; his clients upload again. "
      "The node stays down; should it come back, heddle-admin node open NODE lets it serve again: it asks the directory about everybody "
      "before it serves him, and refuses who lives elsewhere, was deleted, or reset his key meanwhile.",
      "Everything that no device of a user holds any more. Users whose only device is lost lose all." },
};
#define N_CHOICES (sizeof(choices) / sizeof(choices[0]))

static json_t *recovery_json(const struct recovery *x)
{
    json_t *list = mem_need(json_array());
    for (size_t i = 0; i < N_CHOICES; i++)
        json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "choice", choices[i].name, "how",
                                              choices[i].what, "can_lose", choices[i].loses));
    return mem_need(json_pack("{s:s%,s:b,s:I,s:I,s:I,s:o}", "node", x->node.p, x->node.n, "answers",
                              x->answers, "silent_ms", x->silent_ms, "users",
                              (json_int_t)json_array_size(x->accounts), "bytes", x->bytes, "choices", list));
}

static void explain(const struct recovery *x)
{
    const struct admin *a = x->a;
    SCOPED(json_decref) json_t *o = recovery_json(x);
    SCOPED(buf_done) struct buf silent = { 0 };
    SCOPED(buf_done) struct buf bytes = { 0 };
    if (a->json) {
        show_object(a, o, NULL);
        return;
    }
    if (x->silent_ms >= 0)
        show_seconds(&silent, x->silent_ms / 1000);
    if (x->bytes >= 0)
        show_bytes(&bytes, x->bytes);
    show_text(a, "%zu users live on %.*s%s%s. It %s; %s%s%s.\n\n", json_array_size(x->accounts),
              VIEW_ARG(x->node), x->bytes >= 0 ? ", with " : "", x->bytes >= 0 ? buf_text(&bytes) : "",
              x->answers ? "ANSWERS: it is not dead" : "does not answer",
              x->silent_ms >= 0 ? "a directory heard it " : "no directory has heard it",
              x->silent_ms >= 0 ? buf_text(&silent) : "", x->silent_ms >= 0 ? " ago" : "");
    for (size_t i = 0; i < N_CHOICES; i++)
        show_text(a, "%zu. %s\n   %s\n   Can lose: %s\n\n", i + 1, choices[i].name, choices[i].what,
                  choices[i].loses);
}

/* Homeless, and of a higher epoch: the next sign-in gives him a node, and the dead one refuses him should it come back. */
static rc reassign_one(struct recovery *x, const json_t *entry, struct err *e)
{
    struct reach reach = { .ask = x->a->ask, .clock = clock_system() };
    SCOPED(subject_done) struct subject s = { 0 };
    SCOPED(subject_done) struct subject after = { 0 };
    char from[24], to[24], had[AUDIT_HASH_TEXT + 1], has[AUDIT_HASH_TEXT + 1];
    TRY(subject_get_uid(&reach, json_integer_value(json_object_get(entry, "uid")), &s, e));
    if (!view_eq(s.node, x->node))
        return RC_OK; /* moved meanwhile */
    snprintf(from, sizeof(from), "%" PRId64, s.epoch);
    /* by two, where he was on his way: what his move left at the other end has the epoch between */
    snprintf(to, sizeof(to), "%" PRId64, s.epoch + (s.intent.p ? 2 : 1));
    const struct swap swaps[] = { { "syncNode", s.node, VIEW_NONE },
                                  { "heddleEpoch", view_of(from), view_of(to) },
                                  { "heddleIntent", s.intent, VIEW_NONE } };
    TRY(subject_cas(&reach, s.uid, swaps, s.intent.p ? 3 : 2, e));
    TRY(subject_get_uid(&reach, s.uid, &after, e));
    audit_digest_json(s.entry, had);
    audit_digest_json(after.entry, has);
    json_array_append_new(x->uids, json_integer(s.uid));
    SCOPED(buf_done) struct buf name = { 0 };
    buf_add(&name, s.name);
    return audit_note(x->a,
                      &(struct audit_note){ .user = buf_text(&name),
                                            .uid = s.uid,
                                            .node = x->a->argv[0],
                                            .before = had,
                                            .after = has,
                                            .text = "reassigned, with nothing" },
                      e);
}

static void spread(struct recovery *x)
{
    for (size_t from = 0; from < json_array_size(x->uids); from += NEWS_BATCH) {
        SCOPED(buf_done) struct buf body = { 0 };
        buf_add(&body, VIEW("{\"uids\":["));
        for (size_t i = from; i < json_array_size(x->uids) && i < from + NEWS_BATCH; i++)
            buf_addf(&body, "%s%lld", i > from ? "," : "",
                     (long long)json_integer_value(json_array_get(x->uids, i)));
        buf_add(&body, VIEW("]}"));
        for (size_t d = 0; ask_directories(x->a->ask) > 1 && d < ask_directories(x->a->ask); d++) {
            SCOPED(answer_done) struct answer answer = { .status = 0 };
            struct err e = ERR_NONE;
            if (ask_directory_at(x->a->ask, d, "POST", "news", buf_view(&body), &answer, &e) != RC_OK)
                admin_wrong("the directory at %s did not hear of it: %s", ask_directory_name(x->a->ask, d),
                            e.text);
        }
    }
}

static int reassign(struct recovery *x)
{
    struct admin *a = x->a;
    struct err e = ERR_NONE;
    const json_t *entry;
    size_t i;
    if (x->answers && !option_given(a, "alive")) {
        admin_wrong("node recover: %s answers: drain it instead, and nobody loses anything (or say --alive)",
                    a->argv[0]);
        return EXIT_REFUSED;
    }
    int asked = admin_confirm(
        a,
        "heddle-admin node recover: %zu users of %s begin anew with nothing; what none of their devices holds is lost.",
        json_array_size(x->accounts), a->argv[0]);
    if (asked != EXIT_DONE)
        return asked;
    /* so nobody comes, and it refuses should it wake */
    rc r = set_state(a, a->argv[0], "{\"state\":\"down\"}", &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    x->uids = mem_need(json_array());
    json_array_foreach (x->accounts, i, entry) {
        r = reassign_one(x, entry, &e);
        x->done += r == RC_OK;
        x->failed += r != RC_OK;
        if (r != RC_OK)
            admin_wrong("%s: %s", json_string_value(json_object_get(entry, "name")), e.text);
    }
    spread(x);
    SCOPED(json_decref)
    json_t *o = mem_need(json_pack("{s:s,s:I,s:I}", "node", a->argv[0], "reassigned", (json_int_t)x->done,
                                   "failed", (json_int_t)x->failed));
    show_object(a, o, NULL);
    return x->failed > 0 ? EXIT_PARTLY : EXIT_DONE;
}

static int node_recover(struct admin *a)
{
    SCOPED(recovery_done) struct recovery x = { .a = a, .node = view_of(a->argv[0]) };
    struct err e = ERR_NONE;
    rc r = look(&x, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    if (option_given(a, "reassign"))
        return reassign(&x);
    explain(&x);
    return EXIT_DONE;
}

/* ---- the table ---- */

static const struct command_option drain_options[] = { PLAN_OPTIONS, RUN_OPTIONS, OPTIONS_END };
static const struct command_option remove_options[] = {
    { .name = "dead", .type = OPTION_FLAG, .help = "its machine is no more: do not ask it what it holds" },
    OPTIONS_END,
};
static const struct command_option maintenance_options[] = {
    { .name = "text", .type = OPTION_TEXT, .value = "TEXT", .help = "an alert that clients show" },
    { .name = "retry-after",
      .type = OPTION_SECONDS,
      .value = "TIME",
      .help = "when clients shall ask again" },
    OPTIONS_END,
};
static const struct command_option recover_options[] = {
    { .name = "reassign",
      .type = OPTION_FLAG,
      .help = "let all its users begin anew elsewhere, with nothing" },
    { .name = "alive", .type = OPTION_FLAG, .help = "reassign even though it answers" },
    OPTIONS_END,
};
#define MOVED "its users are moved to other nodes; each is refused for a moment."

/* clang-format off */
const struct command node_life_commands[] = {
    { .name = "node drain", .arguments = "NODE", .least = 1, .most = 1, .completes = "@node", .help = "empty a node for a while: to repair it, say",
      .about = "Shows the plan, asks, sets the state to draining (no new users) and moves everybody away. Can be paused, resumed and cancelled like any run; "
               "\"node undrain\" stops it and opens the node again.",
      .options = drain_options, .danger = MOVED, .asks_itself = true,
      .examples = { "heddle-admin node drain node7.example.net", "gently\nheddle-admin node drain node7.example.net --parallel 2 --rate 10m" },
      .changes = true, .run = node_drain },
    { .name = "node undrain", .arguments = "NODE", .least = 1, .most = 1, .completes = "@node", .help = "stop a drain and open the node again",
      .about = "Who was moved stays where he is; \"run rebalance\" brings the shares back.",
      .examples = { "heddle-admin node undrain node7.example.net" }, .changes = true, .run = node_undrain },
    { .name = "node decommission", .arguments = "NODE", .least = 1, .most = 1, .completes = "@node", .help = "empty a node for good",
      .about = "As drain, and its weight becomes 0, so no plan ever gives it users again. Then \"node remove\".",
      .options = drain_options, .danger = MOVED, .asks_itself = true,
      .examples = { "heddle-admin node decommission node7.example.net --yes" }, .changes = true, .run = node_decommission },
    { .name = "node remove", .arguments = "NODE", .least = 1, .most = 1, .completes = "@node", .help = "forget a node on which nothing is left",
      .about = "Refused while users live there, while it has a head of anybody that is not gone, or data to erase. A node whose machine is no more is not asked "
               "with --dead.",
      .options = remove_options, .danger = "the node is forgotten: its weight, its pools, its address.",
      .examples = { "heddle-admin node remove node7.example.net --yes" }, .changes = true, .run = node_remove },
    { .name = "node maintenance", .arguments = "NODE [on|off]", .least = 1, .most = 2, .completes = "@node on off",
      .help = "answer a node's users with 503, Retry-After and an alert", .options = maintenance_options,
      .about = "Clients wait and show the text. Internal calls go on, so its users can be moved meanwhile. Without on or off: what holds now.",
      .examples = { "heddle-admin node maintenance node7.example.net on --text Maintenance-until-six --retry-after 10m",
                    "heddle-admin node maintenance node7.example.net off" },
      .changes = true, .run = node_maintenance },
    { .name = "node recover", .arguments = "NODE", .least = 1, .most = 1, .completes = "@node", .help = "explain the ways back from a dead node, and what each can lose",
      .about = "Promote a replica, restore a backup, or let its users begin anew elsewhere. The last is done with --reassign: the node's state becomes down, and "
               "everybody who lives there gets another node at his next sign-in, with nothing on it; should the node come back it refuses them. It "
               "stays down until node open; then it asks the directory about everybody before it serves him.",
      .options = recover_options, .danger = "with --reassign: what no device of a user holds any more is lost.", .asks_itself = true,
      .examples = { "heddle-admin node recover node7.example.net", "heddle-admin node recover node7.example.net --reassign --yes" },
      .changes = true, .run = node_recover },
    COMMANDS_END,
};
