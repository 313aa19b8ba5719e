/* What keeps the values, by itself. */
#include "conformance.h"
#include "node/cache/memory.h"
#include "node/cache/redis.h"
#include "world.h"

struct raw {
    struct clock_fake clock;
    struct memory *memory;
    struct redis *redis;
    struct redis_handle *h;
    struct buf out;
};

static void raw_open(struct raw *r)
{
    struct cache_conf c = conformance_conf(driver_name, redis_socket, scope);
    *r = (struct raw){ .memory = NULL };
    clock_fake_init(&r->clock, 1767225600000000);
    if (!redis_socket) {
        r->memory = memory_new((size_t)c.memory_bytes, &r->clock.clock);
        return;
    }
    assert_int_equal(redis_open(&c, &r->clock.clock, 1, &r->redis, NULL), RC_OK);
    r->h = redis_handle_open(r->redis);
    assert_true(redis_ready(r->h, 1));
}

static void raw_close(struct raw *r)
{
    redis_handle_close(r->h);
    redis_close(r->redis);
    memory_free(r->memory);
    buf_done(&r->out);
}

static void raw_put(struct raw *r, int64_t uid, view value, unsigned ttl_s)
{
    if (r->memory)
        memory_put(r->memory, uid, value, ttl_s);
    else
        redis_put(r->h, uid, value, ttl_s);
}

static bool raw_get(struct raw *r, int64_t uid)
{
    buf_clear(&r->out);
    return r->memory ? memory_get(r->memory, uid, &r->out) : redis_get(r->h, uid, &r->out);
}

static bool raw_holds(struct raw *r, int64_t uid, view value)
{
    return raw_get(r, uid) && view_eq(buf_view(&r->out), value);
}

static void what_is_put_is_there_until_it_is_replaced(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r);
    assert_false(raw_get(&r, USER));
    raw_put(&r, USER, VIEW("one"), 60);
    assert_true(raw_holds(&r, USER, VIEW("one")));
    raw_put(&r, USER, VIEW("two"), 60);
    assert_true(raw_holds(&r, USER, VIEW("two")));
    raw_close(&r);
}

static void values_are_any_bytes_and_users_any_number(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r);
    const view values[] = { VIEW(""), VIEW("\0"), VIEW("a\0b"), VIEW("\r\n$3\r\n"), VIEW("\xff\xfe %s %b") };
    const int64_t users[] = { 0, 1, -1, INT64_MAX, INT64_MIN };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        raw_put(&r, users[i], values[i], 60);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        assert_true(raw_holds(&r, users[i], values[i]));
    raw_close(&r);
}

static void a_large_value_comes_back_or_is_not_there(void **state)
{
    (void)state;
    struct raw r;
    struct buf big = { 0 };
    raw_open(&r);
    for (int i = 0; i < 200000; i++)
        buf_addf(&big, "%d,", i);
    raw_put(&r, USER, VIEW("before"), 60);
    raw_put(&r, USER, buf_view(&big), 60);
    assert_true(!raw_get(&r, USER) || raw_holds(&r, USER, buf_view(&big)));
    buf_done(&big);
    raw_close(&r);
}

static void two_handles_see_the_same(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r);
    struct redis_handle *other = redis_handle_open(r.redis), *mine = r.h;
    assert_true(redis_ready(other, 1));
    raw_put(&r, USER, VIEW("one"), 60);
    r.h = other;
    assert_true(raw_holds(&r, USER, VIEW("one")));
    r.h = mine;
    redis_handle_close(other);
    raw_close(&r);
}

static void nothing_lives_longer_in_memory_than_its_time(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r);
    raw_put(&r, USER, VIEW("one"), 10);
    r.clock.steady_us += 9999999;
    assert_true(raw_holds(&r, USER, VIEW("one")));
    r.clock.steady_us += 1;
    assert_false(raw_get(&r, USER));
    raw_put(&r, USER, VIEW("two"), 10);
    assert_true(raw_holds(&r, USER, VIEW("two")));
    raw_close(&r);
}

static void memory_stays_under_its_ceiling_and_keeps_what_is_used(void **state)
{
    (void)state;
    struct raw r;
    char value[200];
    int found = 0;
    raw_open(&r);
    memset(value, 'v', sizeof(value));
    raw_put(&r, -1, VIEW("used"), 60);
    for (int i = 0; i < 100000; i++) {
        raw_put(&r, i, (view){ .p = value, .n = sizeof(value) }, 60);
        assert_true(raw_holds(&r, -1, VIEW("used")));
    }
    for (int i = 0; i < 100000; i++)
        found += raw_get(&r, i);
    assert_in_range(found, 2000, (1 << 20) / 200);
    raw_close(&r);
}

static void memory_full_of_what_is_used_takes_new_ones_and_keeps_its_ceiling(void **state)
{
    (void)state;
    struct raw r;
    char value[200];
    int found = 0;
    raw_open(&r);
    memset(value, 'v', sizeof(value));
    for (int i = 0; i < 20000; i++) {
        raw_put(&r, i, (view){ .p = value, .n = sizeof(value) }, 60);
        assert_true(raw_get(&r, i)); /* marked: it is in use */
    }
    for (int i = 0; i < 20000; i++)
        found += raw_get(&r, i);
    assert_in_range(found, 2000, (1 << 20) / 200);
    raw_close(&r);
}

static void nothing_lives_longer_in_redis_than_its_time(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r);
    raw_put(&r, USER, VIEW("for long"), 3600);
    raw_put(&r, 1, VIEW("one"), 1);
    WAIT_UNTIL(!raw_get(&r, 1));
    assert_true(raw_holds(&r, USER, VIEW("for long")));
    raw_close(&r);
}

static const struct CMUnitTest driver_tests[] = {
    TEST(what_is_put_is_there_until_it_is_replaced),
    TEST(values_are_any_bytes_and_users_any_number),
    TEST(a_large_value_comes_back_or_is_not_there),
};
const struct test_group driver_group = TEST_GROUP(driver);

static const struct CMUnitTest memory_tests[] = {
    TEST(nothing_lives_longer_in_memory_than_its_time),
    TEST(memory_stays_under_its_ceiling_and_keeps_what_is_used),
    TEST(memory_full_of_what_is_used_takes_new_ones_and_keeps_its_ceiling),
};
const struct test_group memory_group = TEST_GROUP(memory);

static const struct CMUnitTest redis_tests[] = {
    TEST(nothing_lives_longer_in_redis_than_its_time),
    TEST(two_handles_see_the_same),
};
const struct test_group redis_group = TEST_GROUP(redis);
