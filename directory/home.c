/* "/": a page for people who look what lives here, and the token server's description of itself for programs. */
#include "common/base/json.h"
#include "directory/screens/screens.h"

/* ---- Accept ---- */

/* ";q=0", ";q=0.0": not wanted. */
static bool is_refused(view params)
{
    view one;
    while (view_cut(&params, ';', &one)) {
        one = view_trim(one);
        if (one.n < 3 || !view_eq_nocase((view){ .p = one.p, .n = 2 }, VIEW("q=")))
            continue;
        for (size_t i = 2; i < one.n; i++)
            if (one.p[i] != '0' && one.p[i] != '.')
                return false;
        return true;
    }
    return false;
}

static bool range_is(view accept, view wanted, bool *out_refused)
{
    view one;
    while (view_cut(&accept, ',', &one)) {
        view type;
        view_cut(&one, ';', &type);
        if (view_eq_nocase(view_trim(type), wanted)) {
            *out_refused = is_refused(one);
            return true;
        }
    }
    return false;
}

bool accept_names(view accept, view type)
{
    bool refused;
    return range_is(accept, type, &refused) && !refused;
}

/* The most exact range decides. */
bool accept_takes(view accept, view type)
{
    bool refused = false;
    const char *slash = memchr(type.p, '/', type.n);
    char group[64];
    if (accept.n == 0 || range_is(accept, type, &refused))
        return !refused;
    int n = snprintf(group, sizeof(group), "%.*s/*", (int)(slash - type.p), type.p);
    if (range_is(accept, (view){ .p = group, .n = (size_t)n }, &refused) ||
        range_is(accept, VIEW("*/*"), &refused))
        return !refused;
    return false;
}

/* ---- for programs ---- */

static void description(struct request *rq, const struct directory *d)
{
    struct buf *b = reply_body(rq);
    view server = oauth_server_url(d->oauth, rq->arena);
    buf_add(b, VIEW("{\"services\":{\"sync\":[\"1.5\"]},\"auth\":"));
    json_put_string(b, view_of(d->public_url));
    buf_add(b, VIEW(",\"oauth\":{\"default_issuer\":"));
    json_put_string(b, view_of(d->conf->oauth_issuer[0] ? d->conf->oauth_issuer : d->conf->domain));
    buf_add(b, VIEW(",\"scope\":"));
    json_put_string(b, view_of(d->conf->oauth_scope));
    buf_add(b, VIEW(",\"server_url\":"));
    if (server.p)
        json_put_string(b, server);
    else
        buf_add(b, VIEW("null"));
    buf_add(b, VIEW("},\"browserid\":{\"allowed_issuers\":[],\"trusted_issuers\":[]}}"));
}

rc home_page(struct request *rq, struct err *e)
{
    const struct directory *d = rq->app;
    if (accept_names(request_header(rq, "Accept"), VIEW("text/html")))
        return screen_home(rq, e);
    reply_header(rq, "Vary", VIEW("Accept"));
    description(rq, d);
    return RC_OK;
}
