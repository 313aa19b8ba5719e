#include "common/base/rand.h"

#include <string.h>

#include "common/base/testing.h"

static void two_draws_differ_and_none_writes_past_its_end(void **state)
{
    unsigned char a[40] = { 0 }, b[40] = { 0 };

    (void)state;
    rand_bytes(a, 32);
    rand_bytes(b, 32);
    assert_memory_not_equal(a, b, 32);
    for (int i = 32; i < 40; i++)
        assert_int_equal(a[i], 0);
    rand_bytes(a, 0);
}

static void every_result_below_the_limit_comes_up(void **state)
{
    unsigned counts[7] = { 0 };

    (void)state;
    for (int i = 0; i < 7000; i++) {
        uint32_t v = rand_below(7);

        assert_true(v < 7);
        counts[v]++;
    }
    for (int i = 0; i < 7; i++) /* 1000 each; 700 is ten standard deviations away */
        assert_true(counts[i] > 700 && counts[i] < 1300);
    for (int i = 0; i < 100; i++)
        assert_int_equal(rand_below(1), 0);
    assert_true(rand_below(UINT32_MAX) < UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_draws_differ_and_none_writes_past_its_end),
        cmocka_unit_test(every_result_below_the_limit_comes_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
