#include "common/base/arena.h"

#include <stdalign.h>

#include "common/base/rand.h"
#include "common/base/testing.h"

static void everything_handed_out_is_aligned_and_its_own(void **state)
{
    enum { N = 2000 };
    static struct {
        unsigned char *p;
        size_t n;
    } given[N];
    struct arena a;

    (void)state;
    arena_init(&a, (size_t)64 << 20);
    for (size_t i = 0; i < N; i++) {
        given[i].n = rand_below(20) == 0 ? rand_below(100000) : rand_below(200);
        given[i].p = arena_alloc(&a, given[i].n);
        assert_int_equal((uintptr_t)given[i].p % alignof(max_align_t), 0);
        if (given[i].n)
            memset(given[i].p, (int)(i & 255), given[i].n);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < given[i].n; k++)
            assert_int_equal(given[i].p[k], i & 255);
    assert_false(a.spent);
    arena_done(&a);
}

static void past_the_ceiling_it_says_so_and_memory_stays_usable(void **state)
{
    struct arena a;
    char *first, *second;

    (void)state;
    arena_init(&a, 1000);
    first = arena_alloc(&a, 900);
    assert_false(a.spent);
    memset(first, 'a', 900);
    second = arena_alloc(&a, 5000);
    assert_true(a.spent);
    memset(second, 'b', 5000);
    for (int i = 0; i < 900; i++)
        assert_int_equal(first[i], 'a');
    arena_alloc(&a, 1);
    assert_true(a.spent);
    arena_reset(&a);
    assert_false(a.spent);
    assert_int_equal(a.used_bytes, 0);
    arena_alloc(&a, 900);
    assert_false(a.spent);
    arena_done(&a);
    assert_null(a.last);
}

static void exactly_the_ceiling_is_not_past_it(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, 1024);
    arena_alloc(&a, 1024);
    assert_false(a.spent);
    arena_alloc(&a, 1);
    assert_true(a.spent);
    arena_done(&a);
}

static void a_reset_arena_can_be_filled_again_and_again(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, 1 << 20);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 50; i++) {
            size_t n = rand_below(20000);

            memset(arena_alloc(&a, n), round, n);
        }
        arena_reset(&a);
    }
    arena_done(&a);
    arena_done(&a);
}

static void copies_and_texts_end_with_a_nul(void **state)
{
    struct arena a;
    view v;

    (void)state;
    arena_init(&a, 1 << 20);
    v = arena_copy(&a, VIEW("abc"));
    assert_int_equal(v.n, 3);
    assert_string_equal(v.p, "abc");
    v = arena_copy(&a, VIEW_NONE);
    assert_non_null(v.p);
    assert_string_equal(v.p, "");
    assert_string_equal(arena_cstr(&a, VIEW("xyz")), "xyz");
    v = arena_text(&a, "%s-%d", "n", 17);
    assert_int_equal(v.n, 4);
    assert_string_equal(v.p, "n-17");
    v = arena_text(&a, "%*s", 10000, "");
    assert_int_equal(v.n, 10000);
    assert_int_equal(((char *)arena_zero(&a, 100))[99], 0);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_handed_out_is_aligned_and_its_own),
        cmocka_unit_test(past_the_ceiling_it_says_so_and_memory_stays_usable),
        cmocka_unit_test(exactly_the_ceiling_is_not_past_it),
        cmocka_unit_test(a_reset_arena_can_be_filled_again_and_again),
        cmocka_unit_test(copies_and_texts_end_with_a_nul),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
