#include "directory/news.h"

#include "common/base/testing.h"

#include <stdlib.h>

/* Asks, and remembers where it got to. */
struct reader {
    char boot[NEWS_BOOT + 1];
    int64_t cursor;
    bool more;
    struct buf told;
};

static bool listen(struct news *n, struct reader *r)
{
    buf_clear(&r->told);
    bool known = news_since(n, NEWS_FOR_NODES, view_of(r->boot), r->cursor, &r->told, &r->cursor, &r->more);
    memcpy(r->boot, news_boot(n), NEWS_BOOT + 1);
    return known;
}

static void who_comes_for_the_first_time_must_forget_all_and_then_hears_what_is_new(void **state)
{
    (void)state;
    struct news *n = news_new();
    struct reader r = { .cursor = 0 };
    news_forget(n, VIEW("before"));
    assert_false(listen(n, &r));
    assert_string_equal(buf_text(&r.told), "");
    assert_true(listen(n, &r));
    assert_string_equal(buf_text(&r.told), "");
    news_forget(n, VIEW("an\"na"));
    news_refuse(n, 42, 1767229200);
    news_allow(n, 42);
    assert_true(listen(n, &r));
    assert_string_equal(buf_text(&r.told), "{\"n\":2,\"what\":\"forget\",\"name\":\"an\\\"na\"},"
                                           "{\"n\":3,\"what\":\"refuse\",\"uid\":42,\"until\":1767229200},"
                                           "{\"n\":4,\"what\":\"allow\",\"uid\":42}");
    assert_int_equal(r.cursor, 4);
    assert_true(listen(n, &r));
    assert_string_equal(buf_text(&r.told), "");
    buf_done(&r.told);
    news_free(n);
}

static void who_was_placed_is_told_to_balancers_alone(void **state)
{
    (void)state;
    struct news *n = news_new();
    struct reader r = { .cursor = 0 };
    int64_t cursor;
    bool more;
    assert_false(listen(n, &r));
    news_forget(n, VIEW("anna"));
    news_placed(n, VIEW("bert"));
    news_allow(n, 7);
    news_placed(n, VIEW("carl"));
    assert_true(listen(n, &r));
    assert_string_equal(buf_text(&r.told), "{\"n\":1,\"what\":\"forget\",\"name\":\"anna\"},"
                                           "{\"n\":3,\"what\":\"allow\",\"uid\":7}");
    assert_int_equal(r.cursor, 4);
    buf_clear(&r.told);
    assert_true(news_since(n, NEWS_FOR_BALANCERS, view_of(r.boot), 1, &r.told, &cursor, &more));
    assert_string_equal(buf_text(&r.told), "{\"n\":2,\"what\":\"placed\",\"name\":\"bert\"},"
                                           "{\"n\":3,\"what\":\"allow\",\"uid\":7},"
                                           "{\"n\":4,\"what\":\"placed\",\"name\":\"carl\"}");
    buf_done(&r.told);
    news_free(n);
}

static void an_answer_that_was_lost_is_told_again(void **state)
{
    (void)state;
    struct news *n = news_new();
    struct reader r = { .cursor = 0 };
    assert_false(listen(n, &r));
    news_allow(n, 7);
    assert_true(listen(n, &r));
    r.cursor = 0;
    assert_true(listen(n, &r));
    assert_string_equal(buf_text(&r.told), "{\"n\":1,\"what\":\"allow\",\"uid\":7}");
    buf_done(&r.told);
    news_free(n);
}

static void the_numbers_of_another_life_mean_nothing(void **state)
{
    (void)state;
    struct news *old = news_new(), *new = news_new();
    struct reader r = { .cursor = 0 };
    news_allow(old, 1);
    assert_false(listen(old, &r));
    assert_int_equal(r.cursor, 1);
    news_allow(new, 2);
    news_allow(new, 3);
    assert_false(listen(new, &r));
    assert_int_equal(r.cursor, 2);
    r.cursor = 3; /* from the future */
    assert_false(listen(new, &r));
    buf_done(&r.told);
    news_free(old);
    news_free(new);
}

static void who_was_away_for_too_long_must_forget_all(void **state)
{
    (void)state;
    struct news *n = news_new();
    struct reader r = { .cursor = 0 };
    assert_false(listen(n, &r));
    for (int i = 0; i < NEWS_KEPT; i++)
        news_allow(n, i + 1);
    assert_true(listen(n, &r));
    r.cursor = 0;
    news_allow(n, 5);
    assert_false(listen(n, &r));
    assert_int_equal(r.cursor, NEWS_KEPT + 1);
    buf_done(&r.told);
    news_free(n);
}

static void many_news_come_in_portions_and_none_is_left_out(void **state)
{
    (void)state;
    struct news *n = news_new();
    struct reader r = { .cursor = 0 };
    int64_t last = 3 * NEWS_KEPT + 17; /* so that the ring has come round */
    for (int64_t i = 1; i <= last; i++)
        news_allow(n, i);
    assert_false(listen(n, &r));
    r.cursor = last - 2 * NEWS_AT_ONCE - 5;
    for (int i = 0; i < 3; i++) {
        int64_t before = r.cursor;
        char first[80];
        assert_true(listen(n, &r));
        assert_int_equal(r.more, i < 2);
        assert_int_equal(r.cursor - before, i < 2 ? NEWS_AT_ONCE : 5);
        snprintf(first, sizeof(first), "{\"n\":%lld,\"what\":\"allow\",\"uid\":%lld}", (long long)before + 1,
                 (long long)before + 1);
        assert_memory_equal(r.told.p, first, strlen(first));
    }
    buf_done(&r.told);
    news_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_for_the_first_time_must_forget_all_and_then_hears_what_is_new),
        cmocka_unit_test(who_was_placed_is_told_to_balancers_alone),
        cmocka_unit_test(an_answer_that_was_lost_is_told_again),
        cmocka_unit_test(the_numbers_of_another_life_mean_nothing),
        cmocka_unit_test(who_was_away_for_too_long_must_forget_all),
        cmocka_unit_test(many_news_come_in_portions_and_none_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
