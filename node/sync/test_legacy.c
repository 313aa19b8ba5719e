#include "node/sync/testing.h"

#define COL U11 "/storage/col"

static void an_item_is_written_read_and_deleted(void **state)
{
    struct bench *b = *state;

    expect(b, "PUT", COL "/a", "Content-Type: text/plain",
           "{\"payload\":\"p\",\"modified\":5,\"boooo\":\"\"}", 200, "1767225600.31");
    expect_header(b, "X-Weave-Timestamp", "1767225600.31");
    expect_no_header(b, "X-Last-Modified");
    expect(b, "GET", COL "/a", NULL, NULL, 200,
           "{\"id\":\"a\",\"modified\":1767225600.31,\"payload\":\"p\"}");
    expect_no_header(b, "X-Weave-Records");
    expect(b, "GET", COL "/a/", NULL, NULL, 200, NULL);
    expect(b, "GET", "/1.0/johndoe/storage/col/a?full=1", NULL, NULL, 200, NULL);
    expect(b, "GET", "/1/johndoe/storage/col/a", NULL, NULL, 200, NULL);
    expect(b, "DELETE", COL "/a", NULL, NULL, 200, "1767225600.32");
    expect(b, "GET", U11 "/info/collections", NULL, NULL, 200, "{\"col\":1767225600.32}");
    expect(b, "DELETE", COL "/a", NULL, NULL, 200, "1767225600.32"); /* absent: nothing changes */
    expect(b, "GET", COL "/a", NULL, NULL, 404, "0");
    expect(b, "HEAD", COL "/a", NULL, NULL, 405, "0");
}

static void a_write_without_payload_keeps_payload_and_time(void **state)
{
    struct bench *b = *state;

    expect(b, "PUT", COL "/a", NULL, "{\"payload\":\"p\",\"ttl\":100,\"predecessorid\":\"q\"}", 200,
           "1767225600.31");
    bench_tick(b, 100);
    expect(b, "PUT", COL "/a", NULL, "{\"sortindex\":\"5.5\",\"parentid\":33}", 200, "1767225600.31");
    expect_header(b, "X-Weave-Timestamp", "1767225601.31");
    expect(b, "GET", COL "/a", NULL, NULL, 200,
           "{\"id\":\"a\",\"modified\":1767225600.31,\"payload\":\"p\",\"sortindex\":5,\"parentid\":\"33\","
           "\"predecessorid\":\"q\"}");
    expect(b, "GET", U11 "/info/collections", NULL, NULL, 200, "{\"col\":1767225601.31}");
    expect(b, "POST", COL, NULL, "[{\"id\":\"a\",\"sortindex\":6},{\"id\":\"n\",\"sortindex\":7}]", 200,
           NULL);
    expect(
        b, "GET", COL "?full=1", NULL, NULL, 200,
        "[{\"id\":\"a\",\"modified\":1767225600.31,\"payload\":\"p\",\"sortindex\":6,\"parentid\":\"33\","
        "\"predecessorid\":\"q\"},{\"id\":\"n\",\"modified\":1767225601.32,\"payload\":\"\",\"sortindex\":7}]");
    bench_tick(b, 10000);
    expect(b, "GET", COL "/a", NULL, NULL, 404, "0"); /* the ttl was kept, too */
    expect(b, "PUT", COL "/a", NULL, "{\"payload\":\"p\",\"ttl\":100}", 200, NULL);
    expect(b, "PUT", COL "/a", NULL, "{\"payload\":\"\"}", 200, NULL); /* and a payload without one ends it */
    bench_tick(b, 20000);
    expect(b, "GET", COL "/a", NULL, NULL, 200, NULL);
}

static void a_mixed_batch_tells_what_failed(void **state)
{
    struct bench *b = *state;

    expect(
        b, "POST", COL, NULL,
        "[{\"id\":\"1\",\"payload\":\"x\"},{\"id\":\"2\"},{\"id\":3,\"payload\":\"x\",\"sortindex\":\"9999.1\"},"
        "{\"id\":\"4\",\"parentid\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"},"
        "{\"id\":\"6\",\"sortindex\":\"abc\"},{\"payload\":\"x\"},\"BAD\",{\"id\":\"a/b\"}]",
        200,
        "{\"modified\":1767225600.31,\"success\":[\"1\",\"2\",\"3\"],\"failed\":{\"4\":[\"invalid parentid\"],"
        "\"6\":[\"invalid sortindex\"],\"a/b\":[\"invalid id\"],\"\":[\"invalid id\",\"invalid wbo\"]}}");
    expect_header(b, "X-Weave-Timestamp", "1767225600.31");
    expect(b, "GET", COL "/3", NULL, NULL, 200, NULL);
    expect(b, "GET", COL "/6", NULL, NULL, 404, "0");
}

static void nothing_to_store_makes_no_collection(void **state)
{
    struct bench *b = *state;

    expect(b, "POST", COL, NULL, "[]", 200, "{\"modified\":1767225600.31,\"success\":[],\"failed\":{}}");
    expect(b, "POST", COL, NULL, "[1]", 200, NULL);
    expect(b, "DELETE", COL, NULL, NULL, 200, "1767225600.31");
    expect(b, "DELETE", COL "/a", NULL, NULL, 200, "1767225600.31");
    expect(b, "DELETE", COL "?ids=a", NULL, NULL, 200, "1767225600.31");
    expect(b, "GET", COL, NULL, NULL, 200, "[]");
    expect_header(b, "X-Weave-Records", "0");
    expect(b, "GET", U11 "/info/collections", NULL, NULL, 200, "{}");
}

static void one_object_posted_is_a_put(void **state)
{
    struct bench *b = *state;

    expect(b, "POST", COL, NULL, "{\"id\":\"a\",\"payload\":\"x\"}", 200, "1767225600.31");
    expect(b, "PUT", COL, NULL, "{\"id\":\"b\",\"payload\":\"x\"}", 200, "1767225600.32");
    expect(b, "PUT", COL, NULL, "[{\"id\":\"c\"}]", 200,
           "{\"modified\":1767225600.33,\"success\":[\"c\"],\"failed\":{}}");
    expect(b, "POST", COL, NULL, "{\"payload\":\"x\"}", 400, "8");
    expect(b, "POST", COL, NULL, "\"notalist\"", 400, "8");
    expect(b, "POST", COL, NULL, "", 400, "6");
    expect(b, "GET", COL, NULL, NULL, 200, "[\"a\",\"b\",\"c\"]");
}

static void more_than_fits_is_sent_back_for_another_try(void **state)
{
    SCOPED(buf_done) struct buf body = { 0 };
    struct bench *b = *state;

    for (int i = 0; i < 105; i++)
        buf_addf(&body, "%c{\"id\":\"%d\"}", i ? ',' : '[', i);
    buf_addc(&body, ']');
    assert_int_equal(ask_bytes(b, "POST", COL, NULL, buf_view(&body)), 200);
    assert_non_null(strstr(buf_text(&b->body), "\"99\"],\"failed\":{\"100\":[\"retry wbo\"],"));
    buf_clear(&body);
    for (int i = 0; i < 5; i++)
        buf_addf(&body, "%c{\"id\":\"%d\",\"payload\":\"%0215040d\"}", i ? ',' : '[', i, 0);
    buf_addc(&body, ']');
    assert_int_equal(ask_bytes(b, "POST", COL, NULL, buf_view(&body)), 200);
    assert_non_null(strstr(buf_text(&b->body),
                           "\"success\":[\"0\",\"1\",\"2\",\"3\"],\"failed\":{\"4\":[\"retry bytes\"]}"));
}

static void filters_orders_and_pages(void **state)
{
    static const struct {
        const char *query, *answer;
    } cases[] = {
        { "", "[\"0\",\"1\",\"2\",\"3\"]" },
        { "?sort=oldest", "[\"1\",\"2\",\"3\",\"0\"]" },
        { "?sort=newest", "[\"0\",\"1\",\"2\",\"3\"]" },
        { "?sort=index", "[\"1\",\"2\",\"3\",\"0\"]" },
        { "?sort=nonsense&limit=2", "[\"0\",\"1\"]" },
        { "?sort=index&limit=2&offset=2", "[\"3\",\"0\"]" },
        { "?limit=2&offset=5", "[]" },
        { "?limit=-5&offset=2", "[\"0\",\"1\",\"2\",\"3\"]" },
        { "?index_above=4.5", "[\"1\",\"2\"]" },
        { "?index_above=5&index_below=34", "[\"2\"]" },
        { "?parentid=p", "[\"1\",\"3\"]" },
        { "?predecessorid=q&parentid=p", "[\"3\"]" },
        { "?newer=1767225600.31", "[\"0\"]" },
        { "?older=1767225601.31&newer=1", "[\"1\",\"2\",\"3\"]" },
        { "?ids=1,3,%7Bx%7D", "[\"1\",\"3\"]" },
        { "?ids=", "[]" },
        { "?full=", "[\"0\",\"1\",\"2\",\"3\"]" },
        { "?full=1&ids=2", "[{\"id\":\"2\",\"modified\":1767225600.31,\"payload\":\"\",\"sortindex\":12}]" },
    };
    static const char *const bad[] = { "?newer=abc", "?limit=abc", "?offset=x", "?index_above=nan",
                                       "?older=" };
    struct bench *b = *state;

    expect(b, "POST", COL, NULL,
           "[{\"id\":\"1\",\"sortindex\":34,\"parentid\":\"p\"},{\"id\":\"2\",\"sortindex\":12},"
           "{\"id\":\"3\",\"sortindex\":1,\"parentid\":\"p\",\"predecessorid\":\"q\"}]",
           200, NULL);
    bench_tick(b, 100);
    expect(b, "PUT", COL "/0", NULL, "{\"payload\":\"\"}", 200, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char target[128];

        snprintf(target, sizeof target, COL "%s", cases[i].query);
        expect(b, "GET", target, "X-If-Unmodified-Since: 0", NULL, 200, cases[i].answer);
        expect_no_header(b, "X-Weave-Next-Offset");
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char target[128];

        snprintf(target, sizeof target, COL "%s", bad[i]);
        expect(b, "GET", target, NULL, NULL, 400, "0");
        expect(b, "DELETE", target, NULL, NULL, 400, "0");
    }
}

static void records_with_their_length_in_front(void **state)
{
    struct bench *b = *state;

    expect(b, "POST", COL, NULL, "[{\"id\":\"id1\"},{\"id\":\"id2\"}]", 200, NULL);
    assert_int_equal(ask(b, "GET", COL, "Accept: application/whoisi", NULL), 200);
    assert_true(view_eq(buf_view(&b->body), VIEW("\0\0\0\5\"id1\"\0\0\0\5\"id2\"")));
    assert_string_equal(b->last->reply.type, "application/whoisi");
    expect(b, "GET", COL, "Accept: application/newlines", NULL, 200, "\"id1\"\n\"id2\"\n");
    expect(b, "GET", COL, "Accept: application/xxx", NULL, 200, "[\"id1\",\"id2\"]");
}

static void a_delete_removes_what_is_selected(void **state)
{
    static const char body[] =
        "[{\"id\":\"1\",\"sortindex\":34,\"parentid\":\"p\"},{\"id\":\"2\",\"sortindex\":12},"
        "{\"id\":\"3\",\"sortindex\":1},{\"id\":\"{4}\"}]";
    static const struct {
        const char *query, *left;
    } cases[] = {
        { "?ids=1,%7B4%7D", "[\"2\",\"3\"]" },
        { "?ids=", "[\"1\",\"2\",\"3\",\"{4}\"]" },
        { "?parentid=p", "[\"2\",\"3\",\"{4}\"]" },
        { "?index_above=11", "[\"3\",\"{4}\"]" },
        { "?sort=index&limit=2", "[\"3\",\"{4}\"]" },
        { "?sort=index&limit=1&offset=1", "[\"1\",\"3\",\"{4}\"]" },
        { "?newer=9999999999", "[\"1\",\"2\",\"3\",\"{4}\"]" },
        { "?older=9999999999", "[]" },
        { "?limit=1", "[\"2\",\"3\",\"{4}\"]" },
        { "?x=y", "[]" },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char target[128];

        expect(b, "POST", COL, NULL, body, 200, NULL);
        bench_tick(b, 100);
        snprintf(target, sizeof target, COL "%s", cases[i].query);
        expect(b, "DELETE", target, NULL, NULL, 200, NULL);
        assert_string_equal(bench_header(b, "X-Weave-Timestamp"), buf_text(&b->body));
        expect(b, "GET", COL, NULL, NULL, 200, cases[i].left);
    }
    expect(b, "GET", U11 "/info/collections", NULL, NULL, 200, "{}"); /* the last one named nothing */
}

static void a_precondition_compares_with_the_collection_on_writes(void **state)
{
    struct bench *b = *state;

    expect(b, "PUT", COL "/a", "X-If-Unmodified-Since: 0", "{\"payload\":\"p\"}", 200, NULL);
    expect(b, "PUT", COL "/b", "X-If-Unmodified-Since: 1767225600.30", "{}", 412, "0");
    expect(b, "PUT", COL "/b", "X-If-Unmodified-Since: 1767225600.30", "nonsense", 412, "0");
    expect(b, "POST", COL, "X-If-Unmodified-Since: 1767225600.30", "nonsense", 412, "0");
    expect(b, "DELETE", COL "/zz", "X-If-Unmodified-Since: 1767225600.30", NULL, 412, "0");
    expect(b, "DELETE", COL, "X-If-Unmodified-Since: 1767225600.30", NULL, 412, "0");
    expect(b, "PUT", COL "/b", "X-If-Unmodified-Since: abc", "{}", 400, "0");
    expect(b, "GET", COL "/a", "X-If-Unmodified-Since: abc\nX-If-Modified-Since: 9999999999", NULL, 200,
           NULL);
    expect(b, "PUT", COL "/b", "X-If-Unmodified-Since: 1767225600.31", "{}", 200, NULL);
    expect(b, "GET", COL, NULL, NULL, 200, "[\"a\",\"b\"]");
}

static void a_wipe_must_be_confirmed(void **state)
{
    struct bench *b = *state;

    expect(b, "PUT", U11 "/storage/meta/global", NULL, "{\"payload\":\"p\"}", 200, NULL);
    expect(b, "DELETE", U11 "/storage", NULL, NULL, 400, "4");
    expect(b, "GET", U11 "/storage/meta/global", NULL, NULL, 200, NULL);
    expect(b, "DELETE", U11 "/storage", "X-Confirm-Delete: 1\nX-If-Unmodified-Since: 0", NULL, 200,
           "1767225600.32");
    expect(b, "GET", U11 "/storage/meta/global", NULL, NULL, 404, "0");
    expect(b, "GET", U11 "/info/collections", NULL, NULL, 200, "{}");
    expect(b, "GET", U11 "/storage", NULL, NULL, 405, "0");
    expect_header(b, "Allow", "DELETE");
    expect(b, "PUT", U11 "/storage/", NULL, "{}", 405, "0");
}

static void illegal_names_are_told_apart(void **state)
{
#define LONG_NAME "012345678901234567890123456789012"
    struct bench *b = *state;

    expect(b, "PUT", U11 "/storage/" LONG_NAME "/a", NULL, "{}", 400, "13");
    expect(b, "POST", U11 "/storage/" LONG_NAME, NULL, "[]", 400, "13");
    expect(b, "GET", U11 "/storage/" LONG_NAME, NULL, NULL, 200, "[]");
    expect(b, "GET", U11 "/storage/" LONG_NAME "/a", NULL, NULL, 404, "0");
    expect(b, "DELETE", U11 "/storage/" LONG_NAME, NULL, NULL, 200, NULL);
    expect(b, "PUT", COL "/a%2Fb", NULL, "{}", 400, "8");
    expect(b, "GET", COL "/a%00", NULL, NULL, 400, "8");
    expect(b, "DELETE", COL "/%0A", NULL, NULL, 400, "8");
    expect(b, "PUT", U11 "/storage/c%2Fd/a", NULL, "{}", 404, "0");
    expect(b, "PUT", COL "/123%5C0000123", NULL, "{\"payload\":\"x\"}", 200, NULL);
    expect(b, "GET", COL "/123%5C0000123", NULL, NULL, 200,
           "{\"id\":\"123\\\\0000123\",\"modified\":1767225600.31,\"payload\":\"x\"}");
    expect(b, "PUT", COL "/%23%3F~", NULL, "{\"payload\":\"x\"}", 200, NULL);
    expect(b, "GET", COL "/%23%3F~", NULL, NULL, 200, NULL);
}

static void info_is_told_without_headers_of_1_5(void **state)
{
    struct bench *b = *state;

    expect(b, "PUT", COL "/a", NULL, "{\"payload\":\"XyX\"}", 200, NULL);
    expect(b, "GET", U11 "/info/collections?v=1.17.0", "X-If-Modified-Since: 9999999999", NULL, 200,
           "{\"col\":1767225600.31}");
    assert_true(b->was_warm);
    expect_header(b, "X-Weave-Records", "1");
    expect_no_header(b, "X-Last-Modified");
    expect(b, "GET", U11 "/info/collection_counts/", NULL, NULL, 200, "{\"col\":1}");
    expect_header(b, "X-Weave-Records", "1");
    expect(b, "GET", U11 "/info/collection_usage", NULL, NULL, 200, "{\"col\":0.0029296875}");
    expect_no_header(b, "X-Weave-Records");
    expect(b, "GET", U11 "/info/quota", NULL, NULL, 200, "[0.0029296875,null]");
    expect(b, "GET", U11 "/info/configuration", NULL, NULL, 404, "0");
}

#define T(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_item_is_written_read_and_deleted),
        T(a_write_without_payload_keeps_payload_and_time),
        T(a_mixed_batch_tells_what_failed),
        T(nothing_to_store_makes_no_collection),
        T(one_object_posted_is_a_put),
        T(more_than_fits_is_sent_back_for_another_try),
        T(filters_orders_and_pages),
        T(records_with_their_length_in_front),
        T(a_delete_removes_what_is_selected),
        T(a_precondition_compares_with_the_collection_on_writes),
        T(a_wipe_must_be_confirmed),
        T(illegal_names_are_told_apart),
        T(info_is_told_without_headers_of_1_5),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
