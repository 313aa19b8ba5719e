/* A driver by itself. */
#include "conformance.h"
#include "world.h"

struct raw {
    const struct cache_driver *d;
    struct clock_fake clock;
    void *shared, *h;
    struct buf out;
};

static const struct cache_driver *driver(void)
{
    if (strcmp(driver_name, "memory") == 0)
        return &cache_memory;
    return strcmp(driver_name, "redis") == 0 ? &cache_redis : &cache_none;
}

static void raw_open(struct raw *r)
{
    struct cache_conf c = conformance_conf(driver_name, redis_socket, scope);
    bool fresh;
    *r = (struct raw){ .d = driver() };
    clock_fake_init(&r->clock, 1767225600000000);
    assert_int_equal(r->d->open(&c, &r->clock.clock, 1, &r->shared, NULL), RC_OK);
    assert_int_equal(r->d->handle_open(r->shared, &r->h, NULL), RC_OK);
    assert_non_null(r->d->run(r->h, 1, &fresh));
}

static void raw_close(struct raw *r)
{
    r->d->handle_close(r->h);
    r->d->close(r->shared);
    buf_done(&r->out);
}

static bool raw_holds(struct raw *r, view key, view value)
{
    buf_clear(&r->out);
    return r->d->get(r->h, key, &r->out) && view_eq(buf_view(&r->out), value);
}

static bool raw_empty(struct raw *r, view key)
{
    buf_clear(&r->out);
    return !r->d->get(r->h, key, &r->out);
}

#define KEY VIEW("key")

static void what_is_put_is_there_until_it_is_dropped(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r);
    assert_true(raw_empty(&r, KEY));
    assert_true(r.d->put(r.h, KEY, VIEW("one"), 60));
    assert_true(raw_holds(&r, KEY, VIEW("one")));
    assert_true(r.d->put(r.h, KEY, VIEW("two"), 60));
    assert_true(raw_holds(&r, KEY, VIEW("two")));
    assert_true(r.d->drop(r.h, KEY));
    assert_true(raw_empty(&r, KEY));
    assert_true(r.d->drop(r.h, KEY)); /* gone is gone */
    raw_close(&r);
}

static void add_takes_only_an_empty_place(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r);
    assert_true(r.d->add(r.h, KEY, VIEW("one"), 60));
    assert_false(r.d->add(r.h, KEY, VIEW("two"), 60));
    assert_true(raw_holds(&r, KEY, VIEW("one")));
    raw_close(&r);
}

static void swap_takes_only_the_place_of_its_mark(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r);
    assert_false(r.d->swap(r.h, KEY, VIEW("mine"), VIEW("value"), 60));
    assert_true(raw_empty(&r, KEY));
    assert_true(r.d->put(r.h, KEY, VIEW("theirs"), 60));
    assert_false(r.d->swap(r.h, KEY, VIEW("mine"), VIEW("value"), 60));
    assert_true(raw_holds(&r, KEY, VIEW("theirs")));
    assert_true(r.d->swap(r.h, KEY, VIEW("theirs"), VIEW("value"), 60));
    assert_true(raw_holds(&r, KEY, VIEW("value")));
    raw_close(&r);
}

static void keys_and_values_are_any_bytes(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r);
    const view values[] = { VIEW(""), VIEW("\0"), VIEW("a\0b"), VIEW("\r\n$3\r\n"), VIEW("\xff\xfe %s %b") };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_true(r.d->put(r.h, VIEW("k\0\r\n"), values[i], 60));
        assert_true(raw_holds(&r, VIEW("k\0\r\n"), values[i]));
        assert_true(r.d->swap(r.h, VIEW("k\0\r\n"), values[i], VIEW("x"), 60));
    }
    assert_true(raw_empty(&r, VIEW("k")));
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
    assert_true(r.d->put(r.h, KEY, VIEW("before"), 60));
    assert_true(r.d->put(r.h, KEY, buf_view(&big), 60));
    assert_true(raw_empty(&r, KEY) || raw_holds(&r, KEY, buf_view(&big)));
    buf_done(&big);
    raw_close(&r);
}

static void two_handles_see_the_same(void **state)
{
    (void)state;
    struct raw r;
    void *other;
    bool fresh;
    raw_open(&r);
    assert_int_equal(r.d->handle_open(r.shared, &other, NULL), RC_OK);
    assert_non_null(r.d->run(other, 1, &fresh));
    assert_true(r.d->put(r.h, KEY, VIEW("one"), 60));
    assert_false(r.d->add(other, KEY, VIEW("two"), 60));
    assert_true(r.d->swap(other, KEY, VIEW("one"), VIEW("three"), 60));
    assert_true(raw_holds(&r, KEY, VIEW("three")));
    r.d->handle_close(other);
    raw_close(&r);
}

static void nothing_lives_longer_in_memory_than_its_time(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r);
    assert_true(r.d->put(r.h, KEY, VIEW("one"), 10));
    r.clock.steady_us += 9999999;
    assert_true(raw_holds(&r, KEY, VIEW("one")));
    r.clock.steady_us += 1;
    assert_true(raw_empty(&r, KEY));
    assert_true(r.d->add(r.h, KEY, VIEW("two"), 10));
    raw_close(&r);
}

static void memory_stays_under_its_ceiling_and_keeps_what_is_used(void **state)
{
    (void)state;
    struct raw r;
    char key[32], value[200];
    int found = 0;
    raw_open(&r);
    memset(value, 'v', sizeof(value));
    assert_true(r.d->put(r.h, KEY, VIEW("used"), 60));
    for (int i = 0; i < 100000; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        assert_true(r.d->put(r.h, view_of(key), (view){ .p = value, .n = sizeof(value) }, 60));
        assert_true(raw_holds(&r, KEY, VIEW("used")));
    }
    for (int i = 0; i < 100000; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        found += !raw_empty(&r, view_of(key));
    }
    assert_in_range(found, 2000, (1 << 20) / 200);
    raw_close(&r);
}

static void nothing_lives_longer_in_redis_than_its_time(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r);
    assert_true(r.d->put(r.h, KEY, VIEW("for long"), 3600));
    assert_true(r.d->put(r.h, VIEW("put"), VIEW("one"), 1));
    assert_true(r.d->add(r.h, VIEW("added"), VIEW("one"), 1));
    assert_true(r.d->put(r.h, VIEW("swapped"), VIEW("mine"), 3600));
    assert_true(r.d->swap(r.h, VIEW("swapped"), VIEW("mine"), VIEW("one"), 1));
    WAIT_UNTIL(raw_empty(&r, VIEW("put")) && raw_empty(&r, VIEW("added")) && raw_empty(&r, VIEW("swapped")));
    assert_true(raw_holds(&r, KEY, VIEW("for long")));
    raw_close(&r);
}

static const struct CMUnitTest driver_tests[] = {
    TEST(what_is_put_is_there_until_it_is_dropped), TEST(add_takes_only_an_empty_place),
    TEST(swap_takes_only_the_place_of_its_mark),    TEST(keys_and_values_are_any_bytes),
    TEST(a_large_value_comes_back_or_is_not_there), TEST(two_handles_see_the_same),
};
const struct group driver_group = GROUP(driver);

static const struct CMUnitTest memory_tests[] = {
    TEST(nothing_lives_longer_in_memory_than_its_time),
    TEST(memory_stays_under_its_ceiling_and_keeps_what_is_used),
};
const struct group memory_group = GROUP(memory);

static const struct CMUnitTest redis_tests[] = {
    TEST(nothing_lives_longer_in_redis_than_its_time),
};
const struct group redis_group = GROUP(redis);
