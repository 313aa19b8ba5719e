#include "directory/assign.h"

#include "common/base/testing.h"

#define OLD INT64_C(1000000000000)
#define NODE(text, most, free)                                                                               \
    {                                                                                                        \
        .name = { .p = text, .n = sizeof(text) - 1 }, .capacity = most, .seats = free, .age_ms = OLD,        \
        .users = -1, .queue = -1                                                                             \
    }
#define HOUR INT64_C(3600000)

/* `users` new users, of whom each takes a seat; what each node got. */
static void sign_up(struct assign_node *nodes, size_t n, int users, int64_t ramp_ms, int *out)
{
    memset(out, 0, n * sizeof(int));
    for (int i = 0; i < users; i++) {
        int at = assign_choose(nodes, n, ramp_ms);
        assert_true(at >= 0);
        nodes[at].seats--;
        out[at]++;
    }
}

static void who_gets_nobody_says_why(void **state)
{
    (void)state;
    static const struct {
        struct assign_node node;
        const char *why;
    } rows[] = {
        { { .state = NODE_OPEN, .seats = 1, .capacity = 1, .users = -1 }, "" },
        { { .state = NODE_OPEN, .seats = 0, .capacity = 1, .users = -1 }, "full" },
        { { .state = NODE_OPEN, .seats = -1, .capacity = 1, .users = -1 }, "full" },
        { { .state = NODE_CLOSED, .seats = 1, .capacity = 1 }, "closed" },
        { { .state = NODE_DRAINING, .seats = 1, .capacity = 1 }, "draining" },
        { { .state = NODE_DOWN, .seats = 0, .capacity = 1 }, "down" },
        { { .state = NODE_OPEN, .seats = 1, .capacity = 1, .silent = true }, "not heard" },
        { { .state = NODE_OPEN, .seats = 1, .capacity = 1, .other_pool = true }, "of another pool" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct assign_node node = rows[i].node;
        enum assign_no why;
        double weight = assign_weight(&node, HOUR, &why);
        assert_string_equal(assign_no_text(why), rows[i].why);
        assert_int_equal(weight > 0, why == ASSIGN_TAKES);
        assert_int_equal(assign_choose(&node, 1, HOUR), why == ASSIGN_TAKES ? 0 : -1);
    }
    assert_int_equal(assign_choose(NULL, 0, 0), -1);
}

static void parts_are_those_of_the_weights_to_within_one_user(void **state)
{
    (void)state;
    struct assign_node nodes[] = { NODE("a", 100000, 10000), NODE("b", 100000, 20000),
                                   NODE("c", 100000, 30000) };
    int64_t got[3] = { 0 };
    for (int i = 1; i <= 20000;
         i++) { /* seats that stay as they are: the table of a process between two looks */
        got[assign_choose(nodes, 3, 0)]++;
        for (int k = 0; k < 3; k++) {
            double due = (double)i * (k + 1) / 6;
            assert_true((double)got[k] > due - 1.01 && (double)got[k] < due + 1.01);
        }
    }
}

static void nodes_fill_together_and_the_last_seat_is_taken(void **state)
{
    (void)state;
    struct assign_node nodes[] = { NODE("a", 1000, 1000), NODE("b", 2000, 2000), NODE("c", 3000, 3000) };
    int got[3];
    sign_up(nodes, 3, 3000, 0, got);
    assert_in_range(got[0], 495, 505);
    assert_in_range(got[1], 995, 1005);
    sign_up(nodes, 3, 3000, 0, got);
    for (int i = 0; i < 3; i++)
        assert_int_equal(nodes[i].seats, 0);
    assert_int_equal(assign_choose(nodes, 3, 0), -1);
}

/* Two processes that each know half of what happens: together they are within two of the weights. */
static void two_who_choose_at_once_stay_within_two_users(void **state)
{
    (void)state;
    struct assign_node first[] = { NODE("a", 10000, 1000), NODE("b", 20000, 2000), NODE("c", 30000, 3000) },
                       second[] = { NODE("a", 10000, 1000), NODE("b", 20000, 2000), NODE("c", 30000, 3000) };
    int got[3] = { 0 };
    for (int i = 0; i < 3000; i++) {
        got[assign_choose(first, 3, 0)]++;
        if (i % 3 == 0)
            got[assign_choose(second, 3, 0)]++;
    }
    assert_in_range(got[0], 4000 / 6 - 2, 4000 / 6 + 3);
    assert_in_range(got[1], 4000 / 3 - 2, 4000 / 3 + 3);
}

static void a_new_node_is_opened_slowly(void **state)
{
    (void)state;
    assert_int_equal(assign_ramp(0, HOUR), 100);
    assert_int_equal(assign_ramp(-5, HOUR), 100); /* its clock is ahead of ours */
    assert_int_equal(assign_ramp(HOUR / 10 - 1, HOUR), 100);
    assert_int_equal(assign_ramp(HOUR / 10, HOUR), 200);
    assert_int_equal(assign_ramp(HOUR - 1, HOUR), 1000);
    assert_int_equal(assign_ramp(HOUR, HOUR), 1000);
    assert_int_equal(assign_ramp(0, 0), 1000);
    struct assign_node nodes[] = { NODE("old", 100000, 10000), NODE("new", 100000, 90000) };
    int got[2];
    nodes[1].age_ms = 1000;
    sign_up(nodes, 2, 190, HOUR, got);
    assert_in_range(got[0], 99, 101);
    assert_in_range(got[1], 89, 91); /* nine times the seats, a tenth of the ramp */
}

static void a_fresh_cluster_of_new_nodes_fills_by_their_seats(void **state)
{
    (void)state;
    struct assign_node nodes[] = { NODE("a", 1000, 1000), NODE("b", 1000, 1000) };
    int got[2];
    nodes[0].age_ms = 1000;
    nodes[1].age_ms = 5;
    sign_up(nodes, 2, 2000, HOUR, got);
    assert_int_equal(got[0], 1000);
    assert_int_equal(got[1], 1000);
}

static void a_node_with_a_long_queue_gets_fewer(void **state)
{
    (void)state;
    static const int64_t queues[] = { -1, 16, 17, 65, 257 };
    static const int parts[] = { 1000, 1000, 500, 200, 50 };
    for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++)
        assert_int_equal(assign_ease(queues[i]), parts[i]);
    struct assign_node nodes[] = { NODE("busy", 100000, 10000), NODE("idle", 100000, 10000) };
    int got[2];
    nodes[0].queue = 100;
    sign_up(nodes, 2, 120, 0, got);
    assert_in_range(got[0], 19, 21);
}

static void a_node_that_counts_more_users_than_we_do_gets_fewer_and_is_never_shut(void **state)
{
    (void)state;
    struct assign_node n = NODE("a", 1000, 500);
    n.users = 500;
    assert_true(assign_weight(&n, 0, NULL) > 499.9);
    n.users = 800;
    assert_true(assign_weight(&n, 0, NULL) > 199.9 && assign_weight(&n, 0, NULL) < 200.1);
    n.users = 999;
    assert_true(assign_weight(&n, 0, NULL) > 49.9 && assign_weight(&n, 0, NULL) < 50.1);
    n.users = INT64_MAX;
    assert_true(assign_weight(&n, 0, NULL) > 49.9);
    n.seats = 1;
    assert_int_equal(assign_choose(&n, 1, 0), 0);
}

/* Two who choose from a table that is a moment old, and meet the seats as they are: all users find one, no node gets too many. */
static void stale_tables_overfill_nothing_and_refuse_nobody(void **state)
{
    (void)state;
    static const int64_t capacities[3] = { 100, 200, 300 };
    struct assign_node tables[2][3] = { { NODE("a", 100, 100), NODE("b", 200, 200), NODE("c", 300, 300) },
                                        { NODE("a", 100, 100), NODE("b", 200, 200), NODE("c", 300, 300) } };
    int64_t seats[3] = { 100, 200, 300 }, got[3] = { 0 };
    for (int user = 0; user < 600; user++) {
        struct assign_node *mine = tables[user % 7 == 0];
        int at;
        if (user % 50 == 0) /* a look at the backend now and then */
            for (int i = 0; i < 3; i++)
                mine[i].seats = seats[i];
        while ((at = assign_choose(mine, 3, 0)) >= 0 && seats[at] == 0) {
            assign_refund(&mine[at]);
            mine[at].seats = 0;
        }
        if (at < 0) { /* what it remembers is all taken: another look */
            for (int i = 0; i < 3; i++)
                mine[i].seats = seats[i];
            at = assign_choose(mine, 3, 0);
        }
        assert_true(at >= 0);
        seats[at]--;
        mine[at].seats--;
        got[at]++;
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(got[i], capacities[i]);
}

static void who_joins_or_was_away_does_not_get_all(void **state)
{
    (void)state;
    struct assign_node nodes[] = { NODE("a", 1000000, 100000), NODE("b", 1000000, 100000),
                                   NODE("c", 1000000, 100000) };
    int got[3];
    nodes[2].silent = true;
    for (int i = 0; i < 5000; i++)
        assert_true(assign_choose(nodes, 3, 0) < 2);
    nodes[2].silent = false;
    sign_up(nodes, 3, 30, 0, got);
    assert_in_range(got[2], 9, 11);
    nodes[0].other_pool = true; /* users of a pool that is part of the nodes, now and then */
    for (int i = 0; i < 999; i++)
        assign_choose(nodes, 3, 0);
    nodes[0].other_pool = false;
    sign_up(nodes, 3, 30, 0, got);
    assert_in_range(got[0], 9, 11);
}

static void large_numbers_do_not_overflow(void **state)
{
    (void)state;
    struct assign_node nodes[] = { NODE("a", INT64_MAX, INT64_MAX - 2), NODE("b", INT64_MAX, INT64_MAX - 3) };
    int got[2];
    sign_up(nodes, 2, 100, HOUR, got);
    assert_in_range(got[0], 49, 51);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_gets_nobody_says_why),
        cmocka_unit_test(parts_are_those_of_the_weights_to_within_one_user),
        cmocka_unit_test(nodes_fill_together_and_the_last_seat_is_taken),
        cmocka_unit_test(two_who_choose_at_once_stay_within_two_users),
        cmocka_unit_test(a_new_node_is_opened_slowly),
        cmocka_unit_test(a_fresh_cluster_of_new_nodes_fills_by_their_seats),
        cmocka_unit_test(a_node_with_a_long_queue_gets_fewer),
        cmocka_unit_test(a_node_that_counts_more_users_than_we_do_gets_fewer_and_is_never_shut),
        cmocka_unit_test(stale_tables_overfill_nothing_and_refuse_nobody),
        cmocka_unit_test(who_joins_or_was_away_does_not_get_all),
        cmocka_unit_test(large_numbers_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
