#include "directory/screens/session.h"

#include <inttypes.h>

#include "common/base/log.h"

static const struct site *site_of(const struct request *rq)
{
    return &((const struct directory *)rq->app)->screens->site;
}

bool session_read(const struct request *rq, struct session *out)
{
    struct session s;
    if (!sitting_read(site_of(rq), rq, &s.sitting))
        return false;
    s.name = s.sitting.whose;
    if (!view_cut_number(&s.name, ' ', &s.uid) || !view_cut_number(&s.name, ' ', &s.password_since_ms) ||
        s.name.n == 0)
        return false;
    *out = s;
    return true;
}

bool session_is_of(const struct session *s, const struct account *acc)
{
    return acc->enabled && acc->uid == s->uid && acc->password_since_ms == s->password_since_ms &&
           view_eq(acc->name, s->name);
}

void session_start(struct request *rq, const struct account *acc)
{
    sitting_start(site_of(rq), rq,
                  arena_text(rq->arena, "%" PRId64 " %" PRId64 " %.*s", acc->uid, acc->password_since_ms,
                             VIEW_ARG(acc->name)));
}

void session_touch(struct request *rq, const struct session *s)
{
    sitting_touch(site_of(rq), rq, &s->sitting);
}

static view mark_of(struct arena *a, const struct session *s)
{
    return arena_text(a, "session-%.*s", VIEW_ARG(s->sitting.id));
}

void session_end(struct request *rq, const struct session *s)
{
    struct directory_worker *w = rq->worker;
    struct err e = ERR_NONE;
    int64_t end_s = s->sitting.begun_s + site_of(rq)->life_s + 1;
    sitting_end(site_of(rq), rq, s->sitting.id);
    rc r = mark_put(w->session, mark_of(rq->arena, s), end_s * 1000, &e);
    if (r != RC_OK && r != RC_CONFLICT)
        LOG(LOG_WARN, "a session was ended, of which other directories and a restarted one do not hear",
            LOG_S("why", e.text), LOG_V("id", rq->id));
}

rc session_is_over(const struct request *rq, const struct session *s, bool *out, struct err *e)
{
    struct directory_worker *w = rq->worker;
    return mark_there(w->session, mark_of(rq->arena, s), out, e);
}
