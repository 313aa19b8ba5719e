#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/auth/hawk.h"
#include "common/base/scope.h"
#include "common/base/testing.h"
#include "common/web/call.h"

/* A server of a few lines: one thread accepts, one serves each connection. What it answers depends on the path alone. */
#define CONNECTIONS_MAX 64

struct connection {
    pthread_t thread;
    int fd;
};

struct server {
    int fd, port;
    char socket_path[108]; /* "" on TCP */
    pthread_t thread;
    struct connection connections[CONNECTIONS_MAX];
    size_t n_connections;
    pthread_mutex_t lock;
    struct buf request; /* the last one, head and body */
    size_t n_requests;
};

#define HUNDRED                                                                                              \
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

static const struct {
    const char *path, *answer;
    bool close; /* afterwards */
} answers[] = {
    { "/ok", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false },
    { "/empty", "HTTP/1.1 204 No Content\r\n\r\n", false },
    { "/missing", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", false },
    { "/broken", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", false },
    { "/redirect", "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", false },
    { "/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
      false },
    { "/next", "HTTP/1.1 200 OK\r\nx-heddle-NEXT:  page-2 \r\nContent-Length: 0\r\n\r\n", false },
    { "/longnext",
      "HTTP/1.1 200 OK\r\nX-Heddle-Next: " HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED
      "\r\nContent-Length: 0\r\n\r\n",
      false },
    { "/interim",
      "HTTP/1.1 103 Early\r\nX-Heddle-Next: early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
      false },
    { "/cut", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", true },
    { "/nothing", "", true },
    { "/garbage", "hello, world, this is no HTTP\r\n\r\n", true },
    { "/once", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nonce", true },
};

static void write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = send(fd, p, n, MSG_NOSIGNAL);

        if (done <= 0)
            return;
        p += done;
        n -= (size_t)done;
    }
}

/* One request with its body; false at the end of the connection. */
static bool read_request(int fd, struct buf *rq)
{
    size_t want = SIZE_MAX;

    buf_clear(rq);
    while (rq->n < want) {
        ssize_t n;
        const char *head_end, *length;

        buf_reserve(rq, 65536);
        n = recv(fd, rq->p + rq->n, 65536, 0);
        if (n <= 0)
            return false;
        rq->n += (size_t)n;
        head_end = strstr(buf_text(rq), "\r\n\r\n");
        if (!head_end || want != SIZE_MAX)
            continue;
        length = strstr(buf_text(rq), "Content-Length: ");
        want = (size_t)(head_end - rq->p) + 4 + (length ? (size_t)strtoul(length + 16, NULL, 10) : 0);
    }
    return true;
}

static bool answer_request(int fd, const char *rq)
{
    char big[1024];

    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const char *at = strchr(rq, ' ');

        if (at && strncmp(at + 1, answers[i].path, strlen(answers[i].path)) == 0 &&
            strchr(" ?", at[1 + strlen(answers[i].path)])) {
            write_all(fd, answers[i].answer, strlen(answers[i].answer));
            return !answers[i].close;
        }
    }
    if (strstr(rq, " /hang"))
        return true; /* no answer; the next read ends when the client goes */
    memset(big, 'x', sizeof big);
    write_all(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", 38);
    for (int i = 0; i < 10; i++)
        write_all(fd, big, sizeof big);
    return false;
}

struct job {
    struct server *s;
    size_t i;
};

static void *serve(void *arg)
{
    struct job job = *(struct job *)arg;
    struct buf rq = { 0 };
    int fd = job.s->connections[job.i].fd;

    free(arg);
    while (read_request(fd, &rq)) {
        pthread_mutex_lock(&job.s->lock);
        buf_clear(&job.s->request);
        buf_add(&job.s->request, buf_view(&rq));
        job.s->n_requests++;
        pthread_mutex_unlock(&job.s->lock);
        if (!answer_request(fd, buf_text(&rq)))
            break;
    }
    buf_done(&rq);
    shutdown(fd, SHUT_RDWR);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct server *s = arg;
    int fd;

    while (s->n_connections < CONNECTIONS_MAX && (fd = accept(s->fd, NULL, NULL)) >= 0) {
        struct job *job = malloc(sizeof *job);

        if (!job)
            abort();
        *job = (struct job){ .s = s, .i = s->n_connections };
        s->connections[job->i].fd = fd;
        pthread_mutex_lock(&s->lock);
        s->n_connections++;
        pthread_mutex_unlock(&s->lock);
        if (pthread_create(&s->connections[job->i].thread, NULL, serve, job) != 0)
            abort();
    }
    return NULL;
}

static void server_start(struct server *s, int fd)
{
    s->fd = fd;
    pthread_mutex_init(&s->lock, NULL);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, accept_all, s), 0);
}

static struct server *server_on_tcp(void)
{
    struct server *s = calloc(1, sizeof *s);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_non_null(s);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    s->port = ntohs(at.sin_port);
    server_start(s, fd);
    return s;
}

static struct server *server_on_unix(void)
{
    struct server *s = calloc(1, sizeof *s);
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    char folder[] = "/tmp/heddle-call-XXXXXX";
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_non_null(s);
    assert_non_null(mkdtemp(folder));
    snprintf(at.sun_path, sizeof at.sun_path, "%s/socket", folder);
    snprintf(s->socket_path, sizeof s->socket_path, "%s", at.sun_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    server_start(s, fd);
    return s;
}

static void server_stop(struct server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    for (size_t i = 0; i < s->n_connections; i++) {
        shutdown(s->connections[i].fd, SHUT_RDWR);
        pthread_join(s->connections[i].thread, NULL);
        close(s->connections[i].fd);
    }
    if (s->socket_path[0]) {
        unlink(s->socket_path);
        *strrchr(s->socket_path, '/') = '\0';
        rmdir(s->socket_path);
    }
    buf_done(&s->request);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* --- what each test has --- */

static struct server *server;
static struct caller *caller;
static struct clock_fake fake;
static struct answer answer;
static struct err e;

static int begin(void **state)
{
    (void)state;
    clock_fake_init(&fake, INT64_C(1763681523) * 1000000);
    server = server_on_tcp();
    return caller_new(&fake.clock, &caller, &e) == RC_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    answer_done(&answer);
    caller_free(caller);
    server_stop(server);
    return 0;
}

/* template: without method, url, times and ceiling. */
static rc fetch(const char *method, const char *path, struct call template)
{
    char url[512];

    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", server->port, path);
    template.method = method;
    template.url = url;
    template.timeout_ms = template.timeout_ms ? template.timeout_ms : 60000;
    template.answer_max = template.answer_max ? template.answer_max : 4096;
    e = ERR_NONE;
    return call(caller, &template, &answer, &e);
}

#define PLAIN ((struct call){ .method = NULL })

/* The server's threads rest when these are asked: the answer has arrived. */
static const char *request(void)
{
    const char *text;

    pthread_mutex_lock(&server->lock);
    text = buf_text(&server->request);
    pthread_mutex_unlock(&server->lock);
    return text;
}

static size_t count(const size_t *n)
{
    size_t value;

    pthread_mutex_lock(&server->lock);
    value = *n;
    pthread_mutex_unlock(&server->lock);
    return value;
}

static void assert_sent(const char *part)
{
    if (!strstr(request(), part))
        fail_msg("no \"%s\" in:\n%s", part, request());
}

static view header(const char *name) /* of the request */
{
    const char *at = strcasestr(request(), name);

    if (!at)
        return VIEW_NONE;
    at += strlen(name);
    return view_trim((view){ .p = at, .n = strcspn(at, "\r") });
}

/* --- */

static void an_answer_has_status_and_body(void **state)
{
    (void)state;
    if (fetch("GET", "/ok?a=b", PLAIN) != RC_OK)
        fail_msg("%s", e.text);
    assert_int_equal(answer.status, 200);
    assert_true(view_eq(buf_view(&answer.body), VIEW("hello")));
    assert_string_equal(answer.next, "");
    assert_sent("GET /ok?a=b HTTP/1.1\r\n");
    assert_null(strcasestr(request(), "content-type"));
    assert_null(strcasestr(request(), "authorization"));
    assert_null(strcasestr(request(), "content-length"));
}

static void any_status_is_an_answer(void **state)
{
    static const struct {
        const char *path;
        long status;
        view body;
    } cases[] = {
        { "/missing", 404, VIEW("gone") }, { "/broken", 503, VIEW("") },       { "/redirect", 302, VIEW("") },
        { "/empty", 204, VIEW("") },       { "/chunked", 200, VIEW("abcde") },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(fetch("GET", cases[i].path, PLAIN), RC_OK);
        assert_int_equal(answer.status, cases[i].status);
        assert_true(view_eq(buf_view(&answer.body), cases[i].body));
    }
    assert_int_equal(count(&server->n_requests), 5); /* the redirect was not followed */
}

static void bodies_go_out_with_their_type_and_every_byte(void **state)
{
    (void)state;
    assert_int_equal(fetch("POST", "/ok",
                           (struct call){ .content_type = "application/json", .body = VIEW("{\"a\":\0 1}") }),
                     RC_OK);
    assert_sent("POST /ok HTTP/1.1\r\n");
    assert_true(view_eq(header("Content-Type:"), VIEW("application/json")));
    assert_true(view_eq(header("Content-Length:"), VIEW("9")));
    assert_null(strcasestr(request(), "expect:"));
    assert_memory_equal(request() + server->request.n - 9, "{\"a\":\0 1}", 9);
    assert_int_equal(fetch("POST", "/ok", PLAIN), RC_OK);
    assert_true(view_eq(header("Content-Length:"), VIEW("0")));
    assert_null(strcasestr(request(), "content-type"));
    assert_int_equal(fetch("PUT", "/ok", (struct call){ .content_type = "text/plain", .body = VIEW("x") }),
                     RC_OK);
    assert_sent("PUT /ok HTTP/1.1\r\n");
    assert_int_equal(fetch("DELETE", "/empty", PLAIN), RC_OK);
    assert_sent("DELETE /empty HTTP/1.1\r\n");
}

static void a_large_body_is_sent_whole_and_without_being_asked_for(void **state)
{
    size_t n = 3 << 20;
    char *big = malloc(n);

    (void)state;
    assert_non_null(big);
    memset(big, 'y', n);
    assert_int_equal(fetch("POST", "/ok", (struct call){ .body = { .p = big, .n = n } }), RC_OK);
    assert_true(server->request.n > n);
    assert_null(strcasestr(request(), "expect:"));
    free(big);
}

static void calls_share_a_connection(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(fetch("GET", "/ok", PLAIN), RC_OK);
    assert_int_equal(count(&server->n_requests), 5);
    assert_int_equal(count(&server->n_connections), 1);
}

static void a_connection_that_died_meanwhile_is_replaced(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fetch("GET", "/once", PLAIN), RC_OK);
        assert_true(view_eq(buf_view(&answer.body), VIEW("once")));
    }
    assert_int_equal(count(&server->n_connections), 3);
}

static void an_answer_above_its_ceiling_is_broken_and_one_at_it_is_not(void **state)
{
    (void)state;
    assert_int_equal(fetch("GET", "/big", (struct call){ .answer_max = 10240 }), RC_OK);
    assert_int_equal(answer.body.n, 10240);
    assert_int_equal(fetch("GET", "/big?secret", (struct call){ .answer_max = 10239 }), RC_BROKEN);
    assert_non_null(strstr(e.text, "an answer of more than 10239 bytes"));
    assert_null(strstr(e.text, "secret"));
    assert_int_equal(answer.body.n, 10240); /* a failure leaves the last answer alone */
    assert_int_equal(fetch("GET", "/ok", (struct call){ .answer_max = 4 }), RC_BROKEN);
    assert_int_equal(fetch("GET", "/ok", (struct call){ .answer_max = 5 }), RC_OK);
}

static void the_next_page_is_read_from_its_header(void **state)
{
    (void)state;
    assert_int_equal(fetch("GET", "/next", PLAIN), RC_OK);
    assert_string_equal(answer.next, "page-2");
    assert_int_equal(fetch("GET", "/interim", PLAIN), RC_OK);
    assert_string_equal(answer.next, "");
    assert_int_equal(fetch("GET", "/longnext", PLAIN), RC_BROKEN);
    assert_non_null(strstr(e.text, "X-Heddle-Next is longer than 799 bytes"));
}

static void who_does_not_answer_is_away(void **state)
{
    static const char *const paths[] = { "/cut", "/nothing", "/garbage" };
    struct call nobody = {
        .method = "GET", .url = "http://127.0.0.1:1/", .timeout_ms = 5000, .answer_max = 10
    };

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_int_equal(fetch("GET", paths[i], PLAIN), RC_AWAY);
    assert_int_equal(fetch("GET", "/hang", (struct call){ .timeout_ms = 50 }), RC_AWAY);
    assert_non_null(strstr(e.text, "/hang: "));
    assert_int_equal(call(caller, &nobody, &answer, &e), RC_AWAY);
    nobody.unix_socket = "/does/not/exist";
    assert_int_equal(call(caller, &nobody, &answer, &e), RC_AWAY);
}

static void what_is_no_url_is_refused(void **state)
{
    static const char *const urls[] = { "",
                                        "/ok",
                                        "ftp://127.0.0.1/x",
                                        "file:///etc/passwd",
                                        "http://",
                                        "http://127.0.0.1/a b",
                                        "http://127.0.0.1/a\r\nX: y",
                                        "http://127.0.0.1:99999/" };

    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct call what = { .method = "GET", .url = urls[i], .timeout_ms = 5000, .answer_max = 10 };

        if (call(caller, &what, &answer, &e) != RC_BAD_INPUT)
            fail_msg("taken: %s", urls[i]);
    }
}

static void control_bytes_do_not_get_into_headers(void **state)
{
    (void)state;
    assert_int_equal(fetch("GET", "/ok", (struct call){ .bearer = VIEW("a\r\nX: y") }), RC_BAD_INPUT);
    assert_int_equal(fetch("GET", "/ok", (struct call){ .request_id = VIEW("a\nb") }), RC_BAD_INPUT);
    assert_int_equal(count(&server->n_requests), 0);
}

static void a_bearer_and_a_request_id_are_sent(void **state)
{
    (void)state;
    assert_int_equal(
        fetch("GET", "/ok", (struct call){ .bearer = VIEW("abc.def"), .request_id = VIEW("r-1") }), RC_OK);
    assert_true(view_eq(header("Authorization:"), VIEW("Bearer abc.def")));
    assert_true(view_eq(header("X-Request-Id:"), VIEW("r-1")));
}

/* What the other side would do with the request. */
static void assert_signed(view method, view target, view host, unsigned port, view type, view body)
{
    struct arena a;
    struct hawk_header h;
    const struct hawk_request rq = { .method = method, .target = target, .host = host, .port = port };
    const char *why = NULL;

    arena_init(&a, 1 << 20);
    if (!hawk_parse(header("Authorization:"), &a, &h, &why))
        fail_msg("%s: %s", why, request());
    assert_true(view_eq(h.id, VIEW("admin")));
    assert_int_equal(h.ts, 1763681523);
    assert_true(h.nonce.n >= 8);
    assert_true(hawk_check(VIEW("the key"), &h, &rq));
    assert_true(hawk_payload_ok(&h, type, body));
    assert_false(hawk_payload_ok(&h, type, VIEW("other")));
    arena_done(&a);
}

static void a_signed_call_is_what_the_verifier_expects(void **state)
{
    static const struct {
        const char *path, *method, *type;
        view body;
    } cases[] = {
        { "/ok", "GET", NULL, VIEW_NONE },
        { "/ok?a=%7e&b=1%2F2", "GET", NULL, VIEW_NONE },
        { "/x/../ok//./y?", "GET", NULL, VIEW_NONE },
        { "/ok", "POST", "application/json", VIEW("{}") },
        { "/ok", "POST", "application/x-ndjson; charset=utf-8", VIEW("a\nb\n") },
        { "/ok", "POST", NULL, VIEW_NONE },
        { "/ok", "DELETE", NULL, VIEW_NONE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct call what = { .content_type = cases[i].type,
                             .body = cases[i].body,
                             .hawk_id = VIEW("admin"),
                             .hawk_key = VIEW("the key"),
                             .answer_max = 20000 };
        char line[128];

        assert_int_equal(fetch(cases[i].method, cases[i].path, what), RC_OK);
        snprintf(line, sizeof line, "%s %s HTTP/1.1\r\n", cases[i].method, cases[i].path);
        assert_sent(line);
        assert_signed(view_of(cases[i].method), view_of(cases[i].path), VIEW("127.0.0.1"),
                      (unsigned)server->port, view_of(cases[i].type), cases[i].body);
    }
}

static void the_target_is_the_path_and_query_of_the_url(void **state)
{
    static const char *const urls[][2] = {
        { "", "/" }, { "?q", "/?q" }, { "#f", "/" }, { "/big#f?x", "/big" }
    };

    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        char line[64];

        assert_int_equal(fetch("GET", urls[i][0], (struct call){ .answer_max = 20000 }), RC_OK);
        snprintf(line, sizeof line, "GET %s HTTP/1.1\r\n", urls[i][1]);
        assert_sent(line);
    }
}

static void a_unix_socket_is_called_as_localhost_80(void **state)
{
    struct call what = { .method = "GET",
                         .url = "http://localhost/ok",
                         .hawk_id = VIEW("admin"),
                         .hawk_key = VIEW("the key"),
                         .timeout_ms = 60000,
                         .answer_max = 100 };

    (void)state;
    server_stop(server);
    server = server_on_unix();
    what.unix_socket = server->socket_path;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(call(caller, &what, &answer, &e), RC_OK);
        assert_true(view_eq(buf_view(&answer.body), VIEW("hello")));
        assert_true(view_eq(header("Host:"), VIEW("localhost")));
        assert_signed(VIEW("GET"), VIEW("/ok"), VIEW("localhost"), 80, VIEW_NONE, VIEW_NONE);
    }
    assert_int_equal(count(&server->n_connections), 1);
}

static void *make_and_free(void *arg)
{
    struct caller *c = NULL;
    struct err mine = ERR_NONE;

    *(rc *)arg = caller_new(&fake.clock, &c, &mine);
    caller_free(c);
    return NULL;
}

static void threads_may_make_their_callers_at_the_same_time(void **state)
{
    pthread_t threads[8];
    rc results[8];

    (void)state;
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_and_free, &results[i]), 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(results[i], RC_OK);
    }
    caller_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(threads_may_make_their_callers_at_the_same_time),
        TEST(an_answer_has_status_and_body),
        TEST(any_status_is_an_answer),
        TEST(bodies_go_out_with_their_type_and_every_byte),
        TEST(a_large_body_is_sent_whole_and_without_being_asked_for),
        TEST(calls_share_a_connection),
        TEST(a_connection_that_died_meanwhile_is_replaced),
        TEST(an_answer_above_its_ceiling_is_broken_and_one_at_it_is_not),
        TEST(the_next_page_is_read_from_its_header),
        TEST(who_does_not_answer_is_away),
        TEST(what_is_no_url_is_refused),
        TEST(control_bytes_do_not_get_into_headers),
        TEST(a_bearer_and_a_request_id_are_sent),
        TEST(a_signed_call_is_what_the_verifier_expects),
        TEST(the_target_is_the_path_and_query_of_the_url),
        TEST(a_unix_socket_is_called_as_localhost_80),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
