/* Connections: half closed, broken off, dripping, silent, too many. */
#include "common/web/testing_app.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"

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

/* The last of so many is let in when the first has gone. */
static void all_but_one_are_let_in(int n)
{
    struct client *c = mem_need(calloc((size_t)n, sizeof *c));

    conf.connections = n - 1;
    conf.idle_s = 3600; /* nobody else makes the thread look */
    conf.io_threads = 1;
    start();
    for (int i = 0; i < n - 1; i++) {
        c[i] = dial();
        client_expect(&c[i], GET_("/quick"), 200, "ok");
    }
    c[n - 1] = dial(); /* in the kernel's backlog */
    assert_true(client_say(&c[n - 1], GET_("/quick")));
    client_expect(&c[0], GET_("/quick"), 200, "ok");
    assert_int_equal(atomic_load(&server->connections), n - 1);
    client_done(&c[0]);
    struct said s = client_hear(&c[n - 1]);
    assert_int_equal(s.status, 200);
    free(s.body);
    for (int i = 1; i < n; i++)
        client_done(&c[i]);
    free(c);
}

static void more_connections_than_allowed_wait_outside(void **state)
{
    (void)state;
    all_but_one_are_let_in(5);
}

static void so_they_do_where_libmicrohttpd_does_not_wait_itself(void **state)
{
    (void)state;
    all_but_one_are_let_in(140);
}

/* libmicrohttpd asks for 128 events at a time. */
static void who_asks_at_once_with_many_others_is_answered(void **state)
{
    enum { MOST = 131 };
    struct client c[MOST], busy;

    (void)state;
    conf.connections = MOST + 2;
    conf.io_threads = 1;
    start();
    busy = dial();
    for (int i = 0; i < MOST; i++) {
        c[i] = dial();
        client_expect(&c[i], GET_("/quick"), 200, "ok");
        if (i < 124)
            continue;
        assert_true(client_say(&busy, GET_("/quick-gate")));
        wait_entered();
        for (int j = 0; j <= i; j++)
            assert_true(client_say(&c[j], GET_("/quick")));
        sem_post(&app.gate);
        for (int j = 0; j <= i; j++) {
            struct said s = client_hear(&c[j]);
            assert_int_equal(s.status, 200);
            free(s.body);
        }
        struct said s = client_hear(&busy);
        free(s.body);
    }
    client_done(&busy);
    for (int i = 0; i < MOST; i++)
        client_done(&c[i]);
}

/* How many threads of that name have that niceness. */
static int threads_with(const char *name, long nice)
{
    int n = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *d; (d = readdir(tasks));) {
        char path[300], line[1024] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", d->d_name);
        FILE *f = fopen(path, "re");
        if (!f)
            continue; /* "..", or it has ended */
        (void)!fread(line, 1, sizeof line - 1, f);
        fclose(f);
        char *at = strrchr(line, ')'); /* niceness is the 17th field after the name */
        for (int field = 0; at && field < 17; field++)
            at = strchr(at + 1, ' ');
        n += at && strstr(line, name) && strtol(at, NULL, 10) == nice;
    }
    closedir(tasks);
    return n;
}

static void io_threads_are_as_nice_as_they_are_told(void **state)
{
    (void)state;
    conf.io_threads = 1;
    conf.io_nice = 3; /* whoever we are, that is allowed */
    start();
    expect_once(GET_("/quick"), 200, "ok");
    assert_int_equal(threads_with("heddle-io", 3), 1);
    assert_int_equal(threads_with("", 3), 1);
}

static bool may_be_favoured(void)
{
    bool may = setpriority(PRIO_PROCESS, (id_t)gettid(), -16) == 0;

    setpriority(PRIO_PROCESS, (id_t)gettid(), 0);
    return may;
}

static void an_io_thread_that_refuses_comes_nearer_to_the_processor_until_it_is_calm(void **state)
{
    (void)state;
    if (!may_be_favoured())
        skip();
    conf.io_threads = conf.workers = conf.queue = 1;
    conf.io_nice = -1;
    start_by(&stepped.clock, false);
    struct client running = dial(), waiting = dial();
    assert_true(client_say(&running, GET_("/gate")));
    wait_entered();
    assert_true(client_say(&waiting, GET_("/gate")));
    wait_depth(1);
    assert_int_equal(threads_with("heddle-io", -1), 1);
    expect_once(GET_("/echo"), 503, "0");
    assert_int_equal(threads_with("heddle-io", -16), 1);
    atomic_fetch_add(&stepped.steady_us, 1000000);
    expect_once(GET_("/quick"), 200, "ok");
    assert_int_equal(threads_with("heddle-io", -16), 1);
    atomic_fetch_add(&stepped.steady_us, 1);
    expect_once(GET_("/quick"), 200, "ok");
    assert_int_equal(threads_with("heddle-io", -1), 1);
    for (int i = 0; i < 2; i++)
        sem_post(&app.gate);
    struct said s = client_hear(&waiting);
    assert_int_equal(s.status, 200);
    free(s.body);
    client_done(&running);
    client_done(&waiting);
}

static void an_io_thread_comes_nearer_before_anybody_is_refused(void **state)
{
    (void)state;
    enum { FEW = 8 }; /* for one worker */
    struct client waiting[1 + FEW + 1];

    if (!may_be_favoured())
        skip();
    conf.io_threads = conf.workers = 1;
    conf.queue = 1000;
    conf.io_nice = -1;
    start();
    for (unsigned i = 0; i < 1 + FEW + 1; i++) {
        waiting[i] = dial();
        assert_true(client_say(&waiting[i], GET_("/gate")));
        if (i == 0)
            wait_entered();
        else
            wait_depth(i);
        expect_once(GET_("/quick"), 200, "ok"); /* the thread has done what came before */
        assert_int_equal(threads_with("heddle-io", i > FEW ? -16 : -1), 1);
    }
    for (unsigned i = 0; i < 1 + FEW + 1; i++)
        sem_post(&app.gate);
    for (unsigned i = 0; i < 1 + FEW + 1; i++) {
        struct said s = client_hear(&waiting[i]);
        assert_int_equal(s.status, 200);
        free(s.body);
        client_done(&waiting[i]);
    }
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

/* ---- who gets them ---- */

static void dial_more(struct client *c, int from, int to)
{
    for (int i = from; i < to; i++) {
        c[i] = dial();
        client_expect(&c[i], GET_("/quick"), 200, "ok");
    }
}

static void assert_shares(int first, int second)
{
    assert_int_equal(atomic_load(&server->ios[0].n_conns), first);
    assert_int_equal(atomic_load(&server->ios[1].n_conns), second);
}

static void a_thread_gets_a_few_dozen_before_the_next_then_who_has_fewest(void **state)
{
    enum { FEW = 32 };
    static struct client c[4 * FEW];

    (void)state;
    conf.connections = 4 * FEW;
    conf.io_threads = 2;
    start();
    dial_more(c, 0, FEW);
    assert_shares(FEW, 0);
    dial_more(c, FEW, FEW + 4);
    assert_shares(FEW, 4);
    client_done(&c[0]);
    WAIT_UNTIL(atomic_load(&server->connections) == FEW + 3);
    dial_more(c, 0, 1);
    assert_shares(FEW, 4);
    dial_more(c, FEW + 4, 4 * FEW);
    assert_shares(2 * FEW, 2 * FEW);
    for (int i = 0; i < 4 * FEW; i++)
        client_done(&c[i]);
}

/* The kernel has accepted him, the server cannot: no number is left for his file. It says so, and tries again. */
static void who_dials_while_no_file_can_be_opened_waits(void **state)
{
    struct rlimit before, none;
    struct sockaddr_in sa = { .sin_family = AF_INET };
    int log[2];
    char line[1024] = { 0 };

    (void)state;
    assert_int_equal(pipe(log), 0);
    log_setup(log[1], LOG_JSON, LOG_WARN);
    start();
    expect_once(GET_("/quick"), 200, "ok");
    WAIT_UNTIL(atomic_load(&server->connections) == 0);
    struct client c = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    client_timeout(c.fd);
    int lowest_free = dup(c.fd);
    close(lowest_free);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)lowest_free;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    sa.sin_port = htons((uint16_t)server_port(server));
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int got = connect(c.fd, (struct sockaddr *)&sa, sizeof sa);
    bool said = client_say(&c, GET_("/quick"));
    ssize_t logged = read(log[0], line, sizeof line - 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(logged > 0);
    assert_non_null(strstr(line, "no connection can be accepted"));
    assert_int_equal(got, 0);
    assert_true(said);
    struct said s = client_hear(&c);
    assert_int_equal(s.status, 200);
    free(s.body);
    client_done(&c);
    server_close(server);
    server = NULL;
    log_setup(STDERR_FILENO, LOG_AUTO, LOG_INFO);
    close(log[0]);
    close(log[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_sent_all_and_closed_his_half_is_answered),
        TEST(a_client_that_leaves_while_its_request_runs_hurts_nobody),
        TEST(a_request_that_drips_in_is_ended),
        TEST(more_connections_than_allowed_wait_outside),
        TEST(so_they_do_where_libmicrohttpd_does_not_wait_itself),
        TEST(who_asks_at_once_with_many_others_is_answered),
        TEST(io_threads_are_as_nice_as_they_are_told),
        TEST(an_io_thread_that_refuses_comes_nearer_to_the_processor_until_it_is_calm),
        TEST(an_io_thread_comes_nearer_before_anybody_is_refused),
        TEST(patience_with_silent_connections_ends_as_they_fill_their_room),
        TEST(the_memory_of_connections_bounds_their_number),
        TEST(silent_connections_make_room_for_others),
        TEST(a_thread_gets_a_few_dozen_before_the_next_then_who_has_fewest),
        TEST(who_dials_while_no_file_can_be_opened_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
