/* Account events that the accounts server posts: an account was deleted, a password was changed.
 * Protocol: Token server, "Webhook" (7.2). */
#include <inttypes.h>

#include "common/base/log.h"
#include "directory/inside.h"

#define EVENT_BASE "https://schemas.accounts.firefox.com/event/"

enum { TRIES = 10 };

static rc read_token(struct request *rq, view *out, struct err *e)
{
    bool twice = false;
    view header = request_authorization(rq, &twice), scheme;
    if (!header.p || !view_cut(&header, ' ', &scheme) || !view_eq_nocase(scheme, VIEW("Bearer")) ||
        header.n == 0)
        return fail_words(e, RC_DENIED, &words_invalid_credentials, "no event token");
    *out = header;
    return RC_OK;
}

/* Generation only grows. What becomes of it: a deleted account is retired, and its data are left for erasing. */
static rc raise_once(struct directory_worker *w, struct arena *a, view name, int64_t generation,
                     struct err *e)
{
    struct account acc;
    struct change c[2];
    size_t n = 0;
    rc r = account_get(w->session, ACCOUNT_BY_NAME, name, a, &acc, e);
    if (r == RC_NOT_FOUND || (r == RC_OK && acc.generation >= generation))
        return RC_OK; /* nobody of ours, or known already */
    TRY(r);
    c[n++] = change_number(a, ATTR_GENERATION, acc.generation, generation);
    if (generation == GENERATION_RETIRED && acc.node.p)
        c[n++] = (struct change){ ATTR_ERASE, VIEW_NONE,
                                  erase_text(a, &(struct erase){ .node = acc.node,
                                                                 .uid = acc.uid,
                                                                 .epoch = acc.epoch,
                                                                 .since_ms = directory_now_ms(w->d) }) };
    TRY(account_cas(w->session, name, c, n, e));
    LOG(LOG_INFO, generation == GENERATION_RETIRED ? "account retired" : "password changed elsewhere",
        LOG_I("uid", acc.uid));
    if (generation == GENERATION_RETIRED)
        directory_forget(w->d, name, acc.uid);
    return RC_OK;
}

static rc raise_generation(struct request *rq, view sub, int64_t generation, struct err *e)
{
    struct directory_worker *w = rq->worker;
    rc r = RC_CONFLICT;
    view name = arena_text(rq->arena, "%.*s@%s", VIEW_ARG(sub), w->d->conf->domain);
    for (int i = 0; i < TRIES && r == RC_CONFLICT; i++)
        r = raise_once(w, rq->arena, name, generation, e);
    return r;
}

static rc act(struct request *rq, const json_t *claims, struct err *e)
{
    view sub = json_text(json_object_get(claims, "sub"));
    json_t *events = json_object_get(claims, "events");
    const json_t *change = json_object_get(events, EVENT_BASE "password-change");
    const json_t *when = json_object_get(change, "changeTime");
    if (sub.n == 0 || sub.n > ACCOUNT_NAME_MAX || memchr(sub.p, '\0', sub.n)) {
        LOG(LOG_WARN, "account event dropped", LOG_S("why", "it names nobody"));
        return RC_OK;
    }
    if (json_object_get(events, EVENT_BASE "delete-user"))
        return raise_generation(rq, sub, GENERATION_RETIRED, e);
    if (json_is_integer(when) && json_integer_value(when) > 1)
        return raise_generation(rq, sub, (int64_t)json_integer_value(when) - 1, e);
    LOG(LOG_INFO, "account event dropped", LOG_S("why", change ? "no changeTime" : "not of our concern"));
    return RC_OK;
}

rc webhook_post(struct request *rq, struct err *e)
{
    struct directory_worker *w = rq->worker;
    const struct directory_conf *conf = w->d->conf;
    struct oauth_http http = directory_http(w);
    SCOPED(json_decref) json_t *claims = NULL;
    view token;
    if (strcmp(conf->webhook, "off") == 0)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "account events are off");
    TRY(read_token(rq, &token, e));
    TRY(oauth_event(w->d->oauth, &http, token, view_of(conf->webhook_client), rq->arena, &claims, e));
    metric_add(w->d->events, 1);
    if (strcmp(conf->webhook, "on") == 0)
        TRY(act(rq, claims, e));
    return RC_OK;
}
