/* What the rule above what keeps the values promises: a value counts only with the present version of its user's head. */
#include "common/base/scope.h"
#include "world.h"

static void a_reader_fills_and_the_next_one_reads(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    assert_true(reads(&w, "one"));
    world_close(&w);
}

static void a_writer_leaves_his_value(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    write_value(&w, "two");
    assert_true(reads(&w, "two"));
    write_value(&w, "");
    assert_true(reads(&w, ""));
    world_close(&w);
}

static void what_was_read_before_a_commit_is_worth_nothing_after_it(void **state)
{
    (void)state;
    struct world w;
    struct cache_mark early, late, writer;
    world_open(&w);
    assert_false(cache_get(w.h, USER, &w.out, &early));
    assert_false(cache_get(w.h, USER, &w.out, &late));
    cache_before(w.h, USER, &writer);
    cache_fill(w.h, USER, &early, VIEW("old"));
    assert_true(reads_nothing(&w)); /* whether the commit can be seen by others already, nobody knows */
    cache_after(w.h, USER, &writer, VIEW("new"));
    assert_true(reads(&w, "new"));
    cache_fill(w.h, USER, &late, VIEW("old"));
    assert_true(reads(&w, "new"));
    world_close(&w);
}

/* Else one who reads the store hears of the commit, and asks again, and hears of what was before it. */
static void while_a_write_is_under_way_nothing_is_there_and_nothing_is_kept(void **state)
{
    (void)state;
    struct world w;
    struct cache_mark reader, writer;
    world_open(&w);
    fill(&w, "old");
    cache_before(w.h, USER, &writer);
    assert_false(cache_peek(w.h, USER, &w.out));
    assert_false(cache_get(w.h, USER, &w.out, &reader));
    cache_fill(w.h, USER, &reader, VIEW("new"));
    assert_true(reads_nothing(&w));
    cache_after(w.h, USER, &writer, VIEW_NONE);
    assert_true(reads_nothing(&w));
    fill(&w, "new");
    assert_true(reads(&w, "new"));
    world_close(&w);
}

static void a_mark_that_was_not_given_fills_nothing(void **state)
{
    (void)state;
    struct world w;
    struct cache_mark mark;
    world_open(&w);
    fill(&w, "one");
    assert_true(cache_get(w.h, USER, &w.out, &mark)); /* there: nothing is to be filled */
    cache_fill(w.h, USER, &mark, VIEW("other"));
    assert_true(reads(&w, "one"));
    world_close(&w);
}

static void process_memory_can_be_asked_alone(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    assert_false(cache_peek(w.h, USER, &w.out));
    fill(&w, "one");
    assert_true(cache_peek(w.h, USER, &w.out) && view_eq(buf_view(&w.out), VIEW("one")));
    write_value(&w, "two");
    assert_true(cache_peek(w.h, USER, &w.out) && view_eq(buf_view(&w.out), VIEW("two")));
    world_close(&w);
}

static void a_write_that_was_rolled_back_or_unsure_leaves_nothing(void **state)
{
    (void)state;
    struct world w;
    struct cache_mark mark;
    world_open(&w);
    fill(&w, "one");
    cache_before(w.h, USER, &mark);
    cache_after(w.h, USER, &mark, VIEW_NONE);
    assert_true(reads_nothing(&w));
    fill(&w, "two");
    assert_true(reads(&w, "two"));
    world_close(&w);
}

static void a_slow_writer_does_not_overwrite_a_later_one(void **state)
{
    (void)state;
    struct world w;
    struct cache_mark slow, fast;
    world_open(&w);
    cache_before(w.h, USER, &slow);
    cache_before(w.h, USER, &fast);
    cache_after(w.h, USER, &fast, VIEW("2"));
    cache_after(w.h, USER, &slow, VIEW("1"));
    assert_true(reads_nothing(&w));
    world_close(&w);
}

static void users_do_not_meet(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    assert_false(cache_get(w.h, USER + 1, &w.out, NULL));
    assert_false(cache_get(w.h, 471, &w.out, NULL));
    assert_false(cache_get(w.h, 47110, &w.out, NULL));
    assert_false(cache_get(w.h, 0, &w.out, NULL));
    world_close(&w);
}

static const struct item_tag item = { .uid = USER, .coll = 1, .id = { .p = "global", .n = 6 }, .as_of = 7 };

static bool has_item(struct world *w)
{
    SCOPED(arena_done) struct arena a;
    view found;
    arena_init(&a, 1 << 16);
    return cache_item_get(w->h, &item, &a, &found);
}

/* What he read may be of that commit, and if the database dies before it is safe, the time it is kept with comes back without it. */
static void an_item_is_kept_only_if_nobody_wrote_since_the_mark(void **state)
{
    (void)state;
    struct world w;
    struct cache_mark reader, writer;
    world_open(&w);
    assert_true(cache_mark_read(w.h, USER, &reader));
    cache_before(w.h, USER, &writer);
    cache_item_put(w.h, &item, &reader, VIEW("of a commit under way"));
    assert_false(has_item(&w));
    assert_false(cache_mark_read(w.h, USER, &(struct cache_mark){ .good = true }));
    cache_after(w.h, USER, &writer, VIEW_NONE);
    cache_item_put(w.h, &item, &reader, VIEW("of a commit that may be lost"));
    assert_false(has_item(&w));
    assert_true(cache_mark_read(w.h, USER, &reader));
    cache_item_put(w.h, &item, &reader, VIEW("right"));
    assert_true(has_item(&w));
    world_close(&w);
}

static void what_was_read_beside_the_cache_is_kept_in_this_process(void **state)
{
    (void)state;
    struct world w;
    struct cache_mark reader, writer;
    world_open(&w);
    assert_true(cache_mark_read(w.h, USER, &reader));
    cache_keep(w.h, USER, &reader, VIEW("one"));
    assert_true(cache_peek(w.h, USER, &w.out));
    assert_string_equal(buf_text(&w.out), "one");
    cache_before(w.h, USER, &writer);
    cache_keep(w.h, USER, &reader, VIEW("of a commit under way"));
    cache_after(w.h, USER, &writer, VIEW_NONE);
    cache_keep(w.h, USER, &reader, VIEW("of before the commit"));
    assert_false(cache_peek(w.h, USER, &w.out));
    world_close(&w);
}

static void nothing_is_ever_there(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    assert_true(reads_nothing(&w));
    write_value(&w, "two");
    assert_true(reads_nothing(&w));
    struct cache_mark mark;
    assert_false(cache_mark_read(w.h, USER, &mark));
    cache_item_put(w.h, &item, &mark, VIEW("one"));
    assert_false(has_item(&w));
    cache_keep(w.h, USER, &mark, VIEW("one"));
    assert_true(reads_nothing(&w));
    assert_true(cache_healthy(w.h));
    world_close(&w);
}

static const struct CMUnitTest rule_tests[] = {
    TEST(a_reader_fills_and_the_next_one_reads),
    TEST(a_writer_leaves_his_value),
    TEST(what_was_read_before_a_commit_is_worth_nothing_after_it),
    TEST(while_a_write_is_under_way_nothing_is_there_and_nothing_is_kept),
    TEST(a_mark_that_was_not_given_fills_nothing),
    TEST(process_memory_can_be_asked_alone),
    TEST(a_write_that_was_rolled_back_or_unsure_leaves_nothing),
    TEST(a_slow_writer_does_not_overwrite_a_later_one),
    TEST(users_do_not_meet),
    TEST(an_item_is_kept_only_if_nobody_wrote_since_the_mark),
    TEST(what_was_read_beside_the_cache_is_kept_in_this_process),
};
const struct test_group rule_group = TEST_GROUP(rule);

static const struct CMUnitTest nothing_tests[] = {
    TEST(nothing_is_ever_there),
};
const struct test_group nothing_group = TEST_GROUP(nothing);
