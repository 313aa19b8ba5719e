/* A password's verdict of before a move, which the pulse has not yet taken back, and the head that came with the user: requests in 1.1 as a
 * worker meets them, against a directory that says what the test wants. */
#include "common/base/encode.h"
#include "common/web/inside.h"
#include "node/step.h"
#include "node/testing.h"

#define HERE      "https://node17.sync.example.net"
#define ELSEWHERE "https://node18.sync.example.net"
#define UID       INT64_C(99)
#define USER      "/1.1/anna/"

static struct oracle directory;

static void says(const char *node, int64_t epoch)
{
    directory.answer = RC_OK;
    directory.node = node;
    directory.uid = UID;
    directory.epoch = epoch;
}

struct door {
    struct site s;
    struct mount mount;
    void *worker;
    char reason[32]; /* in the log, of the last request */
};

static int door_open(void **state)
{
    static const struct authority_driver driver = { .verify = oracle_says, .arg = &directory };
    struct door *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    site_make(&d->s);
    d->s.conf.verdict_s = 60;
    const struct node_options o = { .conf = &d->s.conf,
                                    .limits = &d->s.limits,
                                    .store = &d->s.store,
                                    .cache = &d->s.cache,
                                    .public_url = HERE,
                                    .authority = &driver,
                                    .clock = &d->s.clock.clock,
                                    .internal_keys = &d->s.keys };
    if (node_open(&o, &d->s.node, &d->s.e) != RC_OK)
        fail_msg("%s", d->s.e.text);
    node_mount(d->s.node, &d->mount);
    assert_int_equal(d->mount.worker_open(d->s.node, &d->worker, &d->s.e), RC_OK);
    directory.asked = 0;
    *state = d;
    return 0;
}

static int door_close(void **state)
{
    struct door *d = *state;
    d->mount.worker_close(d->worker);
    site_close(&d->s);
    free(d);
    return 0;
}

/* What the server does for a request of anna's on a worker. */
static rc serve(struct door *d, struct web_request *w, struct err *e)
{
    struct request *rq = &w->rq;
    bool late = false;
    TRY(d->mount.admit(rq, &late, e));
    rq->worker = d->worker;
    if (late)
        TRY(d->mount.admit_late(rq, e));
    return rq->route->handler(rq, e);
}

static rc ask(struct door *d, const char *method, const char *target, const char *body)
{
    struct web_request *w = web_request_new(d->s.node->clock, (size_t)1 << 20, view_of(target));
    struct request *rq = &w->rq;
    struct err e = ERR_NONE;
    unsigned allow;
    SCOPED(buf_done) struct buf b = { 0 };
    web_request_method(w, view_of(method));
    buf_add(&b, VIEW("Basic "));
    base64_put(&b, BASE64_STD, VIEW("anna:secret"));
    web_request_header_add(w, VIEW("Authorization"), buf_view(&b));
    request_args_parse(rq);
    if (route_find(&d->mount, 1, false, VIEW_NONE, rq->method, rq->path, rq->arena, &rq->route, &rq->mount,
                   rq->params, &rq->n_params, &allow) != ROUTE_FOUND)
        fail_msg("no route for %s %s", method, target);
    rq->app = d->s.node;
    rq->peer = VIEW("203.0.113.9");
    rq->body = view_of(body);
    rc r = serve(d, w, &e);
    snprintf(d->reason, sizeof(d->reason), "%s", rq->log_reason ? rq->log_reason : "");
    web_request_free(w);
    return r;
}

static rc ask_info(struct door *d)
{
    return ask(d, "GET", USER "info/collections", "");
}

/* Somebody who is of that epoch by now, as he is after a move to us. */
static void arrives(struct door *d, int64_t epoch)
{
    const struct node_worker *w = d->worker;
    SCOPED(arena_done) struct arena a;
    struct store_txn *tx = NULL;
    struct cache_mark mark;
    arena_init(&a, 1 << 20);
    const struct store_begin o = { .uid = UID, .epoch = epoch, .mode = STORE_WRITE, .arena = &a };
    cache_before(w->sync.cache, UID, &mark);
    assert_int_equal(store_begin(w->sync.store, &o, &tx, &d->s.e), RC_OK);
    assert_int_equal(store_coll_touch(tx, VIEW("tabs"), &d->s.e), RC_OK);
    assert_int_equal(store_commit(&tx, &d->s.e), RC_OK);
    cache_after(w->sync.cache, UID, &mark, VIEW_NONE);
}

static void step(struct door *d, enum head_step what, int64_t epoch)
{
    const struct node_worker *w = d->worker;
    const struct move m = { .uid = UID, .id = VIEW("m1"), .epoch = epoch };
    SCOPED(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    assert_int_equal(node_step(&w->sync, &m, what, NULL, &a, NULL, &d->s.e), RC_OK);
}

/* One for each way to the fence. */
static const struct {
    const char *method, *target, *body;
    rc expected;
} requests[] = {
    { "GET", USER "info/collections", "", RC_OK },
    { "GET", USER "info/collection_counts", "", RC_OK },
    { "GET", USER "storage/tabs", "", RC_OK },
    { "GET", USER "storage/tabs/a", "", RC_NOT_FOUND },
    { "PUT", USER "storage/tabs/a", "{\"payload\":\"x\"}", RC_OK },
    { "POST", USER "storage/tabs", "[{\"id\":\"a\",\"payload\":\"x\"}]", RC_OK },
    { "DELETE", USER "storage/tabs", "", RC_OK },
};
#define REQUESTS (sizeof(requests) / sizeof(requests[0]))

static void each_request_after(void (*before)(struct door *d))
{
    for (size_t i = 0; i < REQUESTS; i++) {
        void *state = NULL;
        door_open(&state);
        struct door *d = state;
        before(d);
        int asked = directory.asked;
        rc r = ask(d, requests[i].method, requests[i].target, requests[i].body);
        if (r != requests[i].expected)
            fail_msg("%s %s: %s", requests[i].method, requests[i].target, rc_name(r));
        assert_int_equal(directory.asked, asked + 1);
        assert_int_equal(ask_info(d), RC_OK);
        assert_int_equal(directory.asked, asked + 1); /* known from now on */
        door_close(&state);
    }
}

/* Where he lived is remembered, and then he comes. */
static void knocks_and_comes(struct door *d, const char *node, rc answer, int64_t epoch)
{
    says(node, 1);
    assert_int_equal(ask_info(d), answer); /* remembered */
    arrives(d, epoch);
    says(HERE, epoch);
}

static void was_here_left_and_came_back(struct door *d)
{
    knocks_and_comes(d, HERE, RC_OK, 3);
}

static void who_left_and_came_back_within_a_pulse_is_served(void **state)
{
    (void)state;
    each_request_after(was_here_left_and_came_back);
}

static void knocked_here_before_he_came(struct door *d)
{
    knocks_and_comes(d, ELSEWHERE, RC_DENIED, 2);
}

static void who_knocked_before_he_came_is_served(void **state)
{
    (void)state;
    each_request_after(knocked_here_before_he_came);
}

static void who_lives_elsewhere_is_asked_about_once(void **state)
{
    struct door *d = *state;
    says(ELSEWHERE, 2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask_info(d), RC_DENIED);
        assert_string_equal(d->reason, "wrong-node");
    }
    assert_int_equal(directory.asked, 1);
}

static void who_left_is_not_asked_about_again(void **state)
{
    struct door *d = *state;
    says(HERE, 1);
    arrives(d, 1);
    assert_int_equal(ask_info(d), RC_OK);
    says(ELSEWHERE, 2);
    step(d, STEP_FREEZE, 1);
    assert_int_equal(ask_info(d), RC_FROZEN);
    step(d, STEP_RETIRE, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask_info(d), RC_NOT_HERE);
    assert_int_equal(directory.asked, 1);
}

static void what_the_directory_says_then_holds(void **state)
{
    struct door *d = *state;
    says(HERE, 1);
    assert_int_equal(ask_info(d), RC_OK);
    arrives(d, 3);
    assert_int_equal(ask_info(d), RC_NOT_HERE); /* it knows nothing newer */
    assert_int_equal(directory.asked, 2);
    directory.answer = RC_AWAY;
    assert_int_equal(ask_info(d), RC_AWAY);
    directory.answer = RC_DENIED;
    assert_int_equal(ask_info(d), RC_DENIED);
    assert_string_equal(d->reason, "denied");
    says(ELSEWHERE, 4);
    assert_int_equal(ask_info(d), RC_DENIED);
}

static void another_account_of_that_name_is_not_served_as_the_one_before(void **state)
{
    struct door *d = *state;
    says(HERE, 1);
    assert_int_equal(ask_info(d), RC_OK);
    arrives(d, 3);
    says(HERE, 3);
    directory.uid = UID + 1;
    assert_int_equal(ask_info(d), RC_NOT_HERE);
    assert_int_equal(ask_info(d), RC_OK); /* what he asks next is his own */
    assert_int_equal(directory.asked, 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, door_open, door_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_left_and_came_back_within_a_pulse_is_served),
        cmocka_unit_test(who_knocked_before_he_came_is_served),
        T(who_lives_elsewhere_is_asked_about_once),
        T(who_left_is_not_asked_about_again),
        T(what_the_directory_says_then_holds),
        T(another_account_of_that_name_is_not_served_as_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
