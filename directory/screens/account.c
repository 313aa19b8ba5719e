/* What somebody who is signed in can do with the account. Whatever changes a credential asks for the present password again. */
#include "common/auth/basic.h"
#include "common/base/log.h"
#include "directory/screens/node_client.h"
#include "directory/screens/page.h"

/* ---- overview ---- */

static view done_text(const struct page *p)
{
    const struct query_arg *done = request_arg(p->rq, "done");
    view what = done ? done->value : VIEW_NONE;
    return view_eq(what, VIEW("made"))    ? T("Your account is ready.")
           : view_eq(what, VIEW("email")) ? T("The mail address was changed.")
           : view_eq(what, VIEW("password"))
               ? T("Password successfully changed. Enter it on your devices from now on.")
           : view_eq(what, VIEW("cleared")) ? T("Your data were deleted from the server.")
                                            : VIEW_NONE;
}

static rc show_account(struct page *p, struct err *e)
{
    (void)e;
    page_head(p, T("My account"));
    page_done(p, done_text(p));
    HTML(
        p->b,
        "<dl>\n<dt>{}</dt><dd><code>{}</code></dd>\n<dt>{}</dt><dd>{}</dd>\n<dt>{}</dt><dd><code>{}</code></dd>\n</dl>\n",
        T("Account name"), visit(p)->acc.name, T("Mail address"),
        visit(p)->acc.mail.p ? visit(p)->acc.mail : T("none"), T("Server to enter in the browser"),
        arena_text(p->a, "%s/", visit(p)->d->public_url));
    HTML(p->b, "<ul class=\"choices\">\n<li><a href=\"{}\">{}</a></li>\n<li><a href=\"{}\">{}</a></li>\n",
         here(p, "/account/data"), T("My data: see, download, delete"), here(p, "/account/email"),
         T("Change the mail address"));
    HTML(p->b, "<li><a href=\"{}\">{}</a></li>\n<li><a href=\"{}\">{}</a></li>\n</ul>\n",
         here(p, "/account/password"), T("Change the password"), here(p, "/account/delete"),
         T("Delete the account"));
    page_foot(p);
    return RC_OK;
}

rc screen_account(struct request *rq, struct err *e)
{
    return page_run(rq, show_account, PAGE_SIGNED_IN, e);
}

/* ---- the present password ---- */

static void current_password(struct page *p)
{
    form_input(p, &(struct input){ .name = "current",
                                   .type = "password",
                                   .autocomplete = "current-password",
                                   .label = T("Your present password") });
}

/* *out_right: it is the one. RC_BUSY: too many wrong ones from there. */
static rc check_current(struct page *p, bool *out_right, struct err *e)
{
    struct account acc;
    view given = form_field(&p->form, "current");
    rc r = identity_password(visit(p)->d, visit(p)->w->session, p->rq->peer, visit(p)->acc.name,
                             given.p ? given : VIEW(""), p->a, &acc, e);
    *out_right = r == RC_OK;
    return r == RC_DENIED ? RC_OK : r;
}

/* ---- mail address ---- */

static rc show_email_form(struct page *p, view problem)
{
    page_head(p, T("Change the mail address"));
    page_problem(p, problem);
    HTML(
        p->b, "<p>{}</p>\n",
        T("Links to reset the password go to this address. The account's name stays as it is. The old address is told."));
    form_open(p, "/account/email", true);
    form_input(p, &(struct input){ .name = "email",
                                   .type = "email",
                                   .autocomplete = "email",
                                   .label = T("New mail address"),
                                   .value = form_field(&p->form, "email") });
    current_password(p);
    form_close(p, T("Change the mail address"), false);
    page_foot(p);
    return RC_OK;
}

static rc show_email(struct page *p, struct err *e)
{
    view mail = form_field(&p->form, "email");
    bool right;
    if (p->rq->method != POST)
        return show_email_form(p, VIEW_NONE);
    if (!mail_valid(mail))
        return show_email_form(p, T("This is no mail address that can be used."));
    TRY(check_current(p, &right, e));
    if (!right)
        return show_email_form(p, T("The present password is wrong."));
    TRY(account_cas(visit(p)->w->session, visit(p)->acc.name,
                    &(struct change){ ATTR_MAIL, visit(p)->acc.mail, mail }, 1, e));
    LOG(LOG_INFO, "mail address changed", LOG_I("uid", visit(p)->acc.uid), LOG_V("id", p->rq->id));
    notice_tell(visit(p)->d, p->a, NOTICE_EMAIL, visit(p)->acc.mail,
                &(struct notice_facts){ .name = visit(p)->acc.name }, p->words);
    return page_go(p, "/account?done=email");
}

rc screen_email(struct request *rq, struct err *e)
{
    return page_run(rq, show_email, PAGE_SIGNED_IN | PAGE_TOKEN, e);
}

/* ---- password ---- */

static rc show_password_form(struct page *p, view problem)
{
    page_head(p, T("Change the password"));
    page_problem(p, problem);
    HTML(p->b, "<p>{}</p>\n",
         T("Your devices ask for the new one at their next sync. Other sessions of this site end."));
    form_open(p, "/account/password", true);
    HTML(p->b, "<input type=\"hidden\" name=\"username\" autocomplete=\"username\" value=\"{}\">\n",
         visit(p)->acc.name);
    current_password(p);
    form_new_password(p, T("New password"));
    form_close(p, T("Change the password"), false);
    page_foot(p);
    return RC_OK;
}

static rc show_password(struct page *p, struct err *e)
{
    view password = form_field(&p->form, "password");
    struct err why = ERR_NONE;
    struct account acc;
    bool right;
    if (p->rq->method != POST)
        return show_password_form(p, VIEW_NONE);
    if (!view_eq(password, form_field(&p->form, "confirm")))
        return show_password_form(p, T("The two passwords do not match."));
    if (password_rule(visit(p)->acc.name, password.p ? password : VIEW(""), &why) != RC_OK)
        return show_password_form(p, password_problem(p, &why));
    TRY(check_current(p, &right, e));
    if (!right)
        return show_password_form(p, T("The present password is wrong."));
    rc r = account_set_password(visit(p)->w->session, visit(p)->acc.name, password, &why);
    directory_forget(visit(p)->d, visit(p)->acc.name, 0); /* also when it may have been changed */
    if (r == RC_FORBIDDEN)
        return show_password_form(p, T("Passwords are kept elsewhere and cannot be changed here."));
    if (r != RC_OK) {
        *e = why;
        return r;
    }
    LOG(LOG_INFO, "password changed", LOG_I("uid", visit(p)->acc.uid), LOG_V("id", p->rq->id));
    notice_tell(visit(p)->d, p->a, NOTICE_CHANGED, visit(p)->acc.mail,
                &(struct notice_facts){ .name = visit(p)->acc.name }, p->words);
    /* All sessions ended with the old password; this visitor has just shown that he knows both. */
    TRY(account_truth(visit(p)->w->session, ACCOUNT_BY_NAME, visit(p)->acc.name, p->a, &acc, e));
    session_start(p->rq, &acc);
    return page_go(p, "/account?done=password");
}

rc screen_password(struct request *rq, struct err *e)
{
    return page_run(rq, show_password, PAGE_SIGNED_IN | PAGE_TOKEN, e);
}

/* ---- deleting ---- */

/* Data first. A node that does not answer keeps nobody from leaving: the account leaves an erase for its data. */
static rc delete_all(struct page *p, const struct account *acc, struct err *e)
{
    struct err why = ERR_NONE;
    if (node_clear(p, acc, &why) != RC_OK)
        LOG(LOG_WARN, "data of an account that is deleted are left to be erased", LOG_I("uid", acc->uid),
            LOG_S("why", why.text));
    TRY(account_delete(visit(p)->w->session, acc->name, acc->uid, directory_now_ms(visit(p)->d), e));
    directory_forget(visit(p)->d, acc->name, acc->uid);
    LOG(LOG_INFO, "account deleted", LOG_I("uid", acc->uid), LOG_V("id", p->rq->id));
    notice_tell(visit(p)->d, p->a, NOTICE_DELETED, acc->mail, &(struct notice_facts){ .name = acc->name },
                p->words);
    return RC_OK;
}

static rc show_delete_form(struct page *p, view problem)
{
    page_head(p, T("Delete the account"));
    page_problem(p, problem);
    HTML(
        p->b, "<p>{}</p>\n",
        T("The account and everything it has on this server are deleted at once and cannot be brought back. What is on your "
          "devices stays there."));
    form_open(p, "/account/delete", true);
    current_password(p);
    form_close(p, T("Delete the account for good"), true);
    page_foot(p);
    return RC_OK;
}

static rc show_delete(struct page *p, struct err *e)
{
    bool right;
    if (p->rq->method != POST)
        return show_delete_form(p, VIEW_NONE);
    TRY(check_current(p, &right, e));
    if (!right)
        return show_delete_form(p, T("The present password is wrong."));
    TRY(delete_all(p, &visit(p)->acc, e));
    session_end(p->rq, &visit(p)->session);
    visit(p)->signed_in = false;
    p->session_id = VIEW_NONE;
    return page_say(p, T("Goodbye"), T("Account removed."), "/", T("To the first page"));
}

rc screen_delete(struct request *rq, struct err *e)
{
    return page_run(rq, show_delete, PAGE_SIGNED_IN | PAGE_TOKEN, e);
}

/* Protocol: User API 1.0, "/weave-delete-account": a form with name and password, and four sentences as plain text. */
static rc delete_old(struct page *p, struct err *e)
{
    view user = form_field(&p->form, "username"), password = form_field(&p->form, "password"), name;
    struct account acc;
    if (p->rq->method != POST) {
        page_head(p, T("Delete the account"));
        HTML(
            p->b, "<p>{}</p>\n",
            T("The account and everything it has on this server are deleted at once and cannot be brought back. What is on your "
              "devices stays there."));
        form_open(p, "/weave-delete-account", false);
        form_input(p, &(struct input){ .name = "username",
                                       .type = "text",
                                       .autocomplete = "username",
                                       .label = T("Account name or mail address") });
        form_input(p, &(struct input){ .name = "password",
                                       .type = "password",
                                       .autocomplete = "current-password",
                                       .label = T("Password") });
        form_close(p, T("Delete the account for good"), true);
        page_foot(p);
        return RC_OK;
    }
    reply_type(p->rq, "text/plain; charset=utf-8");
    if (user.n == 0 || password.n == 0) {
        buf_add(p->b, T("Missing data"));
        return RC_OK;
    }
    TRY(account_meant(visit(p)->w->session, user, p->a, &name, e));
    rc r = identity_password(visit(p)->d, visit(p)->w->session, p->rq->peer, name, password, p->a, &acc, e);
    if (r == RC_DENIED) {
        buf_add(p->b, T("Bad credentials"));
        return RC_OK;
    }
    TRY(r);
    r = delete_all(p, &acc, e);
    if (r != RC_OK)
        LOG(LOG_ERROR, "an account was not deleted", LOG_I("uid", acc.uid), LOG_S("why", e->text),
            LOG_V("id", p->rq->id));
    buf_add(p->b, r == RC_OK ? T("Account removed.") : T("Deletion failed."));
    return RC_OK;
}

rc screen_delete_old(struct request *rq, struct err *e)
{
    return page_run(rq, delete_old, 0, e);
}
