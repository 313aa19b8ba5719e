#include "node/signed.h"

#include "common/base/log.h"

#define TARGETS_MAX 4
#define HOSTS_MAX   8

static view with_base(const struct request *rq, view base)
{
    return arena_text(rq->arena, "%.*s%.*s", VIEW_ARG(base), VIEW_ARG(rq->target));
}

/* "/base" or "/base/…" or "/base?…" */
static bool under(view target, view base)
{
    if (!view_starts(target, base))
        return false;
    return target.n == base.n || target.p[base.n] == '/' || target.p[base.n] == '?';
}

bool signed_fits(const struct request *rq, const struct node *n, view key, const struct hawk_header *h)
{
    const struct url_parts *url = &n->public_url;
    struct hawk_request r = {
        .method = rq->method_text, .target = rq->target, .host = url->host, .port = url->port
    };

    if (url->base.n > 0 && !under(rq->target, url->base)) {
        r.target = with_base(rq, url->base);
        if (hawk_check(key, h, &r))
            return true;
        r.target = rq->target;
    }
    return hawk_check(key, h, &r);
}

/* ---- why it does not fit ---- */

/* A host[:port] as a client sent it; good enough for guessing. */
static void guess_host(view text, view hosts[], size_t *n_hosts, unsigned ports[], size_t *n_ports)
{
    if (text.n == 0 || *n_hosts >= HOSTS_MAX || *n_ports >= HOSTS_MAX)
        return;
    size_t end = text.n;
    while (end > 0 && text.p[end - 1] >= '0' && text.p[end - 1] <= '9')
        end--;
    uint64_t port;
    if (end > 1 && text.p[end - 1] == ':' &&
        view_to_u64((view){ .p = text.p + end, .n = text.n - end }, 65535, &port)) {
        ports[(*n_ports)++] = (unsigned)port;
        text.n = end - 1;
    }
    hosts[(*n_hosts)++] = text;
}

void signed_tell(const struct request *rq, const struct node *n, view key, const struct hawk_header *h)
{
    view hosts[HOSTS_MAX + 1], targets[TARGETS_MAX], found;
    unsigned ports[HOSTS_MAX + 3];
    size_t n_hosts = 0, n_ports = 0, n_targets = 0;

    guess_host(request_header(rq, "Host"), hosts, &n_hosts, ports, &n_ports);
    guess_host(request_header(rq, "X-Forwarded-Host"), hosts, &n_hosts, ports, &n_ports);
    for (size_t i = 0; i < n->n_own_urls; i++) {
        struct url_parts url;
        if (n_hosts < HOSTS_MAX && n_ports < HOSTS_MAX && url_cut(n->own_urls[i], &url)) {
            hosts[n_hosts++] = url.host;
            ports[n_ports++] = url.port;
        }
    }
    ports[n_ports++] = 443;
    ports[n_ports++] = 80;
    view base = n->public_url.base;
    if (base.n > 0 && under(rq->target, base))
        targets[n_targets++] = (view){ .p = rq->target.p + base.n, .n = rq->target.n - base.n };
    else if (base.n > 0)
        targets[n_targets++] = with_base(rq, base);
    if (rq->query.p)
        targets[n_targets++] = rq->path; /* the query was lost or added */
    else
        targets[n_targets++] = arena_text(rq->arena, "%.*s/", VIEW_ARG(rq->target));

    const struct hawk_request r = { .method = rq->method_text,
                                    .target = rq->target,
                                    .host = n->public_url.host,
                                    .port = n->public_url.port };
    const struct hawk_guess g = { .hosts = hosts,
                                  .n_hosts = n_hosts,
                                  .ports = ports,
                                  .n_ports = n_ports,
                                  .targets = targets,
                                  .n_targets = n_targets };
    if (hawk_diagnose(key, h, &r, &g, rq->arena, &found))
        LOG(LOG_WARN, "a signature fits another request: check public.url and the proxy in front",
            LOG_V("signed", found), LOG_V("id", rq->id));
}
