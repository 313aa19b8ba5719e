/* Orders and filters, single items, and what a reading sees of writes beside it. */
#include "tests/conformance/store/fixture.h"

static void fill_three(void) /* a, b, c at rising times; sortindex 34, none, -1 */
{
    struct item_patch a = patch_index("a", "1", 34), c = patch_index("c", "3", -1);
    put_patches("forms", &a, 1);
    put("forms", "b", "2");
    put_patches("forms", &c, 1);
}

static void each_order_is_kept(void **state)
{
    (void)state;
    static const struct {
        enum item_order order;
        const char *ids;
    } cases[] = {
        { ORDER_NEWEST, "e d c b a" },        { ORDER_OLDEST, "a b c d e" },
        { ORDER_INDEX, "d a c e b" },         { ORDER_ID, "a b c d e" },
        { ORDER_NEWEST_ID_ASC, "d e c b a" }, { ORDER_INDEX_ID_ASC, "a d c b e" },
    };
    struct item_patch last[] = { patch_index("e", "", 0), patch_index("d", "", 34) };
    last[0].sortindex_op = PATCH_LEAVE;
    fill_three();
    put_patches("forms", last, 2); /* of one time */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct item_query q = all("forms");
        q.order = cases[i].order;
        assert_string_equal(find(&q, NULL), cases[i].ids);
        q.bare = true;
        assert_string_equal(find(&q, NULL), cases[i].ids);
        q.with_payload = false;
        assert_string_equal(find(&q, NULL), cases[i].ids);
        q.has_limit = true;
        q.limit = 2;
        assert_int_equal(strncmp(find(&q, NULL), cases[i].ids, 3), 0);
    }
}

static void newer_and_older_are_strict(void **state)
{
    (void)state;
    fill_three();
    stamp b = get("forms", "b").modified;
    struct item_query q = all("forms");
    q.order = ORDER_OLDEST;
    q.has_newer = true;
    q.newer = b;
    assert_string_equal(find(&q, NULL), "c");
    q.newer.cs--;
    assert_string_equal(find(&q, NULL), "b c");
    q.has_older = true;
    q.older = get("forms", "c").modified;
    assert_string_equal(find(&q, NULL), "b");
    q.has_newer = false;
    assert_string_equal(find(&q, NULL), "a b");
    q.has_newer = true;
    q.newer = get("forms", "c").modified; /* the head's stamp answers this */
    q.has_older = false;
    assert_string_equal(find(&q, NULL), "");
    q.newer.cs = INT64_MAX;
    assert_string_equal(find(&q, NULL), "");
    q.newer.cs = INT64_MIN;
    assert_string_equal(find(&q, NULL), "a b c");
}

static void ids_select_what_exists(void **state)
{
    (void)state;
    const view two[] = { VIEW("c"), VIEW("nobody"), VIEW("a"), VIEW("a") };
    fill_three();
    struct item_query q = all("forms");
    q.has_ids = true;
    q.ids = two;
    q.n_ids = 4;
    assert_string_equal(find(&q, NULL), "c a");
    q.order = ORDER_ID;
    q.has_limit = true;
    q.limit = 1;
    assert_string_equal(find(&q, NULL), "a");
    q.n_ids = 0;
    assert_string_equal(find(&q, NULL), "");
}

static void lists_of_ids_may_have_any_length(void **state)
{
    (void)state;
    enum { MANY = 8192 };
    view *ids = arena_alloc(&fx.arena, (MANY + 1) * sizeof *ids);
    for (int i = 0; i <= MANY; i++)
        ids[i] = arena_text(&fx.arena, "none%d", i);
    fill_three();
    struct item_query q = all("forms");
    q.has_ids = true;
    q.ids = ids;
    static const size_t lengths[] = { 1, 2, 4, 5, 100, 101, 128, 129, 1025, MANY };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        q.n_ids = lengths[i];
        ids[q.n_ids - 1] = VIEW("b");
        assert_string_equal(find(&q, NULL), "b");
    }
    q.n_ids = MANY + 1;
    struct store_txn *tx = begin(STORE_READ);
    view next;
    GIVES(RC_BAD_INPUT, store_items_find(tx, &q, NULL, NULL, &next, &err));
    store_rollback(tx);
}

static void index_bounds_are_strict_and_never_match_null(void **state)
{
    (void)state;
    fill_three();
    struct item_query q = all("forms");
    q.order = ORDER_ID;
    q.has_index_above = true;
    static const struct {
        double above;
        const char *ids;
    } above[] = { { -1, "a" }, { -1.5, "a c" }, { 33.9, "a" }, { 34, "" }, { -1e300, "a c" }, { 1e300, "" } };
    for (size_t i = 0; i < sizeof above / sizeof above[0]; i++) {
        q.index_above = above[i].above;
        assert_string_equal(find(&q, NULL), above[i].ids);
    }
    q.has_index_above = false;
    q.has_index_below = true;
    static const struct {
        double below;
        const char *ids;
    } below[] = { { 34, "c" }, { 34.1, "a c" }, { -1, "" }, { -0.5, "c" }, { 1e300, "a c" } };
    for (size_t i = 0; i < sizeof below / sizeof below[0]; i++) {
        q.index_below = below[i].below;
        assert_string_equal(find(&q, NULL), below[i].ids);
    }
}

static void parent_and_predecessor_filter(void **state)
{
    (void)state;
    struct item_patch p[] = { patch("a", ""), patch("b", ""), patch("c", "") };
    p[0].parentid_op = p[1].parentid_op = p[1].predecessorid_op = PATCH_SET;
    p[0].parentid = p[1].parentid = VIEW("root");
    p[1].predecessorid = VIEW("a");
    put_patches("bookmarks", p, 3);
    struct item_query q = all("bookmarks");
    q.order = ORDER_ID;
    q.parentid = VIEW("root");
    assert_string_equal(find(&q, NULL), "a b");
    q.predecessorid = VIEW("a");
    assert_string_equal(find(&q, NULL), "b");
    q.parentid = VIEW("Root");
    assert_string_equal(find(&q, NULL), "");
}

static void a_missing_collection_is_an_empty_one(void **state)
{
    (void)state;
    struct item_query q = all("history");
    assert_string_equal(find(&q, NULL), "");
    put("meta", "a", "x");
    assert_string_equal(find(&q, NULL), "");
    assert_missing("history", "a");
}

static void expired_items_are_not_found(void **state)
{
    (void)state;
    put("tabs", "stays", "x");
    put_with_ttl("tabs", "goes", "x", 2);
    struct item_query q = all("tabs");
    q.order = ORDER_ID;
    assert_string_equal(find(&q, NULL), "goes stays");
    wait_ms(2009); /* it was the second write in its tick */
    assert_string_equal(find(&q, NULL), "goes stays");
    wait_ms(1);
    assert_string_equal(find(&q, NULL), "stays");
    assert_missing("tabs", "goes");
}

static void an_item_of_ttl_0_is_gone_at_once_even_when_the_clock_is_behind(void **state)
{
    (void)state;
    put("tabs", "a", "x");
    wait_ms(-60000);
    put_with_ttl("tabs", "b", "x", 0);
    assert_missing("tabs", "b");
    struct item_query q = all("tabs");
    assert_string_equal(find(&q, NULL), "a");
}

static bool keep_item(const struct item *it, void *arg)
{
    struct item *kept = arg;
    *kept = *it;
    kept->payload = arena_copy(&fx.arena, it->payload);
    return false;
}

static void bytes_come_back_as_they_were(void **state)
{
    (void)state;
    enum { BIG = 3 << 20 };
    char *big = arena_alloc(&fx.arena, BIG);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 131 >> 3);
    const view payloads[] = { VIEW(""),     VIEW("a\0b\0"), VIEW("\xf0\x9f\x92\xa9 \xff\xfe'\"\\%_\n"),
                              { big, 300 }, { big, BIG },   { big, 70000 } };
    struct item_query q = all("forms");
    q.has_ids = true;
    const view id = VIEW("a b{}'\"%_\\~");
    q.ids = &id;
    q.n_ids = 1;
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        struct item_patch p = patch("", "");
        p.id = id;
        p.payload = payloads[i];
        put_patches("forms", &p, 1);
        assert_true(view_eq(get("forms", id.p).payload, payloads[i]));
        struct item it = { .id = VIEW_NONE };
        struct store_txn *tx = begin(STORE_READ);
        OK(store_items_find(tx, &q, keep_item, &it, NULL, &err));
        commit(tx);
        assert_true(view_eq(it.payload, payloads[i]));
    }
}

/* The first one of the listing. */
static struct item first_bare(enum item_order order)
{
    struct item it = { .id = VIEW_NONE };
    struct item_query q = all("forms");
    q.bare = true;
    q.order = order;
    struct store_txn *tx = begin(STORE_READ);
    OK(store_items_find(tx, &q, keep_item, &it, NULL, &err));
    commit(tx);
    return it;
}

static void a_bare_listing_has_all_that_the_newer_protocol_shows(void **state)
{
    (void)state;
    struct item_patch p[] = { patch_index("a", "x\"y", -7), patch("b", "") };
    p[0].parentid_op = p[0].ttl_op = PATCH_SET;
    p[0].parentid = VIEW("root");
    p[0].ttl_s = 100;
    stamp t = put_patches("forms", p, 2);
    for (int i = 0; i < 2; i++) {
        struct item it = first_bare(i ? ORDER_NEWEST : ORDER_ID); /* b, a */
        assert_view(it.payload, i ? "" : "x\"y");
        assert_int_equal(it.modified.cs, t.cs);
        assert_int_equal(it.has_sortindex, !i);
        assert_int_equal(it.sortindex, i ? 0 : -7);
        assert_null(it.parentid.p);
        assert_int_equal(it.expires_ms, i ? 0 : stamp_ms(t) + 100000);
    }
    p[0].sortindex = 0; /* is one, too */
    put_patches("forms", p, 1);
    struct item zero = first_bare(ORDER_ID);
    assert_true(zero.has_sortindex && zero.sortindex == 0);
}

static void a_visitor_stops_the_reading_and_the_session_goes_on(void **state)
{
    (void)state;
    struct item it = { .id = VIEW_NONE };
    struct item_query q = all("forms");
    fill_three();
    struct store_txn *tx = begin(STORE_READ);
    OK(store_items_find(tx, &q, keep_item, &it, NULL, &err));
    OK(store_items_find(tx, &q, keep_item, &it, NULL, &err));
    assert_view(it.payload, "3");
    commit(tx);
    assert_string_equal(find(&q, NULL), "c b a");
}

static void fields_that_are_null_stay_null(void **state)
{
    (void)state;
    put("forms", "a", "x");
    struct item it = get("forms", "a");
    assert_false(it.has_sortindex);
    assert_null(it.parentid.p);
    assert_null(it.predecessorid.p);
    assert_int_equal(it.expires_ms, 0);
}

static void a_limit_of_0_is_empty_and_has_no_next_page(void **state)
{
    (void)state;
    fill_three();
    struct item_query q = all("forms");
    view next = VIEW("unset");
    q.has_limit = true;
    assert_string_equal(find(&q, &next), "");
    assert_null(next.p);
    q.limit = UINT32_MAX;
    assert_string_equal(find(&q, &next), "c b a");
    assert_null(next.p);
    q.limit = 3; /* exactly all */
    assert_string_equal(find(&q, &next), "c b a");
    assert_null(next.p);
}

static void skip_leaves_out_the_first(void **state)
{
    (void)state;
    fill_three();
    struct item_query q = all("forms");
    q.order = ORDER_ID;
    q.skip = 1;
    assert_string_equal(find(&q, NULL), "b c");
    q.has_limit = true;
    q.limit = 1;
    assert_string_equal(find(&q, NULL), "b");
    q.skip = 5;
    assert_string_equal(find(&q, NULL), "");
    q.skip = UINT64_MAX;
    assert_string_equal(find(&q, NULL), "");
}

/* ---- snapshots ---- */

static void a_reading_transaction_sees_one_snapshot(void **state)
{
    (void)state;
    struct store_session *other = NULL;
    put("forms", "a", "old");
    OK(store_session_open(fx.store, true, &other, &err));
    struct store_txn *tx = begin_as(other, fx.uid, 1, STORE_READ);
    stamp before = store_head(tx)->modified;
    put("forms", "a", "new");
    put("forms", "b", "new");
    struct item it;
    OK(store_item_get(tx, VIEW("forms"), VIEW("a"), &it, &err));
    assert_view(it.payload, "old");
    assert_int_equal(it.modified.cs, before.cs);
    GIVES(RC_NOT_FOUND, store_item_get(tx, VIEW("forms"), VIEW("b"), &it, &err));
    commit(tx);
    store_session_close(other);
}

static bool count_item(const struct item *it, void *arg)
{
    (void)it;
    ++*(size_t *)arg;
    return true;
}

static bool same_as(const struct head *h, size_t *out_n)
{
    struct item_query q = all("forms");
    bool same = false;
    *out_n = 0;
    OK(store_items_by_head(fx.ss, h, &q, &fx.arena, count_item, out_n, NULL, &same, &err));
    return same;
}

/* Whatever differs. Only MySQL is asked for the head along with the items. */
static void reading_by_a_head_tells_whether_it_is_still_the_same(void **state)
{
    (void)state;
    size_t n = 0;
    put("own", "a", "x");
    put("forms", "a", "x");
    const struct head h = *head_now();
    assert_int_equal(same_as(&h, &n), fixture_is_mysql());
    assert_int_equal(n, 1);

    struct head others[8] = { h, h, h, h, h, h, h, h };
    struct head_coll colls[2] = { h.colls[0], h.colls[1] };
    colls[0].modified.cs++;
    others[0].clock.cs++;
    others[1].modified.cs++;
    others[2].used_bytes++;
    others[3].colls = colls;
    others[4].epoch++;
    others[5].state = HEAD_READY;
    others[6].since_ms++;
    others[7].quota_bytes = 5;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(same_as(&others[i], &n));
    put("meta", "global", "x");
    assert_false(same_as(&h, &n));
    assert_int_equal(same_as(head_now(), &n), fixture_is_mysql());
}

static void a_reader_does_not_wait_for_a_writer(void **state)
{
    (void)state;
    struct store_session *other = NULL;
    struct head h;
    struct item it;
    put("own", "a", "old");
    OK(store_session_open(fx.store, true, &other, &err));
    struct item_patch p = patch("a", "new");
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_items_put(tx, VIEW("own"), &p, 1, NULL, &err));
    OK(store_item_read(other, fx.uid, 1, VIEW("own"), VIEW("a"), &fx.arena, &h, &it, &err));
    assert_view(it.payload, "old");
    OK(store_head_read(other, fx.uid, &fx.arena, &h, &err));
    assert_int_equal(h.modified.cs, it.modified.cs);
    commit(tx);
    store_session_close(other);
}

static void reading_one_finds_collections_of_any_number(void **state)
{
    (void)state;
    put("own-100", "a", "first");
    put("own-101", "a", "second");
    put("own-102", "b", "third");
    assert_view(get("own-101", "a").payload, "second");
    assert_view(get("own-102", "b").payload, "third");
    assert_missing("own-101", "b");
    assert_missing("own-103", "a");
}

static const struct CMUnitTest reading_tests[] = {
    TEST(each_order_is_kept),
    TEST(newer_and_older_are_strict),
    TEST(ids_select_what_exists),
    TEST(lists_of_ids_may_have_any_length),
    TEST(index_bounds_are_strict_and_never_match_null),
    TEST(parent_and_predecessor_filter),
    TEST(a_missing_collection_is_an_empty_one),
    TEST(expired_items_are_not_found),
    TEST(an_item_of_ttl_0_is_gone_at_once_even_when_the_clock_is_behind),
    TEST(bytes_come_back_as_they_were),
    TEST(a_bare_listing_has_all_that_the_newer_protocol_shows),
    TEST(a_visitor_stops_the_reading_and_the_session_goes_on),
    TEST(fields_that_are_null_stay_null),
    TEST(a_limit_of_0_is_empty_and_has_no_next_page),
    TEST(skip_leaves_out_the_first),
    TEST(a_reading_transaction_sees_one_snapshot),
    TEST(reading_by_a_head_tells_whether_it_is_still_the_same),
    TEST(a_reader_does_not_wait_for_a_writer),
    TEST(reading_one_finds_collections_of_any_number),
};
const struct test_group reading_group = TEST_GROUP(reading);
