#include "common/web/inside.h"

#include "common/base/testing.h"

static struct proxies some(const char *text, rc *out_rc)
{
    char copy[256], *items[8];
    struct conf_list list = { .items = items, .n = 0 };
    struct proxies p = { .n = 0 };
    view rest, one;

    snprintf(copy, sizeof copy, "%s", text);
    rest = view_of(copy);
    while (rest.n > 0 && view_cut(&rest, ' ', &one)) {
        items[list.n++] = copy + (one.p - copy);
        copy[(one.p - copy) + (long)one.n] = '\0';
    }
    *out_rc = proxies_parse(&list, &p, NULL);
    return p;
}

static const struct {
    const char *trusted, *peer;
    const char *lines[3]; /* X-Forwarded-For headers in their order */
    const char *client;
} cases[] = {
    /* nobody is trusted: the header is a stranger's word */
    { "", "192.0.2.1", { "198.51.100.7" }, "192.0.2.1" },
    { "10.0.0.0/8", "192.0.2.1", { "198.51.100.7" }, "192.0.2.1" },
    /* one proxy */
    { "10.0.0.1", "10.0.0.1", { "198.51.100.7" }, "198.51.100.7" },
    { "10.0.0.1", "10.0.0.1", { NULL }, "10.0.0.1" },
    { "10.0.0.1", "10.0.0.2", { "198.51.100.7" }, "10.0.0.2" },
    /* what the client itself wrote stands left */
    { "10.0.0.1", "10.0.0.1", { "127.0.0.1, 198.51.100.7" }, "198.51.100.7" },
    { "10.0.0.1", "10.0.0.1", { "10.0.0.1, 198.51.100.7" }, "198.51.100.7" },
    { "10.0.0.1", "10.0.0.1", { "127.0.0.1", "198.51.100.7" }, "198.51.100.7" },
    /* two proxies */
    { "10.0.0.0/8", "10.0.0.1", { "198.51.100.7, 10.9.9.9" }, "198.51.100.7" },
    { "10.0.0.0/8", "10.0.0.1", { "203.0.113.1, 198.51.100.7 , 10.9.9.9" }, "198.51.100.7" },
    { "10.0.0.0/8", "10.0.0.1", { "203.0.113.1", "198.51.100.7", "10.9.9.9" }, "198.51.100.7" },
    /* everybody in it is ours: the first of them */
    { "10.0.0.0/8", "10.0.0.1", { "10.1.1.1, 10.2.2.2" }, "10.1.1.1" },
    /* rubbish stops the walk */
    { "10.0.0.0/8", "10.0.0.1", { "unknown" }, "10.0.0.1" },
    { "10.0.0.0/8", "10.0.0.1", { "" }, "10.0.0.1" },
    { "10.0.0.0/8", "10.0.0.1", { "198.51.100.7, , 10.2.2.2" }, "10.2.2.2" },
    { "10.0.0.0/8", "10.0.0.1", { "198.51.100.7,<script>" }, "10.0.0.1" },
    { "10.0.0.0/8", "10.0.0.1", { "198.51.100.7:99999" }, "10.0.0.1" },
    { "10.0.0.0/8", "10.0.0.1", { "198.51.100.256" }, "10.0.0.1" },
    /* ports and brackets */
    { "10.0.0.1", "10.0.0.1", { "198.51.100.7:4711" }, "198.51.100.7" },
    { "10.0.0.1", "10.0.0.1", { "2001:db8::7" }, "2001:db8::7" },
    { "10.0.0.1", "10.0.0.1", { "[2001:db8::7]" }, "2001:db8::7" },
    { "10.0.0.1", "10.0.0.1", { "[2001:db8::7]:443" }, "2001:db8::7" },
    { "10.0.0.1", "10.0.0.1", { "[2001:db8::7]443" }, "10.0.0.1" },
    /* IPv6 and mapped IPv4 */
    { "fd00::/8 ::1", "::1", { "198.51.100.7, fd12::5" }, "198.51.100.7" },
    { "10.0.0.1", "::ffff:10.0.0.1", { "198.51.100.7" }, "198.51.100.7" },
    { "192.0.2.128/25", "192.0.2.127", { "198.51.100.7" }, "192.0.2.127" },
    { "192.0.2.128/25", "192.0.2.128", { "198.51.100.7" }, "198.51.100.7" },
    { "0.0.0.0/0", "1.2.3.4", { "5.6.7.8" }, "5.6.7.8" },
};

static void the_client_is_the_last_address_that_is_not_ours(void **state)
{
    struct clock_fake clock;

    (void)state;
    clock_fake_init(&clock, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct web_request *w = web_request_new(&clock.clock, 65536, VIEW("/"));
        struct address peer, client;
        char text[64];
        rc r;
        struct proxies p = some(cases[i].trusted, &r);

        assert_int_equal(r, RC_OK);
        assert_true(address_parse(view_of(cases[i].peer), &peer));
        for (size_t k = 0; k < 3 && cases[i].lines[k]; k++)
            web_request_header_add(w, VIEW("x-forwarded-for"), view_of(cases[i].lines[k]));
        proxies_client(&p, &peer, &w->rq, &client);
        address_print(&client, text);
        assert_string_equal(text, cases[i].client);
        proxies_done(&p);
        web_request_free(w);
    }
}

static void a_unix_socket_is_trusted_by_its_word(void **state)
{
    struct address local = { .local = true };
    rc r;

    (void)state;
    struct proxies p = some("unix 10.0.0.1", &r);
    assert_true(proxies_trust(&p, &local));
    proxies_done(&p);
    p = some("0.0.0.0/0 ::/0", &r);
    assert_false(proxies_trust(&p, &local));
    proxies_done(&p);
}

static void a_list_with_rubbish_is_refused(void **state)
{
    static const char *const bad[] = { "10.0.0.0/33",       "::/129",      "10.0.0",
                                       "proxy.example.net", "10.0.0.0/-1", "10.0.0.1/" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rc r;

        some(bad[i], &r);
        assert_int_equal(r, RC_BAD_INPUT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_is_the_last_address_that_is_not_ours),
        cmocka_unit_test(a_unix_socket_is_trusted_by_its_word),
        cmocka_unit_test(a_list_with_rubbish_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
