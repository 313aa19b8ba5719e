/* heddle-admin settings: what is in force at directories and nodes. Secrets never leave them. */
#include "admin/show.h"
#include "admin/verbs.h"
#include "common/base/json.h"
#include "common/base/mem.h"

static const struct column columns[] = {
    { "where", "WHERE", COLUMN_TEXT },
    { "key", "KEY", COLUMN_TEXT },
    { "value", "VALUE", COLUMN_TEXT },
    COLUMNS_END,
};

struct reading {
    json_t *rows;
    view where, section;
};

static void put_row(struct reading *x, view name, view value)
{
    SCOPED(buf_done) struct buf key = { 0 };
    buf_addf(&key, "%.*s.%.*s", VIEW_ARG(x->section), VIEW_ARG(name));
    json_array_append_new(x->rows,
                          mem_need(json_pack("{s:s%,s:s,s:s%}", "where", x->where.p, x->where.n, "key",
                                             buf_text(&key), "value", value.p ? value.p : "", value.n)));
}

/* "[section]", "key = value", "# key = (set)". Other comments are the manual's sentences. */
static void read_line(struct reading *x, view line)
{
    view value = line, name;
    bool comment = view_starts(line, VIEW("# "));
    if (line.n > 2 && line.p[0] == '[' && line.p[line.n - 1] == ']') {
        x->section = (view){ .p = line.p + 1, .n = line.n - 2 };
        return;
    }
    if (comment)
        value = (view){ .p = line.p + 2, .n = line.n - 2 };
    view_cut(&value, '=', &name);
    if (!value.p)
        return;
    value = view_trim(value);
    if (!comment || view_eq(value, VIEW("(set)")) || view_eq(value, VIEW("(not set)")))
        put_row(x, view_trim(name), value);
}

static void read_text(json_t *rows, view where, view text)
{
    struct reading x = { .rows = rows, .where = where, .section = VIEW("") };
    view line;
    while (text.n > 0 && view_cut(&text, '\n', &line))
        read_line(&x, line);
}

static rc of_directories(struct admin *a, json_t *rows, struct err *e)
{
    for (size_t i = 0; i < ask_directories(a->ask); i++) {
        SCOPED(answer_done) struct answer answer = { .status = 0 };
        TRY(ask_directory_at(a->ask, i, "GET", "settings", VIEW_NONE, &answer, e));
        read_text(rows, view_of(ask_directory_name(a->ask, i)), buf_view(&answer.body));
    }
    return RC_OK;
}

static rc of_node(struct admin *a, json_t *rows, struct err *e)
{
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    TRY(ask_node(a->ask, view_of(a->argv[0]), "GET", "settings", VIEW_NONE, &answer, e));
    read_text(rows, view_of(a->argv[0]), buf_view(&answer.body));
    return RC_OK;
}

static int settings(struct admin *a)
{
    SCOPED(json_decref) json_t *rows = mem_need(json_array());
    struct err e = ERR_NONE;
    rc r = admin_connect(a, &e);
    if (r == RC_OK)
        r = a->argc > 0 ? of_node(a, rows, &e) : of_directories(a, rows, &e);
    if (r == RC_OK)
        show_rows(a, rows, columns);
    return admin_status(r, &e);
}

const struct command settings_commands[] = {
    { .name = "settings",
      .arguments = "[NODE]",
      .most = 1,
      .completes = "@node",
      .help = "the settings in force at the directories, or at a node",
      .about =
          "As the running processes have them, after their last reload. Of secrets it is told whether they are set.",
      .examples = { "heddle-admin settings node7.example.net", "heddle-admin settings --json | jq .key" },
      .run = settings },
    COMMANDS_END,
};
