#include "common/base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/testing.h"

static void the_fake_clock_shows_its_fields(void **state)
{
    struct clock_fake f;

    (void)state;
    clock_fake_init(&f, INT64_C(1763681523078901));
    assert_int_equal(clock_now_us(&f.clock), INT64_C(1763681523078901));
    assert_int_equal(clock_now_s(&f.clock), 1763681523);
    assert_int_equal(clock_stamp(&f.clock).cs, INT64_C(176368152307)); /* rounded down */
    assert_int_equal(clock_mono_us(&f.clock), 0);
    f.steady_us = 5;
    f.wall_us -= 1000000;
    assert_int_equal(clock_mono_us(&f.clock), 5);
    assert_int_equal(clock_now_s(&f.clock), 1763681522);
}

static void steady_time_does_not_go_back(void **state)
{
    const struct clock *c = clock_system();
    int64_t last = clock_mono_us(c);

    (void)state;
    for (int i = 0; i < 10000; i++) {
        int64_t now = clock_mono_us(c);

        assert_true(now >= last);
        last = now;
    }
}

static int64_t us_of(struct timespec t)
{
    assert_in_range(t.tv_nsec, 0, 999999999);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void a_moment_ahead_is_that_far_ahead(void **state)
{
    static const int64_t ahead_ms[] = { 0, 1, 250, 999, 1000, 1999, 86400000 };
    (void)state;
    for (int round = 0; round < 1000; round++) /* whatever fraction of a second it is now */
        for (size_t i = 0; i < sizeof(ahead_ms) / sizeof(ahead_ms[0]); i++) {
            int64_t before = us_of(clock_in_ms(0));
            int64_t then = us_of(clock_in_ms(ahead_ms[i]));
            int64_t after = us_of(clock_in_ms(0));
            assert_in_range(then - ahead_ms[i] * 1000, before, after);
        }
}

static volatile sig_atomic_t rung;

static void ring(int signal)
{
    (void)signal;
    rung++;
}

static void a_sleep_lasts_to_its_end_though_signals_come(void **state)
{
    const struct itimerval soon = { .it_value.tv_usec = 1000, .it_interval.tv_usec = 1000 };
    const struct itimerval never = { .it_value.tv_usec = 0 };
    const struct sigaction ringing = { .sa_handler = ring };
    int64_t begun_us = clock_mono_us(clock_system());

    (void)state;
    assert_int_equal(sigaction(SIGALRM, &ringing, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    clock_sleep_ms(50);
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_true(clock_mono_us(clock_system()) - begun_us >= 50000);
    assert_true(rung > 0);
}

#ifdef HEDDLE_TEST_HOOKS
static char path[64];

static void write_shift(const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int64_t shift_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (clock_now_us(clock_system()) - ((int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000)) / 1000000;
}

/* Asks until the clock has looked at the file again; a clock that never does runs into the test's time limit. */
static void await_shift(int64_t expected_s)
{
    while (shift_s() < expected_s - 1 || shift_s() > expected_s + 1)
        ;
}

static void the_file_of_tests_moves_the_wall_clock_both_ways(void **state)
{
    (void)state;
    await_shift(3600);
    write_shift("-86400000\n");
    await_shift(-86400);
    write_shift("no number");
    unlink(path);
    assert_true(shift_s() < -86000); /* what cannot be read changes nothing */
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fake_clock_shows_its_fields),
        cmocka_unit_test(steady_time_does_not_go_back),
        cmocka_unit_test(a_moment_ahead_is_that_far_ahead),
        cmocka_unit_test(a_sleep_lasts_to_its_end_though_signals_come),
#ifdef HEDDLE_TEST_HOOKS
        cmocka_unit_test(the_file_of_tests_moves_the_wall_clock_both_ways),
#endif
    };
#ifdef HEDDLE_TEST_HOOKS
    snprintf(path, sizeof path, "/tmp/heddle-clock-%ld", (long)getpid());
    write_shift("3600000");
    setenv("HEDDLE_CLOCK_FILE", path, 1);
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
