/* The steps of a move: legal where the table says, repeatable, and what they do to one store. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "node/store/internal.h"
#include "tests/conformance/store/mover.h"

static void set_head(enum head_state state, int64_t epoch, view id)
{
    struct conn *c = NULL;
    struct stmt *st = NULL;
    struct new_head h = { .uid = fx.uid, .epoch = epoch, .state = state, .move = id };
    OK(session_begin(fx.ss, session_shard(fx.ss, fx.uid), STORE_WRITE, &c, &err));
    OK(c->driver->prepare(c, "DELETE FROM heads WHERE uid = ?1", &st, &err));
    bind_int(st, 1, fx.uid);
    OK(stmt_run(st, NULL, &err));
    c->driver->stmt_free(st);
    OK(c->driver->commit(c, &err));
    if (state != HEAD_NONE)
        OK(head_insert(fx.ss, &h, &err));
}

/* Every legal step of a head of epoch 5; `call` is the epoch in the call. Epochs and moves not named are refused. */
static const struct legal {
    enum head_step step;
    enum head_state from;
    int64_t call;
    bool ours, others; /* for the move that the head remembers, and for any other one */
    enum head_state to;
    int64_t epoch;
} legal[] = {
    { STEP_FREEZE, HEAD_ACTIVE, 5, false, true, HEAD_FROZEN, 5 },
    { STEP_FREEZE, HEAD_FROZEN, 5, true, false, HEAD_FROZEN, 5 },
    { STEP_THAW, HEAD_FROZEN, 5, true, false, HEAD_ACTIVE, 5 },
    { STEP_THAW, HEAD_ACTIVE, 5, true, true, HEAD_ACTIVE, 5 },
    { STEP_IMPORT_BEGIN, HEAD_GONE, 6, false, true, HEAD_IMPORTING, 6 },
    { STEP_IMPORT_BEGIN, HEAD_GONE, 7, false, true, HEAD_IMPORTING, 7 },
    { STEP_IMPORT_BEGIN, HEAD_IMPORTING, 5, true, false, HEAD_IMPORTING, 5 },
    { STEP_SEAL, HEAD_IMPORTING, 5, true, false, HEAD_READY, 5 },
    { STEP_SEAL, HEAD_READY, 5, true, false, HEAD_READY, 5 },
    { STEP_ACTIVATE, HEAD_READY, 5, true, false, HEAD_ACTIVE, 5 },
    { STEP_ACTIVATE, HEAD_ACTIVE, 5, true, true, HEAD_ACTIVE, 5 },
    { STEP_RETIRE, HEAD_FROZEN, 6, true, false, HEAD_GONE, 6 },
    { STEP_RETIRE, HEAD_GONE, 5, true, true, HEAD_GONE, 5 },
    { STEP_RETIRE, HEAD_GONE, 4, true, true, HEAD_GONE, 5 },
    { STEP_DROP, HEAD_IMPORTING, 4, true, false, HEAD_GONE, 4 },
    { STEP_DROP, HEAD_READY, 4, true, false, HEAD_GONE, 4 },
    { STEP_DROP, HEAD_GONE, 4, true, true, HEAD_GONE, 5 },
    { STEP_DROP, HEAD_GONE, 5, true, true, HEAD_GONE, 5 },
    { STEP_DROP, HEAD_GONE, 6, true, true, HEAD_GONE, 6 },
    { STEP_DROP, HEAD_GONE, 7, true, true, HEAD_GONE, 7 },
    { STEP_ERASE, HEAD_ACTIVE, 5, true, true, HEAD_GONE, 5 },
    { STEP_ERASE, HEAD_GONE, 5, true, true, HEAD_GONE, 5 },
    { STEP_ERASE, HEAD_GONE, 6, true, true, HEAD_GONE, 6 },
    { STEP_ERASE, HEAD_GONE, 7, true, true, HEAD_GONE, 7 },
    { STEP_LEAVE, HEAD_ACTIVE, 5, true, true, HEAD_GONE, 5 },
    { STEP_LEAVE, HEAD_ACTIVE, 6, true, true, HEAD_GONE, 6 },
    { STEP_LEAVE, HEAD_ACTIVE, 7, true, true, HEAD_GONE, 7 },
    { STEP_LEAVE, HEAD_FROZEN, 6, true, true, HEAD_GONE, 6 },
    { STEP_LEAVE, HEAD_FROZEN, 7, true, true, HEAD_GONE, 7 },
    { STEP_LEAVE, HEAD_GONE, 4, true, true, HEAD_GONE, 5 },
    { STEP_LEAVE, HEAD_GONE, 5, true, true, HEAD_GONE, 5 },
    { STEP_LEAVE, HEAD_GONE, 6, true, true, HEAD_GONE, 5 },
    { STEP_LEAVE, HEAD_GONE, 7, true, true, HEAD_GONE, 5 },
};

static const struct {
    enum head_step step;
    enum head_state to;
} of_nobody[] = {
    { STEP_FREEZE, HEAD_FROZEN }, { STEP_THAW, HEAD_ACTIVE }, { STEP_IMPORT_BEGIN, HEAD_IMPORTING },
    { STEP_RETIRE, HEAD_GONE },   { STEP_DROP, HEAD_GONE },   { STEP_ERASE, HEAD_GONE },
};

static const struct legal *find_legal(enum head_state from, enum head_step which, int64_t call, bool ours)
{
    for (size_t i = 0; i < sizeof legal / sizeof legal[0]; i++) {
        const struct legal *l = &legal[i];
        if (l->from == from && l->step == which && l->call == call && (ours ? l->ours : l->others))
            return l;
    }
    return NULL;
}

static bool any_legal(enum head_state from, enum head_step which)
{
    bool any = false;
    for (int64_t call = 4; call <= 7; call++)
        any = any || find_legal(from, which, call, true) || find_legal(from, which, call, false);
    return any;
}

static void expect_step(enum head_state from, enum head_step which, int64_t call, bool ours)
{
    const struct legal *l = find_legal(from, which, call, ours);
    view id = ours ? MOVE : OTHER;
    struct manifest_sum sum = { .clock = STAMP_ZERO };
    set_head(from, 5, MOVE);
    if (from == HEAD_IMPORTING)
        sum = sum_of(5);
    rc got = try_step(id, call, which, &sum);
    if (got != (l ? RC_OK : RC_CONFLICT))
        fail_msg("%s of %s with epoch %lld (%s): %s", head_step_name(which), head_state_name(from),
                 (long long)call, ours ? "ours" : "another's", rc_name(got));
    const struct head *h = head_now();
    assert_int_equal(h->state, l ? l->to : from);
    assert_int_equal(h->epoch, l ? l->epoch : 5);
    if (!l)
        return;
    wait_ms(1000); /* a step that was done leaves everything as it is, and says the same */
    struct head before = *h;
    assert_int_equal(try_step(id, call, which, &sum), RC_OK);
    h = head_now();
    assert_int_equal(h->state, before.state);
    assert_int_equal(h->epoch, before.epoch);
    assert_int_equal(h->since_ms, before.since_ms);
}

static void each_step_is_legal_where_the_table_says_and_nowhere_else(void **state)
{
    (void)state;
    for (enum head_state from = HEAD_ACTIVE; from <= HEAD_GONE; from++) {
        for (enum head_step which = STEP_FREEZE; which <= STEP_LEAVE; which++) {
            assert_int_equal(head_may(from, which), any_legal(from, which));
            for (int64_t call = 4; call <= 7; call++) {
                expect_step(from, which, call, true);
                expect_step(from, which, call, false);
            }
        }
    }
}

static void a_user_without_a_row_gets_one_where_a_step_may_come_first(void **state)
{
    (void)state;
    struct manifest_sum sum = { .clock = STAMP_ZERO };
    for (enum head_step which = STEP_FREEZE; which <= STEP_LEAVE; which++) {
        enum head_state to = HEAD_NONE;
        for (size_t i = 0; i < sizeof of_nobody / sizeof of_nobody[0]; i++)
            to = of_nobody[i].step == which ? of_nobody[i].to : to;
        set_head(HEAD_NONE, 0, VIEW_NONE);
        assert_int_equal(head_may(HEAD_NONE, which), to != HEAD_NONE);
        for (int again = 0; again < 2; again++)
            assert_int_equal(try_step(MOVE, 3, which, &sum), to == HEAD_NONE ? RC_CONFLICT : RC_OK);
        assert_int_equal(head_now()->state, to);
        assert_int_equal(head_now()->epoch, to == HEAD_NONE ? 0 : 3);
    }
}

static void a_call_without_move_epoch_or_sum_is_refused(void **state)
{
    (void)state;
    char long_id[MOVE_ID_MAX + 1] = { 0 };
    GIVES(RC_BAD_INPUT, try_step(VIEW(""), 1, STEP_FREEZE, NULL));
    GIVES(RC_BAD_INPUT, try_step((view){ .p = long_id, .n = sizeof long_id }, 1, STEP_FREEZE, NULL));
    GIVES(RC_BAD_INPUT, try_step(MOVE, 0, STEP_FREEZE, NULL));
    step(2, STEP_IMPORT_BEGIN);
    GIVES(RC_BAD_INPUT, try_step(MOVE, 2, STEP_SEAL, NULL));
    assert_int_equal(head_now()->state, HEAD_IMPORTING);
}

static void a_late_step_of_a_move_that_was_undone_is_refused(void **state)
{
    (void)state;
    /* Settling came to S and T before the mover's calls did. */
    put("meta", "global", "x");
    step(1, STEP_THAW);
    GIVES(RC_CONFLICT, try_step(MOVE, 1, STEP_FREEZE, NULL));
    OK(try_step(OTHER, 1, STEP_FREEZE, NULL));
    GIVES(RC_CONFLICT, try_step(MOVE, 1, STEP_THAW, NULL));
    fx.uid += 5000000;
    step(1, STEP_DROP);
    GIVES(RC_CONFLICT, try_step(MOVE, 2, STEP_IMPORT_BEGIN, NULL));
    OK(try_step(OTHER, 2, STEP_IMPORT_BEGIN, NULL));
}

static void names_of_steps_are_read_and_written(void **state)
{
    (void)state;
    enum head_step got = STEP_ERASE;
    for (enum head_step which = STEP_FREEZE; which <= STEP_LEAVE; which++) {
        assert_true(head_step_parse(view_of(head_step_name(which)), &got));
        assert_int_equal(got, which);
    }
    assert_false(head_step_parse(VIEW("flip"), &got));
    assert_string_equal(head_state_name(HEAD_IMPORTING), "importing");
}

/* ---- one store: what steps do to data ---- */

static void freezing_drops_open_batches_and_thawing_gives_the_user_back(void **state)
{
    (void)state;
    put("meta", "global", "x");
    const char *id = batch_open("history");
    struct item_patch p = patch("a", "1");
    batch_append(id, &p, 1);
    step(1, STEP_FREEZE);
    struct head_info info;
    OK(store_head_get(fx.ss, fx.uid, &fx.arena, &info, &err));
    assert_int_equal(info.head.state, HEAD_FROZEN);
    assert_view(info.move, "move-1");
    step(1, STEP_THAW);
    struct batch_totals totals;
    struct store_txn *tx = begin(STORE_WRITE);
    GIVES(RC_NOT_FOUND, store_batch_totals(tx, VIEW("history"), view_of(id), LIFE_S, &totals, &err));
    store_rollback(tx);
    assert_view(get("meta", "global").payload, "x");
    put("meta", "global", "y");
}

static void retired_data_stay_until_they_are_erased_and_the_row_for_ever(void **state)
{
    (void)state;
    stamp t = put("history", "a", "x");
    batch_open("history");
    step(1, STEP_FREEZE);
    step(2, STEP_RETIRE);
    assert_int_equal(rows_of("items"), 1);
    GIVES(RC_CONFLICT, try_step(MOVE, 1, STEP_ERASE, NULL));
    step(2, STEP_ERASE);
    assert_int_equal(rows_of("items") + rows_of("batches"), 0);
    assert_int_equal(head_now()->state, HEAD_GONE);
    assert_int_equal(head_now()->epoch, 2);
    assert_int_equal(head_now()->n_colls, 0);
    assert_int_equal(head_now()->clock.cs, t.cs);
}

static void a_deleted_account_is_erased_where_it_is_active(void **state)
{
    (void)state;
    put("history", "a", "x");
    step(1, STEP_ERASE);
    assert_int_equal(rows_of("items"), 0);
    assert_int_equal(head_now()->state, HEAD_GONE);
}

static void a_user_who_left_long_ago_is_gone_whatever_an_old_copy_says(void **state)
{
    (void)state;
    stamp t = put("history", "a", "x");
    struct store_txn *tx = NULL;
    struct store_begin old = { .uid = fx.uid, .epoch = 1, .mode = STORE_WRITE, .arena = &fx.arena };
    step(3, STEP_LEAVE);
    GIVES(RC_NOT_HERE, store_begin(fx.ss, &old, &tx, &err));
    assert_int_equal(rows_of("items"), 1);
    assert_int_equal(head_now()->clock.cs, t.cs);
    /* of a mover that knows as little as the copy did */
    GIVES(RC_CONFLICT, try_step(MOVE, 1, STEP_FREEZE, NULL));
    OK(try_step(OTHER, 4, STEP_IMPORT_BEGIN, NULL)); /* he comes back */
    GIVES(RC_CONFLICT, try_step(MOVE, 4, STEP_LEAVE, NULL));
}

/* ---- a list of heads ---- */

static void heads_are_listed_in_pages_by_uid(void **state)
{
    (void)state;
    int64_t first = 700000000 + fx.uid * 100, me = fx.uid;
    enum { N = 23 };
    for (int i = N; i-- > 0;) {
        fx.uid = first + i;
        step(1 + i, i % 2 ? STEP_FREEZE : STEP_RETIRE);
    }
    int64_t after = first - 1;
    for (int seen = 0; seen < N;) {
        const struct head_info *page = NULL;
        size_t n = 0;
        OK(store_heads_list(fx.ss, after, 5, &fx.arena, &page, &n, &err));
        assert_int_equal(n, N - seen < 5 ? N - seen : 5);
        for (size_t k = 0; k < n; k++, seen++) {
            assert_int_equal(page[k].head.uid, first + seen);
            assert_int_equal(page[k].head.epoch, 1 + seen);
            assert_int_equal(page[k].head.state, seen % 2 ? HEAD_FROZEN : HEAD_GONE);
            assert_view(page[k].move, "move-1");
        }
        after = page[n - 1].head.uid;
    }
    fx.uid = me;
}

/* ---- the lock ---- */

struct freezer {
    atomic_bool begun, committing, saw_it;
    rc r;
    int64_t uid;
};

static void *freeze_elsewhere(void *arg)
{
    struct freezer *f = arg;
    struct store_session *ss = NULL;
    struct err e;
    struct arena a;
    struct move m = { .uid = f->uid, .id = MOVE, .epoch = 1 };
    arena_init(&a, 1 << 20);
    f->r = store_session_open(fx.store, false, &ss, &e);
    atomic_store(&f->begun, true);
    if (f->r == RC_OK)
        f->r = store_head_step(ss, &m, STEP_FREEZE, NULL, &a, NULL, &e);
    f->saw_it = atomic_load(&f->committing);
    store_session_close(ss);
    arena_done(&a);
    return NULL;
}

static void a_freeze_waits_for_the_writer_who_holds_the_head(void **state)
{
    (void)state;
    struct freezer f = { .uid = fx.uid };
    pthread_t thread;
    struct item_patch p = patch("a", "acknowledged");
    put("history", "z", "1");
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_items_put(tx, VIEW("history"), &p, 1, NULL, &err));
    assert_int_equal(pthread_create(&thread, NULL, freeze_elsewhere, &f), 0);
    WAIT_UNTIL(atomic_load(&f.begun));
    for (int i = 0; i < 1000; i++) /* a freeze that does not wait gets the time to show it */
        sched_yield();
    atomic_store(&f.committing, true);
    commit(tx);
    pthread_join(thread, NULL);
    assert_int_equal(f.r, RC_OK);
    assert_true(f.saw_it);
    assert_int_equal(rows_of("items"), 2);
    assert_int_equal(head_now()->state, HEAD_FROZEN);
}

static void what_a_user_left_behind_is_purged_after_the_grace(void **state)
{
    (void)state;
    uint64_t n = 0;
    while (store_purge_gone(fx.ss, -1000000, 100, &n, &err) == RC_OK && n > 0) /* of other tests */
        continue;
    put("history", "a", "x");
    step(1, STEP_FREEZE);
    step(2, STEP_RETIRE);
    wait_ms(9999);
    OK(store_purge_gone(fx.ss, 10, 100, &n, &err));
    assert_int_equal(n, 0);
    assert_int_equal(rows_of("items"), 1);
    wait_ms(1001);
    OK(store_purge_gone(fx.ss, 10, 100, &n, &err));
    assert_int_equal(n, 1);
    assert_int_equal(rows_of("items"), 0);
    OK(store_purge_gone(fx.ss, 10, 100, &n, &err));
    assert_int_equal(n, 0);
    assert_int_equal(head_now()->state, HEAD_GONE);
    assert_int_equal(head_now()->epoch, 2);
}

static void the_last_touch_of_an_open_upload_is_told(void **state)
{
    (void)state;
    char id[BATCH_ID_TEXT + 1];
    int64_t first = 0, then = 0, late = 0;
    OK(store_batch_touched(fx.ss, fx.uid, 7200, &first, &err));
    assert_int_equal(first, 0);
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_batch_open(tx, VIEW("history"), id, &err));
    commit(tx);
    OK(store_batch_touched(fx.ss, fx.uid, 7200, &first, &err));
    assert_true(first > 0);
    wait_ms(5000);
    tx = begin(STORE_WRITE);
    const struct item_patch p = {
        .id = VIEW("a"), .payload_op = PATCH_SET, .payload = VIEW("x"), .touches = true
    };
    struct batch_totals totals;
    OK(store_batch_totals(tx, VIEW("history"), view_of(id), 7200, &totals, &err));
    OK(store_batch_append(tx, view_of(id), &p, 1, &err));
    commit(tx);
    OK(store_batch_touched(fx.ss, fx.uid, 7200, &then, &err));
    assert_true(then >= first + 5000);
    OK(store_batch_touched(fx.ss, fx.uid, 1, &late, &err)); /* by then it is too old to be one */
    assert_int_equal(late, 0);
}

static const struct CMUnitTest steps_tests[] = {
    TEST(each_step_is_legal_where_the_table_says_and_nowhere_else),
    TEST(a_user_without_a_row_gets_one_where_a_step_may_come_first),
    TEST(a_call_without_move_epoch_or_sum_is_refused),
    TEST(a_late_step_of_a_move_that_was_undone_is_refused),
    TEST(names_of_steps_are_read_and_written),
    TEST(freezing_drops_open_batches_and_thawing_gives_the_user_back),
    TEST(retired_data_stay_until_they_are_erased_and_the_row_for_ever),
    TEST(a_deleted_account_is_erased_where_it_is_active),
    TEST(a_user_who_left_long_ago_is_gone_whatever_an_old_copy_says),
    TEST(a_freeze_waits_for_the_writer_who_holds_the_head),
    TEST(heads_are_listed_in_pages_by_uid),
    TEST(what_a_user_left_behind_is_purged_after_the_grace),
    TEST(the_last_touch_of_an_open_upload_is_told),
};
const struct test_group steps_group = TEST_GROUP(steps);
