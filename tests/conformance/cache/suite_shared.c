/* What only a shared cache can suffer: other processes, and a Redis that forgets, breaks off or holds rubbish. */
#include "conformance.h"
#include "world.h"

static void processes_see_each_others_writes(void **state)
{
    (void)state;
    struct world a, b;
    world_open(&a);
    world_open(&b);
    fill(&a, "one");
    assert_true(reads(&b, "one")); /* out of Redis; from now on in b's memory too */
    assert_true(cache_peek(b.h, USER, &b.out));
    write_value(&b, "two");
    assert_true(reads_nothing(&a));
    assert_true(reads(&b, "two"));
    fill(&a, "two");
    write_value(&a, "three");
    assert_true(reads_nothing(&b));
    world_close(&a);
    world_close(&b);
}

static void a_process_that_begins_makes_all_others_forget(void **state)
{
    (void)state;
    struct world a, b;
    world_open(&a);
    fill(&a, "what a process that died had not yet made worthless");
    world_open(&b);
    assert_true(reads_nothing(&a));
    assert_true(reads_nothing(&b));
    fill(&b, "new");
    assert_true(reads(&a, "new"));
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
    write_value(&a, "new"); /* has no connection, and its clock stands still */
    assert_true(reads_nothing(&b));
    b.clock.steady_us += 2000000;
    fill(&b, "new"); /* has a new one */
    assert_true(reads(&b, "new"));
    world_close(&a);
    world_close(&b);
}

static void what_redis_brings_back_from_before_is_nothing(void **state)
{
    (void)state;
    struct world a, b;
    world_open(&a);
    world_open(&b);
    fill(&a, "old");
    redisReply *old = redisCommand(control, "GET h:%s:%lld", scope, (long long)USER);
    assert_true(old && old->type == REDIS_REPLY_STRING);
    write_value(&a, "new");
    freeReplyObject(redisCommand(control, "SET h:%s:%lld %b", scope, (long long)USER, old->str, old->len));
    assert_true(reads_nothing(&b));
    fill(&b, "new");
    freeReplyObject(redisCommand(control, "SET h:%s:%lld %b", scope, (long long)USER, old->str, old->len));
    assert_true(reads(&b, "new"));
    freeReplyObject(old);
    world_close(&a);
    world_close(&b);
}

static void memory_is_trusted_only_while_the_scope_is_ours(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    freeReplyObject(redisCommand(control, "SET o:%s somebody", scope));
    w.clock.steady_us += 25000000; /* nothing was heard of Redis for so long */
    assert_false(cache_peek(w.h, USER, &w.out));
    assert_true(reads_nothing(&w));
    assert_false(cache_peek(w.h, USER, &w.out));
    freeReplyObject(redisCommand(control, "DEL o:%s", scope));
    w.clock.steady_us += 2000000; /* may dial again */
    assert_true(reads(&w, "one"));
    assert_true(cache_peek(w.h, USER, &w.out));
    world_close(&w);
}

static void a_claim_in_use_is_renewed_without_a_gap(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    for (int i = 0; i < 5; i++) {
        w.clock.steady_us += 12000000;
        (void)cache_get(w.h, USER + 1, &w.out, NULL); /* somebody who is not in memory */
        assert_true(cache_peek(w.h, USER, &w.out));
    }
    world_close(&w);
}

static void wrong_types_are_nothing_and_go_away(void **state)
{
    (void)state;
    struct world a, b;
    world_open(&a);
    world_open(&b);
    fill(&a, "one");
    plant_wrong_types();
    assert_true(reads_nothing(&b)); /* and removes it */
    fill(&b, "one");
    plant_wrong_types();
    assert_true(reads(&b, "one"));
    world_close(&a);
    world_close(&b);
}

static void garbage_in_a_key_is_nothing(void **state)
{
    (void)state;
    static const char *const rubbish[] = { "", "x", "123456789012345678901234",
                                           "1234567890123456789012345678" };
    struct world a, b;
    world_open(&a);
    world_open(&b);
    for (size_t i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++) {
        freeReplyObject(redisCommand(control, "SET h:%s:%lld %s", scope, (long long)USER, rubbish[i]));
        assert_true(reads_nothing(&b));
    }
    fill(&a, "one");
    assert_true(reads(&b, "one"));
    world_close(&a);
    world_close(&b);
}

static void another_machine_in_the_same_scope_is_refused(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    versions_unlink(scope); /* what another machine has: no page of ours */
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
    struct world w, other;
    world_open(&w);
    fill(&w, "one");
    versions_unlink(scope);
    freeReplyObject(redisCommand(control, "DEL o:%s", scope));
    w.clock.steady_us += 20000000; /* the look at the page is due, and the claim */
    assert_true(reads_nothing(&w));
    world_open(&other);
    fill(&w, "two");
    assert_true(reads(&other, "two"));
    write_value(&other, "three");
    assert_true(reads_nothing(&w));
    world_close(&other);
    world_close(&w);
}

static const struct CMUnitTest shared_tests[] = {
    TEST(processes_see_each_others_writes),
    TEST(a_process_that_begins_makes_all_others_forget),
    TEST(a_writer_cut_off_from_redis_makes_all_others_forget),
    TEST(what_redis_brings_back_from_before_is_nothing),
    TEST(memory_is_trusted_only_while_the_scope_is_ours),
    TEST(a_claim_in_use_is_renewed_without_a_gap),
    TEST(wrong_types_are_nothing_and_go_away),
    TEST(garbage_in_a_key_is_nothing),
    TEST(another_machine_in_the_same_scope_is_refused),
    TEST(a_removed_page_is_noticed),
};
const struct test_group shared_group = TEST_GROUP(shared);
