/* The settings in force, without secrets. */
#include <inttypes.h>

#include "admin/console/inside.h"

static view value_text(struct page *p, const struct conf_key *k, const void *target)
{
    const char *at = (const char *)target + k->offset;
    const struct conf_list *list = (const void *)at;
    SCOPED(buf_done) struct buf b = { 0 };
    if (k->flags & CONF_SECRET) {
        bool set = k->type == CONF_LIST ? list->n > 0 : (*(char *const *)(const void *)at)[0] != '\0';
        return set ? T("(set)") : T("(not set)");
    }
    switch (k->type) {
    case CONF_LIST:
        for (size_t i = 0; i < list->n; i++)
            buf_addf(&b, "%s%s", i ? ", " : "", list->items[i]);
        break;
    case CONF_TEXT:
        buf_add(&b, view_of(*(char *const *)(const void *)at));
        break;
    case CONF_BOOL:
        buf_add(&b, *(const bool *)at ? VIEW("yes") : VIEW("no"));
        break;
    default:
        buf_addf(&b, "%" PRId64 "%s%s", *(const int64_t *)(const void *)at, k->unit[0] ? " " : "", k->unit);
    }
    return arena_copy(p->a, buf_view(&b));
}

static void put_keys(struct page *p, const struct conf_key *keys, size_t n, const void *target)
{
    for (size_t i = 0; i < n; i++) {
        HTML(p->b, "<tr><th scope=\"row\"><code>{}</code></th>", view_of(keys[i].name));
        HTML(p->b, "<td class=\"long\">{}</td><td class=\"long\" lang=\"en\">{}</td></tr>\n",
             value_text(p, &keys[i], target), view_of(keys[i].help));
    }
}

/* ---- of directories and nodes ---- */

static void put_rows(struct page *p, const json_t *lines)
{
    static const char *const columns[] = { N_("Where"), N_("Key"), N_("Value"), NULL };
    const json_t *row;
    size_t i;
    table_begin(p, T("Settings of directories, or of a node"), columns);
    json_array_foreach (lines, i, row) {
        HTML(p->b, "<tr>");
        cell(p, member(row, "where"));
        HTML(p->b, "<th scope=\"row\"><code>{}</code></th><td class=\"long\">{}</td></tr>\n",
             member(row, "key"), member(row, "value"));
    }
    table_end(p);
}

static rc put_elsewhere(struct page *p, struct err *e)
{
    SCOPED(act_done) struct act x = { 0 };
    view of = asked(p, "of");
    const char *const args[] = { view_eq(of, VIEW("directories")) ? NULL : arena_cstr(p->a, of), NULL };
    TRY(act_run(p, "settings", NULL, args, &x, e));
    if (x.status != EXIT_DONE)
        page_problem(p, view_of(x.wrong));
    else
        put_rows(p, x.lines);
    return RC_OK;
}

static void put_choice(struct page *p)
{
    SCOPED(json_decref) json_t *nodes = NULL;
    struct err e = ERR_NONE;
    const json_t *row;
    size_t i;
    HTML(p->b, "<ul class=\"choices\">\n<li><a href=\"{}\">{}</a></li>\n",
         here(p, "/settings?of=directories"), T("Directories"));
    if (watch_nodes(look(p)->c->watch, &nodes, &e) == RC_OK)
        json_array_foreach (nodes, i, row)
            HTML(p->b, "<li><a href=\"{}\">{}</a></li>\n",
                 here(p, arena_text(p->a, "/settings?of=%.*s", VIEW_ARG(member(row, "name"))).p),
                 member(row, "name"));
    HTML(p->b, "</ul>\n");
}

rc show_settings(struct page *p, struct err *e)
{
    static const char *const columns[] = { N_("Key"), N_("Value"), N_("What it is"), NULL };
    const struct console *c = look(p)->c;
    console_head(p, T("Settings"));
    HTML(p->b, "<p>{}</p>\n", T("What is in force. Secrets are never shown."));
    put_choice(p);
    if (asked(p, "of").n > 0) {
        TRY(put_elsewhere(p, e));
        console_foot(p);
        return RC_OK;
    }
    table_begin(p, T("Settings of the console and of heddle-admin"), columns);
    put_keys(p, console_conf_keys, console_conf_keys_n, c->conf);
    put_keys(p, admin_conf_keys, admin_conf_keys_n, c->admin);
    table_end(p);
    console_foot(p);
    return RC_OK;
}
