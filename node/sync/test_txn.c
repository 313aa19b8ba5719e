#include "common/base/metrics.h"
#include "node/sync/testing.h"

#define INFO U15 "/info/collections"
#define ITEM U15 "/storage/col/a"

static void what_was_written_is_cached_before_the_answer(void **state)
{
    struct bench *b = *state;

    for (int i = 0; i < 3; i++) {
        char answer[64];

        expect(b, "PUT", ITEM, NULL, "{\"payload\":\"x\"}", 200, NULL);
        snprintf(answer, sizeof answer, "{\"col\":%s}", buf_text(&b->body));
        expect(b, "GET", INFO, NULL, NULL, 200, answer);
        assert_true(b->was_warm);
    }
    expect(b, "DELETE", U15, NULL, NULL, 200, NULL);
    expect(b, "GET", INFO, NULL, NULL, 200, "{}");
    assert_true(b->was_warm);
}

static void a_refused_write_leaves_the_cache_alone(void **state)
{
    struct bench *b = *state;

    expect(b, "PUT", ITEM, NULL, "{}", 200, NULL);
    expect(b, "PUT", ITEM, "X-If-Unmodified-Since: 0", "{}", 412, NULL);
    expect(b, "GET", INFO, NULL, NULL, 200, NULL);
    assert_true(b->was_warm);
}

static void a_reader_fills_the_cache_for_the_next(void **state)
{
    struct bench *b = *state;

    expect(b, "PUT", ITEM, NULL, "{}", 200, NULL);
    bench_others_write(b);
    expect(b, "GET", INFO, NULL, NULL, 200, "{\"col\":1767225600.31}");
    assert_false(b->was_warm);
    expect(b, "GET", INFO, NULL, NULL, 200, "{\"col\":1767225600.31}");
    assert_true(b->was_warm);
}

/* With Redis, that is what keeps the process's memory worth something. */
static void where_heads_are_never_known_the_whole_cache_is_asked_once_a_second(void **state)
{
    struct bench *b = *state;
    metric misses = metric_counter("heddle_cache_gets_total", "result=\"miss\"", "Heads asked of the cache.");

    expect(b, "PUT", ITEM, NULL, "{}", 200, NULL);
    for (int second = 0; second < 3; second++) {
        uint64_t before = metric_value(misses);

        bench_tick(b, 101);
        for (int i = 0; i < 3; i++) {
            struct web_request *w = bench_request(b, "GET", ITEM, NULL, VIEW_NONE);

            bench_others_write(b);
            w->rq.worker = &b->worker;
            assert_int_equal(w->rq.route->handler(&w->rq, &w->err), RC_OK);
            web_request_free(w);
        }
        assert_int_equal(metric_value(misses) - before, 1);
    }
}

static void a_user_without_a_row_is_not_remembered(void **state)
{
    struct bench *b = *state;

    for (int i = 0; i < 2; i++) {
        expect(b, "GET", INFO, NULL, NULL, 200, "{}");
        assert_false(b->was_warm);
    }
    b->epoch = 2;
    expect(b, "PUT", ITEM, "X-If-Unmodified-Since: 0", "{}", 200, NULL); /* the row is made, of epoch 2 */
    b->epoch = 1;
    expect(b, "GET", INFO, NULL, NULL, 401, "0");
}

static void the_first_write_may_be_refused_and_still_shuts_out_the_epoch_before(void **state)
{
    struct bench *b = *state;

    b->epoch = 2;
    expect(b, "GET", INFO, NULL, NULL, 200, "{}");
    expect(b, "DELETE", ITEM, NULL, NULL, 404, "0"); /* rolled back, but the row stays */
    b->epoch = 1;
    expect(b, "GET", INFO, NULL, NULL, 401, "0");
}

static void a_write_that_fails_at_its_commit_leaves_no_cached_head(void **state)
{
    struct bench *b = *state;
    struct web_request *w;

    expect(b, "PUT", ITEM, NULL, "{}", 200, NULL);
    w = bench_request(b, "PUT", ITEM, NULL, VIEW("{\"payload\":\"x\"}"));
    w->rq.worker = &b->worker;
    w->arena.spent = true; /* the store refuses to commit what is to be answered 503 */
    assert_int_equal(w->rq.route->handler(&w->rq, &w->err), RC_BUSY);
    web_request_free(w);
    expect(b, "GET", INFO, NULL, NULL, 200, "{\"col\":1767225600.31}");
    assert_false(b->was_warm);
    expect(b, "GET", ITEM, NULL, NULL, 200, "{\"id\":\"a\",\"modified\":1767225600.31,\"payload\":\"\"}");
}

#define T(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_was_written_is_cached_before_the_answer),
        T(a_refused_write_leaves_the_cache_alone),
        T(a_reader_fills_the_cache_for_the_next),
        T(where_heads_are_never_known_the_whole_cache_is_asked_once_a_second),
        T(a_user_without_a_row_is_not_remembered),
        T(the_first_write_may_be_refused_and_still_shuts_out_the_epoch_before),
        T(a_write_that_fails_at_its_commit_leaves_no_cached_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
