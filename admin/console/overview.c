/* The cluster at a glance, and the nodes. */
#include "admin/console/inside.h"

/* ---- words ---- */

/* States and health as they are shown: a constant English word, translated. */
static const char *const words[] = { N_("open"), N_("closed"), N_("draining"), N_("down"),
                                     N_("good"), N_("silent"), N_("unknown") };

static view word(const struct page *p, view text)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (view_eq(text, view_of(words[i])))
            return words_find(p->words, words[i]);
    return text;
}

static void state_cell(struct page *p, view state)
{
    HTML(p->b, "<td><span class=\"state state-{}\">{}</span></td>", state, word(p, state));
}

/* ---- figures of all nodes ---- */

struct totals {
    double users, bytes, rps, users_most, bytes_most, latency_most;
    size_t nodes, good;
};

static struct totals add_up(const json_t *rows)
{
    struct totals t = { 0 };
    const json_t *row;
    size_t i;
    json_array_foreach (rows, i, row) {
        const json_t *load = json_object_get(row, "load");
        t.nodes++;
        t.good += view_eq(member(row, "health"), VIEW("good"));
        t.users += json_member_real(load, "users");
        t.bytes += json_member_real(load, "bytes");
        t.rps += json_member_real(load, "rps");
        t.users_most =
            json_member_real(load, "users") > t.users_most ? json_member_real(load, "users") : t.users_most;
        t.bytes_most =
            json_member_real(load, "bytes") > t.bytes_most ? json_member_real(load, "bytes") : t.bytes_most;
    }
    return t;
}

static void big_number(struct page *p, view label, view value)
{
    HTML(p->b, "<div class=\"figure\"><dt>{}</dt><dd>{}</dd></div>\n", label, value);
}

static void put_totals(struct page *p, const struct totals *t)
{
    HTML(p->b, "<dl class=\"figures\">\n");
    big_number(p, T("Nodes in good health"), arena_text(p->a, "%zu / %zu", t->good, t->nodes));
    big_number(p, T("Users"), number_text(p->a, (int64_t)t->users));
    big_number(p, T("Data"), size_text(p->a, (int64_t)t->bytes));
    big_number(p, T("Requests a second"), arena_text(p->a, "%.1f", t->rps));
    HTML(p->b, "</dl>\n");
}

/* ---- the table ---- */

/* A figure and a bar of it. */
static void bar_cell(struct page *p, const json_t *load, const char *name, double most, view text, view label)
{
    HTML(p->b, "<td class=\"number\">{}", json_object_get(load, name) ? text : VIEW("–"));
    if (json_object_get(load, name))
        chart_bar(p, json_member_real(load, name), most, label);
    HTML(p->b, "</td>");
}

/* A figure and its last hour. */
static void line_cell(struct page *p, const json_t *load, const char *name, view text, const double *values,
                      size_t n, view label)
{
    HTML(p->b, "<td class=\"number\">{}", json_object_get(load, name) ? text : VIEW("–"));
    if (n > 1)
        chart_line(p, values, n, label);
    HTML(p->b, "</td>");
}

static void put_node(struct page *p, const json_t *row, const struct totals *t)
{
    const json_t *load = json_object_get(row, "load");
    view name = member(row, "name");
    struct series *s = arena_zero(p->a, sizeof(*s));
    watch_series(look(p)->c->watch, name, s);
    HTML(p->b, "<tr><th scope=\"row\"><a href=\"{}\">{}</a></th>",
         here(p, arena_text(p->a, "/nodes/%.*s", VIEW_ARG(name)).p), name);
    state_cell(p, member(row, "state"));
    state_cell(p, member(row, "health"));
    bar_cell(p, load, "users", t->users_most, number_text(p->a, member_number(load, "users")),
             text_with(p, N_("Users of {}, beside the fullest node"), name));
    bar_cell(p, load, "bytes", t->bytes_most, size_text(p->a, member_number(load, "bytes")),
             text_with(p, N_("Data of {}, beside the fullest node"), name));
    line_cell(p, load, "rps", arena_text(p->a, "%.1f", json_member_real(load, "rps")), s->rps, s->n,
              text_with(p, N_("Requests of {} in the last hour"), name));
    line_cell(p, load, "latency_ms", arena_text(p->a, "%.2f ms", json_member_real(load, "latency_ms")),
              s->latency_ms, s->n, text_with(p, N_("Latency of {} in the last hour"), name));
    cell_number(p, bytes_of(p->a, load, "disk_free"));
    HTML(p->b, "</tr>\n");
}

static void put_table(struct page *p, const json_t *rows, const struct totals *t)
{
    static const char *const columns[] = { N_("Node"),    N_("State"),     N_("Health"),
                                           N_("Users"),   N_("Data"),      N_("Requests a second"),
                                           N_("Latency"), N_("Free disk"), NULL };
    const json_t *row;
    size_t i;
    table_begin(p, T("Nodes, and what they last told of themselves"), columns);
    json_array_foreach (rows, i, row)
        put_node(p, row, t);
    table_end(p);
}

/* ---- pages ---- */

static rc put_picture(struct page *p, struct err *e)
{
    SCOPED(json_decref) json_t *rows = NULL;
    struct err why = ERR_NONE;
    (void)e;
    if (watch_nodes(look(p)->c->watch, &rows, &why) != RC_OK) {
        page_problem(p, T("No directory answers: there are no figures now."));
        HTML(p->b, "<p><code>{}</code></p>\n", view_of(why.text));
        return RC_OK;
    }
    struct totals t = add_up(rows);
    put_totals(p, &t);
    put_table(p, rows, &t);
    return RC_OK;
}

rc show_overview(struct page *p, struct err *e)
{
    console_head(p, T("Overview"));
    live_begin(p, "/live/overview");
    TRY(put_picture(p, e));
    live_end(p);
    console_foot(p);
    return RC_OK;
}

rc live_overview(struct page *p, struct err *e)
{
    return live_reply(p, put_picture, 2000, e);
}

/* ---- one node, and a new one ---- */

static void put_add_form(struct page *p)
{
    HTML(p->b, "<h2>{}</h2>\n", T("Add a node"));
    form_open(p, "/nodes", true);
    form_input(
        p, &(struct input){ .name = "url",
                            .type = "url",
                            .autocomplete = "off",
                            .label = T("Its address"),
                            .help = T("The node's own, like https://node7.example.net: tokens carry it.") });
    form_input(p, &(struct input){ .name = "capacity",
                                   .type = "text",
                                   .autocomplete = "off",
                                   .label = T("Capacity"),
                                   .help = T("How many users it shall hold; shares are measured by it.") });
    form_close(p, T("Add"), false);
}

rc show_nodes(struct page *p, struct err *e)
{
    console_head(p, T("Nodes"));
    live_begin(p, "/live/overview");
    TRY(put_picture(p, e));
    live_end(p);
    if (may(p, ROLE_ADMIN))
        put_add_form(p);
    console_foot(p);
    return RC_OK;
}

rc do_node_add(struct page *p, struct err *e)
{
    SCOPED(act_done) struct act x = { 0 };
    view url = form_field(&p->form, "url"), capacity = form_field(&p->form, "capacity");
    const char *const args[] = { arena_cstr(p->a, view_trim(url)),
                                 arena_text(p->a, "capacity=%.*s", VIEW_ARG(view_trim(capacity))).p, NULL };
    TRY(act_run(p, "node add", NULL, args, &x, e));
    TRY(act_result(&x, e));
    return go_done(p, "/nodes", "added");
}

/* What may be done with a node. Those that move people are processes of their own. */
static const struct {
    const char *act, *verb, *label, *done;
    bool dangerous, long_one;
} node_acts[] = {
    { "open", "node open", N_("Open for new users"), "changed", false, false },
    { "close", "node close", N_("Close for new users"), "changed", false, false },
    { "drain", "node drain", N_("Drain: move everybody away for a while"), "started", true, true },
    { "undrain", "node undrain", N_("Stop draining and open again"), "changed", false, false },
    { "decommission", "node decommission", N_("Decommission: move everybody away for good"), "started", true,
      true },
    { "remove", "node remove", N_("Remove a node on which nothing is left"), "removed", true, false },
};

static void put_node_forms(struct page *p, view name, const json_t *entry)
{
    const char *path = arena_text(p->a, "/nodes/%.*s", VIEW_ARG(name)).p;
    HTML(p->b, "<h2>{}</h2>\n<div class=\"acts\">\n", T("What can be done"));
    for (size_t i = 0; i < sizeof(node_acts) / sizeof(node_acts[0]); i++)
        button_form(p, arena_text(p->a, "%s/%s", path, node_acts[i].act).p, NULL, VIEW_NONE,
                    words_find(p->words, node_acts[i].label), node_acts[i].dangerous);
    HTML(p->b, "</div>\n");
    form_open(p, arena_text(p->a, "%s/weight", path).p, true);
    form_input(
        p, &(struct input){ .name = "capacity",
                            .type = "text",
                            .autocomplete = "off",
                            .label = T("Capacity"),
                            .value = arena_text(p->a, "%lld", (long long)member_number(entry, "capacity")) });
    form_close(p, T("Change the capacity"), false);
    form_open(p, arena_text(p->a, "%s/maintenance", path).p, true);
    form_input(p, &(struct input){ .name = "text",
                                   .type = "text",
                                   .autocomplete = "off",
                                   .label = T("Maintenance: a text that clients show"),
                                   .optional = true });
    HTML(
        p->b,
        "<p><button name=\"on\" value=\"on\">{}</button> <button name=\"on\" value=\"off\">{}</button></p>\n</form>\n",
        T("Begin maintenance"), T("End maintenance"));
}

rc show_node(struct page *p, struct err *e)
{
    SCOPED(act_done) struct act x = { 0 };
    view name = p->rq->params[0];
    const char *const args[] = { arena_cstr(p->a, name), NULL };
    TRY(act_run(p, "node show", NULL, args, &x, e));
    TRY(act_result(&x, e));
    const json_t *entry = act_first(&x), *load = json_object_get(entry, "load");
    console_head(p, name);
    HTML(p->b, "<dl>\n");
    fact(p, T("State"), word(p, member(entry, "state")));
    fact(p, T("Address"), member(entry, "address"));
    fact(p, T("Pools"), member(entry, "pools"));
    fact(p, T("Capacity"), member_show(p->a, entry, "capacity"));
    fact(p, T("Free seats"), member_show(p->a, entry, "seats"));
    fact(p, T("Users"), member_show(p->a, load, "users"));
    fact(p, T("Data"), bytes_of(p->a, load, "bytes"));
    fact(p, T("Requests a second"), member_show(p->a, load, "rps"));
    fact(p, T("Latency"), member_show(p->a, load, "latency_ms"));
    fact(p, T("Free disk"), bytes_of(p->a, load, "disk_free"));
    HTML(p->b, "</dl>\n<p><a href=\"{}\">{}</a></p>\n",
         here(p, arena_text(p->a, "/audit?node=%.*s", VIEW_ARG(name)).p), T("What was done with this node"));
    if (may(p, ROLE_ADMIN))
        put_node_forms(p, name, entry);
    console_foot(p);
    return RC_OK;
}

static rc run_short(struct page *p, const char *verb, const char *const *options, const char *const *args,
                    struct err *e)
{
    SCOPED(act_done) struct act x = { 0 };
    TRY(act_run(p, verb, options, args, &x, e));
    return act_result(&x, e);
}

rc do_node(struct page *p, struct err *e)
{
    const char *name = arena_cstr(p->a, p->rq->params[0]), *page = arena_text(p->a, "/nodes/%s", name).p;
    view act = p->rq->params[1];
    if (view_eq(act, VIEW("weight"))) {
        const char *const args[] = { name, arena_cstr(p->a, view_trim(form_field(&p->form, "capacity"))),
                                     NULL };
        TRY(run_short(p, "node weight", NULL, args, e));
        return go_done(p, page, "changed");
    }
    if (view_eq(act, VIEW("maintenance"))) {
        bool on = view_eq(form_field(&p->form, "on"), VIEW("on"));
        view text = form_field(&p->form, "text");
        const char *const options[] = { on && text.n > 0 ? arena_text(p->a, "--text=%.*s", VIEW_ARG(text)).p
                                                         : NULL,
                                        NULL };
        const char *const args[] = { name, on ? "on" : "off", NULL };
        TRY(run_short(p, "node maintenance", options, args, e));
        return go_done(p, page, "changed");
    }
    for (size_t i = 0; i < sizeof(node_acts) / sizeof(node_acts[0]); i++) {
        if (!view_eq(act, view_of(node_acts[i].act)))
            continue;
        const char *const args[] = { name, NULL }, *const start[] = { "node",  node_acts[i].act, name,
                                                                      "--yes", "--json",         NULL };
        TRY(node_acts[i].long_one ? start_command(p, start, e)
                                  : run_short(p, node_acts[i].verb, NULL, args, e));
        bool gone = strcmp(node_acts[i].act, "remove") == 0;
        return go_done(p, node_acts[i].long_one ? "/runs" : gone ? "/nodes" : page, node_acts[i].done);
    }
    return fail(e, RC_NOT_FOUND, RESP_GENERIC, "no such thing to do with a node");
}
