/* For test_*.c of this folder: a node in miniature (SQLite in a folder of its own, cache in memory, a clock that stands still) and
 * requests without sockets. Each is routed as the server would; where a route has a warm function it is tried first, and what it answers
 * must be what the handler answers. */
#ifndef HEDDLE_SYNC_TESTING_H
#define HEDDLE_SYNC_TESTING_H

#include <dirent.h>
#include <unistd.h>

#include "common/base/testing.h"
#include "common/web/inside.h"
#include "node/sync/sync.h"
#include "node/sync/testing_conf.h"

#define BENCH_START_US INT64_C(1767225600310000) /* 1767225600.31 */
#define U15            "/1.5/12345"
#define U11            "/1.1/johndoe"

struct bench {
    char folder[64];
    struct clock_fake clock;
    struct sync_limits limits;
    struct store_conf store_conf;
    struct cache_conf cache_conf;
    struct store *store;
    struct cache *cache;
    struct sync_node node;
    struct sync_worker worker, io;
    int64_t uid, epoch;
    struct web_request *last; /* what was asked last, with its reply */
    struct buf body, error;   /* of it */
    bool memory_only;         /* what warm functions are told */
    bool was_warm;
};

static inline int bench_open(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    snprintf(b->folder, sizeof b->folder, "/tmp/heddle-sync-XXXXXX");
    assert_non_null(mkdtemp(b->folder));
    clock_fake_init(&b->clock, BENCH_START_US);
    b->limits = usual_limits();
    assert_int_equal(sync_limits_ready(&b->limits, NULL), RC_OK);
    b->store_conf = small_store(b->folder);
    b->cache_conf = small_cache("memory", "test");
    assert_int_equal(store_open(&b->store_conf, &b->clock.clock, &b->store, NULL), RC_OK);
    assert_int_equal(cache_open(&b->cache_conf, &b->clock.clock, &b->cache, NULL), RC_OK);
    b->node = (struct sync_node){
        .limits = &b->limits, .clock = &b->clock.clock, .cache = b->cache, .store = b->store
    };
    b->worker.sync = b->io.sync = &b->node;
    assert_int_equal(store_session_open(b->store, false, &b->worker.store, NULL), RC_OK);
    assert_int_equal(store_session_open(b->store, true, &b->io.store, NULL), RC_OK);
    assert_int_equal(cache_handle_open(b->cache, &b->worker.cache, NULL), RC_OK);
    assert_int_equal(cache_handle_open(b->cache, &b->io.cache, NULL), RC_OK);
    b->uid = 12345;
    b->epoch = 1;
    *state = b;
    return 0;
}

static inline int bench_close(void **state)
{
    struct bench *b = *state;
    DIR *d = opendir(b->folder);
    struct dirent *f;

    web_request_free(b->last);
    buf_done(&b->body);
    buf_done(&b->error);
    cache_handle_close(b->worker.cache);
    cache_handle_close(b->io.cache);
    store_session_close(b->worker.store);
    store_session_close(b->io.store);
    cache_close(b->cache);
    store_close(b->store);
    sync_limits_done(&b->limits);
    while (d && (f = readdir(d)))
        unlinkat(dirfd(d), f->d_name, 0);
    if (d)
        closedir(d);
    rmdir(b->folder);
    free(b);
    return 0;
}

/* Lets time pass, in hundredths of a second. */
static inline void bench_tick(struct bench *b, int64_t cs)
{
    b->clock.wall_us += cs * 10000;
    b->clock.steady_us += cs * 10000;
}

/* As another process of the node does: memory has no head of this version then. */
static inline void bench_others_write(struct bench *b)
{
    struct cache_mark mark;

    cache_before(b->worker.cache, b->uid, &mark);
    cache_after(b->worker.cache, b->uid, &mark, VIEW_NONE);
}

/* "Name: value\nName: value" */
static inline void bench_headers(struct web_request *w, const char *headers)
{
    view rest = view_of(headers), line, name;

    while (view_cut(&rest, '\n', &line)) {
        if (!view_cut(&line, ':', &name))
            continue;
        web_request_header_add(w, name, line.p ? line : VIEW(""));
    }
    web_request_headers_done(w, false);
}

static inline struct web_request *bench_request(struct bench *b, const char *method, const char *target,
                                                const char *headers, view body)
{
    static struct mount mount;
    struct web_request *w = web_request_new(&b->clock.clock, 8 << 20, view_of(target));
    struct request *rq = &w->rq;
    unsigned allow = 0;

    mount = (struct mount){ .name = "sync",
                            .service = "sync",
                            .routes = sync_routes,
                            .n_routes = sync_routes_n,
                            .kinds = sync_param_kinds,
                            .n_kinds = sync_param_kinds_n };
    web_request_method(w, view_of(method));
    bench_headers(w, headers);
    request_args_parse(rq);
    rq->body = body.p ? body : VIEW("");
    rq->who = (struct who){ .uid = b->uid, .epoch = b->epoch };
    w->routed = route_find(&mount, 1, false, VIEW_NONE, rq->method, rq->path, rq->arena, &rq->route,
                           &rq->mount, rq->params, &rq->n_params, &allow);
    if (w->routed == ROUTE_NO_METHOD)
        reply_refuse(rq, 405, allow);
    else if (w->routed == ROUTE_NO_PATH)
        reply_fail(rq, RC_NOT_FOUND, NULL);
    return w;
}

static inline void bench_finish(struct bench *b, struct web_request *w)
{
    char piece[65536];
    ssize_t n;

    assert_int_equal(reply_finish(&w->rq, NULL), RC_OK);
    reply_common_headers(&w->rq);
    buf_clear(&b->body);
    if (w->reply.spill_fd >= 0) {
        lseek(w->reply.spill_fd, 0, SEEK_SET);
        while ((n = read(w->reply.spill_fd, piece, sizeof piece)) > 0)
            buf_add(&b->body, (view){ .p = piece, .n = (size_t)n });
    }
    buf_add(&b->body, buf_view(&w->reply.body));
    buf_text(&b->body);
}

/* The answer to a request; its status. What came with it: bench_header, b->body. */
static inline int ask_bytes(struct bench *b, const char *method, const char *target, const char *headers,
                            view body)
{
    struct web_request *w = bench_request(b, method, target, headers, body);
    SCOPED(buf_done) struct buf warm_body = { 0 }, warm_headers = { 0 };

    web_request_free(b->last);
    b->last = NULL;
    b->was_warm = false;
    if (w->routed == ROUTE_FOUND && w->rq.route->warm) {
        w->rq.worker = &b->io;
        w->rq.memory_only = b->memory_only;
        b->was_warm = w->rq.route->warm(&w->rq);
        if (b->was_warm) {
            bench_finish(b, w);
            buf_add(&warm_body, buf_view(&b->body));
            buf_add(&warm_headers, buf_view(&w->reply.headers));
        } else {
            assert_int_equal(reply_size(&w->rq), 0);
            assert_int_equal(w->reply.headers.n, 0);
            assert_false(w->reply.has_last_modified || w->reply.has_timestamp);
        }
        reply_reset(&w->rq);
    }
    if (w->routed == ROUTE_FOUND) {
        w->err = ERR_NONE;
        w->rq.worker = &b->worker;
        w->result = w->rq.route->handler(&w->rq, &w->err);
        if (w->result != RC_OK)
            reply_fail(&w->rq, w->result, &w->err);
        else
            assert_false(w->arena.spent);
    }
    bench_finish(b, w);
    if (b->was_warm) {
        assert_true(view_eq(buf_view(&warm_body), buf_view(&b->body)));
        assert_true(view_eq(buf_view(&warm_headers), buf_view(&w->reply.headers)));
    }
    b->last = w;
    return w->reply.status;
}

static inline int ask(struct bench *b, const char *method, const char *target, const char *headers,
                      const char *body)
{
    return ask_bytes(b, method, target, headers, view_of(body));
}

/* NULL: not there. */
static inline const char *bench_header(const struct bench *b, const char *name)
{
    const struct buf *h = &b->last->reply.headers;

    for (size_t at = 0; at < h->n;) {
        const char *key = h->p + at, *value = key + strlen(key) + 1;

        if (view_eq_nocase(view_of(key), view_of(name)))
            return value;
        at += strlen(key) + strlen(value) + 2;
    }
    return NULL;
}

#define expect_header(b, name, text)                                                                         \
    assert_string_equal(bench_header(b, name) ? bench_header(b, name) : "(none)", text)
#define expect_no_header(b, name) assert_null(bench_header(b, name))

/* One line of most tests: ask, and compare status and answer (NULL: any). */
#define expect(...) expect_at(__FILE__, __LINE__, __VA_ARGS__)

static inline void expect_at(const char *file, int line, struct bench *b, const char *method,
                             const char *target, const char *headers, const char *body, int status,
                             const char *answer)
{
    int got = ask(b, method, target, headers, body);

    if (got == status && (!answer || strcmp(buf_text(&b->body), answer) == 0))
        return;
    print_error("%s %s gives %d %.*s\n(%s)\n", method, target, got, VIEW_ARG(buf_view(&b->body)),
                b->last->err.text);
    if (answer)
        print_error("not %d %s\n", status, answer);
    _fail(file, line);
}

#endif
