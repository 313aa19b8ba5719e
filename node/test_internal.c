/* The node's internal listener: who may ask, and what it says of itself. */
#include "node/internal.h"

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
    assert_non_null(strstr(answer, "\"schema\":1,\"store\":\"sqlite\""));
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
                         .timeout_ms = 20000,
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_admin_reads_how_the_node_is),
        cmocka_unit_test(nobody_else_is_admitted),
        cmocka_unit_test(a_public_listener_knows_no_internal_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
