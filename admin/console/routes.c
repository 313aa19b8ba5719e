/* Every address of the console, and what each wants of whoever comes. */
#include "admin/console/inside.h"
#include "common/base/log.h"
#include "common/page/media.h"

/* clang-format off */
const struct console_page console_pages[] = {
    /* methods     path                            what            least role    flags         */
    { GET | HEAD,  "/",                            show_root,      ROLE_NONE,    CONSOLE_OPEN },
    { GET | HEAD | POST, "/admin/sign-in",         show_sign_in,   ROLE_NONE,    CONSOLE_OPEN },
    { GET | HEAD,  "/admin/media/{file}",          NULL,           ROLE_NONE,    CONSOLE_MEDIA },
    { POST,        "/admin/sign-out",              do_sign_out,    ROLE_READER,  0 },
    { GET | HEAD,  "/admin",                       show_overview,  ROLE_READER,  0 },
    { GET,         "/admin/live/overview",         live_overview,  ROLE_READER,  CONSOLE_LIVE },
    { GET | HEAD,  "/admin/nodes",                 show_nodes,     ROLE_READER,  0 },
    { POST,        "/admin/nodes",                 do_node_add,    ROLE_ADMIN,   0 },
    { GET | HEAD,  "/admin/nodes/{node}",          show_node,      ROLE_READER,  0 },
    { POST,        "/admin/nodes/{node}/{act}",    do_node,        ROLE_ADMIN,   0 },
    { GET | HEAD,  "/admin/users",                 show_users,     ROLE_READER,  0 },
    { GET | HEAD,  "/admin/users/{uid}",           show_user,      ROLE_READER,  0 },
    { POST,        "/admin/users/{uid}/reset",     do_user,        ROLE_HELPER,  0 },
    { POST,        "/admin/users/{uid}/disable",   do_user,        ROLE_HELPER,  0 },
    { POST,        "/admin/users/{uid}/enable",    do_user,        ROLE_HELPER,  0 },
    { POST,        "/admin/users/{uid}/quota",     do_user,        ROLE_ADMIN,   0 },
    { POST,        "/admin/users/{uid}/delete",    do_user,        ROLE_ADMIN,   0 },
    { GET | HEAD,  "/admin/plan",                  show_plan,      ROLE_READER,  0 },
    { GET | HEAD,  "/admin/runs",                  show_runs,      ROLE_READER,  0 },
    { POST,        "/admin/runs",                  do_run_start,   ROLE_ADMIN,   0 },
    { GET | HEAD,  "/admin/runs/{run}",            show_run,       ROLE_READER,  0 },
    { GET,         "/admin/live/runs/{run}",       live_run,       ROLE_READER,  CONSOLE_LIVE },
    { POST,        "/admin/runs/{run}/pause",      do_run,         ROLE_ADMIN,   0 },
    { POST,        "/admin/runs/{run}/resume",     do_run,         ROLE_ADMIN,   0 },
    { POST,        "/admin/runs/{run}/cancel",     do_run,         ROLE_ADMIN,   0 },
    { GET | HEAD,  "/admin/invites",               show_invites,   ROLE_READER,  0 },
    { POST,        "/admin/invites",               do_invite_make, ROLE_ADMIN,   0 },
    { POST,        "/admin/invites/revoke",        do_invite_revoke, ROLE_ADMIN, 0 },
    { GET | HEAD,  "/admin/mail",                  show_mail,      ROLE_ADMIN,   0 },
    { GET | HEAD,  "/admin/audit",                 show_audit,     ROLE_READER,  0 },
    { GET | HEAD,  "/admin/settings",              show_settings,  ROLE_READER,  0 },
};
/* clang-format on */
const size_t console_pages_n = sizeof(console_pages) / sizeof(console_pages[0]);

/* ---- kinds of segments ---- */

static bool kind_uid(view s)
{
    uint64_t n;
    return view_to_u64(s, INT64_MAX, &n);
}
static bool kind_run(view s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("0123456789abcdef-", s.p[i]) || s.p[i] == '\0')
            return false;
    return s.n > 0 && s.n < 40;
}
static bool kind_word(view s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 'a' || s.p[i] > 'z')
            return false;
    return s.n > 0 && s.n < 20;
}
static bool kind_file(view s)
{
    return s.n > 0 && s.n < 64 && !memchr(s.p, '/', s.n);
}

const struct param_kind console_kinds[] = {
    { "node", ask_is_node_name }, { "uid", kind_uid },   { "run", kind_run },
    { "act", kind_word },         { "file", kind_file },
};
const size_t console_kinds_n = sizeof(console_kinds) / sizeof(console_kinds[0]);

/* ---- the way of every request ---- */

/* "ROLE NAME" */
static bool read_person(struct look *l, view whose)
{
    view role;
    if (!view_cut(&whose, ' ', &role) || !role_parse(role, &l->role) || whose.n == 0)
        return false;
    l->name = whose;
    return true;
}

static void read_session(struct page *p, unsigned flags)
{
    struct look *l = look(p);
    if (!sitting_read(p->site, p->rq, &l->sitting))
        return;
    if (!read_person(l, l->sitting.whose)) {
        l->role = ROLE_NONE;
        return;
    }
    p->session_id = l->sitting.id;
    if (!(flags & CONSOLE_LIVE))
        sitting_touch(p->site, p->rq, &l->sitting);
}

static rc go(struct page *p, const struct console_page *x, struct err *e)
{
    struct look *l = look(p);
    read_session(p, x->flags);
    if (l->role < x->least && l->role != ROLE_NONE)
        return fail(e, RC_FORBIDDEN, RESP_GENERIC, "the role %s may not do this", role_name(l->role));
    if (p->rq->method == POST) {
        TRY(form_read(p->rq, &p->form, e));
        if ((l->role != ROLE_NONE || x->flags & CONSOLE_OPEN) && !page_token_good(p))
            return fail(e, RC_FORBIDDEN, RESP_GENERIC, "a form without the token of this visitor");
    }
    if (l->role < x->least && x->flags & CONSOLE_LIVE)
        return fail(e, RC_FORBIDDEN, RESP_GENERIC, "nobody is signed in");
    if (l->role < x->least)
        return page_go(p, "/sign-in");
    return x->show(p, e);
}

/* What scripts ask is answered to scripts: without a page. */
static rc fail_short(struct page *p, rc r, const struct err *e)
{
    reply_reset(p->rq);
    reply_status(p->rq, reply_status_of(r, DIALECT_PLAIN));
    reply_type(p->rq, "text/plain; charset=utf-8");
    reply_header(p->rq, "Cache-Control", VIEW("no-store"));
    p->rq->log_reason = rc_name(r);
    LOG(r == RC_BROKEN ? LOG_ERROR : LOG_INFO, "no news for a page", LOG_S("why", e->text),
        LOG_V("id", p->rq->id));
    return RC_OK;
}

rc console_serve(struct request *rq, struct err *e)
{
    struct console *c = rq->app;
    const struct console_worker *w = rq->worker;
    const struct console_page *x = &console_pages[rq->route->op];
    if (x->flags & CONSOLE_MEDIA)
        return media_reply(&c->site, rq, rq->params[0], e);
    struct page *p = page_new(rq, &c->site, false);
    struct look *l = p->visit = arena_zero(rq->arena, sizeof(*l));
    l->c = c;
    l->ask = w ? w->ask : NULL;
    rc r = go(p, x, e);
    if (r != RC_OK && x->flags & CONSOLE_LIVE)
        return fail_short(p, r, e);
    if (r != RC_OK)
        page_failed(p, r, e);
    return RC_OK;
}
