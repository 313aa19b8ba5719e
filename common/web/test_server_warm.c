/* What workers and io threads keep open, and warm answers: when they are given, and when their route goes to the workers instead. */
#include "common/web/testing_app.h"

static void a_session_that_does_not_open_is_503_and_tried_again(void **state)
{
    (void)state;
    conf.workers = 1;
    atomic_store(&app.fail_opens, 2);
    start();
    expect_once(GET_("/echo"), 503, "0");
    struct said s = once(GET_("/__heartbeat__"));
    assert_int_equal(s.status, 503);
    assert_non_null(strstr(s.body, "{\"status\":\"Err\",\"test\":\"Err\""));
    free(s.body);
    expect_once(GET_("/echo"), 200, NULL);
    expect_once(GET_("/echo"), 200, NULL);
    assert_int_equal(atomic_load(&app.opened), 1);
    server_close(server);
    server = NULL;
    assert_int_equal(atomic_load(&app.closed), 1);
}

static void states_of_io_threads_are_opened_for_warm_answers_alone(void **state)
{
    (void)state;
    conf.io_threads = 1;
    start();
    expect_once(GET_("/echo"), 200, NULL);
    expect_once(GET_("/quick"), 200, NULL);
    assert_int_equal(atomic_load(&app.io_opened), 0);
    expect_once(GET_("/warm/1"), 200, "warm");
    expect_once(GET_("/warm/2"), 200, "warm");
    assert_int_equal(atomic_load(&app.io_opened), 1);
}

/* So many warm answers, each as slow as a disk can be. */
static void slow_answers(int n)
{
    atomic_store(&app.warm_us, 120000);
    for (int i = 0; i < n; i++)
        expect_once(GET_("/warm/1"), 200, "warm");
    atomic_store(&app.warm_us, 0);
}

static void reads_that_are_slow_again_and_again_are_left_to_the_workers(void **state)
{
    (void)state;
    start_by(&stepped.clock, false);
    atomic_store(&app.warm_reads, true);
    expect_once(GET_("/warm/1"), 200, "warm");
    slow_answers(2);
    expect_once(GET_("/warm/1"), 200, "ok");
    expect_once(GET_("/warm/2"), 200, "ok");
    atomic_store(&app.warm_reads, false); /* what is in memory by now does not need them */
    expect_once(GET_("/warm/1"), 200, "warm");
    atomic_store(&app.warm_reads, true);
    atomic_fetch_add(&stepped.steady_us, 999000);
    expect_once(GET_("/warm/1"), 200, "ok");
    atomic_fetch_add(&stepped.steady_us, 2000); /* the second is over */
    expect_once(GET_("/warm/1"), 200, "warm");
}

static void a_route_that_is_slow_without_reads_as_well_goes_to_the_workers(void **state)
{
    (void)state;
    start_by(&stepped.clock, false);
    slow_answers(3);
    expect_once(GET_("/warm/1"), 200, "ok");
    expect_once(GET_("/warm/2"), 200, "ok");
    atomic_fetch_add(&stepped.steady_us, 1001000);
    expect_once(GET_("/warm/1"), 200, "warm");
}

static void a_warm_answer_that_only_lacked_the_processor_leaves_its_route_warm(void **state)
{
    (void)state;
    start_by(&stepped.clock, false);
    atomic_store(&app.warm_spins, true);
    atomic_store(&app.warm_us, 20000);
    expect_once(GET_("/warm/1"), 200, "warm");
    expect_once(GET_("/warm/1"), 200, "warm");
    atomic_store(&app.warm_us, 0);
    expect_once(GET_("/warm/1"), 200, "warm");
}

static void a_warm_answer_has_waited_if_a_disk_made_it_slow_or_anything_made_it_very_slow(void **state)
{
    static const struct {
        struct waits more;
        int64_t took_us;
        bool waited;
    } cases[] = {
        { { .disk = 1, .any = 1 }, 10001, true },   { { .disk = 1, .any = 1 }, 10000, false },
        { { .disk = 0, .any = 9 }, 100000, false }, { { .disk = 0, .any = 1 }, 100001, true },
        { { .disk = 0, .any = 0 }, 900000, false },
    };
    const struct waits before = { .disk = 7, .any = 70 };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct waits after = { .disk = before.disk + cases[i].more.disk,
                               .any = before.any + cases[i].more.any };

        assert_int_equal(warm_waited(&before, &after, cases[i].took_us), cases[i].waited);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_session_that_does_not_open_is_503_and_tried_again),
        TEST(states_of_io_threads_are_opened_for_warm_answers_alone),
        TEST(reads_that_are_slow_again_and_again_are_left_to_the_workers),
        TEST(a_route_that_is_slow_without_reads_as_well_goes_to_the_workers),
        TEST(a_warm_answer_that_only_lacked_the_processor_leaves_its_route_warm),
        TEST(a_warm_answer_has_waited_if_a_disk_made_it_slow_or_anything_made_it_very_slow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
