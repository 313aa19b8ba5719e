#include "common/web/inside.h"

#include "common/base/encode.h"
#include "common/base/mem.h"

/* RFC 9110 5.6.2, "token": names of methods and headers. */
static bool is_token(view v)
{
    return v.n > 0 && view_only_alnum(v, "!#$%&'*+-.^_`|~");
}

/* ---- making one ---- */

void web_request_begin(struct web_request *w, const struct clock *clock, view target)
{
    w->err = ERR_NONE;
    w->linger_fd = -1;
    w->rq.arena = &w->arena;
    w->rq.clock = clock;
    w->rq.reply = &w->reply;
    w->rq.web = w;
    w->rq.target = arena_copy(&w->arena, target);
    w->rq.path = w->rq.target;
    const char *mark = memchr(w->rq.target.p, '?', w->rq.target.n);
    if (mark) {
        w->rq.path.n = (size_t)(mark - w->rq.target.p);
        w->rq.query = (view){ .p = mark + 1, .n = w->rq.target.n - w->rq.path.n - 1 };
    }
    w->rq.body = VIEW("");
    w->rq.started = clock_stamp(clock);
    w->begun_us = clock_mono_us(clock);
}

struct web_request *web_request_new(const struct clock *clock, size_t arena_bytes, view target)
{
    struct web_request *w = mem_need(calloc(1, sizeof *w));

    arena_init(&w->arena, arena_bytes);
    reply_init(&w->reply);
    web_request_begin(w, clock, target);
    return w;
}

void web_request_clear(struct web_request *w)
{
    reply_done(&w->reply);
    buf_done(&w->body);
    arena_reset(&w->arena);
    *w = (struct web_request){ .arena = w->arena };
    reply_init(&w->reply);
}

void web_request_free(struct web_request *w)
{
    if (!w)
        return;
    web_request_clear(w);
    arena_done(&w->arena);
    free(w);
}

void web_request_method(struct web_request *w, view method)
{
    w->rq.method_text = arena_copy(&w->arena, method);
    w->rq.method = method_parse(method);
    if (!is_token(method))
        w->malformed = "method is no token";
}

void web_request_header_add(struct web_request *w, view name, view value)
{
    if (w->n_headers == w->cap_headers) {
        size_t cap = w->cap_headers ? 2 * w->cap_headers : 16;
        struct web_header *grown = arena_alloc(&w->arena, cap * sizeof *grown);

        if (w->n_headers > 0)
            memcpy(grown, w->headers, w->n_headers * sizeof *grown);
        w->headers = grown;
        w->cap_headers = cap;
    }
    if (!is_token(name)) /* "Content-Length : 5" would be read by the next program in another way */
        w->malformed = "name of a header is no token";
    w->headers[w->n_headers++] = (struct web_header){ .name = name, .value = view_trim(value) };
}

/* Content-Type without parameters, in lower case. */
static view media_type(struct request *rq)
{
    view v = request_header(rq, "Content-Type"), type;

    if (!view_cut(&v, ';', &type))
        return VIEW_NONE;
    type = view_trim(type);
    char *lower = arena_cstr(rq->arena, type);
    for (size_t i = 0; i < type.n; i++)
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] = (char)(lower[i] - 'A' + 'a');
    return (view){ .p = lower, .n = type.n };
}

/* How long the body is must be said once and clearly, or two programs in a row read two different requests out of the same
 * bytes. Protocol: RFC 9112 6.1, 6.3, 11.2. */
static const char *framing(struct web_request *w, bool http_1_0)
{
    const struct request *rq = &w->rq;
    size_t lengths = request_header_count(rq, "Content-Length");
    size_t codings = request_header_count(rq, "Transfer-Encoding");

    size_t hosts = request_header_count(rq, "Host");

    for (size_t i = 0; i < rq->target.n; i++)
        if ((unsigned char)rq->target.p[i] <= ' ' || rq->target.p[i] == 0x7f)
            return "blank or control byte in the target";
    if (hosts > 1)
        return "several Host headers";
    if (hosts == 0 && !http_1_0)
        return "no Host header";
    if (lengths > 1)
        return "several Content-Length headers";
    if (codings > 1)
        return "several Transfer-Encoding headers";
    if (codings && lengths)
        return "Content-Length beside Transfer-Encoding";
    if (codings) {
        if (http_1_0)
            return "Transfer-Encoding in HTTP/1.0";
        if (!view_eq_nocase(request_header(rq, "Transfer-Encoding"), VIEW("chunked")))
            return "unknown Transfer-Encoding";
        w->chunked = true;
    }
    if (lengths) {
        if (!view_to_u64(request_header(rq, "Content-Length"), UINT64_MAX, &w->length))
            return "Content-Length is no number";
        w->has_length = true;
    }
    return NULL;
}

void web_request_headers_done(struct web_request *w, bool http_1_0)
{
    const char *broken = framing(w, http_1_0);

    if (!w->malformed)
        w->malformed = broken;
    w->rq.content_type = media_type(&w->rq);
    w->expects = view_eq_nocase(request_header(&w->rq, "Expect"), VIEW("100-continue"));
}

void request_args_parse(struct request *rq)
{
    view rest = rq->query, piece;
    size_t n = 0;

    if (!rq->query.p || rq->query.n == 0)
        return;
    for (size_t i = 0; i < rq->query.n; i++)
        n += rq->query.p[i] == '&';
    if (n >= QUERY_ARGS_MAX) { /* nobody sends so many; the handlers answer what they answer to broken ones */
        rq->args_broken = true;
        return;
    }
    struct query_arg *args = arena_alloc(rq->arena, (n + 1) * sizeof *args);
    n = 0;
    while (view_cut(&rest, '&', &piece)) {
        struct query_arg arg = { .value = VIEW_NONE };
        view name;

        if (piece.n == 0)
            continue;
        view_cut(&piece, '=', &name);
        if (!form_decode(name, rq->arena, &arg.name) ||
            (piece.p && !form_decode(piece, rq->arena, &arg.value))) {
            rq->args_broken = true;
            continue;
        }
        args[n++] = arg;
    }
    rq->args = args;
    rq->n_args = n;
}

/* ---- reading it ---- */

view request_header(const struct request *rq, const char *name)
{
    view wanted = view_of(name);

    for (size_t i = 0; i < rq->web->n_headers; i++)
        if (view_eq_nocase(rq->web->headers[i].name, wanted))
            return rq->web->headers[i].value;
    return VIEW_NONE;
}

size_t request_header_count(const struct request *rq, const char *name)
{
    view wanted = view_of(name);
    size_t n = 0;

    for (size_t i = 0; i < rq->web->n_headers; i++)
        n += view_eq_nocase(rq->web->headers[i].name, wanted);
    return n;
}

const struct query_arg *request_arg(const struct request *rq, const char *name)
{
    view wanted = view_of(name);

    for (size_t i = 0; i < rq->n_args; i++)
        if (view_eq(rq->args[i].name, wanted))
            return &rq->args[i];
    return NULL;
}

view request_arg_value(const struct request *rq, const char *name)
{
    const struct query_arg *a = request_arg(rq, name);
    return a ? a->value : VIEW_NONE;
}

view request_authorization(const struct request *rq, bool *out_twice)
{
    size_t n = request_header_count(rq, "Authorization");

    *out_twice = n > 1;
    return n == 1 ? request_header(rq, "Authorization") : VIEW_NONE;
}
