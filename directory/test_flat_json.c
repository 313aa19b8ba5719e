#include "directory/flat_json.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/testing.h"

static const char *const usual[] = {
    "{\"alg\":\"RS256\",\"kid\":\"20190730-15e473fd\",\"typ\":\"at+jwt\"}",
    "{\"aud\":\"https://token.example.net\",\"client_id\":\"5882386c6d801776\",\"exp\":1767229200,\"iat\":1767225600,"
    "\"iss\":\"https://accounts.example.net\",\"jti\":\"00ff\",\"scope\":\"profile https://identity.mozilla.com/apps/oldsync\","
    "\"sub\":\"8f3ac2b1d4e54f6789aa0b1c2d3e4f50\",\"fxa-generation\":0,\"fxa-profileChangedAt\":1767225600123}",
    "{\"\":\"\",\"n\":999999999999999999}",
};

static bool same_member(const struct flat_member *m, const json_t *tree)
{
    char name[256];
    snprintf(name, sizeof(name), "%.*s", VIEW_ARG(m->name));
    const json_t *v = json_object_get(tree, name);
    if (m->text.p)
        return json_is_string(v) && view_eq(json_text(v), m->text);
    return json_is_integer(v) && json_integer_value(v) == m->number;
}

/* Whether it is read; fails where it is, and the library reads something else. */
static bool taken(const char *bytes, size_t n)
{
    SCOPED(json_decref) json_t *tree = NULL;
    struct flat_json f;
    char *exact = mem_need(malloc(n ? n : 1)); /* so that a byte behind it is nobody's */
    view text = { .p = exact, .n = n };
    memcpy(exact, bytes, n);
    bool is = flat_json_read(text, &f);
    if (is) {
        bool same = json_read(text, JSON_DEPTH_MAX, JSON_READ_NO_DUPLICATES, &tree, NULL) == RC_OK &&
                    json_object_size(tree) == f.n;
        for (size_t i = 0; same && i < f.n; i++)
            same = same_member(&f.members[i], tree) && flat_json_get(&f, f.members[i].name) == &f.members[i];
        if (!same)
            fail_msg("%.*s is read in another way", (int)n, exact);
    }
    free(exact);
    return is;
}

static void what_issuers_write_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
        if (!taken(usual[i], strlen(usual[i])))
            fail_msg("%s", usual[i]);
}

static void whatever_is_unusual_is_left_to_the_library(void **state)
{
    static const char *const rows[] = {
        "",
        "{",
        "{}",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":}",
        "{\"a\":1",
        "{\"a\":1,}",
        "{\"a\":1}}",
        "{\"a\":1} ",
        "{ \"a\":1}",
        "{\"a\":\"b",
        "{\"a\":\"\\u0062\"}",
        "{\"a\":\"\xc3\xa9\"}",
        "{\"a\":\"\x01\"}",
        "{\"a\":true}",
        "{\"a\":null}",
        "{\"a\":[1]}",
        "{\"a\":{}}",
        "{\"a\":-1}",
        "{\"a\":01}",
        "{\"a\":1.0}",
        "{\"a\":1e3}",
        "{\"a\":9223372036854775807}",
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"b\":2,\"a\":\"x\"}",
        "[\"a\"]",
        "\"a\"",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (taken(rows[i], strlen(rows[i])))
            fail_msg("%s", rows[i]);
    assert_false(taken("{\"a\":\"\0\"}", 9));
}

static void more_members_than_have_room_are_left_to_the_library(void **state)
{
    struct buf b = { 0 };
    (void)state;
    buf_addc(&b, '{');
    for (int i = 0; i <= FLAT_MEMBERS_MAX; i++) {
        buf_addf(&b, "%s\"%d\":%d", i ? "," : "", i, i);
        size_t n = b.n;
        buf_addc(&b, '}');
        assert_int_equal(taken(b.p, b.n), i < FLAT_MEMBERS_MAX);
        b.n = n;
    }
    buf_done(&b);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* 60,000 texts that differ from usual ones in a few bytes. */
static void nothing_is_read_in_another_way_than_by_the_library(void **state)
{
    static const char bytes[] = "{}[]\",:\\0123456789-.eE au\t\n\x01\x7f\xc3\xa9/tfn";
    uint32_t seed = 20261121;
    int n_taken = 0;
    (void)state;
    for (int round = 0; round < 60000; round++) {
        char text[512];
        size_t n = (size_t)snprintf(text, sizeof(text), "%s",
                                    usual[next_random(&seed) % (sizeof(usual) / sizeof(usual[0]))]);
        for (uint32_t changes = next_random(&seed) % 4; changes > 0; changes--) {
            size_t at = next_random(&seed) % n;
            if (next_random(&seed) % 4 == 0)
                memmove(text + at, text + at + 1, --n - at);
            else
                text[at] = bytes[next_random(&seed) % (sizeof(bytes) - 1)];
        }
        n_taken += taken(text, n);
    }
    assert_in_range(n_taken, 15000, 59999); /* as many as leave something to be said of them */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_issuers_write_is_read),
        cmocka_unit_test(whatever_is_unusual_is_left_to_the_library),
        cmocka_unit_test(more_members_than_have_room_are_left_to_the_library),
        cmocka_unit_test(nothing_is_read_in_another_way_than_by_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
