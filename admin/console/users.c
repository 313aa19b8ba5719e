/* Users: finding one, what there is of him and why he is where he is, and what may be done. Never a password. */
#include <inttypes.h>

#include "admin/console/inside.h"

/* ---- searching ---- */

static void put_user(struct page *p, const json_t *row)
{
    HTML(p->b, "<tr><th scope=\"row\"><a href=\"{}\">{}</a></th>",
         here(p, arena_text(p->a, "/users/%" PRId64, member_number(row, "uid")).p), member(row, "name"));
    cell(p, member(row, "mail"));
    cell(p, member(row, "node"));
    cell(p, json_is_false(json_object_get(row, "enabled")) ? T("no") : T("yes"));
    cell(p, member(row, "intent"));
    HTML(p->b, "</tr>\n");
}

static rc put_found(struct page *p, view q, struct err *e)
{
    static const char *const columns[] = {
        N_("Name"), N_("Mail address"), N_("Node"), N_("Enabled"), N_("On the way to another node"), NULL
    };
    SCOPED(act_done) struct act x = { 0 };
    const char *const args[] = { arena_cstr(p->a, q), NULL };
    const json_t *row;
    size_t i;
    TRY(act_run(p, "user search", NULL, args, &x, e));
    TRY(act_result(&x, e));
    if (json_array_size(x.lines) == 0) {
        HTML(p->b, "<p role=\"status\">{}</p>\n", T("Nobody's name or mail address begins so."));
        return RC_OK;
    }
    table_begin(p, T("Users found; at most a hundred are shown"), columns);
    json_array_foreach (x.lines, i, row)
        put_user(p, row);
    table_end(p);
    return RC_OK;
}

rc show_users(struct page *p, struct err *e)
{
    view q = asked(p, "q");
    console_head(p, T("Users"));
    HTML(p->b, "<form class=\"search\" role=\"search\" method=\"get\" action=\"{}\">\n", here(p, "/users"));
    form_input(p, &(struct input){ .name = "q",
                                   .type = "search",
                                   .autocomplete = "off",
                                   .label = T("The beginning of a name or of a mail address"),
                                   .value = q });
    form_close(p, T("Search"), false);
    if (q.n > 0)
        TRY(put_found(p, q, e));
    console_foot(p);
    return RC_OK;
}

/* ---- one ---- */

static void put_account(struct page *p, const json_t *u)
{
    const json_t *head = json_object_get(u, "head");
    HTML(p->b, "<dl>\n");
    fact(p, T("Account number"), arena_text(p->a, "%" PRId64, member_number(u, "uid")));
    fact(p, T("Mail address"), member(u, "mail"));
    fact(p, T("Enabled"), json_is_false(json_object_get(u, "enabled")) ? T("no") : T("yes"));
    fact(p, T("Disabled since"), time_text(p->a, member_number(u, "disabled")));
    fact(p, T("Created"), time_text(p->a, member_number(u, "created")));
    fact(p, T("Password changed"), time_text(p->a, member_number(u, "password_since")));
    fact(p, T("State of the data"), member(head, "state"));
    fact(p, T("Used, at most"), bytes_of(p->a, head, "used_bytes"));
    fact(p, T("Quota"),
         member_number(head, "quota_bytes") > 0 ? bytes_of(p->a, head, "quota_bytes") : T("none of his own"));
    HTML(p->b, "</dl>\n");
}

static void put_where(struct page *p, const json_t *x, const json_t *u)
{
    const json_t *fresh = json_object_get(x, "fresh");
    view node = member(u, "node");
    HTML(p->b, "<h2>{}</h2>\n<dl>\n", T("Where, and why"));
    fact(p, T("Node"), node);
    fact(p, T("State of the node"), member(x, "state"));
    fact(p, T("Since"), time_text(p->a, member_number(x, "since")));
    fact(p, T("Why"), member(x, "why"));
    fact(p, T("Times moved or begun anew"), member_show(p->a, u, "epoch"));
    fact(p, T("On the way to another node"), member(u, "intent"));
    fact(p, T("Somebody new would go to"), member(fresh, "node"));
    fact(p, T("By the rule"), member_show(p->a, fresh, "rule"));
    HTML(p->b, "</dl>\n");
}

static void put_usage(struct page *p, const json_t *usage)
{
    static const char *const columns[] = { N_("Collection"), N_("Records"), N_("Data"), N_("Last change"),
                                           NULL };
    const json_t *coll;
    double most = 0;
    size_t i;
    json_array_foreach (json_object_get(usage, "colls"), i, coll)
        most = json_number_value(json_object_get(coll, "bytes")) > most
                   ? json_number_value(json_object_get(coll, "bytes"))
                   : most;
    HTML(p->b, "<h2>{}</h2>\n", T("What is stored"));
    table_begin(p, T("Data by collection; all of it is encrypted"), columns);
    json_array_foreach (json_object_get(usage, "colls"), i, coll) {
        HTML(p->b, "<tr><th scope=\"row\">{}</th>", member(coll, "name"));
        cell_number(p, member_show(p->a, coll, "items"));
        HTML(p->b, "<td class=\"number\">{}", bytes_of(p->a, coll, "bytes"));
        chart_bar(p, json_number_value(json_object_get(coll, "bytes")), most,
                  text_with(p, N_("Data of {}, beside the largest collection"), member(coll, "name")));
        HTML(p->b, "</td>");
        cell_number(p, time_text(p->a, member_number(coll, "modified") * 10));
        HTML(p->b, "</tr>\n");
    }
    table_end(p);
}

static void put_acts(struct page *p, const json_t *u)
{
    const char *path = arena_text(p->a, "/users/%" PRId64, member_number(u, "uid")).p;
    bool enabled = !json_is_false(json_object_get(u, "enabled"));
    if (!may(p, ROLE_HELPER))
        return;
    HTML(p->b, "<h2>{}</h2>\n<div class=\"acts\">\n", T("What can be done"));
    button_form(p, arena_text(p->a, "%s/%s", path, enabled ? "disable" : "enable").p, NULL, VIEW_NONE,
                enabled ? T("Disable the account") : T("Enable the account"), enabled);
    HTML(p->b, "</div>\n");
    form_open(p, arena_text(p->a, "%s/reset", path).p, true);
    if (may(p, ROLE_ADMIN)) /* whoever reads the mails of the new address gets the account */
        form_input(
            p,
            &(struct input){
                .name = "mail",
                .type = "email",
                .autocomplete = "off",
                .label = T("New mail address, for who has lost the old one"),
                .help = T(
                    "Leave it empty to keep the address. A link goes there by which the user chooses a password; nobody else ever sees it."),
                .optional = true });
    form_close(p, T("Start a password reset"), false);
}

static void put_admin_acts(struct page *p, const json_t *u)
{
    const char *path = arena_text(p->a, "/users/%" PRId64, member_number(u, "uid")).p;
    HTML(p->b, "<form method=\"get\" action=\"{}\">\n", here(p, "/plan"));
    form_hidden(p, "kind", VIEW("move"));
    form_hidden(p, "user", arena_text(p->a, "%" PRId64, member_number(u, "uid")));
    form_input(p, &(struct input){
                      .name = "to", .type = "text", .autocomplete = "off", .label = T("Move to the node") });
    form_close(p, T("Show the plan"), false);
    form_open(p, arena_text(p->a, "%s/quota", path).p, true);
    form_input(p, &(struct input){ .name = "quota",
                                   .type = "text",
                                   .autocomplete = "off",
                                   .label = T("Quota"),
                                   .help = T("Like 50m; \"default\" takes it away.") });
    form_close(p, T("Change the quota"), false);
    form_open(p, arena_text(p->a, "%s/delete", path).p, true);
    form_input(p, &(struct input){ .name = "name",
                                   .type = "text",
                                   .autocomplete = "off",
                                   .label = T("Delete: type the account's name"),
                                   .help = T("The account and all its data are deleted, for ever.") });
    form_close(p, T("Delete the account"), true);
}

rc show_user(struct page *p, struct err *e)
{
    SCOPED(act_done) struct act u = { 0 };
    SCOPED(act_done) struct act usage = { 0 };
    SCOPED(act_done) struct act why = { 0 };
    const char *const args[] = { arena_cstr(p->a, p->rq->params[0]), NULL };
    const char *const by[] = { "--by=uid", NULL };
    TRY(act_run(p, "user show", NULL, args, &u, e));
    if (!act_first(&u))
        return act_result(&u, e);
    TRY(act_run(p, "explain", by, args, &why, e));
    TRY(act_run(p, "user usage", NULL, args, &usage, e));
    console_head(p, member(act_first(&u), "name"));
    if (u.status != EXIT_DONE) /* the directory has him, his node does not answer */
        page_problem(p, view_of(u.wrong));
    put_account(p, act_first(&u));
    put_where(p, act_first(&why), act_first(&u));
    if (usage.status == EXIT_DONE)
        put_usage(p, act_first(&usage));
    HTML(p->b, "<p><a href=\"{}\">{}</a></p>\n",
         here(p, arena_text(p->a, "/audit?user=%" PRId64, member_number(act_first(&u), "uid")).p),
         T("What was done with this user"));
    put_acts(p, act_first(&u));
    if (may(p, ROLE_ADMIN))
        put_admin_acts(p, act_first(&u));
    console_foot(p);
    return RC_OK;
}

/* ---- doing ---- */

static rc name_typed(struct page *p, const char *uid, struct err *e)
{
    SCOPED(act_done) struct act x = { 0 };
    const char *const args[] = { uid, NULL };
    TRY(act_run(p, "user show", NULL, args, &x, e));
    if (!act_first(&x))
        return act_result(&x, e);
    if (!view_eq(view_trim(form_field(&p->form, "name")), member(act_first(&x), "name")))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "the name that was typed is not the account's");
    return RC_OK;
}

rc do_user(struct page *p, struct err *e)
{
    SCOPED(act_done) struct act x = { 0 };
    const char *uid = arena_cstr(p->a, p->rq->params[0]), *pattern = p->rq->route->path,
               *act = strrchr(pattern, '/') + 1;
    view mail = view_trim(form_field(&p->form, "mail"));
    const char *const options[] = { strcmp(act, "reset") == 0 && mail.n > 0
                                        ? arena_text(p->a, "--mail=%.*s", VIEW_ARG(mail)).p
                                        : NULL,
                                    NULL };
    const char *args[] = { uid, NULL, NULL };
    static const struct {
        const char *act, *verb, *done;
    } acts[] = { { "reset", "user reset", "reset" },
                 { "disable", "user disable", "disabled" },
                 { "enable", "user enable", "enabled" },
                 { "quota", "user quota", "quota" },
                 { "delete", "user delete", "deleted" } };
    size_t i = 0;
    if (mail.n > 0 && !may(p, ROLE_ADMIN))
        return fail(e, RC_FORBIDDEN, RESP_GENERIC, "a new mail address is for admins to set");
    while (strcmp(acts[i].act, act) != 0)
        i++;
    if (strcmp(act, "quota") == 0)
        args[1] = arena_cstr(p->a, view_trim(form_field(&p->form, "quota")));
    if (strcmp(act, "delete") == 0)
        TRY(name_typed(p, uid, e));
    TRY(act_run(p, acts[i].verb, options, args, &x, e));
    TRY(act_result(&x, e));
    return go_done(p, strcmp(act, "delete") == 0 ? "/users" : arena_text(p->a, "/users/%s", uid).p,
                   acts[i].done);
}
