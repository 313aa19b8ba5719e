/* Signing in, by a one-time password or as a member of a group, and out. */
#include <inttypes.h>

#include "admin/audit/audit.h"
#include "admin/console/inside.h"
#include "common/auth/secrets.h"
#include "common/base/encode.h"
#include "common/base/log.h"
#include "common/page/limits.h"

enum { NAME_MOST = 100, PASSWORD_MOST = 1024 };

static int64_t mono_s(const struct look *l)
{
    return clock_mono_us(l->c->clock) / 1000000;
}

/* What is written down and shown: one line of text. */
static bool name_good(view name)
{
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f)
            return false;
    return name.n > 0 && name.n <= NAME_MOST;
}

/* RC_DENIED: name and password are not right; else whether he is a member. */
static rc ask_member(struct page *p, view name, view password, view group, bool *out, struct err *e)
{
    SCOPED(buf_done) struct buf body = { 0 };
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    SCOPED(json_decref) json_t *said = NULL;
    buf_add(&body, VIEW("{\"name\":"));
    json_put_string(&body, name);
    buf_add(&body, VIEW(",\"password\":"));
    json_put_string(&body, password);
    buf_add(&body, VIEW(",\"group\":"));
    json_put_string(&body, group);
    buf_addc(&body, '}');
    rc r = ask_directory(look(p)->ask, "POST", "verify", buf_view(&body), &answer, e);
    secret_wipe(body.p, body.n);
    if (r == RC_NOT_FOUND || r == RC_BAD_INPUT || r == RC_DENIED)
        return fail(e, RC_DENIED, RESP_GENERIC, "the directory refused a name");
    TRY(r);
    TRY(ask_object(&answer, &said, e));
    if (json_is_true(json_object_get(said, "refused")))
        return fail(e, RC_DENIED, RESP_GENERIC, "wrong name or password");
    *out = json_is_true(json_object_get(said, "member"));
    return RC_OK;
}

/* Accounts of Sync 1.1 have names that nobody can type: a mail address stands for its account. */
static view account_name(struct page *p, view typed)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    SCOPED(json_decref) json_t *entry = NULL;
    struct err e = ERR_NONE;
    if (!memchr(typed.p, '@', typed.n))
        return typed;
    buf_add(&path, VIEW("accounts/"));
    percent_put(&path, typed);
    buf_add(&path, VIEW("?by=mail"));
    if (ask_directory(look(p)->ask, "GET", buf_text(&path), VIEW_NONE, &answer, &e) != RC_OK ||
        ask_object(&answer, &entry, &e) != RC_OK || member(entry, "name").n == 0)
        return typed; /* what is wrong is told by what comes next, in the same words and the same time */
    return arena_copy(p->a, member(entry, "name"));
}

/* The highest role that one of his groups gives. */
static rc role_by_groups(struct page *p, view typed, view password, enum role *out, struct err *e)
{
    const struct conf_list *groups = &look(p)->c->conf->groups;
    *out = ROLE_NONE;
    if (groups->n == 0 || password.n == 0 || password.n > PASSWORD_MOST)
        return RC_OK;
    const view name = account_name(p, typed);
    for (int want = ROLE_ADMIN; want > ROLE_NONE && *out == ROLE_NONE; want--)
        for (size_t i = 0; i < groups->n && *out == ROLE_NONE; i++) {
            view group = view_of(groups->items[i]), word;
            enum role r;
            bool in = false;
            view_cut(&group, ' ', &word);
            if (!role_parse(word, &r) || (int)r != want)
                continue;
            rc said = ask_member(p, name, password, view_trim(group), &in, e);
            if (said == RC_DENIED)
                return RC_OK;
            TRY(said);
            if (in)
                *out = r;
        }
    return RC_OK;
}

static rc write_down(struct page *p, const char *what, struct err *e)
{
    const struct admin a = { .conf = look(p)->c->admin, .person = act_person(p) };
    return audit_say(&a, "console", what, e);
}

/* Whoever comes in is written down first. */
static rc let_in(struct page *p, view name, enum role role, const char *how, struct err *e)
{
    struct look *l = look(p);
    l->role = role;
    l->name = name;
    TRY(write_down(p, arena_text(p->a, "signed in as %s, %s", role_name(role), how).p, e));
    LOG(LOG_INFO, "signed in to the console", LOG_V("who", name), LOG_S("role", role_name(role)),
        LOG_V("id", p->rq->id));
    sitting_start(p->site, p->rq, arena_text(p->a, "%s %.*s", role_name(role), VIEW_ARG(name)));
    return page_go(p, "");
}

static rc form(struct page *p, view name, view problem)
{
    console_head(p, T("Sign in"));
    page_problem(p, problem);
    form_open(p, "/sign-in", true);
    form_input(p, &(struct input){ .name = "name",
                                   .type = "text",
                                   .autocomplete = "username",
                                   .label = T("Your name or mail address"),
                                   .value = name,
                                   .help = T("It stands in the audit trail beside what you do.") });
    form_input(
        p,
        &(struct input){
            .name = "password",
            .type = "password",
            .autocomplete = "current-password",
            .label = T("Password"),
            .help = T(
                "Your own, or a one-time password: the server prints one when it starts, and \"heddle-admin console password\" makes another.") });
    form_close(p, T("Sign in"), false);
    console_foot(p);
    return RC_OK;
}

rc show_sign_in(struct page *p, struct err *e)
{
    struct look *l = look(p);
    view name = view_trim(form_field(&p->form, "name")), password = form_field(&p->form, "password");
    enum role role = ROLE_NONE;
    if (p->rq->method != POST)
        return l->role != ROLE_NONE ? page_go(p, "") : form(p, VIEW_NONE, VIEW_NONE);
    if (!name_good(name))
        return form(p, VIEW_NONE, T("Please type your name."));
    /* Nobody guesses these: so whoever floods this page keeps no admin out. */
    if (once_use(l->c->admin, password, clock_now_s(l->c->clock), l->c->conf->password_life_s))
        return let_in(p, name, ROLE_ADMIN, "by a one-time password", e);
    unsigned wait_s = limits_wait(l->c->guesses, p->rq->peer, mono_s(l));
    if (wait_s > 0) {
        e->retry_after_s = wait_s;
        return fail(e, RC_BUSY, RESP_GENERIC, "too many wrong sign-ins from there");
    }
    TRY(role_by_groups(p, name, password, &role, e));
    if (role != ROLE_NONE)
        return let_in(p, name, role, "as a member of a group", e);
    limits_count(l->c->guesses, p->rq->peer, mono_s(l));
    LOG(LOG_WARN, "a wrong sign-in to the console", LOG_V("peer", p->rq->peer), LOG_V("id", p->rq->id));
    reply_status(p->rq, 403);
    return form(p, name,
                T("Name or password is wrong, or you are in none of the groups that may sign in here."));
}

rc do_sign_out(struct page *p, struct err *e)
{
    TRY(write_down(p, "signed out", e));
    sitting_end(p->site, p->rq, look(p)->sitting.id);
    return go_done(p, "/sign-in", "signed-out");
}

rc show_root(struct page *p, struct err *e)
{
    (void)e;
    return page_go(p, "");
}
