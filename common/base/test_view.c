#include "common/base/view.h"

#include <ctype.h>

#include "common/base/testing.h"

static void absent_and_empty_are_equal_bytes(void **state)
{
    (void)state;
    assert_true(view_eq(VIEW_NONE, VIEW("")));
    assert_true(view_eq_nocase(VIEW_NONE, VIEW("")));
    assert_int_equal(view_cmp(VIEW_NONE, VIEW("")), 0);
    assert_null(view_of(NULL).p);
    assert_non_null(view_of("").p);
}

static void case_matters_only_where_it_is_said(void **state)
{
    (void)state;
    assert_true(view_eq(VIEW("abc"), VIEW("abc")));
    assert_false(view_eq(VIEW("abc"), VIEW("abC")));
    assert_false(view_eq(VIEW("abc"), VIEW("ab")));
    assert_true(view_eq_nocase(VIEW("aBc-1"), VIEW("AbC-1")));
    assert_false(view_eq_nocase(VIEW("abc"), VIEW("abd")));
    assert_false(view_eq_nocase(VIEW("@"), VIEW("`"))); /* they differ by the bit that letters differ by */
    assert_false(view_eq_nocase(VIEW("\xc3\x84"), VIEW("\xc3\xa4"))); /* letters of ASCII alone */
    assert_true(view_starts(VIEW("Hawk id"), VIEW("Hawk ")));
    assert_true(view_starts(VIEW("x"), VIEW("")));
    assert_false(view_starts(VIEW("Haw"), VIEW("Hawk")));
}

static void order_is_bytewise_and_the_shorter_comes_first(void **state)
{
    (void)state;
    assert_true(view_cmp(VIEW("a"), VIEW("b")) < 0);
    assert_true(view_cmp(VIEW("b"), VIEW("abc")) > 0);
    assert_true(view_cmp(VIEW("ab"), VIEW("abc")) < 0);
    assert_true(view_cmp(VIEW("abc"), VIEW("ab")) > 0);
    assert_true(view_cmp(VIEW("\xff"), VIEW("a")) > 0);
    assert_int_equal(view_cmp(VIEW("abc"), VIEW("abc")), 0);
}

static void an_array_of_views_is_sorted_by_the_same_order(void **state)
{
    view v[] = { VIEW("b"), VIEW(""), VIEW("ab"), VIEW("a") };
    static const char *const sorted[] = { "", "a", "ab", "b" };
    (void)state;
    qsort(v, 4, sizeof v[0], view_order);
    for (size_t i = 0; i < 4; i++)
        assert_true(view_eq(v[i], view_of(sorted[i])));
}

static void a_character_is_counted_wherever_it_stands(void **state)
{
    (void)state;
    assert_int_equal(view_count(VIEW("\na\n\nb\n"), '\n'), 4);
    assert_int_equal(view_count(VIEW("ab"), '\n'), 0);
    assert_int_equal(view_count(VIEW_NONE, '\n'), 0);
}

static void cutting_gives_every_part_once(void **state)
{
    const char *const expected[] = { "a", "", "bc", "" };
    view rest = VIEW("a,,bc,"), head;
    size_t n = 0;

    (void)state;
    while (view_cut(&rest, ',', &head)) {
        assert_true(n < 4);
        assert_true(view_eq(head, view_of(expected[n++])));
    }
    assert_int_equal(n, 4);
    rest = VIEW("");
    assert_true(view_cut(&rest, ',', &head)); /* an empty text is one empty part */
    assert_int_equal(head.n, 0);
    assert_false(view_cut(&rest, ',', &head));
}

static void trimming_takes_blanks_and_tabs(void **state)
{
    (void)state;
    assert_true(view_eq(view_trim(VIEW(" \t a b \t")), VIEW("a b")));
    assert_int_equal(view_trim(VIEW(" \t ")).n, 0);
    assert_int_equal(view_trim(VIEW_NONE).n, 0);
    assert_true(view_eq(view_trim(VIEW("\na")), VIEW("\na")));
}

struct number {
    const char *text;
    uint64_t max;
    bool good;
    uint64_t value;
};

static const struct number numbers[] = {
    { "0", 0, true, 0 },
    { "7", 10, true, 7 },
    { "0000000000000000010", 10, true, 10 },
    { "9999999999999999999", UINT64_MAX, true, UINT64_C(9999999999999999999) },
    { "9223372036854775807", INT64_MAX, true, INT64_MAX },
    { "9223372036854775808", INT64_MAX, false, 0 },
    { "00000000000000000010", 10, false, 0 },
    { "11", 10, false, 0 },
    { "", 10, false, 0 },
    { "-1", 10, false, 0 },
    { "+1", 10, false, 0 },
    { " 1", 10, false, 0 },
    { "1 ", 10, false, 0 },
    { "1a", 10, false, 0 },
    { "0x1", 10, false, 0 },
};

static void numbers_are_digits_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uint64_t value = 4711;
        bool good = view_to_u64(view_of(numbers[i].text), numbers[i].max, &value);

        if (good != numbers[i].good || value != (good ? numbers[i].value : 4711))
            fail_msg("\"%s\"", numbers[i].text);
    }
}

static void only_what_is_named_may_stand_beside_letters_and_digits(void **state)
{
    (void)state;
    assert_true(view_only_alnum(VIEW("azAZ09"), ""));
    assert_true(view_only_alnum(VIEW("a.b_c-d"), "._-"));
    assert_true(view_only_alnum(VIEW_NONE, ""));
    assert_false(view_only_alnum(VIEW("a.b"), "_-"));
    assert_false(view_only_alnum(VIEW("a\0"), "._-"));
    assert_false(view_only_alnum(VIEW("\xc3\xa4"), "._-"));
    for (int c = 0; c < 256; c++) {
        char one = (char)c;
        assert_int_equal(ascii_alnum(one), c < 128 && isalnum(c) != 0);
        assert_int_equal(view_is_ascii((view){ .p = &one, .n = 1 }), c < 128);
    }
}

static void numbers_are_cut_off_one_after_the_other(void **state)
{
    view v = VIEW("7 9223372036854775807 x");
    int64_t n = 0;
    (void)state;
    assert_true(view_cut_number(&v, ' ', &n) && n == 7);
    assert_true(view_cut_number(&v, ' ', &n) && n == INT64_MAX);
    assert_false(view_cut_number(&v, ' ', &n));
    assert_false(view_cut_number(&v, ' ', &n)); /* nothing is left */
    v = VIEW("9223372036854775808");
    assert_false(view_cut_number(&v, ' ', &n));
    assert_int_equal(n, INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_and_empty_are_equal_bytes),
        cmocka_unit_test(case_matters_only_where_it_is_said),
        cmocka_unit_test(order_is_bytewise_and_the_shorter_comes_first),
        cmocka_unit_test(an_array_of_views_is_sorted_by_the_same_order),
        cmocka_unit_test(a_character_is_counted_wherever_it_stands),
        cmocka_unit_test(cutting_gives_every_part_once),
        cmocka_unit_test(trimming_takes_blanks_and_tabs),
        cmocka_unit_test(numbers_are_digits_and_nothing_else),
        cmocka_unit_test(only_what_is_named_may_stand_beside_letters_and_digits),
        cmocka_unit_test(numbers_are_cut_off_one_after_the_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
