#include "common/base/stamp.h"

#include "common/base/rand.h"
#include "common/base/testing.h"

#define LATEST (INT64_MAX / 10)

struct printed {
    int64_t cs;
    const char *text;
};

static const struct printed printed[] = {
    { 0, "0.00" },
    { 1, "0.01" },
    { 99, "0.99" },
    { 100, "1.00" },
    { 176368152307, "1763681523.07" },
    { 127810983990, "1278109839.90" },
    { LATEST, "9223372036854775.80" },
    { INT64_MAX, "92233720368547758.07" },
    { -5, "0.00" },
    { INT64_MIN, "0.00" },
};

static void a_stamp_is_printed_with_two_decimals_and_never_negative(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof printed / sizeof printed[0]; i++) {
        struct buf b = { 0 };
        char text[STAMP_TEXT_MAX];
        size_t n = stamp_print((stamp){ .cs = printed[i].cs }, text);

        assert_string_equal(text, printed[i].text);
        assert_int_equal(n, strlen(text));
        buf_add(&b, VIEW("at "));
        stamp_put(&b, (stamp){ .cs = printed[i].cs });
        assert_string_equal(buf_text(&b) + 3, printed[i].text);
        buf_done(&b);
    }
}

struct reading {
    const char *text;
    bool good;
    int64_t cs;
};

static const struct reading of_15[] = {
    { "0", true, 0 },
    { "12", true, 1200 },
    { "12.3", true, 1230 },
    { "12.34", true, 1234 },
    { "12.349", true, 1234 }, /* cut, not rounded */
    { "12.3499999999999999999999999999999999999999", true, 1234 },
    { "0.999999", true, 99 },
    { "0.009", true, 0 },
    { "1763681523.07", true, 176368152307 },
    { "1767225600.31", true, 176722560031 },
    { "000000000000000000000000000000001.5", true, 150 },
    { ".5", true, 50 },
    { "5.", true, 500 },
    { "9223372036854775.80", true, LATEST },
    { "9223372036854775.81", true, LATEST },
    { "99999999999999999999999999999999999999", true, LATEST },
    { "", false, 0 },
    { ".", false, 0 },
    { "-1", false, 0 },
    { "-0", false, 0 },
    { "+1", false, 0 },
    { "1e3", false, 0 },
    { "1.2.3", false, 0 },
    { " 1", false, 0 },
    { "1 ", false, 0 },
    { "NaN", false, 0 },
    { "inf", false, 0 },
    { "0x10", false, 0 },
    { "1,5", false, 0 },
    { "1_000", false, 0 },
    { "abc", false, 0 },
};

static const struct reading of_11[] = {
    { "123", true, 12300 },
    { "123.4", true, 12340 },
    { "123.456", true, 12346 },
    { "129084.198271987", true, 12908420 },
    { "1278109839.9", true, 127810983990 },
    /* half to even */
    { "0.005", true, 0 },
    { "0.015", true, 2 },
    { "0.025", true, 2 },
    { "0.035", true, 4 },
    { "1.005", true, 100 },
    { "1.115", true, 112 },
    { "1.125", true, 112 },
    { "2.675", true, 268 }, /* a double is 2.67499… */
    { "0.0250000000000000000000000000000001", true, 3 },
    { "0.0249999999999999999999999999999999", true, 2 },
    { "0.02500000000000000000000", true, 2 },
    { "0.996", true, 100 },
    { "0.0050000000000000000000000000000000000000001", true, 1 },
    { "0.00499", true, 0 },
    { "0.0005", true, 0 },
    { "0.00501", true, 1 },
    /* exponents */
    { "1e3", true, 100000 },
    { "1E3", true, 100000 },
    { "1.5e+2", true, 15000 },
    { "12345e-2", true, 12345 },
    { "12345e-3", true, 1234 }, /* 12.345 */
    { "12355e-3", true, 1236 }, /* 12.355 */
    { "5e-3", true, 0 },
    { "15e-3", true, 2 },
    { "6e-3", true, 1 },
    { "6e-4", true, 0 },
    { "1.2781098399e9", true, 127810983990 },
    { "0.000001e6", true, 100 },
    { "0e999999999", true, 0 },
    { "1e-999999999", true, 0 },
    { "1e999999999", true, LATEST },
    { "1e99999999999999999999999999999999999999", true, LATEST },
    { "1e-99999999999999999999999999999999999999", true, 0 },
    { "-1e999999999", true, -LATEST },
    { "9223372036854775.805", true, LATEST },
    { "9223372036854775.808", true, LATEST }, /* not rounded above the last */
    /* signs and blanks */
    { "+1", true, 100 },
    { "-1", true, -100 },
    { "-0.015", true, -2 },
    { "-0.001", true, 0 },
    { " 1.5 ", true, 150 },
    { "\t1.5\t", true, 150 },
    { "", false, 0 },
    { " ", false, 0 },
    { "-", false, 0 },
    { "+-1", false, 0 },
    { "- 1", false, 0 },
    { ".", false, 0 },
    { "e5", false, 0 },
    { "1e", false, 0 },
    { "1e+", false, 0 },
    { "1e5.5", false, 0 },
    { "1e5 5", false, 0 },
    { "1 2", false, 0 },
    { "nan", false, 0 },
    { "Infinity", false, 0 },
    { "0x1", false, 0 },
    { "1_0", false, 0 },
    { "\n1", false, 0 },
};

static void check(const struct reading *list, size_t n, bool (*parse)(view, stamp *))
{
    for (size_t i = 0; i < n; i++) {
        stamp t = { .cs = 4711 };
        bool good = parse(view_of(list[i].text), &t);

        if (good != list[i].good || t.cs != (good ? list[i].cs : 4711))
            fail_msg("\"%s\": %s, %lld", list[i].text, good ? "taken" : "refused", (long long)t.cs);
    }
}

static void storage_15_cuts_what_stands_behind_two_decimals(void **state)
{
    (void)state;
    check(of_15, sizeof of_15 / sizeof of_15[0], stamp_parse_15);
}

static void storage_11_rounds_half_to_even_on_the_decimal_text(void **state)
{
    (void)state;
    check(of_11, sizeof of_11 / sizeof of_11[0], stamp_parse_11);
}

static void a_nul_is_no_part_of_a_number(void **state)
{
    stamp t;

    (void)state;
    assert_false(stamp_parse_15(VIEW("1\0"), &t));
    assert_false(stamp_parse_11(VIEW("1\0"), &t));
    assert_false(stamp_parse_11(VIEW_NONE, &t));
    assert_false(stamp_parse_15(VIEW_NONE, &t));
}

static void a_text_of_a_million_digits_is_read_once(void **state)
{
    size_t n = 1000000;
    struct buf b = { 0 };
    stamp t;

    (void)state;
    buf_add(&b, VIEW("0.01"));
    for (size_t i = 0; i < n; i++)
        buf_addc(&b, '0');
    buf_addc(&b, '9');
    assert_true(stamp_parse_11(buf_view(&b), &t));
    assert_int_equal(t.cs, 1);
    buf_clear(&b);
    for (size_t i = 0; i < n; i++)
        buf_addc(&b, '7');
    buf_add(&b, VIEW("e-999999"));
    assert_true(stamp_parse_11(buf_view(&b), &t));
    assert_int_equal(t.cs, 778);
    buf_done(&b);
}

static void what_is_printed_is_read_back(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        char text[STAMP_TEXT_MAX];
        uint64_t bits;
        stamp t, back;
        size_t n;

        rand_bytes(&bits, sizeof bits);
        t.cs = (int64_t)(bits >> (4 + bits % 60));
        n = stamp_print(t, text);
        assert_true(stamp_parse_15((view){ .p = text, .n = n }, &back));
        assert_int_equal(back.cs, t.cs > LATEST ? LATEST : t.cs);
        assert_true(stamp_parse_11((view){ .p = text, .n = n }, &back));
        assert_int_equal(back.cs, t.cs > LATEST ? LATEST : t.cs);
    }
}

static void milliseconds_round_down(void **state)
{
    (void)state;
    assert_int_equal(stamp_from_ms(1239).cs, 123);
    assert_int_equal(stamp_ms((stamp){ .cs = 123 }), 1230);
    assert_int_equal(stamp_max((stamp){ .cs = 2 }, (stamp){ .cs = 1 }).cs, 2);
    assert_int_equal(stamp_max((stamp){ .cs = 1 }, (stamp){ .cs = 2 }).cs, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stamp_is_printed_with_two_decimals_and_never_negative),
        cmocka_unit_test(storage_15_cuts_what_stands_behind_two_decimals),
        cmocka_unit_test(storage_11_rounds_half_to_even_on_the_decimal_text),
        cmocka_unit_test(a_nul_is_no_part_of_a_number),
        cmocka_unit_test(a_text_of_a_million_digits_is_read_once),
        cmocka_unit_test(what_is_printed_is_read_back),
        cmocka_unit_test(milliseconds_round_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
