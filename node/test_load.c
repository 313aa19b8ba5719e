/* How a node is: counted users, and requests of the last seconds. */
#include "node/load.h"

#include "node/store/move.h"
#include "node/testing.h"

static unsigned seven(void)
{
    return 7;
}

static bool counted(struct load *l)
{
    struct load_now now;
    load_read(l, &now);
    return now.counted;
}

static void users_are_counted_and_requests_are_those_of_the_last_seconds(void **state)
{
    (void)state;
    struct site s;
    struct store *store = NULL;
    struct store_session *ss = NULL;
    struct load *l = NULL;
    struct load_now now;
    struct arena a;
    struct err e = ERR_NONE;
    metric m = metric_histogram("test_load_seconds", NULL, "x");
    const struct move anna = { .uid = 1, .id = VIEW("m"), .epoch = 1 },
                      bert = { .uid = 2, .id = VIEW("m"), .epoch = 1 };

    site_make(&s);
    assert_int_equal(store_open(&s.store, &s.clock.clock, &store, &e), RC_OK);
    assert_int_equal(store_session_open(store, false, &ss, &e), RC_OK);
    arena_init(&a, 1 << 20);
    for (int i = 0; i < 50; i++)
        metric_observe_us(m, 900000); /* before */
    const struct load_options o = { .store = store, .clock = &s.clock.clock, .latency = m, .queue = seven };
    assert_int_equal(load_start(&o, &l, &e), RC_OK);
    WAIT_UNTIL(counted(l)); /* by itself: what it has seen is not to come later than what we let it see */
    assert_int_equal(store_head_step(ss, &anna, STEP_THAW, NULL, &a, NULL, &e), RC_OK);
    assert_int_equal(store_head_step(ss, &bert, STEP_RETIRE, NULL, &a, NULL, &e), RC_OK);
    assert_int_equal(load_count(l, ss, &e), RC_OK);
    for (int i = 0; i < 100; i++)
        metric_observe_us(m, 2000);
    s.clock.steady_us += 20000000;
    load_read(l, &now);
    assert_true(now.counted);
    assert_int_equal(now.facts.heads[HEAD_ACTIVE], 1);
    assert_int_equal(now.facts.heads[HEAD_GONE], 1);
    assert_string_equal(now.facts.folder, s.store.path);
    assert_int_equal(now.queue, 7);
    assert_true(now.requests_s > 4.9 && now.requests_s < 5.1);
    assert_true(now.latency_us > 1000 && now.latency_us <= 2500);
    for (int i = 0; i < 10; i++) { /* a quiet time: what was before it does not count */
        s.clock.steady_us += 2000000;
        load_read(l, &now);
    }
    assert_true(now.requests_s == 0 && now.latency_us == 0);
    load_stop(l);
    arena_done(&a);
    store_session_close(ss);
    store_close(store);
    site_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_are_counted_and_requests_are_those_of_the_last_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
