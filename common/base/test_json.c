#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/testing.h"

static const struct {
    const char *claim;
    view text;
    rc result;
    enum respcode code;
} cases[] = {
    /* values of any kind */
    { "object", VIEW("{\"a\": [1, 2.5, true, null]}"), RC_OK, 0 },
    { "number alone", VIEW("12"), RC_OK, 0 },
    { "string alone", VIEW("\"x\""), RC_OK, 0 },
    { "null alone", VIEW(" null\n"), RC_OK, 0 },
    { "escaped NUL", VIEW("\"a\\u0000b\""), RC_OK, 0 },
    { "surrogate pair", VIEW("\"\\ud83d\\ude00\""), RC_OK, 0 },
    { "astral UTF-8", VIEW("\"\xf0\x9f\x98\x80\""), RC_OK, 0 },
    { "duplicate member", VIEW("{\"a\":1,\"a\":2}"), RC_OK, 0 },
    { "brackets in a string", VIEW("\"[[[[[[[[[[\""), RC_OK, 0 },
    { "brackets behind an escaped quote", VIEW("\"\\\"[[[[[[[[[[\""), RC_OK, 0 },
    { "depth at the limit", VIEW("[[[[{}]]]]"), RC_OK, 0 },
    { "siblings are no depth", VIEW("[[],[],[],[],[],[],[]]"), RC_OK, 0 },
    { "underflow is zero", VIEW("1e-400"), RC_OK, 0 },
    { "smallest integer", VIEW("-9223372036854775808"), RC_OK, 0 },
    /* no JSON */
    { "nothing", VIEW(""), RC_BAD_INPUT, RESP_JSON },
    { "blanks", VIEW(" \n"), RC_BAD_INPUT, RESP_JSON },
    { "something behind", VIEW("{} x"), RC_BAD_INPUT, RESP_JSON },
    { "two values", VIEW("1 2"), RC_BAD_INPUT, RESP_JSON },
    { "NUL behind", VIEW("{}\0"), RC_BAD_INPUT, RESP_JSON },
    { "NaN", VIEW("NaN"), RC_BAD_INPUT, RESP_JSON },
    { "leading zero", VIEW("01"), RC_BAD_INPUT, RESP_JSON },
    { "trailing comma", VIEW("[1,]"), RC_BAD_INPUT, RESP_JSON },
    { "single quotes", VIEW("{'a':1}"), RC_BAD_INPUT, RESP_JSON },
    { "byte order mark", VIEW("\xef\xbb\xbf{}"), RC_BAD_INPUT, RESP_JSON },
    { "unfinished", VIEW("[1"), RC_BAD_INPUT, RESP_JSON },
    { "unfinished string", VIEW("\"a\\"), RC_BAD_INPUT, RESP_JSON },
    { "wrong bracket", VIEW("[1}"), RC_BAD_INPUT, RESP_JSON },
    { "only closing", VIEW("]]]]"), RC_BAD_INPUT, RESP_JSON },
    { "control byte in a string", VIEW("\"a\nb\""), RC_BAD_INPUT, RESP_JSON },
    { "raw NUL in a string", VIEW("\"a\0b\""), RC_BAD_INPUT, RESP_JSON },
    /* texts that are no Unicode */
    { "lone high surrogate", VIEW("\"\\ud800\""), RC_BAD_INPUT, RESP_JSON },
    { "high surrogate before a letter", VIEW("\"\\ud800x\""), RC_BAD_INPUT, RESP_JSON },
    { "high surrogate twice", VIEW("\"\\ud800\\ud800\""), RC_BAD_INPUT, RESP_JSON },
    { "lone low surrogate", VIEW("\"\\udc00\""), RC_BAD_INPUT, RESP_JSON },
    { "encoded surrogate", VIEW("\"\xed\xa0\x80\""), RC_BAD_INPUT, RESP_JSON },
    { "overlong", VIEW("\"\xc0\x80\""), RC_BAD_INPUT, RESP_JSON },
    { "above U+10FFFF", VIEW("\"\xf4\x90\x80\x80\""), RC_BAD_INPUT, RESP_JSON },
    { "Latin-1", VIEW("\"\xe9\""), RC_BAD_INPUT, RESP_JSON },
    { "bad UTF-8 in a name", VIEW("{\"\xff\":1}"), RC_BAD_INPUT, RESP_JSON },
    /* deeper than 5 */
    { "arrays", VIEW("[[[[[[]]]]]]"), RC_BAD_INPUT, RESP_JSON },
    { "mixed", VIEW("{\"a\":[{\"b\":[{\"c\":[]}]}]}"), RC_BAD_INPUT, RESP_JSON },
    { "depth before the error", VIEW("[[[[[[x"), RC_BAD_INPUT, RESP_JSON },
    { "depth behind a string", VIEW("[\"]]]]\\\\\",[[[[[]]]]]]"), RC_BAD_INPUT, RESP_JSON },
    /* numbers out of range */
    { "huge real", VIEW("1e400"), RC_BAD_INPUT, RESP_INVALID_WBO },
    { "huge negative real", VIEW("[-1e400]"), RC_BAD_INPUT, RESP_INVALID_WBO },
    { "huge integer", VIEW("{\"sortindex\": 9223372036854775808}"), RC_BAD_INPUT, RESP_INVALID_WBO },
};

static void reading_takes_json_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err e = ERR_NONE;
        json_t *value = NULL;
        rc r = json_read(cases[i].text, 5, JSON_READ_PLAIN, &value, &e);

        if (r != cases[i].result || e.respcode != cases[i].code)
            fail_msg("%s: rc %s, code %d, %s", cases[i].claim, rc_name(r), e.respcode, e.text);
        assert_true((value != NULL) == (r == RC_OK));
        json_decref(value);
    }
}

static void duplicates_are_an_error_only_where_asked(void **state)
{
    static const view text = VIEW("{\"a\":1,\"b\":{\"c\":1,\"c\":2}}");
    struct err e = ERR_NONE;
    json_t *value = NULL;

    (void)state;
    assert_int_equal(json_read(text, 9, JSON_READ_NO_DUPLICATES, &value, &e), RC_BAD_INPUT);
    assert_int_equal(e.respcode, RESP_JSON);
    assert_null(value);
    assert_int_equal(json_read(text, 9, JSON_READ_PLAIN, &value, &e), RC_OK);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(value, "b"), "c")), 2);
    json_decref(value);
}

static void wide_integers_are_never_out_of_range(void **state)
{
    struct err e = ERR_NONE;
    json_t *value = NULL;

    (void)state;
    assert_int_equal(json_read(VIEW("[9223372036854775808]"), 9, JSON_READ_WIDE_INTEGERS, &value, &e), RC_OK);
    assert_true(json_is_real(json_array_get(value, 0)));
    json_decref(value);
    assert_int_equal(json_read(VIEW("1e400"), 9, JSON_READ_WIDE_INTEGERS, &value, &e), RC_BAD_INPUT);
    assert_int_equal(e.respcode, RESP_INVALID_WBO);
}

static void a_million_brackets_are_refused_before_the_parser_sees_them(void **state)
{
    size_t n = 1000000;
    char *text = malloc(n);
    struct err e = ERR_NONE;
    json_t *value = NULL;

    (void)state;
    assert_non_null(text);
    memset(text, '[', n);
    assert_int_equal(json_read((view){ .p = text, .n = n }, JSON_DEPTH_MAX, JSON_READ_PLAIN, &value, &e),
                     RC_BAD_INPUT);
    assert_non_null(strstr(e.text, "deeper than 32"));
    free(text);
}

static void the_text_of_a_string_keeps_its_nul(void **state)
{
    struct err e = ERR_NONE;
    json_t *value = NULL;

    (void)state;
    assert_int_equal(json_read(VIEW("\"a\\u0000b\""), 1, JSON_READ_PLAIN, &value, &e), RC_OK);
    assert_true(view_eq(json_text(value), VIEW("a\0b")));
    json_decref(value);
    assert_null(json_text(NULL).p);
}

static void strings_are_escaped_where_json_demands_it(void **state)
{
    static const struct {
        view in, out;
    } strings[] = {
        { VIEW(""), VIEW("\"\"") },
        { VIEW_NONE, VIEW("\"\"") },
        { VIEW("plain"), VIEW("\"plain\"") },
        { VIEW("\"\\/"), VIEW("\"\\\"\\\\/\"") },
        { VIEW("\b\f\n\r\t"), VIEW("\"\\b\\f\\n\\r\\t\"") },
        { VIEW("\0\x01\x1f\x7f"), VIEW("\"\\u0000\\u0001\\u001f\x7f\"") },
        { VIEW("\xc3\xa4\xe2\x80\xa8\xf0\x9f\x98\x80"), VIEW("\"\xc3\xa4\xe2\x80\xa8\xf0\x9f\x98\x80\"") },
        { VIEW("eight---eight---\neight---x"), VIEW("\"eight---eight---\\neight---x\"") },
    };

    (void)state;
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        SCOPED(buf_done) struct buf b = { 0 };

        json_put_string(&b, strings[i].in);
        if (!view_eq(buf_view(&b), strings[i].out))
            fail_msg("case %zu gives %s", i, buf_text(&b));
    }
}

/* Every byte at every place of two blocks, a word and a bit, against jansson reading it back. */
static void any_ascii_byte_at_any_place_is_read_back_as_it_was(void **state)
{
    (void)state;
    for (int c = 0; c < 0x80; c++)
        for (size_t place = 0; place < 75; place++) {
            SCOPED(buf_done) struct buf b = { 0 };
            char text[75];
            struct err e = ERR_NONE;
            json_t *value = NULL;

            memset(text, 'x', sizeof text);
            text[place] = (char)c;
            json_put_string(&b, (view){ .p = text, .n = sizeof text });
            assert_int_equal(json_read(buf_view(&b), 1, JSON_READ_PLAIN, &value, &e), RC_OK);
            assert_true(view_eq(json_text(value), (view){ .p = text, .n = sizeof text }));
            json_decref(value);
        }
}

static void letters_beyond_ascii_stand_as_they_are_at_any_place(void **state)
{
    (void)state;
    for (size_t place = 0; place + 3 <= 75; place++) {
        SCOPED(buf_done) struct buf b = { 0 };
        char text[75];

        memset(text, 'x', sizeof text);
        memcpy(text + place, "\xc3\xa4\"", 3);
        json_put_string(&b, (view){ .p = text, .n = sizeof text });
        assert_int_equal(b.n, sizeof text + 3);
        assert_memory_equal(b.p + 1 + place, "\xc3\xa4\\\"", 4);
    }
}

/* The worst there is, where there is a little too little room, or just enough. */
static void escaping_stays_within_its_room(void **state)
{
    char text[70];

    (void)state;
    memset(text, 1, sizeof text);
    for (size_t n = 1; n <= sizeof text; n++)
        for (size_t cap = 6 * n; cap < 6 * n + 12; cap++) {
            SCOPED(buf_done) struct buf b = { .p = mem_need(malloc(cap)), .cap = cap };

            json_put_string(&b, (view){ .p = text, .n = n });
            assert_int_equal(b.n, 6 * n + 2);
            assert_memory_equal(b.p + 6 * n - 5, "\\u0001\"", 7);
        }
}

static void long_strings_full_of_escapes_are_read_back_as_they_were(void **state)
{
    char text[1100];

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "\"\\\n\x01xyz"[i * 7 % 11 % 7];
    for (size_t n = 0; n <= sizeof text; n++) {
        SCOPED(buf_done) struct buf b = { 0 };
        SCOPED(json_decref) json_t *value = NULL;

        json_put_string(&b, (view){ .p = text, .n = n });
        assert_int_equal(json_read(buf_view(&b), 1, JSON_READ_PLAIN, &value, NULL), RC_OK);
        assert_true(view_eq(json_text(value), (view){ .p = text, .n = n }));
    }
}

static void a_dump_is_compact_and_appended(void **state)
{
    SCOPED(buf_done) struct buf b = { 0 };
    struct err e = ERR_NONE;
    json_t *value = NULL;

    (void)state;
    assert_int_equal(
        json_read(VIEW("{ \"a\" : [1, 2],\n\"b\": \"\\u00e4\" }"), 3, JSON_READ_PLAIN, &value, &e), RC_OK);
    buf_add(&b, VIEW("x="));
    json_put_members(&b, value);
    assert_string_equal(buf_text(&b), "x={\"a\":[1,2],\"b\":\"\xc3\xa4\"}");
    json_decref(value);
}

static void an_object_is_built_member_by_member(void **state)
{
    SCOPED(json_decref) json_t *o = json_object();
    SCOPED(buf_done) struct buf b = { 0 };

    (void)state;
    json_add(o, "some", json_of_text((view){ .p = "a\0b", .n = 3 }));
    json_add(o, "none", json_of_text(VIEW_NONE));
    json_put_members(&b, o);
    assert_string_equal(buf_text(&b), "{\"some\":\"a\\u0000b\",\"none\":\"\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_takes_json_and_nothing_else),
        cmocka_unit_test(duplicates_are_an_error_only_where_asked),
        cmocka_unit_test(wide_integers_are_never_out_of_range),
        cmocka_unit_test(a_million_brackets_are_refused_before_the_parser_sees_them),
        cmocka_unit_test(the_text_of_a_string_keeps_its_nul),
        cmocka_unit_test(strings_are_escaped_where_json_demands_it),
        cmocka_unit_test(any_ascii_byte_at_any_place_is_read_back_as_it_was),
        cmocka_unit_test(letters_beyond_ascii_stand_as_they_are_at_any_place),
        cmocka_unit_test(escaping_stays_within_its_room),
        cmocka_unit_test(long_strings_full_of_escapes_are_read_back_as_they_were),
        cmocka_unit_test(a_dump_is_compact_and_appended),
        cmocka_unit_test(an_object_is_built_member_by_member),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
