#include "common/auth/remembered.h"

#include <pthread.h>

#include "common/base/testing.h"

#define NOW 1767225600.0

static struct arena arena;
static struct remembered *memory;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)8 << 20);
    memory = remembered_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remembered_free(memory);
    arena_done(&arena);
    return 0;
}

/* As long as a real one, and different from its first byte to its last. */
static view text_of(unsigned n)
{
    return arena_text(&arena, "%08x-%0300d-%08x", n * 2654435761u, 7, n * 2246822519u);
}

static void key_of(unsigned n, char out[TOKEN_KEY_TEXT])
{
    char text[TOKEN_KEY_TEXT + 1];

    snprintf(text, sizeof text, "%044u", n);
    memcpy(out, text, TOKEN_KEY_TEXT);
}

static void add(unsigned n)
{
    char key[TOKEN_KEY_TEXT];
    const struct token t = { .uid = n,
                             .epoch = n % 3,
                             .node = arena_text(&arena, "https://node%u.example.net", n),
                             .expires = NOW + n,
                             .fxa_uid = n % 2 ? arena_text(&arena, "uid%u", n) : VIEW_NONE,
                             .salt = arena_text(&arena, "salt%u", n) };

    key_of(n, key);
    remembered_add(memory, text_of(n), &t, key);
}

static bool known(unsigned n)
{
    char key[TOKEN_KEY_TEXT], want[TOKEN_KEY_TEXT];
    struct token t = { .uid = -1 };

    if (!remembered_find(memory, text_of(n), &arena, &t, key)) {
        assert_int_equal(t.uid, -1);
        return false;
    }
    key_of(n, want);
    assert_memory_equal(key, want, sizeof key);
    assert_int_equal(t.uid, n);
    assert_int_equal(t.epoch, n % 3);
    assert_true(t.expires == NOW + n);
    assert_true(view_eq(t.node, arena_text(&arena, "https://node%u.example.net", n)));
    assert_true(view_eq(t.salt, arena_text(&arena, "salt%u", n)));
    if (n % 2)
        assert_true(view_eq(t.fxa_uid, arena_text(&arena, "uid%u", n)));
    else
        assert_null(t.fxa_uid.p);
    assert_null(t.svc.p);
    return true;
}

static void what_was_added_is_found_with_all_it_has(void **state)
{
    (void)state;
    assert_false(known(1));
    add(1);
    add(2);
    assert_true(known(1));
    assert_true(known(2));
    assert_false(known(3));
}

static void a_text_that_differs_in_any_byte_is_another(void **state)
{
    char key[TOKEN_KEY_TEXT];
    struct token t;

    (void)state;
    add(1);
    view text = text_of(1);
    for (size_t i = 0; i < text.n; i++) {
        char *changed = arena_cstr(&arena, text);
        changed[i] ^= 1;
        assert_false(remembered_find(memory, (view){ .p = changed, .n = text.n }, &arena, &t, key));
    }
    assert_false(remembered_find(memory, (view){ .p = text.p, .n = text.n - 1 }, &arena, &t, key));
    assert_false(remembered_find(memory, (view){ .p = text.p + 1, .n = text.n - 1 }, &arena, &t, key));
    assert_false(remembered_find(memory, VIEW(""), &arena, &t, key));
}

static void what_is_found_outlives_its_place(void **state)
{
    char key[TOKEN_KEY_TEXT];
    struct token t;

    (void)state;
    add(5);
    assert_true(remembered_find(memory, text_of(5), &arena, &t, key));
    remembered_free(memory);
    memory = remembered_new();
    assert_true(view_eq(t.node, VIEW("https://node5.example.net")));
}

/* Far more than there is room for: some have to go, those that stay are right, and most of the last ones stay. */
static void many_are_kept_and_none_is_mixed_up(void **state)
{
    unsigned most = 3 * REMEMBERED_MAX, kept = 0, recent = 0;

    (void)state;
    for (unsigned n = 0; n < most; n++) {
        add(n);
        if (n % 64 == 0)
            arena_reset(&arena);
    }
    for (unsigned n = 0; n < most; n++) {
        bool there = known(n);
        kept += there;
        recent += there && n >= most - REMEMBERED_MAX / 4;
        if (n % 64 == 0)
            arena_reset(&arena);
    }
    assert_in_range(kept, REMEMBERED_MAX * 9 / 10, REMEMBERED_MAX);
    assert_true(recent > REMEMBERED_MAX / 4 * 9 / 10);
}

/* Users who come in turn, fewer than there is room for: nearly all are found each time. */
static void ten_thousand_in_turn_are_remembered(void **state)
{
    unsigned found = 0;

    (void)state;
    for (unsigned round = 0; round < 2; round++)
        for (unsigned n = 0; n < 10000; n++) {
            if (known(n))
                found += round;
            else
                add(n);
            if (n % 64 == 0)
                arena_reset(&arena);
        }
    assert_true(found > 9500);
}

static void *add_and_find(void *arg)
{
    struct arena own;
    char key[TOKEN_KEY_TEXT], text[64];
    unsigned *wrong = arg;

    arena_init(&own, (size_t)8 << 20);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned n = i * 7919 % 97;
        struct token t = { .uid = n, .node = VIEW("n"), .salt = VIEW("s") };
        snprintf(text, sizeof text, "%040u", n);
        key_of(n, key);
        if (i % 2)
            remembered_add(memory, view_of(text), &t, key);
        else if (remembered_find(memory, view_of(text), &own, &t, key))
            *wrong += t.uid != n;
        arena_reset(&own);
    }
    arena_done(&own);
    return NULL;
}

static void threads_share_it(void **state)
{
    pthread_t threads[4];
    unsigned wrong[4] = { 0 };

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_and_find, &wrong[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(wrong[i], 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_was_added_is_found_with_all_it_has), TEST(a_text_that_differs_in_any_byte_is_another),
        TEST(what_is_found_outlives_its_place),        TEST(many_are_kept_and_none_is_mixed_up),
        TEST(ten_thousand_in_turn_are_remembered),     TEST(threads_share_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
