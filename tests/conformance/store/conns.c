/* Who has which connection, and what stays in its page cache. */
#include <stdlib.h>

#include "node/store/internal.h"
#include "tests/conformance/store/fixture.h"

#define SHUFFLED   1000
#define TOGETHER   20
#define TEXT_BYTES 256
#define PAGE_BYTES 4096
#define ALL_BYTES  ((uint64_t)SHUFFLED * TEXT_BYTES)

static struct store_session *another(bool reader)
{
    struct store_session *ss = NULL;
    OK(store_session_open(fx.store, reader, &ss, &err));
    return ss;
}

/* ---- lending ---- */

static struct conn *conn_after_reading(struct store_session *ss, int64_t uid)
{
    struct head h;
    OK(store_head_read(ss, uid, &fx.arena, &h, &err));
    return ss->conn;
}

static void sessions_that_work_in_turn_share_a_connection(void **state)
{
    (void)state;
    struct store_session *other = another(false);
    struct conn *c = conn_after_reading(fx.ss, fx.uid);
    assert_non_null(c);
    store_session_rest(fx.ss);
    assert_null(fx.ss->conn);
    assert_ptr_equal(conn_after_reading(other, fx.uid), c);
    assert_ptr_not_equal(conn_after_reading(fx.ss, fx.uid), c); /* the other one has it still */
    store_session_close(other);
    store_session_rest(fx.ss);
    store_session_rest(fx.ss); /* nothing is left to be given */
}

static void whoever_asks_for_another_shard_gives_back_what_he_has(void **state)
{
    (void)state;
    struct store_session *other = another(false);
    struct conn *c = conn_after_reading(fx.ss, fx.uid);
    unsigned shard = fx.ss->shard;
    (void)conn_after_reading(fx.ss, fx.uid + 1);
    if (fixture_is_mysql()) {
        assert_ptr_equal(fx.ss->conn, c); /* there is one shard */
    } else {
        assert_int_not_equal(fx.ss->shard, shard);
        assert_ptr_equal(conn_after_reading(other, fx.uid), c);
    }
    store_session_close(other);
}

static void a_reader_has_connections_of_its_kind(void **state)
{
    (void)state;
    struct store_session *reader = another(true);
    struct conn *c = conn_after_reading(fx.ss, fx.uid);
    store_session_rest(fx.ss);
    struct conn *of_reader = conn_after_reading(reader, fx.uid);
    assert_ptr_not_equal(of_reader, c);
    store_session_close(reader);
    assert_ptr_equal(conn_after_reading(fx.ss, fx.uid), c);
}

static void a_broken_connection_is_not_lent_again(void **state)
{
    (void)state;
    enum { MOST = 16 };
    struct conn *idle[MOST];
    size_t n = 0;
    conn_after_reading(fx.ss, fx.uid)->broken = true;
    store_session_rest(fx.ss);
    while (n < MOST && (idle[n] = pool_take(fx.store->pool, fx.ss->shard, false)))
        assert_false(idle[n++]->broken);
    assert_true(n < MOST);
    while (n > 0)
        pool_give(fx.store->pool, fx.ss->shard, false, idle[--n]);
}

/* ---- pages of SQLite ---- */

/* What this thread has read of files so far; cached by the kernel or not. */
static uint64_t bytes_read(void)
{
    static const char name[] = "rchar: ";
    char line[100];
    uint64_t n = 0;
    FILE *f = fopen("/proc/thread-self/io", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, name, sizeof name - 1) == 0)
            n = strtoull(line + sizeof name - 1, NULL, 10);
    }
    fclose(f);
    return n;
}

/* Records lie as they came, and their times are those of other neighbours. */
static void fill_shuffled(const char *coll)
{
    static char ids[SHUFFLED][16];
    static struct item_patch patches[SHUFFLED];
    struct item_patch some[TOGETHER];
    char text[TEXT_BYTES + 1];

    snprintf(text, sizeof text, "%0*d", TEXT_BYTES, 0);
    for (int i = 0; i < SHUFFLED; i++) {
        snprintf(ids[i], sizeof ids[i], "r%04d", i);
        patches[i] = patch(ids[i], text);
    }
    put_patches(coll, patches, SHUFFLED);
    for (int i = 0; i < SHUFFLED; i++) {
        some[i % TOGETHER] = patches[i * 617 % SHUFFLED];
        if (i % TOGETHER == TOGETHER - 1) {
            wait_ms(10);
            put_patches(coll, some, TOGETHER);
        }
    }
}

static bool count_item(const struct item *it, void *arg)
{
    (void)it;
    (*(size_t *)arg)++;
    return true;
}

static uint64_t bytes_of_reading_all(struct store_session *ss)
{
    struct item_query q = all("own");
    size_t n = 0;
    q.with_payload = true;
    uint64_t before = bytes_read();
    struct store_txn *tx = begin_as(ss, fx.uid, 1, STORE_READ);
    OK(store_items_find(tx, &q, count_item, &n, NULL, &err));
    commit(tx);
    assert_int_equal(n, SHUFFLED);
    return bytes_read() - before;
}

static uint64_t bytes_of_reading_one(struct store_session *ss)
{
    struct head h;
    struct item it;
    uint64_t before = bytes_read();
    OK(store_item_read(ss, fx.uid, 1, VIEW("own"), VIEW("a"), &fx.arena, &h, &it, &err));
    return bytes_read() - before;
}

static void a_page_is_read_once_however_times_are_shuffled(void **state)
{
    (void)state;
    if (fixture_is_mysql())
        return;
    fill_shuffled("own");
    store_session_rest(fx.ss); /* what was written is not kept */
    uint64_t bytes = bytes_of_reading_all(fx.ss);
    print_message("%d records of %d bytes: read %llu bytes\n", SHUFFLED, TEXT_BYTES,
                  (unsigned long long)bytes);
    assert_in_range(bytes, ALL_BYTES, 2 * ALL_BYTES);
}

static void a_reader_keeps_the_pages_on_the_way_to_a_record_and_nobody_else_does(void **state)
{
    (void)state;
    if (fixture_is_mysql())
        return;
    put("own", "a", "text");
    struct store_session *readers[] = { fx.ss, another(true) };
    for (int i = 0; i < 2; i++) {
        store_session_rest(readers[i]);
        assert_true(bytes_of_reading_one(readers[i]) >= PAGE_BYTES);
        assert_true(bytes_of_reading_one(readers[i]) < PAGE_BYTES); /* the count itself */
        store_session_rest(readers[i]);
        uint64_t again = bytes_of_reading_one(readers[i]);
        assert_true((again < PAGE_BYTES) == (i == 1));
    }
    store_session_close(readers[1]);
}

static void pages_stay_as_far_as_a_file_may_keep_them(void **state)
{
    (void)state;
    if (fixture_is_mysql())
        return;
    fill_shuffled("own");
    struct store_session *other = another(false);
    static const struct {
        int64_t each;
        bool stays;
    } shares[] = { { 0, false }, { ALL_BYTES / 2, false }, { 2 * ALL_BYTES, true }, { 8 << 20, true } };
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        fx.conf.kept_bytes = shares[i].each * fx.conf.files;
        (void)bytes_of_reading_all(fx.ss);
        assert_true(bytes_of_reading_all(fx.ss) < PAGE_BYTES); /* while he works he has room */
        store_session_rest(fx.ss);
        uint64_t again = bytes_of_reading_all(other);
        assert_true(shares[i].stays ? again < PAGE_BYTES : again >= ALL_BYTES);
        store_session_rest(other);
    }
    fx.conf.kept_bytes = 0;
    store_session_close(other);
}

static void of_those_that_lie_ready_one_keeps_pages_and_is_the_next(void **state)
{
    (void)state;
    if (fixture_is_mysql())
        return;
    fx.conf.kept_bytes = (int64_t)(4 * ALL_BYTES) * fx.conf.files;
    fill_shuffled("own");
    struct store_session *other = another(false);
    (void)bytes_of_reading_all(fx.ss);
    (void)bytes_of_reading_all(other);
    store_session_rest(fx.ss);
    store_session_rest(other);
    for (int i = 0; i < 2; i++) {
        assert_true(bytes_of_reading_all(fx.ss) < PAGE_BYTES);
        assert_true(bytes_of_reading_all(other) >= ALL_BYTES);
        store_session_rest(i ? fx.ss : other); /* whoever comes first */
        store_session_rest(i ? other : fx.ss);
    }
    fx.conf.kept_bytes = 0;
    store_session_close(other);
    store_session_rest(fx.ss);
}

static void what_was_kept_is_read_anew_once_another_has_written(void **state)
{
    (void)state;
    struct head h;
    struct item it;
    fx.conf.kept_bytes = (int64_t)(4 * ALL_BYTES) * fx.conf.files;
    put("own", "a", "first");
    struct store_session *other = another(false);
    (void)conn_after_reading(other, fx.uid); /* has a connection, and pages in it */
    OK(store_item_read(other, fx.uid, 1, VIEW("own"), VIEW("a"), &fx.arena, &h, &it, &err));
    put("own", "a", "second");
    OK(store_item_read(other, fx.uid, 1, VIEW("own"), VIEW("a"), &fx.arena, &h, &it, &err));
    assert_view(it.payload, "second");
    fx.conf.kept_bytes = 0;
    store_session_close(other);
}

static const struct CMUnitTest conns_tests[] = {
    TEST(sessions_that_work_in_turn_share_a_connection),
    TEST(whoever_asks_for_another_shard_gives_back_what_he_has),
    TEST(a_reader_has_connections_of_its_kind),
    TEST(a_broken_connection_is_not_lent_again),
    TEST(a_page_is_read_once_however_times_are_shuffled),
    TEST(a_reader_keeps_the_pages_on_the_way_to_a_record_and_nobody_else_does),
    TEST(pages_stay_as_far_as_a_file_may_keep_them),
    TEST(of_those_that_lie_ready_one_keeps_pages_and_is_the_next),
    TEST(what_was_kept_is_read_anew_once_another_has_written),
};
const struct test_group conns_group = TEST_GROUP(conns);
