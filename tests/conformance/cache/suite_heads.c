/* What processes that share heads in memory have without a question to Redis; and that it is worth no more than what is in Redis. */
#include "conformance.h"
#include "world.h"

static bool peeks(struct world *w, const char *value)
{
    return cache_peek(w->h, USER, &w->out) && view_eq(buf_view(&w->out), view_of(value));
}

static void what_one_process_wrote_or_read_the_others_have_at_once(void **state)
{
    (void)state;
    struct world a, b;
    world_open(&a);
    world_open(&b);
    write_value(&a, "one"); /* which Redis is not told of */
    assert_true(peeks(&b, "one"));
    write_value(&b, "two");
    assert_true(peeks(&a, "two"));
    world_close(&a);
    world_close(&b);
}

static void what_was_read_is_shared_like_what_was_written(void **state)
{
    (void)state;
    struct world a, b;
    struct cache_mark mark;
    world_open(&a);
    world_open(&b);
    fill(&a, "one");
    assert_true(peeks(&b, "one"));
    write_value(&a, "two");
    cache_before(a.h, USER, &mark); /* somebody whose outcome is not known, so that nothing is remembered */
    cache_after(a.h, USER, &mark, VIEW_NONE);
    assert_false(cache_peek(b.h, USER, &b.out));
    assert_true(cache_mark_read(a.h, USER, &mark));
    cache_keep(a.h, USER, &mark, VIEW("two"));
    assert_true(peeks(&b, "two"));
    world_close(&a);
    world_close(&b);
}

static void while_one_process_changes_a_head_no_other_takes_it(void **state)
{
    (void)state;
    struct world a, b;
    struct cache_mark mark;
    world_open(&a);
    world_open(&b);
    write_value(&a, "one");
    cache_before(a.h, USER, &mark);
    assert_true(reads_nothing(&b));
    cache_after(a.h, USER, &mark, VIEW("two"));
    assert_true(reads(&b, "two"));
    world_close(&a);
    world_close(&b);
}

static void a_process_that_begins_makes_shared_heads_worthless(void **state)
{
    (void)state;
    struct world a, b;
    world_open(&a);
    write_value(&a, "what a process that died had not yet made worthless");
    world_open(&b);
    assert_true(reads_nothing(&b));
    assert_true(reads_nothing(&a));
    fill(&b, "new");
    assert_true(peeks(&a, "new"));
    world_close(&a);
    world_close(&b);
}

static void shared_heads_are_trusted_only_while_the_scope_is_ours(void **state)
{
    (void)state;
    struct world a, b;
    world_open(&a);
    world_open(&b);
    write_value(&a, "one");
    b.clock.steady_us += 25000000; /* nothing was heard of Redis for so long */
    assert_false(cache_peek(b.h, USER, &b.out));
    assert_true(reads_nothing(&b)); /* heard of it; Redis was told nothing by a writer */
    assert_true(peeks(&b, "one"));
    world_close(&a);
    world_close(&b);
}

static void a_head_too_long_for_its_place_comes_from_redis(void **state)
{
    (void)state;
    struct world a, b;
    char longer[1200];
    world_open(&a);
    world_open(&b);
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    fill(&a, longer);
    assert_false(cache_peek(b.h, USER, &b.out));
    assert_true(reads(&b, longer));
    world_close(&a);
    world_close(&b);
}

static const struct CMUnitTest heads_tests[] = {
    TEST(what_one_process_wrote_or_read_the_others_have_at_once),
    TEST(what_was_read_is_shared_like_what_was_written),
    TEST(while_one_process_changes_a_head_no_other_takes_it),
    TEST(a_process_that_begins_makes_shared_heads_worthless),
    TEST(shared_heads_are_trusted_only_while_the_scope_is_ours),
    TEST(a_head_too_long_for_its_place_comes_from_redis),
};
const struct test_group heads_group = TEST_GROUP(heads);
