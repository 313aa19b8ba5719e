#include "node/sync/bso_list.h"

#include "common/base/json.h"
#include "common/base/testing.h"

#define P10 "0123456789"
#define P20 P10 P10

enum { OK = -1, JSON = RESP_JSON, WBO = RESP_INVALID_WBO, LARGE = RESP_TOO_LARGE };

static const struct bso_rules rules_15 = { .max_payload_bytes = 20,
                                           .max_post_bytes = 50,
                                           .max_post_records = 5 };
static const struct bso_rules rules_11 = {
    .legacy = true, .max_payload_bytes = 20, .max_post_bytes = 50, .max_post_records = 5
};

struct read {
    struct arena a;
    struct bso_list l;
    struct buf answer;
    int code;
};

static void read_list(struct read *out, view body, enum format format, const struct bso_rules *rules)
{
    struct err e = ERR_NONE;
    struct bso_ctx c = { .rules = rules, .arena = &out->a };
    rc r;

    *out = (struct read){ .code = OK };
    arena_init(&out->a, 1 << 24);
    r = bso_list_read(body, format, &c, &out->l, &e);
    assert_true(r == RC_OK || r == RC_BAD_INPUT);
    if (r != RC_OK)
        out->code = (int)e.respcode;
    else
        bso_list_put(&out->answer, &out->l);
}

static void read_done_scoped(struct read *r)
{
    bso_list_done(&r->l);
    buf_done(&r->answer);
    arena_done(&r->a);
}

static void check(const char *what, view body, enum format format, const struct bso_rules *rules, int code,
                  size_t n, const char *answer)
{
    SCOPED(read_done) struct read r;

    read_list(&r, body, format, rules);
    if (r.code != code)
        fail_msg("%s: %.*s gives %d", what, VIEW_ARG(body), r.code);
    if (code != OK)
        return;
    if (r.l.n != n || strcmp(buf_text(&r.answer), answer) != 0)
        fail_msg("%s: %.*s gives %zu, %s", what, VIEW_ARG(body), r.l.n, buf_text(&r.answer));
}

/* A body, and its code, how many records are taken, and the answer. */
struct list_case {
    view body;
    int code;
    size_t n;
    const char *answer;
};

static void check_all(const char *what, const struct list_case *cases, size_t n, enum format format,
                      const struct bso_rules *rules)
{
    for (size_t i = 0; i < n; i++)
        check(what, cases[i].body, format, rules, cases[i].code, cases[i].n, cases[i].answer);
}

#define ANSWER(success, failed) "\"success\":[" success "],\"failed\":{" failed "}"

static void lists_of_1_5(void **state)
{
    static const struct list_case cases[] = {
        { VIEW("[]"), OK, 0, ANSWER("", "") },
        { VIEW(" [ ] \n"), OK, 0, ANSWER("", "") },
        { VIEW("[{\"id\":\"a\"}]"), OK, 1, ANSWER("\"a\"", "") },
        { VIEW("[{\"id\":\"a\",\"payload\":\"],{\\\"\"}, {\"id\":\"b\"}]"), OK, 2,
          ANSWER("\"a\",\"b\"", "") },
        { VIEW("[{\"id\":\"a\",\"sortindex\":\"FAIL\"},{\"id\":\"b\"}]"), OK, 1,
          ANSWER("\"b\"", "\"a\":\"invalid sortindex\"") },
        { VIEW("[{\"id\":\"a\",\"sortindex\":99999999999999999999},{\"id\":\"b\"}]"), OK, 1,
          ANSWER("\"b\"", "\"a\":\"invalid sortindex\"") },
        { VIEW("[{\"id\":\"a\",\"ttl\":1000000000},{\"id\":\"b\",\"ttl\":999999999}]"), OK, 1,
          ANSWER("\"b\"", "\"a\":\"invalid ttl\"") },
        { VIEW("[{\"id\":\"A\\nB\"},{\"id\":\"\"},{\"id\":\"A\\tB\",\"payload\":\"x\"}]"), OK, 0,
          ANSWER("", "\"A\\nB\":\"invalid id\",\"\":\"invalid id\",\"A\\tB\":\"invalid id\"") },
        { VIEW("[{\"id\":\"a\",\"payload\":42},{\"id\":\"b\",\"payload\":\"" P20
               "x\"},{\"id\":\"c\",\"x\":1}]"),
          OK, 0,
          ANSWER("",
                 "\"a\":\"payload not a string\",\"b\":\"payload too large\",\"c\":\"unknown field x\"") },
        { VIEW("[{\"id\":\"a\",\"payload\":{\"x\":[1,2]}},{\"id\":\"b\"}]"), OK, 1,
          ANSWER("\"b\"", "\"a\":\"payload not a string\"") },
        /* the last ones of too many fail */
        { VIEW(
              "[{\"id\":\"1\"},{\"id\":\"2\"},{\"id\":\"3\"},{\"id\":\"4\"},{\"id\":\"5\"},{\"id\":\"6\"},{\"id\":\"7\"}]"),
          OK, 5, ANSWER("\"1\",\"2\",\"3\",\"4\",\"5\"", "\"6\":\"retry bso\",\"7\":\"retry bso\"") },
        /* exactly max_post_bytes fit; who passes them fails, and so does what follows */
        { VIEW("[{\"id\":\"1\",\"payload\":\"" P20 "\"},{\"id\":\"2\",\"payload\":\"" P20
               "\"},{\"id\":\"3\",\"payload\":\"" P10 "\"}]"),
          OK, 3, ANSWER("\"1\",\"2\",\"3\"", "") },
        { VIEW("[{\"id\":\"1\",\"payload\":\"" P20 "\"},{\"id\":\"2\",\"payload\":\"" P20
               "\"},{\"id\":\"3\",\"payload\":\"" P10 "x\"},{\"id\":\"4\",\"payload\":\"x\"}]"),
          OK, 2, ANSWER("\"1\",\"2\"", "\"3\":\"retry bytes\",\"4\":\"retry bytes\"") },

        { VIEW("[{\"id\":\"a\"},\"BAD\"]"), WBO, 0, "" },
        { VIEW("[{\"id\":\"a\"},null]"), WBO, 0, "" },
        { VIEW("[{\"payload\":\"x\"}]"), WBO, 0, "" },
        { VIEW("[{\"id\":null}]"), WBO, 0, "" },
        { VIEW("[{\"id\":12}]"), WBO, 0, "" },
        { VIEW("[{\"id\":\"a\"},{\"id\":\"a\"}]"), WBO, 0, "" },
        { VIEW("[{\"id\":\"a\\n\"},{\"id\":\"a\\n\"}]"), WBO, 0, "" },
        { VIEW("\"notalist\""), WBO, 0, "" },
        { VIEW("42"), WBO, 0, "" },
        { VIEW("{}"), WBO, 0, "" },
        { VIEW("null"), WBO, 0, "" },
        { VIEW(""), JSON, 0, "" },
        { VIEW("["), JSON, 0, "" },
        { VIEW("[{\"id\":\"a\"}"), JSON, 0, "" },
        { VIEW("[{\"id\":\"a\"},]"), JSON, 0, "" },
        { VIEW("[,]"), JSON, 0, "" },
        { VIEW("[{\"id\":\"a\"}}"), JSON, 0, "" },
        { VIEW("[{\"id\":\"a\"}]]"), JSON, 0, "" },
        { VIEW("[{\"id\":\"a\"}] x"), JSON, 0, "" },
        { VIEW("[{\"id\":\"a]"), JSON, 0, "" },
        { VIEW("[{\"id\":\"a\\"), JSON, 0, "" },
        { VIEW("[{\"id\":\"a\"} {\"id\":\"b\"}]"), JSON, 0, "" },
        { VIEW("[{\"id\":\"a\",\"payload\":\"\xff\"}]"), JSON, 0, "" },
        { VIEW("[\"BAD\",{\"id\":]"), JSON, 0, "" }, /* not even JSON comes first */
        { VIEW("{\"id\":}"), JSON, 0, "" },
    };

    (void)state;
    check_all("1.5", cases, sizeof cases / sizeof *cases, FORMAT_JSON, &rules_15);
}

static void lines_of_1_5(void **state)
{
    static const struct list_case cases[] = {
        { VIEW(""), OK, 0, ANSWER("", "") },
        { VIEW("{\"id\":\"a\"}\n{\"id\":\"b\"}\n"), OK, 2, ANSWER("\"a\",\"b\"", "") },
        { VIEW("{\"id\":\"a\"}\n{\"id\":\"b\"}"), OK, 2, ANSWER("\"a\",\"b\"", "") },
        { VIEW("{\"id\":\"a\",\"payload\":\"x\\ny\"}\r\n"), OK, 1, ANSWER("\"a\"", "") },
        { VIEW("\n"), JSON, 0, "" },
        { VIEW("{\"id\":\"a\"}\n\n"), JSON, 0, "" },
        { VIEW("\n{\"id\":\"a\"}"), JSON, 0, "" },
        { VIEW("{\"id\":\"a\"}{\"id\":\"b\"}"), JSON, 0, "" },
        { VIEW("{}"), WBO, 0, "" },
        { VIEW("[]"), WBO, 0, "" },
        { VIEW("[{\"id\":\"a\"}]"), WBO, 0, "" },
    };

    (void)state;
    check_all("lines", cases, sizeof cases / sizeof *cases, FORMAT_NEWLINES, &rules_15);
}

static void lists_of_1_1(void **state)
{
    static const struct list_case cases[] = {
        { VIEW("[]"), OK, 0, ANSWER("", "") },
        { VIEW("[{\"id\":12,\"payload\":\"x\"},{\"id\":true}]"), OK, 2, ANSWER("\"12\",\"true\"", "") },
        { VIEW("[{\"id\":\"a\"},\"BAD\"]"), OK, 1, ANSWER("\"a\"", "\"\":[\"invalid wbo\"]") },
        { VIEW("[\"BAD\",{\"payload\":\"\"},{\"id\":\"\"},42]"), OK, 0,
          ANSWER("", "\"\":[\"invalid id\",\"invalid wbo\"]") },
        { VIEW("[{\"id\":\"4\",\"parentid\":\"" P20 P20 P20 P20
               "\"},{\"id\":\"5\",\"ttl\":-1},{\"id\":\"6/\"}]"),
          OK, 0, ANSWER("", "\"4\":[\"invalid parentid\"],\"5\":[\"invalid ttl\"],\"6/\":[\"invalid id\"]") },
        { VIEW("[{\"id\":\"a\",\"x\":{}},{\"id\":[\"b\"]}]"), OK, 0,
          ANSWER("", "\"a\":[\"invalid wbo\"],\"\":[\"invalid wbo\"]") },
        /* position counts, whatever stands there */
        { VIEW("[1,2,3,4,{\"id\":\"5\"},{\"id\":\"6\"}]"), OK, 1,
          ANSWER("\"5\"", "\"6\":[\"retry wbo\"],\"\":[\"invalid wbo\"]") },
        /* the record that makes it 50 fails, and so do later payloads; what has none passes */
        { VIEW("[{\"id\":\"1\",\"payload\":\"" P20 "\"},{\"id\":\"2\",\"payload\":\"" P20
               "\"},{\"id\":\"3\",\"payload\":\"" P10 "\"},{\"id\":\"4\",\"payload\":\"\"},{\"id\":\"5\"}]"),
          OK, 3, ANSWER("\"1\",\"2\",\"5\"", "\"3\":[\"retry bytes\"],\"4\":[\"retry bytes\"]") },
        /* the same id again: both are named, one is kept */
        { VIEW(
              "[{\"id\":\"a\",\"payload\":\"1\",\"sortindex\":7},{\"id\":\"b\"},{\"id\":\"a\",\"payload\":\"2\"}]"),
          OK, 2, ANSWER("\"a\",\"b\",\"a\"", "") },
        { VIEW("[{\"id\":\"a\",\"ttl\":-1},{\"id\":\"a\",\"ttl\":-2},{\"id\":\"a\"}]"), OK, 1,
          ANSWER("\"a\"", "\"a\":[\"invalid ttl\"]") },
        { VIEW("[{\"id\":\"a\",\"ttl\":1e400},{\"id\":\"b\"}]"), OK, 1,
          ANSWER("\"b\"", "\"\":[\"invalid wbo\"]") },
        { VIEW("[{\"id\":\"a\",\"ttl\":99999999999999999999},{\"id\":\"b\"}]"), OK, 1,
          ANSWER("\"b\"", "\"a\":[\"invalid ttl\"]") },

        { VIEW("\"notalist\""), WBO, 0, "" },
        { VIEW("42"), WBO, 0, "" },
        { VIEW("null"), WBO, 0, "" },
        { VIEW("{}"), WBO, 0, "" },
        { VIEW("{\"id\":\"a/b\"}"), WBO, 0, "" },
        { VIEW(""), JSON, 0, "" },
        { VIEW("[{\"id\":\"a\"},"), JSON, 0, "" },
    };

    (void)state;
    check_all("1.1", cases, sizeof cases / sizeof *cases, FORMAT_JSON, &rules_11);
}

static void a_record_named_twice_is_written_field_by_field_in_1_1(void **state)
{
    SCOPED(read_done) struct read r;

    (void)state;
    read_list(
        &r,
        VIEW("[{\"id\":\"a\",\"payload\":\"1\",\"sortindex\":7,\"ttl\":9},{\"id\":\"a\",\"parentid\":\"p\"},"
             "{\"id\":\"a\",\"payload\":\"2\"}]"),
        FORMAT_JSON, &rules_11);
    assert_int_equal(r.code, OK);
    assert_int_equal(r.l.n, 1);
    assert_true(view_eq(r.l.patches[0].payload, VIEW("2")));
    assert_int_equal(r.l.patches[0].sortindex, 7);
    assert_int_equal(r.l.patches[0].ttl_op, PATCH_CLEAR);
    assert_true(view_eq(r.l.patches[0].parentid, VIEW("p")));
    assert_true(r.l.patches[0].touches);
}

static void one_object_is_a_single_write_in_1_1(void **state)
{
    SCOPED(read_done) struct read r;

    (void)state;
    read_list(&r, VIEW(" {\"id\":\"a\",\"payload\":\"x\"}"), FORMAT_JSON, &rules_11);
    assert_int_equal(r.code, OK);
    assert_true(r.l.single);
    assert_int_equal(r.l.n, 1);
    assert_true(view_eq(r.l.patches[0].id, VIEW("a")));
}

static void a_list_of_thousands_is_answered_and_of_far_more_refused(void **state)
{
    SCOPED(buf_done) struct buf b = { 0 };

    (void)state;
    for (int i = 0; i < 6000; i++)
        buf_addf(&b, "%c{\"id\":\"%d\"}", i ? ',' : '[', i);
    buf_addc(&b, ']');
    {
        SCOPED(read_done) struct read r;

        read_list(&r, buf_view(&b), FORMAT_JSON, &rules_15);
        assert_int_equal(r.code, OK);
        assert_int_equal(r.l.n, 5);
    }
    b.n--;
    buf_add(&b, VIEW(",{\"id\":\"4711\"}]"));
    check("twice among thousands", buf_view(&b), FORMAT_JSON, &rules_15, WBO, 0, "");
    buf_clear(&b);
    buf_addc(&b, '[');
    for (int i = 0; i < BSO_LIST_SURPLUS + 10; i++)
        buf_add(&b, VIEW("0,"));
    buf_add(&b, VIEW("0]"));
    check("far too many", buf_view(&b), FORMAT_JSON, &rules_15, LARGE, 0, "");
    check("far too many", buf_view(&b), FORMAT_JSON, &rules_11, LARGE, 0, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_1_5),
        cmocka_unit_test(lines_of_1_5),
        cmocka_unit_test(lists_of_1_1),
        cmocka_unit_test(a_record_named_twice_is_written_field_by_field_in_1_1),
        cmocka_unit_test(one_object_is_a_single_write_in_1_1),
        cmocka_unit_test(a_list_of_thousands_is_answered_and_of_far_more_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
