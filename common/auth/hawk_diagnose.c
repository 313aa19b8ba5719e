/* The commonest fault of a Hawk server is a proxy in front of it that changes what the client signed. A wrong MAC says
 * nothing by itself; trying what else the client may have signed does. */
#include "common/auth/hawk.h"

#define TRIES_MAX 256 /* MACs for one failure: some 100 microseconds */

static const view methods[] = { VIEW("GET"), VIEW("HEAD"), VIEW("PUT"), VIEW("POST"), VIEW("DELETE") };

#define N_METHODS (sizeof methods / sizeof methods[0])

/* Adds "what: signed …, checked …" to the list in *out. */
static void note(struct arena *a, view *out, const char *what, view is_signed, view checked)
{
    *out = arena_text(a, "%.*s%s%s: signed %.*s, checked %.*s", VIEW_ARG(*out), out->n ? "; " : "", what,
                      VIEW_ARG(is_signed), VIEW_ARG(checked));
}

static view tell(struct arena *a, const struct hawk_request *was, const struct hawk_request *is_signed)
{
    view text = VIEW("");

    if (!view_eq_nocase(is_signed->method, was->method))
        note(a, &text, "method", is_signed->method, was->method);
    if (!view_eq(is_signed->target, was->target))
        note(a, &text, "path", is_signed->target, was->target);
    if (!view_eq_nocase(is_signed->host, was->host))
        note(a, &text, "host", is_signed->host, was->host);
    if (is_signed->port != was->port)
        note(a, &text, "port", arena_text(a, "%u", is_signed->port), arena_text(a, "%u", was->port));
    return text;
}

/* The i-th request to try: alternative 0 of each of the four is what was checked. */
static struct hawk_request variant(const struct hawk_request *r, const struct hawk_guess *g, size_t method,
                                   size_t target, size_t host, size_t port)
{
    return (struct hawk_request){
        .method = method ? methods[method - 1] : r->method,
        .target = target ? g->targets[target - 1] : r->target,
        .host = host ? g->hosts[host - 1] : r->host,
        .port = port ? g->ports[port - 1] : r->port,
    };
}

/* Tries all that differ from r in exactly `differences` of the four. */
static bool try_all(view key, const struct hawk_header *h, const struct hawk_request *r,
                    const struct hawk_guess *g, int differences, unsigned *tries_left,
                    struct hawk_request *out)
{
    for (size_t m = 0; m <= N_METHODS; m++)
        for (size_t t = 0; t <= g->n_targets; t++)
            for (size_t o = 0; o <= g->n_hosts; o++)
                for (size_t p = 0; p <= g->n_ports; p++) {
                    if ((m > 0) + (t > 0) + (o > 0) + (p > 0) != differences)
                        continue;
                    if ((*tries_left)-- == 0) {
                        *tries_left = 0;
                        return false;
                    }
                    *out = variant(r, g, m, t, o, p);
                    if (hawk_check(key, h, out))
                        return true;
                }
    return false;
}

bool hawk_diagnose(view key, const struct hawk_header *h, const struct hawk_request *r,
                   const struct hawk_guess *g, struct arena *a, view *out)
{
    unsigned tries_left = TRIES_MAX;
    struct hawk_request found;

    for (int differences = 1; differences <= 4; differences++)
        if (try_all(key, h, r, g, differences, &tries_left, &found)) {
            *out = tell(a, r, &found);
            return true;
        }
    return false;
}
