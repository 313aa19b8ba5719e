/* User API 1.0: accounts of Sync 1.1, as Firefox up to 28 and Pale Moon make and use them.
 * Protocol: docs/protocol-notes.md; User API 1.0, "Endpoints". */
#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "directory/invites.h"
#include "directory/notices.h"
#include "directory/reset.h"
#include "directory/screens/screens.h"

enum { NAME_MAX_BYTES = 32 };

static struct directory_worker *worker(const struct request *rq)
{
    return rq->worker;
}

view user_api_name(const struct request *rq)
{
    view v = rq->params[0];
    char *p = arena_cstr(rq->arena, v);
    for (size_t i = 0; i < v.n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] + ('a' - 'A'));
    return (view){ .p = p, .n = v.n };
}

static rc say(struct request *rq, view text)
{
    reply_type(rq, "text/plain");
    buf_add(reply_body(rq), text);
    return RC_OK;
}

/* RC_OK with *out_there. A name too long for the column is nobody's. */
static rc is_there(struct request *rq, view name, bool *out_there, struct err *e)
{
    struct account acc;
    rc r = account_get(worker(rq)->session, ACCOUNT_BY_NAME, name, rq->arena, &acc, e);
    *out_there = r == RC_OK;
    return r == RC_NOT_FOUND ? RC_OK : r;
}

rc user_api_exists(struct request *rq, struct err *e)
{
    bool there;
    TRY(is_there(rq, user_api_name(rq), &there, e));
    return say(rq, there ? VIEW("1") : VIEW("0"));
}

/* ---- creating ---- */

struct sign_up {
    view mail, password, challenge, response;
};

/* Rows 2 to 6 of "PUT /user/1.0/<user>", in their order. */
static rc signup_read(struct request *rq, view name, json_t **root, struct sign_up *out, struct err *e)
{
    TRY(json_read(rq->body, JSON_DEPTH_MAX, JSON_READ_PLAIN, root, e));
    if (!json_is_object(*root))
        return fail(e, RC_BAD_INPUT, RESP_JSON, "the body is no object");
    out->mail = json_text(json_object_get(*root, "email"));
    if (!mail_valid(out->mail))
        return fail(e, RC_BAD_INPUT, RESP_NO_EMAIL, "no usable mail address");
    if (worker(rq)->d->conf->strict_usernames && !mail_makes_name(out->mail, name, rq->arena))
        return fail(e, RC_BAD_INPUT, RESP_EMAIL_MISMATCH, "the name does not belong to the mail address");
    out->password = json_text(json_object_get(*root, "password"));
    out->challenge = json_text(json_object_get(*root, "captcha-challenge"));
    out->response = json_text(json_object_get(*root, "captcha-response"));
    return password_rule(name, out->password, e);
}

/* The shared secret stands for a solved captcha. */
static bool knows_secret(const struct request *rq, const char *header)
{
    view given = request_header(rq, header);
    const struct registration r = directory_registration(worker(rq)->d);
    return given.p && r.secret[0] != '\0' && secret_eq(given, view_of(r.secret));
}

static rc check_captcha(struct request *rq, view challenge, view response, struct err *e)
{
    bool solved = knows_secret(rq, "X-Weave-Secret") || knows_secret(rq, "X-Captcha-Override");
    if (!solved)
        TRY(captcha_solved(worker(rq), rq->arena, challenge, response, &solved, e));
    if (solved)
        return RC_OK;
    return fail(e, RC_BAD_INPUT, RESP_CAPTCHA, "the captcha is not solved");
}

/* Not on the list, or without an invite code (for which this protocol has no field), is 400 with the code of a bad user name: not 503, which
 * a client takes for a passing trouble. */
static rc may_register(const struct request *rq, view mail, view invite, bool *out_by_invite, struct err *e)
{
    struct directory *d = worker(rq)->d;
    const struct registration r = directory_registration(d);
    *out_by_invite = r.mode == REGISTRATION_INVITE;
    if (registration_takes_mail(&r, mail) || (*out_by_invite && invite.p))
        return RC_OK;
    if (*out_by_invite) {
        LOG(LOG_WARN,
            "sign-up refused, it needs an invite code, which this client cannot send; the page to use",
            LOG_V("url", arena_text(rq->arena, "%s/account/register", d->public_url)));
        return fail(e, RC_BAD_INPUT, RESP_USERNAME, "no invite code");
    }
    if (r.mode == REGISTRATION_CLOSED) {
        LOG(LOG_WARN, "sign-up refused, new accounts are off; to take some: registration.mode = list and",
            LOG_V("registration.allow", mail));
        return fail(e, RC_BUSY, RESP_GENERIC, "new accounts are off");
    }
    LOG(LOG_WARN, "sign-up refused, not on the list; to take it, add", LOG_V("registration.allow", mail));
    return fail(e, RC_BAD_INPUT, RESP_USERNAME, "not on the list of those who may have an account");
}

static rc wait_for(unsigned wait_s, const char *what, struct err *e)
{
    if (wait_s == 0)
        return RC_OK;
    rc r = fail(e, RC_BUSY, RESP_GENERIC, "too many %s from there", what);
    if (e)
        e->retry_after_s = wait_s;
    return r;
}

/* Takes a use of the code that was typed. */
static rc use_invite(const struct request *rq, view typed, int64_t uid, struct invite_hold *out,
                     struct err *e)
{
    struct directory *d = worker(rq)->d;
    int64_t now_s = clock_mono_us(d->clock) / 1000000;
    TRY(wait_for(limits_wait(d->wrong_invites, rq->peer, now_s), "wrong invite codes", e));
    rc r = invite_take(worker(rq), rq->arena, typed, uid, out, e);
    if (r == RC_DENIED) {
        limits_count(d->wrong_invites, rq->peer, now_s);
        LOG(LOG_WARN, "sign-up refused", LOG_S("why", e->text), LOG_V("peer", rq->peer), LOG_V("id", rq->id));
    }
    return r;
}

/* Accounts are made, and passwords kept, in a tree that is not ours (LDAP, guest layout): here that is switched off for good.
 * Protocol: User API 1.0, "PUT /user/1.0/<user>", row 9, and "POST …/password", row 6: 503. */
static rc switched_off(const struct request *rq, rc r, const struct err *e)
{
    if (r != RC_FORBIDDEN)
        return r;
    LOG(LOG_WARN, "refused, nobody can do this here", LOG_S("why", e->text), LOG_V("id", rq->id));
    return RC_BUSY;
}

static rc add_account(const struct request *rq, int64_t uid, view name, view mail, view password,
                      struct err *e)
{
    rc r = account_add(worker(rq)->session,
                       &(struct account_new){ .name = name,
                                              .uid = uid,
                                              .mail = mail,
                                              .password = password,
                                              .created_ms = directory_now_ms(worker(rq)->d),
                                              .epoch = 1 },
                       e);
    if (r == RC_CONFLICT)
        return fail(e, RC_BAD_INPUT, RESP_OVERWRITE, "somebody else took the name meanwhile");
    return switched_off(rq, r, e);
}

rc signup(struct request *rq, view name, view mail, view password, view invite, struct err *e)
{
    struct directory *d = worker(rq)->d;
    struct invite_hold hold = { .id = VIEW_NONE };
    bool by_invite;
    int64_t uid, now_s = clock_mono_us(d->clock) / 1000000;
    TRY(may_register(rq, mail, invite, &by_invite, e));
    TRY(wait_for(limits_wait(d->signups, rq->peer, now_s), "new accounts", e));
    TRY(directory_uid(d, worker(rq)->session, &uid, e));
    if (by_invite)
        TRY(use_invite(rq, invite, uid, &hold, e));
    rc r = add_account(rq, uid, name, mail, password, e);
    if (by_invite)
        invite_settle(worker(rq), rq->arena, &hold, r);
    TRY(r);
    limits_count(d->signups, rq->peer, now_s);
    LOG(LOG_INFO, "account made", LOG_I("uid", uid), LOG_V("invite", hold.id.p ? hold.id : VIEW("")),
        LOG_V("id", rq->id));
    return RC_OK;
}

rc user_api_create(struct request *rq, struct err *e)
{
    view name = user_api_name(rq);
    SCOPED(json_decref) json_t *root = NULL;
    struct sign_up up;
    bool there;
    if (name.n > NAME_MAX_BYTES)
        return fail(e, RC_BAD_INPUT, RESP_USERNAME, "a name of %zu bytes", name.n);
    TRY(is_there(rq, name, &there, e));
    if (there)
        return fail(e, RC_BAD_INPUT, RESP_OVERWRITE, "the account exists already");
    TRY(signup_read(rq, name, &root, &up, e));
    TRY(check_captcha(rq, up.challenge, up.response, e));
    TRY(signup(rq, name, up.mail, up.password, VIEW_NONE, e));
    return say(rq, name);
}

/* ---- changing and deleting ---- */

rc user_api_delete(struct request *rq, struct err *e)
{
    struct directory *d = worker(rq)->d;
    view name = user_api_name(rq);
    struct account acc;
    TRY(identity_basic(rq, name, &acc, e));
    /* A lost race (the user was given another uid just now) is a 503: the name alone could be somebody else's by now. */
    rc r = account_delete(worker(rq)->session, name, acc.uid, directory_now_ms(d), e);
    if (r == RC_NOT_FOUND)
        return fail(e, RC_DENIED, RESP_GENERIC, "deleted meanwhile");
    TRY(r);
    directory_forget(d, name, acc.uid);
    LOG(LOG_INFO, "account deleted", LOG_I("uid", acc.uid), LOG_V("id", rq->id));
    notice_tell(d, rq->arena, NOTICE_DELETED, acc.mail, &(struct notice_facts){ .name = name },
                request_words(rq));
    buf_add(reply_body(rq), VIEW("1"));
    return RC_OK;
}

static rc change_password(struct request *rq, view name, struct err *e)
{
    struct directory *d = worker(rq)->d;
    struct account acc;
    TRY(identity_basic(rq, name, &acc, e));
    rc r = account_set_password(worker(rq)->session, name, rq->body, e);
    directory_forget(d, name, 0); /* also when it may have been changed */
    TRY(switched_off(rq, r, e));
    LOG(LOG_INFO, "password changed", LOG_I("uid", acc.uid), LOG_V("id", rq->id));
    notice_tell(d, rq->arena, NOTICE_CHANGED, acc.mail, &(struct notice_facts){ .name = name },
                request_words(rq));
    return RC_OK;
}

/* Protocol: User API 1.0, "POST …/password": the form of the code is looked at before anything else is. */
rc user_api_password(struct request *rq, struct err *e)
{
    view name = user_api_name(rq), code = request_header(rq, "X-Weave-Password-Reset");
    if (!utf8_valid(rq->body))
        return fail(e, RC_BAD_INPUT, RESP_PASSWORD_WEAK, "the new password is not UTF-8");
    TRY(password_rule(name, rq->body, e));
    if (code.p && !reset_code_form(code))
        return fail(e, RC_BAD_INPUT, RESP_RESET_CODE, "not the form of a reset code");
    if (code.p)
        TRY(reset_finish(worker(rq), rq->arena, name, code, rq->body, request_words(rq), e));
    else
        TRY(change_password(rq, name, e));
    return say(rq, VIEW("success"));
}

rc user_api_email(struct request *rq, struct err *e)
{
    view name = user_api_name(rq);
    struct account acc;
    if (!mail_valid(rq->body))
        return fail(e, RC_BAD_INPUT, RESP_NO_EMAIL, "no usable mail address");
    TRY(identity_basic(rq, name, &acc, e));
    TRY(account_cas(worker(rq)->session, name, &(struct change){ ATTR_MAIL, acc.mail, rq->body }, 1, e));
    if (!view_eq(acc.mail, rq->body))
        notice_tell(worker(rq)->d, rq->arena, NOTICE_EMAIL, acc.mail, &(struct notice_facts){ .name = name },
                    request_words(rq));
    return say(rq, rq->body);
}

/* ---- reset codes by mail ---- */

static rc reset_start(struct request *rq, view name, struct err *e)
{
    struct directory *d = worker(rq)->d;
    struct account acc;
    int64_t now_s = clock_mono_us(d->clock) / 1000000;
    rc r = account_get(worker(rq)->session, ACCOUNT_BY_NAME, name, rq->arena, &acc, e);
    if (r == RC_NOT_FOUND || (r == RC_OK && !reset_possible(&acc)))
        return fail(e, RC_BAD_INPUT, RESP_USERNAME, "no account whose password could be reset");
    TRY(r);
    if (acc.mail.n == 0)
        return fail(e, RC_BAD_INPUT, RESP_NO_EMAIL, "no mail address on file");
    TRY(check_captcha(rq, request_arg_value(rq, "captcha-challenge"),
                      request_arg_value(rq, "captcha-response"), e));
    unsigned wait_s = limits_wait(d->screens->asks, rq->peer, now_s);
    if (wait_s > 0) {
        r = fail(e, RC_BUSY, RESP_GENERIC, "too many mails asked for from there");
        e->retry_after_s = wait_s;
        return r;
    }
    limits_count(d->screens->asks, rq->peer, now_s);
    return reset_ask(worker(rq), rq->arena, name, request_words(rq), false, e);
}

static rc reset_stop(struct request *rq, view name, struct err *e)
{
    struct account acc;
    TRY(identity_basic(rq, name, &acc, e));
    TRY(check_captcha(rq, request_arg_value(rq, "captcha-challenge"),
                      request_arg_value(rq, "captcha-response"), e));
    TRY(reset_cancel(worker(rq), rq->arena, name, e));
    LOG(LOG_INFO, "password reset cancelled", LOG_I("uid", acc.uid), LOG_V("id", rq->id));
    return RC_OK;
}

rc user_api_reset(struct request *rq, struct err *e)
{
    view name = user_api_name(rq);
    if (!worker(rq)->d->mailer)
        return fail(e, RC_AWAY, RESP_GENERIC, "this directory sends no mails");
    TRY(rq->method == DELETE ? reset_stop(rq, name, e) : reset_start(rq, name, e));
    return say(rq, VIEW("success"));
}
