#include <pthread.h>
#include <sys/stat.h>

#include "common/web/testing_app.h"

/* ---- the queue ---- */

static void a_full_queue_says_later_and_heartbeats_tell(void **state)
{
    (void)state;
    conf.workers = 1;
    conf.queue = 1;
    start();
    struct client running = dial(), waiting = dial();
    assert_true(client_say(&running, GET_("/gate")));
    wait_entered();
    assert_true(client_say(&waiting, GET_("/echo?n=1")));
    wait_depth(1);
    struct said s = once(GET_("/echo?n=2"));
    assert_int_equal(s.status, 503);
    assert_string_equal(s.body, "0");
    assert_non_null(strstr(s.head, "Retry-After: 10"));
    free(s.body);
    s = once(GET_("/__lbheartbeat__"));
    assert_int_equal(s.status, 500);
    assert_non_null(strstr(s.body, "\"duration_ms\":"));
    free(s.body);
    expect_once(GET_("/quick"), 200, "ok");
    expect_once(GET_("/warm/1"), 200, "warm");
    /* the connection of one who was told so lives on */
    struct client c = dial();
    client_expect(&c, GET_("/echo?n=3"), 503, "0");
    client_expect(
        &c, "POST /late HTTP/1.1\r\nHost: h\r\nAuthorization: Basic good\r\nContent-Length: 2\r\n\r\nab", 503,
        "0");
    client_expect(&c, GET_("/quick"), 200, "ok");
    client_done(&c);
    sem_post(&app.gate);
    s = client_hear(&running);
    assert_int_equal(s.status, 200);
    free(s.body);
    s = client_hear(&waiting);
    assert_string_equal(s.body, "GET 0 1");
    free(s.body);
    client_done(&running);
    client_done(&waiting);
    expect_once(GET_("/__lbheartbeat__"), 200, NULL);
}

static void who_waits_too_long_is_told_later_even_if_no_worker_comes(void **state)
{
    (void)state;
    conf.workers = 1;
    conf.queue_wait_s = 1;
    start();
    struct client running = dial();
    assert_true(client_say(&running, GET_("/gate")));
    wait_entered();
    expect_once(GET_("/echo"), 503, "0");
    sem_post(&app.gate);
    struct said s = client_hear(&running);
    assert_int_equal(s.status, 200);
    free(s.body);
    client_done(&running);
}

static bool all_sleep(void)
{
    struct queue *q = &server->queue;
    size_t n = 0;

    pthread_mutex_lock(&q->lock);
    for (const struct worker *w = q->sleepers; w; w = w->next_sleeper)
        n++;
    pthread_mutex_unlock(&q->lock);
    return n == server->n_workers;
}

static void the_worker_who_slept_last_is_woken_first(void **state)
{
    (void)state;
    conf.workers = 8;
    start();
    struct client c = dial();
    for (int i = 0; i < 50; i++) {
        WAIT_UNTIL(all_sleep());
        client_expect(&c, GET_("/echo"), 200, NULL);
    }
    client_done(&c);
    /* Woken in the order in which they fell asleep, all would have come by the eighth request. */
    assert_int_equal(atomic_load(&app.opened), 1);
}

/* So many workers as short reads are left to stand at the gate; nothing else happens that could make the server look up. */
static void who_waits_behind_slow_jobs_gets_a_worker_soon(void **state)
{
    enum { STUCK = 2 * 32 };
    static struct client stuck[STUCK];
    size_t n = 2 * (size_t)server_cores();

    (void)state;
    conf.workers = STUCK + 1;
    start();
    for (size_t i = 0; i < n; i++) {
        stuck[i] = dial();
        assert_true(client_say(&stuck[i], GET_("/gate")));
        wait_entered();
    }
    expect_once(GET_("/echo?n=1"), 200, "GET 0 1");
    for (size_t i = 0; i < n; i++)
        sem_post(&app.gate);
    for (size_t i = 0; i < n; i++) {
        struct said s = client_hear(&stuck[i]);
        assert_int_equal(s.status, 200);
        free(s.body);
        client_done(&stuck[i]);
    }
}

/* ---- states of workers and io threads ---- */

static void a_session_that_does_not_open_is_503_and_tried_again(void **state)
{
    (void)state;
    conf.workers = 1;
    atomic_store(&app.fail_opens, 2);
    start();
    expect_once(GET_("/echo"), 503, "0");
    struct said s = once(GET_("/__heartbeat__"));
    assert_int_equal(s.status, 503);
    assert_non_null(strstr(s.body, "{\"status\":\"Err\",\"test\":\"Err\""));
    free(s.body);
    expect_once(GET_("/echo"), 200, NULL);
    expect_once(GET_("/echo"), 200, NULL);
    assert_int_equal(atomic_load(&app.opened), 1);
    server_close(server);
    server = NULL;
    assert_int_equal(atomic_load(&app.closed), 1);
}

static void states_of_io_threads_are_opened_for_warm_answers_alone(void **state)
{
    (void)state;
    conf.io_threads = 1;
    start();
    expect_once(GET_("/echo"), 200, NULL);
    expect_once(GET_("/quick"), 200, NULL);
    assert_int_equal(atomic_load(&app.io_opened), 0);
    expect_once(GET_("/warm/1"), 200, "warm");
    expect_once(GET_("/warm/2"), 200, "warm");
    assert_int_equal(atomic_load(&app.io_opened), 1);
}

static void warm_answers_that_are_slow_again_and_again_send_their_route_to_the_workers(void **state)
{
    (void)state;
    start_by(&stepped.clock, false);
    expect_once(GET_("/warm/1"), 200, "warm");
    atomic_store(&app.warm_us, 120000);
    expect_once(GET_("/warm/1"), 200, "warm");
    expect_once(GET_("/warm/1"), 200, "warm");
    atomic_store(&app.warm_us, 0);
    expect_once(GET_("/warm/1"), 200, "ok");
    expect_once(GET_("/warm/2"), 200, "ok");
    atomic_fetch_add(&stepped.steady_us, 999000);
    expect_once(GET_("/warm/1"), 200, "ok");
    atomic_fetch_add(&stepped.steady_us, 2000); /* the second is over */
    expect_once(GET_("/warm/1"), 200, "warm");
}

static void a_warm_answer_that_only_lacked_the_processor_leaves_its_route_warm(void **state)
{
    (void)state;
    start_by(&stepped.clock, false);
    atomic_store(&app.warm_spins, true);
    atomic_store(&app.warm_us, 20000);
    expect_once(GET_("/warm/1"), 200, "warm");
    expect_once(GET_("/warm/1"), 200, "warm");
    atomic_store(&app.warm_us, 0);
    expect_once(GET_("/warm/1"), 200, "warm");
}

static void a_warm_answer_has_waited_if_a_disk_made_it_slow_or_anything_made_it_very_slow(void **state)
{
    static const struct {
        struct waits more;
        int64_t took_us;
        bool waited;
    } cases[] = {
        { { .disk = 1, .any = 1 }, 10001, true },   { { .disk = 1, .any = 1 }, 10000, false },
        { { .disk = 0, .any = 9 }, 100000, false }, { { .disk = 0, .any = 1 }, 100001, true },
        { { .disk = 0, .any = 0 }, 900000, false },
    };
    const struct waits before = { .disk = 7, .any = 70 };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct waits after = { .disk = before.disk + cases[i].more.disk,
                               .any = before.any + cases[i].more.any };

        assert_int_equal(warm_waited(&before, &after, cases[i].took_us), cases[i].waited);
    }
}

/* ---- connections ---- */

static void who_sent_all_and_closed_his_half_is_answered(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 2; i++) {
        struct client c = dial();

        assert_true(client_say(&c, i ? "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"
                                     : GET_("/echo")));
        shutdown(c.fd, SHUT_WR);
        struct said s = client_hear(&c);
        assert_int_equal(s.status, 200);
        assert_true(client_ended(&c));
        free(s.body);
        client_done(&c);
    }
}

static void a_client_that_leaves_while_its_request_runs_hurts_nobody(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 4; i++) {
        struct client c = dial();
        struct linger abort_it = { .l_onoff = 1 };

        assert_true(client_say(&c, GET_("/gate")));
        wait_entered();
        if (i % 2)
            setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof abort_it);
        client_done(&c);
        sem_post(&app.gate);
    }
    WAIT_UNTIL(atomic_load(&server->active) == 0);
    expect_once(GET_("/echo"), 200, NULL);
}

static void a_request_that_drips_in_is_ended(void **state)
{
    static const char *const beginnings[] = {
        "",
        "GET /quick HTTP/1.1\r\nHost: h\r\nX-Slow: ",
    };

    (void)state;
    conf.idle_s = 1;
    start();
    for (size_t i = 0; i < 2; i++) {
        int64_t begun = clock_mono_us(clock_system());
        struct client c = dial();
        int bytes = 0;
        struct timeval tick = { .tv_usec = 100000 };
        char drop;

        assert_true(client_say(&c, beginnings[i]));
        setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick);
        while (client_say(&c, "x") && recv(c.fd, &drop, 1, 0) < 0 && errno == EAGAIN && bytes < 300)
            bytes++;
        assert_true(bytes < 300);                                        /* it was ended, … */
        assert_true(clock_mono_us(clock_system()) - begun > 900 * 1000); /* … and had its second */
        client_done(&c);
    }
    expect_once(GET_("/quick"), 200, "ok");
}

static void more_connections_than_allowed_wait_outside(void **state)
{
    struct client c[5];

    (void)state;
    conf.connections = 4;
    conf.io_threads = 1;
    start();
    for (int i = 0; i < 4; i++) {
        c[i] = dial();
        client_expect(&c[i], GET_("/quick"), 200, "ok");
    }
    c[4] = dial(); /* in the kernel's backlog */
    assert_true(client_say(&c[4], GET_("/quick")));
    client_expect(&c[0], GET_("/quick"), 200, "ok");
    assert_int_equal(atomic_load(&server->connections), 4);
    client_done(&c[0]);
    struct said s = client_hear(&c[4]);
    assert_int_equal(s.status, 200);
    free(s.body);
    for (int i = 1; i < 5; i++)
        client_done(&c[i]);
}

static void patience_with_silent_connections_ends_as_they_fill_their_room(void **state)
{
    (void)state;
    const int64_t s1 = 1000000;
    assert_int_equal(watch_patience_us(75 * s1, 0, 1000), 75 * s1);
    assert_int_equal(watch_patience_us(75 * s1, 500, 1000), 75 * s1);
    assert_int_equal(watch_patience_us(75 * s1, 750, 1000), 38 * s1);
    assert_int_equal(watch_patience_us(75 * s1, 1000, 1000), s1);
    assert_int_equal(watch_patience_us(75 * s1, 1007, 1000), s1);
    assert_int_equal(watch_patience_us(s1, 999, 1000), s1);
    for (int64_t n = 1, before = 75 * s1; n <= 1000; n++) {
        int64_t now = watch_patience_us(75 * s1, n, 1000);
        assert_true(now <= before && now >= s1);
        before = now;
    }
}

static void the_memory_of_connections_bounds_their_number(void **state)
{
    (void)state;
    struct server_conf c = test_conf();
    c.connections = 10000;
    c.connection_bytes = 16384;
    c.connections_bytes = 0;
    assert_int_equal(server_connections_most(&c), 10000);
    c.connections_bytes = (int64_t)18432 * 500;
    assert_int_equal(server_connections_most(&c), 500);
    c.connections_bytes = (int64_t)1 << 40;
    assert_int_equal(server_connections_most(&c), 10000);
    c.connections_bytes = 1;
    assert_int_equal(server_connections_most(&c), 1);
}

static void silent_connections_make_room_for_others(void **state)
{
    enum { MOST = 8 };
    struct client c[MOST + 1];

    (void)state;
    conf.connection_bytes = 4096;
    conf.connections_bytes = MOST * (4096 + 2048);
    conf.idle_s = 3600;
    conf.io_threads = 1;
    start();
    for (int i = 0; i < MOST / 2; i++) {
        c[i] = dial();
        client_expect(&c[i], GET_("/quick"), 200, "ok");
    }
    for (int i = MOST / 2; i < MOST; i++)
        c[i] = dial(); /* without a word */
    c[MOST] = dial();  /* in the kernel's queue, as long as all places are taken */
    assert_true(client_say(&c[MOST], GET_("/quick")));
    struct said s = client_hear(&c[MOST]);
    assert_int_equal(s.status, 200);
    free(s.body);
    assert_true(metric_value(server->hurried) > 0);
    for (int i = 0; i <= MOST; i++)
        client_done(&c[i]);
}

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
    assert_int_equal(atomic_load(&server->connections), 0);
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
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 sa = { .sin6_family = AF_INET6,
                               .sin6_port = htons((uint16_t)server_port(server)),
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    struct client c = { .fd = fd };
    client_timeout(fd);
    assert_true(client_say(&c, GET_("/tell")));
    struct said s = client_hear(&c);
    assert_int_equal(strncmp(s.body, "::1 ", 4), 0);
    free(s.body);
    client_done(&c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_full_queue_says_later_and_heartbeats_tell),
        TEST(who_waits_too_long_is_told_later_even_if_no_worker_comes),
        TEST(the_worker_who_slept_last_is_woken_first),
        TEST(who_waits_behind_slow_jobs_gets_a_worker_soon),
        TEST(a_session_that_does_not_open_is_503_and_tried_again),
        TEST(states_of_io_threads_are_opened_for_warm_answers_alone),
        TEST(warm_answers_that_are_slow_again_and_again_send_their_route_to_the_workers),
        TEST(a_warm_answer_that_only_lacked_the_processor_leaves_its_route_warm),
        TEST(a_warm_answer_has_waited_if_a_disk_made_it_slow_or_anything_made_it_very_slow),
        TEST(who_sent_all_and_closed_his_half_is_answered),
        TEST(a_client_that_leaves_while_its_request_runs_hurts_nobody),
        TEST(a_request_that_drips_in_is_ended),
        TEST(more_connections_than_allowed_wait_outside),
        TEST(patience_with_silent_connections_ends_as_they_fill_their_room),
        TEST(the_memory_of_connections_bounds_their_number),
        TEST(silent_connections_make_room_for_others),
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
