/* A server's end, and its opening. */
#include <pthread.h>
#include <sys/stat.h>

#include "common/web/testing_app.h"

/* ---- the end ---- */

static atomic_bool drain_over;

static void *drain_main(void *arg)
{
    server_drain(arg);
    atomic_store(&drain_over, true);
    return NULL;
}

static void draining_finishes_what_runs_and_refuses_what_is_new(void **state)
{
    pthread_t thread;

    (void)state;
    conf.workers = 1;
    atomic_store(&drain_over, false);
    start();
    struct client running = dial(), queued = dial(), idle = dial();
    client_expect(&idle, GET_("/quick"), 200, "ok");
    assert_true(client_say(&running, GET_("/gate")));
    wait_entered();
    assert_true(client_say(&queued, GET_("/echo?n=q")));
    wait_depth(1);
    assert_int_equal(pthread_create(&thread, NULL, drain_main, server), 0);
    WAIT_UNTIL(atomic_load(&server->draining));
    struct client fresh;
    while ((fresh = client_dial(server_port(server))).fd >= 0) /* until the port is closed */
        client_done(&fresh);
    client_expect(&idle, GET_("/__lbheartbeat__"), 503, NULL);
    assert_true(client_ended(&idle));
    assert_false(atomic_load(&drain_over));
    sem_post(&app.gate);
    struct said s = client_hear(&running);
    assert_int_equal(s.status, 200);
    assert_non_null(strstr(s.head, "Connection: close"));
    free(s.body);
    s = client_hear(&queued);
    assert_string_equal(s.body, "GET 0 q");
    free(s.body);
    pthread_join(thread, NULL);
    client_done(&running);
    client_done(&queued);
    client_done(&idle);
    server_close(server);
    server = NULL;
    assert_int_equal(atomic_load(&app.closed), atomic_load(&app.opened) + atomic_load(&app.io_opened));
}

static void idle_connections_are_closed_before_their_next_request_would_fail(void **state)
{
    struct client idle[3];

    (void)state;
    start();
    for (int i = 0; i < 3; i++) {
        idle[i] = dial();
        client_expect(&idle[i], GET_("/quick"), 200, "ok");
    }
    assert_true(client_say(&idle[2], "GET /quick HTTP/1.1\r\nHo")); /* not a whole one */
    server_drain(server);
    WAIT_UNTIL(atomic_load(&server->connections) == 0); /* it waits for a second itself */
    for (int i = 0; i < 3; i++) {
        assert_true(client_ended(&idle[i]));
        client_done(&idle[i]);
    }
}

static void *close_main(void *arg)
{
    server_close(arg);
    return NULL;
}

static void when_the_time_is_over_what_waits_is_told_later(void **state)
{
    pthread_t thread;

    (void)state;
    conf.workers = 1;
    conf.drain_s = 0;
    start();
    struct client running = dial(), queued = dial();
    assert_true(client_say(&running, GET_("/gate")));
    wait_entered();
    assert_true(client_say(&queued, GET_("/echo")));
    wait_depth(1);
    assert_int_equal(pthread_create(&thread, NULL, close_main, server), 0);
    struct said s = client_hear(&queued);
    assert_int_equal(s.status, 503);
    free(s.body);
    sem_post(&app.gate);
    s = client_hear(&running);
    assert_int_equal(s.status, 200);
    free(s.body);
    pthread_join(thread, NULL);
    server = NULL;
    client_done(&running);
    client_done(&queued);
}

static atomic_bool load_on;

/* Keeps asking until the server is gone; every answer it gets is whole and is one of those allowed. */
static void *load_main(void *arg)
{
    unsigned port = *(unsigned *)arg;
    uintptr_t wrong = 0;

    while (atomic_load(&load_on)) {
        struct client c = client_dial(port);

        if (c.fd < 0)
            break;
        for (int i = 0; i < 50 && client_say(&c, i % 3 == 0   ? GET_("/echo?n=1")
                                                 : i % 3 == 1 ? "PUT /echo HTTP/1.1\r\nHost: h\r\n"
                                                                "Content-Length: 3\r\n\r\nabc"
                                                              : GET_("/warm/1"));
             i++) {
            struct said s = client_hear(&c);

            wrong += s.status != 0 && s.status != 200 && s.status != 503;
            free(s.body);
            if (s.status == 0 || strstr(s.head, "Connection: close"))
                break;
        }
        client_done(&c);
    }
    return (void *)wrong;
}

static void closing_under_load_loses_nothing_that_was_begun(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        pthread_t threads[6];
        unsigned port;

        app_reset();
        conf.workers = 4;
        conf.queue = 2;
        start();
        port = server_port(server);
        atomic_store(&load_on, true);
        for (int i = 0; i < 6; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, load_main, &port), 0);
        WAIT_UNTIL(atomic_load(&app.handled) >= 200);
        server_close(server);
        server = NULL;
        atomic_store(&load_on, false);
        for (int i = 0; i < 6; i++) {
            void *wrong = NULL;

            pthread_join(threads[i], &wrong);
            assert_null(wrong);
        }
        assert_int_equal(atomic_load(&app.closed), atomic_load(&app.opened) + atomic_load(&app.io_opened));
    }
}

/* ---- opening ---- */

static void a_unix_socket_serves_its_group_and_goes_with_the_server(void **state)
{
    char folder[] = "/tmp/heddle-web-XXXXXX", path[64];
    struct stat st;
    struct server *second = NULL;
    struct err e = ERR_NONE;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/s.sock", folder);
    conf.listen = path;
    start_as(true);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_int_equal(server_port(server), 0);
    assert_string_equal(server_url(server), "http://localhost");
    struct client c = client_dial_unix(path);
    assert_true(c.fd >= 0);
    assert_true(client_say(&c, GET_("/tell")));
    struct said s = client_hear(&c);
    assert_int_equal(strncmp(s.body, "local ", 6), 0);
    free(s.body);
    client_done(&c);
    assert_int_equal(server_open(&conf, true, mounts, 1, clock_system(), &second, &e), RC_BUSY);
    server_close(server);
    server = NULL;
    assert_int_equal(stat(path, &st), -1);

    /* one that a dead process left behind is replaced, a file is not */
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
    assert_int_equal(bind(dead, (struct sockaddr *)&sa, sizeof sa), 0);
    close(dead);
    start();
    server_close(server);
    server = NULL;
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(server_open(&conf, true, mounts, 1, clock_system(), &second, &e), RC_BAD_INPUT);
    assert_null(second);
    unlink(path);
    rmdir(folder);
}

static void what_cannot_be_opened_says_why(void **state)
{
    static const struct {
        const char *listen, *url, *cert, *key, *proxy;
        const char *word;
    } cases[] = {
        { "8000", "", "", "", NULL, "8000" },
        { "127.0.0.1:", "", "", "", NULL, "127.0.0.1:" },
        { "127.0.0.1:66000", "", "", "", NULL, "66000" },
        { "::1:80", "", "", "", NULL, "::1:80" },
        { "[::1:80", "", "", "", NULL, "[::1:80" },
        { "192.0.2.1:0", "", "", "", NULL, "192.0.2.1" },
        { "/nonexistent/folder/s.sock", "", "", "", NULL, "/nonexistent" },
        { "127.0.0.1:0", "localhost", "", "", NULL, "localhost" },
        { "127.0.0.1:0", "", "/nonexistent.pem", "", NULL, "need each other" },
        { "127.0.0.1:0", "", "/nonexistent.pem", "/nonexistent.key", NULL, "/nonexistent.pem" },
        { "127.0.0.1:0", "", "/dev/null", "/dev/null", NULL, "TLS" },
        { "127.0.0.1:0", "", "", "", "example.net", "example.net" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *proxies[1] = { (char *)(uintptr_t)cases[i].proxy };
        struct err e = ERR_NONE;
        struct server *s = NULL;

        conf.listen = (char *)(uintptr_t)cases[i].listen;
        conf.url = (char *)(uintptr_t)cases[i].url;
        conf.tls_cert = (char *)(uintptr_t)cases[i].cert;
        conf.tls_key = (char *)(uintptr_t)cases[i].key;
        conf.trusted_proxies = (struct conf_list){ .items = proxies, .n = cases[i].proxy ? 1 : 0 };
        if (server_open(&conf, false, mounts, 1, clock_system(), &s, &e) != RC_BAD_INPUT)
            fail_msg("opened: case %zu", i);
        if (!strstr(e.text, cases[i].word))
            fail_msg("\"%s\" does not name %s", e.text, cases[i].word);
        assert_null(s);
    }
}

static void a_port_is_one_servers_unless_they_share_it(void **state)
{
    char at[32];
    struct server *second = NULL;
    struct err e = ERR_NONE;

    (void)state;
    conf.reuse_port = true;
    start();
    snprintf(at, sizeof at, "127.0.0.1:%u", server_port(server));
    struct server_conf other = conf;
    other.listen = at;
    other.reuse_port = false;
    assert_int_equal(server_open(&other, false, mounts, 1, clock_system(), &second, &e), RC_BUSY);
    other.reuse_port = true;
    assert_int_equal(server_open(&other, false, mounts, 1, clock_system(), &second, &e), RC_OK);
    assert_int_equal(server_port(second), server_port(server));
    server_close(second);
    assert_non_null(strstr(server_url(server), at));
}

static void the_url_gives_the_base_under_which_routes_stand_too(void **state)
{
    (void)state;
    conf.url = (char *)(uintptr_t) "https://sync.example.net/a/b";
    start();
    assert_string_equal(server_url(server), conf.url);
    expect_once(GET_("/a/b/quick"), 200, "ok");
    expect_once(GET_("/quick"), 200, "ok");
    expect_once(GET_("/a/quick"), 404, "0");
}

static bool machine_has_ipv6(void)
{
    const struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (const struct sockaddr *)&sa, sizeof sa) == 0;
    if (fd >= 0)
        close(fd);
    return has;
}

static void ipv6_is_served(void **state)
{
    struct err e = ERR_NONE;

    (void)state;
    conf.listen = (char *)(uintptr_t) "*:0";
    if (server_open(&conf, false, mounts, 1, clock_system(), &server, &e) != RC_OK)
        fail_msg("%s", e.text);
    expect_once(GET_("/quick"), 200, "ok"); /* by IPv4 */
    if (!machine_has_ipv6())
        skip();
    const struct sockaddr_in6 sa = { .sin6_family = AF_INET6,
                                     .sin6_port = htons((uint16_t)server_port(server)),
                                     .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct client c = client_to((const struct sockaddr *)&sa, sizeof sa);
    assert_true(c.fd >= 0);
    assert_true(client_say(&c, GET_("/tell")));
    struct said s = client_hear(&c);
    assert_int_equal(strncmp(s.body, "::1 ", 4), 0);
    free(s.body);
    client_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(draining_finishes_what_runs_and_refuses_what_is_new),
        TEST(idle_connections_are_closed_before_their_next_request_would_fail),
        TEST(when_the_time_is_over_what_waits_is_told_later),
        TEST(closing_under_load_loses_nothing_that_was_begun),
        TEST(a_unix_socket_serves_its_group_and_goes_with_the_server),
        TEST(what_cannot_be_opened_says_why),
        TEST(a_port_is_one_servers_unless_they_share_it),
        TEST(the_url_gives_the_base_under_which_routes_stand_too),
        TEST(ipv6_is_served),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
