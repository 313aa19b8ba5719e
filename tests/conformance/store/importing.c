/* What a move must not bring into a store: what broke on the wire, comes out of order, or belongs to another move; and what it must. */
#include "node/store/move.h"
#include "tests/conformance/store/mover.h"

static void broken_wires(void)
{
    static const enum fault faults[] = { FLIPPED_PAYLOAD, FLIPPED_STAMP, LOST_ROW, LOST_PAGE,
                                         LOST_STAMP_OF_COLL };
    fill();
    begin_import();
    freeze();
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct move m = to_t();
        struct store_txn *tx = NULL;
        OK(store_import_begin(T->ss, &m, &fx.arena, &tx, &err));
        OK(store_import_prune(tx, &(struct item_key){ VIEW(""), VIEW("") }, NULL, 0, true, NULL, NULL, &err));
        commit(tx);
        assert_int_equal(pass_with(faults[i]), 35);
        GIVES(RC_CONFLICT, seal());
        assert_int_equal(head_now()->state, HEAD_IMPORTING);
    }
    pass(); /* sets it right again */
    assert_int_equal(pass(), 0);
    struct manifest_sum ahead;
    at(S);
    ahead = sum_of(1);
    ahead.clock.cs += 1;
    at(T);
    GIVES(RC_CONFLICT, try_step(MOVE, 2, STEP_SEAL, &ahead));
    OK(seal());
}

static void a_flipped_byte_or_a_lost_row_is_never_sealed(void **state)
{
    (void)state;
    over_each_pair(broken_wires);
}

static void a_manifest_out_of_order_or_cut_off_changes_nothing(void **state)
{
    (void)state;
    struct manifest_entry page[] = {
        { .coll = VIEW("a"), .id = VIEW("1") },
        { .coll = VIEW("a"), .id = VIEW("2") },
        { .coll = VIEW("b"), .id = VIEW("1") },
    };
    struct item_key first = { VIEW(""), VIEW("") }, late = { VIEW("a"), VIEW("1") };
    struct import_row row = { .coll = VIEW("a"), .item = { .id = VIEW("0"), .payload = VIEW("kept") } };
    struct move m = to_t();
    struct store_txn *tx = NULL;
    step(2, STEP_IMPORT_BEGIN);
    OK(store_import_begin(fx.ss, &m, &fx.arena, &tx, &err));
    OK(store_import_items(tx, &row, 1, &err));
    /* a page sent again further on */
    GIVES(RC_BAD_INPUT, store_import_prune(tx, &late, page, 3, true, NULL, NULL, &err));
    GIVES(RC_BAD_INPUT, store_import_prune(tx, &first, page, 0, false, NULL, NULL, &err));
    struct manifest_entry swapped[] = { page[0], page[2], page[1] };
    GIVES(RC_BAD_INPUT, store_import_prune(tx, &first, swapped, 3, true, NULL, NULL, &err));
    swapped[1] = page[0];
    GIVES(RC_BAD_INPUT, store_import_prune(tx, &first, swapped, 2, true, NULL, NULL, &err));
    commit(tx);
    assert_int_equal(rows_of("items"), 1);
    OK(store_import_begin(fx.ss, &m, &fx.arena, &tx, &err));
    OK(store_import_prune(tx, &late, page + 1, 2, true, NULL, NULL, &err)); /* "0" stands before it */
    commit(tx);
    assert_int_equal(rows_of("items"), 1);
    OK(store_import_begin(fx.ss, &m, &fx.arena, &tx, &err));
    OK(store_import_prune(tx, &first, NULL, 0, true, NULL, NULL, &err));
    commit(tx);
    assert_int_equal(rows_of("items"), 0);
}

static void what_no_store_holds_is_not_imported(void **state)
{
    (void)state;
    static char long_text[300];
    memset(long_text, 'x', sizeof long_text);
    struct item good = { .id = VIEW("a"), .payload = VIEW("") };
    struct import_row rows[] = {
        { .coll = VIEW(""), .item = good },
        { .coll = { .p = long_text, .n = COLL_NAME_MAX + 1 }, .item = good },
        { .coll = VIEW("a"), .item = { .id = VIEW(""), .payload = VIEW("") } },
        { .coll = VIEW("a"),
          .item = { .id = { .p = long_text, .n = ITEM_ID_MAX + 1 }, .payload = VIEW("") } },
        { .coll = VIEW("a"), .item = { .id = VIEW("a") } },
        { .coll = VIEW("a"), .item = { .id = VIEW("a"), .payload = VIEW(""), .modified = { .cs = -1 } } },
        { .coll = VIEW("a"), .item = { .id = VIEW("a"), .payload = VIEW(""), .expires_ms = 15 } },
        { .coll = VIEW("a"),
          .item = { .id = VIEW("a"), .payload = VIEW(""), .parentid = { .p = long_text, .n = 256 } } },
    };
    struct head_coll twice[] = { { .name = VIEW("a") }, { .name = VIEW("a") } };
    struct head_coll late = { .name = VIEW("a"), .modified = { .cs = 11 } };
    struct head heads[] = {
        { .clock = { .cs = 10 }, .colls = twice, .n_colls = 2 },
        { .clock = { .cs = 10 }, .colls = &late, .n_colls = 1 },
        { .clock = { .cs = 10 }, .modified = { .cs = 11 } },
        { .clock = { .cs = -1 } },
        { .used_bytes = -1 },
        { .quota_bytes = -2 },
    };
    struct move m = to_t();
    struct store_txn *tx = NULL;
    step(2, STEP_IMPORT_BEGIN);
    OK(store_import_begin(fx.ss, &m, &fx.arena, &tx, &err));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        GIVES(RC_BAD_INPUT, store_import_items(tx, &rows[i], 1, &err));
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        GIVES(RC_BAD_INPUT, store_import_head(tx, &heads[i], &err));
    commit(tx);
    assert_int_equal(rows_of("items"), 0);
}

static void a_head_is_imported_whole_but_its_clock_never_turns_back(void **state)
{
    (void)state;
    /* he lived here, and the node he comes from runs on an old copy */
    stamp before = put("history", "a", "x");
    step(1, STEP_FREEZE);
    step(2, STEP_RETIRE);
    OK(try_step(OTHER, 3, STEP_IMPORT_BEGIN, NULL));
    struct head_coll colls[] = { { .name = VIEW("own"), .modified = { .cs = 9 } },
                                 { .name = VIEW("history"), .modified = { .cs = 7 } } };
    struct head h = { .clock = { .cs = 10 },
                      .modified = { .cs = 9 },
                      .used_bytes = 5,
                      .quota_bytes = 777,
                      .colls = colls,
                      .n_colls = 2 };
    struct move m = move_to(3, OTHER);
    struct store_txn *tx = NULL;
    OK(store_import_begin(fx.ss, &m, &fx.arena, &tx, &err));
    OK(store_import_head(tx, &h, &err));
    commit(tx);
    const struct head *got = head_now();
    assert_int_equal(got->clock.cs, before.cs);
    assert_int_equal(got->modified.cs, 9);
    assert_int_equal(got->used_bytes, 5);
    assert_int_equal(got->quota_bytes, 777);
    assert_int_equal(got->n_colls, 2);
    assert_int_equal(coll_time("own").cs, 9);
    assert_int_equal(coll_time("history").cs, 7);
    struct manifest_sum sum = { .clock = h.clock };
    OK(store_import_begin(fx.ss, &m, &fx.arena, &tx, &err));
    OK(store_import_prune(tx, &(struct item_key){ VIEW(""), VIEW("") }, NULL, 0, true, NULL, NULL, &err));
    commit(tx);
    struct manifest_digest *d = manifest_digest_new(&h, &fx.arena);
    manifest_digest_end(d, sum.hash);
    manifest_digest_free(d);
    OK(try_step(OTHER, 3, STEP_SEAL, &sum));
}

static void only_the_move_itself_carries_data(void **state)
{
    (void)state;
    struct store_txn *tx = NULL;
    struct move mine = to_t(), other = move_to(2, OTHER), wrong = move_to(3, MOVE);
    GIVES(RC_CONFLICT, store_import_begin(fx.ss, &mine, &fx.arena, &tx, &err));
    step(2, STEP_IMPORT_BEGIN);
    GIVES(RC_CONFLICT, store_import_begin(fx.ss, &other, &fx.arena, &tx, &err));
    GIVES(RC_CONFLICT, store_import_begin(fx.ss, &wrong, &fx.arena, &tx, &err));
    GIVES(RC_CONFLICT, store_export_begin(fx.ss, &other, &fx.arena, &tx, &err));
    OK(store_import_begin(fx.ss, &mine, &fx.arena, &tx, &err));
    store_rollback(tx);
    struct manifest_sum sum = sum_of(2);
    OK(try_step(MOVE, 2, STEP_SEAL, &sum));
    GIVES(RC_CONFLICT, store_import_begin(fx.ss, &mine, &fx.arena, &tx, &err));
    step(2, STEP_ACTIVATE);
    OK(store_export_begin(fx.ss, &other, &fx.arena, &tx, &err));
    store_rollback(tx);
    OK(try_step(OTHER, 2, STEP_FREEZE, NULL));
    GIVES(RC_CONFLICT, store_export_begin(fx.ss, &mine, &fx.arena, &tx, &err));
    OK(try_step(OTHER, 3, STEP_RETIRE, NULL));
    GIVES(RC_CONFLICT, store_export_begin(fx.ss, &wrong, &fx.arena, &tx, &err));
}

static const struct CMUnitTest importing_tests[] = {
    TEST(a_flipped_byte_or_a_lost_row_is_never_sealed),
    TEST(a_manifest_out_of_order_or_cut_off_changes_nothing),
    TEST(what_no_store_holds_is_not_imported),
    TEST(a_head_is_imported_whole_but_its_clock_never_turns_back),
    TEST(only_the_move_itself_carries_data),
};
const struct test_group importing_group = TEST_GROUP(importing);
