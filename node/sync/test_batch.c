#include "node/sync/testing.h"

#define COL U15 "/storage/col"

/* The id in the last answer; "" without one. */
static const char *batch_id(struct bench *b, char out[64])
{
    const char *at = strstr(buf_text(&b->body), "\"batch\":\"");

    snprintf(out, 64, "%.24s", at ? at + 9 : "");
    return out;
}

static const char *target(const char *coll, const char *id, const char *more)
{
    static char text[160];

    snprintf(text, sizeof text, U15 "/storage/%s?batch=%s%s", coll, id, more);
    return text;
}

static void a_list_is_written_with_one_time(void **state)
{
    struct bench *b = *state;

    expect(
        b, "POST", COL, "Content-Type: text/plain",
        "[{\"id\":\"a\",\"payload\":\"1\"},{\"id\":\"bad\\n\",\"payload\":\"x\"},{\"id\":\"b\",\"ttl\":\"x\"}]",
        200,
        "{\"modified\":1767225600.31,\"success\":[\"a\"],"
        "\"failed\":{\"bad\\n\":\"invalid id\",\"b\":\"invalid ttl\"}}");
    expect_header(b, "X-Last-Modified", "1767225600.31");
    expect_header(b, "X-Weave-Timestamp", "1767225600.31");
    expect(b, "POST", COL, NULL, "[{\"id\":\"a\",\"sortindex\":5},{\"id\":\"c\",\"ttl\":100}]", 200, NULL);
    expect(b, "GET", COL "?full=1&sort=oldest", NULL, NULL, 200,
           "[{\"id\":\"a\",\"modified\":1767225600.32,\"payload\":\"1\",\"sortindex\":5},"
           "{\"id\":\"c\",\"modified\":1767225600.32,\"payload\":\"\"}]");
    expect(b, "POST", COL, NULL, "[{\"id\":\"a\",\"ttl\":100},{\"id\":\"d\",\"ttl\":100}]", 200, NULL);
    expect(b, "GET", COL "?newer=1767225600.32", NULL, NULL, 200, "[\"d\"]"); /* a ttl alone keeps the time */
}

static void a_list_of_nothing_good_still_moves_the_collection(void **state)
{
    struct bench *b = *state;

    expect(b, "POST", COL, NULL, "[]", 200, "{\"modified\":1767225600.31,\"success\":[],\"failed\":{}}");
    expect(b, "POST", COL, NULL, "[{\"id\":\"a\",\"ttl\":-1}]", 200,
           "{\"modified\":1767225600.32,\"success\":[],\"failed\":{\"a\":\"invalid ttl\"}}");
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, "{\"col\":1767225600.32}");
}

static void a_wrong_list_stores_nothing(void **state)
{
    struct bench *b = *state;

    expect(b, "POST", COL, NULL, "[{\"id\":\"a\"},\"BAD\"]", 400, "8");
    expect(b, "POST", COL, NULL, "[{\"id\":\"a\"},{\"id\":\"a\"}]", 400, "8");
    expect(b, "POST", COL, NULL, "{}", 400, "8");
    expect(b, "POST", COL, NULL, "", 400, "6");
    expect(b, "POST", COL, NULL, "[{\"id\":\"a\"}", 400, "6");
    expect(b, "POST", COL, "Content-Type: application/octet-stream", "[]", 415, "0");
    expect(b, "POST", COL, "Content-Type: application/newlines", "\n", 400, "6");
    expect(b, "POST", U15 "/storage/crypto", NULL,
           "[{\"id\":\"keys\",\"payload\":\"\\\"IV\\\": \\\"AAAAAAAAAAAAAAAAAAAAAA==\\\"\"}]", 400, "8");
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, "{}");
}

static void a_batch_shows_nothing_before_its_commit_and_all_after(void **state)
{
    struct bench *b = *state;
    char id[64], again[64], answer[160];

    expect(b, "POST", COL, NULL, "[{\"id\":\"old\",\"payload\":\"o\",\"sortindex\":1}]", 200, NULL);
    bench_tick(b, 100);
    expect(b, "POST", COL "?batch=true", NULL, "[{\"id\":\"a\",\"payload\":\"1\"},{\"id\":\"x\",\"ttl\":-1}]",
           202, NULL);
    expect_header(b, "X-Last-Modified", "1767225600.31");
    assert_int_equal(strlen(batch_id(b, id)), BATCH_ID_TEXT);
    snprintf(answer, sizeof answer,
             "{\"batch\":\"%s\",\"success\":[\"a\"],\"failed\":{\"x\":\"invalid ttl\"}}", id);
    assert_string_equal(buf_text(&b->body), answer);
    expect(b, "POST", target("col", id, ""), NULL,
           "[{\"id\":\"a\",\"payload\":\"2\"},{\"id\":\"old\",\"ttl\":100}]", 202, NULL);
    assert_string_equal(batch_id(b, again), id);
    expect_header(b, "X-Last-Modified", "1767225600.31");
    expect(b, "GET", COL, NULL, NULL, 200, "[\"old\"]");
    expect_header(b, "X-Last-Modified", "1767225600.31");
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, "{\"col\":1767225600.31}");
    expect(b, "GET", U15 "/info/collection_counts", NULL, NULL, 200, "{\"col\":1}");
    bench_tick(b, 100);
    expect(b, "POST", target("col", id, "&commit=true"), "X-If-Unmodified-Since: 1767225600.31",
           "[{\"id\":\"b\",\"payload\":\"3\"},{\"id\":\"a\",\"sortindex\":9}]", 200,
           "{\"modified\":1767225602.31,\"success\":[\"b\",\"a\"],\"failed\":{}}");
    expect_header(b, "X-Last-Modified", "1767225602.31");
    expect(b, "GET", COL "?full=1&sort=oldest", NULL, NULL, 200,
           "[{\"id\":\"a\",\"modified\":1767225602.31,\"payload\":\"2\",\"sortindex\":9},"
           "{\"id\":\"b\",\"modified\":1767225602.31,\"payload\":\"3\"},"
           "{\"id\":\"old\",\"modified\":1767225602.31,\"payload\":\"o\",\"sortindex\":1}]");
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, "{\"col\":1767225602.31}");
    bench_tick(b, 9900);
    expect(b, "GET", COL "/old", NULL, NULL, 200, NULL); /* its ttl counts from the commit */
    bench_tick(b, 100);
    expect(b, "GET", COL "/old", NULL, NULL, 404, "0");
    expect(b, "POST", target("col", id, "&commit=true"), NULL, "[]", 400, "0"); /* gone, and never back */
}

static void a_batch_belongs_to_its_user_and_collection(void **state)
{
    struct bench *b = *state;
    char id[64];

    expect(b, "POST", COL "?batch=true", NULL, "[{\"id\":\"a\"}]", 202, NULL);
    expect_header(b, "X-Last-Modified", "0.00");
    batch_id(b, id);
    expect(b, "POST", target("other", id, ""), NULL, "[]", 400, "0");
    expect(b, "POST", target("other", id, "&commit=true"), NULL, "[]", 400, "0");
    b->uid = 12346;
    expect(b, "POST", target("col", id, ""), NULL, "[]", 400, "0");
    expect(b, "POST", target("col", id, "&commit=true"), NULL, "[]", 400, "0");
    b->uid = 12345;
    expect(b, "POST", target("col", id, "&commit=true"), NULL, "{}", 400, "8");
    expect(b, "POST", target("col", id, "&commit=true"), "Content-Type: application/newlines", "", 200, NULL);
    expect(b, "GET", COL, NULL, NULL, 200, "[\"a\"]");
}

static void a_batch_is_412_while_the_collection_changes_and_old_after_two_hours(void **state)
{
    struct bench *b = *state;
    char id[64];

    expect(b, "POST", COL "?batch=true", "X-If-Unmodified-Since: 0", "[{\"id\":\"a\"}]", 202, NULL);
    batch_id(b, id);
    expect(b, "PUT", COL "/z", NULL, "{}", 200, NULL);
    expect(b, "POST", target("col", id, ""), "X-If-Unmodified-Since: 0", "[]", 412, "0");
    expect(b, "POST", target("col", id, "&commit=true"), "X-If-Unmodified-Since: 0", "[]", 412, "0");
    bench_tick(b, 720100);
    expect(b, "POST", target("col", id, ""), NULL, "[]", 400, "0");
    expect(b, "POST", target("col", id, "&commit=true"), NULL, "[]", 400, "0");
    expect(b, "GET", COL, NULL, NULL, 200, "[\"z\"]");
}

static void start_and_commit_at_once_is_a_plain_post(void **state)
{
    struct bench *b = *state;

    expect(b, "POST", COL "?batch=true&commit=true", NULL, "[{\"id\":\"a\"}]", 200,
           "{\"modified\":1767225600.31,\"success\":[\"a\"],\"failed\":{}}");
    expect(b, "POST", COL "?batch=sammich", NULL, "[]", 400, "0");
    expect(b, "POST", COL "?commit=true", NULL, "[]", 400, "0");
    expect(b, "POST", COL "?batch=true&commit=maybe", NULL, "[]", 400, "0");
}

static void totals_of_a_batch_are_counted(void **state)
{
    struct bench *b = *state;
    char id[64];

    b->limits.max_total_records = 3;
    b->limits.max_total_bytes = 10;
    expect(b, "POST", COL "?batch=true", NULL, "[{\"id\":\"a\",\"payload\":\"12345\"},{\"id\":\"b\"}]", 202,
           NULL);
    batch_id(b, id);
    expect(b, "POST", target("col", id, ""), NULL, "[{\"id\":\"c\"},{\"id\":\"d\"}]", 400, "17");
    expect(b, "POST", target("col", id, ""), NULL, "[{\"id\":\"c\",\"payload\":\"123456\"}]", 400, "17");
    expect(b, "POST", target("col", id, "&commit=true"), NULL, "[{\"id\":\"c\",\"payload\":\"12345\"}]", 200,
           NULL);
    expect(b, "GET", COL, NULL, NULL, 200, "[\"c\",\"b\",\"a\"]");
}

static void an_empty_batch_makes_the_collection_when_it_is_committed(void **state)
{
    struct bench *b = *state;
    char id[64];

    expect(b, "POST", COL "?batch", NULL, "[]", 202, NULL);
    batch_id(b, id);
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, "{}");
    expect(b, "POST", target("col", id, "&commit=true"), NULL, "[]", 200,
           "{\"modified\":1767225600.31,\"success\":[],\"failed\":{}}");
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, "{\"col\":1767225600.31}");
}

static void switched_off_a_batch_is_a_plain_post(void **state)
{
    struct bench *b = *state;

    b->limits.batches = false;
    expect(b, "POST", COL "?batch=true", NULL, "[{\"id\":\"a\"}]", 200,
           "{\"modified\":1767225600.31,\"success\":[\"a\"],\"failed\":{}}");
    expect(b, "POST", COL "?commit=true", NULL, "[]", 200, NULL);
    expect(b, "POST", target("col", "Jx2Qf0m3S9yTq1lAzB7cDw", ""), NULL, "[]", 400, "0");
    expect(b, "GET", U15 "/info/configuration", NULL, NULL, 200,
           "{\"max_record_payload_bytes\":2621440,\"max_request_bytes\":2625536}");
}

#define T(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_list_is_written_with_one_time),
        T(a_list_of_nothing_good_still_moves_the_collection),
        T(a_wrong_list_stores_nothing),
        T(a_batch_shows_nothing_before_its_commit_and_all_after),
        T(a_batch_belongs_to_its_user_and_collection),
        T(a_batch_is_412_while_the_collection_changes_and_old_after_two_hours),
        T(start_and_commit_at_once_is_a_plain_post),
        T(totals_of_a_batch_are_counted),
        T(an_empty_batch_makes_the_collection_when_it_is_committed),
        T(switched_off_a_batch_is_a_plain_post),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
