/* Whole collections in every order, read at once and page by page. */
#include "tests/conformance/store/fixture.h"

#include "node/store/internal.h"

static void fill_pages(void) /* three times, four items each, two of equal sortindex */
{
    for (int time = 0; time < 3; time++) {
        struct item_patch p[4];
        char ids[4][16];
        for (int i = 0; i < 4; i++) {
            snprintf(ids[i], sizeof ids[i], "%c%d", 'a' + time, i);
            p[i] = patch_index(ids[i], "x", (i / 2) * 10);
        }
        put_patches("history", p, 4);
        wait_ms(100);
    }
}

static void pages_add_up_to_the_whole_in_every_order(void **state)
{
    (void)state;
    fill_pages();
    for (int order = ORDER_NEWEST; order <= ORDER_INDEX_ID_ASC; order++) {
        struct item_query q = all("history");
        q.order = (enum item_order)order;
        const char *whole = find(&q, NULL);
        for (uint64_t limit = 1; limit <= 13; limit++) {
            struct buf pages = { 0 };
            q.has_limit = true;
            q.limit = limit;
            q.offset = VIEW_NONE;
            do {
                view next;
                const char *page = find(&q, &next);
                assert_true(page[0] != '\0'); /* the last page is never an empty one */
                buf_addf(&pages, "%s%s", pages.n ? " " : "", page);
                q.offset = next;
            } while (q.offset.p);
            assert_string_equal(buf_text(&pages), whole);
            buf_done(&pages);
        }
    }
}

/* Fails where an item is not older than the one before, or of the same time and a lower id. */
struct descent {
    stamp last;
    char id[16];
    size_t n, bytes;
};

static bool descends(const struct item *it, void *arg)
{
    struct descent *d = arg;
    char id[16];
    snprintf(id, sizeof id, "%.*s", VIEW_ARG(it->id));
    assert_true(d->n == 0 || it->modified.cs < d->last.cs ||
                (it->modified.cs == d->last.cs && strcmp(id, d->id) < 0));
    d->last = it->modified;
    memcpy(d->id, id, sizeof id);
    d->bytes += it->payload.n;
    d->n++;
    return true;
}

/* Fails where an id is not above the one before. */
struct ascent {
    char last[ITEM_ID_MAX];
    view before;
    size_t n;
};

static bool ascends(const struct item *it, void *arg)
{
    struct ascent *a = arg;
    assert_true(a->n == 0 || view_cmp(a->before, it->id) < 0);
    memcpy(a->last, it->id.p, it->id.n);
    a->before = (view){ .p = a->last, .n = it->id.n };
    a->n++;
    return true;
}

#define DIES_EACH 7 /* one of so many, a second after it was written */

static void fill_many(const char *coll, size_t n, bool some_die, view payload)
{
    for (size_t done = 0; done < n;) {
        struct item_patch p[100];
        char ids[100][16];
        size_t part = 0;
        for (; part < 100 && done < n; part++, done++) {
            snprintf(ids[part], sizeof ids[part], "%05zu", done * 7919 % 100003);
            p[part] = patch_index(ids[part], "", 0);
            p[part].payload = payload;
            p[part].ttl_op = some_die && done % DIES_EACH == 0 ? PATCH_SET : PATCH_LEAVE;
            p[part].ttl_s = 1;
        }
        put_patches(coll, p, part);
        wait_ms(20);
    }
}

/* On both sides of what one statement reads, and of what is kept to be sorted. */
static const struct sized {
    const char *coll;
    size_t n, payload_bytes;
    bool some_die;
} sized[] = { { "forms", 300, 10, true },      { "history", 4096, 10, false },
              { "passwords", 4097, 10, true }, { "bookmarks", 8300, 10, false },
              { "prefs", 250, 20000, false },  { "addons", 450, 20000, true } };
#define N_SIZED (sizeof sized / sizeof sized[0])

static void fill_sized(const struct sized *c)
{
    static char large[20000];
    memset(large, 'x', sizeof large);
    fill_many(c->coll, c->n, c->some_die, (view){ .p = large, .n = c->payload_bytes });
    wait_ms(2000);
}

/* Those that have room are sorted by the node where that is cheaper, the rest by the engine. */
static void collections_of_any_size_come_newest_first_and_by_id(void **state)
{
    (void)state;
    for (const struct sized *c = sized; c < sized + N_SIZED; c++) {
        size_t dead = c->some_die ? (c->n + DIES_EACH - 1) / DIES_EACH : 0;
        size_t living = c->n - dead;
        fill_sized(c);
        for (int full = 0; full < 2; full++) {
            struct item_query q = all(c->coll);
            struct descent d = { .n = 0 };
            struct ascent a = { .n = 0 };
            q.order = ORDER_NEWEST;
            q.with_payload = full;
            struct store_txn *tx = begin(STORE_READ);
            OK(store_items_find(tx, &q, descends, &d, NULL, &err));
            OK(store_items_find(tx, &q, descends, &(struct descent){ .n = 0 }, NULL, &err));
            q.order = ORDER_ID;
            OK(store_items_find(tx, &q, ascends, &a, NULL, &err));
            commit(tx);
            assert_int_equal(a.n, living);
            assert_int_equal(d.n, living);
            assert_int_equal(d.bytes, full ? living * c->payload_bytes : 0);
        }
    }
}

/* ---- what it costs ---- */

#define ROOM_BYTES ((size_t)6 << 20) /* for what is sorted by the node */
#define FEW        10                /* rows more that MariaDB looks at: the head, what ends a range */

/* Rows that the store took, and rows that MariaDB looked at for them: it may read what nobody takes. */
struct cost {
    uint64_t taken, looked_at;
};

static const struct engine_driver *counted;
static uint64_t rows_taken;

static rc count_step(struct stmt *st, bool *out_row, struct err *e)
{
    rc r = counted->step(st, out_row, e);
    rows_taken += r == RC_OK && *out_row;
    return r;
}

/* By this connection so far; what answers this question is another counter's. SQLite reads what is taken and no more. */
static uint64_t looked_at(struct conn *c)
{
    static const char sql[] =
        "SHOW SESSION STATUS WHERE Variable_name IN ('Handler_read_first', 'Handler_read_key', "
        "'Handler_read_last', 'Handler_read_next', 'Handler_read_prev', 'Handler_read_rnd')";
    struct stmt *st = NULL;
    uint64_t sum = 0, n = 0;
    bool row = true;

    if (!fixture_is_mysql())
        return rows_taken;
    OK(c->driver->prepare(c, sql, &st, &err));
    for (OK(stmt_step(st, &row, &err)); row; OK(stmt_step(st, &row, &err))) {
        assert_true(view_to_u64(col_bytes(st, 1), INT64_MAX, &n));
        sum += n;
    }
    stmt_done(st);
    c->driver->stmt_free(st);
    return sum;
}

static bool pass(const struct item *it, void *arg)
{
    (void)it;
    (void)arg;
    return true;
}

static struct cost cost_of(const struct item_query *q)
{
    const struct head *h = head_now();
    struct conn *c = fx.ss->conn;
    static struct engine_driver counting;
    bool same;

    rows_taken = 0;
    uint64_t before = looked_at(c);
    counted = c->driver;
    counting = *counted;
    counting.step = count_step;
    c->driver = &counting;
    OK(store_items_by_head(fx.ss, h, q, &fx.arena, pass, NULL, NULL, &same, &err));
    c->driver = counted;
    return (struct cost){ .taken = rows_taken, .looked_at = looked_at(c) - before };
}

/* Of what has no room, MariaDB looks again at the rest, to sort it; SQLite sorts all of it, and what was kept was read in vain. */
static void a_collection_of_any_size_is_read_once(void **state)
{
    (void)state;
    for (const struct sized *c = sized; c < sized + N_SIZED; c++) {
        fill_sized(c);
        for (int full = 0; full < 2; full++)
            for (int by_id = 0; by_id < 2; by_id++) {
                struct item_query q = all(c->coll);
                bool sorted_here = by_id != fixture_is_mysql();
                bool has_room = !full || c->n * c->payload_bytes < ROOM_BYTES;
                size_t most = sorted_here && !has_room ? 2 * c->n - 1 : c->n + FEW;
                q.with_payload = full;
                q.order = by_id ? ORDER_ID : ORDER_NEWEST;
                struct cost cost = cost_of(&q);
                assert_in_range(cost.taken, c->n, fixture_is_mysql() || has_room ? c->n : most);
                assert_true(cost.looked_at <= most);
            }
    }
}

static void ids_that_begin_alike_are_sorted_to_their_ends(void **state)
{
    (void)state;
    static const char *const ids[] = { "same-beginning-b", "same-beg", "~", "same-beginning-a",
                                       "same-beginning-",  "same-be",  "A", "z" };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        put("forms", ids[i], "x");
    struct item_query q = all("forms");
    q.order = ORDER_ID;
    assert_string_equal(find(&q, NULL),
                        "A same-be same-beg same-beginning- same-beginning-a same-beginning-b z ~");
}

static void pages_respect_newer_and_older(void **state)
{
    (void)state;
    fill_pages();
    struct item_query q = all("history");
    q.order = ORDER_OLDEST;
    q.has_newer = q.has_limit = true;
    q.newer = get("history", "a0").modified;
    q.limit = 3;
    view next;
    assert_string_equal(find(&q, &next), "b0 b1 b2");
    q.offset = next;
    assert_string_equal(find(&q, &next), "b3 c0 c1");
    q.offset = next;
    assert_string_equal(find(&q, &next), "c2 c3");
    assert_null(next.p);

    q = all("history");
    q.has_older = q.has_limit = true;
    q.older = get("history", "c0").modified;
    q.limit = 3;
    assert_string_equal(find(&q, &next), "b3 b2 b1");
    q.offset = next;
    q.has_limit = false; /* the rest without a limit */
    assert_string_equal(find(&q, &next), "b0 a3 a2 a1 a0");
    assert_null(next.p);
}

static void both_separators_are_understood(void **state)
{
    (void)state;
    fill_pages();
    struct item_query q = all("history");
    q.order = ORDER_OLDEST;
    int64_t ms = stamp_ms(get("history", "b0").modified);
    q.offset = arena_text(&fx.arena, "%lld:2", (long long)ms);
    assert_string_equal(find(&q, NULL), "b2 b3 c0 c1 c2 c3");
    q.offset = arena_text(&fx.arena, "%lld_2", (long long)ms);
    assert_string_equal(find(&q, NULL), "b2 b3 c0 c1 c2 c3");
    q.order = ORDER_INDEX;
    q.offset = VIEW("10");
    assert_string_equal(find(&q, NULL), "a1 a0");
    q.offset = VIEW("1000");
    assert_string_equal(find(&q, NULL), "");
}

static void a_token_that_is_not_ours_is_refused(void **state)
{
    (void)state;
    static const struct {
        enum item_order order;
        const char *token;
    } cases[] = {
        { ORDER_NEWEST, "" },
        { ORDER_NEWEST, "12" },
        { ORDER_NEWEST, "x_1" },
        { ORDER_NEWEST, "12_" },
        { ORDER_NEWEST, "_1" },
        { ORDER_OLDEST, "12_1_1" },
        { ORDER_OLDEST, "-12_1" },
        { ORDER_OLDEST, "12_ 1" },
        { ORDER_INDEX, "12_1" },
        { ORDER_INDEX, "" },
        { ORDER_INDEX, "-1" },
        { ORDER_INDEX, "1.5" },
        { ORDER_NEWEST, "99999999999999999999_1" },
        { ORDER_INDEX, "99999999999999999999" },
        { ORDER_ID, "" },
        { ORDER_ID, "i" },
        { ORDER_ID, "i6" },
        { ORDER_ID, "i6x" },
        { ORDER_ID, "61" },
        { ORDER_ID, "12_1" },
    };
    fill_pages();
    for (size_t round = 0; round < 2; round++) {
        struct item_query q = all(round ? "history" : "missing");
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct store_txn *tx = begin(STORE_READ);
            view next;
            q.order = cases[i].order;
            q.offset = view_of(cases[i].token);
            GIVES(RC_BAD_INPUT, store_items_find(tx, &q, NULL, NULL, &next, &err));
            store_rollback(tx);
        }
    }
}

static void a_token_outside_newer_and_older_is_refused_in_orders_of_time(void **state)
{
    (void)state;
    fill_pages();
    stamp b = get("history", "b0").modified;
    struct item_query q = all("history");
    q.order = ORDER_OLDEST;
    q.has_newer = true;
    q.newer = b;
    q.offset = arena_text(&fx.arena, "%lld_1", (long long)stamp_ms(b) - 10);
    struct store_txn *tx = begin(STORE_READ);
    GIVES(RC_BAD_INPUT, store_items_find(tx, &q, NULL, NULL, NULL, &err));
    store_rollback(tx);

    q.order = ORDER_NEWEST;
    q.has_newer = false;
    q.has_older = true;
    q.older = b;
    q.offset = arena_text(&fx.arena, "%lld_1", (long long)stamp_ms(b) + 10);
    tx = begin(STORE_READ);
    GIVES(RC_BAD_INPUT, store_items_find(tx, &q, NULL, NULL, NULL, &err));
    store_rollback(tx);

    q.order = ORDER_INDEX;
    q.offset = VIEW("1");
    assert_string_equal(find(&q, NULL), "a2 a1 a0");
}

static const struct CMUnitTest pages_tests[] = {
    TEST(pages_add_up_to_the_whole_in_every_order),
    TEST(collections_of_any_size_come_newest_first_and_by_id),
    TEST(a_collection_of_any_size_is_read_once),
    TEST(ids_that_begin_alike_are_sorted_to_their_ends),
    TEST(pages_respect_newer_and_older),
    TEST(both_separators_are_understood),
    TEST(a_token_that_is_not_ours_is_refused),
    TEST(a_token_outside_newer_and_older_is_refused_in_orders_of_time),
};
const struct test_group pages_group = TEST_GROUP(pages);
