/* heddle-admin node …: what is decided about nodes. */
#include <inttypes.h>

#include "admin/audit/audit.h"
#include "admin/show.h"
#include "admin/verbs.h"
#include "common/base/json.h"
#include "common/web/server.h"

/* What may stand before the "=". */
static const struct {
    const char *name;
    bool number;
} members[] = {
    { "url", false },   { "address", false }, { "node_type", false }, { "pools", false },
    { "state", false }, { "capacity", true }, { "seats", true },
};
#define N_MEMBERS (sizeof(members) / sizeof(members[0]))

static const struct column list_columns[] = {
    { "name", "NAME", COLUMN_TEXT },
    { "state", "STATE", COLUMN_STATE },
    { "capacity", "CAPACITY", COLUMN_NUMBER },
    { "seats", "SEATS", COLUMN_NUMBER },
    { "load.users", "USERS", COLUMN_NUMBER },
    { "load.bytes", "BYTES", COLUMN_BYTES },
    { "load.rps", "REQUESTS/S", COLUMN_RATIO },
    { "load.latency_ms", "MS", COLUMN_RATIO },
    { "load.age_ms", "HEARD", COLUMN_AGE },
    { "pools", "POOLS", COLUMN_TEXT },
    { "address", "ADDRESS", COLUMN_TEXT },
    COLUMNS_END,
};

static const struct column show_columns[] = {
    { "name", "name", COLUMN_TEXT },           { "url", "url", COLUMN_TEXT },
    { "address", "address", COLUMN_TEXT },     { "node_type", "node_type", COLUMN_TEXT },
    { "pools", "pools", COLUMN_TEXT },         { "state", "state", COLUMN_STATE },
    { "capacity", "capacity", COLUMN_NUMBER }, { "seats", "seats", COLUMN_NUMBER },
    { "opened", "opened", COLUMN_TIME },       COLUMNS_END,
};

/* ---- KEY=VALUE ---- */

static bool put_member(struct buf *b, const char *word)
{
    view value = view_of(word), name;
    uint64_t whole;
    view_cut(&value, '=', &name);
    for (size_t i = 0; i < N_MEMBERS; i++) {
        if (!value.p || !view_eq(name, view_of(members[i].name)))
            continue;
        buf_addf(b, "%s\"%s\":", b->n > 1 ? "," : "", members[i].name);
        if (!members[i].number) {
            json_put_string(b, value);
            return true;
        }
        if (!view_to_u64(value, INT64_MAX, &whole))
            return false;
        buf_addf(b, "%" PRIu64, whole);
        return true;
    }
    return false;
}

static int put_members(struct buf *b, int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (!put_member(b, argv[i]))
            return admin_wrong(
                "\"%s\" is not address=, node_type=, pools=, state=, capacity= or seats= with a good value",
                argv[i]);
    buf_addc(b, '}');
    return EXIT_DONE;
}

/* ---- calls ---- */

static rc entry_path(struct buf *path, view name, struct err *e)
{
    if (!ask_is_node_name(name))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "\"%.*s\" is no name of a node, like node7.example.net",
                    VIEW_ARG(name));
    buf_addf(path, "nodes/%.*s", VIEW_ARG(name));
    return RC_OK;
}

rc node_entry(struct admin *a, view name, json_t **out, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    TRY(admin_connect(a, e));
    TRY(entry_path(&path, name, e));
    TRY(ask_directory(a->ask, "GET", buf_text(&path), VIEW_NONE, &answer, e));
    return ask_object(&answer, out, e);
}

/* Digests of what the directory held before and holds now. */
rc node_note(const struct admin *a, view name, const json_t *before, const json_t *after, struct err *e)
{
    SCOPED(buf_done) struct buf node = { 0 };
    char had[AUDIT_HASH_TEXT + 1], has[AUDIT_HASH_TEXT + 1];
    buf_add(&node, name);
    if (before)
        audit_digest_json(before, had);
    if (after)
        audit_digest_json(after, has);
    return audit_note(a,
                      &(struct audit_note){ .node = buf_text(&node),
                                            .before = before ? had : NULL,
                                            .after = after ? has : NULL,
                                            .text = after ? "entry" : "entry removed" },
                      e);
}

rc node_change(struct admin *a, view name, view body, json_t **out, struct err *e)
{
    SCOPED(json_decref) json_t *before = NULL, *after = NULL;
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    rc r = node_entry(a, name, &before, e);
    if (r != RC_OK && r != RC_NOT_FOUND)
        return r;
    TRY(entry_path(&path, name, e));
    TRY(ask_directory(a->ask, "PUT", buf_text(&path), body, &answer, e));
    TRY(ask_object(&answer, &after, e));
    TRY(node_note(a, name, before, after, e));
    *out = json_incref(after);
    return RC_OK;
}

static int change_and_show(struct admin *a, view name, view body)
{
    SCOPED(json_decref) json_t *entry = NULL;
    struct err e = ERR_NONE;
    rc r = node_change(a, name, body, &entry, &e);
    if (r == RC_OK)
        show_object(a, entry, show_columns);
    return admin_status(r, &e);
}

/* ---- verbs ---- */

static int node_add(struct admin *a)
{
    SCOPED(buf_done) struct buf body = { 0 };
    struct url_parts u;
    view url = { .p = a->argv[0], .n = strlen(a->argv[0]) };
    if (!url_cut(url, &u))
        return admin_wrong("node add: \"%s\" is no URL of a node, like https://node7.example.net",
                           a->argv[0]);
    buf_add(&body, VIEW("{\"url\":"));
    json_put_string(&body, url);
    int status = put_members(&body, a->argc - 1, a->argv + 1);
    if (status != EXIT_DONE)
        return status;
    return change_and_show(a, u.host_port, buf_view(&body));
}

static int node_set(struct admin *a)
{
    SCOPED(buf_done) struct buf body = { 0 };
    buf_addc(&body, '{');
    int status = put_members(&body, a->argc - 1, a->argv + 1);
    return status == EXIT_DONE ? change_and_show(a, view_of(a->argv[0]), buf_view(&body)) : status;
}

static int set_state(struct admin *a, const char *state)
{
    SCOPED(buf_done) struct buf body = { 0 };
    buf_addf(&body, "{\"state\":\"%s\"}", state);
    return change_and_show(a, view_of(a->argv[0]), buf_view(&body));
}

static int node_open(struct admin *a)
{
    return set_state(a, "open");
}

static int node_close(struct admin *a)
{
    return set_state(a, "closed");
}

/* Seats change by what the capacity changes. */
static int node_weight(struct admin *a)
{
    SCOPED(json_decref) json_t *entry = NULL;
    SCOPED(buf_done) struct buf body = { 0 };
    struct err e = ERR_NONE;
    uint64_t capacity;
    if (!view_to_u64(view_of(a->argv[1]), INT64_MAX / 2, &capacity))
        return admin_wrong("node weight: \"%s\" is no number of users", a->argv[1]);
    rc r = node_entry(a, view_of(a->argv[0]), &entry, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    int64_t taken = json_integer_value(json_object_get(entry, "capacity")) -
                    json_integer_value(json_object_get(entry, "seats"));
    int64_t seats = (int64_t)capacity > taken ? (int64_t)capacity - taken : 0;
    buf_addf(&body, "{\"capacity\":%" PRIu64 ",\"seats\":%" PRId64 "}", capacity, seats);
    return change_and_show(a, view_of(a->argv[0]), buf_view(&body));
}

/* ---- loads ---- */

/* One line of loads is one process of a node: they share what they hold, and each has its own requests. */
static void add_process(json_t *load, const json_t *line)
{
    const json_t *sync = json_object_get(json_object_get(line, "loads"), "sync");
    static const char *const same[] = { "users", "bytes", "disk_free", "schema" };
    json_int_t age = json_integer_value(json_object_get(line, "age_ms"));
    bool first = json_object_size(load) == 0;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        if (json_object_get(sync, same[i]))
            json_object_set(load, same[i], json_object_get(sync, same[i]));
    double slower = json_member_real(load, "latency_ms"), own_ms = json_member_real(sync, "latency_ms");
    double rps = json_member_real(load, "rps") + json_member_real(sync, "rps");
    int64_t queue = json_member_int(load, "queue") + json_member_int(sync, "queue");
    slower = own_ms > slower ? own_ms : slower;
    json_object_set_new(load, "rps", json_real(rps));
    json_object_set_new(load, "queue", json_integer(queue));
    json_object_set_new(load, "latency_ms", json_real(slower));
    if (first || age < json_integer_value(json_object_get(load, "age_ms")))
        json_object_set_new(load, "age_ms", json_integer(age));
}

/* What the nodes last told the directory that answers: member "load" of each entry that was heard of. */
static rc add_loads(struct admin *a, json_t *rows, struct err *e)
{
    SCOPED(json_decref) json_t *lines = NULL;
    json_t *row, *line;
    size_t i, k;
    TRY(ask_all(a->ask, VIEW_NONE, "loads", &lines, e));
    json_array_foreach (rows, i, row) {
        json_t *load = json_object();
        json_array_foreach (lines, k, line)
            if (view_eq(json_text(json_object_get(line, "node")), json_text(json_object_get(row, "name"))))
                add_process(load, line);
        if (json_object_size(load) > 0)
            json_object_set(row, "load", load);
        json_decref(load);
    }
    return RC_OK;
}

static void print_names(struct admin *a, const json_t *rows)
{
    const json_t *row;
    size_t i;
    json_array_foreach (rows, i, row)
        fprintf(a->out, "%s\n", json_string_value(json_object_get(row, "name")));
}

static int node_list(struct admin *a)
{
    SCOPED(json_decref) json_t *rows = NULL;
    struct err e = ERR_NONE;
    rc r = admin_connect(a, &e);
    if (r == RC_OK)
        r = ask_all(a->ask, VIEW_NONE, "nodes", &rows, &e);
    if (r == RC_OK && !option_given(a, "names"))
        r = add_loads(a, rows, &e);
    if (r == RC_OK && option_given(a, "names"))
        print_names(a, rows);
    else if (r == RC_OK)
        show_rows(a, rows, list_columns);
    return admin_status(r, &e);
}

static int node_show(struct admin *a)
{
    SCOPED(json_decref) json_t *entry = NULL, *rows = NULL;
    struct err e = ERR_NONE;
    rc r = node_entry(a, view_of(a->argv[0]), &entry, &e);
    if (r == RC_OK) {
        rows = json_pack("[O]", entry);
        r = add_loads(a, rows, &e);
    }
    if (r == RC_OK)
        show_object(a, entry, show_columns);
    return admin_status(r, &e);
}

/* ---- the table ---- */

static const struct command_option list_options[] = {
    { .name = "names", .type = OPTION_FLAG, .help = "names alone, one a line" },
    OPTIONS_END,
};

const struct command node_commands[] = {
    { .name = "node add",
      .arguments = "URL [KEY=VALUE …]",
      .least = 1,
      .most = 7,
      .help = "add a node",
      .about =
          "URL is the node's own: tokens carry it, and its host[:port] is the node's name. KEY is address (what clients use, if not "
          "the URL), capacity (how many users), seats (how many more it takes), state (open, closed, draining, down), node_type or "
          "pools.",
      .examples = { "heddle-admin node add https://node7.example.net capacity=20000",
                    "take nobody yet\nheddle-admin node add https://node8.example.net capacity=20000 state=closed" },
      .changes = true,
      .run = node_add },
    { .name = "node set",
      .arguments = "NODE KEY=VALUE …",
      .least = 2,
      .most = 8,
      .completes = "@node",
      .help = "change what is decided about a node",
      .examples = { "heddle-admin node set node7.example.net address=https://sync.example.net pools=eu" },
      .changes = true,
      .run = node_set },
    { .name = "node list",
      .help = "all nodes, and what they last told of themselves",
      .options = list_options,
      .examples = { "heddle-admin node list", "heddle-admin node list --json | jq .capacity" },
      .run = node_list },
    { .name = "node show",
      .arguments = "NODE",
      .least = 1,
      .most = 1,
      .completes = "@node",
      .help = "one node",
      .examples = { "heddle-admin node show node7.example.net" },
      .run = node_show },
    { .name = "node open",
      .arguments = "NODE",
      .least = 1,
      .most = 1,
      .completes = "@node",
      .help = "let new users come to a node",
      .examples = { "heddle-admin node open node8.example.net" },
      .changes = true,
      .run = node_open },
    { .name = "node close",
      .arguments = "NODE",
      .least = 1,
      .most = 1,
      .completes = "@node",
      .help = "let no new users come to a node; those who live there notice nothing",
      .examples = { "heddle-admin node close node7.example.net" },
      .changes = true,
      .run = node_close },
    { .name = "node weight",
      .arguments = "NODE CAPACITY",
      .least = 2,
      .most = 2,
      .completes = "@node",
      .help = "change how many users a node shall hold",
      .about =
          "Plans spread users in proportion to the capacities. The free seats change by as much as the capacity.",
      .examples = { "heddle-admin node weight node7.example.net 40000" },
      .changes = true,
      .run = node_weight },
    COMMANDS_END,
};
