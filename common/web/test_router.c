#include "common/web/router.h"

#include "common/base/testing_arena.h"

static rc nothing(struct request *rq, struct err *e)
{
    (void)rq;
    (void)e;
    return RC_OK;
}

static bool is_uid(view s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0 && s.n <= 10;
}

static bool is_any(view s)
{
    return s.n > 0 && s.n <= 64;
}

static bool is_name(view s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || s.p[i] == '.' || s.p[i] == '-'))
            return false;
    return s.n > 0;
}

static const struct param_kind kinds[] = { { "uid", is_uid }, { "any", is_any }, { "name", is_name } };

#define ROW(methods, path, flags)                                                                            \
    {                                                                                                        \
        methods, path, nothing, AUTH_NONE, 0, DIALECT_SYNC_15, flags, NULL, NULL, 0                          \
    }

static const struct route first_routes[] = {
    ROW(GET | HEAD, "/", 0),
    ROW(GET, "/1.5/{uid}/info/collections", 0),
    ROW(GET | HEAD, "/1.5/{uid}/storage/{name}", 0),
    ROW(POST | DELETE, "/1.5/{uid}/storage/{name}", 0),
    ROW(GET | PUT, "/1.5/{uid}/storage/{name}/{any}", 0),
    ROW(DELETE, "/1.5/{uid}", 0),
    ROW(PUT, "/user/1.0/{name}", ROUTE_SLASHES),
};
static const struct route second_routes[] = {
    ROW(GET, "/internal/status", ROUTE_INTERNAL),
    ROW(PUT, "/1.5/{uid}/info/collections", 0),
};
static const struct mount mounts[] = {
    { .name = "a", .routes = first_routes, .n_routes = 7, .kinds = kinds, .n_kinds = 3 },
    { .name = "b", .routes = second_routes, .n_routes = 2, .kinds = kinds, .n_kinds = 3 },
};

struct found {
    enum route_result result;
    const struct route *route;
    const struct mount *mount;
    view params[ROUTE_PARAMS_MAX];
    size_t n;
    unsigned allow;
};

static struct found find(enum method m, view path, const char *base, bool internal)
{
    struct found f = { .n = 99 };

    f.result = route_find(mounts, 2, internal, view_of(base), m, path, &arena, &f.route, &f.mount, f.params,
                          &f.n, &f.allow);
    return f;
}

static const struct {
    enum method method;
    const char *path, *pattern, *params[2];
} hits[] = {
    { GET, "/", "/", { NULL } },
    { HEAD, "/", "/", { NULL } },
    { GET, "/1.5/42/info/collections", "/1.5/{uid}/info/collections", { "42" } },
    { GET, "/1%2E5/42/info/%63ollections", "/1.5/{uid}/info/collections", { "42" } },
    { HEAD, "/1.5/42/storage/tabs", "/1.5/{uid}/storage/{name}", { "42", "tabs" } },
    { POST, "/1.5/42/storage/tabs", "/1.5/{uid}/storage/{name}", { "42", "tabs" } },
    { DELETE, "/1.5/0000000042", "/1.5/{uid}", { "0000000042" } },
    { PUT, "/user/1.0/jane", "/user/1.0/{name}", { "jane" } },
    { PUT, "/user/1.0/jane/", "/user/1.0/{name}", { "jane" } },
    { PUT, "/user/1.0/jane//", "/user/1.0/{name}", { "jane" } },
    { PUT, "/user/1.0/..", "/user/1.0/{name}", { ".." } }, /* a segment like another: kinds decide */
};

static void paths_find_their_route_and_decoded_params(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hits / sizeof hits[0]; i++) {
        struct found f = find(hits[i].method, view_of(hits[i].path), NULL, false);

        if (f.result != ROUTE_FOUND)
            fail_msg("not found: %s", hits[i].path);
        assert_string_equal(f.route->path, hits[i].pattern);
        assert_true(f.route->methods & hits[i].method);
        assert_ptr_equal(f.mount, &mounts[0]);
        for (size_t k = 0; k < 2; k++) {
            assert_true((k < f.n) == (hits[i].params[k] != NULL));
            if (k < f.n)
                assert_true(view_eq(f.params[k], view_of(hits[i].params[k])));
        }
    }
}

static void what_an_escape_hides_stays_within_its_segment(void **state)
{
    static const struct {
        view path, param;
    } cases[] = {
        { VIEW("/1.5/1/storage/tabs/a%2Fb"), VIEW("a/b") },
        { VIEW("/1.5/1/storage/tabs/a%00b"), VIEW("a\0b") },
        { VIEW("/1.5/1/storage/tabs/%2e%2e"), VIEW("..") },
        { VIEW("/1.5/1/storage/tabs/%7B4%7d"), VIEW("{4}") },
        { VIEW("/1.5/1/storage/tabs/a+b"), VIEW("a+b") },
        { VIEW("/1.5/1/storage/tabs/%3Fx"), VIEW("?x") },
        { VIEW("/1.5/1/storage/tabs/%252F"), VIEW("%2F") },
        { VIEW("/1.5/1/storage/tabs/%2F"), VIEW("/") },
        { VIEW("/1.5/1/storage/tabs/\xff%fe"), VIEW("\xff\xfe") },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct found f = find(GET, cases[i].path, NULL, false);

        assert_int_equal(f.result, ROUTE_FOUND);
        assert_int_equal(f.n, 3);
        assert_true(view_eq(f.params[2], cases[i].param));
    }
}

static const char *const misses[] = {
    "",
    "1.5/42",
    "*",
    "http://host/1.5/42/info/collections",
    "/1.5",
    "/1.5/",
    "/1.5/12345678901/info/collections",
    "/1.5/x/info/collections",
    "/1.5//info/collections",
    "//1.5/42/info/collections",
    "//",
    "/1.5/42/info//collections",
    "/1.5/42/info/collections/",
    "/1.5/42/info/collections/x",
    "/1.5/42/info%2Fcollections",
    "/1.5/42/info/collection",
    "/1.5/42/info/collectionss",
    "/1.5/42/info/collections%00",
    "/1.5/42/info/collections%2F",
    "/1.5/42/%7Buid%7D/collections",
    "/user%2F1.0/1.0/jane",
    "/1.5/42/storage/TABS",
    "/1.5/42/storage/a%00",
    "/1.5/42/storage/%zz",
    "/1.5/42/storage/%4",
    "/1.5/42/../42/info/collections",
    "/1.5/42/./info/collections",
    "/user/1.0/",
    "/user/1.0//jane",
    "/internal/status",
    "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q",
};

static void no_other_path_is_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof misses / sizeof misses[0]; i++)
        if (find(GET, view_of(misses[i]), NULL, false).result != ROUTE_NO_PATH)
            fail_msg("found: %s", misses[i]);
}

static void a_known_path_tells_all_methods_it_has_in_all_mounts(void **state)
{
    struct found f;

    (void)state;
    f = find(POST, VIEW("/1.5/1/info/collections"), NULL, false);
    assert_int_equal(f.result, ROUTE_NO_METHOD);
    assert_int_equal(f.allow, GET | PUT);
    assert_non_null(f.route);
    assert_ptr_equal(f.mount, &mounts[0]);
    assert_int_equal(find(METHOD_OTHER, VIEW("/1.5/1/storage/a"), NULL, false).allow,
                     GET | HEAD | POST | DELETE);
    assert_int_equal(find(HEAD, VIEW("/1.5/1/info/collections"), NULL, false).result, ROUTE_NO_METHOD);
    assert_int_equal(find(PUT, VIEW("/1.5/1/info/collections"), NULL, false).result, ROUTE_FOUND);
}

static void internal_routes_exist_on_the_internal_listener_alone(void **state)
{
    (void)state;
    assert_int_equal(find(GET, VIEW("/internal/status"), NULL, true).result, ROUTE_FOUND);
    assert_int_equal(find(PUT, VIEW("/internal/status"), NULL, false).result, ROUTE_NO_PATH);
}

static void the_base_of_the_public_url_may_be_there_or_not(void **state)
{
    (void)state;
    assert_int_equal(find(GET, VIEW("/b/c/1.5/1/info/collections"), "/b/c", false).result, ROUTE_FOUND);
    assert_int_equal(find(GET, VIEW("/1.5/1/info/collections"), "/b/c", false).result, ROUTE_FOUND);
    assert_int_equal(find(GET, VIEW("/b/c"), "/b/c", false).result, ROUTE_FOUND);
    assert_int_equal(find(GET, VIEW("/b/c/"), "/b/c", false).result, ROUTE_FOUND);
    assert_int_equal(find(POST, VIEW("/b/c/1.5/1/info/collections"), "/b/c", false).result, ROUTE_NO_METHOD);
    assert_int_equal(find(GET, VIEW("/b/cc/1.5/1/info/collections"), "/b/c", false).result, ROUTE_NO_PATH);
    assert_int_equal(find(GET, VIEW("/b/c/b/c/1.5/1/info/collections"), "/b/c", false).result, ROUTE_NO_PATH);
    assert_int_equal(find(GET, VIEW("/b"), "/b/c", false).result, ROUTE_NO_PATH);
    /* a base that is also the beginning of a route */
    assert_int_equal(find(GET, VIEW("/1.5/7/info/collections"), "/1.5", false).result, ROUTE_FOUND);
    assert_int_equal(find(GET, VIEW("/1.5/1.5/7/info/collections"), "/1.5", false).result, ROUTE_FOUND);
}

static void methods_are_known_by_their_exact_names(void **state)
{
    (void)state;
    assert_int_equal(method_parse(VIEW("GET")), GET);
    assert_int_equal(method_parse(VIEW("HEAD")), HEAD);
    assert_int_equal(method_parse(VIEW("POST")), POST);
    assert_int_equal(method_parse(VIEW("PUT")), PUT);
    assert_int_equal(method_parse(VIEW("DELETE")), DELETE);
    assert_int_equal(method_parse(VIEW("OPTIONS")), OPTIONS);
    assert_int_equal(method_parse(VIEW("get")), METHOD_OTHER);
    assert_int_equal(method_parse(VIEW("PATCH")), METHOD_OTHER);
    assert_int_equal(method_parse(VIEW("")), METHOD_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_find_their_route_and_decoded_params),
        cmocka_unit_test(what_an_escape_hides_stays_within_its_segment),
        cmocka_unit_test(no_other_path_is_known),
        cmocka_unit_test(a_known_path_tells_all_methods_it_has_in_all_mounts),
        cmocka_unit_test(internal_routes_exist_on_the_internal_listener_alone),
        cmocka_unit_test(the_base_of_the_public_url_may_be_there_or_not),
        cmocka_unit_test(methods_are_known_by_their_exact_names),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
