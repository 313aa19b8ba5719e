#include "directory/assign.h"

#include "common/base/testing.h"

#define NODE(text, st, most, now, free)                                                                      \
    {                                                                                                        \
        .name = { .p = text, .n = sizeof(text) - 1 }, .state = st, .capacity = most, .load = now,            \
        .seats = free                                                                                        \
    }

static void the_least_filled_open_node_with_seats_is_chosen(void **state)
{
    (void)state;
    static const struct {
        struct assign_node nodes[3];
        size_t n;
        int expected;
    } rows[] = {
        { { { .load = 0 } }, 0, -1 },
        { { NODE("a", NODE_OPEN, 100, 50, 10), NODE("b", NODE_OPEN, 1000, 60, 10) }, 2, 1 },
        { { NODE("a", NODE_OPEN, 100, 50, 10), NODE("b", NODE_CLOSED, 100, 0, 10) }, 2, 0 },
        { { NODE("a", NODE_DRAINING, 100, 50, 10), NODE("b", NODE_DOWN, 100, 0, 10) }, 2, -1 },
        { { NODE("a", NODE_OPEN, 100, 50, 0), NODE("b", NODE_OPEN, 100, 90, 1) }, 2, 1 },
        { { NODE("a", NODE_OPEN, 100, 100, 5) }, 1, -1 },
        { { NODE("a", NODE_OPEN, 0, 0, 5) }, 1, -1 },
        /* the same ratio: the lower load, then the name */
        { { NODE("a", NODE_OPEN, 200, 100, 5), NODE("b", NODE_OPEN, 100, 50, 5) }, 2, 1 },
        { { NODE("c", NODE_OPEN, 100, 50, 5), NODE("b", NODE_OPEN, 100, 50, 5),
            NODE("d", NODE_OPEN, 100, 50, 5) },
          3,
          1 },
        /* large numbers do not overflow */
        { { NODE("a", NODE_OPEN, INT64_MAX, INT64_MAX - 2, 5),
            NODE("b", NODE_OPEN, INT64_MAX, INT64_MAX - 3, 5) },
          2,
          1 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (assign_choose(rows[i].nodes, rows[i].n) != rows[i].expected)
            fail_msg("row %zu", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_filled_open_node_with_seats_is_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
