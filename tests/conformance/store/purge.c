/* Upkeep removes what nobody can see, in portions, and moves no stamp. */
#include "node/store/internal.h"
#include "tests/conformance/store/fixture.h"

static uint64_t count_rows(const char *sql)
{
    uint64_t all = 0;
    for (unsigned shard = 0; shard < fx.store->engine->shards; shard++) {
        struct conn *c = NULL;
        struct stmt *st = NULL;
        int64_t n = 0;
        OK(session_begin(fx.ss, shard, STORE_READ, &c, &err));
        OK(c->driver->prepare(c, sql, &st, &err));
        OK(stmt_number(st, &n, NULL, &err));
        c->driver->stmt_free(st);
        c->driver->rollback(c);
        all += (uint64_t)n;
    }
    return all;
}

static uint64_t expired_rows(void)
{
    return count_rows("SELECT COUNT(*) FROM items WHERE expires IS NOT NULL");
}

static uint64_t purge_expired(int64_t grace_s, unsigned limit)
{
    uint64_t n = 99999;
    OK(store_purge_expired(fx.ss, grace_s, limit, &n, &err));
    return n;
}

static void drain(void)
{
    while (purge_expired(-1000000000, 100000) > 0)
        continue;
}

static void expired_items_go_after_the_grace_and_move_no_stamp(void **state)
{
    (void)state;
    drain();
    put_with_ttl("tabs", "old", "x", 10);
    put_with_ttl("tabs", "young", "x", 100000);
    put("tabs", "stays", "x");
    struct head before = *head_now();
    wait_ms(9999 + 5000);
    assert_int_equal(purge_expired(5, 100), 0);
    wait_ms(1);
    assert_int_equal(purge_expired(5, 100), 1);
    assert_int_equal(purge_expired(5, 100), 0);
    assert_int_equal(expired_rows(), 1);
    struct head after = *head_now();
    assert_true(after.clock.cs == before.clock.cs && after.modified.cs == before.modified.cs);
    assert_int_equal(after.colls[0].modified.cs, before.colls[0].modified.cs);
    assert_int_equal(after.used_bytes, before.used_bytes);
    assert_view(get("tabs", "young").payload, "x");
}

static void purging_goes_on_where_it_stopped(void **state)
{
    (void)state;
    drain();
    int64_t me = fx.uid;
    for (int user = 0; user < 7; user++) {
        fx.uid = me + 5000000 + user;
        for (int i = 0; i < 5; i++)
            put_with_ttl("tabs", arena_text(&fx.arena, "%d", i).p, "x", 1);
    }
    wait_ms(1100);
    uint64_t done = 0;
    for (int call = 0; call < 9; call++) {
        uint64_t n = purge_expired(0, 4);
        assert_true(n == 4 || done + n == 35);
        done += n;
    }
    assert_int_equal(done, 35);
    assert_int_equal(purge_expired(0, 4), 0);
    assert_int_equal(expired_rows(), 0);
}

static void thousands_are_purged_by_one_call(void **state)
{
    (void)state;
    enum { MANY = 2300 };
    drain();
    struct item_patch *p = arena_alloc(&fx.arena, MANY * sizeof *p);
    for (int i = 0; i < MANY; i++) {
        p[i] = patch(arena_text(&fx.arena, "%d", i).p, "x");
        p[i].ttl_op = PATCH_SET;
    }
    put_patches("tabs", p, MANY);
    wait_ms(10);
    assert_int_equal(purge_expired(0, 100000), MANY);
}

static void users_on_the_move_are_left_alone(void **state)
{
    (void)state;
    drain();
    put_with_ttl("tabs", "old", "x", 1);
    wait_ms(1000);
    struct conn *c = NULL;
    struct stmt *st = NULL;
    OK(session_begin(fx.ss, session_shard(fx.ss, fx.uid), STORE_WRITE, &c, &err));
    OK(c->driver->prepare(c, "UPDATE heads SET state = ?1 WHERE uid = ?2", &st, &err));
    for (int round = 0; round < 2; round++) {
        if (round > 0)
            OK(session_begin(fx.ss, session_shard(fx.ss, fx.uid), STORE_WRITE, &c, &err));
        bind_int(st, 1, round == 0 ? HEAD_FROZEN : HEAD_ACTIVE);
        bind_int(st, 2, fx.uid);
        OK(stmt_run(st, NULL, &err));
        OK(c->driver->commit(c, &err));
        assert_int_equal(purge_expired(0, 100), round);
    }
    c->driver->stmt_free(st);
}

static void old_batches_go_with_their_items(void **state)
{
    (void)state;
    uint64_t n = 0;
    struct batch_totals totals;
    struct item_patch p[] = { patch("a", "x"), patch("b", "x") };
    do
        OK(store_purge_batches(fx.ss, -1000000000, 1000, &n, &err));
    while (n > 0);
    assert_int_equal(count_rows("SELECT COUNT(*) FROM batch_items"), 0);
    const char *old = batch_open("forms");
    batch_append(old, p, 2);
    wait_ms(1000);
    const char *young = batch_open("forms");
    batch_append(young, p, 2);
    struct head before = *head_now();
    wait_ms(LIFE_S * 1000 - 1000);
    OK(store_purge_batches(fx.ss, LIFE_S, 1000, &n, &err));
    assert_int_equal(n, 1);
    assert_int_equal(count_rows("SELECT COUNT(*) FROM batch_items"), 1); /* a row for a part */
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_batch_totals(tx, VIEW("forms"), view_of(young), LIFE_S, &totals, &err));
    commit(tx);
    assert_int_equal(head_now()->clock.cs, before.clock.cs);
}

static const struct CMUnitTest purge_tests[] = {
    TEST(expired_items_go_after_the_grace_and_move_no_stamp),
    TEST(purging_goes_on_where_it_stopped),
    TEST(thousands_are_purged_by_one_call),
    TEST(users_on_the_move_are_left_alone),
    TEST(old_batches_go_with_their_items),
};
const struct test_group purge_group = TEST_GROUP(purge);
