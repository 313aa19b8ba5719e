#include "node/sync/testing.h"

static void fill(struct bench *b)
{
    expect(b, "PUT", U15 "/storage/xyz/a", NULL, "{\"payload\":\"XyX\"}", 200, NULL);
    bench_tick(b, 100);
    expect(b, "POST", U15 "/storage/abc", NULL,
           "[{\"id\":\"a\",\"payload\":\"12345\"},{\"id\":\"b\",\"payload\":\"\\u00e4\"}]", 200, NULL);
    expect(b, "PUT", U15 "/storage/gone/a", NULL, "{\"ttl\":0,\"payload\":\"x\"}", 200, NULL);
}

static void a_new_user_has_nothing(void **state)
{
    struct bench *b = *state;

    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, "{}");
    expect_header(b, "X-Last-Modified", "0.00");
    expect_header(b, "X-Weave-Records", "0");
    expect_header(b, "X-Weave-Timestamp", "1767225600.31");
    expect(b, "GET", U15 "/info/collection_counts", NULL, NULL, 200, "{}");
    expect(b, "GET", U15 "/info/collection_usage", NULL, NULL, 200, "{}");
    expect(b, "GET", U15 "/info/quota", NULL, NULL, 200, "[0.0,null]");
}

static void what_there_is_is_told(void **state)
{
    struct bench *b = *state;

    fill(b);
    expect(b, "GET", U15 "/info/collections?client=FxHome&v=1.1b2&x=%zz", NULL, NULL, 200,
           "{\"xyz\":1767225600.31,\"abc\":1767225601.31,\"gone\":1767225601.32}");
    assert_true(b->was_warm);
    expect_header(b, "X-Last-Modified", "1767225601.32");
    expect_header(b, "X-Weave-Records", "3");
    expect(b, "GET", U15 "/info/collection_counts", NULL, NULL, 200, "{\"xyz\":1,\"abc\":2}");
    expect_header(b, "X-Weave-Records", "2");
    expect_header(b, "X-Last-Modified", "1767225601.32");
    expect(b, "GET", U15 "/info/collection_usage", NULL, NULL, 200,
           "{\"xyz\":0.0029296875,\"abc\":0.0068359375}");
    expect_header(b, "X-Weave-Records", "2");
    expect(b, "GET", U15 "/info/quota", NULL, NULL, 200, "[0.009765625,null]");
    b->limits.quota_bytes = 2097152000;
    expect(b, "GET", U15 "/info/quota", NULL, NULL, 200, "[0.009765625,2048000.0]");
}

static void not_modified_is_told_by_all_but_configuration(void **state)
{
    static const char *const views[] = { U15 "/info/collections", U15 "/info/collection_counts",
                                         U15 "/info/collection_usage", U15 "/info/quota" };
    struct bench *b = *state;

    fill(b);
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        expect(b, "GET", views[i], "X-If-Modified-Since: 1767225601.32", NULL, 304, "");
        expect_header(b, "X-Last-Modified", "1767225601.32");
        expect(b, "GET", views[i], "X-If-Modified-Since: 1767225601.31", NULL, 200, NULL);
        expect(b, "GET", views[i], "X-If-Unmodified-Since: 1767225601.31", NULL, 412, "0");
    }
    expect(b, "GET", U15 "/info/configuration", "X-If-Modified-Since: 1767225601.32", NULL, 200, NULL);
}

static void the_limits_are_told(void **state)
{
    char *items[] = { (char *)"bookmarks:0:4194304:4198400" };
    struct bench *b = *state;

    expect(b, "GET", U15 "/info/configuration", NULL, NULL, 200,
           "{\"max_post_bytes\":2621440,\"max_post_records\":100,\"max_record_payload_bytes\":2621440,"
           "\"max_request_bytes\":2625536,\"max_total_bytes\":262144000,\"max_total_records\":10000}");
    expect_header(b, "X-Last-Modified", "0.00");
    b->limits.quota_bytes = 5000;
    b->limits.collections = (struct conf_list){ .items = items, .n = 1 };
    assert_int_equal(sync_limits_ready(&b->limits, NULL), RC_OK);
    expect(b, "GET", U15 "/info/configuration", NULL, NULL, 200,
           "{\"max_post_bytes\":2621440,\"max_post_records\":100,\"max_record_payload_bytes\":2621440,"
           "\"max_request_bytes\":2625536,\"max_total_bytes\":262144000,\"max_total_records\":10000,"
           "\"max_quota_limit\":5000,\"collections\":{\"bookmarks\":{\"max_record_payload_bytes\":2621440,"
           "\"max_post_bytes\":4194304,\"max_request_bytes\":4198400}}}");
    assert_int_equal(sync_body_max(&b->last->rq, &b->limits), 2625536);
    ask(b, "PUT", U15 "/storage/bookmarks/a", NULL, "{}");
    assert_int_equal(sync_body_max(&b->last->rq, &b->limits), 4198400);
    ask(b, "POST", U15 "/storage/col", NULL, "[]");
    assert_int_equal(sync_body_max(&b->last->rq, &b->limits), 2625536);
    ask(b, "POST", U11 "/storage/bookmarks", NULL, "[]");
    assert_int_equal(sync_body_max(&b->last->rq, &b->limits), 33554432);
}

static void limits_open_to_everybody_need_no_store(void **state)
{
    struct bench *b = *state;
    struct sync_worker bare = { .sync = &b->node };
    struct web_request *w = bench_request(b, "GET", U15 "/info/configuration", NULL, VIEW_NONE);
    struct route open = *w->rq.route;

    open.auth = AUTH_NONE;
    w->rq.route = &open;
    w->rq.worker = &bare;
    assert_int_equal(w->rq.route->handler(&w->rq, &w->err), RC_OK);
    web_request_free(w);
}

static void users_do_not_see_each_other(void **state)
{
    struct bench *b = *state;

    fill(b);
    b->uid = 12347; /* the same file of the database */
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, "{}");
    expect(b, "GET", U15 "/storage/xyz/a", NULL, NULL, 404, "0");
    expect(b, "GET", U15 "/storage/xyz", NULL, NULL, 200, "[]");
    expect(b, "DELETE", U15, NULL, NULL, 200, "{}");
    b->uid = 12345;
    expect(b, "GET", U15 "/storage/xyz", NULL, NULL, 200, "[\"a\"]");
}

#define T(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_new_user_has_nothing),
        T(what_there_is_is_told),
        T(not_modified_is_told_by_all_but_configuration),
        T(the_limits_are_told),
        T(limits_open_to_everybody_need_no_store),
        T(users_do_not_see_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
