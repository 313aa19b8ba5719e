/* What only a shared cache can suffer: other processes, and a Redis that forgets, breaks off or holds rubbish. */
#include "conformance.h"
#include "node/cache/era.h"
#include "world.h"

static void processes_see_each_others_writes(void **state)
{
    (void)state;
    struct world a, b;
    world_open(&a);
    world_open(&b);
    fill(&a, "one");
    assert_true(reads(&b, "one"));
    write_value(&b, "two");
    assert_true(reads(&a, "two"));
    world_close(&a);
    world_open(&a); /* started anew: finds what is there */
    assert_true(reads(&a, "two"));
    world_close(&a);
    world_close(&b);
}

static void a_writer_cut_off_from_redis_makes_all_others_forget(void **state)
{
    (void)state;
    struct world a, b;
    world_open(&a);
    world_open(&b);
    fill(&a, "old");
    assert_true(reads(&b, "old"));
    cut_all_connections();
    assert_true(reads_nothing(&b)); /* finds his connection cut */
    b.clock.steady_us += 2000000;
    assert_true(reads(&b, "old")); /* has a new one */
    write_value(&a, "new");        /* a has none, and its clock stands still */
    assert_true(reads_nothing(&b));
    fill(&b, "new");
    assert_true(reads(&b, "new"));
    world_close(&a);
    world_close(&b);
}

static void a_mark_of_the_era_before_fills_nothing(void **state)
{
    (void)state;
    struct world a, b;
    struct cache_mark reader, writer;
    world_open(&a);
    world_open(&b);
    assert_true(reads_nothing(&a));                      /* has its connection */
    assert_false(cache_get(b.h, USER, &b.out, &reader)); /* reads "old" from the store now */
    cut_all_connections();
    assert_true(reads_nothing(&b));
    b.clock.steady_us += 2000000;
    assert_true(reads_nothing(&b));
    write_value(&a, "new"); /* cut off: a new era */
    cache_fill(b.h, USER, &reader, VIEW("old"));
    assert_true(reads_nothing(&b));

    cache_before(b.h, USER, &writer); /* a writer whose era ends before his commit … */
    write_value(&a, "ignored");
    assert_false(cache_get(b.h, USER, &b.out, &reader)); /* … and a reader who began before it */
    cache_after(b.h, USER, &writer, VIEW("newest"));
    cache_fill(b.h, USER, &reader, VIEW("new"));
    assert_true(reads_nothing(&b));
    world_close(&a);
    world_close(&b);
}

static void a_flush_between_mark_and_commit_lets_no_old_value_in(void **state)
{
    (void)state;
    struct world a, b;
    struct cache_mark reader, writer;
    world_open(&a);
    world_open(&b);
    cache_before(a.h, USER, &writer);
    order("FLUSHALL");
    assert_false(cache_get(b.h, USER, &b.out, &reader)); /* reads the store before the commit */
    cache_fill(b.h, USER, &reader, VIEW("old"));
    assert_true(reads(&b, "old")); /* still true: nothing was answered */
    cache_after(a.h, USER, &writer, VIEW("new"));
    assert_true(reads_nothing(&b));
    world_close(&a);
    world_close(&b);
}

static void wrong_types_are_nothing_and_go_away(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    plant_wrong_types();
    assert_true(reads_nothing(&w)); /* and removes it */
    fill(&w, "two");
    assert_true(reads(&w, "two"));
    plant_wrong_types();
    write_value(&w, "three");
    assert_true(reads(&w, "three"));
    struct cache_mark mark;
    cache_before(w.h, USER, &mark);
    plant_wrong_types();
    cache_after(w.h, USER, &mark, VIEW("four")); /* his mark is gone: drops */
    assert_true(reads_nothing(&w));
    fill(&w, "four");
    assert_true(reads(&w, "four"));
    world_close(&w);
}

static void a_lost_script_is_sent_again(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    order("SCRIPT FLUSH");
    write_value(&w, "two");
    assert_true(reads(&w, "two"));
    world_close(&w);
}

static void garbage_in_a_key_is_nothing(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    redisReply *r = redisCommand(
        control, "EVAL %s 0",
        "for _, k in ipairs(redis.call('KEYS', 'h:*')) do redis.call('SET', k, '') end return 1");
    freeReplyObject(r);
    assert_true(reads_nothing(&w));
    write_value(&w, "two");
    assert_true(reads(&w, "two"));
    world_close(&w);
}

static void another_machine_in_the_same_scope_is_refused(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    era_unlink(scope); /* what another machine has: no page of ours */
    struct cache_conf c = conformance_conf(driver_name, redis_socket, scope);
    struct cache *other = NULL;
    struct err e = ERR_NONE;
    assert_int_equal(cache_open(&c, &w.clock.clock, &other, &e), RC_BAD_INPUT);
    assert_non_null(strstr(e.text, "another machine"));
    world_close(&w);
}

static void a_removed_page_is_noticed(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    era_unlink(scope);
    freeReplyObject(redisCommand(control, "DEL o:%s", scope));
    w.clock.steady_us += 20000000; /* the look at the page is due, and the claim */
    assert_true(reads_nothing(&w));
    write_value(&w, "two");
    struct world other;
    world_open(&other);
    assert_true(reads(&other, "two"));
    world_close(&other);
    world_close(&w);
}

static const struct CMUnitTest shared_tests[] = {
    TEST(processes_see_each_others_writes),
    TEST(a_writer_cut_off_from_redis_makes_all_others_forget),
    TEST(a_mark_of_the_era_before_fills_nothing),
    TEST(a_flush_between_mark_and_commit_lets_no_old_value_in),
    TEST(wrong_types_are_nothing_and_go_away),
    TEST(a_lost_script_is_sent_again),
    TEST(garbage_in_a_key_is_nothing),
    TEST(another_machine_in_the_same_scope_is_refused),
    TEST(a_removed_page_is_noticed),
};
const struct group shared_group = GROUP(shared);
