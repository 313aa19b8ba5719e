/* Signing in, signing out, and making an account. */
#include "common/auth/basic.h"
#include "common/base/log.h"
#include "directory/invites.h"
#include "directory/screens/captcha.h"

/* ---- sign in ---- */

static rc show_sign_in_form(struct page *p, view problem)
{
    page_head(p, T("Sign in"));
    page_problem(p, problem);
    HTML(
        p->b, "<p>{}</p>\n",
        T("For accounts with a password (Pale Moon, old Firefox). Today's Firefox signs in at its accounts server instead."));
    form_open(p, "/account/sign-in", true);
    form_input(p, &(struct input){ .name = "username",
                                   .type = "text",
                                   .autocomplete = "username",
                                   .label = T("Account name or mail address"),
                                   .value = form_field(&p->form, "username") });
    form_input(p, &(struct input){ .name = "password",
                                   .type = "password",
                                   .autocomplete = "current-password",
                                   .label = T("Password") });
    form_close(p, T("Sign in"), false);
    HTML(p->b, "<p><a href=\"{}\">{}</a></p>\n<p><a href=\"{}\">{}</a></p>\n",
         here(p, "/weave-password-reset"), T("Forgot your password?"), here(p, "/account/register"),
         T("Create an account"));
    page_foot(p);
    return RC_OK;
}

static rc show_sign_in(struct page *p, struct err *e)
{
    view name;
    struct account acc;
    struct err why = ERR_NONE;
    if (visit(p)->signed_in)
        return page_go(p, "/account");
    if (p->rq->method != POST)
        return show_sign_in_form(p, VIEW_NONE);
    TRY(account_meant(visit(p)->w->session, form_field(&p->form, "username"), p->a, &name, e));
    view password = form_field(&p->form, "password");
    rc r = identity_password(visit(p)->d, visit(p)->w->session, p->rq->peer, name,
                             password.p ? password : VIEW(""), p->a, &acc, &why);
    if (r == RC_DENIED) {
        p->rq->log_reason = "refused";
        return show_sign_in_form(p, T("Name or password is wrong."));
    }
    if (r != RC_OK) {
        *e = why;
        return r;
    }
    session_start(p->rq, &acc);
    LOG(LOG_INFO, "signed in", LOG_I("uid", acc.uid), LOG_V("id", p->rq->id));
    return page_go(p, "/account");
}

rc screen_sign_in(struct request *rq, struct err *e)
{
    return page_run(rq, show_sign_in, PAGE_SESSION | PAGE_TOKEN, e);
}

static rc show_sign_out(struct page *p, struct err *e)
{
    (void)e;
    session_end(p->rq, &visit(p)->session);
    return page_go(p, "/");
}

rc screen_sign_out(struct request *rq, struct err *e)
{
    return page_run(rq, show_sign_out, PAGE_SIGNED_IN | PAGE_TOKEN, e);
}

/* ---- register ---- */

static view pass_of(const struct page *p)
{
    const struct query_arg *arg = request_arg(p->rq, "pass");
    view response = form_field(&p->form, "recaptcha_response_field");
    if (view_eq(response, VIEW(PASS_RESPONSE)))
        return form_field(&p->form, "recaptcha_challenge_field");
    return arg && arg->value.p ? arg->value : VIEW_NONE;
}

/* With invite codes the browsers' own forms do not work: they have no field for a code. */
static void show_intro(struct page *p, enum registration_mode mode)
{
    if (mode == REGISTRATION_INVITE)
        HTML(
            p->b, "<p>{}</p>\n<p>{}</p>\n",
            T("For Pale Moon and old Firefox. The name of the account is made of the mail address. The password protects the "
              "account; the data are encrypted with the Sync key, which only your browsers have."),
            T("An account here needs an invite code. The people who run this server give you one."));
    else
        HTML(
            p->b, "<p>{}</p>\n",
            T("For Pale Moon and old Firefox; they can also create the account themselves. The name of the account is made of the mail "
              "address. The password protects the account; the data are encrypted with the Sync key, which only your browsers have."));
    if (mode == REGISTRATION_LIST)
        HTML(p->b, "<p>{}</p>\n", T("Only invited addresses can have an account here."));
}

/* One sentence, whatever is wrong with it: nobody learns which codes there are, or were. */
static view invite_problem(const struct page *p)
{
    return T("This invite code cannot be used. Check it, or ask for another one.");
}

static rc show_register_form(struct page *p, view problem, bool keep_pass)
{
    const struct registration r = directory_registration(visit(p)->d);
    page_head(p, T("Create an account"));
    page_problem(p, problem);
    if (r.mode == REGISTRATION_CLOSED) {
        HTML(p->b, "<p>{}</p>\n",
             T("New accounts are switched off here. Ask the people who run this server."));
        page_foot(p);
        return RC_OK;
    }
    show_intro(p, r.mode);
    form_open(p, "/account/register", true);
    if (r.mode == REGISTRATION_INVITE)
        form_input(p, &(struct input){ .name = "invite",
                                       .type = "text",
                                       .autocomplete = "off",
                                       .label = T("Invite code"),
                                       .value = form_field(&p->form, "invite"),
                                       .help = T("Five groups of four letters and digits.") });
    form_input(p, &(struct input){ .name = "email",
                                   .type = "email",
                                   .autocomplete = "email",
                                   .label = T("Mail address"),
                                   .value = form_field(&p->form, "email") });
    form_new_password(p, T("Password"));
    captcha_fields(p, keep_pass ? pass_of(p) : VIEW_NONE, "/account/pass");
    form_close(p, T("Create the account"), false);
    page_foot(p);
    return RC_OK;
}

static rc make(struct page *p, view mail, view name, view password, view invite, struct err *e)
{
    struct account acc;
    rc r = signup(p->rq, name, mail, password, invite.p ? invite : VIEW(""), e);
    if (r == RC_DENIED)
        return show_register_form(p, invite_problem(p), false);
    if (r == RC_BAD_INPUT && e->respcode == RESP_OVERWRITE)
        return show_register_form(
            p, T("This address has an account already, or cannot have one. Sign in, or reset the password."),
            false);
    if (r == RC_BAD_INPUT || (r == RC_BUSY && e->retry_after_s == 0))
        return show_register_form(p, T("This address cannot have an account here."), false);
    TRY(r);
    TRY(account_truth(visit(p)->w->session, ACCOUNT_BY_NAME, name, p->a, &acc, e));
    session_start(p->rq, &acc);
    return page_go(p, "/account?done=made");
}

static rc show_register(struct page *p, struct err *e)
{
    view mail = form_field(&p->form, "email"), password = form_field(&p->form, "password"), name;
    view invite = form_field(&p->form, "invite");
    char code[INVITE_CODE_ROOM];
    struct err why = ERR_NONE;
    if (visit(p)->signed_in)
        return page_go(p, "/account");
    if (p->rq->method != POST)
        return show_register_form(p, VIEW_NONE, true);
    if (!mail_valid(mail) || !account_name_derive(mail, p->a, &name))
        return show_register_form(p, T("This is no mail address that can be used."), true);
    if (!view_eq(password, form_field(&p->form, "confirm")))
        return show_register_form(p, T("The two passwords do not match."), true);
    if (password_rule(name, password.p ? password : VIEW(""), &why) != RC_OK)
        return show_register_form(p, password_problem(p, &why), true);
    /* A slip of the keyboard costs nobody his solved puzzle. */
    if (directory_registration(visit(p)->d).mode == REGISTRATION_INVITE && !invite_code_read(invite, code))
        return show_register_form(p, invite_problem(p), true);
    bool solved;
    TRY(captcha_solved(visit(p)->w, p->a, form_field(&p->form, "recaptcha_challenge_field"),
                       form_field(&p->form, "recaptcha_response_field"), &solved, e));
    if (!solved)
        return show_register_form(p, T("The puzzle was not solved in time. Please try again."), false);
    return make(p, mail, name, password, invite, e);
}

rc screen_register(struct request *rq, struct err *e)
{
    return page_run(rq, show_register, PAGE_SESSION | PAGE_TOKEN, e);
}
