#include "node/sync/query.h"

#include "node/sync/testing.h"

static struct web_request *request_of(const char *query)
{
    static struct clock_fake clock;
    struct web_request *w;

    clock_fake_init(&clock, BENCH_START_US);
    w = web_request_new(&clock.clock, 1 << 20, VIEW("/"));
    w->rq.query = view_of(query);
    request_args_parse(&w->rq);
    return w;
}

static rc listing(const char *query, bool legacy, struct listing *out, bool *out_selects)
{
    struct web_request *w = request_of(query);
    rc r = legacy ? listing_read_legacy(&w->rq, out, out_selects, NULL) : listing_read(&w->rq, out, NULL);

    web_request_free(w); /* what is looked at below does not live there */
    return r;
}

static void parameters_are_good_or_bad(void **state)
{
    static const struct {
        const char *query;
        bool in_15, in_11;
    } cases[] = {
        { "", true, true },
        { "blabla=1&x", true, true },
        { "full", true, true },
        { "newer=0&older=1767225600.31", true, true },
        { "newer=1767225600.3199999", true, true },
        { "newer=1767225600", true, true },
        { "newer=1e9", false, true },
        { "newer=-1", false, true },
        { "newer=", false, false },
        { "newer", false, false },
        { "newer=abc", false, false },
        { "older=NaN", false, false },
        { "older=Infinity", false, false },
        { "limit=0", true, true },
        { "limit=10", true, true },
        { "limit=4294967295", true, true },
        { "limit=4294967296", false, true },
        { "limit=-5", false, true },
        { "limit=abc", false, false },
        { "limit=1.5", false, false },
        { "limit=", false, false },
        { "offset=5", true, true }, /* what 1.5's means, the store knows */
        { "offset=-5", true, true },
        { "offset=", false, false },
        { "offset=abc", true, false },
        { "sort=newest", true, true },
        { "sort=oldest", true, true },
        { "sort=index", true, true },
        { "sort=whatever", false, true },
        { "sort=", false, true },
        { "ids=a", true, true },
        { "ids=a,b,", true, true },
        { "ids=%7B1%7D%2C2", true, true },
        { "ids=", false, true },
        { "ids", false, true },
        { "ids=,", false, true },
        { "ids=a,,b", false, true },
        { "ids=a%0Ab", false, true },
        { "index_above=1.5&index_below=-1e3", true, true },
        { "index_above=abc", true, false },
        { "index_below=nan", true, false },
        { "index_below=0x10", true, false },
        { "index_below=", true, false },
        { "parentid=&predecessorid=p", true, true },
        { "x=%zz", false, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct listing l;

        if ((listing(cases[i].query, false, &l, NULL) == RC_OK) != cases[i].in_15)
            fail_msg("1.5: %s", cases[i].query);
        if ((listing(cases[i].query, true, &l, NULL) == RC_OK) != cases[i].in_11)
            fail_msg("1.1: %s", cases[i].query);
    }
}

static void parameters_mean_what_each_protocol_says(void **state)
{
    struct listing l;

    (void)state;
    assert_int_equal(listing("full=&sort=index&newer=12.349", false, &l, NULL), RC_OK);
    assert_true(l.full && l.q.with_payload);
    assert_int_equal(l.q.order, ORDER_INDEX);
    assert_int_equal(l.q.newer.cs, 1234);
    assert_int_equal(listing("", false, &l, NULL), RC_OK);
    assert_int_equal(l.q.order, ORDER_NEWEST);
    assert_false(l.full || l.q.has_limit || l.q.has_ids);
    assert_int_equal(listing("newer=0", false, &l, NULL), RC_OK); /* the same as without */
    assert_false(l.q.has_newer);

    assert_int_equal(listing("full=&sort=index&newer=12.345", true, &l, NULL), RC_OK);
    assert_false(l.full);
    assert_int_equal(l.q.order, ORDER_INDEX_ID_ASC);
    assert_int_equal(l.q.newer.cs, 1234); /* half to even */
    assert_int_equal(listing("newer=0.00", true, &l, NULL), RC_OK);
    assert_false(l.q.has_newer);
    assert_int_equal(listing("full=0&offset=3", true, &l, NULL), RC_OK);
    assert_true(l.full);
    assert_int_equal(l.q.order, ORDER_ID);
    assert_int_equal(l.q.skip, 0); /* an offset needs a limit */
    assert_int_equal(listing("limit=2&offset=3", true, &l, NULL), RC_OK);
    assert_int_equal(l.q.skip, 3);
    assert_int_equal(listing("limit=-2&offset=3", true, &l, NULL), RC_OK);
    assert_false(l.q.has_limit);
    assert_int_equal(l.q.skip, 0);
    assert_int_equal(listing("limit=2&offset=-3", true, &l, NULL), RC_OK);
    assert_int_equal(l.q.skip, 0);
}

static void an_empty_list_of_ids_never_means_all(void **state)
{
    struct listing l;
    bool selects = false;

    (void)state;
    assert_int_equal(listing("ids=", true, &l, &selects), RC_OK);
    assert_true(selects && l.q.has_ids);
    assert_int_equal(l.q.n_ids, 0);
    assert_int_equal(listing("ids=a%2Fb", true, &l, &selects), RC_OK);
    assert_true(selects && l.q.has_ids);
    assert_int_equal(l.q.n_ids, 0);
    assert_int_equal(listing("newer=0", true, &l, &selects), RC_OK);
    assert_true(selects);
    assert_int_equal(listing("limit=5", true, &l, &selects), RC_OK);
    assert_true(selects);
    assert_int_equal(listing("parentid", true, &l, &selects), RC_OK);
    assert_true(selects);
    assert_int_equal(listing("limit=-5&sort=index&x=y", true, &l, &selects), RC_OK);
    assert_false(selects);
}

static void a_hundred_ids_are_taken_and_no_more(void **state)
{
    SCOPED(buf_done) struct buf q = { 0 };
    struct listing l;

    (void)state;
    buf_add(&q, VIEW("ids="));
    for (int i = 0; i < 100; i++)
        buf_addf(&q, "%d,", i);
    assert_int_equal(listing(buf_text(&q), false, &l, NULL), RC_OK);
    assert_int_equal(l.q.n_ids, 100);
    buf_add(&q, VIEW("x"));
    assert_int_equal(listing(buf_text(&q), false, &l, NULL), RC_BAD_INPUT);
    assert_int_equal(listing(buf_text(&q), true, &l, NULL), RC_OK);
}

static void a_post_starts_extends_or_ends_a_batch(void **state)
{
    static const struct {
        const char *query;
        rc on, off;
        enum batch_step step; /* when on */
    } cases[] = {
        { "", RC_OK, RC_OK, BATCH_NONE },
        { "batch=true", RC_OK, RC_OK, BATCH_START },
        { "batch=True", RC_OK, RC_OK, BATCH_START },
        { "batch=", RC_OK, RC_OK, BATCH_START },
        { "batch", RC_OK, RC_OK, BATCH_START },
        { "batch=true&commit=true", RC_OK, RC_OK, BATCH_NONE },
        { "batch=Jx2Qf0m3S9yTq1lAzB7cDwEf", RC_OK, RC_BAD_INPUT, BATCH_APPEND },
        { "batch=Jx2Qf0m3S9yTq1lAzB7cDwEf&commit=TRUE", RC_OK, RC_BAD_INPUT, BATCH_COMMIT },
        { "batch=%4Ax2Qf0m3S9yTq1lAzB7cDwEf", RC_OK, RC_BAD_INPUT, BATCH_APPEND },
        { "batch=sammich", RC_BAD_INPUT, RC_BAD_INPUT, BATCH_NONE },
        { "batch=Jx2Qf0m3S9yTq1lAzB7cDwE%00", RC_BAD_INPUT, RC_BAD_INPUT, BATCH_NONE },
        { "batch=Jx2Qf0m3S9yTq1lAzB7cDw", RC_BAD_INPUT, RC_BAD_INPUT,
          BATCH_NONE }, /* of a program of before */
        { "batch=Jx2Qf0m3S9yTq1lAzB7cDwEfw", RC_BAD_INPUT, RC_BAD_INPUT, BATCH_NONE },
        { "commit=true", RC_BAD_INPUT, RC_OK, BATCH_NONE },
        { "batch=true&commit=false", RC_BAD_INPUT, RC_OK, BATCH_NONE },
        { "batch=true&commit", RC_BAD_INPUT, RC_OK, BATCH_NONE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct web_request *w = request_of(cases[i].query);
        struct batch_wish wish;

        if (batch_wish_read(&w->rq, true, &wish, NULL) != cases[i].on)
            fail_msg("on: %s", cases[i].query);
        if (cases[i].on == RC_OK)
            assert_int_equal(wish.step, cases[i].step);
        if (batch_wish_read(&w->rq, false, &wish, NULL) != cases[i].off)
            fail_msg("off: %s", cases[i].query);
        if (cases[i].off == RC_OK)
            assert_int_equal(wish.step, BATCH_NONE);
        web_request_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_good_or_bad),
        cmocka_unit_test(parameters_mean_what_each_protocol_says),
        cmocka_unit_test(an_empty_list_of_ids_never_means_all),
        cmocka_unit_test(a_hundred_ids_are_taken_and_no_more),
        cmocka_unit_test(a_post_starts_extends_or_ends_a_batch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
