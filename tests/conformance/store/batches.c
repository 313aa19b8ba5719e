/* Batches: invisible until the commit, then all at once. */
#include "tests/conformance/store/fixture.h"

static rc totals_of(int64_t uid, const char *coll, const char *id, struct batch_totals *out)
{
    struct store_txn *tx = begin_as(fx.ss, uid, 1, STORE_WRITE);
    rc r = store_batch_totals(tx, view_of(coll), view_of(id), LIFE_S, out, &err);
    store_rollback(tx);
    return r;
}

static void nothing_is_visible_before_the_commit(void **state)
{
    (void)state;
    struct item_patch p = patch("b", "x");
    stamp t = put("forms", "a", "x");
    const char *id = batch_open("forms"), *fresh = batch_open("new");
    batch_append(id, &p, 1);
    batch_append(fresh, &p, 1);
    assert_missing("forms", "b");
    struct item_query q = all("forms");
    assert_string_equal(find(&q, NULL), "a");
    assert_int_equal(coll_time("forms").cs, t.cs);
    assert_int_equal(coll_time("new").cs, 0);
    assert_int_equal(head_now()->clock.cs, t.cs);
}

static void the_commit_gives_every_item_the_same_t(void **state)
{
    (void)state;
    struct item_patch p[] = { patch("a", "1"), patch_ttl("kept", 100), patch("c", "3") };
    put("forms", "kept", "old");
    const char *id = batch_open("forms");
    batch_append(id, p, 2);
    batch_append(id, p + 2, 1);
    wait_ms(500);
    stamp t = batch_commit("forms", id);
    assert_int_equal(get("forms", "a").modified.cs, t.cs);
    assert_int_equal(get("forms", "kept").modified.cs, t.cs);
    assert_view(get("forms", "kept").payload, "old");
    assert_int_equal(get("forms", "c").modified.cs, t.cs);
    assert_int_equal(coll_time("forms").cs, t.cs);
    assert_int_equal(head_now()->modified.cs, t.cs);
}

static void ttl_counts_from_the_commit(void **state)
{
    (void)state;
    struct item_patch p[] = { patch("a", "1"), patch("b", "2") };
    p[0].ttl_op = PATCH_SET;
    p[0].ttl_s = 10;
    const char *id = batch_open("tabs");
    batch_append(id, p, 2);
    wait_ms(60000);
    stamp t = batch_commit("tabs", id);
    assert_int_equal(get("tabs", "a").expires_ms, stamp_ms(t) + 10000);
    assert_int_equal(get("tabs", "b").expires_ms, 0);
}

static void fields_merge_inside_the_batch_and_with_what_is_stored(void **state)
{
    (void)state;
    struct item_patch stored = patch_index("a", "stored", 1);
    stored.parentid_op = stored.predecessorid_op = PATCH_SET;
    stored.parentid = VIEW("p");
    stored.predecessorid = VIEW("q");
    put_patches("bookmarks", &stored, 1);
    struct item_patch index_only = { .id = VIEW("a"), .sortindex_op = PATCH_SET, .sortindex = 2 };
    struct item_patch payload_only = patch("a", "new");
    struct item_patch clear = {
        .id = VIEW("a"), .predecessorid_op = PATCH_CLEAR, .ttl_op = PATCH_SET, .ttl_s = 5
    };
    const char *id = batch_open("bookmarks");
    batch_append(id, &payload_only, 1);
    batch_append(id, &index_only, 1);
    batch_append(id, &clear, 1);
    batch_commit("bookmarks", id);
    struct item it = get("bookmarks", "a");
    assert_view(it.payload, "new");
    assert_int_equal(it.sortindex, 2);
    assert_view(it.parentid, "p");
    assert_null(it.predecessorid.p);
    assert_true(it.expires_ms > 0);
}

static void later_fields_win_and_other_rows_stay(void **state)
{
    (void)state;
    struct item_patch p[] = { patch_index("a", "1", 1), patch_index("b", "2", 2) };
    struct item_patch again = patch("a", "1b"), unset = { .id = VIEW("b"), .sortindex_op = PATCH_CLEAR };
    const char *id = batch_open("forms");
    batch_append(id, p, 2);
    batch_append(id, &again, 1);
    batch_append(id, &unset, 1);
    batch_commit("forms", id);
    assert_view(get("forms", "a").payload, "1b");
    assert_int_equal(get("forms", "a").sortindex, 1);
    assert_view(get("forms", "b").payload, "2");
    assert_false(get("forms", "b").has_sortindex);
}

static void an_expired_item_is_as_new_to_a_commit(void **state)
{
    (void)state;
    struct item_patch old = patch_index("a", "old", 5),
                      index_only = { .id = VIEW("a"), .parentid_op = PATCH_SET, .parentid = VIEW("p") };
    old.ttl_op = PATCH_SET;
    old.ttl_s = 1;
    put_patches("forms", &old, 1);
    const char *id = batch_open("forms");
    batch_append(id, &index_only, 1);
    wait_ms(1000);
    batch_commit("forms", id);
    struct item it = get("forms", "a");
    assert_view(it.payload, "");
    assert_false(it.has_sortindex);
    assert_view(it.parentid, "p");
    assert_int_equal(it.expires_ms, 0);
}

static void totals_count_every_append(void **state)
{
    (void)state;
    struct batch_totals totals;
    struct item_patch p[] = { patch("a", "12345"), patch_ttl("b", 3) };
    const char *id = batch_open("forms");
    assert_int_equal(strlen(id), BATCH_ID_TEXT);
    OK(totals_of(fx.uid, "forms", id, &totals));
    assert_true(totals.items == 0 && totals.bytes == 0);
    batch_append(id, p, 2);
    batch_append(id, p, 1);
    batch_append(id, NULL, 0);
    OK(totals_of(fx.uid, "forms", id, &totals));
    assert_int_equal(totals.items, 3);
    assert_int_equal(totals.bytes, 10);
}

static void a_batch_belongs_to_its_user_and_collection(void **state)
{
    (void)state;
    struct batch_totals totals;
    struct item_patch p = patch("a", "x");
    const char *id = batch_open("forms");
    batch_append(id, &p, 1);
    GIVES(RC_NOT_FOUND, totals_of(fx.uid, "history", id, &totals));
    GIVES(RC_NOT_FOUND, totals_of(fx.uid + 4000000, "forms", id, &totals));
    GIVES(RC_NOT_FOUND, totals_of(fx.uid, "forms", "sammich", &totals));
    GIVES(RC_NOT_FOUND, totals_of(fx.uid, "forms", "AAAAAAAAAAAAAAAAAAAAAA", &totals));
    GIVES(RC_NOT_FOUND, totals_of(fx.uid, "forms", "", &totals));
    struct store_txn *tx = begin(STORE_WRITE);
    GIVES(RC_NOT_FOUND, store_batch_commit(tx, VIEW("history"), view_of(id), &err));
    commit(tx);
    assert_int_equal(coll_time("history").cs, 0);
    OK(totals_of(fx.uid, "forms", id, &totals)); /* the failed attempts left it alone */
    batch_commit("forms", id);
    assert_view(get("forms", "a").payload, "x");
}

static void a_batch_ends_with_its_life(void **state)
{
    (void)state;
    struct batch_totals totals;
    const char *id = batch_open("forms");
    wait_ms(LIFE_S * 1000 - 10);
    OK(totals_of(fx.uid, "forms", id, &totals));
    wait_ms(10);
    GIVES(RC_NOT_FOUND, totals_of(fx.uid, "forms", id, &totals));
}

static void a_committed_batch_does_not_come_back(void **state)
{
    (void)state;
    struct batch_totals totals;
    struct item_patch p = patch("a", "x");
    const char *id = batch_open("forms");
    batch_append(id, &p, 1);
    batch_commit("forms", id);
    GIVES(RC_NOT_FOUND, totals_of(fx.uid, "forms", id, &totals));
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_item_delete(tx, VIEW("forms"), VIEW("a"), &err));
    GIVES(RC_NOT_FOUND, store_batch_commit(tx, VIEW("forms"), view_of(id), &err));
    commit(tx);
    const char *next = batch_open("forms");
    assert_string_not_equal(next, id);
    batch_commit("forms", next); /* an empty one */
    assert_missing("forms", "a");
}

static void two_batches_side_by_side_keep_apart(void **state)
{
    (void)state;
    struct item_patch a = patch("a", "one"), b = patch("b", "two");
    const char *one = batch_open("forms"), *two = batch_open("forms");
    batch_append(one, &a, 1);
    batch_append(two, &b, 1);
    batch_commit("forms", two);
    assert_missing("forms", "a");
    batch_commit("forms", one);
    assert_view(get("forms", "a").payload, "one");
    assert_view(get("forms", "b").payload, "two");
}

/* What stands in a collection, as text: "-" where nothing does. */
static const char *shown(const char *coll, const char *id, stamp t)
{
    struct item it;
    struct store_txn *tx = begin(STORE_READ);
    rc r = store_item_get(tx, view_of(coll), view_of(id), &it, &err);
    commit(tx);
    if (r == RC_NOT_FOUND)
        return "-";
    OK(r);
    if (it.modified.cs != t.cs)
        return "as before";
    return arena_text(&fx.arena, "%.*s %lld %d %.*s %lld", VIEW_ARG(it.payload), (long long)it.sortindex,
                      it.has_sortindex, VIEW_ARG(it.parentid),
                      it.expires_ms ? (long long)(it.expires_ms - stamp_ms(t)) : -1)
        .p;
}

static struct item_patch variant(int i)
{
    struct item_patch p[] = { patch("a", "payload"), patch_index("a", "both", 7),
                              patch_ttl("a", 0),     patch_ttl("a", 90),
                              patch("a", "brief"),   { .id = VIEW("a"), .ttl_op = PATCH_CLEAR },
                              patch("b", "other") };
    p[4].ttl_op = p[4].parentid_op = PATCH_SET;
    p[4].parentid = VIEW("parent");
    return p[i];
}

static void what_comes_with_the_commit_is_as_if_it_had_been_appended(void **state)
{
    (void)state;
    enum { N = 7 };
    for (int i = 0; i < N * N * 3; i++) {
        struct item_patch before = variant(i % N), last = variant(i / N % N);
        const char *colls[] = { "forms", "prefs" }, *texts[2][2];
        for (int once = 0; once < 2; once++) {
            struct item_patch stored = patch_index("a", "stored", 3);
            struct store_txn *tx = begin(STORE_WRITE);
            bool existed;
            OK(store_coll_delete(tx, view_of(colls[once]), &existed, &err));
            commit(tx);
            stored.ttl_op = PATCH_SET;
            stored.ttl_s = i / (N * N) == 1 ? 1000 : 1; /* alive, expired, or not there */
            if (i / (N * N) > 0)
                put_patches(colls[once], &stored, 1);
            wait_ms(2000);
            const char *id = batch_open(colls[once]);
            batch_append(id, &before, 1);
            tx = begin(STORE_WRITE);
            stamp t = store_stamp(tx);
            if (once) {
                OK(store_batch_finish(tx, view_of(colls[once]), view_of(id), &last, 1, &err));
            } else {
                OK(store_batch_append(tx, view_of(id), &last, 1, &err));
                OK(store_batch_commit(tx, view_of(colls[once]), view_of(id), &err));
            }
            commit(tx);
            texts[once][0] = shown(colls[once], "a", t);
            texts[once][1] = shown(colls[once], "b", t);
            GIVES(RC_NOT_FOUND, totals_of(fx.uid, colls[once], id, &(struct batch_totals){ .items = 0 }));
        }
        assert_string_equal(texts[0][1], texts[1][1]);
        assert_string_equal(texts[0][0], texts[1][0]);
    }
}

static void a_commit_without_records_of_its_own_publishes_what_was_appended(void **state)
{
    (void)state;
    struct item_patch p = patch("a", "x");
    const char *id = batch_open("forms");
    batch_append(id, &p, 1);
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_batch_finish(tx, VIEW("forms"), view_of(id), NULL, 0, &err));
    GIVES(RC_NOT_FOUND, store_batch_finish(tx, VIEW("forms"), view_of(id), &p, 1, &err));
    commit(tx);
    assert_view(get("forms", "a").payload, "x");
}

static void append_and_commit_in_one_transaction(void **state)
{
    (void)state;
    struct item_patch p[] = { patch("a", "batch"), patch("b", "batch") }, last = patch("a", "commit");
    const char *id = batch_open("forms");
    batch_append(id, p, 2);
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_batch_append(tx, view_of(id), &last, 1, &err));
    OK(store_batch_commit(tx, VIEW("forms"), view_of(id), &err));
    commit(tx);
    assert_view(get("forms", "a").payload, "commit");
    assert_view(get("forms", "b").payload, "batch");
}

static void ten_thousand_items_are_committed(void **state)
{
    (void)state;
    enum { MANY = 10000, PART = 1000 };
    struct item_patch *p = arena_alloc(&fx.arena, MANY * sizeof *p);
    const char *id = batch_open("history");
    for (int i = 0; i < MANY; i++)
        p[i] = patch_index(arena_text(&fx.arena, "item-%05d", i).p, "some payload", i);
    for (int i = 0; i < MANY; i += PART)
        batch_append(id, p + i, PART);
    put_patches("history", p, 10); /* some exist */
    stamp t = batch_commit("history", id);
    assert_int_equal(get("history", "item-09999").sortindex, 9999);
    assert_int_equal(get("history", "item-00003").modified.cs, t.cs);
}

static const struct CMUnitTest batches_tests[] = {
    TEST(nothing_is_visible_before_the_commit),
    TEST(the_commit_gives_every_item_the_same_t),
    TEST(ttl_counts_from_the_commit),
    TEST(fields_merge_inside_the_batch_and_with_what_is_stored),
    TEST(later_fields_win_and_other_rows_stay),
    TEST(an_expired_item_is_as_new_to_a_commit),
    TEST(totals_count_every_append),
    TEST(a_batch_belongs_to_its_user_and_collection),
    TEST(a_batch_ends_with_its_life),
    TEST(a_committed_batch_does_not_come_back),
    TEST(two_batches_side_by_side_keep_apart),
    TEST(what_comes_with_the_commit_is_as_if_it_had_been_appended),
    TEST(a_commit_without_records_of_its_own_publishes_what_was_appended),
    TEST(append_and_commit_in_one_transaction),
    TEST(ten_thousand_items_are_committed),
};
const struct test_group batches_group = TEST_GROUP(batches);
