/* A node as a whole, on SQLite in a folder of its own; its sweep; what it refuses to start with. */
#include "node/testing.h"

#include <unistd.h>

#include "node/sweep.h"

static bool knows(const struct node *n, const char *url)
{
    for (size_t i = 0; i < n->n_own_urls; i++)
        if (view_eq(n->own_urls[i], view_of(url)))
            return true;
    return false;
}

static void a_node_opens_with_all_its_routes(void **state)
{
    (void)state;
    struct site s;
    struct mount m;
    void *worker = NULL;
    site_make(&s);
    if (site_open(&s, "https://node.example.net/sync") != RC_OK)
        fail_msg("%s", s.e.text);
    node_mount(s.node, &m);
    assert_int_equal(m.n_routes, sync_routes_n);
    assert_null(route_of(&m, "/__error__"));
    assert_int_equal(route_of(&m, "/1.5/{uid}/info/configuration")->auth, AUTH_HAWK);
    assert_int_equal(m.worker_open(m.app, &worker, &s.e), RC_OK);
    struct node_worker *w = worker;
    assert_ptr_equal(w->node, s.node);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_ping(w->sync.store, &s.e), RC_OK);
        m.worker_rest(worker); /* what it has taken lies ready for others */
    }
    m.worker_close(worker);
    site_close(&s);
}

static void settings_open_routes(void **state)
{
    (void)state;
    struct site s;
    struct mount m;
    site_make(&s);
    s.conf.error_route = s.conf.open_configuration = true;
    assert_int_equal(site_open(&s, "https://node.example.net"), RC_OK);
    node_mount(s.node, &m);
    assert_non_null(route_of(&m, "/__error__"));
    assert_int_equal(route_of(&m, "/1.5/{uid}/info/configuration")->auth, AUTH_NONE);
    assert_int_equal(route_of(&m, "/1.5/{uid}/info/quota")->auth, AUTH_HAWK);
    site_close(&s);
}

static void both_forms_of_a_url_and_the_aliases_are_ours(void **state)
{
    (void)state;
    static const struct {
        const char *url, *also;
    } cases[] = {
        { "https://node.example.net", "https://node.example.net:443" },
        { "https://node.example.net:443", "https://node.example.net" },
        { "https://node.example.net/base", "https://node.example.net:443/base" },
        { "https://node.example.net:443/base/", "https://node.example.net/base" },
        { "http://node.example.net", "http://node.example.net:80" },
        { "https://[2001:db8::1]", "https://[2001:db8::1]:443" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct site s;
        site_make(&s);
        s.conf.url = (char *)(uintptr_t)cases[i].url;
        if (site_open(&s, "https://sync.example.net") != RC_OK)
            fail_msg("%s: %s", cases[i].url, s.e.text);
        if (!knows(s.node, cases[i].also) || !knows(s.node, "https://old.example.net") ||
            knows(s.node, "https://sync.example.net"))
            fail_msg("%s", cases[i].url);
        site_close(&s);
    }
}

static void wrong_settings_are_named_and_nothing_stays_open(void **state)
{
    (void)state;
    struct site s;
    site_make(&s);
    assert_int_equal(site_open(&s, "node.example.net"), RC_BAD_INPUT);
    assert_non_null(strstr(s.e.text, "public.url"));
    s.conf.token_secrets.n = 0;
    assert_int_equal(site_open(&s, "https://node.example.net"), RC_BAD_INPUT);
    assert_non_null(strstr(s.e.text, "tokens.secrets"));
    s.conf.token_secrets.n = 1;
    s.secrets[0] = (char *)"short";
    assert_int_equal(site_open(&s, "https://node.example.net"), RC_BAD_INPUT);
    assert_non_null(strstr(s.e.text, "tokens.secrets"));
    s.secrets[0] = (char *)"an odd number of characters";
    assert_int_equal(site_open(&s, "https://node.example.net"), RC_BAD_INPUT);
    assert_non_null(strstr(s.e.text, "tokens.secrets"));
    s.secrets[0] = (char *)"5b1f0e7c9d2a4483b6c0a1e2f3d49586";
    s.conf.state = (char *)"sideways";
    assert_int_equal(site_open(&s, "https://node.example.net"), RC_BAD_INPUT);
    assert_non_null(strstr(s.e.text, "node.state"));
    s.conf.state = (char *)"normal";
    s.limits.max_post_bytes = s.limits.max_request_bytes;
    assert_int_equal(site_open(&s, "https://node.example.net"), RC_BAD_INPUT);
    assert_non_null(strstr(s.e.text, "max_post_bytes"));
    s.limits.max_post_bytes = 2621440;
    s.cache.driver = (char *)"papyrus";
    assert_int_equal(site_open(&s, "https://node.example.net"), RC_BAD_INPUT);
    assert_non_null(strstr(s.e.text, "cache.driver"));
    s.cache.driver = (char *)"memory";
    if (site_open(&s, "https://node.example.net") != RC_OK) /* nothing of the failures is in the way */
        fail_msg("%s", s.e.text);
    site_close(&s);
}

static void a_check_refuses_what_an_open_would_and_touches_nothing(void **state)
{
    (void)state;
    struct site s;
    struct err e = ERR_NONE;
    site_make(&s);
    const struct node_options o = { .conf = &s.conf,
                                    .limits = &s.limits,
                                    .store = &s.store,
                                    .cache = &s.cache,
                                    .public_url = "https://node.example.net",
                                    .clock = &s.clock.clock };
    if (node_check(&o, &e) != RC_OK)
        fail_msg("%s", e.text);
    assert_int_not_equal(access(s.path, F_OK), 0);
    s.aliases[0] = (char *)"old.example.net";
    assert_int_equal(node_check(&o, &e), RC_BAD_INPUT);
    assert_non_null(strstr(e.text, "old.example.net"));
    s.aliases[0] = (char *)"https://old.example.net";
    s.cache.driver = (char *)"papyrus";
    assert_int_equal(node_check(&o, &e), RC_BAD_INPUT);
    assert_non_null(strstr(e.text, "cache.driver"));
    s.cache.driver = (char *)"redis";
    assert_int_equal(node_check(&o, &e), RC_OK); /* nobody is asked */
    s.node = NULL;
    site_close(&s);
}

static void a_cache_in_memory_does_not_share_its_store(void **state)
{
    (void)state;
    struct site s;
    struct node *first;
    site_make(&s);
    assert_int_equal(site_open(&s, "https://node.example.net"), RC_OK);
    first = s.node;
    assert_int_equal(site_open(&s, "https://node.example.net"), RC_BUSY);
    assert_non_null(strstr(s.e.text, "cache.driver"));
    s.cache.driver = (char *)"none";
    assert_int_equal(site_open(&s, "https://node.example.net"), RC_BUSY);
    node_close(first);
    assert_int_equal(site_open(&s, "https://node.example.net"), RC_OK);
    first = s.node;
    /* two without a memory of their own */
    assert_int_equal(site_open(&s, "https://node.example.net"), RC_OK);
    node_close(first);
    site_close(&s);
}

/* ---- sweep ---- */

static void put(struct site *s, const char *id, int64_t ttl_s)
{
    struct store_session *ss = NULL;
    struct store_txn *tx = NULL;
    struct arena arena;
    arena_init(&arena, (size_t)1 << 16);
    const struct store_begin b = { .uid = 5, .mode = STORE_WRITE, .arena = &arena };
    const struct item_patch p = { .id = view_of(id),
                                  .payload_op = PATCH_SET,
                                  .payload = VIEW("x"),
                                  .ttl_op = ttl_s ? PATCH_SET : PATCH_CLEAR,
                                  .ttl_s = ttl_s,
                                  .touches = true };
    assert_int_equal(store_session_open(s->node->store, false, &ss, NULL), RC_OK);
    assert_int_equal(store_begin(ss, &b, &tx, NULL), RC_OK);
    assert_int_equal(store_items_put(tx, VIEW("tabs"), &p, 1, NULL, NULL), RC_OK);
    assert_int_equal(store_commit(&tx, NULL), RC_OK);
    store_session_close(ss);
    arena_done(&arena);
}

static void wait_for_round(struct sweep *sweep)
{
    uint64_t before = sweep_rounds(sweep);
    sweep_wake(sweep);
    WAIT_UNTIL(sweep_rounds(sweep) != before);
}

static uint64_t left_to_purge(struct site *s)
{
    struct store_session *ss = NULL;
    uint64_t n = 0;
    assert_int_equal(store_session_open(s->node->store, false, &ss, NULL), RC_OK);
    assert_int_equal(store_purge_expired(ss, 0, 100, &n, NULL), RC_OK);
    store_session_close(ss);
    return n;
}

static void the_sweep_removes_what_expired_after_its_grace(void **state)
{
    (void)state;
    struct site s;
    site_make(&s);
    assert_int_equal(site_open(&s, "https://node.example.net"), RC_OK);
    put(&s, "short", 100);
    put(&s, "for-ever", 0);
    s.clock.wall_us += 105 * INT64_C(1000000);
    wait_for_round(s.node->sweep);
    assert_int_equal(left_to_purge(&s), 1); /* it was still there: within the grace of ten seconds */
    put(&s, "short", 100);
    s.clock.wall_us += 111 * INT64_C(1000000);
    wait_for_round(s.node->sweep);
    assert_int_equal(left_to_purge(&s), 0);
    site_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_opens_with_all_its_routes),
        cmocka_unit_test(settings_open_routes),
        cmocka_unit_test(both_forms_of_a_url_and_the_aliases_are_ours),
        cmocka_unit_test(wrong_settings_are_named_and_nothing_stays_open),
        cmocka_unit_test(a_check_refuses_what_an_open_would_and_touches_nothing),
        cmocka_unit_test(a_cache_in_memory_does_not_share_its_store),
        cmocka_unit_test(the_sweep_removes_what_expired_after_its_grace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
