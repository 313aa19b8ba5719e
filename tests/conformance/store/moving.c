/* Moving: a user's data carried from one store to another, of either engine, over wires that break and with crashes in between. */
#include "node/store/move.h"
#include "tests/conformance/store/mover.h"

static void a_user_arrives_as_he_left(void)
{
    fill();
    begin_import();
    assert_int_equal(pass(), 35);
    at(S);
    put("history", "h03", "changed while the first pass ran");
    struct item_query one = all("history");
    view doomed = VIEW("h04");
    one.ids = &doomed;
    one.n_ids = 1;
    one.has_ids = true;
    assert_int_equal(delete_found(&one), 1);
    put("new-one", "n", "2");
    struct store_txn *tx = begin(STORE_WRITE);
    bool existed = false;
    OK(store_coll_delete(tx, VIEW("bookmarks"), &existed, &err));
    commit(tx);
    assert_int_equal(pass(), 2);
    freeze();
    assert_int_equal(pass(), 0);
    struct head before = *head_now();
    finish();
    assert_same_user();
    assert_int_equal(rows_of("items"), 34);
    assert_int_equal(head_now()->state, HEAD_ACTIVE);
    assert_view(get("history", "h03").payload, "changed while the first pass ran");
    assert_view(get("history", "h00").payload, "\xc3\xa4\xe2\x82\xac");
    assert_missing("history", "h04");
    assert_missing("bookmarks", "b");
    struct item up = get("my-own", "up"), neg = get("my-own", "neg");
    assert_true(up.parentid.p && up.parentid.n == 0);
    assert_view(up.predecessorid, "up");
    assert_true(neg.has_sortindex && neg.sortindex == -7);
    assert_int_equal(get("tabs", "t").expires_ms, stamp_ms(get("tabs", "t").modified) + 3600000);
    T->clock.wall_us += 61 * INT64_C(1000000); /* a TTL goes on counting */
    assert_missing("my-own", "short");
    stamp t = put("history", "after", "written at the new home");
    assert_true(t.cs > before.clock.cs);
}

static void a_move_carries_everything_between_all_engines(void **state)
{
    (void)state;
    over_each_pair(a_user_arrives_as_he_left);
}

static void metadata_changes_between_passes(void)
{
    fill();
    begin_import();
    pass();
    at(S);
    stamp before = get("history", "h01").modified;
    struct item_patch p = { .id = VIEW("h01"), .sortindex_op = PATCH_SET, .sortindex = 99 };
    put_patches("history", &p, 1); /* as 1.1 does: its `modified` stays */
    assert_int_equal(get("history", "h01").modified.cs, before.cs);
    freeze();
    assert_int_equal(pass(), 1);
    finish();
    assert_int_equal(get("history", "h01").sortindex, 99);
    assert_int_equal(get("history", "h01").modified.cs, before.cs);
}

static void a_write_that_leaves_modified_alone_is_carried_too(void **state)
{
    (void)state;
    over_each_pair(metadata_changes_between_passes);
}

static void target_clock_behind(void)
{
    S->clock.wall_us += 5000 * 1000;
    fill();
    stamp last = put("history", "last", "x");
    begin_import();
    freeze();
    pass();
    finish();
    assert_true(head_now()->clock.cs >= last.cs);
    stamp t = put("history", "next", "y");
    assert_true(t.cs > last.cs);
    struct item_query q = all("history");
    q.has_newer = true;
    q.newer = last;
    assert_string_equal(find(&q, NULL), "next");
    assert_true(put("history", "again", "z").cs > t.cs);
}

static void stamps_never_go_back_where_the_new_clock_is_behind(void **state)
{
    (void)state;
    over_each_pair(target_clock_behind);
}

static void expired_before_the_move(void)
{
    put_with_ttl("tabs", "old", "x", 1);
    put("tabs", "new", "y");
    both_clocks(5000);
    begin_import();
    freeze();
    assert_int_equal(pass(), 2); /* clocks need not agree on what has expired */
    finish();
    assert_missing("tabs", "old");
    assert_view(get("tabs", "new").payload, "y");
}

static void what_has_expired_neither_stops_a_move_nor_comes_back(void **state)
{
    (void)state;
    over_each_pair(expired_before_the_move);
}

static void there_and_back(void)
{
    fill();
    begin_import();
    freeze();
    pass();
    finish();
    stamp at_t = put("history", "h00", "changed at T");
    /* and home again, where the old rows are still there: S and T change their parts */
    struct move leave = move_to(2, OTHER), come = move_to(3, OTHER);
    struct lines manifest = { .n = 0 };
    struct lines lacking = { .n = 0 };
    struct item_key first = { VIEW(""), VIEW("") };
    struct store_txn *tx = NULL;
    OK(store_head_step(T->ss, &leave, STEP_FREEZE, NULL, &fx.arena, NULL, &err));
    OK(store_head_step(S->ss, &come, STEP_IMPORT_BEGIN, NULL, &fx.arena, NULL, &err));
    OK(store_export_begin(T->ss, &leave, &fx.arena, &tx, &err));
    struct head h = *store_head(tx);
    struct manifest_sum sum;
    OK(store_manifest(tx, &first, 0, keep_entry, &manifest, &err));
    OK(store_manifest_sum(tx, &sum, &err));
    struct item it;
    OK(store_item_get(tx, VIEW("history"), VIEW("h00"), &it, &err));
    commit(tx);
    OK(store_import_begin(S->ss, &come, &fx.arena, &tx, &err));
    OK(store_import_head(tx, &h, &err));
    OK(store_import_prune(tx, &first, manifest.list, manifest.n, true, keep_entry, &lacking, &err));
    assert_int_equal(lacking.n, 1);
    struct import_row row = { .coll = VIEW("history"), .item = it };
    OK(store_import_items(tx, &row, 1, &err));
    commit(tx);
    OK(store_head_step(S->ss, &come, STEP_SEAL, &sum, &fx.arena, NULL, &err));
    OK(store_head_step(S->ss, &come, STEP_ACTIVATE, NULL, &fx.arena, NULL, &err));
    at(S);
    fx.epoch = 3;
    assert_view(get("history", "h00").payload, "changed at T");
    assert_true(put("history", "h00", "home").cs > at_t.cs);
}

static void a_user_who_comes_back_finds_his_old_rows_corrected(void **state)
{
    (void)state;
    over_each_pair(there_and_back);
}

/* ---- what has been compared need not be read again ---- */

static bool names_coll(const struct manifest_entry *m, void *arg)
{
    struct lines *l = arg;
    return keep_entry(m, l) && l->n < 300;
}

static void assert_manifest_has(const char *coll, size_t n)
{
    struct lines all = { .n = 0 };
    struct store_txn *tx = NULL;
    struct move m = to_s();
    size_t found = 0;
    OK(store_export_begin(S->ss, &m, &fx.arena, &tx, &err));
    store_manifest_base(tx, mover_base);
    OK(store_manifest(tx, &(struct item_key){ VIEW(""), VIEW("") }, 0, names_coll, &all, &err));
    commit(tx);
    for (size_t i = 0; i < all.n; i++)
        found += view_eq(all.list[i].coll, view_of(coll));
    assert_int_equal(found, n);
}

static bool keep_time(const struct item *it, void *arg)
{
    *(stamp *)arg = it->modified;
    return true;
}

/* A user who is frozen is read by his move alone. */
static stamp modified_at_s(const char *coll, const char *id)
{
    struct store_txn *tx = NULL;
    struct move m = to_s();
    stamp found = STAMP_ZERO;
    view ids[] = { view_of(id) };
    const struct item_query q = {
        .coll = view_of(coll), .ids = ids, .n_ids = 1, .has_ids = true, .order = ORDER_ID
    };
    OK(store_export_begin(S->ss, &m, &fx.arena, &tx, &err));
    OK(store_items_find(tx, &q, keep_time, &found, NULL, &err));
    commit(tx);
    return found;
}

static void delta(void)
{
    fill();
    begin_import();
    assert_int_equal(pass(), 35);
    assert_int_equal(pass(), 0);
    at(S);
    mover_base = head_now()->clock;
    struct item_patch ttl = patch_ttl("up", 600),
                      p = { .id = VIEW("h05"), .sortindex_op = PATCH_SET, .sortindex = 7 };
    struct item_query one = all("history");
    view doomed = VIEW("h04");
    one.ids = &doomed;
    one.n_ids = 1;
    one.has_ids = true;
    put("history", "h03", "changed");
    put_patches("history", &p, 1); /* as 1.1 does: neither this nor the next changes `modified` */
    put_patches("my-own", &ttl, 1);
    assert_int_equal(delete_found(&one), 1);
    put("new-one", "n", "2");
    put("new-one", "o", "3");
    put("new-one", "p", "4");
    freeze();
    assert_manifest_has("history", 29);
    assert_manifest_has("my-own", 3);
    assert_manifest_has("new-one", 3);
    assert_manifest_has("bookmarks", 0); /* nobody has touched it */
    assert_manifest_has("tabs", 0);
    assert_int_equal(pass_with(FLIPPED_PAYLOAD), 6); /* "n", which is new */
    GIVES(RC_CONFLICT, seal());
    assert_int_equal(pass(), 1);
    at(T);
    assert_int_equal(rows_of("items"), 37); /* one is deleted, three are new; what was left out is there */
    meddle("DELETE FROM items WHERE uid = ?1 AND id = ?2", "h07"); /* old rows still have to be there … */
    GIVES(RC_CONFLICT, seal());
    assert_int_equal(pass(), 1);
    /* … as they were */
    meddle("UPDATE items SET modified = modified - 10 WHERE uid = ?1 AND id = ?2", "h08");
    GIVES(RC_CONFLICT, seal());
    assert_int_equal(pass(), 1);
    meddle("UPDATE items SET sortindex = 1 WHERE uid = ?1 AND id = ?2", "h09");
    GIVES(RC_CONFLICT, seal());
    assert_int_equal(pass(), 1);
    stamp base = mover_base; /* whoever carried an old row goes back behind it */
    meddle("UPDATE items SET payload = 'meddled' WHERE uid = ?1 AND id = ?2", "up");
    mover_base.cs = modified_at_s("my-own", "up").cs - 1;
    GIVES(RC_CONFLICT, seal());
    assert_int_equal(pass(), 1);
    mover_base = base;
    mover_base.cs++; /* the two ends must mean the same */
    at(S);
    struct manifest_sum sum = sum_of(1);
    sum.base.cs--;
    at(T);
    GIVES(RC_CONFLICT, try_step(MOVE, 2, STEP_SEAL, &sum));
    mover_base.cs--;
    finish();
    assert_same_user();
    assert_view(get("history", "h03").payload, "changed");
    assert_view(get("bookmarks", "b").payload, "1");
    assert_int_equal(get("history", "h05").sortindex, 7);
    assert_missing("history", "h04");
    assert_true(get("my-own", "up").expires_ms > 0);
}

static void a_last_pass_reads_what_is_newer_and_still_sees_every_row(void **state)
{
    (void)state;
    over_each_pair(delta);
}

/* ---- the fence on the way ---- */

static rc try_epoch(struct node *n, int64_t epoch, enum store_mode mode)
{
    struct store_txn *tx = NULL;
    struct store_begin o = { .uid = fx.uid, .epoch = epoch, .mode = mode, .arena = &fx.arena };
    rc r = store_begin(n->ss, &o, &tx, &err);
    store_rollback(tx);
    struct item it;
    struct head h;
    rc one = store_item_read(n->ss, fx.uid, epoch, VIEW("no"), VIEW("no"), &fx.arena, &h, &it, &err);
    assert_int_equal(one == RC_NOT_FOUND ? RC_OK : one, r);
    return r;
}

static void fence_says(rc s_old, rc s_new, rc t_old, rc t_new)
{
    for (enum store_mode mode = STORE_READ; mode <= STORE_WRITE; mode++) {
        assert_int_equal(try_epoch(S, 1, mode), s_old);
        assert_int_equal(try_epoch(S, 2, mode), s_new);
        assert_int_equal(try_epoch(T, 1, mode), t_old);
        assert_int_equal(try_epoch(T, 2, mode), t_new);
    }
}

static void fence_on_the_way(void)
{
    const rc ok = RC_OK, left = RC_NOT_HERE, wait = RC_FROZEN;
    put("meta", "global", "x");
    begin_import();
    fence_says(ok, left, left, left);
    freeze();
    fence_says(wait, left, left, left);
    pass();
    OK(seal());
    fence_says(wait, left, left, ok); /* who has a credential of the new epoch comes after the flip */
    assert_int_equal(head_now()->state, HEAD_READY); /* it was rolled back */
    step(2, STEP_ACTIVATE);
    fence_says(wait, left, left, ok);
    at(S);
    step(2, STEP_RETIRE);
    fence_says(left, left, left, ok);
    step(2, STEP_ERASE);
    fence_says(left, left, left, ok);
}

static void each_credential_meets_the_right_answer_all_the_way(void **state)
{
    (void)state;
    over_each_pair(fence_on_the_way);
}

/* All is at T, and nobody has told the directory. */
static void carried(void)
{
    put("meta", "global", "x");
    begin_import();
    freeze();
    pass();
    OK(seal());
}

static void undone(void)
{
    carried();
    at(T);
    step(1, STEP_DROP);
    assert_int_equal(rows_of("items"), 0);
    fence_says(RC_FROZEN, RC_NOT_HERE, RC_NOT_HERE, RC_NOT_HERE);
    at(S);
    step(1, STEP_THAW);
    fence_says(RC_OK, RC_NOT_HERE, RC_NOT_HERE, RC_NOT_HERE);
    put("meta", "global", "y");
}

static void an_undone_move_leaves_the_user_where_he_was(void **state)
{
    (void)state;
    over_each_pair(undone);
}

static void a_client_activates(void)
{
    carried();
    at(T);
    put("meta", "global", "from the first credential after the flip");
    step(2, STEP_ACTIVATE);
    assert_int_equal(head_now()->state, HEAD_ACTIVE);
}

static void a_client_may_activate_before_the_mover_does(void **state)
{
    (void)state;
    over_each_pair(a_client_activates);
}

/* ---- crashes ---- */

static void crashes(void)
{
    struct move m = to_t();
    struct store_txn *tx = NULL;
    fill();
    begin_import();
    pass();
    OK(store_import_begin(T->ss, &m, &fx.arena, &tx, &err));
    struct import_row row = { .coll = VIEW("half"), .item = { .id = VIEW("a"), .payload = VIEW("x") } };
    OK(store_import_items(tx, &row, 1, &err));
    OK(store_import_prune(tx, &(struct item_key){ VIEW(""), VIEW("") }, NULL, 0, true, NULL, NULL, &err));
    reopen(T); /* with the transaction open */
    assert_int_equal(rows_of("items"), 35);
    step(2, STEP_IMPORT_BEGIN);
    freeze();
    reopen(S);
    step(1, STEP_FREEZE);
    assert_int_equal(pass(), 0);
    OK(seal());
    OK(seal());
    reopen(T);
    finish();
    assert_same_user();
}

static void a_move_that_broke_off_goes_on_where_it_was(void **state)
{
    (void)state;
    over_each_pair(crashes);
}

/* ---- the wire's text ---- */

static void a_row_and_its_hash_are_the_same_everywhere(void **state)
{
    (void)state;
    struct buf b = { 0 };
    struct item it = { .id = VIEW("i\"d"),
                       .payload = VIEW("p"),
                       .modified = { .cs = 176368152307 },
                       .has_sortindex = true,
                       .sortindex = -1,
                       .expires_ms = 1763681523070,
                       .parentid = VIEW(""),
                       .predecessorid = VIEW("q") };
    move_row_put(&b, VIEW("tabs"), &it);
    assert_string_equal(
        buf_text(&b),
        "{\"coll\":\"tabs\",\"id\":\"i\\\"d\",\"modified\":176368152307,\"payload\":\"p\",\"sortindex\":-1,"
        "\"expires\":176368152307,\"parentid\":\"\",\"predecessorid\":\"q\"}");
    buf_clear(&b);
    move_row_put(&b, VIEW("tabs"), &(struct item){ .id = VIEW("a"), .payload = VIEW("") });
    assert_string_equal(buf_text(&b), "{\"coll\":\"tabs\",\"id\":\"a\",\"modified\":0,\"payload\":\"\"}");

    struct head_coll colls[] = { { .name = VIEW("b"), .modified = { .cs = 2 } },
                                 { .name = VIEW("a"), .modified = { .cs = 1 } } };
    struct head h = { .clock = { .cs = 3 },
                      .modified = { .cs = 2 },
                      .used_bytes = 9,
                      .quota_bytes = -1,
                      .colls = colls,
                      .n_colls = 2 };
    struct manifest_entry m = { .coll = VIEW("a"), .id = VIEW("x") };
    uint8_t by_pieces[SHA256_BYTES], whole[SHA256_BYTES];
    struct manifest_digest *d = manifest_digest_new(&h, &fx.arena);
    manifest_digest_add(d, &m);
    manifest_digest_end(d, by_pieces);
    manifest_digest_free(d);
    buf_clear(&b);
    h.clock = STAMP_ZERO;
    manifest_head_put(&b, &h, &fx.arena);
    assert_string_equal(
        buf_text(&b),
        "{\"clock\":0,\"modified\":2,\"used_bytes\":9,\"quota_bytes\":-1,\"colls\":[[\"a\",1],[\"b\",2]]}");
    buf_addc(&b, '\n');
    manifest_entry_put(&b, &m);
    buf_addc(&b, '\n');
    sha256(buf_view(&b), whole);
    assert_memory_equal(by_pieces, whole, sizeof whole);
    buf_done(&b);
}

/* ---- much ---- */

static bool count_entry(const struct manifest_entry *m, void *arg)
{
    (void)m;
    ++*(size_t *)arg;
    return true;
}

static void many_rows(void)
{
    enum { N = 2300 }; /* more than are read or deleted at once */
    static struct import_row rows[N];
    struct move m = to_t();
    struct store_txn *tx = NULL;
    struct item_key first = { VIEW(""), VIEW("") };
    for (int i = 0; i < N; i++)
        rows[i] = (struct import_row){
            .coll = i < N / 2 ? VIEW("history") : VIEW("own"),
            .item = { .id = arena_text(&fx.arena, "%05d", i), .payload = VIEW("p"), .modified = { .cs = i } }
        };
    begin_import();
    OK(store_import_begin(T->ss, &m, &fx.arena, &tx, &err));
    OK(store_import_items(tx, rows, N, &err));
    OK(store_import_items(tx, rows, N, &err)); /* the same page twice */
    commit(tx);
    OK(store_export_begin(T->ss, &m, &fx.arena, &tx, &err));
    size_t n = 0;
    OK(store_manifest(tx, &first, 0, count_entry, &n, &err));
    assert_int_equal(n, N);
    n = 0;
    OK(store_manifest(tx, &(struct item_key){ VIEW("history"), VIEW("01000") }, 0, count_entry, &n, &err));
    assert_int_equal(n, N - 1001);
    n = 0;
    OK(store_manifest(tx, &(struct item_key){ VIEW("history"), VIEW("00999") }, 601, count_entry, &n, &err));
    assert_int_equal(n, 601);
    commit(tx);
    struct manifest_entry keep = { .coll = VIEW("own"), .id = VIEW("01500") };
    n = 0;
    OK(store_import_begin(T->ss, &m, &fx.arena, &tx, &err));
    OK(store_import_prune(tx, &first, &keep, 1, true, count_entry, &n, &err));
    commit(tx);
    assert_int_equal(n, 1); /* its hash differs */
    at(T);
    assert_int_equal(rows_of("items"), 1);
}

static void thousands_of_rows_go_in_and_out(void **state)
{
    (void)state;
    over_each_pair(many_rows);
}

static const struct CMUnitTest moving_tests[] = {
    TEST(a_row_and_its_hash_are_the_same_everywhere),
    TEST(a_move_carries_everything_between_all_engines),
    TEST(a_write_that_leaves_modified_alone_is_carried_too),
    TEST(stamps_never_go_back_where_the_new_clock_is_behind),
    TEST(what_has_expired_neither_stops_a_move_nor_comes_back),
    TEST(a_user_who_comes_back_finds_his_old_rows_corrected),
    TEST(a_last_pass_reads_what_is_newer_and_still_sees_every_row),
    TEST(each_credential_meets_the_right_answer_all_the_way),
    TEST(an_undone_move_leaves_the_user_where_he_was),
    TEST(a_client_may_activate_before_the_mover_does),
    TEST(a_move_that_broke_off_goes_on_where_it_was),
    TEST(thousands_of_rows_go_in_and_out),
};
const struct test_group moving_group = TEST_GROUP(moving);
