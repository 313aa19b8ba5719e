/* The node's internal listener: who may ask, and what it says of itself. */
#include "node/internal.h"

#include "common/web/inside.h"
#include "node/testing.h"

static void open_both(struct site *s, struct office *o)
{
    site_make(s);
    if (site_open(s, "https://node7.example.net") != RC_OK)
        fail_msg("%s", s->e.text);
    office_open(o, s);
}

static void close_both(struct site *s, struct office *o)
{
    office_close(o);
    site_close(s);
}

static void the_admin_reads_how_the_node_is(void **state)
{
    (void)state;
    struct site s;
    struct office o;
    open_both(&s, &o);
    const char *answer = office_ask(&o, "GET", "status", NULL, 200);
    assert_non_null(strstr(answer, "\"node\":\"node7.example.net\""));
    assert_non_null(strstr(answer, "\"url\":\"https://node7.example.net\""));
    assert_non_null(strstr(answer, "\"clock\":1767225600000"));
    assert_non_null(strstr(answer, "\"schema\":2,\"store\":\"sqlite\""));
    assert_non_null(strstr(answer, "\"disk_free\":"));
    close_both(&s, &o);
}

static void nobody_else_is_admitted(void **state)
{
    (void)state;
    struct site s;
    struct office o;
    struct err e = ERR_NONE;
    open_both(&s, &o);
    struct call what = { .method = "GET",
                         .url = "http://localhost/internal/v1/status",
                         .unix_socket = o.socket,
                         .hawk_id = VIEW("admin"),
                         .hawk_key = VIEW("a key that is not his"),
                         .timeout_ms = 60000,
                         .answer_max = 1 << 20 };
    assert_int_equal(call(o.caller, &what, &o.answer, &e), RC_OK);
    assert_int_equal(o.answer.status, 401);
    what.hawk_id = VIEW("other.example.net");
    what.hawk_key = VIEW("key-of-another-node");
    assert_int_equal(call(o.caller, &what, &o.answer, &e), RC_OK);
    assert_int_equal(o.answer.status, 403); /* a node asks no node */
    office_ask(&o, "POST", "status", "{}", 405);
    office_ask(&o, "GET", "nonsense", NULL, 404);
    close_both(&s, &o);
}

static void a_public_listener_knows_no_internal_path(void **state)
{
    (void)state;
    struct site s;
    struct mount m;
    site_make(&s);
    if (site_open(&s, "https://node7.example.net") != RC_OK)
        fail_msg("%s", s.e.text);
    node_mount(s.node, &m);
    for (size_t i = 0; i < m.n_routes; i++)
        assert_null(strstr(m.routes[i].path, "/internal/"));
    node_internal_mount(s.node, &m);
    for (size_t i = 0; i < m.n_routes; i++) {
        assert_true(m.routes[i].flags & ROUTE_INTERNAL);
        assert_int_equal(m.routes[i].auth, AUTH_INTERNAL);
        assert_non_null(m.routes[i].callers);
    }
    site_close(&s);
}

/* ---- maintenance ---- */

/* What a client of the public mount gets before anything else. */
static struct web_request *knock(struct site *s)
{
    struct mount m;
    struct web_request *w =
        web_request_new(&s->clock.clock, (size_t)1 << 16, VIEW("/1.5/1/info/collections"));
    node_mount(s->node, &m);
    web_request_method(w, VIEW("GET"));
    w->rq.app = m.app;
    w->rq.route = route_of(&m, "/1.5/{uid}/info/collections");
    return m.before(&w->rq) ? (web_request_free(w), NULL) : w;
}

static bool replied(const struct web_request *w, const char *name, const char *value)
{
    const struct buf *b = &w->reply.headers;
    for (size_t i = 0; i < b->n;) {
        const char *n = b->p + i, *v = n + strlen(n) + 1;
        if (strcmp(n, name) == 0)
            return strcmp(v, value) == 0;
        i = (size_t)(v - b->p) + strlen(v) + 1;
    }
    return false;
}

static void under_maintenance_users_get_503_and_a_text_also_after_a_restart(void **state)
{
    (void)state;
    struct site s;
    struct office o;
    open_both(&s, &o);
    assert_null(knock(&s));
    assert_string_equal(office_ask(&o, "GET", "maintenance", NULL, 200), "{\"on\":false}");
    assert_string_equal(office_ask(&o, "PUT", "maintenance",
                                   "{\"on\":true,\"text\":\"Back at six.\",\"retry_after\":900}", 200),
                        "{\"on\":true,\"text\":\"Back at six.\",\"retry_after\":900}");
    for (int again = 0; again < 2; again++) {
        struct web_request *w = knock(&s);
        assert_non_null(w);
        assert_int_equal(w->reply.status, 503);
        assert_true(w->reply.retry_after_s >= 900 && w->reply.retry_after_s <= 945);
        assert_true(replied(w, "X-Weave-Alert", "Back at six."));
        web_request_free(w);
        assert_non_null(strstr(office_ask(&o, "GET", "status", NULL, 200), "\"maintenance\":true"));
        if (again)
            break;
        office_close(&o);
        node_close(s.node);
        if (site_open(&s, "https://node7.example.net") != RC_OK)
            fail_msg("%s", s.e.text);
        office_open(&o, &s);
    }
    assert_string_equal(office_ask(&o, "PUT", "maintenance", "{\"on\":false}", 200), "{\"on\":false}");
    assert_null(knock(&s));
    close_both(&s, &o);
}

static void maintenance_that_makes_no_sense_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "{\"on\":1}",
        "{\"on\":true,\"text\":7}",
        "{\"on\":true,\"text\":\"two\\nlines\"}",
        "{\"on\":true,\"text\":\"\u00fcber\"}",
        "{\"on\":true,\"retry_after\":0}",
        "{\"on\":true,\"retry_after\":86401}",
        "{\"on\":true,\"retry_after\":4294967297}",
        "{\"on\":true,\"untill\":5}",
    };
    struct site s;
    struct office o;
    open_both(&s, &o);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        office_ask(&o, "PUT", "maintenance", bad[i], 400);
    assert_null(knock(&s));
    close_both(&s, &o);
}

/* ---- quota ---- */

static void a_quota_of_his_own_is_in_force_at_once(void **state)
{
    (void)state;
    struct site s;
    struct office o;
    open_both(&s, &o);
    office_ask(&o, "PUT", "users/42/quota", "{\"quota_bytes\":1000}", 404);
    office_ask(&o, "POST", "heads/42/thaw", "{\"move\":\"m\",\"epoch\":1}", 200);
    assert_string_equal(office_ask(&o, "PUT", "users/42/quota", "{\"quota_bytes\":1000}", 200),
                        "{\"uid\":42,\"quota_bytes\":1000}");
    assert_non_null(strstr(office_ask(&o, "GET", "heads/42", NULL, 200), "\"quota_bytes\":1000"));
    office_ask(&o, "PUT", "users/42/quota", "{\"quota_bytes\":-2}", 400);
    office_ask(&o, "PUT", "users/42/quota", "{}", 400);
    office_ask(&o, "PUT", "users/x/quota", "{\"quota_bytes\":1}", 404);
    office_ask(&o, "PUT", "users/42/quota", "{\"quota_bytes\":-1}", 200);
    assert_non_null(strstr(office_ask(&o, "GET", "heads/42", NULL, 200), "\"quota_bytes\":-1"));
    close_both(&s, &o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_admin_reads_how_the_node_is),
        cmocka_unit_test(nobody_else_is_admitted),
        cmocka_unit_test(a_public_listener_knows_no_internal_path),
        cmocka_unit_test(under_maintenance_users_get_503_and_a_text_also_after_a_restart),
        cmocka_unit_test(maintenance_that_makes_no_sense_is_refused_and_changes_nothing),
        cmocka_unit_test(a_quota_of_his_own_is_in_force_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
