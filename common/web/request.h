/* What a handler sees of one HTTP request. Handlers are plain blocking functions; threads, queues and libmicrohttpd are
 * known to this folder alone. Everything here lives in the request's arena and dies with it. */
#ifndef HEDDLE_WEB_REQUEST_H
#define HEDDLE_WEB_REQUEST_H

#include "common/auth/who.h"
#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/web/router.h"

#define REQUEST_ID_MAX 64

struct reply;
struct server;

struct query_arg {
    view name, value; /* decoded; value.p == NULL: the name stood alone, without '=' */
};

struct request {
    struct arena *arena;
    const struct clock *clock;
    enum method method;
    view method_text;
    view target;                   /* path and query, byte for byte: Hawk signs this */
    view path, query;              /* the two halves of target, still encoded; query.p == NULL: no '?' */
    view body;                     /* whole; empty before it has arrived */
    view content_type;             /* lower case, without parameters; VIEW_NONE: no header */
    view params[ROUTE_PARAMS_MAX]; /* decoded, in the order of the pattern */
    size_t n_params;
    const struct query_arg *args;
    size_t n_args;
    bool args_broken; /* a percent escape in the query did not decode */
    const struct route *route;
    const struct mount *mount;
    void *app;        /* the mount's: struct node *, struct directory * */
    void *worker;     /* what the mount's worker_open made for this thread (io_open in warm) */
    bool memory_only; /* in warm: reads of this route were slow lately */
    struct who who;
    stamp started; /* server time at the start of the request, rounded down */
    /* X-Request-Id: the client's if it is [A-Za-z0-9._-]{1,64} and he is a trusted proxy or an internal
     * caller, else ours */
    view id;
    view peer; /* address of the client, without port; from X-Forwarded-For behind trusted proxies */
    struct reply *reply;
    const char *log_reason;  /* constant text for the log line: why a credential was refused … */
    int64_t store_us;        /* time spent in the store, for the log line */
    void *scratch;           /* the mount's own: what admit keeps for the handler */
    struct web_request *web; /* the server's own */
};

/* A request header by name (any case); VIEW_NONE if absent. With several of one name: the first. */
view request_header(const struct request *rq, const char *name);
size_t request_header_count(const struct request *rq, const char *name);

/* The first argument of that name; NULL if absent. */
const struct query_arg *request_arg(const struct request *rq, const char *name);
view request_arg_value(const struct request *rq, const char *name); /* VIEW_NONE if absent */

/* Reads an untrusted-looking "Authorization" (two of them count as none and *out_twice is set). */
view request_authorization(const struct request *rq, bool *out_twice);

#endif
