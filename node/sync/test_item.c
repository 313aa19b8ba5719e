#include "common/base/metrics.h"
#include "node/store/move.h"
#include "node/sync/testing.h"

#define ITEM U15 "/storage/bookmarks/a"

static void a_put_item_comes_back_with_the_time_it_was_told(void **state)
{
    struct bench *b = *state;

    expect(b, "PUT", ITEM, "Content-Type: text/plain", "{\"id\":\"x\",\"payload\":\"p\",\"modified\":12}",
           200, "1767225600.31");
    expect_header(b, "X-Last-Modified", "1767225600.31");
    expect_header(b, "X-Weave-Timestamp", "1767225600.31");
    expect(b, "GET", ITEM, NULL, NULL, 200, "{\"id\":\"a\",\"modified\":1767225600.31,\"payload\":\"p\"}");
    assert_true(b->was_warm);
    expect_header(b, "X-Last-Modified", "1767225600.31");
    expect_no_header(b, "X-Weave-Records");
    expect(b, "HEAD", ITEM, NULL, NULL, 200, NULL);
    expect(b, "GET", U15 "/storage/bookmarks/x", NULL, NULL, 404, "0");
}

static void two_writes_never_share_a_time_even_if_the_clock_goes_back(void **state)
{
    struct bench *b = *state;

    expect(b, "PUT", ITEM, NULL, "{}", 200, "1767225600.31");
    expect(b, "PUT", ITEM, NULL, "{\"payload\":\"1\"}", 200, "1767225600.32");
    bench_tick(b, -100000);
    expect(b, "PUT", ITEM, NULL, "{\"payload\":\"2\"}", 200, "1767225600.33");
    expect_header(b, "X-Weave-Timestamp", "1767225600.33");
    expect(b, "GET", ITEM, NULL, NULL, 200, NULL);
    expect_header(b, "X-Weave-Timestamp", "1767225600.33"); /* raised to what it shows */
}

static void fields_that_are_not_sent_stay(void **state)
{
    struct bench *b = *state;

    expect(b, "PUT", ITEM, NULL, "{\"payload\":\"p\",\"sortindex\":7,\"ttl\":100}", 200, "1767225600.31");
    bench_tick(b, 100);
    expect(b, "PUT", ITEM, NULL, "{\"ttl\":1000}", 200, "1767225601.31");
    expect(b, "GET", ITEM, NULL, NULL, 200,
           "{\"id\":\"a\",\"modified\":1767225600.31,\"payload\":\"p\",\"sortindex\":7}");
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, "{\"bookmarks\":1767225601.31}");
    bench_tick(b, 100);
    expect(b, "PUT", ITEM, NULL, "{\"sortindex\":8}", 200, "1767225602.31");
    expect(b, "GET", ITEM, NULL, NULL, 200,
           "{\"id\":\"a\",\"modified\":1767225602.31,\"payload\":\"p\",\"sortindex\":8}");
}

static void an_expired_item_is_missing_and_may_be_written_anew(void **state)
{
    struct bench *b = *state;

    expect(b, "PUT", ITEM, NULL, "{\"payload\":\"p\",\"sortindex\":7,\"ttl\":0}", 200, NULL);
    expect(b, "GET", ITEM, NULL, NULL, 404, "0");
    expect(b, "DELETE", ITEM, NULL, NULL, 404, "0");
    expect(b, "GET", U15 "/storage/bookmarks", NULL, NULL, 200, "[]");
    expect(b, "PUT", ITEM, "X-If-Unmodified-Since: 0", "{\"payload\":\"q\",\"ttl\":2}", 200, "1767225600.32");
    expect(b, "GET", ITEM, NULL, NULL, 200, "{\"id\":\"a\",\"modified\":1767225600.32,\"payload\":\"q\"}");
    bench_tick(b, 210);
    expect(b, "GET", ITEM, NULL, NULL, 404, "0");
}

static void preconditions_compare_with_the_item(void **state)
{
    struct bench *b = *state;

    expect(b, "PUT", ITEM, "X-If-Unmodified-Since: 0", "{\"payload\":\"p\"}", 200, "1767225600.31");
    bench_tick(b, 100);
    expect(b, "PUT", U15 "/storage/bookmarks/b", NULL, "{}", 200, "1767225601.31");
    expect(b, "PUT", ITEM, "X-If-Unmodified-Since: 0", "{\"payload\":\"q\"}", 412, "0");
    expect_header(b, "X-Last-Modified", "1767225600.31");
    expect(b, "PUT", ITEM, "X-If-Unmodified-Since: 1767225600.30", "{\"payload\":\"q\"}", 412, "0");
    expect(b, "DELETE", ITEM, "X-If-Unmodified-Since: 1767225600.30", NULL, 412, "0");
    expect(b, "GET", ITEM, "X-If-Unmodified-Since: 1767225600.30", NULL, 412, "0");
    expect_header(b, "X-Last-Modified", "1767225600.31");
    expect(b, "GET", ITEM, "X-If-Modified-Since: 1767225600.31", NULL, 304, "");
    expect_header(b, "X-Last-Modified", "1767225600.31");
    expect(b, "GET", ITEM, "X-If-Modified-Since: 1767225600.309", NULL, 200, NULL);
    expect(b, "GET", ITEM, "X-If-Unmodified-Since: 1767225600.31", NULL, 200, NULL);
    expect(b, "GET", ITEM, NULL, NULL, 200, "{\"id\":\"a\",\"modified\":1767225600.31,\"payload\":\"p\"}");
    expect(b, "PUT", ITEM, "X-If-Modified-Since: 9999999999", "{}", 200, NULL); /* not for writes */
    expect(b, "DELETE", U15 "/storage/bookmarks/b", "X-If-Unmodified-Since: 1767225601.31", NULL, 200,
           "{\"modified\":1767225601.33}");
    expect_header(b, "X-Last-Modified", "1767225601.33");
}

static void malformed_preconditions_are_refused_on_every_method(void **state)
{
    static const char *const headers[] = { "X-If-Unmodified-Since: abc",
                                           "X-If-Modified-Since: -1",
                                           "X-If-Unmodified-Since: NaN",
                                           "X-If-Unmodified-Since:",
                                           "X-If-Modified-Since: inf",
                                           "X-If-Unmodified-Since: 1e3",
                                           "X-If-Modified-Since: 1\nX-If-Unmodified-Since: 1",
                                           "X-If-Unmodified-Since: 1\nX-If-Unmodified-Since: 2" };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        expect(b, "GET", ITEM, headers[i], NULL, 400, "0");
        expect(b, "PUT", ITEM, headers[i], "{}", 400, "0");
        expect(b, "DELETE", ITEM, headers[i], NULL, 400, "0");
        expect(b, "GET", U15 "/storage/bookmarks", headers[i], NULL, 400, "0");
        expect(b, "GET", U15 "/info/collections", headers[i], NULL, 400, "0");
    }
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, "{}");
}

static void bad_bodies_store_nothing(void **state)
{
    struct bench *b = *state;

    expect(b, "PUT", ITEM, "Content-Type: application/octet-stream", "{}", 415, "0");
    expect(b, "PUT", ITEM, "Content-Type: application/newlines", "{}", 415, "0");
    expect(b, "PUT", ITEM, NULL, "", 400, "6");
    expect(b, "PUT", ITEM, NULL, "[]", 400, "8");
    expect(b, "PUT", ITEM, NULL, "{\"x\":1}", 400, "8");
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, "{}");
}

static void damaged_keys_are_refused_in_crypto_alone(void **state)
{
    static const char body[] =
        "{\"payload\":\"{\\\"ciphertext\\\":\\\"x\\\",\\\"IV\\\": \\\"AAAAAAAAAAAAAAAAAAAAAA==\\\"}\"}";
    struct bench *b = *state;

    expect(b, "PUT", U15 "/storage/crypto/keys", NULL, body, 400, "8");
    expect(b, "PUT", U15 "/storage/crypto/blerg", NULL, body, 400, "8");
    expect(b, "PUT", U15 "/storage/col/keys", NULL, body, 200, NULL);
}

static void paths_that_name_nothing_are_404(void **state)
{
    static const char *const targets[] = {
        U15 "/storage/col/a%2Fb",
        U15 "/storage/col/%00",
        U15 "/storage/col/..",
        U15 "/storage/..",
        U15 "/storage/c%2Fd/a",
        U15 "/storage/col/",
        U15 "/storage/col/%C3%A4",
        "/1.5/12345678901/storage/col/a",
        "/1.5/abc/storage/col/a",
        U15 "/storage/a b/c",
        U15 "/nonsense",
        U15 "/info/collections/",
        "/1.1/u/s/c",
        "/2.0/u/storage/c",
        "/1.1/b%C3%A4d/storage/c",
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        expect(b, "GET", targets[i], NULL, NULL, 404, "0");
        expect(b, "PUT", targets[i], NULL, "{}", 404, "0");
    }
    expect(b, "PUT", U15 "/storage/col/%7B42%7D", NULL, "{\"payload\":\"x\"}", 200, NULL);
    expect(b, "GET", U15 "/storage/col/%7B42%7D", NULL, NULL, 200,
           "{\"id\":\"{42}\",\"modified\":1767225600.31,\"payload\":\"x\"}");
    expect(b, "POST", ITEM, NULL, "{}", 405, "0");
    expect_header(b, "Allow", "GET, HEAD, PUT, DELETE");
    expect(b, "PATCH", ITEM, NULL, "{}", 405, "0");
}

static void other_epochs_find_nothing_warm_or_not(void **state)
{
    struct bench *b = *state;

    b->epoch = 2;
    expect(b, "PUT", ITEM, NULL, "{\"payload\":\"p\"}", 200, NULL);
    expect(b, "GET", ITEM, NULL, NULL, 200, NULL);
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, NULL);
    b->epoch = 1;
    expect(b, "GET", ITEM, NULL, NULL, 401, "0");
    assert_false(b->was_warm);
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 401, "0");
    expect(b, "GET", U15 "/info/configuration", NULL, NULL, 401, "0");
    expect(b, "GET", U15 "/storage/bookmarks", NULL, NULL, 401, "0");
    expect(b, "PUT", ITEM, NULL, "{}", 401, "0");
    expect(b, "DELETE", U15, NULL, NULL, 401, "0");
}

/* The head in memory does not know it yet. */
static void who_has_left_is_not_told_that_his_items_are_missing(void **state)
{
    struct bench *b = *state;
    const struct move m = { .uid = b->uid, .id = VIEW("m1"), .epoch = 2 };
    struct arena a;

    expect(b, "PUT", ITEM, NULL, "{\"payload\":\"p\"}", 200, NULL);
    arena_init(&a, 1 << 20);
    assert_int_equal(store_head_step(b->worker.store, &m, STEP_LEAVE, NULL, &a, NULL, NULL), RC_OK);
    assert_int_equal(store_head_step(b->worker.store, &m, STEP_ERASE, NULL, &a, NULL, NULL), RC_OK);
    arena_done(&a);
    expect(b, "GET", ITEM, NULL, NULL, 401, "0");
    expect(b, "GET", U15 "/storage/bookmarks/never", NULL, NULL, 401, "0");
}

/* ---- what is remembered: each GET asks twice here, the warm function and the handler ---- */

static uint64_t found_in_memory(void)
{
    return metric_value(metric_counter("heddle_cache_item_gets_total", "result=\"hit\"", ""));
}

static void an_item_is_remembered_until_its_collection_changes(void **state)
{
    struct bench *b = *state;
    uint64_t before = found_in_memory();

    expect(b, "PUT", ITEM, NULL, "{\"payload\":\"p\"}", 200, NULL);
    expect(b, "GET", ITEM, NULL, NULL, 200, NULL);
    assert_int_equal(found_in_memory() - before, 1);
    expect(b, "PUT", U15 "/storage/tabs/t", NULL, "{\"payload\":\"t\"}", 200, NULL);
    expect(b, "GET", ITEM, NULL, NULL, 200, "{\"id\":\"a\",\"modified\":1767225600.31,\"payload\":\"p\"}");
    assert_int_equal(found_in_memory() - before, 3);
    expect(b, "PUT", ITEM, NULL, "{\"payload\":\"q\"}", 200, NULL);
    expect(b, "GET", ITEM, NULL, NULL, 200, "{\"id\":\"a\",\"modified\":1767225600.33,\"payload\":\"q\"}");
    assert_int_equal(found_in_memory() - before, 4);
    expect(b, "DELETE", ITEM, NULL, NULL, 200, NULL);
    expect(b, "GET", ITEM, NULL, NULL, 404, NULL);
}

static void from_memory_alone_an_item_is_told_only_once_it_is_remembered(void **state)
{
    struct bench *b = *state;

    expect(b, "PUT", ITEM, NULL, "{\"payload\":\"p\"}", 200, NULL);
    b->memory_only = true;
    expect(b, "GET", ITEM, NULL, NULL, 200, NULL); /* by the handler, which remembers it */
    assert_false(b->was_warm);
    expect(b, "GET", ITEM, NULL, NULL, 200, NULL);
    assert_true(b->was_warm);
}

static void a_remembered_item_expires(void **state)
{
    struct bench *b = *state;
    uint64_t before = found_in_memory();

    expect(b, "PUT", ITEM, NULL, "{\"payload\":\"p\",\"ttl\":2}", 200, NULL);
    expect(b, "GET", ITEM, NULL, NULL, 200, NULL);
    assert_int_equal(found_in_memory() - before, 1);
    bench_tick(b, 300);
    expect(b, "GET", ITEM, NULL, NULL, 404, NULL);
}

static void nothing_is_remembered_that_was_read_while_somebody_wrote(void **state)
{
    struct bench *b = *state;
    uint64_t before = found_in_memory();
    struct cache_mark mark;

    expect(b, "PUT", ITEM, NULL, "{\"payload\":\"p\"}", 200, NULL);
    cache_before(b->worker.cache, b->uid, &mark);
    expect(b, "GET", ITEM, NULL, NULL, 200, NULL);
    cache_after(b->worker.cache, b->uid, &mark, VIEW_NONE);
    expect(b, "GET", U15 "/info/collections", NULL, NULL, 200, NULL);
    /* the first of the two reads the store, and is remembered */
    expect(b, "GET", ITEM, NULL, NULL, 200, NULL);
    assert_int_equal(found_in_memory() - before, 1);
}

/* The first of the two reads both of the store. */
static void a_head_that_came_with_an_item_is_remembered(void **state)
{
    struct bench *b = *state;
    uint64_t before;

    expect(b, "PUT", ITEM, NULL, "{\"payload\":\"p\"}", 200, NULL);
    bench_others_write(b);
    before = found_in_memory();
    expect(b, "GET", ITEM, NULL, NULL, 200, NULL);
    assert_int_equal(found_in_memory() - before, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_put_item_comes_back_with_the_time_it_was_told, bench_open,
                                        bench_close),
        cmocka_unit_test_setup_teardown(two_writes_never_share_a_time_even_if_the_clock_goes_back, bench_open,
                                        bench_close),
        cmocka_unit_test_setup_teardown(fields_that_are_not_sent_stay, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(an_expired_item_is_missing_and_may_be_written_anew, bench_open,
                                        bench_close),
        cmocka_unit_test_setup_teardown(preconditions_compare_with_the_item, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(malformed_preconditions_are_refused_on_every_method, bench_open,
                                        bench_close),
        cmocka_unit_test_setup_teardown(bad_bodies_store_nothing, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(damaged_keys_are_refused_in_crypto_alone, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(paths_that_name_nothing_are_404, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(other_epochs_find_nothing_warm_or_not, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(an_item_is_remembered_until_its_collection_changes, bench_open,
                                        bench_close),
        cmocka_unit_test_setup_teardown(from_memory_alone_an_item_is_told_only_once_it_is_remembered,
                                        bench_open, bench_close),
        cmocka_unit_test_setup_teardown(a_remembered_item_expires, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(nothing_is_remembered_that_was_read_while_somebody_wrote, bench_open,
                                        bench_close),
        cmocka_unit_test_setup_teardown(a_head_that_came_with_an_item_is_remembered, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(who_has_left_is_not_told_that_his_items_are_missing, bench_open,
                                        bench_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
