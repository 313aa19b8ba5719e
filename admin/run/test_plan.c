#include "common/base/testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/run/plan.h"
#include "common/base/scope.h"

enum { NODES_MOST = 8, USERS_MOST = 6000 };

static struct plan_node nodes[NODES_MOST];
static struct plan_user users[USERS_MOST];
static struct plan_input in = { .nodes = nodes, .users = users };
static const char *const names[NODES_MOST] = { "n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7" };

/* Always the same numbers: what fails once fails again. */
static uint64_t seed;
static int draw(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int)(seed >> 33);
}

static void empty(void)
{
    memset(nodes, 0, sizeof(nodes));
    memset(users, 0, sizeof(users));
    in.n_nodes = in.n_users = 0;
}

static int begin_empty(void **state)
{
    (void)state;
    empty();
    return 0;
}

static size_t node(int64_t weight, const char *pools)
{
    nodes[in.n_nodes] = (struct plan_node){
        .name = view_of(names[in.n_nodes]), .pools = view_of(pools), .weight = weight, .open = true
    };
    return in.n_nodes++;
}

static void nodes_of(size_t n, int64_t weight) /* in the pool of those that name none */
{
    while (n-- > 0)
        node(weight, "");
}

static size_t user(size_t at, int64_t bytes, double requests)
{
    assert_true(in.n_users < USERS_MOST);
    users[in.n_users] = (struct plan_user){ .name = VIEW("u"),
                                            .uid = (int64_t)in.n_users + 1,
                                            .epoch = 1,
                                            .node = at,
                                            .bytes = bytes,
                                            .requests = requests };
    return in.n_users++;
}

static void users_at(size_t at, size_t n) /* alike, and small */
{
    while (n-- > 0)
        user(at, 1, 0);
}

/* Carries the plan out on paper: every move leads from where its user is, nobody moves twice, the figures are right. */
static void check_figures(const struct plan *p, enum plan_by by)
{
    static size_t at[USERS_MOST];
    static bool moved[USERS_MOST];
    int64_t count[NODES_MOST] = { 0 }, bytes[NODES_MOST] = { 0 };
    memset(moved, 0, sizeof(moved));
    for (size_t i = 0; i < in.n_users; i++)
        at[i] = users[i].node;
    for (size_t i = 0; i < p->n_moves; i++) {
        const struct plan_move *m = &p->moves[i];
        assert_int_equal(at[m->user], m->from);
        assert_int_not_equal(m->from, m->to);
        assert_false(moved[m->user] || users[m->user].on_his_way);
        assert_true(plan_pools_meet(nodes[m->from].pools, nodes[m->to].pools));
        assert_true(m->reason[0]);
        moved[m->user] = true;
        at[m->user] = m->to;
    }
    for (size_t i = 0; i < in.n_users; i++)
        if (at[i] != PLAN_NOWHERE) {
            count[at[i]]++;
            bytes[at[i]] += users[i].bytes;
        }
    for (size_t i = 0; i < in.n_nodes; i++) {
        assert_int_equal(nodes[i].users_after, count[i]);
        assert_int_equal(nodes[i].bytes_after, bytes[i]);
        if (by == PLAN_BY_USERS)
            assert_true(fabs(nodes[i].load_after - (double)count[i]) < 1e-6);
        if (nodes[i].users_after > nodes[i].users_before)
            assert_true(nodes[i].open && count[i] <= nodes[i].weight);
    }
}

static void rebalance(struct plan *p, enum plan_by by, double threshold)
{
    struct plan_rules rules = { .by = by, .threshold = threshold };
    *p = (struct plan){ 0 };
    plan_rebalance(&in, &rules, p);
    check_figures(p, by);
}

static double worst(void)
{
    double most = 0;
    for (size_t i = 0; i < in.n_nodes; i++)
        if (nodes[i].open)
            most = fmax(most, fabs(plan_ratio(nodes[i].load_after, nodes[i].target) - 1));
    return most;
}

/* ---- rebalance ---- */

static void a_new_node_gets_its_share_by_the_fewest_moves(void **state)
{
    (void)state;
    SCOPED(plan_done) struct plan p;
    nodes_of(4, 10000);
    for (size_t i = 0; i < 3000; i++)
        user(i % 3, 1000, 0);
    rebalance(&p, PLAN_BY_USERS, 0);
    assert_int_equal(p.n_moves, 750);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(nodes[i].users_after, 750);
    assert_int_equal(p.skipped, 0);
}

static void shares_follow_the_weights(void **state)
{
    (void)state;
    SCOPED(plan_done) struct plan p;
    node(1000, "");
    node(3000, "");
    users_at(0, 400);
    rebalance(&p, PLAN_BY_USERS, 0);
    assert_int_equal(nodes[0].users_after, 100);
    assert_int_equal(nodes[1].users_after, 300);
}

static void the_threshold_skips_moves_and_says_how_many(void **state)
{
    (void)state;
    SCOPED(plan_done) struct plan p;
    SCOPED(plan_done) struct plan q;
    nodes_of(2, 10000);
    users_at(0, 1020);
    users_at(1, 980);
    rebalance(&p, PLAN_BY_USERS, 0.05);
    assert_int_equal(p.n_moves, 0);
    assert_int_equal(p.skipped, 20);
    rebalance(&q, PLAN_BY_USERS, 0);
    assert_int_equal(q.n_moves, p.n_moves + p.skipped);
}

static void nodes_that_are_all_a_little_over_give_to_one_that_is_empty(void **state)
{
    (void)state;
    SCOPED(plan_done) struct plan p;
    nodes_of(8, 10000);
    for (size_t i = 0; i < 700; i++)
        user(i % 7, 1000, 0);
    rebalance(&p, PLAN_BY_USERS, 0.3);
    assert_true(nodes[7].users_after >= 60);
}

static void of_equals_those_with_the_fewest_bytes_move(void **state)
{
    (void)state;
    SCOPED(plan_done) struct plan p;
    nodes_of(2, 100);
    for (size_t i = 0; i < 10; i++)
        user(0, (int64_t)(i * 7 % 10) * 1000 + 1000, 0);
    rebalance(&p, PLAN_BY_USERS, 0);
    assert_int_equal(p.n_moves, 5);
    for (size_t i = 0; i < p.n_moves; i++)
        assert_true(users[p.moves[i].user].bytes <= 5000);
}

static void bytes_and_requests_are_balanced_as_well_as_their_lumps_allow(void **state)
{
    (void)state;
    for (enum plan_by by = PLAN_BY_BYTES; by <= PLAN_BY_REQUESTS; by++) {
        SCOPED(plan_done) struct plan p;
        empty();
        seed = 7;
        nodes_of(4, 5000);
        for (size_t i = 0; i < 2000; i++)
            user((size_t)draw() % 2, draw() % 100000, draw() % 4 ? 0 : (double)(draw() % 100) / 10);
        rebalance(&p, by, 0.01);
        assert_true(worst() < 0.02);
        if (by == PLAN_BY_REQUESTS)
            for (size_t i = 0; i < p.n_moves; i++)
                assert_true(users[p.moves[i].user].requests > 0);
    }
}

static void nobody_is_moved_to_and_fro_by_a_second_plan(void **state)
{
    (void)state;
    for (enum plan_by by = PLAN_BY_USERS; by <= PLAN_BY_REQUESTS; by++) {
        SCOPED(plan_done) struct plan p;
        SCOPED(plan_done) struct plan again;
        empty();
        seed = 11;
        for (size_t i = 0; i < 5; i++)
            node(1000 + draw() % 4000, "");
        for (size_t i = 0; i < 1500; i++)
            user((size_t)draw() % 5, draw() % 50000, draw() % 10);
        rebalance(&p, by, 0.02);
        for (size_t i = 0; i < p.n_moves; i++)
            users[p.moves[i].user].node = p.moves[i].to;
        rebalance(&again, by, 0.02);
        assert_int_equal(again.n_moves, 0);
    }
}

static void pools_are_balanced_each_by_itself(void **state)
{
    (void)state;
    SCOPED(plan_done) struct plan p;
    node(1000, "eu");
    node(1000, "eu");
    node(1000, "us");
    node(1000, "");
    node(1000, "default, us");
    users_at(0, 100);
    users_at(2, 90);
    rebalance(&p, PLAN_BY_USERS, 0);
    assert_int_equal(nodes[0].users_after, 50);
    assert_int_equal(nodes[1].users_after, 50);
    assert_int_equal(nodes[3].users_after, 0); /* from us nobody may go straight to default */
    assert_int_equal(nodes[2].users_after + nodes[4].users_after, 90);
    assert_true(nodes[4].users_after >= 30);
}

static void closed_fixed_and_full_nodes_are_left_alone(void **state)
{
    (void)state;
    SCOPED(plan_done) struct plan p;
    nodes_of(3, 1000);
    nodes[1].open = false;
    nodes[2].weight = 5;
    for (size_t i = 0; i < 100; i++)
        user(i % 2, 1, 0);
    rebalance(&p, PLAN_BY_USERS, 0);
    assert_int_equal(nodes[1].users_after, 50);
    assert_true(nodes[2].users_after <= 5);
    for (size_t i = 0; i < p.n_moves; i++)
        assert_int_equal(p.moves[i].from, 0);
}

static void who_is_on_his_way_is_left_alone(void **state)
{
    (void)state;
    SCOPED(plan_done) struct plan p;
    nodes_of(2, 100);
    for (size_t i = 0; i < 10; i++)
        users[user(0, 1, 0)].on_his_way = i < 8;
    rebalance(&p, PLAN_BY_USERS, 0);
    assert_int_equal(p.n_moves, 2);
}

static void a_node_of_no_weight_gives_all_it_has(void **state)
{
    (void)state;
    SCOPED(plan_done) struct plan p;
    node(0, "");
    node(100, "");
    users_at(0, 10);
    rebalance(&p, PLAN_BY_USERS, 0.02);
    assert_int_equal(nodes[0].users_after, 0);
    assert_non_null(strstr(p.moves[0].reason, "n0"));
}

static void nothing_at_all_is_no_trouble(void **state)
{
    (void)state;
    SCOPED(plan_done) struct plan p;
    rebalance(&p, PLAN_BY_USERS, 0);
    assert_int_equal(p.n_moves, 0);
    plan_done(&p);
    nodes_of(2, 100);
    rebalance(&p, PLAN_BY_BYTES, 0);
    assert_int_equal(p.n_moves, 0);
}

static void random_clusters_end_within_the_threshold_or_at_what_the_lumps_allow(void **state)
{
    (void)state;
    seed = 3;
    for (int round = 0; round < 60; round++) {
        SCOPED(plan_done) struct plan p;
        empty();
        size_t n = 2 + (size_t)draw() % 6;
        for (size_t i = 0; i < n; i++)
            node(500 + draw() % 2000, "");
        for (size_t i = 0; i < 400; i++)
            user(n > 0 ? (size_t)draw() % n : 0, 1 + draw() % 1000, 0);
        rebalance(&p, PLAN_BY_USERS, 0.05);
        double lump = 0;
        for (size_t i = 0; i < n; i++)
            lump = fmax(lump, 1 / nodes[i].target);
        if (worst() > 0.05 + lump)
            fail_msg("round %d: %.3f", round, worst());
    }
}

/* ---- drain, move ---- */

static void a_drain_empties_the_node_and_keeps_the_shares_of_the_others(void **state)
{
    (void)state;
    for (enum plan_by by = PLAN_BY_USERS; by <= PLAN_BY_REQUESTS; by++) {
        SCOPED(plan_done) struct plan p = { 0 };
        empty();
        seed = 5;
        for (size_t i = 0; i < 4; i++)
            node(i == 3 ? 2000 : 1000, "");
        for (size_t i = 0; i < 1000; i++)
            user(i % 5 == 4 ? 3 : i % 5, draw() % 10000, by == PLAN_BY_REQUESTS && i % 3 ? 0 : draw() % 10);
        plan_drain(&in, &(struct plan_rules){ .by = by }, 0, &p);
        check_figures(&p, by);
        assert_int_equal(nodes[0].users_after, 0);
        assert_int_equal(p.n_left, 0);
        assert_true(worst() < 0.05);
    }
}

static void who_finds_no_room_is_named(void **state)
{
    (void)state;
    SCOPED(plan_done) struct plan p = { 0 };
    node(100, "eu");
    node(3, "eu");
    node(100, "us");
    for (size_t i = 0; i < 10; i++)
        users[user(0, 1, 0)].on_his_way = i == 9;
    plan_drain(&in, &(struct plan_rules){ .by = PLAN_BY_USERS }, 0, &p);
    check_figures(&p, PLAN_BY_USERS);
    assert_int_equal(p.n_moves, 3);
    assert_int_equal(p.n_left, 7);
    assert_non_null(strstr(p.left[0].why, "room"));
    assert_non_null(strstr(p.left[6].why, "on his way"));
}

static void named_users_go_where_they_are_told_unless_that_makes_no_sense(void **state)
{
    (void)state;
    SCOPED(plan_done) struct plan p = { 0 };
    node(100, "");
    node(2, "");
    size_t who[5];
    for (size_t i = 0; i < 5; i++)
        who[i] = user(i == 4 ? 1 : 0, 1, 0);
    users[1].node = PLAN_NOWHERE;
    users[2].on_his_way = true;
    plan_move(&in, &(struct plan_rules){ .by = PLAN_BY_USERS }, who, 5, 1, &p);
    check_figures(&p, PLAN_BY_USERS);
    assert_int_equal(p.n_moves, 1);
    assert_int_equal(p.n_left, 4);
}

static void pools_meet_in_a_word(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool meet;
    } cases[] = { { "", "", true },
                  { "", "default", true },
                  { "eu", "", false },
                  { "eu us", "us", true },
                  { "eu,us", "us ap", true },
                  { "eu", "eu2", false },
                  { " eu ", "default eu", true },
                  { " ", "", true } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(plan_pools_meet(view_of(cases[i].a), view_of(cases[i].b)), cases[i].meet);
        assert_int_equal(plan_pools_meet(view_of(cases[i].b), view_of(cases[i].a)), cases[i].meet);
    }
}

#define TEST(f) cmocka_unit_test_setup(f, begin_empty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_node_gets_its_share_by_the_fewest_moves),
        TEST(shares_follow_the_weights),
        TEST(the_threshold_skips_moves_and_says_how_many),
        TEST(nodes_that_are_all_a_little_over_give_to_one_that_is_empty),
        TEST(of_equals_those_with_the_fewest_bytes_move),
        TEST(bytes_and_requests_are_balanced_as_well_as_their_lumps_allow),
        TEST(nobody_is_moved_to_and_fro_by_a_second_plan),
        TEST(pools_are_balanced_each_by_itself),
        TEST(closed_fixed_and_full_nodes_are_left_alone),
        TEST(who_is_on_his_way_is_left_alone),
        TEST(a_node_of_no_weight_gives_all_it_has),
        TEST(nothing_at_all_is_no_trouble),
        TEST(random_clusters_end_within_the_threshold_or_at_what_the_lumps_allow),
        TEST(a_drain_empties_the_node_and_keeps_the_shares_of_the_others),
        TEST(who_finds_no_room_is_named),
        TEST(named_users_go_where_they_are_told_unless_that_makes_no_sense),
        TEST(pools_meet_in_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
