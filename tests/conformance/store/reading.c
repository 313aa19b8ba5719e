/* Orders, filters and pages. */
#include <stdlib.h>

#include "tests/conformance/store/fixture.h"

static void fill_three(void) /* a, b, c at rising times; sortindex 34, none, -1 */
{
    struct item_patch a = patch_index("a", "1", 34), c = patch_index("c", "3", -1);
    put_patches("forms", &a, 1);
    put("forms", "b", "2");
    put_patches("forms", &c, 1);
}

static void each_order_is_kept(void **state)
{
    (void)state;
    static const struct {
        enum item_order order;
        const char *ids;
    } cases[] = {
        { ORDER_NEWEST, "e d c b a" },        { ORDER_OLDEST, "a b c d e" },
        { ORDER_INDEX, "d a c e b" },         { ORDER_ID, "a b c d e" },
        { ORDER_NEWEST_ID_ASC, "d e c b a" }, { ORDER_INDEX_ID_ASC, "a d c b e" },
    };
    struct item_patch last[] = { patch_index("e", "", 0), patch_index("d", "", 34) };
    last[0].sortindex_op = PATCH_LEAVE;
    fill_three();
    put_patches("forms", last, 2); /* of one time */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct item_query q = all("forms");
        q.order = cases[i].order;
        assert_string_equal(find(&q, NULL), cases[i].ids);
        q.bare = true;
        assert_string_equal(find(&q, NULL), cases[i].ids);
        q.with_payload = false;
        assert_string_equal(find(&q, NULL), cases[i].ids);
        q.has_limit = true;
        q.limit = 2;
        assert_int_equal(strncmp(find(&q, NULL), cases[i].ids, 3), 0);
    }
}

static void newer_and_older_are_strict(void **state)
{
    (void)state;
    fill_three();
    stamp b = get("forms", "b").modified;
    struct item_query q = all("forms");
    q.order = ORDER_OLDEST;
    q.has_newer = true;
    q.newer = b;
    assert_string_equal(find(&q, NULL), "c");
    q.newer.cs--;
    assert_string_equal(find(&q, NULL), "b c");
    q.has_older = true;
    q.older = get("forms", "c").modified;
    assert_string_equal(find(&q, NULL), "b");
    q.has_newer = false;
    assert_string_equal(find(&q, NULL), "a b");
    q.has_newer = true;
    q.newer = get("forms", "c").modified; /* the head's stamp answers this */
    q.has_older = false;
    assert_string_equal(find(&q, NULL), "");
    q.newer.cs = INT64_MAX;
    assert_string_equal(find(&q, NULL), "");
    q.newer.cs = INT64_MIN;
    assert_string_equal(find(&q, NULL), "a b c");
}

static void ids_select_what_exists(void **state)
{
    (void)state;
    const view two[] = { VIEW("c"), VIEW("nobody"), VIEW("a"), VIEW("a") };
    fill_three();
    struct item_query q = all("forms");
    q.has_ids = true;
    q.ids = two;
    q.n_ids = 4;
    assert_string_equal(find(&q, NULL), "c a");
    q.order = ORDER_ID;
    q.has_limit = true;
    q.limit = 1;
    assert_string_equal(find(&q, NULL), "a");
    q.n_ids = 0;
    assert_string_equal(find(&q, NULL), "");
}

static void lists_of_ids_may_have_any_length(void **state)
{
    (void)state;
    enum { MANY = 8192 };
    view *ids = arena_alloc(&fx.arena, (MANY + 1) * sizeof *ids);
    for (int i = 0; i <= MANY; i++)
        ids[i] = arena_text(&fx.arena, "none%d", i);
    fill_three();
    struct item_query q = all("forms");
    q.has_ids = true;
    q.ids = ids;
    static const size_t lengths[] = { 1, 2, 4, 5, 100, 101, 128, 129, 1025, MANY };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        q.n_ids = lengths[i];
        ids[q.n_ids - 1] = VIEW("b");
        assert_string_equal(find(&q, NULL), "b");
    }
    q.n_ids = MANY + 1;
    struct store_txn *tx = begin(STORE_READ);
    view next;
    GIVES(RC_BAD_INPUT, store_items_find(tx, &q, NULL, NULL, &next, &err));
    store_rollback(tx);
}

static void index_bounds_are_strict_and_never_match_null(void **state)
{
    (void)state;
    fill_three();
    struct item_query q = all("forms");
    q.order = ORDER_ID;
    q.has_index_above = true;
    static const struct {
        double above;
        const char *ids;
    } above[] = { { -1, "a" }, { -1.5, "a c" }, { 33.9, "a" }, { 34, "" }, { -1e300, "a c" }, { 1e300, "" } };
    for (size_t i = 0; i < sizeof above / sizeof above[0]; i++) {
        q.index_above = above[i].above;
        assert_string_equal(find(&q, NULL), above[i].ids);
    }
    q.has_index_above = false;
    q.has_index_below = true;
    static const struct {
        double below;
        const char *ids;
    } below[] = { { 34, "c" }, { 34.1, "a c" }, { -1, "" }, { -0.5, "c" }, { 1e300, "a c" } };
    for (size_t i = 0; i < sizeof below / sizeof below[0]; i++) {
        q.index_below = below[i].below;
        assert_string_equal(find(&q, NULL), below[i].ids);
    }
}

static void parent_and_predecessor_filter(void **state)
{
    (void)state;
    struct item_patch p[] = { patch("a", ""), patch("b", ""), patch("c", "") };
    p[0].parentid_op = p[1].parentid_op = p[1].predecessorid_op = PATCH_SET;
    p[0].parentid = p[1].parentid = VIEW("root");
    p[1].predecessorid = VIEW("a");
    put_patches("bookmarks", p, 3);
    struct item_query q = all("bookmarks");
    q.order = ORDER_ID;
    q.parentid = VIEW("root");
    assert_string_equal(find(&q, NULL), "a b");
    q.predecessorid = VIEW("a");
    assert_string_equal(find(&q, NULL), "b");
    q.parentid = VIEW("Root");
    assert_string_equal(find(&q, NULL), "");
}

static void a_missing_collection_is_an_empty_one(void **state)
{
    (void)state;
    struct item_query q = all("history");
    assert_string_equal(find(&q, NULL), "");
    put("meta", "a", "x");
    assert_string_equal(find(&q, NULL), "");
    assert_missing("history", "a");
}

static void expired_items_are_not_found(void **state)
{
    (void)state;
    put("tabs", "stays", "x");
    put_with_ttl("tabs", "goes", "x", 2);
    struct item_query q = all("tabs");
    q.order = ORDER_ID;
    assert_string_equal(find(&q, NULL), "goes stays");
    wait_ms(2009); /* it was the second write in its tick */
    assert_string_equal(find(&q, NULL), "goes stays");
    wait_ms(1);
    assert_string_equal(find(&q, NULL), "stays");
    assert_missing("tabs", "goes");
}

static void an_item_of_ttl_0_is_gone_at_once_even_when_the_clock_is_behind(void **state)
{
    (void)state;
    put("tabs", "a", "x");
    wait_ms(-60000);
    put_with_ttl("tabs", "b", "x", 0);
    assert_missing("tabs", "b");
    struct item_query q = all("tabs");
    assert_string_equal(find(&q, NULL), "a");
}

static bool keep_item(const struct item *it, void *arg)
{
    struct item *kept = arg;
    *kept = *it;
    kept->payload = arena_copy(&fx.arena, it->payload);
    return false;
}

static void bytes_come_back_as_they_were(void **state)
{
    (void)state;
    enum { BIG = 3 << 20 };
    char *big = arena_alloc(&fx.arena, BIG);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 131 >> 3);
    const view payloads[] = { VIEW(""),     VIEW("a\0b\0"), VIEW("\xf0\x9f\x92\xa9 \xff\xfe'\"\\%_\n"),
                              { big, 300 }, { big, BIG },   { big, 70000 } };
    struct item_query q = all("forms");
    q.has_ids = true;
    const view id = VIEW("a b{}'\"%_\\~");
    q.ids = &id;
    q.n_ids = 1;
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        struct item_patch p = patch("", "");
        p.id = id;
        p.payload = payloads[i];
        put_patches("forms", &p, 1);
        assert_true(view_eq(get("forms", id.p).payload, payloads[i]));
        struct item it = { .id = VIEW_NONE };
        struct store_txn *tx = begin(STORE_READ);
        OK(store_items_find(tx, &q, keep_item, &it, NULL, &err));
        commit(tx);
        assert_true(view_eq(it.payload, payloads[i]));
    }
}

static void a_bare_listing_has_all_that_the_newer_protocol_shows(void **state)
{
    (void)state;
    struct item_patch p[] = { patch_index("a", "x\"y", -7), patch("b", "") };
    p[0].parentid_op = p[0].ttl_op = PATCH_SET;
    p[0].parentid = VIEW("root");
    p[0].ttl_s = 100;
    stamp t = put_patches("forms", p, 2);
    for (int i = 0; i < 2; i++) {
        struct item it = { .id = VIEW_NONE };
        struct item_query q = all("forms");
        q.bare = true;
        q.order = i ? ORDER_NEWEST : ORDER_ID; /* b, a */
        struct store_txn *tx = begin(STORE_READ);
        OK(store_items_find(tx, &q, keep_item, &it, NULL, &err));
        commit(tx);
        assert_view(it.payload, i ? "" : "x\"y");
        assert_int_equal(it.modified.cs, t.cs);
        assert_int_equal(it.has_sortindex, !i);
        assert_int_equal(it.sortindex, i ? 0 : -7);
        assert_null(it.parentid.p);
        assert_int_equal(it.expires_ms, i ? 0 : stamp_ms(t) + 100000);
    }
}

static void a_visitor_stops_the_reading_and_the_session_goes_on(void **state)
{
    (void)state;
    struct item it = { .id = VIEW_NONE };
    struct item_query q = all("forms");
    fill_three();
    struct store_txn *tx = begin(STORE_READ);
    OK(store_items_find(tx, &q, keep_item, &it, NULL, &err));
    OK(store_items_find(tx, &q, keep_item, &it, NULL, &err));
    assert_view(it.payload, "3");
    commit(tx);
    assert_string_equal(find(&q, NULL), "c b a");
}

static void fields_that_are_null_stay_null(void **state)
{
    (void)state;
    put("forms", "a", "x");
    struct item it = get("forms", "a");
    assert_false(it.has_sortindex);
    assert_null(it.parentid.p);
    assert_null(it.predecessorid.p);
    assert_int_equal(it.expires_ms, 0);
}

/* ---- pages ---- */

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

/* Those that have room are sorted by the node where that is cheaper, the rest by the engine. */
static void collections_of_any_size_come_newest_first_and_by_id(void **state)
{
    (void)state;
    static char large[20000];
    static const struct {
        const char *coll;
        size_t n, payload_bytes;
        bool some_die;
    } cases[] = { { "forms", 300, 10, true },      { "history", 4096, 10, false },
                  { "passwords", 4097, 10, true }, { "bookmarks", 8300, 10, false },
                  { "prefs", 250, 20000, false },  { "addons", 450, 20000, true } };
    memset(large, 'x', sizeof large);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t dead = cases[i].some_die ? (cases[i].n + DIES_EACH - 1) / DIES_EACH : 0;
        size_t living = cases[i].n - dead;
        fill_many(cases[i].coll, cases[i].n, cases[i].some_die,
                  (view){ .p = large, .n = cases[i].payload_bytes });
        wait_ms(2000);
        for (int full = 0; full < 2; full++) {
            struct item_query q = all(cases[i].coll);
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
            assert_int_equal(d.bytes, full ? living * cases[i].payload_bytes : 0);
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

static void a_limit_of_0_is_empty_and_has_no_next_page(void **state)
{
    (void)state;
    fill_three();
    struct item_query q = all("forms");
    view next = VIEW("unset");
    q.has_limit = true;
    assert_string_equal(find(&q, &next), "");
    assert_null(next.p);
    q.limit = UINT32_MAX;
    assert_string_equal(find(&q, &next), "c b a");
    assert_null(next.p);
    q.limit = 3; /* exactly all */
    assert_string_equal(find(&q, &next), "c b a");
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
    fill_three();
    for (size_t round = 0; round < 2; round++) {
        struct item_query q = all(round ? "forms" : "missing");
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

static void skip_leaves_out_the_first(void **state)
{
    (void)state;
    fill_three();
    struct item_query q = all("forms");
    q.order = ORDER_ID;
    q.skip = 1;
    assert_string_equal(find(&q, NULL), "b c");
    q.has_limit = true;
    q.limit = 1;
    assert_string_equal(find(&q, NULL), "b");
    q.skip = 5;
    assert_string_equal(find(&q, NULL), "");
    q.skip = UINT64_MAX;
    assert_string_equal(find(&q, NULL), "");
}

/* ---- snapshots ---- */

static void a_reading_transaction_sees_one_snapshot(void **state)
{
    (void)state;
    struct store_session *other = NULL;
    put("forms", "a", "old");
    OK(store_session_open(fx.store, true, &other, &err));
    struct store_txn *tx = begin_as(other, fx.uid, 1, STORE_READ);
    stamp before = store_head(tx)->modified;
    put("forms", "a", "new");
    put("forms", "b", "new");
    struct item it;
    OK(store_item_get(tx, VIEW("forms"), VIEW("a"), &it, &err));
    assert_view(it.payload, "old");
    assert_int_equal(it.modified.cs, before.cs);
    GIVES(RC_NOT_FOUND, store_item_get(tx, VIEW("forms"), VIEW("b"), &it, &err));
    commit(tx);
    store_session_close(other);
}

static bool count_item(const struct item *it, void *arg)
{
    (void)it;
    ++*(size_t *)arg;
    return true;
}

static bool same_as(const struct head *h, size_t *out_n)
{
    struct item_query q = all("forms");
    bool same = false;
    *out_n = 0;
    OK(store_items_by_head(fx.ss, h, &q, &fx.arena, count_item, out_n, NULL, &same, &err));
    return same;
}

/* Whatever differs. Only MySQL is asked for the head along with the items. */
static void reading_by_a_head_tells_whether_it_is_still_the_same(void **state)
{
    (void)state;
    size_t n = 0;
    put("own", "a", "x");
    put("forms", "a", "x");
    const struct head h = *head_now();
    assert_int_equal(same_as(&h, &n), fixture_is_mysql());
    assert_int_equal(n, 1);

    struct head others[8] = { h, h, h, h, h, h, h, h };
    struct head_coll colls[2] = { h.colls[0], h.colls[1] };
    colls[0].modified.cs++;
    others[0].clock.cs++;
    others[1].modified.cs++;
    others[2].used_bytes++;
    others[3].colls = colls;
    others[4].epoch++;
    others[5].state = HEAD_READY;
    others[6].since_ms++;
    others[7].quota_bytes = 5;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(same_as(&others[i], &n));
    put("meta", "global", "x");
    assert_false(same_as(&h, &n));
    assert_int_equal(same_as(head_now(), &n), fixture_is_mysql());
}

static void a_reader_does_not_wait_for_a_writer(void **state)
{
    (void)state;
    struct store_session *other = NULL;
    struct head h;
    struct item it;
    put("own", "a", "old");
    OK(store_session_open(fx.store, true, &other, &err));
    struct item_patch p = patch("a", "new");
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_items_put(tx, VIEW("own"), &p, 1, NULL, &err));
    OK(store_item_read(other, fx.uid, 1, VIEW("own"), VIEW("a"), &fx.arena, &h, &it, &err));
    assert_view(it.payload, "old");
    OK(store_head_read(other, fx.uid, &fx.arena, &h, &err));
    assert_int_equal(h.modified.cs, it.modified.cs);
    commit(tx);
    store_session_close(other);
}

static void reading_one_finds_collections_of_any_number(void **state)
{
    (void)state;
    put("own-100", "a", "first");
    put("own-101", "a", "second");
    put("own-102", "b", "third");
    assert_view(get("own-101", "a").payload, "second");
    assert_view(get("own-102", "b").payload, "third");
    assert_missing("own-101", "b");
    assert_missing("own-103", "a");
}

static const struct CMUnitTest reading_tests[] = {
    TEST(each_order_is_kept),
    TEST(newer_and_older_are_strict),
    TEST(ids_select_what_exists),
    TEST(lists_of_ids_may_have_any_length),
    TEST(index_bounds_are_strict_and_never_match_null),
    TEST(parent_and_predecessor_filter),
    TEST(a_missing_collection_is_an_empty_one),
    TEST(expired_items_are_not_found),
    TEST(an_item_of_ttl_0_is_gone_at_once_even_when_the_clock_is_behind),
    TEST(bytes_come_back_as_they_were),
    TEST(a_bare_listing_has_all_that_the_newer_protocol_shows),
    TEST(a_visitor_stops_the_reading_and_the_session_goes_on),
    TEST(fields_that_are_null_stay_null),
    TEST(pages_add_up_to_the_whole_in_every_order),
    TEST(collections_of_any_size_come_newest_first_and_by_id),
    TEST(ids_that_begin_alike_are_sorted_to_their_ends),
    TEST(pages_respect_newer_and_older),
    TEST(a_limit_of_0_is_empty_and_has_no_next_page),
    TEST(both_separators_are_understood),
    TEST(a_token_that_is_not_ours_is_refused),
    TEST(a_token_outside_newer_and_older_is_refused_in_orders_of_time),
    TEST(skip_leaves_out_the_first),
    TEST(a_reading_transaction_sees_one_snapshot),
    TEST(reading_by_a_head_tells_whether_it_is_still_the_same),
    TEST(a_reader_does_not_wait_for_a_writer),
    TEST(reading_one_finds_collections_of_any_number),
};
const struct test_group reading_group = TEST_GROUP(reading);
