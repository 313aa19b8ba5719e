/* Batches: invisible until the commit, then all at once. */
#include "node/store/internal.h"
#include "node/store/patches.h"
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
    GIVES(RC_NOT_FOUND, totals_of(fx.uid, "forms", "AAAAAAAAAAAAAAAAAAAAAAAA", &totals));
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

/* Both as one write of an item that a batch touches: what `later` names wins. */
static struct item_patch merged(struct item_patch p, const struct item_patch *later)
{
#define LATER(op, field)                                                                                     \
    if (later->op != PATCH_LEAVE) {                                                                          \
        p.op = later->op;                                                                                    \
        p.field = later->field;                                                                              \
    }
    LATER(payload_op, payload)
    LATER(sortindex_op, sortindex)
    LATER(ttl_op, ttl_s)
    LATER(parentid_op, parentid)
#undef LATER
    p.touches = true;
    return p;
}

enum way { APPENDED, WITH_THE_COMMIT, AS_ONE_WRITE, WAYS };

static void publish(enum way way, view coll, const struct item_patch *before, const struct item_patch *last,
                    stamp *out_t)
{
    struct item_patch plain[] = { merged(*before, last), *last };
    bool same = view_eq(before->id, last->id);
    char id[BATCH_ID_TEXT + 1];
    struct store_txn *tx = begin(STORE_WRITE);
    *out_t = store_stamp(tx);
    if (!same)
        plain[0] = *before;
    plain[0].touches = plain[1].touches = true;
    if (way == AS_ONE_WRITE) {
        OK(store_items_put(tx, coll, plain, same ? 1 : 2, NULL, &err));
        commit(tx);
        return;
    }
    OK(store_batch_open(tx, coll, id, &err));
    OK(store_batch_append(tx, view_of(id), before, 1, &err));
    if (way == APPENDED) {
        OK(store_batch_append(tx, view_of(id), last, 1, &err));
        OK(store_batch_commit(tx, coll, view_of(id), &err));
    } else {
        OK(store_batch_finish(tx, coll, view_of(id), last, 1, &err));
    }
    GIVES(RC_NOT_FOUND,
          store_batch_totals(tx, coll, view_of(id), LIFE_S, &(struct batch_totals){ .items = 0 }, &err));
    commit(tx);
}

static void a_batch_is_as_if_its_fields_had_been_written_at_once(void **state)
{
    (void)state;
    enum { N = 7 };
    for (int i = 0; i < N * N * 3; i++) {
        struct item_patch before = variant(i % N), last = variant(i / N % N);
        const char *colls[WAYS] = { "forms", "prefs", "tabs" }, *texts[WAYS][2];
        for (enum way way = APPENDED; way < WAYS; way++) {
            struct item_patch stored = patch_index("a", "stored", 3);
            struct store_txn *tx = begin(STORE_WRITE);
            bool existed;
            stamp t;
            OK(store_coll_delete(tx, view_of(colls[way]), &existed, &err));
            commit(tx);
            stored.ttl_op = PATCH_SET;
            stored.ttl_s = i / (N * N) == 1 ? 1000 : 1; /* alive, expired, or not there */
            if (i / (N * N) > 0)
                put_patches(colls[way], &stored, 1);
            wait_ms(2000);
            publish(way, view_of(colls[way]), &before, &last, &t);
            texts[way][0] = shown(colls[way], "a", t);
            texts[way][1] = shown(colls[way], "b", t);
        }
        for (enum way way = APPENDED; way < AS_ONE_WRITE; way++) {
            assert_string_equal(texts[way][0], texts[AS_ONE_WRITE][0]);
            assert_string_equal(texts[way][1], texts[AS_ONE_WRITE][1]);
        }
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

static void a_long_append_takes_several_rows(void **state)
{
    (void)state;
    enum { MANY = 2 * RUN_RECORDS + 345, LONG = 3 };
    struct item_patch *p = arena_alloc(&fx.arena, MANY * sizeof *p);
    char *text = arena_alloc(&fx.arena, RUN_BYTES + 1);
    memset(text, 'x', RUN_BYTES);
    text[RUN_BYTES] = '\0';
    for (int i = 0; i < MANY; i++)
        p[i] = patch_index(arena_text(&fx.arena, "%d", i).p, "first", i);
    const char *id = batch_open("history");
    batch_append(id, p, MANY);
    for (int i = 0; i < MANY; i++) /* other ones meet in a row, and each is there twice */
        p[i] = patch(arena_text(&fx.arena, "%d", MANY - 1 - i).p, i < LONG ? text : "second");
    batch_append(id, p, MANY);
    stamp t = batch_commit("history", id);
    for (int i = 0; i < MANY; i += 211) {
        struct item it = get("history", arena_text(&fx.arena, "%d", i).p);
        assert_view(it.payload, "second");
        assert_int_equal(it.sortindex, i);
        assert_int_equal(it.modified.cs, t.cs);
    }
    assert_view(get("history", p[LONG - 1].id.p).payload, text);
    struct store_txn *tx = begin(STORE_READ);
    const struct coll_usage *usage;
    size_t n;
    OK(store_usage(tx, &usage, &n, &err));
    commit(tx);
    assert_int_equal(n, 1);
    assert_int_equal(usage[0].items, MANY);
}

/* ---- what others left in the tables ---- */

/* ?1 is the user; ?2 and ?3, where the statement has them. */
static void change(const char *sql, view second, view third)
{
    struct conn *c = NULL;
    struct stmt *st = NULL;
    OK(session_begin(fx.ss, session_shard(fx.ss, fx.uid), STORE_WRITE, &c, &err));
    OK(c->driver->prepare(c, sql, &st, &err));
    bind_int(st, 1, fx.uid);
    if (second.p)
        bind_bytes(st, 2, second);
    if (third.p)
        bind_bytes(st, 3, third);
    OK(stmt_run(st, NULL, &err));
    c->driver->stmt_free(st);
    OK(c->driver->commit(c, &err));
}

static int64_t rows_left(void)
{
    static const char *const counts[] = { "SELECT COUNT(*) FROM batches WHERE uid = ?1",
                                          "SELECT COUNT(*) FROM batch_items WHERE uid = ?1" };
    struct conn *c = NULL;
    int64_t all = 0;
    OK(session_begin(fx.ss, session_shard(fx.ss, fx.uid), STORE_READ, &c, &err));
    for (size_t i = 0; i < 2; i++) {
        struct stmt *st = NULL;
        int64_t n = 0;
        OK(c->driver->prepare(c, counts[i], &st, &err));
        bind_int(st, 1, fx.uid);
        OK(stmt_number(st, &n, NULL, &err));
        c->driver->stmt_free(st);
        all += n;
    }
    c->driver->rollback(c);
    return all;
}

static void damaged_rows_are_told_and_nothing_is_committed(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        view with;
    } damages[] = {
        { "DELETE FROM batch_items WHERE uid = ?1 AND batch = ?2 AND id = x'30303030303030303032'",
          { NULL, 0 } },
        { "UPDATE batch_items SET id = x'30303030303030303037' WHERE uid = ?1 AND batch = ?2 AND id <> ?3",
          { "0000000002", 10 } },
        { "UPDATE batch_items SET payload = ?3 WHERE uid = ?1 AND batch = ?2", { "", 0 } },
        { "UPDATE batch_items SET payload = ?3 WHERE uid = ?1 AND batch = ?2", { "\1", 1 } },
        { "UPDATE batch_items SET payload = ?3 WHERE uid = ?1 AND batch = ?2", { "\2\1\1\1z\1z", 7 } },
        { "UPDATE batch_items SET payload = ?3 WHERE uid = ?1 AND batch = ?2", { "\1\1\1\1z\177z", 7 } },
        { "UPDATE batch_items SET payload = ?3 WHERE uid = ?1 AND batch = ?2 AND id = x'30303030303030303032'",
          { "\1\1\1\1z\1z\1\1\1z\1z", 13 } }, /* more than were counted */
        { "UPDATE batches SET items = items + 1 WHERE uid = ?1 AND id = ?2", { NULL, 0 } },
        { "UPDATE batches SET items = items - 1 WHERE uid = ?1 AND id = ?2", { NULL, 0 } },
        { "UPDATE batches SET bytes = bytes + 1 WHERE uid = ?1 AND id = ?2", { NULL, 0 } },
    };
    struct item_patch p[] = { patch("a", "1"), patch("b", "2"), patch("c", "3") };
    stamp t = put("forms", "stays", "x");
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        const char *id = batch_open("forms");
        batch_append(id, p, 2);
        batch_append(id, p + 2, 1);
        change(damages[i].sql, view_of(id), damages[i].with);
        struct store_txn *tx = begin(STORE_WRITE);
        GIVES(RC_BROKEN, store_batch_finish(tx, VIEW("forms"), view_of(id), p, 1, &err));
        store_rollback(tx);
        assert_non_null(strstr(err.text, "is damaged"));
        struct item_query q = all("forms");
        assert_string_equal(find(&q, NULL), "stays");
        assert_int_equal(coll_time("forms").cs, t.cs);
    }
    const char *id = batch_open("forms");
    batch_append(id, p, 3);
    batch_commit("forms", id);
    assert_view(get("forms", "c").payload, "3");
}

/* As a program of before left it: an id of 22 characters, a row for each record. */
static const char *batch_of_before(void)
{
    static const char id[] = "0123456789abcdefABCD-_";
    const char *row = arena_text(&fx.arena,
                                 "INSERT INTO batches (uid, id, coll, created, touched, items, bytes)"
                                 " VALUES (?1, ?2, ?3, %lld, %lld, 2, 4)",
                                 (long long)(START_US / 1000), (long long)(START_US / 1000))
                          .p;
    change(row, view_of(id), VIEW("forms"));
    row =
        "INSERT INTO batch_items (uid, batch, id, fields, ttl, payload) VALUES (?1, ?2, ?3, 5, 100, x'7878')";
    change(row, view_of(id), VIEW("a"));
    change(row, view_of(id), VIEW("b"));
    return id;
}

static void an_open_batch_of_a_program_of_before_is_unknown_and_whole_or_gone(void **state)
{
    (void)state;
    struct batch_totals totals;
    struct item_patch p = patch("c", "x");
    const char *id = batch_of_before();
    GIVES(RC_NOT_FOUND, totals_of(fx.uid, "forms", id, &totals));
    struct store_txn *tx = begin(STORE_WRITE);
    GIVES(RC_NOT_FOUND, store_batch_finish(tx, VIEW("forms"), view_of(id), &p, 1, &err));
    commit(tx);
    const char *ours = batch_open("forms");
    batch_append(ours, &p, 1);
    batch_commit("forms", ours);
    struct item_query q = all("forms");
    assert_string_equal(find(&q, NULL), "c");
    assert_int_equal(rows_left(), 3); /* for the program that knows it and may still run */
}

static void open_batches_of_a_program_of_before_are_dropped_and_purged(void **state)
{
    (void)state;
    struct move m = { .uid = fx.uid, .id = VIEW("m"), .epoch = 1 };
    bool existed;
    uint64_t n = 0;
    put("forms", "a", "x");
    (void)batch_of_before();
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_coll_delete(tx, VIEW("forms"), &existed, &err));
    commit(tx);
    assert_int_equal(rows_left(), 0);
    (void)batch_of_before();
    tx = begin(STORE_WRITE);
    OK(store_user_wipe(tx, &err));
    commit(tx);
    assert_int_equal(rows_left(), 0);
    (void)batch_of_before();
    wait_ms(LIFE_S * 1000);
    OK(store_purge_batches(fx.ss, LIFE_S, 1000000, &n, &err));
    assert_int_equal(rows_left(), 0);
    (void)batch_of_before();
    OK(store_head_step(fx.ss, &m, STEP_FREEZE, NULL, &fx.arena, NULL, &err));
    assert_int_equal(rows_left(), 0);
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
    TEST(a_batch_is_as_if_its_fields_had_been_written_at_once),
    TEST(a_commit_without_records_of_its_own_publishes_what_was_appended),
    TEST(append_and_commit_in_one_transaction),
    TEST(ten_thousand_items_are_committed),
    TEST(a_long_append_takes_several_rows),
    TEST(damaged_rows_are_told_and_nothing_is_committed),
    TEST(an_open_batch_of_a_program_of_before_is_unknown_and_whole_or_gone),
    TEST(open_batches_of_a_program_of_before_are_dropped_and_purged),
};
const struct test_group batches_group = TEST_GROUP(batches);
