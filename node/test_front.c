#include "node/front.h"

#include "common/base/testing.h"
#include "common/web/inside.h"

/* A front, and one request at it. */
struct scene {
    struct clock_fake clock;
    struct node_conf conf;
    struct front *front;
    struct route route;
    struct web_request *w;
};

static char *agents[] = { (char *)"Firefox-iOS-Sync/1", (char *)"BadBot" };

static void scene_open(struct scene *s, const char *node_state)
{
    *s = (struct scene){ .conf = { .backoff_s = 1800, .state = (char *)(uintptr_t)node_state },
                         .route = { .dialect = DIALECT_SYNC_15 } };
    clock_fake_init(&s->clock, 1767225600000000);
}

static void scene_start(struct scene *s)
{
    struct err e = ERR_NONE;
    if (front_new(&s->conf, &s->front, &e) != RC_OK)
        fail_msg("%s", e.text);
}

static void ask(struct scene *s, const char *method, const char *header, const char *value)
{
    web_request_free(s->w);
    s->w = web_request_new(&s->clock.clock, (size_t)1 << 16, VIEW("/1.5/1/info/collections"));
    web_request_method(s->w, view_of(method));
    s->w->rq.route = &s->route;
    if (header)
        web_request_header_add(s->w, view_of(header), view_of(value));
}

static void scene_close(struct scene *s)
{
    web_request_free(s->w);
    front_free(s->front);
}

/* A header of the reply under construction; NULL: none. */
static const char *replied(const struct scene *s, const char *name)
{
    const struct buf *b = &s->w->reply.headers;
    for (size_t i = 0; i < b->n;) {
        const char *n = b->p + i, *v = n + strlen(n) + 1;
        if (strcmp(n, name) == 0)
            return v;
        i = (size_t)(v - b->p) + strlen(v) + 1;
    }
    return NULL;
}

static long seconds(const struct scene *s, const char *name)
{
    const char *text = replied(s, name);
    return text ? strtol(text, NULL, 10) : -1;
}

static bool body_is(const struct scene *s, const char *text)
{
    return view_eq(buf_view(&s->w->reply.body), view_of(text));
}

static void a_normal_node_lets_pass_and_adds_nothing(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s, "normal");
    scene_start(&s);
    ask(&s, "GET", NULL, NULL);
    assert_true(front_before(s.front, &s.w->rq));
    front_decorate(s.front, &s.w->rq);
    assert_int_equal(s.w->reply.headers.n, 0);
    assert_true(front_serves(s.front));
    scene_close(&s);
}

static void a_node_that_is_down_answers_503_in_both_tongues(void **state)
{
    (void)state;
    static const struct {
        const char *node_state, *body_11;
    } cases[] = {
        { "down", "\"server issue: database marked as down\"" },
        { "unhealthy", "\"server issue: database is not healthy\"" },
        { "draining", "\"server issue: node reassignment\"" },
    };
    for (size_t i = 0; i < 3; i++) {
        struct scene s;
        scene_open(&s, cases[i].node_state);
        scene_start(&s);
        ask(&s, "GET", NULL, NULL);
        assert_false(front_before(s.front, &s.w->rq));
        front_decorate(s.front, &s.w->rq);
        assert_int_equal(s.w->reply.status, 503);
        assert_in_range(s.w->reply.retry_after_s, 1800, 1890);
        assert_in_range(seconds(&s, "X-Weave-Backoff"), 1800, 1890);
        assert_true(body_is(&s, "0"));
        s.route.dialect = DIALECT_SYNC_11;
        ask(&s, "GET", NULL, NULL);
        assert_false(front_before(s.front, &s.w->rq));
        front_decorate(s.front, &s.w->rq);
        assert_int_equal(s.w->reply.retry_after_s, 1800);
        assert_int_equal(seconds(&s, "X-Weave-Backoff"), 1800);
        assert_true(body_is(&s, cases[i].body_11));
        assert_false(front_serves(s.front));
        scene_close(&s);
    }
}

static void a_state_of_backoff_asks_everybody_to_wait(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s, "backoff:77");
    scene_start(&s);
    ask(&s, "GET", NULL, NULL);
    assert_true(front_before(s.front, &s.w->rq));
    front_decorate(s.front, &s.w->rq);
    assert_in_range(seconds(&s, "X-Weave-Backoff"), 77, 82);
    assert_int_equal(seconds(&s, "X-Backoff"), seconds(&s, "X-Weave-Backoff"));
    s.route.dialect = DIALECT_SYNC_11;
    ask(&s, "GET", NULL, NULL);
    front_decorate(s.front, &s.w->rq);
    assert_int_equal(seconds(&s, "X-Weave-Backoff"), 77);
    scene_close(&s);
}

static void a_state_that_nobody_knows_is_an_error(void **state)
{
    (void)state;
    static const char *const wrong[] = { "Down",       "backoff:",         "backoff:0", "backoff:x",
                                         "backoff:-1", "backoff:99999999", "up" };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct scene s;
        struct err e = ERR_NONE;
        scene_open(&s, wrong[i]);
        assert_int_equal(front_new(&s.conf, &s.front, &e), RC_BAD_INPUT);
        assert_non_null(strstr(e.text, "node.state"));
    }
}

static void refused_clients_are_known_by_how_their_name_begins(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s, "normal");
    s.conf.refused_agents = (struct conf_list){ .items = agents, .n = 2 };
    scene_start(&s);
    ask(&s, "GET", "User-Agent", "Firefox-iOS-Sync/1.7b3 (iPhone)");
    assert_false(front_before(s.front, &s.w->rq));
    assert_int_equal(s.w->reply.status, 503);
    assert_true(s.w->reply.retry_after_s >= 1800);
    assert_true(body_is(&s, "0"));
    ask(&s, "GET", "User-Agent", "Firefox-iOS-Sync/0.1");
    assert_true(front_before(s.front, &s.w->rq));
    ask(&s, "GET", NULL, NULL);
    assert_true(front_before(s.front, &s.w->rq));
    scene_close(&s);
}

static int count_of_1000(struct scene *s)
{
    int n = 0;
    for (int i = 0; i < 1000; i++) {
        ask(s, "GET", NULL, NULL);
        if (!front_before(s->front, &s->w->rq))
            n++;
        else {
            front_decorate(s->front, &s->w->rq);
            n += seconds(s, "X-Weave-Backoff") > 0;
        }
    }
    return n;
}

static void percentages_are_shares(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s, "normal");
    s.conf.backoff_percent = 30;
    scene_start(&s);
    assert_in_range(count_of_1000(&s), 200, 400);
    front_free(s.front);
    s.conf.backoff_percent = 0;
    s.conf.refuse_percent = 100;
    scene_start(&s);
    assert_int_equal(count_of_1000(&s), 1000);
    assert_int_equal(s.w->reply.status, 503);
    scene_close(&s);
}

static void a_preflight_is_answered_before_all_else(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s, "down");
    s.conf.cors = true;
    scene_start(&s);
    ask(&s, "OPTIONS", "Origin", "https://app.example");
    assert_false(front_before(s.front, &s.w->rq));
    front_decorate(s.front, &s.w->rq);
    assert_int_equal(s.w->reply.status, 200);
    assert_string_equal(replied(&s, "Access-Control-Allow-Origin"), "https://app.example");
    assert_true(seconds(&s, "Access-Control-Max-Age") > 0);
    assert_string_equal(replied(&s, "Access-Control-Allow-Methods"), "DELETE, GET, POST, PUT");
    assert_string_equal(replied(&s, "Vary"), "Origin");
    scene_close(&s);
}

static void without_cors_or_without_an_origin_nothing_is_allowed(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s, "normal");
    scene_start(&s);
    ask(&s, "OPTIONS", "Origin", "https://app.example");
    assert_true(front_before(s.front, &s.w->rq));
    front_decorate(s.front, &s.w->rq);
    assert_null(replied(&s, "Access-Control-Allow-Origin"));
    s.conf.cors = true;
    assert_int_equal(front_change(s.front, &s.conf, NULL), RC_OK);
    ask(&s, "OPTIONS", NULL, NULL);
    assert_true(front_before(s.front, &s.w->rq));
    ask(&s, "GET", "Origin", "https://app.example");
    assert_true(front_before(s.front, &s.w->rq));
    front_decorate(s.front, &s.w->rq);
    assert_string_equal(replied(&s, "Access-Control-Allow-Origin"), "https://app.example");
    scene_close(&s);
}

static void a_change_shows_at_once_and_a_wrong_one_not_at_all(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_NONE;
    scene_open(&s, "normal");
    scene_start(&s);
    s.conf.state = (char *)"down";
    assert_int_equal(front_change(s.front, &s.conf, &e), RC_OK);
    ask(&s, "GET", NULL, NULL);
    assert_false(front_before(s.front, &s.w->rq));
    s.conf.state = (char *)"sideways";
    assert_int_equal(front_change(s.front, &s.conf, &e), RC_BAD_INPUT);
    ask(&s, "GET", NULL, NULL);
    assert_false(front_before(s.front, &s.w->rq));
    s.conf.state = (char *)"normal";
    assert_int_equal(front_change(s.front, &s.conf, &e), RC_OK);
    ask(&s, "GET", NULL, NULL);
    assert_true(front_before(s.front, &s.w->rq));
    scene_close(&s);
}

static void a_node_that_is_down_by_decision_refuses_all_until_it_is_not(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s, "normal");
    scene_start(&s);
    front_down(s.front, true);
    ask(&s, "GET", NULL, NULL);
    assert_false(front_before(s.front, &s.w->rq));
    assert_int_equal(s.w->reply.status, 503);
    assert_int_not_equal(s.w->reply.retry_after_s, 0);
    assert_false(front_serves(s.front));
    front_down(s.front, false);
    ask(&s, "GET", NULL, NULL);
    assert_true(front_before(s.front, &s.w->rq));
    assert_true(front_serves(s.front));
    scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_normal_node_lets_pass_and_adds_nothing),
        cmocka_unit_test(a_node_that_is_down_answers_503_in_both_tongues),
        cmocka_unit_test(a_state_of_backoff_asks_everybody_to_wait),
        cmocka_unit_test(a_state_that_nobody_knows_is_an_error),
        cmocka_unit_test(refused_clients_are_known_by_how_their_name_begins),
        cmocka_unit_test(percentages_are_shares),
        cmocka_unit_test(a_preflight_is_answered_before_all_else),
        cmocka_unit_test(without_cors_or_without_an_origin_nothing_is_allowed),
        cmocka_unit_test(a_change_shows_at_once_and_a_wrong_one_not_at_all),
        cmocka_unit_test(a_node_that_is_down_by_decision_refuses_all_until_it_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
