/* What happens when the database goes away or has no room, and that the session mends itself. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "node/store/internal.h"
#include "tests/conformance/store/fixture.h"

/* The server's id of the session's connection; another session ends it, as an operator or an idle limit would. */
static void kill_connection(void)
{
    struct store_session *other = NULL;
    struct conn *c = NULL, *killer = NULL;
    struct stmt *st = NULL;
    int64_t id = 0;
    OK(session_begin(fx.ss, 0, STORE_READ, &c, &err));
    OK(c->driver->prepare(c, "SELECT CONNECTION_ID()", &st, &err));
    OK(stmt_number(st, &id, NULL, &err));
    c->driver->stmt_free(st);
    c->driver->rollback(c);
    OK(store_session_open(fx.store, false, &other, &err));
    OK(session_begin(other, 0, STORE_READ, &killer, &err));
    OK(killer->driver->prepare(killer, arena_text(&fx.arena, "KILL %lld", (long long)id).p, &st, &err));
    OK(stmt_run(st, NULL, &err));
    killer->driver->stmt_free(st);
    store_session_close(other);
}

static void a_connection_lost_while_idle_is_not_noticed(void **state)
{
    (void)state;
    struct head h;
    bool same;
    if (!fixture_is_mysql())
        return;
    put("meta", "a", "x");
    kill_connection();
    put("meta", "a", "y");
    kill_connection();
    OK(store_head_read(fx.ss, fx.uid, &fx.arena, &h, &err));
    kill_connection();
    struct item it;
    OK(store_item_read(fx.ss, fx.uid, 1, VIEW("meta"), VIEW("a"), &fx.arena, &h, &it, &err));
    assert_view(it.payload, "y");
    kill_connection();
    OK(store_item_by_head(fx.ss, &h, VIEW("meta"), VIEW("a"), &fx.arena, &it, &err));
    assert_view(it.payload, "y");
    kill_connection();
    OK(store_ping(fx.ss, &err));
    kill_connection();
    struct item_query q = all("meta");
    assert_string_equal(find(&q, NULL), "a");
    kill_connection();
    GIVES(RC_AWAY, store_items_by_head(fx.ss, &h, &q, &fx.arena, NULL, NULL, NULL, &same, &err));
    assert_string_equal(find(&q, NULL), "a");
}

static void a_killed_server_is_away_and_the_session_mends_itself(void **state)
{
    (void)state;
    struct head h;
    struct item it;
    struct item_patch p = patch("a", "lost");
    if (!fixture_is_mysql())
        return;
    put("own", "a", "kept");
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_items_put(tx, VIEW("own"), &p, 1, NULL, &err));
    fixture_control("kill");
    GIVES(RC_AWAY, store_commit(&tx, &err)); /* lost before the commit was sent: surely undone */
    GIVES(RC_AWAY, store_ping(fx.ss, &err));
    GIVES(RC_AWAY, store_head_read(fx.ss, fx.uid, &fx.arena, &h, &err));
    GIVES(RC_AWAY, store_item_read(fx.ss, fx.uid, 1, VIEW("own"), VIEW("a"), &fx.arena, &h, &it, &err));
    struct store_begin o = { .uid = fx.uid, .epoch = 1, .mode = STORE_WRITE, .arena = &fx.arena };
    GIVES(RC_AWAY, store_begin(fx.ss, &o, &tx, &err));
    fixture_control("start");
    assert_view(get("own", "a").payload, "kept");
    put("own", "a", "again");
    assert_view(get("own", "a").payload, "again");
}

static void a_statement_on_a_lost_connection_says_away_and_the_next_begin_works(void **state)
{
    (void)state;
    struct item_patch p = patch("a", "lost");
    struct item it;
    if (!fixture_is_mysql())
        return;
    put("meta", "a", "kept");
    struct store_txn *tx = begin(STORE_WRITE);
    fixture_control("kill");
    GIVES(RC_AWAY, store_items_put(tx, VIEW("meta"), &p, 1, NULL, &err));
    store_rollback(tx);
    fixture_control("start");
    tx = begin(STORE_READ);
    OK(store_item_get(tx, VIEW("meta"), VIEW("a"), &it, &err));
    commit(tx);
    assert_view(it.payload, "kept");
}

static struct store_txn *begin_unless_away(void)
{
    struct store_txn *tx = NULL;
    struct store_begin o = { .uid = fx.uid, .epoch = 1, .mode = STORE_READ, .arena = &fx.arena };
    GIVES(RC_AWAY, store_begin(fx.ss, &o, &tx, &err));
    return tx;
}

static void a_connection_lost_while_committing_leaves_us_unsure(void **state)
{
    (void)state;
    if (!fixture_is_mysql())
        return;
    struct store_txn *tx = begin(STORE_WRITE); /* saves no head: the commit itself meets the loss */
    fixture_control("kill");
    GIVES(RC_UNSURE, store_commit(&tx, &err));
    tx = begin_unless_away();
    assert_null(tx);
    fixture_control("start");
    put("meta", "a", "x");
}

/* ---- no room: a limit on the size of files stands in for a full disk ---- */

static rlim_t size_of_log(void)
{
    struct stat st;
    char path[200];
    snprintf(path, sizeof path, "%s/node-%02u.sqlite-wal", fx.conf.path, session_shard(fx.ss, fx.uid));
    assert_int_equal(stat(path, &st), 0);
    return (rlim_t)st.st_size;
}

static void a_full_disk_is_busy_and_writing_goes_on_when_there_is_room(void **state)
{
    (void)state;
    struct rlimit old, small;
    if (fixture_is_mysql())
        return;
    char *big = arena_zero(&fx.arena, (8 << 20) + 1);
    memset(big, 'x', 8 << 20);
    put("meta", "a", "before");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    small = old;
    small.rlim_cur = size_of_log() + 65536;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);

    struct item_patch p[] = { patch("a", "after"), patch("b", big) };
    struct store_begin o = { .uid = fx.uid, .epoch = 1, .mode = STORE_WRITE, .arena = &fx.arena };
    struct store_txn *tx = NULL;
    rc began = store_begin(fx.ss, &o, &tx, &err), r = began;
    if (began == RC_OK)
        r = store_items_put(tx, VIEW("meta"), p, 2, NULL, &err);
    if (began == RC_OK && r == RC_OK)
        r = store_commit(&tx, &err);
    else
        store_rollback(tx);

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(r, RC_BUSY);
    assert_view(get("meta", "a").payload, "before");
    assert_missing("meta", "b");
    put("meta", "a", "after");
    assert_view(get("meta", "a").payload, "after");
}

static const struct CMUnitTest recovery_tests[] = {
    TEST(a_connection_lost_while_idle_is_not_noticed),
    TEST(a_killed_server_is_away_and_the_session_mends_itself),
    TEST(a_statement_on_a_lost_connection_says_away_and_the_next_begin_works),
    TEST(a_connection_lost_while_committing_leaves_us_unsure),
    TEST(a_full_disk_is_busy_and_writing_goes_on_when_there_is_room),
};
const struct test_group recovery_group = TEST_GROUP(recovery);
