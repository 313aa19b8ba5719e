#include "common/page/limits.h"

#include <stdio.h>

#include "common/base/testing.h"

static void so_many_and_no_more_until_the_window_is_over(void **state)
{
    (void)state;
    struct limits *l = limits_new(3, 600);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(limits_wait(l, VIEW("192.0.2.1"), 1000), 0);
        limits_count(l, VIEW("192.0.2.1"), 1000);
    }
    assert_int_equal(limits_wait(l, VIEW("192.0.2.1"), 1000), 600);
    assert_int_equal(limits_wait(l, VIEW("192.0.2.1"), 1599), 1);
    assert_int_equal(limits_wait(l, VIEW("192.0.2.1"), 1600), 0);
    assert_int_equal(limits_wait(l, VIEW("192.0.2.2"), 1000), 0);
    assert_int_equal(limits_wait(l, VIEW("::ffff:192.0.2.1"), 1000), 600);
    limits_count(l, VIEW("192.0.2.1"), 1600); /* begins anew */
    assert_int_equal(limits_wait(l, VIEW("192.0.2.1"), 1600), 0);
    limits_free(l);
}

static void a_customer_of_ipv6_is_a_64(void **state)
{
    (void)state;
    struct limits *l = limits_new(1, 60);
    limits_count(l, VIEW("2001:db8:1:2::1"), 0);
    assert_int_not_equal(limits_wait(l, VIEW("2001:db8:1:2:ffff::9"), 0), 0);
    assert_int_equal(limits_wait(l, VIEW("2001:db8:1:3::1"), 0), 0);
    limits_free(l);
}

static void loopback_and_the_nameless_are_not_counted(void **state)
{
    (void)state;
    static const char *const exempt[] = { "127.0.0.1", "127.8.8.8", "::1",      "::ffff:127.0.0.1",
                                          "",          "unix",      "999.1.1.1" };
    struct limits *l = limits_new(1, 60), *off = limits_new(0, 60);
    for (size_t i = 0; i < sizeof(exempt) / sizeof(exempt[0]); i++) {
        limits_count(l, view_of(exempt[i]), 0);
        limits_count(l, view_of(exempt[i]), 0);
        if (limits_wait(l, view_of(exempt[i]), 0) != 0)
            fail_msg("%s", exempt[i]);
    }
    limits_count(off, VIEW("192.0.2.1"), 0);
    assert_int_equal(limits_wait(off, VIEW("192.0.2.1"), 0), 0);
    limits_free(l);
    limits_free(off);
}

static void loopback_is_counted_where_it_is_asked_for(void **state)
{
    (void)state;
    static const char *const here[] = { "127.0.0.1", "::1" };
    struct limits *l = limits_new(1, 60);
    limits_count_loopback(l);
    for (size_t i = 0; i < sizeof(here) / sizeof(here[0]); i++) {
        assert_int_equal(limits_wait(l, view_of(here[i]), 0), 0);
        limits_count(l, view_of(here[i]), 0);
        assert_int_not_equal(limits_wait(l, view_of(here[i]), 0), 0);
    }
    assert_int_not_equal(limits_wait(l, VIEW("::ffff:127.0.0.1"), 0), 0);
    limits_count(l, VIEW(""), 0);
    assert_int_equal(limits_wait(l, VIEW(""), 0), 0);
    limits_free(l);
}

static void very_many_addresses_refuse_nobody_new(void **state)
{
    (void)state;
    struct limits *l = limits_new(2, 60);
    for (int i = 0; i < 50000; i++) {
        char peer[32];
        int n = snprintf(peer, sizeof(peer), "10.%d.%d.%d", i >> 16, (i >> 8) & 255, i & 255);
        view v = { .p = peer, .n = (size_t)n };
        assert_int_equal(limits_wait(l, v, 0), 0);
        limits_count(l, v, 0);
    }
    limits_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_and_no_more_until_the_window_is_over),
        cmocka_unit_test(a_customer_of_ipv6_is_a_64),
        cmocka_unit_test(loopback_and_the_nameless_are_not_counted),
        cmocka_unit_test(loopback_is_counted_where_it_is_asked_for),
        cmocka_unit_test(very_many_addresses_refuse_nobody_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
