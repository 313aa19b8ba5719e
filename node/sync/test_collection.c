#include "node/sync/testing.h"

#define COL U15 "/storage/col"

/* a, b, c at .31, d, e, f a second later; sortindex 2 for b, -1 for d, 34 for e. */
static void fill(struct bench *b)
{
    expect(b, "POST", COL, NULL, "[{\"id\":\"a\"},{\"id\":\"b\",\"sortindex\":2},{\"id\":\"c\"}]", 200, NULL);
    bench_tick(b, 100);
    expect(b, "POST", COL, NULL,
           "[{\"id\":\"d\",\"sortindex\":-1},{\"id\":\"e\",\"sortindex\":34},{\"id\":\"f\"}]", 200, NULL);
}

static void a_collection_that_was_never_written_is_empty(void **state)
{
    struct bench *b = *state;

    expect(b, "GET", COL, NULL, NULL, 200, "[]");
    expect_header(b, "X-Last-Modified", "0.00");
    expect_header(b, "X-Weave-Records", "0");
    expect_no_header(b, "X-Weave-Next-Offset");
    expect(b, "GET", COL "?full=1", "Accept: application/newlines", NULL, 200, "");
    expect(b, "DELETE", COL, NULL, NULL, 200, "{\"modified\":0.00}");
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, "{}");
}

static void filters_and_orders_combine(void **state)
{
    static const struct {
        const char *query, *answer;
    } cases[] = {
        { "", "[\"f\",\"e\",\"d\",\"c\",\"b\",\"a\"]" },
        { "?sort=newest", "[\"f\",\"e\",\"d\",\"c\",\"b\",\"a\"]" },
        { "?sort=oldest", "[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\"]" },
        { "?sort=index", "[\"e\",\"b\",\"d\",\"f\",\"c\",\"a\"]" },
        { "?newer=1767225600.31", "[\"f\",\"e\",\"d\"]" },
        { "?newer=1767225600.30&older=1767225601.31", "[\"c\",\"b\",\"a\"]" },
        { "?newer=1767225601.31", "[]" },
        { "?older=1767225600.31", "[]" },
        { "?ids=a,17,e", "[\"e\",\"a\"]" },
        { "?ids=a,a,a", "[\"a\"]" },
        { "?ids=a%2Ce%2Cb&sort=oldest&newer=0&limit=2", "[\"a\",\"b\"]" },
        { "?limit=0", "[]" },
        { "?blabla=1", "[\"f\",\"e\",\"d\",\"c\",\"b\",\"a\"]" },
        { "?full=0&ids=b", "[{\"id\":\"b\",\"modified\":1767225600.31,\"payload\":\"\",\"sortindex\":2}]" },
    };
    struct bench *b = *state;

    fill(b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char target[128];

        snprintf(target, sizeof target, COL "%s", cases[i].query);
        expect(b, "GET", target, NULL, NULL, 200, cases[i].answer);
        expect_header(b, "X-Last-Modified", "1767225601.31");
    }
}

/* Reads page after page of that many; all answers joined. */
static void pages(struct bench *b, const char *query, unsigned limit, const char *all)
{
    SCOPED(buf_done) struct buf joined = { 0 };
    char target[256], offset[64] = "";
    unsigned n = 0;

    do {
        snprintf(target, sizeof target, COL "?%s&limit=%u%s%s", query, limit, offset[0] ? "&offset=" : "",
                 offset);
        expect(b, "GET", target, NULL, NULL, 200, NULL);
        assert_true(b->body.n > 2); /* no empty page */
        buf_add(&joined, (view){ .p = b->body.p + 1, .n = b->body.n - 2 });
        buf_addc(&joined, ' ');
        snprintf(offset, sizeof offset, "%s",
                 bench_header(b, "X-Weave-Next-Offset") ? bench_header(b, "X-Weave-Next-Offset") : "");
        for (const char *p = offset; *p; p++)
            assert_true((*p >= '0' && *p <= '9') || *p == '_');
        assert_true(++n < 10);
    } while (offset[0]);
    assert_string_equal(buf_text(&joined), all);
}

static void pages_hold_every_item_once(void **state)
{
    struct bench *b = *state;

    fill(b);
    pages(b, "sort=newest", 2, "\"f\",\"e\" \"d\",\"c\" \"b\",\"a\" ");
    pages(b, "", 4, "\"f\",\"e\",\"d\",\"c\" \"b\",\"a\" ");
    pages(b, "sort=oldest", 4, "\"a\",\"b\",\"c\",\"d\" \"e\",\"f\" ");
    pages(b, "sort=index", 3, "\"e\",\"b\",\"d\" \"f\",\"c\",\"a\" ");
    pages(b, "sort=oldest&newer=1767225600.31", 2, "\"d\",\"e\" \"f\" ");
    pages(b, "sort=newest&older=1767225601.31", 2, "\"c\",\"b\" \"a\" ");
    pages(b, "sort=newest", 6, "\"f\",\"e\",\"d\",\"c\",\"b\",\"a\" ");
    pages(b, "sort=newest", 10000, "\"f\",\"e\",\"d\",\"c\",\"b\",\"a\" ");
    expect(b, "GET", COL "?limit=4", NULL, NULL, 200, NULL);
    expect_header(b, "X-Weave-Next-Offset", "1767225600310_1");
    expect(b, "GET", COL "?offset=1767225600310_1", NULL, NULL, 200, "[\"b\",\"a\"]");
    expect(b, "GET", COL "?offset=1767225600310:1", NULL, NULL, 200, "[\"b\",\"a\"]");
}

static void an_offset_of_somebody_else_is_refused(void **state)
{
    static const char *const queries[] = { "?offset=junk&limit=2",
                                           "?offset=1_2_3",
                                           "?offset=-1_2",
                                           "?sort=index&offset=1767225600310_1",
                                           "?offset=1767225600300_1&newer=1767225600.31",
                                           "?offset=1767225600320_1&older=1767225600.31",
                                           "?offset=%00" };
    struct bench *b = *state;

    fill(b);
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        char target[128];

        snprintf(target, sizeof target, COL "%s", queries[i]);
        expect(b, "GET", target, NULL, NULL, 400, "0");
    }
}

static void the_format_is_negotiated(void **state)
{
    struct bench *b = *state;

    expect(b, "POST", COL, "Content-Type: application/newlines; charset=utf-8",
           "{\"id\":\"a\",\"payload\":\"x\\ny\"}\n{\"id\":\"b\"}\n", 200, NULL);
    expect(b, "GET", COL, "Accept: application/newlines", NULL, 200, "\"b\"\n\"a\"\n");
    assert_string_equal(b->last->reply.type, "application/newlines");
    expect_header(b, "X-Weave-Records", "2");
    expect(b, "GET", COL "?full&ids=a", "Accept: application/newlines", NULL, 200,
           "{\"id\":\"a\",\"modified\":1767225600.31,\"payload\":\"x\\ny\"}\n");
    expect(b, "GET", COL, "Accept: x/yy", NULL, 406, "0");
    expect(b, "GET", COL, NULL, NULL, 200, "[\"b\",\"a\"]");
    assert_string_equal(b->last->reply.type, "application/json");
}

static void a_poll_that_finds_nothing_needs_no_transaction(void **state)
{
    struct bench *b = *state;

    fill(b);
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, NULL); /* now the head is in the cache */
    expect(b, "GET", COL "?full=1&newer=1767225601.31", NULL, NULL, 200, "[]");
    assert_true(b->was_warm);
    expect_header(b, "X-Weave-Records", "0");
    expect_header(b, "X-Last-Modified", "1767225601.31");
    expect(b, "GET", COL "?newer=1767225601.31", "Accept: application/newlines", NULL, 200, "");
    assert_true(b->was_warm);
    expect(b, "GET", COL "?newer=1767225601.30", NULL, NULL, 200, NULL);
    assert_false(b->was_warm);
    expect(b, "GET", COL "?newer=1767225601.31&offset=x", NULL, NULL, 400, "0");
    expect(b, "GET", COL "?newer=1767225601.31", "X-If-Modified-Since: 1767225601.31", NULL, 304, "");
    expect(b, "GET", U15 "/storage/none?newer=1", NULL, NULL, 200, "[]");
    assert_true(b->was_warm);
}

/* Somebody else writes, and the cached head does not know it yet. */
static void a_write_between_head_and_items_shows_whole_or_not_at_all(void **state)
{
    struct bench *b = *state;
    const struct item_patch patch = {
        .id = VIEW("g"), .payload_op = PATCH_SET, .payload = VIEW(""), .touches = true
    };
    struct arena a;
    struct store_txn *tx = NULL;

    fill(b);
    expect(b, "GET", COL, NULL, NULL, 200, "[\"f\",\"e\",\"d\",\"c\",\"b\",\"a\"]");
    bench_tick(b, 100);
    arena_init(&a, 1 << 20);
    const struct store_begin o = { .uid = b->uid, .epoch = 1, .mode = STORE_WRITE, .arena = &a };
    assert_int_equal(store_begin(b->worker.store, &o, &tx, NULL), RC_OK);
    assert_int_equal(store_items_put(tx, VIEW("col"), &patch, 1, NULL, NULL), RC_OK);
    assert_int_equal(store_commit(&tx, NULL), RC_OK);
    arena_done(&a);
    expect(b, "GET", COL "?limit=2", NULL, NULL, 200, "[\"g\",\"f\"]");
    expect_header(b, "X-Last-Modified", "1767225602.31");
    expect_header(b, "X-Weave-Records", "2");
    expect_header(b, "X-Weave-Next-Offset", "1767225601310_1");
}

static void preconditions_compare_with_the_collection(void **state)
{
    struct bench *b = *state;

    fill(b);
    expect(b, "GET", COL, "X-If-Modified-Since: 1767225601.31", NULL, 304, "");
    expect_header(b, "X-Last-Modified", "1767225601.31");
    expect(b, "GET", COL, "X-If-Modified-Since: 1767225600.31", NULL, 200, NULL);
    expect(b, "GET", COL, "X-If-Unmodified-Since: 1767225601.30", NULL, 412, "0");
    expect(b, "DELETE", COL "?ids=a", "X-If-Unmodified-Since: 1767225600.31", NULL, 412, "0");
    expect(b, "DELETE", COL, "X-If-Unmodified-Since: 1767225600.31", NULL, 412, "0");
    expect(b, "POST", COL, "X-If-Unmodified-Since: 1767225600.31", "[]", 412, "0");
    expect_header(b, "X-Last-Modified", "1767225601.31");
    expect(b, "DELETE", COL "?ids=a", "X-If-Unmodified-Since: 1767225601.31", NULL, 200,
           "{\"modified\":1767225601.32}");
}

static void ids_are_deleted_and_the_collection_stays(void **state)
{
    struct bench *b = *state;

    fill(b);
    bench_tick(b, 100);
    expect(b, "DELETE", COL "?ids=a,c,zz,", NULL, NULL, 200, "{\"modified\":1767225602.31}");
    expect_header(b, "X-Last-Modified", "1767225602.31");
    expect_header(b, "X-Weave-Timestamp", "1767225602.31");
    expect(b, "GET", COL, NULL, NULL, 200, "[\"f\",\"e\",\"d\",\"b\"]");
    expect(b, "DELETE", COL "?ids=zz", NULL, NULL, 200, "{\"modified\":1767225602.32}");
    expect(b, "DELETE", U15 "/storage/new?ids=1,", NULL, NULL, 200, "{\"modified\":1767225602.33}");
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200,
           "{\"col\":1767225602.32,\"new\":1767225602.33}");
    expect(b, "DELETE", COL "?ids=", NULL, NULL, 400, "0");
    expect(b, "DELETE", COL "?ids", NULL, NULL, 400, "0");
    expect(b, "GET", COL, NULL, NULL, 200, "[\"f\",\"e\",\"d\",\"b\"]");
}

static void a_deleted_collection_leaves_the_storage_time_behind(void **state)
{
    struct bench *b = *state;

    fill(b);
    expect(b, "PUT", U15 "/storage/other/a", NULL, "{}", 200, NULL);
    bench_tick(b, 100);
    expect(b, "DELETE", COL, NULL, NULL, 200, "{\"modified\":1767225602.31}");
    expect_header(b, "X-Last-Modified", "1767225602.31");
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, "{\"other\":1767225601.32}");
    expect_header(b, "X-Last-Modified", "1767225602.31");
    bench_tick(b, 100);
    expect(b, "DELETE", COL, NULL, NULL, 200, "{\"modified\":1767225602.31}"); /* nothing changes any more */
    expect(b, "GET", COL, NULL, NULL, 200, "[]");
    expect(b, "GET", U15 "/storage/other/a", NULL, NULL, 200, NULL);
}

static void a_wipe_takes_everything_twice(void **state)
{
    static const char *const targets[] = { U15, U15 "/storage" };
    struct bench *b = *state;

    for (size_t i = 0; i < 2; i++) {
        fill(b);
        expect(b, "DELETE", targets[i], "X-If-Unmodified-Since: 1", NULL, 412, "0");
        expect(b, "DELETE", targets[i], "X-Confirm-Delete: 1", NULL, 200, "{}");
        assert_non_null(bench_header(b, "X-Last-Modified"));
        expect(b, "DELETE", targets[i], "X-If-Unmodified-Since: 0", NULL, 200, "{}");
        expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, "{}");
        expect_header(b, "X-Last-Modified", "0.00");
        expect(b, "GET", COL "/a", NULL, NULL, 404, "0");
    }
}

static void an_answer_of_megabytes_is_whole(void **state)
{
    SCOPED(buf_done) struct buf body = { 0 };
    struct bench *b = *state;

    b->limits.max_post_bytes = 8 << 20;
    buf_addc(&body, '[');
    for (int i = 0; i < 60; i++)
        buf_addf(&body, "%s{\"id\":\"%02d\",\"payload\":\"%0100000d\"}", i ? "," : "", i, 0);
    buf_addc(&body, ']');
    assert_int_equal(ask_bytes(b, "POST", COL, NULL, buf_view(&body)), 200);
    expect(b, "GET", COL "?full=1", "Accept: application/newlines", NULL, 200, NULL);
    assert_int_equal(b->body.n,
                     60 * (100000 + strlen("{\"id\":\"00\",\"modified\":1767225600.31,\"payload\":\"\"}\n")));
    assert_true(b->last->reply.spill_fd >= 0);
    expect_header(b, "X-Weave-Records", "60");
}

/* What Firefox does with an empty server (docs/protocol-notes.md). */
static void a_first_sync_works(void **state)
{
    struct bench *b = *state;

    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, "{}");
    expect(b, "GET", U15 "/info/configuration", NULL, NULL, 200, NULL);
    expect(b, "GET", U15 "/storage/meta/global", NULL, NULL, 404, "0");
    expect(b, "DELETE", U15 "/storage", "X-Confirm-Delete: 1", NULL, 200, "{}");
    bench_tick(b, 5);
    expect(b, "PUT", U15 "/storage/meta/global", "X-If-Unmodified-Since: 0\nContent-Type: text/plain",
           "{\"id\":\"global\",\"payload\":\"{}\"}", 200, "1767225600.36");
    expect(b, "PUT", U15 "/storage/crypto/keys", "X-If-Unmodified-Since: 0\nContent-Type: text/plain",
           "{\"id\":\"keys\",\"payload\":\"k\"}", 200, "1767225600.37");
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200,
           "{\"meta\":1767225600.36,\"crypto\":1767225600.37}");
    assert_true(b->was_warm);
    expect_header(b, "X-Weave-Records", "2");
    expect(b, "GET", U15 "/storage/crypto/keys", NULL, NULL, 200,
           "{\"id\":\"keys\",\"modified\":1767225600.37,\"payload\":\"k\"}");
    expect(b, "POST", U15 "/storage/clients?batch=true&commit=true", "Content-Type: text/plain",
           "[{\"id\":\"dev\",\"payload\":\"c\",\"ttl\":15552000}]", 200,
           "{\"modified\":1767225600.38,\"success\":[\"dev\"],\"failed\":{}}");
    /* the other device was first */
    expect(b, "PUT", U15 "/storage/meta/global", "X-If-Unmodified-Since: 0", "{\"payload\":\"{}\"}", 412,
           "0");
}

#define T(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_collection_that_was_never_written_is_empty),
        T(filters_and_orders_combine),
        T(pages_hold_every_item_once),
        T(an_offset_of_somebody_else_is_refused),
        T(the_format_is_negotiated),
        T(a_poll_that_finds_nothing_needs_no_transaction),
        T(a_write_between_head_and_items_shows_whole_or_not_at_all),
        T(preconditions_compare_with_the_collection),
        T(ids_are_deleted_and_the_collection_stays),
        T(a_deleted_collection_leaves_the_storage_time_behind),
        T(a_wipe_takes_everything_twice),
        T(an_answer_of_megabytes_is_whole),
        T(a_first_sync_works),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
