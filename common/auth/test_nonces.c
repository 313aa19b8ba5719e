#include <pthread.h>

#include "common/auth/hawk.h"
#include "common/base/testing.h"

#define NOW INT64_C(1767225600)

static void the_first_is_fresh_and_the_same_again_is_not(void **state)
{
    struct nonces *n = nonces_new(100, 120);

    (void)state;
    assert_true(nonces_fresh(n, VIEW("id"), NOW, VIEW("abc"), NOW));
    assert_false(nonces_fresh(n, VIEW("id"), NOW, VIEW("abc"), NOW));
    assert_false(nonces_fresh(n, VIEW("id"), NOW, VIEW("abc"), NOW + 120));
    nonces_free(n);
    nonces_free(NULL);
}

static void changing_any_of_the_three_makes_it_fresh(void **state)
{
    struct nonces *n = nonces_new(100, 120);

    (void)state;
    assert_true(nonces_fresh(n, VIEW("id"), NOW, VIEW("abc"), NOW));
    assert_true(nonces_fresh(n, VIEW("id"), NOW + 1, VIEW("abc"), NOW));
    assert_true(nonces_fresh(n, VIEW("id"), NOW, VIEW("abd"), NOW));
    assert_true(nonces_fresh(n, VIEW("ie"), NOW, VIEW("abc"), NOW));
    assert_true(nonces_fresh(n, VIEW("ida"), NOW, VIEW("bc"), NOW)); /* where one part ends matters */
    assert_false(nonces_fresh(n, VIEW("id"), NOW, VIEW("abc"), NOW));
    nonces_free(n);
}

static void what_is_older_than_the_time_of_keeping_is_fresh_again(void **state)
{
    struct nonces *n = nonces_new(100, 120);

    (void)state;
    assert_true(nonces_fresh(n, VIEW("id"), NOW, VIEW("abc"), NOW));
    assert_true(nonces_fresh(n, VIEW("id"), NOW, VIEW("abc"), NOW + 121));
    assert_false(nonces_fresh(n, VIEW("id"), NOW, VIEW("abc"), NOW + 122));
    nonces_free(n);
}

static void a_clock_that_goes_back_forgets_nothing(void **state)
{
    struct nonces *n = nonces_new(100, 120);

    (void)state;
    assert_true(nonces_fresh(n, VIEW("id"), NOW, VIEW("abc"), NOW));
    assert_false(nonces_fresh(n, VIEW("id"), NOW, VIEW("abc"), NOW - 3600));
    nonces_free(n);
}

static void when_full_the_oldest_are_forgotten_and_good_ones_pass(void **state)
{
    enum { CAPACITY = 64, N = 1000 };
    struct nonces *n = nonces_new(CAPACITY, 1000000);

    (void)state;
    for (int64_t i = 0; i < N; i++) {
        assert_true(nonces_fresh(n, VIEW("id"), i, VIEW("x"), NOW));
        for (int64_t k = i; k >= 0 && k > i - CAPACITY; k--) /* the last ones are all known */
            assert_false(nonces_fresh(n, VIEW("id"), k, VIEW("x"), NOW));
    }
    assert_true(nonces_fresh(n, VIEW("id"), 0, VIEW("x"), NOW));
    nonces_free(n);
}

static void a_memory_of_one_remembers_one(void **state)
{
    struct nonces *n = nonces_new(1, 100);

    (void)state;
    assert_true(nonces_fresh(n, VIEW("id"), 1, VIEW("x"), NOW));
    assert_false(nonces_fresh(n, VIEW("id"), 1, VIEW("x"), NOW));
    assert_true(nonces_fresh(n, VIEW("id"), 2, VIEW("x"), NOW));
    assert_true(nonces_fresh(n, VIEW("id"), 1, VIEW("x"), NOW));
    nonces_free(n);
}

enum { THREADS = 4, EACH = 5000 };

struct racer {
    struct nonces *n;
    unsigned fresh;
};

static void *race(void *arg)
{
    struct racer *r = arg;

    for (int64_t ts = 0; ts < EACH; ts++)
        r->fresh += nonces_fresh(r->n, VIEW("id"), ts, VIEW("x"), NOW);
    return NULL;
}

static void of_many_threads_with_the_same_nonce_one_wins(void **state)
{
    struct nonces *n = nonces_new(EACH, 1000);
    struct racer racers[THREADS] = { 0 };
    pthread_t threads[THREADS];
    unsigned fresh = 0;

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        racers[i].n = n;
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        fresh += racers[i].fresh;
    }
    assert_int_equal(fresh, EACH);
    nonces_free(n);
}

enum { MANY = 25000, A_SECOND = 5000 };

struct asker {
    struct nonces *n;
    char name;
    unsigned refused;
};

/* One after another, so many of them in each second. */
static void *ask(void *arg)
{
    struct asker *a = arg;
    view id = { .p = &a->name, .n = 1 };

    for (int64_t i = 0; i < MANY; i++) {
        int64_t now = NOW + i / A_SECOND;
        view nonce = { .p = (const char *)&i, .n = sizeof i };

        a->refused += !nonces_fresh(a->n, id, now, nonce, now);
    }
    return NULL;
}

static void of_thousands_a_second_none_is_taken_for_another(void **state)
{
    /* full soon, and from then on it forgets the oldest */
    struct nonces *n = nonces_new(THREADS * MANY / 10, 120);
    struct asker askers[THREADS] = { 0 };
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        askers[i] = (struct asker){ .n = n, .name = (char)('a' + i) };
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(askers[i].refused, 0);
    }
    assert_true(nonces_fresh(n, VIEW("z"), NOW, VIEW("x"), NOW));
    assert_false(nonces_fresh(n, VIEW("z"), NOW, VIEW("x"), NOW));
    nonces_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_fresh_and_the_same_again_is_not),
        cmocka_unit_test(changing_any_of_the_three_makes_it_fresh),
        cmocka_unit_test(what_is_older_than_the_time_of_keeping_is_fresh_again),
        cmocka_unit_test(a_clock_that_goes_back_forgets_nothing),
        cmocka_unit_test(when_full_the_oldest_are_forgotten_and_good_ones_pass),
        cmocka_unit_test(a_memory_of_one_remembers_one),
        cmocka_unit_test(of_many_threads_with_the_same_nonce_one_wins),
        cmocka_unit_test(of_thousands_a_second_none_is_taken_for_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
