#include "common/web/server.h"

#include "common/base/testing.h"

static const struct {
    const char *url, *scheme, *host, *base, *host_port;
    unsigned port;
} good[] = {
    { "http://localhost", "http", "localhost", "", "localhost", 80 },
    { "http://localhost/", "http", "localhost", "", "localhost", 80 },
    { "https://sync.example.net", "https", "sync.example.net", "", "sync.example.net", 443 },
    { "https://sync.example.net:8443/base", "https", "sync.example.net", "/base", "sync.example.net:8443",
      8443 },
    { "https://sync.example.net/a/b//", "https", "sync.example.net", "/a/b", "sync.example.net", 443 },
    { "http://[::1]:8000", "http", "[::1]", "", "[::1]:8000", 8000 },
    { "http://[2001:db8::1]/x", "http", "[2001:db8::1]", "/x", "[2001:db8::1]", 80 },
    { "http://127.0.0.1:65535", "http", "127.0.0.1", "", "127.0.0.1:65535", 65535 },
};

static const char *const bad[] = {
    "",
    "localhost:8000",
    "ftp://host",
    "http://",
    "http:///path",
    "http://user@host",
    "http://user:pw@host/",
    "http://host:0",
    "http://host:65536",
    "http://host:",
    "http://host:80x/",
    "http://host?q=1",
    "http://host/?q",
    "http://host/#f",
    "http://host path",
    "http://host/a b",
    "http://[::1",
    "http://[]:80",
    "http://[nope]/",
    "HTTP://host",
    "http://h\xc3\xb6st",
};

static void good_urls_are_cut_into_their_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct url_parts u;

        assert_true(url_cut(view_of(good[i].url), &u));
        assert_true(view_eq(u.scheme, view_of(good[i].scheme)));
        assert_true(view_eq(u.host, view_of(good[i].host)));
        assert_true(view_eq(u.base, view_of(good[i].base)));
        assert_true(view_eq(u.host_port, view_of(good[i].host_port)));
        assert_non_null(u.base.p);
        assert_int_equal(u.port, good[i].port);
    }
}

static void bad_urls_are_refused_and_leave_the_result_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct url_parts u = { .port = 4711 };

        if (url_cut(view_of(bad[i]), &u))
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(u.port, 4711);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls_are_cut_into_their_parts),
        cmocka_unit_test(bad_urls_are_refused_and_leave_the_result_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
