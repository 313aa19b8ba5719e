/* /weave-password-reset: asking for the link, and choosing the new password. Texts in English are those that older servers had; whether an
 * account exists is not told by any of these pages. Protocol: User API 1.0, "Web password reset". */
#include "common/auth/basic.h"
#include "directory/reset.h"
#include "directory/screens/captcha.h"

enum { UNSOLVED_WEIGHT = 4 };

static view lost_key(const struct page *p)
{
    return T(
        "A new password does not bring back data that were encrypted with a sync key which is lost: devices that still "
        "have the key upload their data again, and without any such device you begin anew with an empty account.");
}

/* ---- asking ---- */

static rc show_ask(struct page *p, view problem)
{
    page_head(p, T("Reset your password"));
    page_problem(p, problem);
    HTML(
        p->b, "<p>{}</p>\n<p>{}</p>\n",
        T("Enter the name or the mail address of your account; a link to choose a new password is sent to the address that "
          "belongs to the account."),
        lost_key(p));
    form_open(p, "/weave-password-reset", false);
    form_input(p, &(struct input){ .name = "username",
                                   .type = "text",
                                   .autocomplete = "username",
                                   .label = T("Account name or mail address"),
                                   .value = form_field(&p->form, "username") });
    captcha_fields(p, VIEW_NONE, NULL);
    form_close(p, T("Send the link"), false);
    page_foot(p);
    return RC_OK;
}

static rc ask(struct page *p, struct err *e)
{
    struct directory *d = visit(p)->d;
    view typed = view_trim(form_field(&p->form, "username"));
    int64_t now_s = clock_mono_us(d->clock) / 1000000;
    unsigned wait_s = limits_wait(d->screens->asks, p->rq->peer, now_s);
    if (wait_s > 0) {
        rc r = fail(e, RC_BUSY, RESP_GENERIC, "too many mails asked for from there");
        e->retry_after_s = wait_s;
        return r;
    }
    if (!d->resets)
        return fail(e, RC_AWAY, RESP_GENERIC, "this directory sends no mails");
    if (typed.n == 0)
        return show_ask(p, T("Username not provided"));
    /* Without scripts nobody can solve the puzzle. The mailed link takes its place, since it goes to the account's owner alone; an address
     * that asks in this way may do so less often. */
    view response = form_field(&p->form, "recaptcha_response_field");
    bool solved = true;
    if (captcha_on(d) && response.n > 0)
        TRY(captcha_solved(visit(p)->w, p->a, form_field(&p->form, "recaptcha_challenge_field"), response,
                           &solved, e));
    if (!solved)
        return show_ask(p, T("The puzzle was not solved in time. Please try again."));
    for (int i = captcha_on(d) && response.n == 0 ? UNSOLVED_WEIGHT : 1; i > 0; i--)
        limits_count(d->screens->asks, p->rq->peer, now_s);
    TRY(resets_queue(d->resets, typed, p->words, e)); /* nobody is looked up before the answer */
    page_head(p, T("Look into your mail"));
    page_done(
        p,
        text_with(
            p,
            N_("If there is such an account, a link has been sent to its mail address. It can be used for the next {}."),
            notice_life(p->a, d->screens->conf->reset_life_s, p->words)));
    HTML(
        p->b, "<p>{}</p>\n<p>{}</p>\n",
        T("Nothing arrived? Look into the folder of unwanted mail; ask again after some minutes, which sends the same link "
          "once more."),
        lost_key(p));
    page_foot(p);
    return RC_OK;
}

/* ---- choosing ---- */

static rc show_choose(struct page *p, view user, view key, view problem)
{
    page_head(p, T("Choose a new password"));
    page_problem(p, problem);
    HTML(p->b, "<p>{}</p>\n", lost_key(p));
    form_open(p, "/weave-password-reset", false);
    if (user.p)
        HTML(p->b, "<input type=\"hidden\" name=\"username\" autocomplete=\"username\" value=\"{}\">\n",
             user);
    form_hidden(p, "key", key.p ? key : VIEW(""));
    form_new_password(p, T("New password"));
    form_close(p, T("Change the password"), false);
    page_foot(p);
    return RC_OK;
}

/* Unknown names and wrong keys are told alike, and the sentence holds the words of both. */
static view no_match(const struct page *p)
{
    return T(
        "Key does not match with username, or it is too old, or we are unable to locate your account. Ask for a new link.");
}

/* Whether the account exists is looked at last: before, all names are alike. */
static rc choose(struct page *p, struct err *e)
{
    view user = form_field(&p->form, "username"), key = form_field(&p->form, "key");
    view password = form_field(&p->form, "password"), name;
    struct err why = ERR_NONE;
    if (user.n == 0)
        return show_choose(p, VIEW_NONE, key, T("Username not provided"));
    if (password.n == 0)
        return show_choose(p, user, key, T("Password not provided"));
    if (!view_eq(password, form_field(&p->form, "confirm")))
        return show_choose(p, user, key, T("The two passwords do not match."));
    TRY(account_meant(visit(p)->w->session, user, p->a, &name, e));
    if (password_rule(name, password, &why) != RC_OK)
        return show_choose(p, user, key, password_problem(p, &why));
    rc r = RC_NOT_FOUND;
    if (reset_code_form(key))
        r = reset_finish(visit(p)->w, p->a, name, key, password, p->words, &why);
    if (r == RC_NOT_FOUND || (r == RC_BAD_INPUT && why.respcode == RESP_RESET_CODE))
        return show_choose(p, user, key, no_match(p));
    if (r != RC_OK) {
        p->rq->log_reason = rc_name(r);
        return show_choose(p, user, key,
                           T("Password change failed. Please try again later; the link stays good."));
    }
    return page_say(p, T("Password successfully changed"),
                    T("Password successfully changed. Enter it on your devices from now on."),
                    "/account/sign-in", T("Sign in"));
}

/* ---- which of them ---- */

static bool only_name(const struct form *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (!view_eq(f->fields[i].name, VIEW("username")) &&
            !view_starts(f->fields[i].name, VIEW("recaptcha_")))
            return false;
    return f->n > 0;
}

static size_t other_args(const struct request *rq)
{
    size_t n = 0;
    for (size_t i = 0; i < rq->n_args; i++)
        n += !view_eq(rq->args[i].name, VIEW("lang"));
    return n;
}

static rc show_reset(struct page *p, struct err *e)
{
    if (p->rq->method == POST) {
        if (form_field(&p->form, "key").p)
            return choose(p, e);
        if (only_name(&p->form))
            return ask(p, e);
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a form that is neither of the two");
    }
    if (other_args(p->rq) == 0)
        return show_ask(p, VIEW_NONE);
    if (request_arg(p->rq, "key") || request_arg(p->rq, "error"))
        return show_choose(p, request_arg_value(p->rq, "username"), request_arg_value(p->rq, "key"),
                           VIEW_NONE);
    return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a query without a key");
}

rc screen_reset(struct request *rq, struct err *e)
{
    return page_run(rq, show_reset, 0, e);
}
