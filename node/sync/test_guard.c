#include "node/sync/guard.h"

#include "node/sync/testing.h"

static void kilobytes_are_printed_exactly(void **state)
{
    static const struct {
        int64_t bytes;
        const char *exact, *rounded;
    } cases[] = {
        { 0, "0.0", "0.0" },
        { 1, "0.0009765625", "0.0" },
        { 10, "0.009765625", "0.01" },
        { 24, "0.0234375", "0.02" },
        { 200, "0.1953125", "0.2" },
        { 216, "0.2109375", "0.21" },
        { 128, "0.125", "0.12" }, /* half to even */
        { 384, "0.375", "0.38" },
        { 503, "0.4912109375", "0.49" },
        { 512, "0.5", "0.5" },
        { 1023, "0.9990234375", "1.0" },
        { 1024, "1.0", "1.0" },
        { 441856, "431.5", "431.5" },
        { 442072, "431.7109375", "431.71" },
        { 2097152000, "2048000.0", "2048000.0" },
        { -5, "0.0", "0.0" },
        { INT64_MAX, "9007199254740991.9990234375", "9007199254740992.0" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SCOPED(buf_done) struct buf exact = { 0 }, rounded = { 0 };

        put_kb(&exact, cases[i].bytes);
        put_kb_rounded(&rounded, cases[i].bytes);
        assert_string_equal(buf_text(&exact), cases[i].exact);
        assert_string_equal(buf_text(&rounded), cases[i].rounded);
    }
}

static void an_empty_iv_is_recognised(void **state)
{
    static const struct {
        view payload;
        bool zero;
    } cases[] = {
        { VIEW_NONE, false },
        { VIEW(""), false },
        { VIEW("{\"IV\":\"AAAAAAAAAAAAAAAAAAAAAA==\"}"), true },
        { VIEW("{\"IV\": \t\n\"AAAAAAAAAAAAAAAAAAAAAA==\"}"), true },
        { VIEW("{\"IV\":\"x\",\"IV\":\"AAAAAAAAAAAAAAAAAAAAAA==\"}"), true },
        { VIEW("{\"IV\":\"BAAAAAAAAAAAAAAAAAAAAA==\"}"), false },
        { VIEW("{\"IV\":\"AAAAAAAAAAAAAAAAAAAAAA=="), false },
        { VIEW("{\"IV\":"), false },
        { VIEW("{\"iv\":\"AAAAAAAAAAAAAAAAAAAAAA==\"}"), false },
        { VIEW("AAAAAAAAAAAAAAAAAAAAAA=="), false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(payload_has_zero_iv(cases[i].payload), cases[i].zero);
}

#define PUT500(b, id, status)                                                                                \
    assert_int_equal(ask_bytes(b, "PUT", U15 "/storage/col/" id, NULL, five_hundred()), status)

static view five_hundred(void)
{
    static char body[600];

    if (!body[0])
        snprintf(body, sizeof body, "{\"payload\":\"%0500d\"}", 0);
    return view_of(body);
}

static void what_is_left_of_the_quota_is_told_and_then_nothing_more_fits(void **state)
{
    struct bench *b = *state;

    PUT500(b, "a", 200);
    expect_no_header(b, "X-Weave-Quota-Remaining");
    expect(b, "DELETE", U15, NULL, NULL, 200, "{}");
    b->limits.quota_bytes = 700;
    PUT500(b, "a", 200);
    expect_header(b, "X-Weave-Quota-Remaining", "0.2");
    PUT500(b, "a", 403); /* what is replaced is not given back */
    expect(b, "GET", U15 "/info/quota", NULL, NULL, 200, "[0.48828125,0.68359375]");
    b->limits.quota_bytes = 10;
    PUT500(b, "b", 403);
    assert_string_equal(buf_text(&b->body), "14");
    expect_no_header(b, "X-Weave-Quota-Remaining");
    b->limits.quota_enforced = false;
    PUT500(b, "b", 200);
    expect_header(b, "X-Weave-Quota-Remaining", "0.0");
}

static void the_quota_itself_cannot_be_reached(void **state)
{
    struct bench *b = *state;

    b->limits.quota_bytes = 500;
    PUT500(b, "a", 403);
    b->limits.quota_bytes = 501;
    PUT500(b, "a", 200);
    b->limits.quota_bytes = 500;
    expect(b, "PUT", U11 "/storage/col/b", NULL, "{}", 400, "14");
    b->limits.quota_bytes = 501;
    expect(b, "PUT", U11 "/storage/col/b", NULL, "{}", 200, NULL);
}

static void deleted_and_replaced_bytes_count_no_more(void **state)
{
    struct bench *b = *state;

    b->limits.quota_bytes = 1100;
    PUT500(b, "a", 200);
    PUT500(b, "a", 200); /* the bound in the head is 1000 now, the truth 500 */
    PUT500(b, "a", 200);
    expect_header(b, "X-Weave-Quota-Remaining", "0.1");
    PUT500(b, "b", 200);
    PUT500(b, "c", 403);
    expect(b, "DELETE", U15 "/storage/col/a", NULL, NULL, 200, NULL);
    PUT500(b, "c", 200);
}

static void plenty_is_not_counted_nor_told(void **state)
{
    struct bench *b = *state;

    b->limits.quota_bytes = 10 << 20;
    PUT500(b, "a", 200);
    expect_no_header(b, "X-Weave-Quota-Remaining");
    b->limits.quota_bytes = (1 << 20) + 1000;
    PUT500(b, "b", 200);
    expect_no_header(b, "X-Weave-Quota-Remaining"); /* 1 MiB is left, to the byte */
    PUT500(b, "c", 200);
    expect_header(b, "X-Weave-Quota-Remaining", "1023.51");
}

static void open_batches_count_for_the_quota(void **state)
{
    SCOPED(buf_done) struct buf body = { 0 };
    struct bench *b = *state;

    b->limits.quota_bytes = 1100;
    buf_addf(&body, "[{\"id\":\"a\",\"payload\":\"%0500d\"}]", 0);
    expect(b, "POST", U15 "/storage/col?batch=true", NULL, buf_text(&body), 202, NULL);
    expect(b, "POST", U15 "/storage/col?batch=true", NULL, buf_text(&body), 202, NULL);
    expect(b, "POST", U15 "/storage/col?batch=true", NULL, buf_text(&body), 403, "14");
    expect(b, "GET", U15 "/info/quota", NULL, NULL, 200, "[0.0,1.07421875]");
    bench_tick(b, 720100);
    expect(b, "POST", U15 "/storage/col?batch=true", NULL, buf_text(&body), 202, NULL);
}

static void the_old_protocol_refuses_when_nothing_is_left_before(void **state)
{
    struct bench *b = *state;

    b->limits.quota_bytes = 102;
    expect(b, "PUT", U11 "/storage/col/a", NULL, "{\"payload\":\"012345678901234567890123\"}", 200, NULL);
    expect_header(b, "X-Weave-Quota-Remaining", "0.099609375");
    /* may overshoot */
    assert_int_equal(ask_bytes(b, "PUT", U11 "/storage/col/b", NULL, five_hundred()), 200);
    expect_header(b, "X-Weave-Quota-Remaining", "0.076171875");
    expect(b, "PUT", U11 "/storage/col/c", NULL, "{\"payload\":\"\"}", 400, "14");
    expect(b, "POST", U11 "/storage/col", NULL, "[{\"id\":\"c\"}]", 400, "14");
    /* the quota comes before the body … */
    expect(b, "PUT", U11 "/storage/col/c", NULL, "nonsense", 400, "14");
    expect(b, "POST", U11 "/storage/col", NULL, "nonsense", 400, "6"); /* … but not in a POST */
}

static void announced_sizes_are_compared_with_the_limits(void **state)
{
    static const struct {
        const char *header, *answer;
        int status;
    } cases[] = {
        { "X-Weave-Records: 100", NULL, 200 },
        { "X-Weave-Records: 101", "17", 400 },
        { "X-Weave-Records: -1", "1", 400 },
        { "X-Weave-Records: ten", "1", 400 },
        { "X-Weave-Records:", "1", 400 },
        { "X-Weave-Records: 99999999999999999999999999", "17", 400 },
        { "X-Weave-Bytes: 2621440", NULL, 200 },
        { "X-Weave-Bytes: 2621441", "17", 400 },
        { "X-Weave-Total-Records: 10000", NULL, 200 },
        { "X-Weave-Total-Records: 10001", "17", 400 },
        { "X-Weave-Total-Bytes: 262144000", NULL, 200 },
        { "X-Weave-Total-Bytes: 262144001", "17", 400 },
        { "X-Weave-Total-Bytes: 1.5", "1", 400 },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(b, "POST", U15 "/storage/col", cases[i].header, "[]", cases[i].status, cases[i].answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kilobytes_are_printed_exactly),
        cmocka_unit_test(an_empty_iv_is_recognised),
        cmocka_unit_test_setup_teardown(what_is_left_of_the_quota_is_told_and_then_nothing_more_fits,
                                        bench_open, bench_close),
        cmocka_unit_test_setup_teardown(the_quota_itself_cannot_be_reached, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(deleted_and_replaced_bytes_count_no_more, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(plenty_is_not_counted_nor_told, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(open_batches_count_for_the_quota, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(the_old_protocol_refuses_when_nothing_is_left_before, bench_open,
                                        bench_close),
        cmocka_unit_test_setup_teardown(announced_sizes_are_compared_with_the_limits, bench_open,
                                        bench_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
