/* Invite codes: made, listed, revoked. A code stands on the page that answers the one who made it, and nowhere else. */
#include <inttypes.h>

#include "admin/console/inside.h"

static const char *const states[] = { N_("good"), N_("used up"), N_("expired") };

static view state_text(const struct page *p, view state)
{
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (view_eq(state, view_of(states[i])))
            return words_find(p->words, states[i]);
    return state;
}

static void put_invite(struct page *p, const json_t *x)
{
    HTML(p->b, "<tr><th scope=\"row\">{}</th>", member(x, "id"));
    cell(p, state_text(p, member(x, "state")));
    cell_number(
        p, arena_text(p->a, "%" PRId64 " / %" PRId64, member_number(x, "left"), member_number(x, "uses")));
    cell(p, time_text(p->a, member_number(x, "ends")));
    cell(p, time_text(p->a, member_number(x, "made")));
    cell(p, member(x, "by"));
    HTML(p->b, "<td class=\"long\">{}</td>", member(x, "note"));
    if (may(p, ROLE_ADMIN)) {
        HTML(p->b, "<td>");
        button_form(p, "/invites/revoke", "id", member(x, "id"),
                    text_with(p, N_("Revoke {}"), member(x, "id")), true);
        HTML(p->b, "</td>");
    }
    HTML(p->b, "</tr>\n");
}

static rc put_list(struct page *p, struct err *e)
{
    static const char *const columns[] = { N_("Code"), N_("State"), N_("Left"), N_("Ends"),
                                           N_("Made"), N_("By"),    N_("Note"), N_("What can be done"),
                                           NULL };
    const char *shown[9] = { 0 };
    SCOPED(act_done) struct act x = { 0 };
    const json_t *row;
    size_t i;
    TRY(act_run(p, "invite list", NULL, NULL, &x, e));
    TRY(act_result(&x, e));
    if (json_array_size(x.lines) == 0) {
        HTML(p->b, "<p>{}</p>\n", T("There are no invite codes."));
        return RC_OK;
    }
    for (i = 0; columns[i] && (may(p, ROLE_ADMIN) || i < 7); i++)
        shown[i] = columns[i];
    table_begin(p, T("Invite codes, by their first group"), shown);
    json_array_foreach (x.lines, i, row)
        put_invite(p, row);
    table_end(p);
    return RC_OK;
}

static void put_make_form(struct page *p)
{
    HTML(p->b, "<h2>{}</h2>\n", T("Make a code"));
    form_open(p, "/invites", true);
    form_input(p, &(struct input){ .name = "uses",
                                   .type = "text",
                                   .autocomplete = "off",
                                   .label = T("Good for so many accounts"),
                                   .value = VIEW("1") });
    form_input(p, &(struct input){ .name = "expires",
                                   .type = "text",
                                   .autocomplete = "off",
                                   .label = T("Good for so long"),
                                   .help = T("Like 7d or 12h."),
                                   .value = VIEW("30d") });
    form_input(
        p, &(struct input){ .name = "note",
                            .type = "text",
                            .autocomplete = "off",
                            .label = T("Note"),
                            .help = T("For whom it is, say; it stands in the list and in the audit trail."),
                            .optional = true });
    form_close(p, T("Make a code"), false);
}

static rc page_with(struct page *p, view code, struct err *e)
{
    console_head(p, T("Invite codes"));
    if (code.n > 0) {
        page_done(p, T("The code is made. It is shown this once."));
        HTML(p->b, "<p><code id=\"code\">{}</code></p>\n", code);
    }
    TRY(put_list(p, e));
    if (may(p, ROLE_ADMIN))
        put_make_form(p);
    console_foot(p);
    return RC_OK;
}

rc show_invites(struct page *p, struct err *e)
{
    return page_with(p, VIEW_NONE, e);
}

rc do_invite_make(struct page *p, struct err *e)
{
    static const char *const named[] = { "uses", "expires", "note" };
    SCOPED(act_done) struct act x = { 0 };
    const char *options[4] = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < 3; i++) {
        view v = view_trim(form_field(&p->form, named[i]));
        if (v.n > 0)
            options[n++] = arena_text(p->a, "--%s=%.*s", named[i], VIEW_ARG(v)).p;
    }
    TRY(act_run(p, "invite make", options, NULL, &x, e));
    TRY(act_result(&x, e));
    return page_with(p, arena_copy(p->a, member(act_first(&x), "code")), e);
}

rc do_invite_revoke(struct page *p, struct err *e)
{
    SCOPED(act_done) struct act x = { 0 };
    const char *const args[] = { arena_cstr(p->a, form_field(&p->form, "id")), NULL };
    TRY(act_run(p, "invite revoke", NULL, args, &x, e));
    TRY(act_result(&x, e));
    return go_done(p, "/invites", "revoked");
}
