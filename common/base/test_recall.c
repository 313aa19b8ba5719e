#include "common/base/recall.h"

#include <pthread.h>

#include "common/base/testing.h"

#define NOW 1000000

static struct arena arena;
static struct recall *memory;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)1 << 20);
    memory = recall_new(64);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    recall_free(memory);
    arena_done(&arena);
    return 0;
}

static void keep(view key, view value)
{
    recall_keep(memory, key, recall_mark(memory, key), value, NOW + 1000);
}

static void knows(view key, int64_t now_us, view value)
{
    view got;
    assert_true(recall_find(memory, key, now_us, &arena, &got));
    assert_true(view_eq(got, value));
}

static void knows_nothing(view key, int64_t now_us)
{
    view got;
    assert_false(recall_find(memory, key, now_us, &arena, &got));
}

static void what_was_kept_is_found_until_its_time_is_over(void **state)
{
    (void)state;
    knows_nothing(VIEW("anna"), NOW);
    keep(VIEW("anna"), VIEW("one"));
    keep(VIEW("berta"), VIEW(""));
    knows(VIEW("anna"), NOW, VIEW("one"));
    knows(VIEW("anna"), NOW + 999, VIEW("one"));
    knows(VIEW("berta"), NOW, VIEW(""));
    knows_nothing(VIEW("anna"), NOW + 1000);
    keep(VIEW("anna"), VIEW("two"));
    knows(VIEW("anna"), NOW, VIEW("two"));
}

static void what_was_asked_before_a_drop_is_not_kept_after_it(void **state)
{
    (void)state;
    struct recall_mark before = recall_mark(memory, VIEW("anna"));
    recall_drop(memory, VIEW("anna"));
    recall_keep(memory, VIEW("anna"), before, VIEW("old"), NOW + 1000);
    knows_nothing(VIEW("anna"), NOW);
    keep(VIEW("anna"), VIEW("new"));
    before = recall_mark(memory, VIEW("anna"));
    recall_drop_all(memory);
    recall_keep(memory, VIEW("anna"), before, VIEW("old"), NOW + 1000);
    knows_nothing(VIEW("anna"), NOW);
}

static void a_drop_takes_one_answer_and_a_drop_of_all_takes_all(void **state)
{
    (void)state;
    keep(VIEW("anna"), VIEW("1"));
    keep(VIEW("berta"), VIEW("2"));
    recall_drop(memory, VIEW("anna"));
    knows_nothing(VIEW("anna"), NOW);
    knows(VIEW("berta"), NOW, VIEW("2"));
    recall_drop_all(memory);
    knows_nothing(VIEW("berta"), NOW);
    keep(VIEW("berta"), VIEW("3"));
    knows(VIEW("berta"), NOW, VIEW("3"));
}

static void a_full_table_stays_as_large_as_it_is_and_keeps_what_is_used(void **state)
{
    (void)state;
    char key[16];
    size_t found = 0;
    view got;
    keep(VIEW("used"), VIEW("still"));
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "key%d", i);
        keep(view_of(key), VIEW("x"));
        knows(VIEW("used"), NOW, VIEW("still"));
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "key%d", i);
        found += recall_find(memory, view_of(key), NOW, &arena, &got);
    }
    assert_in_range(found, 30, 64);
}

/* ---- many threads ---- */

static _Atomic int truth;

/* The truth is raised before the drop: what is found after both is never what was before. */
static void *change(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5000; i++) {
        truth++;
        recall_drop(memory, VIEW("anna"));
    }
    return NULL;
}

static void *ask(void *arg)
{
    struct arena a;
    (void)arg;
    arena_init(&a, 65536);
    for (int i = 0; i < 5000; i++) {
        view got;
        arena_reset(&a);
        struct recall_mark before = recall_mark(memory, VIEW("anna"));
        int seen = truth;
        if (!recall_find(memory, VIEW("anna"), NOW, &a, &got))
            recall_keep(memory, VIEW("anna"), before, (view){ .p = (const char *)&seen, .n = sizeof seen },
                        NOW + 1);
    }
    arena_done(&a);
    return NULL;
}

static void nothing_old_stays_after_the_last_drop_whatever_the_others_do(void **state)
{
    (void)state;
    pthread_t threads[4];
    view got;
    int kept;
    truth = 0;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i ? ask : change, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    if (recall_find(memory, VIEW("anna"), NOW, &arena, &got)) {
        memcpy(&kept, got.p, sizeof kept);
        assert_int_equal(kept, 5000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_kept_is_found_until_its_time_is_over, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_asked_before_a_drop_is_not_kept_after_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_drop_takes_one_answer_and_a_drop_of_all_takes_all, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_table_stays_as_large_as_it_is_and_keeps_what_is_used, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nothing_old_stays_after_the_last_drop_whatever_the_others_do, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
