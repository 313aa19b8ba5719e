#include "directory/screens/page.h"

/* ---- texts ---- */

void form_new_password(struct page *p, view label)
{
    form_input(p, &(struct input){ .name = "password",
                                   .type = "password",
                                   .autocomplete = "new-password",
                                   .label = label,
                                   .help = T("At least 8 characters; 15 or more are better.") });
    form_input(p, &(struct input){ .name = "confirm",
                                   .type = "password",
                                   .autocomplete = "new-password",
                                   .label = T("The same again") });
}

view password_problem(const struct page *p, const struct err *e)
{
    if (e->respcode == RESP_PASSWORD_MISSING)
        return T("Password not provided");
    return T(
        "The password must have at least 8 characters (15 or more are better), must not be the account's name, and "
        "must not be one of the most common passwords.");
}

/* ---- life of a page ---- */

static rc read_session(struct page *p, struct err *e)
{
    struct visit *v = visit(p);
    if (!session_read(p->rq, &v->session))
        return RC_OK;
    /* A copy that lags does not know yet that the password was changed; better than no answer it is, though. */
    rc r = account_truth(v->w->session, ACCOUNT_BY_NAME, v->session.name, p->a, &v->acc, e);
    if (r == RC_AWAY || r == RC_BUSY)
        r = account_get(v->w->session, ACCOUNT_BY_NAME, v->session.name, p->a, &v->acc, e);
    if (r == RC_NOT_FOUND)
        return RC_OK;
    TRY(r);
    if (!session_is_of(&v->session, &v->acc))
        return RC_OK;
    bool over;
    TRY(session_is_over(p->rq, &v->session, &over, e));
    v->signed_in = !over;
    if (v->signed_in) {
        p->session_id = v->session.sitting.id;
        session_touch(p->rq, &v->session);
    }
    return RC_OK;
}

static rc begin(struct page *p, unsigned flags, struct err *e)
{
    if (flags & (PAGE_SIGNED_IN | PAGE_SESSION))
        TRY(read_session(p, e));
    if (p->rq->method != POST)
        return RC_OK;
    TRY(form_read(p->rq, &p->form, e));
    if ((flags & PAGE_TOKEN) && ((flags & PAGE_SIGNED_IN) == 0 || visit(p)->signed_in) && !page_token_good(p))
        return fail(e, RC_FORBIDDEN, RESP_GENERIC, "a form without the token of this visitor");
    return RC_OK;
}

rc page_run(struct request *rq, page_fn *show, unsigned flags, struct err *e)
{
    const struct directory *d = rq->app;
    struct page *p = page_new(rq, &d->screens->site, flags & PAGE_PUBLIC);
    struct visit *v = p->visit = arena_zero(rq->arena, sizeof(*v));
    v->d = rq->app;
    v->w = rq->worker;
    rc r = begin(p, flags, e);
    if (r == RC_OK && (flags & PAGE_SIGNED_IN) && !v->signed_in)
        return page_go(p, "/account/sign-in");
    if (r == RC_OK)
        r = show(p, e);
    if (r != RC_OK)
        page_failed(p, r, e);
    return RC_OK;
}

void screens_navigation(struct page *p)
{
    HTML(p->b, "<a href=\"{}\">{}</a>\n", here(p, "/"), T("Set up"));
    if (visit(p)->signed_in) {
        HTML(p->b, "<a href=\"{}\">{}</a>\n<a href=\"{}\">{}</a>\n", here(p, "/account"), T("My account"),
             here(p, "/account/data"), T("My data"));
        HTML(
            p->b,
            "<form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"token\" value=\"{}\"><button>{}</button></form>\n",
            here(p, "/account/sign-out"), page_form_token(p), T("Sign out"));
    } else {
        HTML(p->b, "<a href=\"{}\">{}</a>\n", here(p, "/account/sign-in"), T("Sign in"));
    }
}
