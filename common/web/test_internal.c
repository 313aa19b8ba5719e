#include "common/web/internal.h"

#include <unistd.h>

#include "common/auth/hawk.h"
#include "common/base/log.h"
#include "common/web/call.h"
#include "common/web/testing.h"

#define NODE_KEY  "0123456789abcdef-node"
#define NEXT_KEY  "fedcba9876543210-node"
#define ADMIN_KEY "0123456789abcdef-admin"

static char *text_of(const char *t)
{
    return (char *)(uintptr_t)t;
}

/* ---- a program with three internal routes ---- */

static rc hello(struct request *rq, struct err *e)
{
    const struct internal_caller *who = internal_caller(rq);
    (void)e;
    buf_addf(reply_body(rq), "%.*s %.*s %.*s", VIEW_ARG(who->role), VIEW_ARG(who->name), VIEW_ARG(rq->body));
    return RC_OK;
}

#define ROUTE(path_, callers_)                                                                               \
    {                                                                                                        \
        .methods = GET | POST, .path = path_, .handler = hello, .auth = AUTH_INTERNAL, .body_max = 1000,     \
        .dialect = DIALECT_INTERNAL, .flags = ROUTE_INTERNAL, .callers = callers_                            \
    }

static const struct route routes[] = { ROUTE("/both", "admin node"), ROUTE("/nodes", "node"),
                                       ROUTE("/nobody", NULL) };

static rc admit(struct request *rq, bool *out_late, struct err *e)
{
    (void)out_late;
    return internal_admit(rq->app, rq, e);
}

struct world {
    struct server_conf conf;
    struct mount mount;
    struct callers *callers;
    struct server *server;
    struct client client;
};

static void open_world(struct world *w, const char *listen)
{
    static char *items[] = { NULL, NULL, NULL };
    items[0] = text_of("node node7:8000 " NODE_KEY);
    items[1] = text_of("node node7:8000\t" NEXT_KEY);
    items[2] = text_of("admin boss " ADMIN_KEY);
    const struct conf_list list = { .items = items, .n = 3 };
    struct err e = ERR_NONE;

    log_setup(STDERR_FILENO, LOG_PLAIN, LOG_ERROR);
    *w = (struct world){ .conf = test_conf() };
    if (listen)
        w->conf.listen = text_of(listen);
    assert_int_equal(callers_new(&list, clock_system(), &w->callers, &e), RC_OK);
    w->mount = (struct mount){ .name = "test",
                               .service = "test",
                               .routes = routes,
                               .n_routes = sizeof(routes) / sizeof(routes[0]),
                               .app = w->callers,
                               .admit = admit,
                               .admit_body = internal_admit_body };
    assert_int_equal(server_open(&w->conf, true, &w->mount, 1, clock_system(), &w->server, &e), RC_OK);
    if (!listen)
        w->client = client_dial(server_port(w->server));
}

static void close_world(struct world *w)
{
    if (w->client.fd > 0)
        client_done(&w->client);
    server_close(w->server);
    callers_free(w->callers);
}

/* ---- calls, good and altered ---- */

struct altered {
    const char *id, *key, *path, *host, *body, *nonce; /* NULL: the good one */
    long port, age_s;
    int64_t ts; /* 0: now */
    bool no_hash, unsigned_, other_body;
};

static void say(struct world *w, const struct altered *how)
{
    SCOPED(buf_done) struct buf header = { 0 };
    SCOPED(buf_done) struct buf text = { 0 };
    const char *path = how->path ? how->path : "/both", *body = how->body ? how->body : "{}";
    char hash[HAWK_MAC_TEXT];
    static int nonces;
    char nonce[32];

    snprintf(nonce, sizeof(nonce), "nonce%d", nonces++);
    hawk_payload_hash(VIEW("application/json"), view_of(body), hash);
    hawk_sign(view_of(how->id ? how->id : "node7:8000"), view_of(how->key ? how->key : NODE_KEY),
              &(struct hawk_request){ .method = VIEW("POST"),
                                      .target = view_of(path),
                                      .host = view_of(how->host ? how->host : "127.0.0.1"),
                                      .port = how->port ? (unsigned)how->port : server_port(w->server) },
              (how->ts ? how->ts : clock_now_s(clock_system())) - how->age_s,
              view_of(how->nonce ? how->nonce : nonce),
              how->no_hash ? VIEW_NONE : (view){ .p = hash, .n = sizeof(hash) }, &header);
    buf_addf(&text,
             "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n",
             path, how->host ? how->host : "127.0.0.1", strlen(body));
    if (!how->unsigned_)
        buf_addf(&text, "Authorization: %s\r\n", buf_text(&header));
    buf_addf(&text, "\r\n%s", body);
    if (how->other_body)
        text.p[text.n - 1] = ']';
    assert_true(client_say(&w->client, buf_text(&text)));
}

static void expect(struct world *w, const struct altered *how, int status, const char *body)
{
    say(w, how);
    struct said s = client_hear(&w->client);
    if (s.status != status || strcmp(s.body, body) != 0)
        fail_msg("%d %s, not %d %s", s.status, s.body, status, body);
    if (status == 401)
        assert_non_null(strcasestr(s.head, "\r\nWWW-Authenticate: Hawk\r\n"));
    free(s.body);
}

#define DENIED(why) 401, "{\"rc\":\"DENIED\",\"text\":\"" why "\"}"

static void what_is_not_signed_by_a_known_caller_for_this_listener_is_refused(void **state)
{
    (void)state;
    static const struct {
        struct altered how;
        int status;
        const char *body;
    } cases[] = {
        { { .id = NULL }, 200, "node node7:8000 {}" },
        { { .key = NEXT_KEY }, 200, "node node7:8000 {}" },
        { { .id = "boss", .key = ADMIN_KEY }, 200, "admin boss {}" },
        { { .path = "/nodes" }, 200, "node node7:8000 {}" },
        { { .unsigned_ = true }, DENIED("no-credentials") },
        { { .id = "node8:8000" }, DENIED("bad-mac") },
        { { .key = ADMIN_KEY }, DENIED("bad-mac") },
        { { .id = "boss" }, DENIED("bad-mac") },
        { { .host = "127.0.0.2" }, DENIED("bad-mac") },
        { { .port = 80 }, DENIED("bad-mac") },
        { { .no_hash = true }, DENIED("no-payload-hash") },
        { { .other_body = true }, DENIED("bad-payload-hash") },
        { { .age_s = 70 }, DENIED("stale") },
        { { .age_s = -70 }, DENIED("stale") },
        { { .age_s = 50 }, 200, "node node7:8000 {}" },
        { { .id = "boss", .key = ADMIN_KEY, .path = "/nodes" },
          403,
          "{\"rc\":\"FORBIDDEN\",\"text\":\"boss may not call this\"}" },
        { { .path = "/nobody" }, 403, "{\"rc\":\"FORBIDDEN\",\"text\":\"node7:8000 may not call this\"}" },
    };
    struct world w;
    open_world(&w, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(&w, &cases[i].how, cases[i].status, cases[i].body);
    close_world(&w);
}

static void a_call_is_taken_once(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    const int64_t ts = clock_now_s(clock_system()); /* the same call has the same time too */
    expect(&w, &(struct altered){ .nonce = "once", .ts = ts }, 200, "node node7:8000 {}");
    expect(&w, &(struct altered){ .nonce = "once", .ts = ts }, DENIED("replayed"));
    /* One that was refused for its MAC does not use up the nonce of the good one. */
    expect(&w, &(struct altered){ .nonce = "twice", .ts = ts, .key = ADMIN_KEY }, DENIED("bad-mac"));
    expect(&w, &(struct altered){ .nonce = "twice", .ts = ts }, 200, "node node7:8000 {}");
    close_world(&w);
}

static void our_own_calls_are_admitted_also_through_a_unix_socket(void **state)
{
    (void)state;
    char folder[] = "/tmp/heddle-internal-XXXXXX", path[64];
    struct world w;
    struct caller *c = NULL;
    struct answer answer = { .status = 0 };
    struct err e = ERR_NONE;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/s", folder);
    open_world(&w, path);
    assert_int_equal(caller_new(clock_system(), &c, &e), RC_OK);
    struct call what = { .method = "GET",
                         .url = "http://localhost/both",
                         .unix_socket = path,
                         .hawk_id = VIEW("boss"),
                         .hawk_key = VIEW(ADMIN_KEY),
                         .timeout_ms = 60000,
                         .answer_max = 1000 };
    assert_int_equal(call(c, &what, &answer, &e), RC_OK);
    assert_int_equal(answer.status, 200);
    assert_string_equal(buf_text(&answer.body), "admin boss ");
    answer_done(&answer);
    caller_free(c);
    close_world(&w);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

static void a_list_of_callers_that_makes_no_sense_is_refused_without_showing_a_key(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "node",
                                       "node node7",
                                       "node node7 tooshort",
                                       "boss node7 0123456789abcdef-secret",
                                       "node node7 0123456789abcdef-secret more" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *items[] = { text_of(bad[i]) };
        struct callers *c;
        struct err e = ERR_NONE;
        const struct conf_list list = { .items = items, .n = 1 };
        assert_int_equal(callers_new(&list, clock_system(), &c, &e), RC_BAD_INPUT);
        assert_null(strstr(e.text, "secret"));
        assert_null(strstr(e.text, "tooshort"));
    }
}

static void a_role_is_a_whole_word_of_the_route(void **state)
{
    (void)state;
    assert_true(internal_role_in("admin node", VIEW("node")));
    assert_true(internal_role_in("admin node", VIEW("admin")));
    assert_false(internal_role_in("admin nodes", VIEW("node")));
    assert_false(internal_role_in("", VIEW("node")));
    assert_false(internal_role_in(NULL, VIEW("node")));
    assert_false(internal_role_in("admin  node", VIEW("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_signed_by_a_known_caller_for_this_listener_is_refused),
        cmocka_unit_test(a_call_is_taken_once),
        cmocka_unit_test(our_own_calls_are_admitted_also_through_a_unix_socket),
        cmocka_unit_test(a_list_of_callers_that_makes_no_sense_is_refused_without_showing_a_key),
        cmocka_unit_test(a_role_is_a_whole_word_of_the_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
