#include "node/strikes.h"

#include "common/base/testing.h"

static struct clock_fake fake;
static struct strikes *s;

static int open_table(void **state)
{
    (void)state;
    clock_fake_init(&fake, 1767225600000000);
    s = strikes_new(&fake.clock, 3);
    return 0;
}

static int close_table(void **state)
{
    (void)state;
    strikes_free(s);
    return 0;
}

static void one_more_than_the_most_is_too_many(void **state)
{
    (void)state;
    unsigned wait_s;
    for (int i = 0; i < 3; i++) {
        assert_false(strikes_add(s, VIEW("192.0.2.1")));
        assert_false(strikes_over(s, VIEW("192.0.2.1"), &wait_s));
    }
    assert_true(strikes_add(s, VIEW("192.0.2.1")));
    fake.steady_us += 45500000;
    assert_true(strikes_over(s, VIEW("192.0.2.1"), &wait_s));
    assert_int_equal(wait_s, 15);
    assert_false(strikes_over(s, VIEW("192.0.2.2"), &wait_s));
}

static void a_new_minute_begins_anew(void **state)
{
    (void)state;
    unsigned wait_s;
    for (int i = 0; i < 10; i++)
        strikes_add(s, VIEW("2001:db8::1"));
    fake.steady_us += 59999999;
    assert_true(strikes_over(s, VIEW("2001:db8::1"), &wait_s));
    fake.steady_us += 1;
    assert_false(strikes_over(s, VIEW("2001:db8::1"), &wait_s));
    assert_false(strikes_add(s, VIEW("2001:db8::1")));
}

static void loopback_is_never_counted(void **state)
{
    (void)state;
    static const char *const addresses[] = {
        "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "local", ""
    };
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
        for (int n = 0; n < 10; n++)
            assert_false(strikes_add(s, view_of(addresses[i])));
}

static void the_table_forgets_but_never_grows(void **state)
{
    (void)state;
    char address[32];
    unsigned wait_s;
    int over = 0;
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(address, sizeof(address), "10.%u.%u.1", i / 250, i % 250);
        for (int n = 0; n < 4; n++)
            strikes_add(s, view_of(address));
        fake.steady_us++;
    }
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(address, sizeof(address), "10.%u.%u.1", i / 250, i % 250);
        over += strikes_over(s, view_of(address), &wait_s);
    }
    assert_in_range(over, 2000, 4096);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_table, close_table)
    const struct CMUnitTest tests[] = {
        TEST(one_more_than_the_most_is_too_many),
        TEST(a_new_minute_begins_anew),
        TEST(loopback_is_never_counted),
        TEST(the_table_forgets_but_never_grows),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
