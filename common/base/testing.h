/* For test_*.c: cmocka with the headers it wants before it. Its macro fail() would take the name of our fail() (err.h),
 * so a test that must fail says fail_msg(). */
#ifndef HEDDLE_BASE_TESTING_H
#define HEDDLE_BASE_TESTING_H

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#pragma push_macro("fail") /* ours may be there already */
#undef fail
#include <cmocka.h>
#undef fail
#pragma pop_macro("fail")

#undef fail_msg
#define fail_msg(...)                                                                                        \
    do {                                                                                                     \
        print_error("ERROR: " __VA_ARGS__);                                                                  \
        print_error("\n");                                                                                   \
        _fail(__FILE__, __LINE__);                                                                           \
    } while (0)

/* The tests of one file among several that make one program: TEST_GROUP(reads) is of reads_tests[]. */
struct test_group {
    const char *name;
    const struct CMUnitTest *tests;
    size_t n;
};
#define TEST_GROUP(g)                                                                                        \
    {                                                                                                        \
#g, g##_tests, sizeof g##_tests / sizeof g##_tests[0]                                                \
    }

/* How many failed. setup and teardown are the group's; NULL is fine. */
static inline int test_group_run(const struct test_group *g, CMFixtureFunction setup,
                                 CMFixtureFunction teardown)
{
    return _cmocka_run_group_tests(g->name, g->tests, g->n, setup, teardown);
}

/* Until what another thread or process brings about is so. After a minute, which is far more than any machine takes, the test has
 * failed. For the test's own thread. */
#define WAIT_UNTIL(condition)                                                                                \
    for (unsigned waited_ = 0; !(condition); waited_++) {                                                    \
        if (waited_ == 60000)                                                                                \
            fail_msg("after a minute still not: %s", #condition);                                            \
        poll(NULL, 0, 1);                                                                                    \
    }

#endif
