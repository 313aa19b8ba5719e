#include "node/sync/bso_scan.h"

#include "common/base/json.h"
#include "common/base/testing.h"

static const struct bso_rules rules[2] = {
    { .max_payload_bytes = 100, .max_post_bytes = 1000, .max_post_records = 10 },
    { .legacy = true, .max_payload_bytes = 100, .max_post_bytes = 1000, .max_post_records = 10 },
};

static bool views_same(view a, view b)
{
    return view_eq(a, b) && !a.p == !b.p;
}

static bool same(const struct item_patch *a, const struct item_patch *b)
{
    return views_same(a->id, b->id) && a->payload_op == b->payload_op && views_same(a->payload, b->payload) &&
           a->sortindex_op == b->sortindex_op && a->sortindex == b->sortindex && a->ttl_op == b->ttl_op &&
           a->ttl_s == b->ttl_s && a->parentid_op == b->parentid_op && views_same(a->parentid, b->parentid) &&
           a->predecessorid_op == b->predecessorid_op && views_same(a->predecessorid, b->predecessorid) &&
           a->touches == b->touches;
}

/* What the long way makes of it. */
static bool read_long(view text, const struct bso_ctx *c, struct item_patch *out, json_t **root)
{
    if (json_read(text, JSON_DEPTH_MAX, JSON_READ_PLAIN, root, NULL) != RC_OK || !json_is_object(*root))
        return false;
    *out = (struct item_patch){ .id = bso_id(*root, c) };
    if (json_object_get(*root, "id") && !bso_id_ok(out->id, c))
        return false;
    return bso_fill(*root, c, out) == NULL;
}

/* Whether it is taken; fails where it is and the long way says something else. */
static bool scan(const char *bytes, size_t n, bool legacy)
{
    SCOPED(arena_done) struct arena a;
    SCOPED(json_decref) json_t *root = NULL;
    struct bso_ctx c = { .rules = &rules[legacy], .arena = &a };
    struct item_patch fast = { .sortindex = 77 }, slow;
    char *exact = malloc(n ? n : 1); /* so that a byte behind it is nobody's */
    view text = { .p = exact, .n = n };
    size_t at = 0;

    memcpy(exact, bytes, n);
    arena_init(&a, 65536);
    bool taken = bso_scan(text, &at, &c, &fast);
    if (!taken) {
        assert_int_equal(at, 0);
        assert_int_equal(fast.sortindex, 77);
    } else if (at == n && (!read_long(text, &c, &slow, &root) || !same(&fast, &slow))) {
        fail_msg("%s reads %.*s in another way", legacy ? "1.1" : "1.5", (int)n, exact);
    }
    free(exact);
    return taken && at == n;
}

static void what_clients_write_is_taken(void **state)
{
    static const char *const both[] = {
        "{\"id\":\"a\"}",
        "{\"id\":\"-F_Szdjg3GzX\",\"sortindex\":-140,\"payload\":\"{\\\"ciphertext\\\":\\\"Zm9v\\\"}\",\"ttl\":5184000}",
        " {\t\"payload\" : \"x\\n\\t\\r\\b\\f\\/\\\\\" ,\n\"id\":\"a b\"\r} ",
        "{\"payload\":\"\",\"sortindex\":0,\"modified\":1763681523.07,\"id\":\"~\"}",
        "{\"payload\":\"no id\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof both / sizeof *both; i++)
        assert_true(scan(both[i], strlen(both[i]), false) && scan(both[i], strlen(both[i]), true));
    const char *with_parents = "{\"id\":\"a\",\"parentid\":\"p\",\"predecessorid\":\"\",\"payload\":\"x\"}";
    assert_true(scan(with_parents, strlen(with_parents), true));
    assert_false(scan(with_parents, strlen(with_parents), false));
}

static void whatever_is_not_plain_is_left_to_others(void **state)
{
    static const char *const neither[] = {
        "",
        "{",
        "{}",
        "[]",
        "{\"id\"}",
        "{\"id\":\"a\"",
        "{\"id\":\"a\",}",
        "{\"id\":\"a\"}}",
        "{\"id\":\"a\" \"ttl\":1}",
        "{\"id\":\"\"}",
        "{\"id\":null}",
        "{\"id\":1}",
        "{\"id\":\"\\u0061\"}",
        "{\"id\":\"\xc3\xa4\"}",
        "{\"id\":\"a\",\"id\":\"b\"}",
        "{\"id\":\"a\",\"payload\":\"\x01\"}",
        "{\"id\":\"a\",\"payload\":\"\\x\"}",
        "{\"id\":\"a\",\"payload\":\"\\",
        "{\"id\":\"a\",\"payload\":\"x",
        "{\"id\":\"a\",\"payload\":1}",
        "{\"id\":\"a\",\"sortindex\":1.0}",
        "{\"id\":\"a\",\"sortindex\":01}",
        "{\"id\":\"a\",\"sortindex\":-0}",
        "{\"id\":\"a\",\"sortindex\":1000000000}",
        "{\"id\":\"a\",\"sortindex\":\"1\"}",
        "{\"id\":\"a\",\"sortindex\":-}",
        "{\"id\":\"a\",\"ttl\":-1}",
        "{\"id\":\"a\",\"ttl\":1e3}",
        "{\"id\":\"a\",\"modified\":1e999}",
        "{\"id\":\"a\",\"modified\":01.5}",
        "{\"id\":\"a\",\"modified\":1.}",
        "{\"id\":\"a\",\"other\":1}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof neither / sizeof *neither; i++)
        if (scan(neither[i], strlen(neither[i]), false) || scan(neither[i], strlen(neither[i]), true))
            fail_msg("taken: %s", neither[i]);
    assert_true(scan("{\"id\":\"a\",\"ttl\":999999999}", 26, false));
    assert_false(scan("{\"id\":\"a\",\"ttl\":999999999}", 26, true));
    assert_false(scan("{\"id\":\"a/b\"}", 12, true));
    char body[160];
    for (int n = 100; n <= 101; n++) { /* max_payload_bytes */
        int length = snprintf(body, sizeof body, "{\"id\":\"a\",\"payload\":\"%0*d\"}", n, 7);
        assert_true(scan(body, (size_t)length, false) == (n == 100));
    }
}

/* Good records with a few bytes changed: whatever is still taken means what it means the long way. */
static void a_changed_record_is_never_read_in_another_way(void **state)
{
    static const char *const seeds[] = {
        "{\"id\":\"abc\",\"sortindex\":12,\"payload\":\"{\\\"a\\\":\\\"b\\\"}\",\"ttl\":300}",
        "{\"payload\":\"x\\ny\",\"parentid\":\"p\",\"predecessorid\":\"q\",\"id\":\"a\",\"modified\":1.25}",
    };
    static const char bytes[] = "{}[]\":,\\/.-+eEnut0123456789abc \t\n\x01\x7f\xc3\xa4";
    uint64_t chance = 12345;
    size_t taken = 0;

    (void)state;
    for (unsigned i = 0; i < 60000; i++) {
        char text[160];
        const char *seed = seeds[i % 2];
        size_t n = strlen(seed);

        memcpy(text, seed, n);
        for (unsigned changes = 1 + i % 3; changes > 0; changes--) {
            chance = chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            text[(chance >> 33) % n] = bytes[(chance >> 20) % (sizeof bytes - 1)];
        }
        taken += scan(text, n - (i % 7 == 0), (i / 2) % 2 == 0);
    }
    assert_true(taken > 1000);
}

static void at_most_half_of_the_arena_is_taken(void **state)
{
    SCOPED(arena_done) struct arena a;
    struct bso_ctx c = { .rules = &rules[0], .arena = &a };
    view text = VIEW("{\"id\":\"a\",\"payload\":\"\\n0123456789012345678901234567890123456789\"}");
    struct item_patch p;
    size_t at = 0, n = 0;

    (void)state;
    arena_init(&a, 1024);
    for (; bso_scan(text, &at, &c, &p); at = 0)
        n++;
    assert_true(n > 5 && n < 20);
    assert_true(!a.spent && a.used_bytes <= 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_clients_write_is_taken),
        cmocka_unit_test(whatever_is_not_plain_is_left_to_others),
        cmocka_unit_test(a_changed_record_is_never_read_in_another_way),
        cmocka_unit_test(at_most_half_of_the_arena_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
