#include "node/urls.h"

static view without_slash(view url)
{
    while (url.n > 0 && url.p[url.n - 1] == '/')
        url.n--;
    return url;
}

/* "https://host" and "https://host:443" are the same node, whichever the token says. VIEW_NONE: no other form. */
static view other_form(struct arena *a, const struct url_parts *u)
{
    unsigned usual = view_eq(u->scheme, VIEW("https")) ? 443 : 80;
    if (u->port != usual)
        return VIEW_NONE;
    if (u->host_port.n > u->host.n)
        return arena_text(a, "%.*s://%.*s%.*s", VIEW_ARG(u->scheme), VIEW_ARG(u->host), VIEW_ARG(u->base));
    return arena_text(a, "%.*s://%.*s:%u%.*s", VIEW_ARG(u->scheme), VIEW_ARG(u->host), usual,
                      VIEW_ARG(u->base));
}

static rc add(struct node *n, view url, struct arena *a, view *urls, struct err *e)
{
    struct url_parts u;

    url = arena_copy(a, without_slash(url));
    if (!url_cut(url, &u))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "\"%.*s\" is no URL of a node: must be like https://node7.example.net", VIEW_ARG(url));
    urls[n->n_own_urls++] = url;
    if (!n->own_name.p)
        n->own_name = u.host_port;
    view other = other_form(a, &u);
    if (other.p)
        urls[n->n_own_urls++] = other;
    return RC_OK;
}

rc node_urls(struct node *n, const struct node_options *o, struct arena *a, struct err *e)
{
    const struct node_conf *c = o->conf;
    view public_url = arena_copy(a, without_slash(view_of(o->public_url)));

    if (!url_cut(public_url, &n->public_url))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "public.url is \"%s\": must be like https://sync.example.net",
                    o->public_url ? o->public_url : "");
    view *urls = arena_zero(a, 2 * (c->aliases.n + 1) * sizeof(*urls));
    n->own_urls = urls;
    if (c->name && c->name[0])
        n->own_name = view_of(c->name);
    TRY(add(n, c->url && c->url[0] ? view_of(c->url) : public_url, a, urls, e));
    for (size_t i = 0; i < c->aliases.n; i++)
        TRY(add(n, view_of(c->aliases.items[i]), a, urls, e));
    if (a->spent)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "node.aliases: too many");
    return RC_OK;
}
