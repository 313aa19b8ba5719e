/* T = max(now, last stamp ever given + 0.01 s), and what it is written to. */
#include "tests/conformance/store/fixture.h"

#define START_CS (START_US / 10000)

static void t_is_the_wall_clock_rounded_down(void **state)
{
    (void)state;
    fx.clock.wall_us = START_US + 19999;
    assert_int_equal(put("meta", "a", "x").cs, START_CS + 1);
    assert_int_equal(get("meta", "a").modified.cs, START_CS + 1);
    assert_int_equal(coll_time("meta").cs, START_CS + 1);
    assert_int_equal(head_now()->modified.cs, START_CS + 1);
    assert_int_equal(head_now()->clock.cs, START_CS + 1);
}

static void writes_in_one_tick_get_different_stamps(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(put("meta", "a", "x").cs, START_CS + i);
}

static void a_clock_that_steps_back_costs_nothing_but_a_hundredth(void **state)
{
    (void)state;
    assert_int_equal(put("meta", "a", "x").cs, START_CS);
    wait_ms(-3600 * 1000);
    assert_int_equal(put("meta", "a", "x").cs, START_CS + 1);
    assert_int_equal(put("tabs", "a", "x").cs, START_CS + 2);
    wait_ms(2 * 3600 * 1000);
    assert_int_equal(put("meta", "a", "x").cs, START_CS + 360000);
}

static void all_items_of_one_write_get_the_same_t(void **state)
{
    (void)state;
    struct item_patch p[] = { patch("a", "1"), patch("b", "2"), patch("c", "3") };
    stamp t = put_patches("forms", p, 3);
    assert_int_equal(get("forms", "a").modified.cs, t.cs);
    assert_int_equal(get("forms", "c").modified.cs, t.cs);
    assert_int_equal(coll_time("forms").cs, t.cs);
}

static void reading_t_does_not_use_it_up(void **state)
{
    (void)state;
    put("meta", "a", "x");
    struct store_txn *tx = begin(STORE_WRITE);
    assert_int_equal(store_stamp(tx).cs, START_CS + 1);
    commit(tx);
    assert_int_equal(head_now()->clock.cs, START_CS);
    assert_int_equal(put("meta", "a", "x").cs, START_CS + 1);
}

static void a_rolled_back_write_leaves_no_trace(void **state)
{
    (void)state;
    put("meta", "a", "x");
    struct head before = *head_now();
    struct item_patch p = patch("a", "other");
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_items_put(tx, VIEW("meta"), &p, 1, NULL, &err));
    OK(store_coll_touch(tx, VIEW("new"), &err));
    store_rollback(tx);
    assert_view(get("meta", "a").payload, "x");
    assert_int_equal(head_now()->clock.cs, before.clock.cs);
    assert_int_equal(coll_time("new").cs, 0);
    assert_int_equal(head_now()->used_bytes, before.used_bytes);
}

static void the_head_shows_changes_inside_the_transaction(void **state)
{
    (void)state;
    struct item_patch p = patch("a", "12345");
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_items_put(tx, VIEW("own"), &p, 1, NULL, &err));
    const struct head *h = store_head(tx);
    assert_int_equal(head_coll_find(h, VIEW("own"))->modified.cs, store_stamp(tx).cs);
    assert_int_equal(h->used_bytes, 5);
    commit(tx);
    assert_int_equal(h->clock.cs, START_CS);
    assert_int_equal(head_now()->n_colls, h->n_colls);
}

static void a_wipe_keeps_the_clock_and_uses_t_up(void **state)
{
    (void)state;
    put("meta", "a", "x");
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_user_wipe(tx, &err));
    commit(tx);
    assert_int_equal(head_now()->modified.cs, 0);
    assert_int_equal(head_now()->clock.cs, START_CS + 1);
    assert_int_equal(head_now()->n_colls, 0);
    wait_ms(-60000);
    assert_int_equal(put("meta", "a", "x").cs, START_CS + 2);
}

static void a_deleted_collection_moves_the_storage_time(void **state)
{
    (void)state;
    bool existed = false;
    put("meta", "a", "x");
    put("tabs", "a", "x");
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_coll_delete(tx, VIEW("tabs"), &existed, &err));
    commit(tx);
    assert_true(existed);
    assert_int_equal(head_now()->modified.cs, START_CS + 2);
    assert_int_equal(coll_time("tabs").cs, 0);
    assert_int_equal(coll_time("meta").cs, START_CS);
}

static void a_missing_collection_is_deleted_without_a_change(void **state)
{
    (void)state;
    bool existed = true;
    put("meta", "a", "x");
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_coll_delete(tx, VIEW("tabs"), &existed, &err));
    commit(tx);
    assert_false(existed);
    assert_int_equal(head_now()->modified.cs, START_CS);
    assert_int_equal(head_now()->clock.cs, START_CS);
}

static void a_touch_makes_the_collection(void **state)
{
    (void)state;
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_coll_touch(tx, VIEW("passwords"), &err));
    commit(tx);
    assert_int_equal(coll_time("passwords").cs, START_CS);
    struct item_query q = all("passwords");
    assert_string_equal(find(&q, NULL), "");
}

static void own_names_get_numbers_of_their_own_for_ever(void **state)
{
    (void)state;
    bool existed;
    put("bookmarks", "a", "3");
    put("own.one", "a", "1");
    put("own-two", "a", "2"); /* the last one: its number would be the next by counting */
    uint32_t one = head_coll_find(head_now(), VIEW("own.one"))->number;
    uint32_t two = head_coll_find(head_now(), VIEW("own-two"))->number;
    assert_true(one >= 100 && two >= 100 && one != two);
    assert_int_equal(head_coll_find(head_now(), VIEW("bookmarks"))->number, 7);
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_coll_delete(tx, VIEW("own-two"), &existed, &err));
    commit(tx);
    put("third", "a", "4");
    uint32_t third = head_coll_find(head_now(), VIEW("third"))->number;
    assert_true(third != one && third != two);
    assert_missing("own-two", "a");
    assert_view(get("own.one", "a").payload, "1");
    assert_view(get("third", "a").payload, "4");
}

static void names_are_case_sensitive(void **state)
{
    (void)state;
    put("Meta", "A", "upper");
    put("meta", "a", "lower");
    assert_view(get("Meta", "A").payload, "upper");
    assert_missing("meta", "A");
}

static void many_collections_fit(void **state)
{
    (void)state;
    char name[COLL_NAME_MAX + 16];
    struct store_txn *tx = begin(STORE_WRITE);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "a-collection-with-a-long-nam-%03d", i);
        assert_int_equal(strlen(name), COLL_NAME_MAX);
        OK(store_coll_touch(tx, view_of(name), &err));
    }
    commit(tx);
    assert_int_equal(head_now()->n_colls, 500);
    assert_int_equal(coll_time("a-collection-with-a-long-nam-499").cs, START_CS);
}

static void too_many_collections_are_refused(void **state)
{
    (void)state;
    char name[COLL_NAME_MAX + 16];
    struct store_txn *tx = begin(STORE_WRITE);
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "c%d", i);
        OK(store_coll_touch(tx, view_of(name), &err));
    }
    GIVES(RC_OVER_QUOTA, store_coll_touch(tx, VIEW("one-more"), &err));
    store_rollback(tx);
}

static void the_head_survives_the_packing_for_the_cache(void **state)
{
    (void)state;
    struct buf packed = { 0 };
    struct head back;
    put("own", "a", "x");
    put("meta", "a", "x");
    const struct head *h = head_now();
    head_pack(h, &packed);
    assert_true(head_unpack(buf_view(&packed), &fx.arena, &back));
    assert_true(back.uid == h->uid && back.epoch == h->epoch && back.state == h->state &&
                back.since_ms == h->since_ms);
    assert_true(back.clock.cs == h->clock.cs && back.modified.cs == h->modified.cs);
    assert_true(back.used_bytes == h->used_bytes && back.quota_bytes == -1 && back.n_colls == 2);
    assert_int_equal(head_coll_find(&back, VIEW("own"))->modified.cs, coll_time("own").cs);
    for (size_t n = 0; n < 9; n++) /* cut anywhere in the fixed part, it is not ours */
        assert_false(head_unpack((view){ .p = packed.p, .n = n }, &fx.arena, &back));
    assert_false(head_unpack(VIEW("{\"json\":1}"), &fx.arena, &back));
    buf_done(&packed);
}

static const struct CMUnitTest stamps_tests[] = {
    TEST(t_is_the_wall_clock_rounded_down),
    TEST(writes_in_one_tick_get_different_stamps),
    TEST(a_clock_that_steps_back_costs_nothing_but_a_hundredth),
    TEST(all_items_of_one_write_get_the_same_t),
    TEST(reading_t_does_not_use_it_up),
    TEST(a_rolled_back_write_leaves_no_trace),
    TEST(the_head_shows_changes_inside_the_transaction),
    TEST(a_wipe_keeps_the_clock_and_uses_t_up),
    TEST(a_deleted_collection_moves_the_storage_time),
    TEST(a_missing_collection_is_deleted_without_a_change),
    TEST(a_touch_makes_the_collection),
    TEST(own_names_get_numbers_of_their_own_for_ever),
    TEST(names_are_case_sensitive),
    TEST(many_collections_fit),
    TEST(too_many_collections_are_refused),
    TEST(the_head_survives_the_packing_for_the_cache),
};
const struct test_group stamps_group = TEST_GROUP(stamps);
