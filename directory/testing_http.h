/* For tests of handlers: a directory in a folder of its own, asked without sockets; routes, errors and common headers are the
 * server's. */
#ifndef HEDDLE_DIRECTORY_TESTING_HTTP_H
#define HEDDLE_DIRECTORY_TESTING_HTTP_H

#include <dirent.h>
#include <unistd.h>

#include "common/base/json.h"
#include "common/base/log.h"
#include "common/web/inside.h"
#include "directory/inside.h"
#include "directory/testing.h"

#define OWN_URL    "http://node1.example.net:8000"
#define ADDRESS    "https://sync.example.net/base"
#define ADMIN_LIST 4

struct forgotten {
    int calls;
    char name[128];
    int64_t uid, until_s;
};

struct house {
    char folder[64], jwks[128];
    struct clock_fake clock;
    struct arena a;
    char *secret[1];
    char *allow[ADMIN_LIST];
    struct directory_conf conf;
    struct directory_options options;
    struct directory *d;
    struct mount mount;
    void *worker;
    struct forgotten forgotten;
    bool warm;        /* answers from memory are tried first, as on an io thread */
    int warm_answers; /* … so many were given */
};

struct said {
    int status;
    view body, headers; /* in the house's arena; headers: name NUL value NUL … */
    unsigned retry_after_s;
    const char *type;
};

static inline char *text_of(const char *t)
{
    return (char *)(uintptr_t)t;
}

static inline void house_forget(void *arg, view name, int64_t uid, int64_t until_s)
{
    struct house *h = arg;
    h->forgotten.calls++;
    snprintf(h->forgotten.name, sizeof(h->forgotten.name), "%.*s", VIEW_ARG(name));
    h->forgotten.uid = uid;
    h->forgotten.until_s = until_s;
}

static inline void house_write(struct house *h, const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    (void)h;
}

/* Everything but what opens it: tests change h->conf and h->options before house_open. */
static inline struct house *house_new(EVP_PKEY *key)
{
    struct house *h = calloc(1, sizeof(*h));
    assert_non_null(h);
    log_setup(STDERR_FILENO, LOG_PLAIN, LOG_ERROR);
    snprintf(h->folder, sizeof(h->folder), "%s", "/tmp/heddle-directory-XXXXXX");
    assert_non_null(mkdtemp(h->folder));
    snprintf(h->jwks, sizeof(h->jwks), "%s/jwks.json", h->folder);
    clock_fake_init(&h->clock, NOW_US);
    arena_init(&h->a, 32 << 20);
    if (key)
        house_write(h, h->jwks, arena_text(&h->a, "{\"keys\":[%s]}", test_jwk(&h->a, key, "k1", "")).p);
    h->secret[0] = text_of("5b1f0e7c9d2a4483b6c0a1e2f3d4958677665544332211ffeeddccbbaa998877");
    h->conf = (struct directory_conf){
        .backend = text_of("sqlite"),
        .path = text_of(""),
        .domain = text_of("api.accounts.firefox.com"),
        .token_secrets = { .items = h->secret, .n = 1 },
        .token_derived = true,
        .token_life_s = 3600,
        .metrics_key = text_of("secret"),
        .node_type = text_of("mysql"),
        .jwks_file = h->jwks,
        .jwks_url = text_of(""),
        .verify_url = text_of(""),
        .oauth_issuer = text_of(""),
        .oauth_scope = text_of(OLDSYNC),
        .oauth_timeout_s = 5,
        .registration = text_of("open"),
        .registration_secret = text_of(""),
        .registration_allow = { .items = h->allow },
        .strict_usernames = true,
        .fallback_node = text_of(""),
        .argon2_kib = 64,
        .argon2_passes = 1,
        .argon2_lanes = 1,
        .signups_per_hour = 100,
        .wrong_passwords = 100,
        .wrong_invites = 20,
        .webhook = text_of("off"),
        .webhook_client = text_of(""),
    };
    h->options = (struct directory_options){ .conf = &h->conf,
                                             .public_url = ADDRESS,
                                             .data_dir = h->folder,
                                             .clock = &h->clock.clock,
                                             .sole_node_url = OWN_URL,
                                             .sole_node_address = ADDRESS,
                                             .on_forget = house_forget,
                                             .on_forget_arg = h };
    return h;
}

static inline void house_open(struct house *h)
{
    struct err e = ERR_NONE;
    if (directory_open(&h->options, &h->d, &e) != RC_OK)
        fail_msg("%s", e.text);
    directory_mount(h->d, &h->mount);
    assert_int_equal(h->mount.worker_open(h->d, &h->worker, NULL), RC_OK);
}

static inline void house_close(struct house *h)
{
    if (h->worker)
        h->mount.worker_close(h->worker);
    directory_close(h->d);
    h->worker = NULL;
    h->d = NULL;
}

static inline void house_free(struct house *h)
{
    house_close(h);
    DIR *d = opendir(h->folder);
    for (const struct dirent *x; d && (x = readdir(d));)
        if (x->d_name[0] != '.')
            unlinkat(dirfd(d), x->d_name, 0);
    closedir(d);
    rmdir(h->folder);
    arena_done(&h->a);
    free(h);
}

/* headers: name, value, name, value, NULL; or NULL. worker: h->worker, or that of a thread. */
static inline struct said ask_as(struct house *h, void *worker, struct arena *a, const char *peer,
                                 const char *method, const char *target, const char *const *headers,
                                 view body)
{
    struct web_request *w = web_request_new(&h->clock.clock, 1 << 20, view_of(target));
    struct request *rq = &w->rq;
    struct err e = ERR_NONE;
    unsigned allow = 0;
    web_request_method(w, view_of(method));
    for (size_t i = 0; headers && headers[i]; i += 2)
        web_request_header_add(w, view_of(headers[i]), view_of(headers[i + 1]));
    web_request_headers_done(w, false);
    request_args_parse(rq);
    rq->body = body;
    rq->peer = view_of(peer);
    rq->id = VIEW("test");
    rq->app = h->d;
    rq->worker = worker;
    enum route_result found = route_find(&h->mount, 1, false, VIEW_NONE, rq->method, rq->path, rq->arena,
                                         &rq->route, &rq->mount, rq->params, &rq->n_params, &allow);
    if (found == ROUTE_NO_PATH)
        reply_fail(rq, RC_NOT_FOUND, NULL);
    else if (found == ROUTE_NO_METHOD)
        reply_refuse(rq, 405, allow);
    else if (h->warm && rq->route->warm && !(rq->worker = NULL) && rq->route->warm(rq))
        h->warm_answers++;
    else {
        rq->worker = worker;
        rc r = rq->route->handler(rq, &e);
        if (r != RC_OK)
            reply_fail(rq, r, &e);
    }
    assert_false(rq->arena->spent);
    reply_common_headers(rq);
    struct said s = { .status = w->reply.status,
                      .body = arena_copy(a, buf_view(&w->reply.body)),
                      .headers = arena_copy(a, buf_view(&w->reply.headers)),
                      .retry_after_s = w->reply.retry_after_s,
                      .type = w->reply.type };
    web_request_free(w);
    return s;
}

static inline struct said ask(struct house *h, const char *method, const char *target,
                              const char *const *headers, view body)
{
    return ask_as(h, h->worker, &h->a, "127.0.0.1", method, target, headers, body);
}

static inline void said_is(struct said s, int status, const char *body)
{
    if (s.status != status || !view_eq(s.body, view_of(body)))
        fail_msg("%d %.*s, not %d %s", s.status, VIEW_ARG(s.body), status, body);
}

static inline view said_header(struct said s, const char *name)
{
    view rest = s.headers, key, value;
    while (view_cut(&rest, '\0', &key) && view_cut(&rest, '\0', &value))
        if (view_eq_nocase(key, view_of(name)))
            return value;
    return VIEW_NONE;
}

static inline json_t *said_json(struct said s) /* the caller's */
{
    json_t *j;
    assert_int_equal(json_read(s.body, 32, JSON_READ_PLAIN, &j, NULL), RC_OK);
    return j;
}

#endif
