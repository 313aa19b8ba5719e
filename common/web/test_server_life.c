/* A server's queue, its end, and its opening. */
#include <pthread.h>
#include <sys/stat.h>

#include "common/base/cores.h"
#include "common/base/log.h"
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

/* What the log says of those who were refused: the lines they got, and how many it says got none. */
static void read_refusals(FILE *log, unsigned *out_lines, unsigned *out_without)
{
    static const char number[] = "\"requests\":";
    char line[2048];

    *out_lines = *out_without = 0;
    rewind(log);
    while (fgets(line, sizeof line, log)) {
        const char *at = strstr(line, number);

        *out_lines += strstr(line, "\"the queue is full\"") != NULL;
        if (strstr(line, "refused without a line each"))
            *out_without += (unsigned)strtoul(at + strlen(number), NULL, 10);
    }
}

static void a_flood_of_refusals_gets_few_lines_and_their_number(void **state)
{
    enum { TOO_MANY = 150, END = 100000 };
    unsigned told = 0, lines, without;

    (void)state;
    conf.workers = 1;
    conf.queue = 1;
    FILE *log = tmpfile();
    assert_non_null(log);
    log_setup(fileno(log), LOG_JSON, LOG_INFO);
    start();
    struct client running = dial(), waiting = dial(), c = dial();
    assert_true(client_say(&running, GET_("/gate")));
    wait_entered();
    assert_true(client_say(&waiting, GET_("/echo")));
    wait_depth(1);
    for (; told < 1 || (atomic_load(&server->refusals) < TOO_MANY && told < END); told++) {
        client_expect(&c, GET_("/echo"), 503, "0");
        if (told == 0)
            WAIT_UNTIL(atomic_load(&server->refusals) == 0); /* the watch has just looked */
    }
    sem_post(&app.gate);
    said_expect(client_hear(&running), "/gate", 200, NULL);
    said_expect(client_hear(&waiting), "/echo", 200, NULL);
    client_done(&running);
    client_done(&waiting);
    client_done(&c);
    server_close(server);
    server = NULL;
    log_setup(STDERR_FILENO, LOG_AUTO, LOG_INFO);
    read_refusals(log, &lines, &without);
    fclose(log);
    assert_true(lines > 0);
    assert_true(without > 0);
    assert_int_equal(lines + without, told);
}

/* One more in the queue, behind `depth` others. */
static struct client queued_behind(unsigned depth)
{
    struct client c = dial();
    assert_true(client_say(&c, GET_("/gate")));
    wait_depth(depth + 1);
    return c;
}

/* Those who stand at the gate, or wait for a worker to come there. */
static void let_pass(struct client *stuck, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sem_post(&app.gate);
    for (size_t i = 0; i < n; i++) {
        struct said s = client_hear(&stuck[i]);
        assert_int_equal(s.status, 200);
        free(s.body);
        client_done(&stuck[i]);
    }
}

/* The worker does what waits, down to so many. */
static void work_down(struct client *c, unsigned n, unsigned depth)
{
    for (unsigned i = 0; i < n; i++)
        let_pass(&c[i], 1);
    wait_depth(depth);
}

/* One runs, so many wait. */
static void start_with_waiting(struct client *c, unsigned n)
{
    conf.workers = 1;
    conf.queue = 100;
    start_by(&stepped.clock, false);
    c[0] = dial();
    assert_true(client_say(&c[0], GET_("/gate")));
    wait_entered();
    for (unsigned i = 0; i < n; i++)
        c[1 + i] = queued_behind(i);
}

static void a_burst_may_wait_but_a_queue_that_stays_deep_takes_few(void **state)
{
    enum { FEW = 8, BURST = 20 };
    struct client c[1 + BURST];

    (void)state;
    start_with_waiting(c, FEW);
    atomic_fetch_add(&stepped.steady_us, 5000000); /* so many may wait for as long as they like */
    for (unsigned i = FEW; i < BURST; i++)
        c[1 + i] = queued_behind(i);
    atomic_fetch_add(&stepped.steady_us, 1000000);
    work_down(c, 1, BURST - 1);
    c[0] = queued_behind(BURST - 1); /* for a second all are welcome */

    atomic_fetch_add(&stepped.steady_us, 1);
    expect_once(GET_("/echo"), 503, "0");
    expect_once(GET_("/__lbheartbeat__"), 500, NULL);
    expect_once(GET_("/quick"), 200, "ok");
    work_down(c + 1, BURST - FEW, FEW); /* what waited is not lost */
    expect_once(GET_("/echo"), 503, "0");
    work_down(c + 1 + BURST - FEW, 1, FEW - 1);
    c[1] = queued_behind(FEW - 1); /* there was place for one of few */
    expect_once(GET_("/echo"), 503, "0");

    atomic_fetch_add(&stepped.steady_us, 1000001); /* since it was full */
    c[2] = queued_behind(FEW);
    expect_once(GET_("/__lbheartbeat__"), 200, NULL);
    work_down(c + 2 + BURST - FEW, FEW - 1, 2);
    work_down(c, 3, 0);
}

static void many_who_wait_shortly_are_all_welcome(void **state)
{
    enum { WAITING = 10, STEP_US = 9900, STEPS = 250 }; /* each waits for 99 ms, for two seconds and a half */
    struct client c[1 + WAITING];

    (void)state;
    start_with_waiting(c, WAITING);
    for (unsigned i = 0; i < STEPS; i++) {
        struct client *next = &c[i % (1 + WAITING)];
        atomic_fetch_add(&stepped.steady_us, STEP_US);
        work_down(next, 1, WAITING - 1);
        *next = queued_behind(WAITING - 1);
    }
    for (unsigned i = 0; i < 1 + WAITING; i++)
        work_down(&c[(STEPS + i) % (1 + WAITING)], 1, i < WAITING ? WAITING - 1 - i : 0);
}

static void who_waits_too_long_is_told_later_even_if_no_worker_comes(void **state)
{
    (void)state;
    conf.workers = 1;
    conf.queue_wait_s = 1;
    start_by(&stepped.clock, false); /* so that a machine that stands still lets nobody wait */
    struct client running = dial(), waiting = dial();
    assert_true(client_say(&running, GET_("/gate")));
    wait_entered();
    assert_true(client_say(&waiting, GET_("/echo")));
    wait_depth(1);
    atomic_fetch_add(&stepped.steady_us, 1001000);
    struct said s = client_hear(&waiting);
    assert_int_equal(s.status, 503);
    assert_string_equal(s.body, "0");
    free(s.body);
    client_done(&waiting);
    sem_post(&app.gate);
    s = client_hear(&running);
    assert_int_equal(s.status, 200);
    free(s.body);
    client_done(&running);
}

static bool somebody_rests(void)
{
    struct queue *q = &server->queue;

    pthread_mutex_lock(&q->lock);
    bool so = q->resting > 0;
    pthread_mutex_unlock(&q->lock);
    return so;
}

static void *rest_main(void *arg)
{
    (void)arg;
    queue_rest(server, 3600 * 1000);
    return NULL;
}

static void who_rests_is_woken_when_half_of_the_queue_is_free(void **state)
{
    enum { MOST = 4 };
    struct client c[1 + MOST];
    pthread_t resting;

    (void)state;
    conf.workers = 1;
    conf.queue = MOST;
    start();
    queue_rest(server, 3600 * 1000); /* of an empty one there is nothing to wait for */
    for (unsigned i = 0; i < 1 + MOST; i++) {
        c[i] = dial();
        assert_true(client_say(&c[i], GET_("/gate")));
        if (i == 0)
            wait_entered();
        wait_depth(i);
    }
    queue_rest(server, 1);
    assert_int_equal(server_queue_depth(server), MOST); /* it was a rest, no wait for the end */
    assert_int_equal(pthread_create(&resting, NULL, rest_main, NULL), 0);
    WAIT_UNTIL(somebody_rests());
    sem_post(&app.gate);
    wait_depth(MOST - 1);
    assert_true(somebody_rests());
    sem_post(&app.gate);
    pthread_join(resting, NULL);
    assert_int_equal(server_queue_depth(server), MOST / 2);
    for (unsigned i = 2; i < 1 + MOST; i++)
        sem_post(&app.gate);
    for (unsigned i = 0; i < 1 + MOST; i++) {
        struct said s = client_hear(&c[i]);
        assert_int_equal(s.status, 200);
        free(s.body);
        client_done(&c[i]);
    }
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

static void a_worker_interrupts_nobody_who_wakes_it(void **state)
{
    (void)state;
    start();
    expect_once(GET_("/echo?n=1"), 200, "GET 0 1");
    assert_int_equal(atomic_load(&app.policy), SCHED_BATCH);
}

/* The steady clock stands still, so that nobody is woken for having waited. */
static void reads_that_wait_have_a_worker_each(void **state)
{
    enum { STUCK = 64 };
    static struct client stuck[STUCK];

    (void)state;
    conf.workers = STUCK + 1;
    start_by(&stepped.clock, false);
    WAIT_UNTIL(all_sleep());
    for (size_t i = 0; i < STUCK; i++) {
        stuck[i] = dial();
        assert_true(client_say(&stuck[i], GET_("/gate")));
        wait_entered();
    }
    expect_once(GET_("/echo?n=1"), 200, "GET 0 1");
    let_pass(stuck, STUCK);
}

static bool has_brisk(int n)
{
    struct queue *q = &server->queue;

    pthread_mutex_lock(&q->lock);
    int brisk = q->brisk;
    pthread_mutex_unlock(&q->lock);
    return brisk == n;
}

static bool has_rested(int n)
{
    return atomic_load(&app.rested) == n;
}

/* Between jobs that wait for him already he does not. */
static void a_worker_who_finds_nothing_to_do_rests(void **state)
{
    enum { JOBS = 3 };
    struct client stuck[JOBS];
    int before = atomic_load(&app.rested);

    (void)state;
    conf.workers = 1;
    start();
    for (int i = 0; i < JOBS; i++) {
        stuck[i] = dial();
        assert_true(client_say(&stuck[i], GET_("/gate")));
    }
    wait_entered();
    wait_depth(JOBS - 1);
    assert_true(has_rested(before));
    let_pass(stuck, JOBS);
    WAIT_UNTIL(has_rested(before + 1));
    expect_once(GET_("/echo?n=1"), 200, "GET 0 1");
    WAIT_UNTIL(has_rested(before + 2));
}

static size_t brisk_where_reads_compute(void)
{
    return cores_usable() > 2 ? (size_t)cores_usable() : 2;
}

/* As many as are enough stand at the gate; nothing else happens that could make the server look up. */
static void who_waits_behind_reads_that_compute_gets_a_worker_soon(void **state)
{
    enum { MOST = 32 };
    static struct client stuck[MOST];
    size_t n = brisk_where_reads_compute();

    (void)state;
    assert_true(n <= MOST);
    mounts[0].reads_compute = true;
    conf.workers = MOST + 1;
    start();
    for (size_t i = 0; i < n; i++) {
        stuck[i] = dial();
        assert_true(client_say(&stuck[i], GET_("/gate")));
        wait_entered();
    }
    expect_once(GET_("/echo?n=1"), 200, "GET 0 1");
    let_pass(stuck, n);
}

/* The steady clock stands still: no job is slow until it is stepped. */
static void reads_that_compute_have_a_worker_a_core_until_they_are_slow(void **state)
{
    enum { MOST = 32 };
    static struct client stuck[MOST];
    int n = (int)brisk_where_reads_compute();

    (void)state;
    assert_true(n < MOST);
    mounts[0].reads_compute = true;
    conf.workers = 2 * MOST;
    start_by(&stepped.clock, false);
    WAIT_UNTIL(all_sleep());
    for (int i = 0; i < n + 1; i++) {
        stuck[i] = dial();
        assert_true(client_say(&stuck[i], GET_("/gate")));
        if (i < n)
            wait_entered();
    }
    wait_depth(1);
    assert_true(has_brisk(n));
    atomic_fetch_add(&stepped.steady_us, 19999);
    queue_pace(server);
    assert_true(has_brisk(n));
    atomic_fetch_add(&stepped.steady_us, 1);
    wait_entered();
    assert_true(has_brisk(1));
    let_pass(stuck, (size_t)n + 1);
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
        TEST(a_full_queue_says_later_and_heartbeats_tell),
        TEST(a_flood_of_refusals_gets_few_lines_and_their_number),
        TEST(who_rests_is_woken_when_half_of_the_queue_is_free),
        TEST(a_burst_may_wait_but_a_queue_that_stays_deep_takes_few),
        TEST(many_who_wait_shortly_are_all_welcome),
        TEST(who_waits_too_long_is_told_later_even_if_no_worker_comes),
        TEST(the_worker_who_slept_last_is_woken_first),
        TEST(a_worker_interrupts_nobody_who_wakes_it),
        TEST(reads_that_wait_have_a_worker_each),
        TEST(a_worker_who_finds_nothing_to_do_rests),
        TEST(who_waits_behind_reads_that_compute_gets_a_worker_soon),
        TEST(reads_that_compute_have_a_worker_a_core_until_they_are_slow),
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
