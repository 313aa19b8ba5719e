#include <math.h>
#include <pthread.h>

#include "common/base/metrics.h"
#include "common/base/testing.h"

static char *page(void) /* freed by the caller */
{
    struct buf b = { 0 };

    metrics_put(&b);
    buf_text(&b);
    return b.p;
}

static void assert_shown(const char *line)
{
    char *text = page();

    if (!strstr(text, line))
        fail_msg("no line %s in:\n%s", line, text);
    free(text);
}

static void registering_again_gives_the_same_metric(void **state)
{
    metric a = metric_counter("test_same_total", "k=\"1\"", "Same");
    metric b = metric_counter("test_same_total", "k=\"2\"", "Same");
    metric c = metric_counter("test_same_total", "k=\"1\"", "Same");

    (void)state;
    assert_int_equal(a.slot, c.slot);
    assert_int_not_equal(a.slot, b.slot);
    metric_add(a, 2);
    metric_add(c, 3);
    assert_int_equal(metric_value(a), 5);
    assert_int_equal(metric_value(b), 0);
}

static void a_family_is_shown_in_one_piece_under_one_heading(void **state)
{
    (void)state;
    metric_add(metric_counter("test_family_total", "k=\"1\"", "One\\two\nthree"), 1);
    metric_counter("test_between_total", NULL, "Between");
    metric_add(metric_counter("test_family_total", "k=\"2\"", "ignored"), 7);
    assert_shown("# HELP test_family_total One\\\\two\\nthree\n# TYPE test_family_total counter\n"
                 "test_family_total{k=\"1\"} 1\ntest_family_total{k=\"2\"} 7\n");
    assert_shown("# TYPE test_between_total counter\ntest_between_total 0\n");
}

static void labels_are_copied(void **state)
{
    char labels[] = "k=\"mine\"";

    (void)state;
    metric_add(metric_counter("test_copied_total", labels, "Copied"), 1);
    labels[3] = 'X';
    assert_shown("test_copied_total{k=\"mine\"} 1\n");
}

static void a_histogram_counts_into_cumulated_buckets(void **state)
{
    static const int64_t observed[] = { -5, 0, 100, 101, 2500, 10000000, 10000001, 3600000000 };
    metric h = metric_histogram("test_seconds", "r=\"x\"", "Times");

    (void)state;
    for (size_t i = 0; i < sizeof observed / sizeof observed[0]; i++)
        metric_observe_us(h, observed[i]);
    assert_int_equal(metric_value(h), 8);
    assert_shown("test_seconds_bucket{r=\"x\",le=\"0.0001\"} 3\n"
                 "test_seconds_bucket{r=\"x\",le=\"0.00025\"} 4\n"
                 "test_seconds_bucket{r=\"x\",le=\"0.0005\"} 4\n"
                 "test_seconds_bucket{r=\"x\",le=\"0.001\"} 4\n"
                 "test_seconds_bucket{r=\"x\",le=\"0.0025\"} 5\n");
    assert_shown("test_seconds_bucket{r=\"x\",le=\"5\"} 5\n"
                 "test_seconds_bucket{r=\"x\",le=\"10\"} 6\n"
                 "test_seconds_bucket{r=\"x\",le=\"+Inf\"} 8\n"
                 "test_seconds_sum{r=\"x\"} 3620.002702\n"
                 "test_seconds_count{r=\"x\"} 8\n");
}

static double tell(void *arg)
{
    return *(double *)arg;
}

static void a_gauge_is_asked_when_read_and_can_be_replaced_and_taken_back(void **state)
{
    double first = 1.5, second = (double)INFINITY;
    char *text;

    (void)state;
    metric_gauge("test_gauge", NULL, "Gauge", tell, &first);
    assert_shown("\ntest_gauge 1.5\n");
    first = -2;
    assert_shown("\ntest_gauge -2\n");
    metric_gauge("test_gauge", NULL, "Gauge", tell, &second);
    assert_shown("\ntest_gauge +Inf\n");
    metric_gauge("test_gauge", NULL, "Gauge", NULL, NULL);
    text = page();
    assert_null(strstr(text, "\ntest_gauge "));
    free(text);
}

static void a_metric_that_was_never_registered_counts_nowhere(void **state)
{
    metric nothing = { 0 };

    (void)state;
    metric_add(nothing, 1);
    metric_observe_us(nothing, 1);
    assert_int_equal(metric_value(nothing), 0);
}

#define ROUNDS 20000

static void *count(void *arg)
{
    const metric *pair = arg;

    for (int i = 0; i < ROUNDS; i++) {
        metric_add(pair[0], 1);
        metric_observe_us(pair[1], i);
    }
    return NULL;
}

static void no_count_is_lost_when_threads_count_together_and_end(void **state)
{
    metric pair[2] = { metric_counter("test_threads_total", NULL, "Threads"),
                       metric_histogram("test_threads_seconds", NULL, "Threads") };
    pthread_t threads[4];

    (void)state;
    for (int generation = 0; generation < 3; generation++) {
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, count, pair), 0);
        free(page()); /* reading while they count */
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
    }
    assert_int_equal(metric_value(pair[0]), 12 * ROUNDS);
    assert_int_equal(metric_value(pair[1]), 12 * ROUNDS);
}

static void metrics_of_later_chunks_count_too(void **state)
{
    metric last = { 0 };
    char labels[32];

    (void)state;
    for (int i = 0; i < 700; i++) {
        snprintf(labels, sizeof labels, "i=\"%d\"", i);
        last = metric_counter("test_many_total", labels, "Many");
        metric_add(last, (uint64_t)i);
    }
    assert_int_equal(metric_value(last), 699);
    assert_shown("test_many_total{i=\"255\"} 255\ntest_many_total{i=\"256\"} 256\n");
}

static void the_median_is_of_what_came_between_two_moments(void **state)
{
    (void)state;
    metric m = metric_histogram("test_median_seconds", NULL, "x");
    struct metric_counts a, b;
    metric_counts_read(m, &a);
    assert_int_equal(metric_median_us(&a, &a), 0);
    for (int i = 0; i < 100; i++)
        metric_observe_us(m, 50); /* before: does not count */
    metric_counts_read(m, &a);
    for (int i = 0; i < 10; i++)
        metric_observe_us(m, 1500); /* 1000 to 2500 */
    metric_observe_us(m, 90);
    metric_observe_us(m, 99000000);
    metric_counts_read(m, &b);
    assert_int_equal(metric_counted(&a, &b), 12);
    int64_t median = metric_median_us(&a, &b);
    assert_true(median > 1000 && median <= 2500);
    for (int i = 0; i < 100; i++)
        metric_observe_us(m, 99000000); /* above all buckets */
    metric_counts_read(m, &b);
    assert_int_equal(metric_median_us(&a, &b), 10000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registering_again_gives_the_same_metric),
        cmocka_unit_test(a_family_is_shown_in_one_piece_under_one_heading),
        cmocka_unit_test(labels_are_copied),
        cmocka_unit_test(a_histogram_counts_into_cumulated_buckets),
        cmocka_unit_test(a_gauge_is_asked_when_read_and_can_be_replaced_and_taken_back),
        cmocka_unit_test(a_metric_that_was_never_registered_counts_nowhere),
        cmocka_unit_test(no_count_is_lost_when_threads_count_together_and_end),
        cmocka_unit_test(metrics_of_later_chunks_count_too),
        cmocka_unit_test(the_median_is_of_what_came_between_two_moments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
