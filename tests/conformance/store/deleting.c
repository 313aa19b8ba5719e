/* Deletes of one, of many, of a collection, of everything. */
#include "tests/conformance/store/fixture.h"

static void fill(const char *coll) /* a … e at rising times, sortindex 0 … 4 */
{
    static const char *const ids[] = { "a", "b", "c", "d", "e" };
    for (int i = 0; i < 5; i++) {
        struct item_patch p = patch_index(ids[i], "x", i);
        put_patches(coll, &p, 1);
        wait_ms(10);
    }
}

static const char *left(const char *coll)
{
    struct item_query q = all(coll);
    q.order = ORDER_ID;
    return find(&q, NULL);
}

static void deleting_one_moves_the_collection(void **state)
{
    (void)state;
    fill("forms");
    struct store_txn *tx = begin(STORE_WRITE);
    stamp t = store_stamp(tx);
    OK(store_item_delete(tx, VIEW("forms"), VIEW("c"), &err));
    commit(tx);
    assert_missing("forms", "c");
    assert_string_equal(left("forms"), "a b d e");
    assert_int_equal(coll_time("forms").cs, t.cs);
}

static void deleting_what_is_missing_or_expired_changes_nothing(void **state)
{
    (void)state;
    put_with_ttl("tabs", "old", "x", 1);
    wait_ms(1000);
    struct head before = *head_now();
    struct store_txn *tx = begin(STORE_WRITE);
    GIVES(RC_NOT_FOUND, store_item_delete(tx, VIEW("tabs"), VIEW("old"), &err));
    GIVES(RC_NOT_FOUND, store_item_delete(tx, VIEW("tabs"), VIEW("never"), &err));
    GIVES(RC_NOT_FOUND, store_item_delete(tx, VIEW("none"), VIEW("never"), &err));
    commit(tx);
    assert_int_equal(head_now()->clock.cs, before.clock.cs);
    assert_int_equal(coll_time("none").cs, 0);
}

static void deleting_ids_counts_the_unexpired_and_touches_nothing_else(void **state)
{
    (void)state;
    const view ids[] = { VIEW("a"), VIEW("e"), VIEW("nobody"), VIEW("old") };
    fill("forms");
    put_with_ttl("forms", "old", "x", 1);
    fill("history");
    wait_ms(1000);
    stamp before = coll_time("forms");
    struct item_query q = { .coll = VIEW("forms"), .has_ids = true, .ids = ids, .n_ids = 4 };
    assert_int_equal(delete_found(&q), 2);
    assert_string_equal(left("forms"), "b c d");
    assert_string_equal(left("history"), "a b c d e");
    assert_int_equal(coll_time("forms").cs, before.cs);
    assert_int_equal(delete_found(&q), 0);
    wait_ms(-1000); /* the expired one is gone for good */
    assert_missing("forms", "old");
}

static void no_ids_delete_nothing(void **state)
{
    (void)state;
    fill("forms");
    struct item_query q = { .coll = VIEW("forms"), .has_ids = true };
    assert_int_equal(delete_found(&q), 0);
    assert_string_equal(left("forms"), "a b c d e");
}

static void ten_thousand_ids_delete(void **state)
{
    (void)state;
    enum { MANY = 10000, REAL = 3000 };
    view *ids = arena_alloc(&fx.arena, MANY * sizeof *ids);
    struct item_patch *p = arena_alloc(&fx.arena, REAL * sizeof *p);
    for (int i = 0; i < MANY; i++)
        ids[i] = arena_text(&fx.arena, "i%d", i);
    for (int i = 0; i < REAL; i++)
        p[i] = patch(ids[i * 3].p, "x");
    put_patches("history", p, REAL);
    put("history", "stays", "x");
    struct item_query q = { .coll = VIEW("history"), .has_ids = true, .ids = ids, .n_ids = MANY };
    assert_int_equal(delete_found(&q), REAL);
    assert_string_equal(left("history"), "stays");
}

static void filters_select_what_is_deleted(void **state)
{
    (void)state;
    struct item_query q = { .coll = VIEW("forms"), .has_newer = true };
    fill("forms");
    q.newer = get("forms", "d").modified;
    assert_int_equal(delete_found(&q), 1);
    assert_string_equal(left("forms"), "a b c d");
    q.has_newer = false;
    q.has_older = true;
    q.older = get("forms", "b").modified;
    assert_int_equal(delete_found(&q), 1);
    assert_string_equal(left("forms"), "b c d");
    q.has_older = false;
    q.has_index_above = true;
    q.index_above = 2;
    assert_int_equal(delete_found(&q), 1);
    assert_string_equal(left("forms"), "b c");
    q.has_index_above = false;
    assert_int_equal(delete_found(&q), 2);
    assert_string_equal(left("forms"), "");
    assert_true(coll_time("forms").cs > 0);
}

static void order_limit_and_skip_choose_which_go_first(void **state)
{
    (void)state;
    struct item_query q = {
        .coll = VIEW("forms"), .has_limit = true, .limit = 2, .order = ORDER_NEWEST_ID_ASC
    };
    fill("forms");
    put_with_ttl("forms", "zz", "x", 1); /* the newest, but expired ones count for nothing */
    wait_ms(1100);
    assert_int_equal(delete_found(&q), 2);
    assert_string_equal(left("forms"), "a b c");
    q.order = ORDER_INDEX_ID_ASC;
    q.skip = 1;
    q.limit = 1;
    assert_int_equal(delete_found(&q), 1);
    assert_string_equal(left("forms"), "a c");
    q.limit = 0;
    assert_int_equal(delete_found(&q), 0);
    const view ids[] = { VIEW("c"), VIEW("a") };
    q = (struct item_query){ .coll = VIEW("forms"),
                             .has_ids = true,
                             .ids = ids,
                             .n_ids = 2,
                             .has_limit = true,
                             .limit = 1,
                             .order = ORDER_ID };
    assert_int_equal(delete_found(&q), 1);
    assert_string_equal(left("forms"), "c");
}

static void thousands_are_deleted_by_one_filter(void **state)
{
    (void)state;
    enum { MANY = 2500 };
    struct item_patch *p = arena_alloc(&fx.arena, MANY * sizeof *p);
    for (int i = 0; i < MANY; i++)
        p[i] = patch_index(arena_text(&fx.arena, "item-%05d", i).p, "x", i);
    put_patches("history", p, MANY);
    struct item_query q = { .coll = VIEW("history"), .has_index_above = true, .index_above = 9 };
    assert_int_equal(delete_found(&q), MANY - 10);
    assert_int_equal(strlen(left("history")), 10 * 11 - 1);
    q = (struct item_query){ .coll = VIEW("history"), .has_limit = true, .limit = 2000, .order = ORDER_ID };
    assert_int_equal(delete_found(&q), 10);
}

static void a_missing_collection_deletes_nothing(void **state)
{
    (void)state;
    struct item_query q = { .coll = VIEW("forms") };
    put("meta", "a", "x");
    assert_int_equal(delete_found(&q), 0);
    assert_int_equal(coll_time("forms").cs, 0);
}

static void a_deleted_collection_takes_its_items_and_batches_along(void **state)
{
    (void)state;
    bool existed;
    struct batch_totals totals;
    struct item_patch p = patch("z", "x");
    fill("forms");
    put("history", "a", "x");
    const char *mine = batch_open("forms"), *other = batch_open("history");
    batch_append(mine, &p, 1);
    batch_append(other, &p, 1);
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_coll_delete(tx, VIEW("forms"), &existed, &err));
    GIVES(RC_NOT_FOUND, store_batch_totals(tx, VIEW("forms"), view_of(mine), LIFE_S, &totals, &err));
    OK(store_batch_totals(tx, VIEW("history"), view_of(other), LIFE_S, &totals, &err));
    commit(tx);
    assert_string_equal(left("forms"), "");
    assert_missing("forms", "a");
    assert_view(get("history", "a").payload, "x");
    batch_commit("history", other);
    assert_string_equal(left("history"), "a z");
    put("forms", "new", "x");
    assert_string_equal(left("forms"), "new");
}

static void a_wipe_takes_everything(void **state)
{
    (void)state;
    struct batch_totals totals;
    struct item_patch p = patch("z", "x");
    fill("forms");
    fill("own");
    const char *id = batch_open("forms");
    batch_append(id, &p, 1);
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_user_wipe(tx, &err));
    GIVES(RC_NOT_FOUND, store_batch_totals(tx, VIEW("forms"), view_of(id), LIFE_S, &totals, &err));
    commit(tx);
    assert_missing("forms", "a");
    assert_int_equal(head_now()->n_colls, 0);
    assert_int_equal(head_now()->used_bytes, 0);
    assert_int_equal(head_now()->state, HEAD_ACTIVE);
    tx = begin(STORE_WRITE); /* again is fine */
    OK(store_user_wipe(tx, &err));
    commit(tx);
    put("own", "a", "new");
    assert_string_equal(left("own"), "a");
}

static const struct CMUnitTest deleting_tests[] = {
    TEST(deleting_one_moves_the_collection),
    TEST(deleting_what_is_missing_or_expired_changes_nothing),
    TEST(deleting_ids_counts_the_unexpired_and_touches_nothing_else),
    TEST(no_ids_delete_nothing),
    TEST(ten_thousand_ids_delete),
    TEST(filters_select_what_is_deleted),
    TEST(order_limit_and_skip_choose_which_go_first),
    TEST(thousands_are_deleted_by_one_filter),
    TEST(a_missing_collection_deletes_nothing),
    TEST(a_deleted_collection_takes_its_items_and_batches_along),
    TEST(a_wipe_takes_everything),
};
const struct test_group deleting_group = TEST_GROUP(deleting);
