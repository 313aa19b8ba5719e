/* The fence: whose credential may touch the data, by the state of the head. */
#include "node/store/internal.h"
#include "tests/conformance/store/fixture.h"

/* Straight into the row; how moves come to these states is in steps.c and moving.c. */
static void set_head(enum head_state state, int64_t epoch)
{
    struct conn *c = NULL;
    struct stmt *st = NULL;
    OK(session_begin(fx.ss, session_shard(fx.ss, fx.uid), STORE_WRITE, &c, &err));
    OK(c->driver->prepare(c, "UPDATE heads SET state = ?1, epoch = ?2 WHERE uid = ?3", &st, &err));
    bind_int(st, 1, state);
    bind_int(st, 2, epoch);
    bind_int(st, 3, fx.uid);
    OK(stmt_run(st, NULL, &err));
    c->driver->stmt_free(st);
    OK(c->driver->commit(c, &err));
}

static rc try_epoch(int64_t epoch, enum store_mode mode)
{
    struct store_txn *tx = NULL;
    struct store_begin o = { .uid = fx.uid, .epoch = epoch, .mode = mode, .arena = &fx.arena };
    rc r = store_begin(fx.ss, &o, &tx, &err);
    store_rollback(tx);
    return r;
}

static rc try_read(int64_t epoch)
{
    struct item it;
    struct head h;
    return store_item_read(fx.ss, fx.uid, epoch, VIEW("meta"), VIEW("global"), &fx.arena, &h, &it, &err);
}

static void a_new_user_is_welcome_and_gets_the_epoch_of_his_credential(void **state)
{
    (void)state;
    assert_int_equal(head_now()->state, HEAD_NONE);
    assert_int_equal(try_epoch(3, STORE_READ), RC_OK);
    assert_int_equal(head_now()->state, HEAD_NONE);
    assert_int_equal(try_epoch(3, STORE_WRITE), RC_OK);
    assert_int_equal(head_now()->state, HEAD_ACTIVE);
    assert_int_equal(head_now()->epoch, 3);
    assert_int_equal(head_now()->since_ms, START_US / 1000);
    assert_int_equal(head_now()->quota_bytes, -1);
}

static void a_foreign_token_makes_a_head_of_epoch_1(void **state)
{
    (void)state;
    assert_int_equal(try_epoch(0, STORE_WRITE), RC_OK);
    assert_int_equal(head_now()->epoch, 1);
    assert_int_equal(try_epoch(0, STORE_READ), RC_OK);
    assert_int_equal(try_epoch(1, STORE_READ), RC_OK);
}

static void credentials_meet_each_state_as_the_table_says(void **state)
{
    (void)state;
    static const struct {
        enum head_state state;
        int64_t epoch, credential;
        rc expected;
    } cases[] = {
        { HEAD_ACTIVE, 2, 2, RC_OK },          { HEAD_ACTIVE, 2, 1, RC_NOT_HERE },
        { HEAD_ACTIVE, 2, 3, RC_NOT_HERE },    { HEAD_ACTIVE, 2, 0, RC_NOT_HERE },
        { HEAD_ACTIVE, 1, 0, RC_OK },          { HEAD_FROZEN, 2, 2, RC_FROZEN },
        { HEAD_FROZEN, 2, 1, RC_NOT_HERE },    { HEAD_FROZEN, 1, 0, RC_FROZEN },
        { HEAD_IMPORTING, 2, 2, RC_NOT_HERE }, { HEAD_IMPORTING, 2, 1, RC_NOT_HERE },
        { HEAD_GONE, 2, 2, RC_NOT_HERE },      { HEAD_GONE, 2, 0, RC_NOT_HERE },
        { HEAD_READY, 2, 1, RC_NOT_HERE },     { HEAD_READY, 2, 2, RC_OK },
    };
    put("meta", "global", "x");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_head(cases[i].state, cases[i].epoch);
        assert_int_equal(try_read(cases[i].credential), cases[i].expected);
        assert_int_equal(try_epoch(cases[i].credential, STORE_READ), cases[i].expected);
        assert_int_equal(try_epoch(cases[i].credential, STORE_WRITE), cases[i].expected);
    }
}

static void a_refused_write_changes_nothing(void **state)
{
    (void)state;
    put("meta", "global", "x");
    set_head(HEAD_GONE, 2);
    struct head before = *head_now();
    assert_int_equal(try_epoch(1, STORE_WRITE), RC_NOT_HERE);
    assert_int_equal(head_now()->clock.cs, before.clock.cs);
    assert_int_equal(head_now()->state, HEAD_GONE);
}

static void a_write_with_the_new_epoch_makes_a_ready_head_active(void **state)
{
    (void)state;
    put("meta", "global", "x");
    set_head(HEAD_READY, 2);
    fx.epoch = 2;
    wait_ms(5000);
    assert_view(get("meta", "global").payload, "x");
    assert_int_equal(head_now()->state, HEAD_READY);
    struct store_txn *tx = begin(STORE_WRITE);
    assert_int_equal(store_head(tx)->state, HEAD_ACTIVE);
    commit(tx);
    assert_int_equal(head_now()->state, HEAD_ACTIVE);
    assert_int_equal(head_now()->since_ms, START_US / 1000 + 5000);
}

static void users_do_not_see_each_other(void **state)
{
    (void)state;
    put("meta", "global", "mine");
    int64_t me = fx.uid;
    fx.uid = me + 4000000; /* the same file of SQLite */
    assert_missing("meta", "global");
    put("meta", "global", "his");
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_user_wipe(tx, &err));
    commit(tx);
    fx.uid = me;
    assert_view(get("meta", "global").payload, "mine");
}

static const struct CMUnitTest fence_tests[] = {
    TEST(a_new_user_is_welcome_and_gets_the_epoch_of_his_credential),
    TEST(a_foreign_token_makes_a_head_of_epoch_1),
    TEST(credentials_meet_each_state_as_the_table_says),
    TEST(a_refused_write_changes_nothing),
    TEST(a_write_with_the_new_epoch_makes_a_ready_head_active),
    TEST(users_do_not_see_each_other),
};
const struct test_group fence_group = TEST_GROUP(fence);
