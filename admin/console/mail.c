/* The newest mail of a one box that sends none. Whoever looks is in the audit trail: it may hold a link with which a password is set. */
#include "admin/console/inside.h"

static void put_mail(struct page *p, const json_t *m)
{
    HTML(p->b, "<dl>\n");
    fact(p, T("Written"), time_text(p->a, member_number(m, "made")));
    fact(p, T("Sender"), member(m, "from"));
    fact(p, T("Recipient"), member(m, "to"));
    fact(p, T("Date"), member(m, "date"));
    fact(p, T("Subject"), member(m, "subject"));
    HTML(p->b, "</dl>\n<pre class=\"mail\">{}</pre>\n", member(m, "text"));
    if (json_is_true(json_object_get(m, "cut")))
        HTML(p->b, "<p>{}</p>\n", T("The text is longer; this is its beginning."));
}

rc show_mail(struct page *p, struct err *e)
{
    SCOPED(act_done) struct act x = { 0 };
    TRY(act_run(p, "mail newest", NULL, NULL, &x, e));
    if (x.status != EXIT_NOT_FOUND)
        TRY(act_result(&x, e));
    console_head(p, T("The newest mail"));
    if (x.status == EXIT_NOT_FOUND)
        HTML(
            p->b, "<p>{}</p>\n",
            T("There is none. Mails are shown here by the one box alone, while it keeps them in a folder and has no relay."));
    else
        put_mail(p, act_first(&x));
    console_foot(p);
    return RC_OK;
}
