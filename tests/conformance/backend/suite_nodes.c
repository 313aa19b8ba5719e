/* The table of nodes and its seats, counters; many callers at once. */
#include <pthread.h>

#include "common/base/scope.h"
#include "suite.h"

/* ---- nodes and counters ---- */

static struct node_entry node_named(const char *name, int64_t capacity, int64_t seats)
{
    return (struct node_entry){ .name = view_of(name),
                                .url = VIEW("https://node1.example.net"),
                                .address = VIEW("https://sync.example.net"),
                                .node_type = VIEW("mysql"),
                                .pools = VIEW("a b"),
                                .state = NODE_DRAINING,
                                .capacity = capacity,
                                .seats = seats,
                                .opened_ms = 99 };
}

static bool see_node(void *arg, const struct node_entry *n)
{
    struct seen *s = arg;
    snprintf(s->text[s->n++], 128, "%.*s", VIEW_ARG(n->name));
    return true;
}

static void a_node_comes_back_as_it_was_put(void **state)
{
    struct fixture *f = *state;
    struct node_entry n = node_named("node2", 100, 10), m = node_named("node1", 200, 20), got;
    struct seen s = { 0 };
    assert_int_equal(node_put(f->s, &n, NULL), RC_OK);
    assert_int_equal(node_put(f->s, &m, NULL), RC_OK);
    n.state = NODE_OPEN;
    assert_int_equal(node_put(f->s, &n, NULL), RC_OK);
    assert_int_equal(node_get(f->s, VIEW("node2"), &f->arena, &got, NULL), RC_OK);
    assert_true(same(got.url, "https://node1.example.net") && same(got.address, "https://sync.example.net"));
    assert_true(same(got.node_type, "mysql") && same(got.pools, "a b"));
    assert_true(got.state == NODE_OPEN && got.capacity == 100 && got.seats == 10 && got.opened_ms == 99);
    assert_int_equal(nodes_each(f->s, see_node, &s, NULL), RC_OK);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.text[0], "node1");
    assert_int_equal(node_delete(f->s, VIEW("node2"), NULL), RC_OK);
    assert_int_equal(node_delete(f->s, VIEW("node2"), NULL), RC_NOT_FOUND);
    assert_int_equal(node_get(f->s, VIEW("node2"), &f->arena, &got, NULL), RC_NOT_FOUND);
}

static void a_node_that_tokens_could_not_name_is_refused(void **state)
{
    struct fixture *f = *state;
    struct node_entry n = node_named("node2", 100, 10);
    n.url = VIEW("https://node1.example.net/");
    assert_int_equal(node_put(f->s, &n, NULL), RC_BAD_INPUT);
    n = node_named("node2", 100, 101);
    assert_int_equal(node_put(f->s, &n, NULL), RC_BAD_INPUT);
    n = node_named("node 2", 100, 10);
    assert_int_equal(node_put(f->s, &n, NULL), RC_BAD_INPUT);
    n = node_named("", 100, 10);
    assert_int_equal(node_put(f->s, &n, NULL), RC_BAD_INPUT);
}

static void seats_are_taken_while_there_are_some(void **state)
{
    struct fixture *f = *state;
    struct node_entry n = node_named("node2", 100, 10);
    int64_t got = -1;
    assert_int_equal(node_put(f->s, &n, NULL), RC_OK);
    assert_int_equal(seats_take(f->s, VIEW("node2"), 7, &got, NULL), RC_OK);
    assert_int_equal(got, 7);
    assert_int_equal(seats_take(f->s, VIEW("node2"), 7, &got, NULL), RC_OK);
    assert_int_equal(got, 3);
    assert_int_equal(seats_take(f->s, VIEW("node2"), 7, &got, NULL), RC_OK);
    assert_int_equal(got, 0);
    assert_int_equal(seats_take(f->s, VIEW("node3"), 7, &got, NULL), RC_NOT_FOUND);
    assert_int_equal(seats_take(f->s, VIEW("node2"), 0, &got, NULL), RC_BAD_INPUT);
}

static void a_node_changes_without_touching_its_seats(void **state)
{
    struct fixture *f = *state;
    struct node_entry n = node_named("node2", 100, 10), kept = node_named("node2", 50, SEATS_KEPT), x;
    int64_t got;
    assert_int_equal(node_put(f->s, &kept, NULL), RC_NOT_FOUND);
    assert_int_equal(node_put(f->s, &n, NULL), RC_OK);
    assert_int_equal(seats_take(f->s, VIEW("node2"), 3, &got, NULL), RC_OK);
    kept.state = NODE_DRAINING;
    assert_int_equal(node_put(f->s, &kept, NULL), RC_OK);
    assert_int_equal(node_get(f->s, VIEW("node2"), &f->arena, &x, NULL), RC_OK);
    assert_true(x.seats == 7 && x.capacity == 50 && x.state == NODE_DRAINING);
    kept.seats = -2;
    assert_int_equal(node_put(f->s, &kept, NULL), RC_BAD_INPUT);
}

static void seats_are_given_back_up_to_the_capacity(void **state)
{
    struct fixture *f = *state;
    struct node_entry n = node_named("node2", 100, 10);
    int64_t got = -1;
    assert_int_equal(node_put(f->s, &n, NULL), RC_OK);
    assert_int_equal(seats_give(f->s, VIEW("node2"), 5, NULL), RC_OK);
    assert_int_equal(seats_take(f->s, VIEW("node2"), 99, &got, NULL), RC_OK);
    assert_int_equal(got, 15);
    assert_int_equal(seats_give(f->s, VIEW("node2"), 101, NULL), RC_OK);
    assert_int_equal(seats_give(f->s, VIEW("node2"), 1, NULL), RC_OK);
    assert_int_equal(seats_take(f->s, VIEW("node2"), 200, &got, NULL), RC_OK);
    assert_int_equal(got, 100);
    assert_int_equal(seats_give(f->s, VIEW("node3"), 1, NULL), RC_NOT_FOUND);
    assert_int_equal(seats_give(f->s, VIEW("node2"), 0, NULL), RC_BAD_INPUT);
}

static void blocks_of_uids_follow_each_other(void **state)
{
    struct fixture *f = *state;
    int64_t first = 0, second = 0;
    int64_t least = 0;
    assert_int_equal(uid_next(f->s, 16, &first, NULL), RC_OK);
    assert_int_equal(uid_peek(f->s, &least, NULL), RC_OK);
    assert_int_equal(least, first + 16);
    assert_int_equal(uid_next(f->s, 1, &second, NULL), RC_OK);
    assert_true(first >= 1);
    assert_int_equal(second, first + 16);
    assert_int_equal(uid_peek(f->s, &least, NULL), RC_OK);
    assert_int_equal(least, second + 1);
    assert_int_equal(uid_next(f->s, 0, &first, NULL), RC_BAD_INPUT);
}

/* ---- many at once ---- */

enum { RACERS = 8, ROUNDS = 25 };

struct racer {
    struct backend *backend;
    int number, wins, failures;
    int64_t uids[ROUNDS];
};

static void *race_epochs(void *arg)
{
    struct racer *r = arg;
    struct backend_session *s;
    if (backend_session_open(r->backend, &s, NULL) != RC_OK) {
        r->failures++;
        return NULL;
    }
    for (int i = 0; i < ROUNDS; i++) {
        SCOPED(arena_done) struct arena a;
        struct account acc;
        arena_init(&a, 65536);
        if (account_get(s, ACCOUNT_BY_NAME, VIEW("x@y"), &a, &acc, NULL) != RC_OK) {
            r->failures++;
            continue;
        }
        struct change c = change_number(&a, ATTR_EPOCH, acc.epoch, acc.epoch + 1);
        rc got = account_cas(s, VIEW("x@y"), &c, 1, NULL);
        r->wins += got == RC_OK;
        r->failures += got != RC_OK && got != RC_CONFLICT;
        r->failures += uid_next(s, 1, &r->uids[i], NULL) != RC_OK;
    }
    backend_session_close(s);
    return NULL;
}

static void *race_adds(void *arg)
{
    struct racer *r = arg;
    struct backend_session *s;
    if (backend_session_open(r->backend, &s, NULL) != RC_OK) {
        r->failures++;
        return NULL;
    }
    for (int i = 0; i < ROUNDS; i++) {
        char name[32];
        snprintf(name, sizeof(name), "user%d@y", i);
        struct account_new n = fixture_synced(name, 1000 + r->number * 100 + i);
        rc got = account_add(s, &n, NULL);
        r->wins += got == RC_OK;
        r->failures += got != RC_OK && got != RC_CONFLICT;
    }
    backend_session_close(s);
    return NULL;
}

static int race(struct fixture *f, void *(*run)(void *), struct racer racers[RACERS])
{
    pthread_t threads[RACERS];
    int wins = 0;
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){ .backend = f->backend, .number = i };
        assert_int_equal(pthread_create(&threads[i], NULL, run, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < RACERS; i++) {
        assert_int_equal(racers[i].failures, 0);
        wins += racers[i].wins;
    }
    return wins;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void as_many_writers_win_as_epochs_passed(void **state)
{
    struct fixture *f = *state;
    struct racer racers[RACERS];
    int64_t uids[RACERS * ROUNDS];
    struct account_new n = fixture_synced("x@y", 8);
    fixture_add(f, &n);
    int wins = race(f, race_epochs, racers);
    assert_true(wins > 0);
    assert_int_equal(fixture_get(f, "x@y").epoch, 1 + wins);
    for (int i = 0; i < RACERS; i++)
        memcpy(uids + i * ROUNDS, racers[i].uids, sizeof(racers[i].uids));
    qsort(uids, RACERS * ROUNDS, sizeof(uids[0]), by_number);
    for (int i = 1; i < RACERS * ROUNDS; i++)
        assert_true(uids[i] > uids[i - 1]); /* nobody got another's */
}

static void of_parallel_adds_of_one_name_one_wins(void **state)
{
    struct racer racers[RACERS];
    assert_int_equal(race(*state, race_adds, racers), ROUNDS);
}

static const struct CMUnitTest nodes_tests[] = {
    TEST(a_node_comes_back_as_it_was_put),         TEST(a_node_that_tokens_could_not_name_is_refused),
    TEST(seats_are_taken_while_there_are_some),    TEST(a_node_changes_without_touching_its_seats),
    TEST(seats_are_given_back_up_to_the_capacity), TEST(blocks_of_uids_follow_each_other),
    TEST(as_many_writers_win_as_epochs_passed),    TEST(of_parallel_adds_of_one_name_one_wins),
};
const struct test_group nodes_part = TEST_GROUP(nodes);
