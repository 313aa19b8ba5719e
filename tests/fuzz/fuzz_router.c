/* The input as the target of a request, as a URL, and as a proxy's list of addresses. What comes out must have been in it: a
 * matched segment encodes to the bytes of its place in the path, and no argument is longer than what it was made of. */
#include <assert.h>

#include "common/base/encode.h"
#include "common/web/inside.h"

static rc nothing(struct request *rq, struct err *e)
{
    (void)rq;
    (void)e;
    return RC_OK;
}

static bool any(view s)
{
    return s.n > 0;
}

static bool number(view s)
{
    uint64_t n;

    return view_to_u64(s, UINT32_MAX, &n);
}

static const struct param_kind kinds[] = { { "any", any }, { "uid", number } };
static const struct route routes[] = {
    { GET, "/", nothing, AUTH_NONE, 0, DIALECT_SYNC_15, 0, NULL, NULL, 0 },
    { GET | PUT, "/1.5/{uid}/storage/{any}/{any}", nothing, AUTH_NONE, 0, DIALECT_SYNC_15, 0, NULL, NULL, 0 },
    { GET, "/user/1.0/{any}", nothing, AUTH_NONE, 0, DIALECT_USER, ROUTE_SLASHES, NULL, NULL, 0 },
    { POST, "/internal/{any}", nothing, AUTH_NONE, 0, DIALECT_INTERNAL, ROUTE_INTERNAL, NULL, NULL, 0 },
};
static const struct mount mounts[] = {
    { .name = "fuzz", .routes = routes, .n_routes = 4, .kinds = kinds, .n_kinds = 2 }
};

/* How many segments of the path, decoded, are this. */
static size_t occurrences(view path, view decoded, struct arena *a)
{
    view segment, plain;
    size_t n = 0;

    while (view_cut(&path, '/', &segment))
        n += percent_decode(segment, a, &plain) && view_eq(plain, decoded);
    return n;
}

static void route_one(struct web_request *w, bool internal, view base)
{
    struct request *rq = &w->rq;
    unsigned allow = 0;
    enum route_result r = route_find(mounts, 1, internal, base, GET, rq->path, &w->arena, &rq->route,
                                     &rq->mount, rq->params, &rq->n_params, &allow);

    if (r == ROUTE_NO_PATH)
        return;
    assert(rq->route && rq->mount == mounts);
    assert(internal || !(rq->route->flags & ROUTE_INTERNAL));
    if (r == ROUTE_NO_METHOD) {
        assert(allow && !(allow & GET));
        return;
    }
    for (size_t i = 0; i < rq->n_params; i++)
        assert(occurrences(rq->path, rq->params[i], &w->arena) > 0);
}

static void args_one(struct request *rq)
{
    size_t sum = 0;

    request_args_parse(rq);
    for (size_t i = 0; i < rq->n_args; i++)
        sum += rq->args[i].name.n + rq->args[i].value.n;
    assert(sum <= rq->query.n);
    assert(rq->n_args <= QUERY_ARGS_MAX);
}

static void address_one(view input)
{
    struct address a, again;
    char text[64];

    if (!address_parse(input, &a))
        return;
    address_print(&a, text);
    assert(address_parse(view_of(text), &again) && memcmp(a.bytes, again.bytes, sizeof a.bytes) == 0);
}

static void url_one(view input)
{
    struct url_parts u;

    if (!url_cut(input, &u))
        return;
    assert(u.port > 0 && u.port <= 65535 && u.host.n > 0);
    assert(u.host_port.p == u.host.p && u.host_port.n >= u.host.n);
    assert(u.base.n == 0 || (u.base.p[0] == '/' && u.base.p[u.base.n - 1] != '/'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    view input = { .p = (const char *)data, .n = size };
    struct clock_fake clock;

    clock_fake_init(&clock, 1);
    struct web_request *w = web_request_new(&clock.clock, 1 << 20, input);
    web_request_method(w, VIEW("GET"));
    web_request_header_add(w, VIEW("Content-Type"), input);
    web_request_header_add(w, VIEW("Content-Length"), input);
    web_request_header_add(w, input, VIEW("x"));
    web_request_headers_done(w, false);
    route_one(w, false, VIEW_NONE);
    route_one(w, true, VIEW("/user"));
    args_one(&w->rq);
    web_request_free(w);
    address_one(input);
    url_one(input);
    return 0;
}
