#include "common/web/server.h"

#include "common/base/rand.h"
#include "common/web/ops.h"
#include "common/web/testing_app.h"

/* ---- answers ---- */

static void quick_warm_and_parked_routes_answer_on_one_connection(void **state)
{
    (void)state;
    start();
    struct client c = dial();
    client_expect(&c, GET_("/quick"), 200, "ok");
    client_expect(&c, GET_("/warm/1"), 200, "warm");
    atomic_store(&app.warm_us, -1);
    client_expect(&c, GET_("/warm/1"), 200, "ok");
    client_expect(&c, GET_("/echo?x=1&n=a%20b"), 200, "GET 0 a b");
    client_expect(&c, "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 200, "PUT 5 - o");
    client_expect(&c, GET_("/nope"), 404, "0");
    client_expect(&c, GET_("/%zz"), 400, "0");
    client_expect(&c, "PATCH /echo HTTP/1.1\r\nHost: h\r\n\r\n", 405, "0");
    client_expect(&c, GET_("/quick"), 200, "ok");
    client_done(&c);
    assert_int_equal(atomic_load(&app.decorated), 9);
}

static void pipelined_requests_are_answered_in_their_order(void **state)
{
    (void)state;
    start();
    struct client c = dial();
    assert_true(client_say(
        &c, GET_("/echo?n=1")
                GET_("/quick") "POST /echo?n=3 HTTP/1.1\r\nHost: h\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" GET_(
                                   "/late") "HEAD /echo?n=4 HTTP/1.1\r\nHost: h\r\n\r\n" GET_("/warm/5")));
    static const char *const bodies[] = { "GET 0 1", "ok", "POST 5 3 e", "0", NULL, "warm" };
    for (size_t i = 0; i < 6; i++) {
        struct said s = client_hear_as(&c, bodies[i] == NULL);

        assert_int_equal(s.status, i == 3 ? 401 : 200);
        if (bodies[i])
            assert_string_equal(s.body, bodies[i]);
        else
            assert_non_null(strstr(s.head, "Content-Length: 8"));
        free(s.body);
    }
    client_done(&c);
}

static void failures_speak_the_routes_dialect(void **state)
{
    (void)state;
    start();
    struct said s = once(GET_("/broken"));
    assert_int_equal(s.status, 503);
    assert_non_null(strstr(s.body, "internal-error"));
    assert_null(strstr(s.body, "half"));
    assert_non_null(strstr(s.head, "Retry-After: "));
    assert_non_null(strstr(s.head, "X-Timestamp: "));
    assert_null(strstr(s.body, "database"));
    free(s.body);
    s = once("DELETE /quick HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(s.status, 405);
    assert_non_null(strstr(s.head, "Allow: GET\r\n"));
    free(s.body);
    s = once(GET_("/nowhere"));
    assert_non_null(strstr(s.head, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(s.head, "X-Weave-Timestamp: "));
    assert_non_null(strstr(s.head, "X-Decorated: yes"));
    free(s.body);
    expect_once("GET /quick HTTP/1.1\r\nHost: h\r\nUser-Agent: refused\r\n\r\n", 503, "0");
    expect_once("GET /nowhere HTTP/1.1\r\nHost: h\r\nUser-Agent: refused\r\n\r\n", 503, "0");
}

static void a_request_that_spends_its_arena_gets_503(void **state)
{
    (void)state;
    start();
    struct said s = once(GET_("/greedy"));
    assert_int_equal(s.status, 503);
    assert_string_equal(s.body, "0");
    assert_non_null(strstr(s.head, "Retry-After: 10"));
    free(s.body);
}

static void an_answer_of_20_mib_arrives_whole(void **state)
{
    (void)state;
    start();
    struct client c = dial();
    for (int round = 0; round < 2; round++) {
        assert_true(client_say(&c, GET_("/big")));
        struct said s = client_hear(&c);
        assert_int_equal(s.status, 200);
        assert_int_equal(s.body_n, BIG_BYTES);
        for (size_t i = 0; i < BIG_BYTES; i += 4096)
            assert_int_equal(s.body[i + 4095], 'a' + (int)(i / 4096 % 26));
        free(s.body);
    }
    client_expect(&c, GET_("/quick"), 200, "ok");
    client_done(&c);
}

static void heartbeats_and_version_answer_and_metrics_only_inside(void **state)
{
    (void)state;
    start();
    expect_once(GET_("/__lbheartbeat__"), 200, NULL);
    struct said s = once(GET_("/__heartbeat__"));
    assert_int_equal(s.status, 200);
    assert_non_null(strstr(s.body, "{\"status\":\"Ok\",\"database\":\"Ok\",\"version\":\""));
    assert_null(strstr(s.head, "X-Weave-Timestamp"));
    free(s.body);
    s = once(GET_("/__version__"));
    assert_non_null(strstr(s.body, heddle_version));
    free(s.body);
    expect_once(GET_("/metrics"), 404, "0");
    expect_once(GET_("/__error__"), 404, "0");
    server_close(server);
    start_as(true);
    s = once(GET_("/metrics"));
    assert_int_equal(s.status, 200);
    assert_non_null(strstr(s.body,
                           "heddle_requests_total{service=\"ops\",route=\"/__version__\",method=\"GET\","
                           "status=\"2xx\"} 1"));
    free(s.body);
}

/* ---- admission ---- */

static void a_refused_client_is_told_before_it_sends_the_body(void **state)
{
    (void)state;
    start();
    struct client c = dial();
    assert_true(client_say(
        &c, "POST /late HTTP/1.1\r\nHost: h\r\nAuthorization: Basic bad\r\nContent-Length: 100000\r\n"
            "Expect: 100-continue\r\n\r\n"));
    struct said s = client_hear(&c);
    assert_int_equal(s.status, 401);
    assert_non_null(strstr(s.head, "WWW-Authenticate: Basic realm=\"Sync\""));
    assert_true(client_ended(&c));
    free(s.body);
    client_done(&c);
    assert_int_equal(atomic_load(&app.late), 1);
    assert_int_equal(atomic_load(&app.handled), 0);
}

static void an_admitted_client_is_told_to_continue(void **state)
{
    (void)state;
    start();
    struct client c = dial();
    for (int i = 0; i < 2; i++) {
        assert_true(client_say(&c, "POST /late HTTP/1.1\r\nHost: h\r\nAuthorization: Basic good\r\n"
                                   "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"));
        struct said s = client_hear(&c);
        assert_int_equal(s.status, 100);
        free(s.body);
        client_expect(&c, "hello", 200, "POST 5 - o");
    }
    client_done(&c);
    assert_int_equal(atomic_load(&app.late), 2);
}

static void late_admission_keeps_the_connection_with_and_without_a_body(void **state)
{
    (void)state;
    start();
    struct client c = dial();
    for (int i = 0; i < 3; i++) {
        client_expect(&c, "GET /late HTTP/1.1\r\nHost: h\r\nAuthorization: Basic good\r\n\r\n", 200,
                      "GET 0 -");
        client_expect(&c, "GET /late HTTP/1.1\r\nHost: h\r\nAuthorization: Basic bad\r\n\r\n", 401, "0");
        client_expect(&c, GET_("/late"), 401, "0");
        client_expect(
            &c, "POST /late HTTP/1.1\r\nHost: h\r\nAuthorization: Basic good\r\nContent-Length: 2\r\n\r\nab",
            200, "POST 2 - b");
        client_expect(
            &c, "POST /late HTTP/1.1\r\nHost: h\r\nAuthorization: Basic bad\r\nContent-Length: 2\r\n\r\nab",
            401, "0");
    }
    client_done(&c);
}

static void a_body_is_admitted_when_it_is_complete(void **state)
{
    (void)state;
    start();
    expect_once("POST /signed HTTP/1.1\r\nHost: h\r\nAuthorization: x\r\nContent-Length: 4\r\n\r\nevil", 401,
                "0");
    expect_once("POST /signed HTTP/1.1\r\nHost: h\r\nAuthorization: x\r\nContent-Length: 4\r\n\r\ngood", 200,
                NULL);
    expect_once(
        "POST /signed HTTP/1.1\r\nHost: h\r\nAuthorization: x\r\nAuthorization: y\r\nContent-Length: 4\r\n\r\n"
        "good",
        401, "0");
    expect_once("POST /signed HTTP/1.1\r\nHost: h\r\nAuthorization: x\r\nContent-Length: 1001\r\n\r\n", 413,
                "17");
}

static void only_a_trusted_proxy_speaks_for_others(void **state)
{
    static char any_net[] = "127.0.0.0/8";
    char *list[] = { any_net };
    static const char ask[] = "GET /tell HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 198.51.100.7\r\n"
                              "X-Request-Id: trace-1.x\r\n\r\n";

    (void)state;
    start();
    struct said s = once(ask);
    assert_int_equal(strncmp(s.body, "127.0.0.1 ", 10), 0);
    assert_null(strstr(s.body, "trace-1.x"));
    free(s.body);
    server_close(server);
    conf.trusted_proxies = (struct conf_list){ .items = list, .n = 1 };
    start();
    expect_once(ask, 200, "198.51.100.7 trace-1.x");
    s = once("GET /tell HTTP/1.1\r\nHost: h\r\nX-Request-Id: bad id\r\n\r\n");
    assert_null(strstr(s.body, "bad"));
    free(s.body);
}

/* ---- bodies ---- */

static void a_body_too_large_by_its_length_is_refused_at_once(void **state)
{
    (void)state;
    start();
    struct client c = dial();
    client_expect(&c, "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", 413, "17");
    assert_true(client_ended(&c));
    client_done(&c);
    expect_once("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999999999999999\r\n\r\n", 413, "17");
    expect_once("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n\r\n", 400, "0");
    expect_once("DELETE /nobody HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n", 413, "17");
}

/* false: reset. */
static bool sends_on(struct client *c)
{
    static char piece[65536];

    for (size_t done = 0; done < 1000000; done += sizeof piece)
        if (!client_say_bytes(c, piece, sizeof piece))
            return false;
    return true;
}

static void a_client_that_sends_on_hears_the_refusal_and_no_reset(void **state)
{
    bool sent = false;

    (void)state;
    start();
    for (int tries = 0; !sent && tries < 20; tries++) {
        struct client c = dial();
        int64_t begun = clock_mono_us(clock_system());

        client_expect(&c, "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n", 413, "17");
        sent = sends_on(&c);
        client_done(&c);
        /* The server reads on for two seconds: a client who was not slower than that has met no reset. */
        if (!sent && clock_mono_us(clock_system()) - begun < 1500 * 1000)
            fail_msg("reset at once");
    }
    assert_true(sent);
}

static void a_chunked_body_is_read_up_to_its_ceiling(void **state)
{
    static char piece[65536 + 2];

    (void)state;
    start();
    memset(piece, 'c', sizeof piece);
    memcpy(piece + 65536, "\r\n", 2);
    for (int pieces = 16; pieces <= 17; pieces++) { /* 1 MiB, and more */
        struct client c = dial();

        assert_true(client_say(&c, "PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"));
        for (int i = 0; i < pieces; i++) {
            assert_true(client_say(&c, "10000\r\n"));
            assert_true(client_say_bytes(&c, piece, sizeof piece));
        }
        client_expect(&c, "0\r\n\r\n", pieces == 16 ? 200 : 413, pieces == 16 ? "PUT 1048576 - c" : "17");
        if (pieces == 17)
            assert_true(client_ended(&c));
        client_done(&c);
    }
}

static void a_chunked_body_without_end_is_cut_off(void **state)
{
    static char piece[65536 + 2];
    bool cut = false;

    (void)state;
    start();
    memset(piece, 'c', sizeof piece);
    memcpy(piece + 65536, "\r\n", 2);
    struct client c = dial();
    assert_true(client_say(&c, "PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for (int i = 0; i < 2000 && !cut; i++)
        cut = !client_say(&c, "10000\r\n") || !client_say_bytes(&c, piece, sizeof piece);
    assert_true(cut);
    client_done(&c);
    expect_once(GET_("/quick"), 200, "ok");
    assert_int_equal(atomic_load(&server->bodies_bytes), 0);
}

static void an_unwanted_body_is_dropped_and_the_connection_lives_on(void **state)
{
    (void)state;
    start();
    struct client c = dial();
    client_expect(&c, "DELETE /nobody HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 200,
                  "DELETE 0 -");
    client_expect(&c, "PUT /nope HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 404, "0");
    client_expect(&c, GET_("/quick"), 200, "ok");
    client_done(&c);
}

static void all_bodies_together_are_bounded(void **state)
{
    static char body[100000];

    (void)state;
    conf.body_bytes = 150000;
    start();
    struct client a = dial(), b = dial();
    assert_true(client_say(&a, "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"));
    assert_true(client_say_bytes(&a, body, 90000));
    WAIT_UNTIL(atomic_load(&server->bodies_bytes) >= 90000);
    assert_true(client_say(&b, "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"));
    struct said s = client_hear(&b);
    assert_int_equal(s.status, 503);
    assert_non_null(strstr(s.head, "Retry-After: "));
    free(s.body);
    client_done(&b);
    assert_true(client_say_bytes(&a, body, 10000));
    s = client_hear(&a);
    assert_int_equal(s.status, 200);
    free(s.body);
    client_done(&a);
    expect_once(GET_("/quick"), 200, "ok");
}

/* ---- hostile input ---- */

static void framing_that_two_programs_could_read_differently_is_400_and_close(void **state)
{
    static const char *const bad[] = {
        "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "PUT /echo HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\nhello",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\nhello",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\nhello",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5,5\r\n\r\nhello",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\nhello",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
        "GET /quick HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
        "GET /quick HTTP/1.1\r\n\r\n",
        "GET /quick a HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /quick\ta HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /quick HTTP/1.1\r\nHost: h\r\nno colon here\r\n\r\n",
        "GET /quick HTTP/1.1\r\nHost: h\r\nBad(Name): x\r\n\r\n",
        "GE@T /quick HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /quick HTTX/1.1\r\nHost: h\r\n\r\n",
    };

    (void)state;
    start();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct client c = dial();

        assert_true(client_say(&c, bad[i]));
        struct said s = client_hear(&c);
        if (s.status != 400)
            fail_msg("status %d to: %s", s.status, bad[i]);
        if (!client_ended(&c))
            fail_msg("left open, %zu bytes \"%s\" after: %s", c.n, c.in, bad[i]);
        free(s.body);
        client_done(&c);
    }
    assert_int_equal(atomic_load(&app.handled), 0);
}

static void headers_of_64_kib_are_refused(void **state)
{
    struct buf b = { 0 };

    (void)state;
    start();
    for (int kind = 0; kind < 3; kind++) {
        buf_clear(&b);
        buf_add(&b, VIEW("GET /quick"));
        for (int i = 0; kind == 0 && i < 65536; i++)
            buf_addc(&b, 'x');
        buf_add(&b, VIEW(" HTTP/1.1\r\nHost: h\r\n"));
        for (int i = 0; kind == 1 && i < 4096; i++)
            buf_addf(&b, "X-%04d: 23456789\r\n", i);
        buf_add(&b, VIEW("X-Long: "));
        for (int i = 0; kind == 2 && i < 65536; i++)
            buf_addc(&b, 'y');
        buf_add(&b, VIEW("\r\n\r\n"));
        struct client c = dial();
        client_say_bytes(&c, b.p, b.n); /* may be cut off */
        struct said s = client_hear(&c);
        if (s.status != 0 && s.status != 400 && s.status != 414 && s.status != 431)
            fail_msg("status %d", s.status);
        free(s.body);
        client_done(&c);
    }
    buf_done(&b);
    expect_once(GET_("/quick"), 200, "ok");
}

static void a_header_that_fits_the_pool_is_served(void **state)
{
    struct buf b = { 0 };

    (void)state;
    start();
    buf_add(&b, VIEW("GET /echo?n=1&ids="));
    for (int i = 0; i < 10000; i++)
        buf_addc(&b, 'x');
    buf_add(&b, VIEW(" HTTP/1.1\r\nHost: h\r\nAuthorization: Hawk "));
    for (int i = 0; i < 1000; i++)
        buf_addc(&b, 'y');
    buf_add(&b, VIEW("\r\n\r\n"));
    expect_once(buf_text(&b), 200, "GET 0 1");
    buf_done(&b);
}

static void random_bytes_never_hurt(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 300; i++) {
        struct client c = dial();
        char junk[512];
        size_t n = 1 + rand_below(sizeof junk - 1);

        rand_bytes(junk, n);
        if (i % 3 == 1) { /* junk behind a good beginning */
            client_say(&c, "PUT /echo?");
        } else if (i % 3 == 2) {
            client_say(&c, "PUT /echo HTTP/1.1\r\nHost: h\r\n");
        }
        client_say_bytes(&c, junk, n);
        client_say(&c, "\r\n\r\n");
        shutdown(c.fd, SHUT_WR);
        struct said s = client_hear(&c);
        if (s.status >= 500 && s.status != 505)
            fail_msg("status %d", s.status);
        free(s.body);
        client_done(&c);
    }
    expect_once(GET_("/quick"), 200, "ok");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(quick_warm_and_parked_routes_answer_on_one_connection),
        TEST(pipelined_requests_are_answered_in_their_order),
        TEST(failures_speak_the_routes_dialect),
        TEST(a_request_that_spends_its_arena_gets_503),
        TEST(an_answer_of_20_mib_arrives_whole),
        TEST(heartbeats_and_version_answer_and_metrics_only_inside),
        TEST(a_refused_client_is_told_before_it_sends_the_body),
        TEST(an_admitted_client_is_told_to_continue),
        TEST(late_admission_keeps_the_connection_with_and_without_a_body),
        TEST(a_body_is_admitted_when_it_is_complete),
        TEST(only_a_trusted_proxy_speaks_for_others),
        TEST(a_body_too_large_by_its_length_is_refused_at_once),
        TEST(a_client_that_sends_on_hears_the_refusal_and_no_reset),
        TEST(a_chunked_body_is_read_up_to_its_ceiling),
        TEST(a_chunked_body_without_end_is_cut_off),
        TEST(an_unwanted_body_is_dropped_and_the_connection_lives_on),
        TEST(all_bodies_together_are_bounded),
        TEST(framing_that_two_programs_could_read_differently_is_400_and_close),
        TEST(headers_of_64_kib_are_refused),
        TEST(a_header_that_fits_the_pool_is_served),
        TEST(random_bytes_never_hurt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
