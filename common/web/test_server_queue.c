/* A server's queue: who waits, who is refused, which worker takes them. */
#include <pthread.h>

#include "common/base/cores.h"
#include "common/base/log.h"
#include "common/web/testing_app.h"

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

/* One more in the queue, behind `depth` others. */
static struct client queued_behind(unsigned depth)
{
    struct client c = dial();
    assert_true(client_say(&c, GET_("/gate")));
    wait_depth(depth + 1);
    return c;
}

/* Each has a worker to himself. */
static void crowd_the_gate(struct client *stuck, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        stuck[i] = dial();
        assert_true(client_say(&stuck[i], GET_("/gate")));
        wait_entered();
    }
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
    start_by(&stepped.clock, false);
    c[0] = dial();
    assert_true(client_say(&c[0], GET_("/gate")));
    wait_entered();
    for (unsigned i = 0; i < n; i++)
        c[1 + i] = queued_behind(i);
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
    struct client served[2];
    unsigned told = 0, lines, without;

    (void)state;
    conf.queue = 1;
    FILE *log = tmpfile();
    assert_non_null(log);
    log_setup(fileno(log), LOG_JSON, LOG_INFO);
    start_with_waiting(served, 1);
    struct client c = dial();
    for (; told < 1 || (atomic_load(&server->refusals) < TOO_MANY && told < END); told++) {
        client_expect(&c, GET_("/echo"), 503, "0");
        if (told == 0)
            WAIT_UNTIL(atomic_load(&server->refusals) == 0); /* the watch has just looked */
    }
    client_done(&c);
    let_pass(served, 2);
    server_close(server);
    server = NULL;
    log_setup(STDERR_FILENO, LOG_AUTO, LOG_INFO);
    read_refusals(log, &lines, &without);
    fclose(log);
    assert_true(lines > 0);
    assert_true(without > 0);
    assert_int_equal(lines + without, told);
}

/* Most are like the one before: so those that are not follow each other here, and nothing of the last may stick to the next. */
static void a_refusal_is_what_its_own_request_asked_for(void **state)
{
    static const char stamp_name[] = "X-Weave-Timestamp: ";
    struct client served[2];

    (void)state;
    conf.queue = 1;
    start_with_waiting(served, 1);
    struct client c = dial();
    for (int i = 0; i < 3; i++) {
        char before[STAMP_TEXT_MAX];
        stamp asked = clock_stamp(clock_system());

        stamp_print(asked, before);
        WAIT_UNTIL(clock_stamp(clock_system()).cs > asked.cs);
        assert_true(client_say(&c, GET_("/echo")));
        struct said s = client_hear(&c);
        assert_non_null(strstr(s.head, "Content-Type: application/json"));
        const char *stamp_text = strstr(s.head, stamp_name);
        assert_non_null(stamp_text);
        assert_true(strncmp(stamp_text + strlen(stamp_name), before, strlen(before)) > 0);
        said_expect(s, "/echo", 503, "0");

        assert_true(client_say(&c, GET_("/tell")));
        s = client_hear(&c);
        assert_non_null(strstr(s.head, "Content-Type: text/plain"));
        assert_null(strstr(s.head, stamp_name));
        said_expect(s, "/tell", 503, "Busy, try again\n");

        assert_true(client_say(&c, "HEAD /echo HTTP/1.1\r\nHost: h\r\n\r\n"));
        s = client_hear_as(&c, true);
        assert_non_null(strstr(s.head, "Content-Length: 1\r\n"));
        said_expect(s, "HEAD /echo", 503, "");
    }
    let_pass(served, 2);
    client_expect(&c, GET_("/later?tea"), 503, "tea");
    client_expect(&c, GET_("/later?tee"), 503, "tee");
    assert_true(client_say(&c, GET_("/later?tee&html")));
    struct said s = client_hear(&c);
    assert_non_null(strstr(s.head, "Content-Type: text/html"));
    said_expect(s, "/later", 503, "tee");
    client_done(&c);
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
    struct client c[2];

    (void)state;
    conf.queue_wait_s = 1;
    start_with_waiting(c, 1);
    atomic_fetch_add(&stepped.steady_us, 1001000);
    said_expect(client_hear(&c[1]), "the wait", 503, "0");
    client_done(&c[1]);
    let_pass(c, 1);
}

static bool somebody_rests(void)
{
    struct queue *q = &server->queue;

    pthread_mutex_lock(&q->lock);
    bool so = q->resting > 0;
    pthread_mutex_unlock(&q->lock);
    return so;
}

static unsigned times_rested(void)
{
    struct queue *q = &server->queue;

    pthread_mutex_lock(&q->lock);
    unsigned n = q->rests;
    pthread_mutex_unlock(&q->lock);
    return n;
}

/* What comes to a deep queue, and what workers answer meanwhile, gathers. */
static void an_io_thread_rests_only_while_the_queue_is_deep(void **state)
{
    enum { FEW = 8, MORE = 4 }; /* of one worker */
    struct client c[1 + FEW + MORE];

    (void)state;
    start_with_waiting(c, FEW);
    assert_int_equal(times_rested(), 0);
    for (unsigned i = FEW; i < FEW + MORE; i++) {
        atomic_fetch_add(&stepped.steady_us, 1000); /* it looks only now and then whether it may */
        c[1 + i] = queued_behind(i);
    }
    WAIT_UNTIL(times_rested() > 0 && !somebody_rests());
    work_down(c, 1 + FEW + MORE, 0);
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
    crowd_the_gate(stuck, STUCK);
    expect_once(GET_("/echo?n=1"), 200, "GET 0 1");
    let_pass(stuck, STUCK);
}

static bool has_brisk(size_t n)
{
    struct queue *q = &server->queue;

    pthread_mutex_lock(&q->lock);
    int brisk = q->brisk;
    pthread_mutex_unlock(&q->lock);
    return brisk == (int)n;
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
    crowd_the_gate(stuck, n);
    expect_once(GET_("/echo?n=1"), 200, "GET 0 1");
    let_pass(stuck, n);
}

/* The steady clock stands still: no job is slow until it is stepped. */
static void reads_that_compute_have_a_worker_a_core_until_they_are_slow(void **state)
{
    enum { MOST = 32 };
    static struct client stuck[MOST];
    size_t n = brisk_where_reads_compute();

    (void)state;
    assert_true(n < MOST);
    mounts[0].reads_compute = true;
    conf.workers = 2 * MOST;
    start_by(&stepped.clock, false);
    WAIT_UNTIL(all_sleep());
    crowd_the_gate(stuck, n);
    stuck[n] = queued_behind(0);
    assert_true(has_brisk(n));
    atomic_fetch_add(&stepped.steady_us, 19999);
    queue_pace(server);
    assert_true(has_brisk(n));
    atomic_fetch_add(&stepped.steady_us, 1);
    wait_entered();
    assert_true(has_brisk(1));
    let_pass(stuck, n + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_full_queue_says_later_and_heartbeats_tell),
        TEST(a_flood_of_refusals_gets_few_lines_and_their_number),
        TEST(a_refusal_is_what_its_own_request_asked_for),
        TEST(an_io_thread_rests_only_while_the_queue_is_deep),
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
