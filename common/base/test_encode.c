#include "common/base/encode.h"

#include "common/base/rand.h"
#include "common/base/testing_arena.h"

/* RFC 4648 10 */
static const struct {
    const char *plain, *hex, *base64, *base32;
} published[] = {
    { "", "", "", "" },
    { "f", "66", "Zg==", "my" },
    { "fo", "666f", "Zm8=", "mzxq" },
    { "foo", "666f6f", "Zm9v", "mzxw6" },
    { "foob", "666f6f62", "Zm9vYg==", "mzxw6yq" },
    { "fooba", "666f6f6261", "Zm9vYmE=", "mzxw6ytb" },
    { "foobar", "666f6f626172", "Zm9vYmFy", "mzxw6ytboi" },
};

static void the_published_vectors_fit(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        view plain = view_of(published[i].plain), back;
        struct buf b = { 0 };

        hex_put(&b, plain);
        assert_string_equal(buf_text(&b), published[i].hex);
        assert_true(hex_decode(buf_view(&b), &arena, &back) && view_eq(back, plain));
        buf_clear(&b);
        base64_put(&b, BASE64_STD, plain);
        assert_string_equal(buf_text(&b), published[i].base64);
        assert_true(base64_decode(BASE64_STD, buf_view(&b), &arena, &back) && view_eq(back, plain));
        buf_clear(&b);
        base32_put_lower(&b, plain);
        assert_string_equal(buf_text(&b), published[i].base32);
        buf_done(&b);
    }
}

static void random_bytes_come_back_from_every_form(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        char bytes[70];
        view plain = { .p = bytes, .n = i % sizeof bytes }, text, back;
        struct buf b = { 0 };

        rand_bytes(bytes, sizeof bytes);
        for (int kind = BASE64_STD; kind <= BASE64_URL_NOPAD; kind++) {
            text = base64_text(&arena, (enum base64)kind, plain);
            assert_int_equal(text.n, base64_size((enum base64)kind, plain.n));
            assert_true(base64_decode((enum base64)kind, text, &arena, &back));
            assert_true(view_eq(back, plain));
        }
        hex_put(&b, plain);
        assert_true(hex_decode(buf_view(&b), &arena, &back) && view_eq(back, plain));
        buf_done(&b);
        arena_reset(&arena);
    }
}

static const struct {
    enum base64 kind;
    const char *text;
} bad_base64[] = {
    { BASE64_STD, "Zg" },          /* no padding */
    { BASE64_STD, "Zg=" },         /* half of it */
    { BASE64_STD, "Zg===" },       /* too much */
    { BASE64_STD, "Zm8==" },       /* … */
    { BASE64_STD, "Zm9v====" },    /* padding alone */
    { BASE64_STD, "====" },        /* … */
    { BASE64_STD, "=" },           /* … */
    { BASE64_STD, "Z===" },        /* six bits are no byte */
    { BASE64_STD, "Zh==" },        /* unused bits not zero */
    { BASE64_STD, "Zm9=" },        /* … */
    { BASE64_STD, "Zg==Zg==" },    /* padding in the middle */
    { BASE64_STD, "Z=g=" },        /* … */
    { BASE64_STD, "-_-_" },        /* the other alphabet */
    { BASE64_URL, "+/+/" },        /* … */
    { BASE64_URL, "Zg" },          /* no padding */
    { BASE64_URL_NOPAD, "Zg==" },  /* padding */
    { BASE64_URL_NOPAD, "Zh" },    /* unused bits not zero */
    { BASE64_URL_NOPAD, "Z" },     /* six bits are no byte */
    { BASE64_URL_NOPAD, "Zm9vZ" }, /* … */
    { BASE64_STD, "Zm9v\n" },      /* blanks and line breaks */
    { BASE64_STD, " Zm9v" },       /* … */
    { BASE64_STD, "Zm 9v" },       /* … */
    { BASE64_STD, "Zm\xc3\xa4v" }, /* bytes outside ASCII */
    { BASE64_STD, "@m9v" },        /* other characters */
};

static void only_canonical_base64_is_taken(void **state)
{
    view out, nul = { .p = "Zm\0v", .n = 4 };

    (void)state;
    for (size_t i = 0; i < sizeof bad_base64 / sizeof bad_base64[0]; i++)
        if (base64_decode(bad_base64[i].kind, view_of(bad_base64[i].text), &arena, &out))
            fail_msg("%s was taken", bad_base64[i].text);
    assert_false(base64_decode(BASE64_STD, nul, &arena, &out));
    assert_true(base64_decode(BASE64_STD, VIEW("+/+/"), &arena, &out));
    assert_true(base64_decode(BASE64_URL, VIEW("-_-_"), &arena, &out));
}

/* Whatever four characters are taken, encoding gives the same four back: nobody has a second spelling. */
static void no_four_characters_are_a_second_spelling(void **state)
{
    static const char digits[] = "ABCDwxyz0189+/=-_@";
    size_t n = sizeof digits - 1;

    (void)state;
    for (size_t i = 0; i < n * n * n * n; i++) {
        char text[4] = { digits[i % n], digits[i / n % n], digits[i / n / n % n], digits[i / n / n / n] };
        view v = { .p = text, .n = 4 }, bytes;

        if (base64_decode(BASE64_STD, v, &arena, &bytes))
            assert_true(view_eq(base64_text(&arena, BASE64_STD, bytes), v));
        arena_reset(&arena);
    }
}

static void hex_takes_both_cases_and_nothing_else(void **state)
{
    view out;

    (void)state;
    assert_true(hex_decode(VIEW("DEADbeef"), &arena, &out) && view_eq(out, VIEW("\xde\xad\xbe\xef")));
    assert_false(hex_decode(VIEW("abc"), &arena, &out));
    assert_false(hex_decode(VIEW("0g"), &arena, &out));
    assert_false(hex_decode(VIEW("0x"), &arena, &out));
    assert_false(hex_decode(VIEW(" 1"), &arena, &out));
}

static void numbers_in_hex_have_no_zeros_before_them(void **state)
{
    static const struct {
        uint64_t number;
        view text;
    } cases[] = {
        { 0, VIEW("0") },
        { 15, VIEW("f") },
        { 16, VIEW("10") },
        { 0xa0b0, VIEW("a0b0") },
        { UINT64_MAX >> 4, VIEW("fffffffffffffff") },
        { UINT64_MAX, VIEW("ffffffffffffffff") },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[HEX_NUMBER_MAX];
        view got = { .p = text, .n = hex_print(cases[i].number, text) };

        assert_true(view_eq(got, cases[i].text));
    }
}

static const struct {
    const char *text, *percent, *form; /* NULL: refused */
} escapes[] = {
    { "", "", "" },
    { "abc", "abc", "abc" },
    { "a+b", "a+b", "a b" },
    { "a%20b", "a b", "a b" },
    { "%41%2b%2B", "A++", "A++" },
    { "%c3%a7", "\xc3\xa7", "\xc3\xa7" },
    { "%2541", "%41", "%41" }, /* once */
    { "100%", NULL, NULL },
    { "%4", NULL, NULL },
    { "%4g", NULL, NULL },
    { "%%41", NULL, NULL },
    { "% 41", NULL, NULL },
};

static void percent_escapes_are_decoded_once_or_refused(void **state)
{
    view plain = VIEW("plain"), out;

    (void)state;
    for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++) {
        view text = view_of(escapes[i].text);

        assert_int_equal(percent_decode(text, &arena, &out), escapes[i].percent != NULL);
        if (escapes[i].percent)
            assert_true(view_eq(out, view_of(escapes[i].percent)));
        assert_int_equal(form_decode(text, &arena, &out), escapes[i].form != NULL);
        if (escapes[i].form)
            assert_true(view_eq(out, view_of(escapes[i].form)));
    }
    assert_true(percent_decode(plain, &arena, &out));
    assert_ptr_equal(out.p, plain.p); /* without an escape nothing is copied */
    assert_true(percent_decode(VIEW("a%00b"), &arena, &out));
    assert_int_equal(out.n, 3);
}

static const struct {
    const char *text;
    bool good;
} utf8[] = {
    { "", true },
    { "plain text that is longer than eight", true },
    { "\xc2\x80", true },
    { "\xdf\xbf", true },
    { "\xe0\xa0\x80", true },
    { "\xed\x9f\xbf", true },
    { "\xee\x80\x80", true },
    { "\xef\xbf\xbf", true },
    { "\xf0\x90\x80\x80", true },
    { "\xf4\x8f\xbf\xbf", true },
    { "1234567\xc3\xa4 and more behind it", true },
    { "\x80", false },             /* a follower alone */
    { "\xbf\xbf", false },         /* … */
    { "\xc0\x80", false },         /* overlong */
    { "\xc1\xbf", false },         /* … */
    { "\xe0\x9f\xbf", false },     /* … */
    { "\xf0\x8f\xbf\xbf", false }, /* … */
    { "\xed\xa0\x80", false },     /* surrogates */
    { "\xed\xbf\xbf", false },     /* … */
    { "\xf4\x90\x80\x80", false }, /* above U+10FFFF */
    { "\xf5\x80\x80\x80", false }, /* … */
    { "\xff", false },             /* … */
    { "\xc3", false },             /* cut */
    { "abc\xe2\x82", false },      /* … */
    { "\xf0\x90\x80", false },     /* … */
    { "\xe2\x28\xa1", false },     /* a letter inside */
    { "\xe2\x82\x28", false },     /* … */
    { "12345678\xc3(", false },    /* behind eight */
    { "bo\xef\xbb@x", false },     /* … */
};

static void utf8_is_what_rfc_3629_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof utf8 / sizeof utf8[0]; i++)
        if (utf8_valid(view_of(utf8[i].text)) != utf8[i].good)
            fail_msg("row %zu", i);
    assert_true(utf8_valid(VIEW_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vectors_fit),
        cmocka_unit_test(random_bytes_come_back_from_every_form),
        cmocka_unit_test(only_canonical_base64_is_taken),
        cmocka_unit_test(no_four_characters_are_a_second_spelling),
        cmocka_unit_test(hex_takes_both_cases_and_nothing_else),
        cmocka_unit_test(numbers_in_hex_have_no_zeros_before_them),
        cmocka_unit_test(percent_escapes_are_decoded_once_or_refused),
        cmocka_unit_test(utf8_is_what_rfc_3629_says),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
