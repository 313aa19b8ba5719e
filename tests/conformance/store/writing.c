/* Patches: what is named is set, what is left stays. */
#include "tests/conformance/store/fixture.h"

static struct item_patch full(const char *id)
{
    struct item_patch p = patch_index(id, "payload", 7);
    p.ttl_op = p.parentid_op = p.predecessorid_op = PATCH_SET;
    p.ttl_s = 1000;
    p.parentid = VIEW("parent");
    p.predecessorid = VIEW("before");
    return p;
}

static void assert_full(const struct item *it)
{
    assert_view(it->payload, "payload");
    assert_true(it->has_sortindex && it->sortindex == 7);
    assert_view(it->parentid, "parent");
    assert_view(it->predecessorid, "before");
    assert_true(it->expires_ms > 0);
}

static void all_fields_are_stored(void **state)
{
    (void)state;
    struct item_patch p = full("a");
    stamp t = put_patches("bookmarks", &p, 1);
    struct item it = get("bookmarks", "a");
    assert_view(it.id, "a");
    assert_full(&it);
    assert_int_equal(it.expires_ms, stamp_ms(t) + 1000000);
}

static void each_field_alone_leaves_the_others(void **state)
{
    (void)state;
    for (int field = 0; field < 5; field++) {
        struct item_patch p = full("a"), one = { .id = VIEW("a"), .touches = true };
        stamp t0 = put_patches("bookmarks", &p, 1);
        wait_ms(50);
        one.payload_op = field == 0 ? PATCH_SET : PATCH_LEAVE;
        one.payload = VIEW("other");
        one.sortindex_op = field == 1 ? PATCH_SET : PATCH_LEAVE;
        one.sortindex = -5;
        one.ttl_op = field == 2 ? PATCH_SET : PATCH_LEAVE;
        one.ttl_s = 5;
        one.parentid_op = field == 3 ? PATCH_SET : PATCH_LEAVE;
        one.parentid = VIEW("p2");
        one.predecessorid_op = field == 4 ? PATCH_SET : PATCH_LEAVE;
        one.predecessorid = VIEW("");
        stamp t1 = put_patches("bookmarks", &one, 1);
        struct item it = get("bookmarks", "a");
        assert_view(it.payload, field == 0 ? "other" : "payload");
        assert_int_equal(it.sortindex, field == 1 ? -5 : 7);
        assert_int_equal(it.expires_ms, field == 2 ? stamp_ms(t1) + 5000 : stamp_ms(t0) + 1000000);
        assert_view(it.parentid, field == 3 ? "p2" : "parent");
        assert_view(it.predecessorid, field == 4 ? "" : "before");
        assert_non_null(it.predecessorid.p);
        assert_int_equal(it.modified.cs, t1.cs);
    }
}

static void each_field_can_be_cleared(void **state)
{
    (void)state;
    struct item_patch p = full("a");
    struct item_patch clear = { .id = VIEW("a"),
                                .touches = true,
                                .sortindex_op = PATCH_CLEAR,
                                .ttl_op = PATCH_CLEAR,
                                .parentid_op = PATCH_CLEAR,
                                .predecessorid_op = PATCH_CLEAR };
    put_patches("bookmarks", &p, 1);
    put_patches("bookmarks", &clear, 1);
    struct item it = get("bookmarks", "a");
    assert_view(it.payload, "payload");
    assert_false(it.has_sortindex);
    assert_null(it.parentid.p);
    assert_null(it.predecessorid.p);
    assert_int_equal(it.expires_ms, 0);
}

static void a_patch_without_touch_keeps_the_items_time_and_moves_the_collection(void **state)
{
    (void)state;
    stamp modified;
    stamp t0 = put("tabs", "a", "x");
    struct item_patch p = patch_ttl("a", 100);
    struct store_txn *tx = begin(STORE_WRITE);
    stamp t1 = store_stamp(tx);
    OK(store_items_put(tx, VIEW("tabs"), &p, 1, &modified, &err));
    commit(tx);
    assert_int_equal(modified.cs, t0.cs);
    assert_int_equal(get("tabs", "a").modified.cs, t0.cs);
    assert_view(get("tabs", "a").payload, "x");
    assert_int_equal(get("tabs", "a").expires_ms, stamp_ms(t1) + 100000);
    assert_int_equal(coll_time("tabs").cs, t1.cs);
}

static void a_new_item_gets_t_and_defaults_whatever_the_patch_says(void **state)
{
    (void)state;
    stamp modified;
    struct item_patch p = patch_ttl("new", 100);
    struct store_txn *tx = begin(STORE_WRITE);
    stamp t = store_stamp(tx);
    OK(store_items_put(tx, VIEW("tabs"), &p, 1, &modified, &err));
    commit(tx);
    assert_int_equal(modified.cs, t.cs);
    struct item it = get("tabs", "new");
    assert_int_equal(it.modified.cs, t.cs);
    assert_view(it.payload, "");
    assert_false(it.has_sortindex);
}

static void a_touching_write_tells_t(void **state)
{
    (void)state;
    stamp modified = STAMP_ZERO;
    struct item_patch p = patch("a", "x");
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_items_put(tx, VIEW("tabs"), &p, 1, &modified, &err));
    assert_int_equal(modified.cs, store_stamp(tx).cs);
    commit(tx);
}

static void a_write_over_an_expired_item_starts_from_defaults(void **state)
{
    (void)state;
    struct item_patch p = full("a");
    p.ttl_s = 1;
    put_patches("bookmarks", &p, 1);
    wait_ms(1000);
    struct item_patch touch_only = { .id = VIEW("a"), .sortindex_op = PATCH_SET, .sortindex = 3 };
    stamp t = put_patches("bookmarks", &touch_only, 1);
    struct item it = get("bookmarks", "a");
    assert_view(it.payload, "");
    assert_int_equal(it.sortindex, 3);
    assert_null(it.parentid.p);
    assert_null(it.predecessorid.p);
    assert_int_equal(it.expires_ms, 0);
    assert_int_equal(it.modified.cs, t.cs);
}

static void a_write_just_before_the_expiry_keeps_the_item(void **state)
{
    (void)state;
    struct item_patch p = full("a");
    p.ttl_s = 1;
    stamp t0 = put_patches("bookmarks", &p, 1);
    wait_ms(990);
    struct item_patch ttl = patch_ttl("a", 1000);
    put_patches("bookmarks", &ttl, 1);
    struct item it = get("bookmarks", "a");
    assert_full(&it);
    assert_int_equal(it.modified.cs, t0.cs);
}

static void a_write_restarts_the_life_only_if_it_names_it(void **state)
{
    (void)state;
    put_with_ttl("tabs", "a", "x", 2);
    wait_ms(1000);
    put("tabs", "a", "y");
    wait_ms(1000);
    assert_missing("tabs", "a");
    put_with_ttl("tabs", "a", "z", 2);
    wait_ms(1000);
    put_with_ttl("tabs", "a", "z", 2);
    wait_ms(1500);
    assert_view(get("tabs", "a").payload, "z");
}

static void one_call_mixes_new_old_touched_and_untouched(void **state)
{
    (void)state;
    struct item_patch first[] = { patch_index("old", "1", 1), patch_index("kept", "2", 2) };
    stamp t0 = put_patches("history", first, 2);
    struct item_patch second[] = { patch("old", "1b"), patch_ttl("kept", 50), patch_ttl("new1", 60),
                                   patch_index("new2", "n", 9) };
    second[3].parentid_op = PATCH_CLEAR;
    stamp t1 = put_patches("history", second, 4);
    assert_view(get("history", "old").payload, "1b");
    assert_int_equal(get("history", "old").sortindex, 1);
    assert_int_equal(get("history", "old").modified.cs, t1.cs);
    assert_view(get("history", "kept").payload, "2");
    assert_int_equal(get("history", "kept").modified.cs, t0.cs);
    assert_int_equal(get("history", "kept").expires_ms, stamp_ms(t1) + 50000);
    assert_view(get("history", "new1").payload, "");
    assert_int_equal(get("history", "new1").modified.cs, t1.cs);
    assert_int_equal(get("history", "new2").sortindex, 9);
    assert_int_equal(get("history", "old").expires_ms, 0);
}

static void thousands_of_items_in_one_write(void **state)
{
    (void)state;
    enum { MANY = 2500 };
    struct item_patch *p = arena_alloc(&fx.arena, MANY * sizeof *p);
    for (int i = 0; i < MANY; i++)
        p[i] = patch_index(arena_text(&fx.arena, "item-%05d", i).p, "some payload", i);
    put_patches("history", p, MANY);
    put_patches("history", p, MANY);
    assert_int_equal(get("history", "item-02499").sortindex, 2499);
    struct item_query q = all("history");
    q.order = ORDER_ID;
    q.with_payload = false;
    assert_int_equal(strlen(find(&q, NULL)), MANY * 11 - 1);
    assert_int_equal(head_now()->used_bytes, 2 * MANY * 12);
}

static void large_payloads_in_one_write(void **state)
{
    (void)state;
    enum { SIZE = 2 << 20 };
    char *text = arena_alloc(&fx.arena, SIZE + 1);
    memset(text, 'x', SIZE);
    text[SIZE] = '\0';
    struct item_patch p[8];
    char ids[8][16];
    for (int i = 0; i < 8; i++) {
        snprintf(ids[i], sizeof ids[i], "%d", i);
        p[i] = patch(ids[i], text);
    }
    put_patches("history", p, 8);
    assert_int_equal(get("history", "0").payload.n, SIZE);
    assert_int_equal(get("history", "7").payload.n, SIZE);
}

static void an_empty_write_makes_and_moves_the_collection(void **state)
{
    (void)state;
    stamp t = put_patches("clients", NULL, 0);
    assert_int_equal(coll_time("clients").cs, t.cs);
    assert_int_equal(head_now()->n_colls, 1);
}

static void longest_names_and_ids_fit(void **state)
{
    (void)state;
    char id[ITEM_ID_MAX + 1], coll[COLL_NAME_MAX + 1];
    memset(id, '~', ITEM_ID_MAX);
    memset(coll, 'Z', COLL_NAME_MAX);
    id[ITEM_ID_MAX] = coll[COLL_NAME_MAX] = '\0';
    put(coll, id, "x");
    assert_view(get(coll, id).id, id);
    id[ITEM_ID_MAX - 1] = '\0';
    assert_missing(coll, id);
}

static void equal_ids_in_two_collections_are_two_items(void **state)
{
    (void)state;
    put("meta", "a", "m");
    put("own", "a", "o");
    assert_view(get("meta", "a").payload, "m");
    assert_view(get("own", "a").payload, "o");
}

static void a_request_whose_memory_ran_out_is_not_committed(void **state)
{
    (void)state;
    put("meta", "a", "before");
    struct item_patch p = patch("a", "after");
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_items_put(tx, VIEW("meta"), &p, 1, NULL, &err));
    fx.arena.spent = true;
    GIVES(RC_BUSY, store_commit(&tx, &err));
    fx.arena.spent = false;
    assert_view(get("meta", "a").payload, "before");
}

static const struct CMUnitTest writing_tests[] = {
    TEST(all_fields_are_stored),
    TEST(each_field_alone_leaves_the_others),
    TEST(each_field_can_be_cleared),
    TEST(a_patch_without_touch_keeps_the_items_time_and_moves_the_collection),
    TEST(a_new_item_gets_t_and_defaults_whatever_the_patch_says),
    TEST(a_touching_write_tells_t),
    TEST(a_write_over_an_expired_item_starts_from_defaults),
    TEST(a_write_just_before_the_expiry_keeps_the_item),
    TEST(a_write_restarts_the_life_only_if_it_names_it),
    TEST(one_call_mixes_new_old_touched_and_untouched),
    TEST(thousands_of_items_in_one_write),
    TEST(large_payloads_in_one_write),
    TEST(an_empty_write_makes_and_moves_the_collection),
    TEST(longest_names_and_ids_fit),
    TEST(equal_ids_in_two_collections_are_two_items),
    TEST(a_request_whose_memory_ran_out_is_not_committed),
};
const struct test_group writing_group = TEST_GROUP(writing);
