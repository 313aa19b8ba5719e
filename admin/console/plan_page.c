/* Plans: what would be moved, by the planner of `heddle-admin plan`; and the start of exactly that. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/console/inside.h"
#include "admin/folder.h"
#include "common/base/encode.h"
#include "common/base/rand.h"

enum { SHOWN = 100, ID_BYTES = 8, KEPT_S = 86400 };

static const struct {
    const char *kind, *verb, *label;
} kinds[] = {
    { "rebalance", "plan rebalance", N_("Rebalance: bring all nodes to their shares") },
    { "drain", "plan drain", N_("Drain: empty a node for a while") },
    { "decommission", "plan decommission", N_("Decommission: empty a node for good") },
    { "move", "plan move", N_("Move one user") },
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct {
    const char *word, *label;
} loads[] = { { "users", N_("users") }, { "bytes", N_("bytes") }, { "requests", N_("requests") } };

/* ---- the file of a plan that was shown ---- */

static bool is_plan_id(view id)
{
    for (size_t i = 0; i < id.n; i++)
        if (!((id.p[i] >= '0' && id.p[i] <= '9') || (id.p[i] >= 'a' && id.p[i] <= 'f')))
            return false;
    return id.n == 2 * ID_BYTES;
}

static rc plan_path(struct page *p, view id, const char **out, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    TRY(folder_path(look(p)->c->admin, "console", &path, e));
    buf_addf(&path, "/%.*s.plan", VIEW_ARG(id));
    *out = arena_cstr(p->a, buf_view(&path));
    return RC_OK;
}

/* Plans that nobody started within a day. */
static void forget_old(struct page *p)
{
    SCOPED(buf_done) struct buf path = { 0 };
    if (folder_path(look(p)->c->admin, "console", &path, NULL) != RC_OK)
        return;
    DIR *d = opendir(buf_text(&path));
    for (const struct dirent *x; d && (x = readdir(d));) {
        struct stat st;
        const char *dot = strrchr(x->d_name, '.');
        if (dot && strcmp(dot, ".plan") == 0 && fstatat(dirfd(d), x->d_name, &st, 0) == 0 &&
            clock_now_s(look(p)->c->clock) - st.st_mtime > KEPT_S)
            (void)unlinkat(dirfd(d), x->d_name, 0);
    }
    if (d)
        closedir(d);
}

/* ---- showing one ---- */

static void put_nodes(struct page *p, const json_t *plan)
{
    static const char *const columns[] = { N_("Node"),       N_("Users"), N_("afterwards"), N_("Data"),
                                           N_("afterwards"), N_("Share"), N_("afterwards"), NULL };
    const json_t *row;
    double most = 1;
    size_t i;
    json_array_foreach (json_object_get(plan, "nodes"), i, row) {
        double a = json_number_value(json_object_get(row, "share_before")),
               b = json_number_value(json_object_get(row, "share_after"));
        most = a > most ? a : most;
        most = b > most ? b : most;
    }
    table_begin(p, T("The nodes, now and afterwards; a share of 1 is even"), columns);
    json_array_foreach (json_object_get(plan, "nodes"), i, row) {
        static const char *const shares[] = { "share_before", "share_after" };
        HTML(p->b, "<tr><th scope=\"row\">{}</th>", member(row, "node"));
        cell_number(p, member_show(p->a, row, "users_before"));
        cell_number(p, member_show(p->a, row, "users_after"));
        cell_number(p, bytes_of(p->a, row, "bytes_before"));
        cell_number(p, bytes_of(p->a, row, "bytes_after"));
        for (size_t k = 0; k < 2; k++) {
            HTML(p->b, "<td class=\"number\">{}", member_show(p->a, row, shares[k]));
            chart_bar(p, json_number_value(json_object_get(row, shares[k])), most,
                      text_with(p, N_("Share of {}"), member(row, "node")));
            HTML(p->b, "</td>");
        }
        HTML(p->b, "</tr>\n");
    }
    table_end(p);
}

static void put_moves(struct page *p, const json_t *plan)
{
    static const char *const columns[] = { N_("User"), N_("From"), N_("To"), N_("Records"),
                                           N_("Data"), N_("Why"),  NULL };
    const json_t *moves = json_object_get(plan, "moves");
    table_begin(p, T("Moves; the first hundred are shown"), columns);
    for (size_t i = 0; i < json_array_size(moves) && i < SHOWN; i++) {
        const json_t *m = json_array_get(moves, i);
        HTML(p->b, "<tr><th scope=\"row\">{}</th>", member(m, "user"));
        cell(p, member(m, "from"));
        cell(p, member(m, "to"));
        cell_number(p, member_show(p->a, m, "items"));
        cell_number(p, bytes_of(p->a, m, "bytes"));
        cell(p, member(m, "reason"));
        HTML(p->b, "</tr>\n");
    }
    table_end(p);
}

static void put_left(struct page *p, const json_t *plan)
{
    static const char *const columns[] = { N_("User"), N_("Why"), NULL };
    const json_t *left = json_object_get(plan, "left"), *notes = json_object_get(plan, "notes");
    if (json_array_size(left) > 0) {
        table_begin(p, T("Users who cannot be moved"), columns);
        for (size_t i = 0; i < json_array_size(left) && i < SHOWN; i++) {
            HTML(p->b, "<tr><th scope=\"row\">{}</th>", member(json_array_get(left, i), "user"));
            cell(p, member(json_array_get(left, i), "why"));
            HTML(p->b, "</tr>\n");
        }
        table_end(p);
    }
    for (size_t i = 0; i < json_array_size(notes); i++)
        HTML(p->b, "<p lang=\"en\">{}</p>\n", json_text(json_array_get(notes, i)));
}

static void put_start(struct page *p, view id)
{
    HTML(p->b, "<h2>{}</h2>\n", T("Do exactly this"));
    form_open(p, "/runs", true);
    form_hidden(p, "plan", id);
    form_input(p, &(struct input){ .name = "parallel",
                                   .type = "text",
                                   .autocomplete = "off",
                                   .label = T("Moves at a time"),
                                   .value = VIEW("4") });
    form_input(p, &(struct input){ .name = "rate",
                                   .type = "text",
                                   .autocomplete = "off",
                                   .label = T("Most bytes a second"),
                                   .help = T("Like 20m; 0: no limit."),
                                   .value = VIEW("0") });
    form_input(p,
               &(struct input){ .name = "rise",
                                .type = "text",
                                .autocomplete = "off",
                                .label = T("Hold back so that a node's latency rises by no more (per cent)"),
                                .help = T("0: do not hold back."),
                                .value = VIEW("20") });
    form_input(p, &(struct input){ .name = "window",
                                   .type = "text",
                                   .autocomplete = "off",
                                   .label = T("Only at these hours"),
                                   .help = T("Like 22:00-06:00; empty: at any time."),
                                   .optional = true });
    HTML(p->b, "<p>{}</p>\n",
         T("Each user is refused for a moment while he is moved. It can be paused and stopped at any time."));
    form_close(p, T("Start"), true);
}

static void put_totals(struct page *p, const json_t *plan)
{
    const json_t *totals = json_object_get(plan, "totals");
    HTML(p->b, "<dl class=\"figures\">\n");
    static const struct {
        const char *name, *label;
    } all[] = { { "moves", N_("Moves") }, { "items", N_("Records") } };
    for (size_t i = 0; i < 2; i++)
        HTML(p->b, "<div class=\"figure\"><dt>{}</dt><dd>{}</dd></div>\n", words_find(p->words, all[i].label),
             member_show(p->a, totals, all[i].name));
    HTML(p->b, "<div class=\"figure\"><dt>{}</dt><dd>{}</dd></div>\n</dl>\n", T("Data"),
         bytes_of(p->a, totals, "bytes"));
    int64_t skipped = member_number(json_object_get(plan, "skipped"), "moves");
    if (skipped > 0)
        HTML(p->b, "<p>{}</p>\n",
             text_with(p, N_("{} moves are not worth it: nodes so near to their share stay as they are."),
                       number_text(p->a, skipped)));
}

/* ---- asking for one ---- */

static void put_choice(struct page *p, view value, view label, view chosen)
{
    HTML(p->b, "<option value=\"{}\"", value);
    if (view_eq(value, chosen))
        HTML(p->b, " selected");
    HTML(p->b, ">{}</option>", label);
}

static void put_question(struct page *p, view kind)
{
    HTML(
        p->b,
        "<form method=\"get\" action=\"{}\">\n<p><label for=\"kind\">{}</label>\n<select id=\"kind\" name=\"kind\">",
        here(p, "/plan"), T("What"));
    for (size_t i = 0; i < N_KINDS; i++)
        put_choice(p, view_of(kinds[i].kind), words_find(p->words, kinds[i].label), kind);
    HTML(p->b, "</select></p>\n<p><label for=\"by\">{}</label>\n<select id=\"by\" name=\"by\">",
         T("The load is measured in"));
    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
        put_choice(p, view_of(loads[i].word), words_find(p->words, loads[i].label), asked(p, "by"));
    HTML(p->b, "</select></p>\n");
    form_input(p, &(struct input){ .name = "threshold",
                                   .type = "text",
                                   .autocomplete = "off",
                                   .label = T("Leave nodes alone that are so near to their share (per cent)"),
                                   .value = asked(p, "threshold").n > 0 ? asked(p, "threshold") : VIEW("2"),
                                   .optional = true });
    form_input(p, &(struct input){ .name = "node",
                                   .type = "text",
                                   .autocomplete = "off",
                                   .label = T("Node to be emptied"),
                                   .value = asked(p, "node"),
                                   .optional = true });
    form_input(p, &(struct input){ .name = "user",
                                   .type = "text",
                                   .autocomplete = "off",
                                   .label = T("User to be moved"),
                                   .value = asked(p, "user"),
                                   .optional = true });
    form_input(p, &(struct input){ .name = "to",
                                   .type = "text",
                                   .autocomplete = "off",
                                   .label = T("Node where he is to live"),
                                   .value = asked(p, "to"),
                                   .optional = true });
    form_close(p, T("Show the plan"), false);
}

static rc make(struct page *p, size_t kind, const char *file, struct act *out, struct err *e)
{
    const char *options[6] = { 0 }, *args[2] = { 0 };
    size_t n = 0;
    static const char *const named[] = { "by", "threshold" };
    for (size_t i = 0; i < 2; i++)
        if (asked(p, named[i]).n > 0)
            options[n++] = arena_text(p->a, "--%s=%.*s", named[i], VIEW_ARG(asked(p, named[i]))).p;
    if (file)
        options[n++] = arena_text(p->a, "--save=%s", file).p;
    if (strcmp(kinds[kind].kind, "move") == 0) {
        options[n++] = arena_text(p->a, "--to=%.*s", VIEW_ARG(asked(p, "to"))).p;
        args[0] = arena_cstr(p->a, asked(p, "user"));
    } else if (kind > 0) {
        args[0] = arena_cstr(p->a, asked(p, "node"));
    }
    return act_run(p, kinds[kind].verb, options, args, out, e);
}

static rc put_plan(struct page *p, size_t kind, struct err *e)
{
    SCOPED(act_done) struct act x = { 0 };
    SCOPED(buf_done) struct buf id = { 0 };
    const char *file = NULL;
    if (may(p, ROLE_ADMIN)) {
        uint8_t bytes[ID_BYTES];
        rand_bytes(bytes, sizeof(bytes));
        hex_put(&id, (view){ .p = (const char *)bytes, .n = sizeof(bytes) });
        forget_old(p);
        TRY(plan_path(p, buf_view(&id), &file, e));
    }
    TRY(make(p, kind, file, &x, e));
    const json_t *plan = act_first(&x);
    if (!plan) {
        page_problem(p, view_of(x.wrong));
        return RC_OK;
    }
    put_totals(p, plan);
    put_nodes(p, plan);
    bool some = json_array_size(json_object_get(plan, "moves")) > 0;
    if (some)
        put_moves(p, plan);
    else
        HTML(p->b, "<p role=\"status\">{}</p>\n", T("There is nothing to move."));
    put_left(p, plan);
    if (file && some)
        put_start(p, buf_view(&id));
    return RC_OK;
}

rc show_plan(struct page *p, struct err *e)
{
    view kind = asked(p, "kind");
    console_head(p, T("Plan"));
    put_question(p, kind);
    for (size_t i = 0; i < N_KINDS; i++)
        if (view_eq(kind, view_of(kinds[i].kind)))
            TRY(put_plan(p, i, e));
    console_foot(p);
    return RC_OK;
}

/* ---- starting it ---- */

rc do_run_start(struct page *p, struct err *e)
{
    static const char *const named[] = { "parallel", "rate", "rise", "window" };
    SCOPED(act_done) struct act x = { 0 };
    const char *options[5] = { 0 }, *args[2] = { 0 };
    size_t n = 0;
    view id = form_field(&p->form, "plan");
    if (!is_plan_id(id))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "no plan of this console");
    TRY(plan_path(p, id, &args[0], e));
    for (size_t i = 0; i < 4; i++) {
        view v = view_trim(form_field(&p->form, named[i]));
        if (v.n > 0)
            options[n++] = arena_text(p->a, "--%s=%.*s", named[i], VIEW_ARG(v)).p;
    }
    TRY(act_run(p, "run prepare", options, args, &x, e));
    TRY(act_result(&x, e));
    const char *run = arena_cstr(p->a, member(act_first(&x), "run"));
    (void)unlink(args[0]); /* once */
    const char *const words[] = { "run", "resume", run, "--json", NULL };
    TRY(start_command(p, words, e));
    await_begun(p, view_of(run));
    return go_done(p, arena_text(p->a, "/runs/%s", run).p, "started");
}
