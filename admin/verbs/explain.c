/* heddle-admin explain USER: where he is, why, since when, and where somebody like him would go today. */
#include "admin/show.h"
#include "admin/verbs.h"
#include "common/base/encode.h"
#include "common/base/json.h"

static const struct column node_columns[] = {
    { "node", "NODE", COLUMN_TEXT },           { "pools", "POOLS", COLUMN_TEXT },
    { "why_not", "GETS NOBODY", COLUMN_TEXT }, { "per_cent", "PER CENT", COLUMN_RATIO },
    { "seats", "SEATS", COLUMN_NUMBER },       { "capacity", "CAPACITY", COLUMN_NUMBER },
    { "users", "USERS", COLUMN_NUMBER },       { "ramp", "OPENED", COLUMN_RATIO },
    { "ease", "EASE", COLUMN_RATIO },          COLUMNS_END,
};

static const char *text_of(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name)); /* NULL: absent, or null */
}

static rc ask_explanation(struct admin *a, json_t **out, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    TRY(admin_connect(a, e));
    buf_add(&path, VIEW("accounts/"));
    percent_put(&path, view_of(a->argv[0]));
    buf_add(&path, VIEW("/explain"));
    if (option_given(a, "by")) {
        buf_add(&path, VIEW("?by="));
        percent_put(&path, view_of(option_text(a, "by")));
    }
    TRY(ask_directory(a->ask, "GET", buf_text(&path), VIEW_NONE, &answer, e));
    return ask_object(&answer, out, e);
}

static void show_where(const struct admin *a, const json_t *x)
{
    SCOPED(buf_done) struct buf since = { 0 };
    const char *node = text_of(x, "node"), *why = text_of(x, "why"), *intent = text_of(x, "intent");
    const char *name = text_of(x, "name"), *state = text_of(x, "state");
    long long uid = json_integer_value(json_object_get(x, "uid")),
              epoch = json_integer_value(json_object_get(x, "epoch"));
    show_time_ms(&since, json_integer_value(json_object_get(x, "since")));
    if (!node)
        show_text(a, "%s (uid %lld) has no node yet, epoch %lld\n", name ? name : "", uid, epoch);
    else
        show_text(a, "%s (uid %lld) lives on %s (%s), epoch %lld, since %s: %s\n", name ? name : "", uid,
                  node, state ? state : "", epoch, buf_text(&since), why ? why : "nobody wrote down why");
    if (intent)
        show_text(a, "a move is under way: %s\n", intent);
}

static void show_fresh(const struct admin *a, const json_t *fresh)
{
    const char *rule = text_of(fresh, "rule"), *node = text_of(fresh, "node"), *pool = text_of(fresh, "pool");
    json_t *nodes = json_object_get(fresh, "nodes"), *x;
    size_t i;
    json_array_foreach (nodes, i, x) {
        double part = json_number_value(json_object_get(x, "part"));
        json_object_set_new(x, "per_cent", json_real(100 * part));
        if (json_integer_value(json_object_get(x, "users")) < 0)
            json_object_del(x, "users"); /* it did not tell */
    }
    if (node)
        show_text(a, "somebody like him would go to %s now", node);
    else
        show_text(a, "somebody like him would find no seat now");
    show_text(a, ": pool %s, by %s%s\n\n", pool ? pool : "", rule ? "the rule " : "no rule",
              rule ? rule : "");
    show_rows(a, nodes, node_columns);
}

static int explain(struct admin *a)
{
    SCOPED(json_decref) json_t *x = NULL;
    struct err e = ERR_NONE;
    rc r = ask_explanation(a, &x, &e);
    if (r == RC_OK && a->json) {
        show_object(a, x, NULL);
    } else if (r == RC_OK) {
        show_where(a, x);
        show_fresh(a, json_object_get(x, "fresh"));
    }
    return admin_status(r, &e);
}

static const struct command_option explain_options[] = {
    { .name = "by",
      .type = OPTION_CHOICE,
      .value = "KEY",
      .choices = "uid name mail",
      .help = "what USER is, where that is not clear: a name of digits" },
    OPTIONS_END,
};

const struct command explain_commands[] = {
    { .name = "explain",
      .arguments = "USER",
      .least = 1,
      .most = 1,
      .help = "where a user is, why and since when, and where he would go today",
      .about =
          "USER is an account number, a name or a mail address. PER CENT is the part of the new users of the pool that a node gets "
          "now; SEATS times OPENED (a new node begins with a tenth) times EASE (less where requests wait) makes it.",
      .options = explain_options,
      .examples = { "heddle-admin explain anna@example.net",
                    "heddle-admin explain --json 42 | jq .fresh.node" },
      .run = explain },
    COMMANDS_END,
};
