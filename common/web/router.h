/* Routes are a table that a human reads as documentation; the 405 answer, the metric's label, the page in docs/ and the
 * admission come from it too. Nothing here knows what a collection is: kinds of path segments come with the table. */
#ifndef HEDDLE_WEB_ROUTER_H
#define HEDDLE_WEB_ROUTER_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"

#define ROUTE_PARAMS_MAX 4

struct request;

enum method { GET = 1, HEAD = 2, POST = 4, PUT = 8, DELETE = 16, OPTIONS = 32, METHOD_OTHER = 64 };

/* Who may: what the mount's admit has to find. */
enum auth {
    AUTH_NONE,
    AUTH_HAWK,       /* a token and its signature */
    AUTH_HAWK_GRACE, /* the same; a token expired a short while ago passes */
    AUTH_BASIC,      /* name and password */
    AUTH_INTERNAL,   /* one of our own programs, Hawk with its own key */
    AUTH_SELF        /* the handler looks itself (bearer tokens, codes) */
};

/* Which tongue errors and common headers speak; see reply.c. */
enum dialect {
    DIALECT_SYNC_15,  /* X-Weave-Timestamp; error body: a JSON integer; 401 with WWW-Authenticate: Hawk */
    DIALECT_SYNC_11,  /* the same, Basic realm="Sync"; over quota is 400 */
    DIALECT_USER,     /* as 1.1 */
    DIALECT_TOKEN,    /* X-Timestamp; {"status":…,"errors":[…]} */
    DIALECT_INTERNAL, /* {"rc":…,"text":…} */
    DIALECT_PLAIN     /* operations and pages: no time header; a short text */
};

enum route_flags {
    ROUTE_QUICK = 1,   /* does no I/O: runs on the io thread */
    ROUTE_SLASHES = 2, /* slashes at the end are ignored (Sync 1.1, User API) */
    ROUTE_INTERNAL = 4 /* only on the internal listener */
};

/* A handler fills rq->reply and gives RC_OK, or fails. */
typedef rc handler_fn(struct request *rq, struct err *e);
/* Tried on the io thread before the request is parked: answers from memory (or, on SQLite and unless it is memory_only, by one short
 * read) and gives true, or leaves everything alone and gives false. */
typedef bool warm_fn(struct request *rq);

struct route {
    unsigned methods; /* GET | HEAD … */
    const char *path; /* "/1.5/{uid}/storage/{coll}"; "{name}" is a kind of the table */
    handler_fn *handler;
    enum auth auth;
    /* bytes; 0: none wanted (a body is read and dropped up to 64 KiB); BODY_BY_APP: ask the mount */
    size_t body_max;
    enum dialect dialect;
    unsigned flags;
    warm_fn *warm;       /* or NULL */
    const char *callers; /* AUTH_INTERNAL: who is admitted, "admin", "node", "admin node" */
    int op;              /* the app's own word for what it does, for handlers that serve several routes */
};

#define BODY_BY_APP SIZE_MAX

/* A kind of path segment: "uid" → [0-9]{1,10}. Called with the decoded segment. */
struct param_kind {
    const char *name;
    bool (*ok)(view segment);
};

/* One application's routes at one listener. All functions but admit_late and the handlers must not block. */
struct mount {
    const char *name;    /* "sync", "directory": label in logs and metrics */
    const char *service; /* "sync": tag of loads in the pulse */
    const struct route *routes;
    size_t n_routes;
    const struct param_kind *kinds;
    size_t n_kinds;
    void *app;

    /* Before anything else; false: the reply is filled already (refused clients, maintenance, CORS preflight). May be NULL.
     * Also called for paths that no route of any mount knows, with the first mount. */
    bool (*before)(struct request *rq);
    /* On the io thread, when the headers are complete: CPU only. RC_OK; or *out_late = true: admit_late must run first,
     * on a worker, before the body is read. NULL where no route asks for more than AUTH_NONE or AUTH_SELF. */
    rc (*admit)(struct request *rq, bool *out_late, struct err *e);
    rc (*admit_late)(struct request *rq, struct err *e);
    /* On the io thread or a worker, when the body is complete (payload hash of Hawk). May be NULL. */
    rc (*admit_body)(struct request *rq, struct err *e);
    /* The body's ceiling where the route says BODY_BY_APP. */
    size_t (*body_max)(const struct request *rq);
    /* Called once for each reply of this mount, good or bad, before it is sent: back-off headers, CORS. May be NULL. */
    void (*decorate)(struct request *rq);
    /* A worker's own state for this app, made at its first job here and kept for life: store session, cache handle.
     * RC_AWAY when the backend does not answer: the request gets 503 and the next one tries again. May be NULL. */
    rc (*worker_open)(void *app, void **out, struct err *e);
    void (*worker_close)(void *worker);
    /* Before its thread sleeps until there is something to do: what others may need meanwhile is given back. May be NULL. */
    void (*worker_rest)(void *worker);
    /* The same for an io thread, for `warm`; opened at the first warm request; failing means no warm answers. */
    rc (*io_open)(void *app, void **out, struct err *e);
    /* What its reads need on a worker is a core, seldom a disk and nobody else's answer. Holds for the whole server. */
    bool reads_compute;
    /* Asked by /__heartbeat__ on a worker: appends members such as `,"database":"Ok"` to out; false: not healthy. */
    bool (*health)(struct request *rq, struct buf *out);
};

enum route_result { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD };

/* Finds the route of an encoded path. Segments are split at '/', then percent-decoded, then checked by their kind.
 * ROUTE_FOUND fills out_route, out_mount, params. ROUTE_NO_METHOD fills out_allow (methods) and out_route, out_mount
 * (any of the path's, for its dialect). ROUTE_NO_PATH leaves both.
 * base: "/prefix" of the public URL, tried with and without; VIEW_NONE: none. */
enum route_result route_find(const struct mount *mounts, size_t n_mounts, bool internal, view base,
                             enum method m, view path, struct arena *a, const struct route **out_route,
                             const struct mount **out_mount, view params[ROUTE_PARAMS_MAX], size_t *out_n,
                             unsigned *out_allow);

enum method method_parse(view text); /* METHOD_OTHER: one that no route has */

#endif
