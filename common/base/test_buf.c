#include "common/base/buf.h"

#include "common/base/rand.h"
#include "common/base/testing.h"

static void an_empty_buffer_needs_no_memory(void **state)
{
    struct buf b = { 0 };

    (void)state;
    assert_non_null(buf_view(&b).p);
    assert_int_equal(buf_view(&b).n, 0);
    buf_add(&b, VIEW_NONE);
    assert_null(b.p);
    assert_string_equal(buf_text(&b), "");
    buf_done(&b);
    buf_done(&b);
}

static void numbers_are_written_to_both_ends_of_their_range(void **state)
{
    const struct {
        int64_t v;
        const char *text;
    } rows[] = {
        { 0, "0" },
        { -1, "-1" },
        { 10, "10" },
        { INT64_MAX, "9223372036854775807" },
        { INT64_MIN, "-9223372036854775808" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf b = { 0 };

        buf_add_i64(&b, rows[i].v);
        assert_string_equal(buf_text(&b), rows[i].text);
        buf_done(&b);
    }
}

static void formatted_text_of_any_length_fits(void **state)
{
    (void)state;
    for (int n = 0; n < 300; n++) {
        struct buf b = { 0 };

        buf_add(&b, VIEW("<"));
        buf_addf(&b, "%*s|", n, "");
        assert_int_equal(b.n, n + 2);
        assert_int_equal(b.p[n + 1], '|');
        assert_int_equal(b.p[0], '<');
        buf_done(&b);
    }
}

static void the_closing_nul_is_not_counted(void **state)
{
    struct buf b = { 0 };

    (void)state;
    for (int i = 0; i < 64; i++)
        buf_addc(&b, 'x');
    assert_int_equal(strlen(buf_text(&b)), 64);
    assert_int_equal(b.n, 64);
    buf_clear(&b);
    assert_int_equal(buf_view(&b).n, 0);
    buf_done(&b);
}

/* Random additions, beside a plain array that cannot overflow. */
static void random_additions_give_the_same_bytes_as_a_plain_array(void **state)
{
    static char shadow[200000];
    size_t n = 0;
    struct buf b = { 0 };

    (void)state;
    for (int i = 0; i < 2000; i++) {
        char piece[90];
        size_t len = rand_below(sizeof piece);

        rand_bytes(piece, sizeof piece);
        if (rand_below(8) == 0) {
            buf_addc(&b, piece[0]);
            shadow[n++] = piece[0];
            continue;
        }
        buf_add(&b, (view){ .p = piece, .n = len });
        memcpy(shadow + n, piece, len);
        n += len;
    }
    assert_int_equal(b.n, n);
    assert_memory_equal(b.p, shadow, n);
    assert_true(b.cap >= b.n);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_needs_no_memory),
        cmocka_unit_test(numbers_are_written_to_both_ends_of_their_range),
        cmocka_unit_test(formatted_text_of_any_length_fits),
        cmocka_unit_test(the_closing_nul_is_not_counted),
        cmocka_unit_test(random_additions_give_the_same_bytes_as_a_plain_array),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
