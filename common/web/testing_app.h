/* A server with an application for tests of the server: routes of every kind, a gate at which a handler stands until the test
 * opens it, and counters of what was called. Included by one test program each. */
#ifndef HEDDLE_WEB_TESTING_APP_H
#define HEDDLE_WEB_TESTING_APP_H

#include <sched.h>
#include <semaphore.h>

#include "common/web/inside.h"
#include "common/web/testing.h"

#define BIG_BYTES ((size_t)20 << 20)

struct app {
    sem_t entered, gate; /* /gate, /quick-gate: posts the one, waits for the other */
    atomic_int handled, late, decorated, opened, closed, rested, io_opened;
    atomic_int policy;      /* of the worker that was opened last, for the processor */
    atomic_int fail_opens;  /* so many worker_open fail */
    atomic_int warm_us;     /* how long a warm answer takes; -1: declines */
    atomic_bool warm_spins; /* … without waiting for anything */
    atomic_bool warm_reads; /* it is not in memory */
};

/* It stands still where the test does not step it, so that no slow machine looks like a slow disk. */
static struct clock_stepped stepped = CLOCK_STEPPED;

static struct app app;
static struct server *server;
static struct server_conf conf;

static rc say_ok(struct request *rq, struct err *e)
{
    (void)e;
    atomic_fetch_add(&app.handled, 1);
    buf_add(reply_body(rq), VIEW("ok"));
    return RC_OK;
}

static rc echo(struct request *rq, struct err *e)
{
    const struct query_arg *arg = request_arg(rq, "n");

    (void)e;
    atomic_fetch_add(&app.handled, 1);
    buf_add(reply_body(rq), rq->method_text);
    buf_addc(reply_body(rq), ' ');
    buf_add_i64(reply_body(rq), (int64_t)rq->body.n);
    buf_addc(reply_body(rq), ' ');
    buf_add(reply_body(rq), arg ? arg->value : VIEW("-"));
    if (rq->body.n > 0) {
        buf_addc(reply_body(rq), ' ');
        buf_addc(reply_body(rq), rq->body.p[rq->body.n - 1]);
    }
    return RC_OK;
}

static rc gate(struct request *rq, struct err *e)
{
    sem_post(&app.entered);
    while (sem_wait(&app.gate) != 0)
        ;
    return say_ok(rq, e);
}

static rc big(struct request *rq, struct err *e)
{
    char piece[4096];

    for (size_t done = 0; done < BIG_BYTES; done += sizeof piece) {
        memset(piece, 'a' + (int)(done / sizeof piece % 26), sizeof piece);
        buf_add(reply_body(rq), (view){ .p = piece, .n = sizeof piece });
        rc r = reply_flush(rq, e);
        if (r != RC_OK)
            return r;
    }
    return RC_OK;
}

static rc greedy(struct request *rq, struct err *e)
{
    arena_alloc(rq->arena, 2 << 20);
    return say_ok(rq, e);
}

static rc broken(struct request *rq, struct err *e)
{
    buf_add(reply_body(rq), VIEW("half"));
    return fail(e, RC_AWAY, RESP_GENERIC, "the database is away");
}

/* "?text" or "?text&html". */
static rc later(struct request *rq, struct err *e)
{
    (void)e;
    reply_status(rq, 503);
    reply_type(rq, request_arg(rq, "html") ? "text/html" : "text/plain");
    buf_add(reply_body(rq), rq->args[0].name);
    return RC_OK;
}

static rc tell(struct request *rq, struct err *e)
{
    (void)e;
    buf_add(reply_body(rq), rq->peer);
    buf_addc(reply_body(rq), ' ');
    buf_add(reply_body(rq), rq->id);
    return RC_OK;
}

static void spin(int64_t us)
{
    int64_t until = clock_mono_us(clock_system()) + us;

    while (clock_mono_us(clock_system()) < until)
        ;
}

/* Stands for a busy machine, or for a slow disk. */
static void warm_takes(int us)
{
    if (atomic_load(&app.warm_spins))
        spin(us);
    else
        usleep((useconds_t)us);
    atomic_fetch_add(&stepped.steady_us, us);
}

static bool warm(struct request *rq)
{
    int us = atomic_load(&app.warm_us);

    if (us < 0 || (rq->memory_only && atomic_load(&app.warm_reads)))
        return false;
    if (us > 0)
        warm_takes(us);
    buf_add(reply_body(rq), VIEW("warm"));
    return true;
}

static bool any(view s)
{
    return s.n > 0;
}

static rc admit(struct request *rq, bool *out_late, struct err *e)
{
    bool twice;
    view v = request_authorization(rq, &twice);

    if (!v.p || twice)
        return fail(e, RC_DENIED, RESP_GENERIC, "no credentials");
    *out_late = rq->route->auth == AUTH_BASIC;
    rq->who.uid = 7;
    return RC_OK;
}

static rc admit_late(struct request *rq, struct err *e)
{
    bool twice;

    atomic_fetch_add(&app.late, 1);
    assert_int_equal(rq->body.n, 0);
    if (view_eq(request_authorization(rq, &twice), VIEW("Basic good")))
        return RC_OK;
    return fail(e, RC_DENIED, RESP_GENERIC, "wrong password");
}

static rc admit_body(struct request *rq, struct err *e)
{
    if (rq->body.n >= 4 && memcmp(rq->body.p, "evil", 4) == 0)
        return fail(e, RC_DENIED, RESP_GENERIC, "payload hash");
    return RC_OK;
}

static bool before(struct request *rq)
{
    if (!view_eq(request_header(rq, "User-Agent"), VIEW("refused")))
        return true;
    reply_status(rq, 503);
    buf_add(reply_body(rq), VIEW("0"));
    return false;
}

static void decorate(struct request *rq)
{
    atomic_fetch_add(&app.decorated, 1);
    reply_header(rq, "X-Decorated", VIEW("yes"));
}

static size_t by_app(const struct request *rq)
{
    return rq->who.uid == 7 ? 1000 : 0;
}

static rc worker_open(void *arg, void **out, struct err *e)
{
    struct app *a = arg;

    if (atomic_fetch_sub(&a->fail_opens, 1) > 0)
        return fail(e, RC_AWAY, RESP_GENERIC, "no session");
    atomic_fetch_add(&a->opened, 1);
    atomic_store(&a->policy, sched_getscheduler(0));
    *out = a;
    return RC_OK;
}

static void worker_close(void *state)
{
    struct app *a = state;

    atomic_fetch_add(&a->closed, 1);
}

static void worker_rest(void *state)
{
    struct app *a = state;

    atomic_fetch_add(&a->rested, 1);
}

static rc io_open(void *arg, void **out, struct err *e)
{
    struct app *a = arg;

    (void)e;
    atomic_fetch_add(&a->io_opened, 1);
    *out = a;
    return RC_OK;
}

static bool health(struct request *rq, struct buf *out)
{
    assert_ptr_equal(rq->app, &app);
    assert_ptr_equal(rq->worker, &app);
    buf_add(out, VIEW(",\"database\":\"Ok\""));
    return true;
}

static const struct param_kind kinds[] = { { "any", any } };
static const struct route routes[] = {
    { GET, "/quick", say_ok, AUTH_NONE, 0, DIALECT_SYNC_15, ROUTE_QUICK, NULL, NULL, 0 },
    { GET, "/warm/{any}", say_ok, AUTH_NONE, 0, DIALECT_SYNC_15, 0, warm, NULL, 0 },
    { GET | HEAD | PUT | POST | DELETE, "/echo", echo, AUTH_NONE, 1 << 20, DIALECT_SYNC_15, 0, NULL, NULL,
      0 },
    { GET | DELETE, "/nobody", echo, AUTH_NONE, 0, DIALECT_SYNC_15, 0, NULL, NULL, 0 },
    { GET, "/gate", gate, AUTH_NONE, 0, DIALECT_SYNC_15, 0, NULL, NULL, 0 },
    { GET, "/quick-gate", gate, AUTH_NONE, 0, DIALECT_SYNC_15, ROUTE_QUICK, NULL, NULL, 0 },
    { GET, "/big", big, AUTH_NONE, 0, DIALECT_SYNC_15, 0, NULL, NULL, 0 },
    { GET, "/greedy", greedy, AUTH_NONE, 0, DIALECT_SYNC_15, 0, NULL, NULL, 0 },
    { GET, "/broken", broken, AUTH_NONE, 0, DIALECT_TOKEN, 0, NULL, NULL, 0 },
    { GET, "/later", later, AUTH_NONE, 0, DIALECT_PLAIN, ROUTE_QUICK, NULL, NULL, 0 },
    { GET, "/tell", tell, AUTH_NONE, 0, DIALECT_PLAIN, 0, NULL, NULL, 0 },
    { GET | POST, "/late", echo, AUTH_BASIC, 1 << 20, DIALECT_SYNC_11, 0, NULL, NULL, 0 },
    { POST, "/signed", echo, AUTH_HAWK, BODY_BY_APP, DIALECT_SYNC_15, 0, NULL, NULL, 0 },
};
static struct mount mounts[] = { {
    .name = "test",
    .service = "test",
    .routes = routes,
    .n_routes = sizeof routes / sizeof routes[0],
    .kinds = kinds,
    .n_kinds = 1,
    .app = &app,
    .before = before,
    .admit = admit,
    .admit_late = admit_late,
    .admit_body = admit_body,
    .body_max = by_app,
    .decorate = decorate,
    .worker_open = worker_open,
    .worker_close = worker_close,
    .worker_rest = worker_rest,
    .io_open = io_open,
    .health = health,
} };

static void app_reset(void)
{
    atomic_store(&app.handled, 0);
    atomic_store(&app.late, 0);
    atomic_store(&app.decorated, 0);
    atomic_store(&app.opened, 0);
    atomic_store(&app.closed, 0);
    atomic_store(&app.io_opened, 0);
    atomic_store(&app.fail_opens, 0);
    atomic_store(&app.warm_us, 0);
    atomic_store(&app.warm_spins, false);
    atomic_store(&app.warm_reads, false);
    sem_init(&app.entered, 0, 0);
    sem_init(&app.gate, 0, 0);
}

static inline void start_by(const struct clock *clock, bool internal)
{
    struct err e = ERR_NONE;

    if (server_open(&conf, internal, mounts, 1, clock, &server, &e) != RC_OK)
        fail_msg("server_open: %s", e.text);
}

static inline void start_as(bool internal)
{
    start_by(clock_system(), internal);
}

static inline void start(void)
{
    start_as(false);
}

static inline struct client dial(void)
{
    struct client c = client_dial(server_port(server));

    assert_true(c.fd >= 0);
    return c;
}

static int setup(void **state)
{
    (void)state;
    app_reset();
    conf = test_conf();
    mounts[0].reads_compute = false;
    server = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 64; i++) /* whoever a failed test left standing there */
        sem_post(&app.gate);
    server_close(server);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* One request on a connection of its own. */
static inline struct said once(const char *text)
{
    struct client c = dial();

    assert_true(client_say(&c, text));
    struct said s = client_hear(&c);
    client_done(&c);
    return s;
}

static inline void expect_once(const char *text, int status, const char *body)
{
    said_expect(once(text), text, status, body);
}

#define GET_(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static inline void wait_entered(void)
{
    while (sem_wait(&app.entered) != 0)
        ;
}

/* Until so many requests stand in the queue. */
static inline void wait_depth(unsigned depth)
{
    WAIT_UNTIL(server_queue_depth(server) == depth);
}

#endif
