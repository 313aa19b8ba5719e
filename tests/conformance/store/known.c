/* Writes that tell what they take for the head, and what they are about to do (store_begin.known): whatever they tell, the same is
 * written as without it. */
#include "tests/conformance/store/fixture.h"

static struct store_begin knowing(const struct head *known, const char *coll, int64_t adding_bytes)
{
    return (struct store_begin){ .uid = fx.uid,
                                 .epoch = fx.epoch,
                                 .mode = STORE_WRITE,
                                 .arena = &fx.arena,
                                 .known = known,
                                 .coll = view_of(coll),
                                 .adding_bytes = adding_bytes };
}

static struct store_txn *begin_knowing(const struct head *known, const char *coll, int64_t adding_bytes)
{
    struct store_begin o = knowing(known, coll, adding_bytes);
    struct store_txn *tx = NULL;
    OK(store_begin(fx.ss, &o, &tx, &err));
    return tx;
}

static void put_in(struct store_txn *tx, const char *coll, const char *id, const char *payload)
{
    struct item_patch p = patch(id, payload);
    OK(store_items_put(tx, view_of(coll), &p, 1, NULL, &err));
}

/* As the cache gives it back. */
static const struct head *from_cache(const struct head *h)
{
    struct buf bytes = { 0 };
    struct head *out = arena_zero(&fx.arena, sizeof *out);
    head_pack(h, &bytes);
    assert_true(head_unpack(arena_copy(&fx.arena, buf_view(&bytes)), &fx.arena, out));
    buf_done(&bytes);
    return out;
}

static void assert_same_head(const struct head *a, const struct head *b)
{
    struct buf packed[2] = { { 0 }, { 0 } };
    head_pack(a, &packed[0]);
    head_pack(b, &packed[1]);
    assert_true(view_eq(buf_view(&packed[0]), buf_view(&packed[1])));
    buf_done(&packed[0]);
    buf_done(&packed[1]);
}

static void a_head_that_is_known_becomes_what_was_told(void **state)
{
    (void)state;
    put("own", "a", "x");
    put("forms", "a", "123");
    const struct head *before = head_now();
    wait_ms(50);
    struct store_txn *tx = begin_knowing(from_cache(before), "forms", 4);
    assert_same_head(store_head(tx), before);
    stamp t = store_stamp(tx);
    put_in(tx, "forms", "b", "1234");
    commit(tx);
    const struct head *after = head_now();
    assert_int_equal(t.cs, START_US / 10000 + 5);
    assert_int_equal(after->clock.cs, t.cs);
    assert_int_equal(after->modified.cs, t.cs);
    assert_int_equal(after->used_bytes, before->used_bytes + 4);
    assert_int_equal(coll_time("forms").cs, t.cs);
    assert_int_equal(coll_time("own").cs, head_coll_find(before, VIEW("own"))->modified.cs);
    assert_int_equal(get("forms", "b").modified.cs, t.cs);
    assert_int_equal(put("forms", "a", "x").cs, t.cs + 1);
}

static void a_head_that_is_known_wrongly_does_no_harm(void **state)
{
    (void)state;
    put("forms", "a", "1");
    struct head old = *from_cache(head_now());
    put("tabs", "a", "22");
    put("own", "a", "333");
    for (int i = 0; i < 8; i++) {
        const struct head *before = head_now();
        struct head wrong = i == 0 ? old : *from_cache(before); /* in one thing alone */
        wrong.clock.cs -= i == 1;
        wrong.modified.cs -= i == 2;
        wrong.used_bytes += i == 3;
        wrong.quota_bytes += i == 4;
        wrong.since_ms += i == 5;
        wrong.next_number += i == 6;
        wrong.n_colls -= i == 7;
        struct store_txn *tx = begin_knowing(&wrong, "forms", 1);
        assert_same_head(store_head(tx), before);
        assert_int_equal(store_stamp(tx).cs, before->clock.cs + 1);
        put_in(tx, "forms", "b", "1");
        commit(tx);
        assert_int_equal(head_now()->used_bytes, before->used_bytes + 1);
        assert_int_equal(head_now()->n_colls, 3);
        assert_int_equal(head_now()->quota_bytes, -1);
        assert_int_equal(coll_time("tabs").cs, head_coll_find(before, VIEW("tabs"))->modified.cs);
    }
}

static void who_does_something_else_than_he_told_is_saved_as_ever(void **state)
{
    (void)state;
    put("forms", "a", "1");
    put("tabs", "a", "1");
    struct head before = *head_now();
    struct store_txn *tx = begin_knowing(from_cache(&before), "forms", 1);
    put_in(tx, "tabs", "b", "22");
    put_in(tx, "own", "b", "333");
    stamp t = store_stamp(tx);
    commit(tx);
    assert_int_equal(coll_time("forms").cs, head_coll_find(&before, VIEW("forms"))->modified.cs);
    assert_int_equal(coll_time("tabs").cs, t.cs);
    assert_int_equal(coll_time("own").cs, t.cs);
    assert_int_equal(head_now()->used_bytes, before.used_bytes + 5);

    tx = begin_knowing(from_cache(head_now()), "forms", 1); /* wipes what would be touched */
    OK(store_user_wipe(tx, &err));
    commit(tx);
    assert_int_equal(head_now()->n_colls, 0);
    assert_int_equal(head_now()->modified.cs, 0);
    tx = begin_knowing(from_cache(head_now()), "new", 1); /* a collection that does not exist yet */
    put_in(tx, "new", "b", "1");
    commit(tx);
    assert_int_equal(head_now()->used_bytes, 1);
}

static void who_does_nothing_or_rolls_back_leaves_no_trace(void **state)
{
    (void)state;
    put("forms", "a", "1");
    const struct head *before = head_now();
    commit(begin_knowing(from_cache(before), "forms", 1));
    assert_same_head(head_now(), before);
    struct store_txn *tx = begin_knowing(from_cache(before), "forms", 1);
    put_in(tx, "forms", "b", "1");
    store_rollback(tx);
    assert_same_head(head_now(), before);
    assert_missing("forms", "b");
}

static void numbers_of_own_collections_are_never_used_again(void **state)
{
    (void)state;
    bool existed = false;
    put("forms", "a", "1");
    put("first", "a", "x");
    uint32_t number = head_coll_find(head_now(), VIEW("first"))->number;
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_coll_delete(tx, VIEW("first"), &existed, &err));
    commit(tx);
    tx = begin_knowing(from_cache(head_now()), "forms", 1);
    put_in(tx, "forms", "b", "1");
    commit(tx);
    tx = begin_knowing(from_cache(head_now()), "forms", 1);
    put_in(tx, "second", "a", "x");
    commit(tx);
    assert_true(head_coll_find(head_now(), VIEW("second"))->number > number);
}

static void the_fence_stands_whatever_is_known(void **state)
{
    (void)state;
    put("forms", "a", "1");
    const struct head *known = from_cache(head_now());
    struct store_begin o = knowing(known, "forms", 1);
    struct store_txn *tx = NULL;
    o.epoch = fx.epoch + 1;
    GIVES(RC_NOT_HERE, store_begin(fx.ss, &o, &tx, &err));
    struct head later = *known; /* memory may be of another place and time, the row decides */
    later.epoch = fx.epoch + 1;
    o.known = &later;
    GIVES(RC_NOT_HERE, store_begin(fx.ss, &o, &tx, &err));
    assert_same_head(head_now(), known);
}

static const struct CMUnitTest known_tests[] = {
    TEST(a_head_that_is_known_becomes_what_was_told),
    TEST(a_head_that_is_known_wrongly_does_no_harm),
    TEST(who_does_something_else_than_he_told_is_saved_as_ever),
    TEST(who_does_nothing_or_rolls_back_leaves_no_trace),
    TEST(numbers_of_own_collections_are_never_used_again),
    TEST(the_fence_stands_whatever_is_known),
};
const struct test_group known_group = TEST_GROUP(known);
