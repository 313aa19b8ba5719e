#include "node/sync/bso.h"

#include "common/base/json.h"
#include "common/base/testing.h"

#define X32    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X65    X32 X32 "x"
#define D8(c)  c c c c c c c c
#define D32(c) D8(c) D8(c) D8(c) D8(c)

enum { OK = -1, JSON = RESP_JSON, WBO = RESP_INVALID_WBO };

static const struct bso_rules rules_15 = { .max_payload_bytes = 20,
                                           .max_post_bytes = 50,
                                           .max_post_records = 5 };
static const struct bso_rules rules_11 = {
    .legacy = true, .max_payload_bytes = 20, .max_post_bytes = 50, .max_post_records = 5
};

/* RESP_… of the failure, or OK. */
static int read_body(view body, view id, const struct bso_rules *rules, struct item_patch *out)
{
    struct arena a;
    struct err e = ERR_NONE;
    struct bso_ctx c = { .rules = rules, .arena = &a };
    struct item_patch p;
    json_t *root = NULL;
    rc r;

    arena_init(&a, 1 << 20);
    r = bso_read(body, id, &c, out ? out : &p, &root, &e);
    assert_true(r == RC_OK || r == RC_BAD_INPUT);
    assert_true(r == RC_OK || !root); /* a plain one needs none */
    json_decref(root);
    arena_done(&a);
    return r == RC_OK ? OK : (int)e.respcode;
}

static void a_body_is_accepted_or_refused_with_its_code(void **state)
{
    static const struct {
        view body;
        int in_15, in_11;
    } cases[] = {
        { VIEW("{}"), OK, OK },
        { VIEW(" {\"payload\" : \"x\"}\r\n"), OK, OK },
        { VIEW("{\"payload\":null,\"ttl\":null,\"sortindex\":null,\"id\":null}"), OK, OK },
        { VIEW("{\"modified\":12,\"collection\":\"c\"}"), OK, OK },
        { VIEW("{\"collection\":{\"any\":[\"thing\"]}}"), OK, WBO },
        { VIEW("{\"modified\":[1]}"), WBO, WBO },
        { VIEW("{\"payload\":\"a\\u0000b\"}"), OK, OK },
        { VIEW("{\"payload\":\"\\ud83d\\ude00\"}"), OK, OK },
        { VIEW("{\"payload\":\"\"}"), OK, OK },

        { VIEW(""), JSON, JSON },
        { VIEW("\n"), JSON, JSON },
        { VIEW("{"), JSON, JSON },
        { VIEW("{\"payload\":\"x\"} x"), JSON, JSON },
        { VIEW("nonsense"), JSON, JSON },
        { VIEW("{\"payload\":\"\xff\"}"), JSON, JSON },
        { VIEW("{\"payload\":\"\\ud83d\"}"), JSON, JSON },
        { VIEW("{\"payload\":\"\xed\xa0\xbd\"}"), JSON, JSON },
        { VIEW("{\"payload\":\"x\"}\0"), JSON, JSON },
        { VIEW("{\"payload\":NaN}"), JSON, JSON },
        { VIEW("{\"x\":" D32("[") D32("]") "}"), JSON, JSON },
        { VIEW(D32("[") D32("[")), JSON, JSON },

        { VIEW("\"notabso\""), WBO, WBO },
        { VIEW("42"), WBO, WBO },
        { VIEW("null"), WBO, WBO },
        { VIEW("[]"), WBO, WBO },
        { VIEW("[{\"payload\":\"x\"}]"), WBO, WBO },
        { VIEW("{\"id\":[\"1\",\"2\"],\"payload\":{\"3\":\"4\"}}"), WBO, WBO },
        { VIEW("{\"id\":12}"), WBO, OK },
        { VIEW("{\"id\":\"" X65 "\"}"), WBO, WBO },
        { VIEW("{\"id\":\"a\\nb\"}"), WBO, WBO },
        { VIEW("{\"id\":\"a/b\"}"), OK, WBO },
        { VIEW("{\"payload\":42}"), WBO, WBO },
        { VIEW("{\"payload\":true}"), WBO, WBO },
        { VIEW("{\"payload\":{}}"), WBO, WBO },
        { VIEW("{\"payload\":\"12345678901234567890\"}"), OK, OK },
        { VIEW("{\"payload\":\"123456789012345678901\"}"), WBO, WBO },
        { VIEW(
              "{\"payload\":\"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\"}"),
          WBO, WBO }, /* 11 characters, 22 bytes */

        { VIEW("{\"sortindex\":-42}"), OK, OK },
        { VIEW("{\"sortindex\":999999999}"), OK, OK },
        { VIEW("{\"sortindex\":1000000000}"), WBO, WBO },
        { VIEW("{\"sortindex\":-9999999999}"), WBO, WBO },
        { VIEW("{\"sortindex\":1234567890123}"), WBO, WBO },
        { VIEW("{\"sortindex\":99999999999999999999}"), WBO, WBO },
        { VIEW("{\"sortindex\":\"xxx\"}"), WBO, WBO },
        { VIEW("{\"sortindex\":\"12\"}"), WBO, OK },
        { VIEW("{\"sortindex\":\"9999.1\"}"), WBO, OK },
        { VIEW("{\"sortindex\":2.6}"), WBO, OK },
        { VIEW("{\"sortindex\":\"0x10\"}"), WBO, WBO },
        { VIEW("{\"sortindex\":\"nan\"}"), WBO, WBO },
        { VIEW("{\"sortindex\":true}"), WBO, WBO },

        { VIEW("{\"ttl\":0}"), OK, OK },
        { VIEW("{\"ttl\":3600}"), OK, OK },
        { VIEW("{\"ttl\":\"3600\"}"), WBO, OK },
        { VIEW("{\"ttl\":31536000}"), OK, OK },
        { VIEW("{\"ttl\":31537000}"), OK, WBO },
        { VIEW("{\"ttl\":94608000}"), OK, WBO },
        { VIEW("{\"ttl\":999999999}"), OK, WBO },
        { VIEW("{\"ttl\":1000000000}"), WBO, WBO },
        { VIEW("{\"ttl\":-1}"), WBO, WBO },
        { VIEW("{\"ttl\":\"eh?\"}"), WBO, WBO },
        { VIEW("{\"ttl\":\"4.2\"}"), WBO, WBO },
        { VIEW("{\"ttl\":\"bouh\"}"), WBO, WBO },
        { VIEW("{\"ttl\":1e400}"), WBO, WBO },
        { VIEW("{\"ttl\":true}"), WBO, WBO },

        { VIEW("{\"boooo\":\"\"}"), WBO, OK },
        { VIEW("{\"boooo\":null}"), WBO, OK },
        { VIEW("{\"boooo\":[]}"), WBO, WBO },
        { VIEW("{\"parentid\":\"p\",\"predecessorid\":33}"), WBO, OK },
        { VIEW("{\"parentid\":\"" X65 "\"}"), WBO, WBO },
        { VIEW("{\"predecessorid\":\"" X65 "\"}"), WBO, WBO },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int got_15 = read_body(cases[i].body, VIEW("url"), &rules_15, NULL);
        int got_11 = read_body(cases[i].body, VIEW("url"), &rules_11, NULL);

        if (got_15 != cases[i].in_15 || got_11 != cases[i].in_11)
            fail_msg("case %zu: %.*s gives %d in 1.5, %d in 1.1", i, VIEW_ARG(cases[i].body), got_15, got_11);
    }
}

static void the_url_names_the_item_whatever_the_body_says(void **state)
{
    struct item_patch p;

    (void)state;
    assert_int_equal(read_body(VIEW("{\"id\":\"1\"}"), VIEW("3"), &rules_15, &p), OK);
    assert_true(view_eq(p.id, VIEW("3")));
    assert_int_equal(read_body(VIEW("{}"), VIEW_NONE, &rules_11, &p), WBO);
    assert_int_equal(read_body(VIEW("{\"payload\":\"\"}"), VIEW_NONE, &rules_11, &p), WBO);
    assert_int_equal(read_body(VIEW("{\"id\":\"1\"}"), VIEW_NONE, &rules_11, &p), OK);
}

static void a_change_of_ttl_alone_keeps_the_time_in_1_5(void **state)
{
    struct item_patch p;

    (void)state;
    assert_int_equal(read_body(VIEW("{\"ttl\":5}"), VIEW("i"), &rules_15, &p), OK);
    assert_false(p.touches);
    assert_int_equal(p.ttl_op, PATCH_SET);
    assert_int_equal(p.ttl_s, 5);
    assert_int_equal(p.payload_op, PATCH_LEAVE);
    assert_int_equal(read_body(VIEW("{\"sortindex\":5}"), VIEW("i"), &rules_15, &p), OK);
    assert_true(p.touches);
    assert_int_equal(p.ttl_op, PATCH_LEAVE);
    assert_int_equal(read_body(VIEW("{\"payload\":\"\"}"), VIEW("i"), &rules_15, &p), OK);
    assert_true(p.touches);
    assert_int_equal(p.ttl_op, PATCH_LEAVE);
}

static void a_payload_clears_the_ttl_in_1_1_and_nothing_else_moves_the_time(void **state)
{
    struct item_patch p;

    (void)state;
    assert_int_equal(read_body(VIEW("{\"sortindex\":\"-5\",\"parentid\":33}"), VIEW("i"), &rules_11, &p), OK);
    assert_false(p.touches);
    assert_int_equal(p.sortindex, -5);
    assert_int_equal(p.ttl_op, PATCH_LEAVE);
    assert_int_equal(p.parentid.n, 2);
    assert_int_equal(p.predecessorid_op, PATCH_LEAVE);
    assert_int_equal(read_body(VIEW("{\"sortindex\":\"5.9\",\"payload\":\"x\"}"), VIEW("i"), &rules_11, &p),
                     OK);
    assert_true(p.touches);
    assert_int_equal(p.sortindex, 5);
    assert_int_equal(p.ttl_op, PATCH_CLEAR);
    assert_int_equal(read_body(VIEW("{\"payload\":\"x\",\"ttl\":\"7\"}"), VIEW("i"), &rules_11, &p), OK);
    assert_int_equal(p.ttl_op, PATCH_SET);
    assert_int_equal(p.ttl_s, 7);
}

static void the_last_of_two_members_of_one_name_wins(void **state)
{
    struct item_patch p;

    (void)state;
    assert_int_equal(read_body(VIEW("{\"sortindex\":1,\"sortindex\":2}"), VIEW("i"), &rules_15, &p), OK);
    assert_int_equal(p.sortindex, 2);
}

static void what_was_sent_is_not_repeated_to_the_log(void **state)
{
    static const char *const bodies[] = { "{\"payload\":\"secret\" secret}", "{\"payload\":secret}", "secret",
                                          "{\"payload\":[\"secret\"]}", "{\"id\":\"se\\ncret\"}" };
    struct arena a;
    struct bso_ctx c = { .rules = &rules_15, .arena = &a };

    (void)state;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct err e = ERR_NONE;
        struct item_patch p;
        json_t *root = NULL;

        assert_int_equal(bso_read(view_of(bodies[i]), VIEW("url"), &c, &p, &root, &e), RC_BAD_INPUT);
        assert_null(strstr(e.text, "secret"));
    }
    arena_done(&a);
}

static void a_small_body_cannot_become_a_large_tree(void **state)
{
    SCOPED(buf_done) struct buf b = { 0 };

    (void)state;
    buf_add(&b, VIEW("{\"x\":["));
    for (int i = 0; i < 2 * BSO_PARTS_MAX; i++)
        buf_add(&b, VIEW("[],"));
    buf_add(&b, VIEW("0]}"));
    assert_int_equal(read_body(buf_view(&b), VIEW("i"), &rules_15, NULL), WBO);
    assert_int_equal(read_body(buf_view(&b), VIEW("i"), &rules_11, NULL), WBO);
    buf_clear(&b);
    for (int i = 0; i < 100000; i++)
        buf_addc(&b, '[');
    assert_int_equal(read_body(buf_view(&b), VIEW("i"), &rules_15, NULL), JSON);
}

static void items_are_written_with_the_fields_that_have_a_value(void **state)
{
    static const struct {
        struct item it;
        bool legacy;
        const char *text;
    } cases[] = {
        { { .id = VIEW("a"), .payload = VIEW("{\"x\":\n1}"), .modified = { 176722560010 } },
          false,
          "{\"id\":\"a\",\"modified\":1767225600.10,\"payload\":\"{\\\"x\\\":\\n1}\"}" },
        { { .id = VIEW("a"),
            .payload = VIEW(""),
            .modified = { 0 },
            .sortindex = -3,
            .has_sortindex = true,
            .expires_ms = 5,
            .parentid = VIEW("p"),
            .predecessorid = VIEW("") },
          false,
          "{\"id\":\"a\",\"modified\":0.00,\"payload\":\"\",\"sortindex\":-3}" },
        { { .id = VIEW("a"),
            .payload = VIEW(""),
            .modified = { 100 },
            .parentid = VIEW("p"),
            .predecessorid = VIEW("") },
          true,
          "{\"id\":\"a\",\"modified\":1.00,\"payload\":\"\",\"parentid\":\"p\",\"predecessorid\":\"\"}" },
        { { .id = VIEW("b"), .payload = VIEW("as late as a"), .modified = { 100 } },
          true,
          "{\"id\":\"b\",\"modified\":1.00,\"payload\":\"as late as a\"}" },
    };

    struct time_text time = { .n = 0 };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SCOPED(buf_done) struct buf b = { 0 };

        bso_put(&b, &cases[i].it, cases[i].legacy, &time);
        assert_string_equal(buf_text(&b), cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_accepted_or_refused_with_its_code),
        cmocka_unit_test(the_url_names_the_item_whatever_the_body_says),
        cmocka_unit_test(a_change_of_ttl_alone_keeps_the_time_in_1_5),
        cmocka_unit_test(a_payload_clears_the_ttl_in_1_1_and_nothing_else_moves_the_time),
        cmocka_unit_test(the_last_of_two_members_of_one_name_wins),
        cmocka_unit_test(what_was_sent_is_not_repeated_to_the_log),
        cmocka_unit_test(a_small_body_cannot_become_a_large_tree),
        cmocka_unit_test(items_are_written_with_the_fields_that_have_a_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
