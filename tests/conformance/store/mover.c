#include "tests/conformance/store/mover.h"

#include <stdlib.h>

#include "node/store/internal.h"

/* ---- steps ---- */

struct move move_to(int64_t epoch, view id)
{
    return (struct move){ .uid = fx.uid, .id = id, .epoch = epoch };
}

rc try_step(view id, int64_t epoch, enum head_step step, const struct manifest_sum *sum)
{
    struct move m = move_to(epoch, id);
    struct head_info got;
    rc r = store_head_step(fx.ss, &m, step, sum, &fx.arena, &got, &err);
    if (r == RC_OK) {
        struct head_info there;
        OK(store_head_get(fx.ss, fx.uid, &fx.arena, &there, &err));
        assert_int_equal(got.head.state, there.head.state);
        assert_int_equal(got.head.epoch, there.head.epoch);
        assert_int_equal(got.head.since_ms, there.head.since_ms);
        assert_true(view_eq(got.move, there.move));
    }
    return r;
}

void step(int64_t epoch, enum head_step which)
{
    OK(try_step(MOVE, epoch, which, NULL));
}

stamp mover_base = { -1 };

struct manifest_sum sum_of(int64_t epoch)
{
    struct manifest_sum sum;
    struct store_txn *tx = NULL;
    struct move m = move_to(epoch, MOVE);
    OK(store_export_begin(fx.ss, &m, &fx.arena, &tx, &err));
    store_manifest_base(tx, mover_base);
    OK(store_manifest_sum(tx, &sum, &err));
    commit(tx);
    return sum;
}

uint64_t rows_of(const char *table)
{
    struct conn *c = NULL;
    struct stmt *st = NULL;
    int64_t n = 0;
    const char *sql = (const char *)arena_text(&fx.arena, "SELECT COUNT(*) FROM %s WHERE uid = ?1", table).p;
    OK(session_begin(fx.ss, session_shard(fx.ss, fx.uid), STORE_READ, &c, &err));
    OK(c->driver->prepare(c, sql, &st, &err));
    bind_int(st, 1, fx.uid);
    OK(stmt_number(st, &n, NULL, &err));
    c->driver->stmt_free(st);
    c->driver->rollback(c);
    return (uint64_t)n;
}

/* ---- two stores ---- */

struct node nodes[2];

static void open_node(struct node *n, const char *driver, const char *database)
{
    *n = (struct node){ .conf = fx.conf };
    snprintf(n->folder, sizeof n->folder, "/tmp/heddle-move-XXXXXX");
    assert_non_null(mkdtemp(n->folder));
    n->conf.driver = (char *)(uintptr_t)driver;
    n->conf.database = (char *)(uintptr_t)database;
    n->conf.path = n->folder;
    n->conf.files = n == S ? 4 : 3;
    clock_fake_init(&n->clock, START_US);
    OK(store_open(&n->conf, &n->clock.clock, &n->store, &err));
    OK(store_session_open(n->store, false, &n->ss, &err));
}

static void close_node(struct node *n)
{
    store_session_close(n->ss);
    store_close(n->store);
    fixture_remove_folder(n->folder);
}

/* From here on the fixture's helpers speak to this node. */
void at(struct node *n)
{
    fx.ss = n->ss;
    fx.epoch = n == S ? 1 : 2;
}

void both_clocks(int64_t ms)
{
    S->clock.wall_us += ms * 1000;
    T->clock.wall_us += ms * 1000;
}

/* Runs it over each pair of engines that this run has. */
void over_each_pair(void (*test)(void))
{
    static const struct {
        const char *from, *to;
        bool with_server;
    } pairs[] = {
        { "sqlite", "sqlite", false },
        { "mysql", "mysql", true },
        { "mysql", "sqlite", true },
        { "sqlite", "mysql", true },
    };
    struct store_session *own = fx.ss;
    int64_t uid = fx.uid;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (pairs[i].with_server != fixture_is_mysql())
            continue;
        fx.uid = uid + (int64_t)i * 10000000;
        mover_base = MANIFEST_ALL;
        open_node(S, pairs[i].from, "heddle_test");
        open_node(T, pairs[i].to, "heddle_other");
        at(S);
        test();
        close_node(S);
        close_node(T);
    }
    fx.ss = own;
    fx.uid = uid;
    fx.epoch = 1;
}

/* ---- a mover: what the admin does, over function calls; its wire can be broken ---- */

#define PAGE 7

struct move to_s(void)
{
    return move_to(1, MOVE);
}

struct move to_t(void)
{
    return move_to(2, MOVE);
}

bool keep_entry(const struct manifest_entry *m, void *arg)
{
    struct lines *l = arg;
    assert_true(l->n < sizeof l->list / sizeof l->list[0]);
    l->list[l->n] = *m;
    l->list[l->n].coll = arena_copy(&fx.arena, m->coll);
    l->list[l->n++].id = arena_copy(&fx.arena, m->id);
    return true;
}

/* S's manifest by pages; each page is a transaction of its own. */
static const struct head *read_manifest(struct lines *out)
{
    struct head *h = arena_alloc(&fx.arena, sizeof *h);
    struct item_key after = { VIEW(""), VIEW("") };
    size_t before;
    out->n = 0;
    do {
        struct store_txn *tx = NULL;
        struct move m = to_s();
        before = out->n;
        OK(store_export_begin(S->ss, &m, &fx.arena, &tx, &err));
        store_manifest_base(tx, mover_base);
        if (before == 0)
            *h = *store_head(tx);
        OK(store_manifest(tx, &after, PAGE, keep_entry, out, &err));
        commit(tx);
        if (out->n > 0)
            after = (struct item_key){ out->list[out->n - 1].coll, out->list[out->n - 1].id };
    } while (out->n == before + PAGE);
    return h;
}

struct shipment {
    struct import_row rows[400];
    size_t n;
    view coll;
};

static bool ship(const struct item *it, void *arg)
{
    struct shipment *s = arg;
    struct import_row *row = &s->rows[s->n++];
    *row = (struct import_row){ .coll = s->coll, .item = *it };
    row->item.id = arena_copy(&fx.arena, it->id);
    row->item.payload = arena_copy(&fx.arena, it->payload);
    row->item.parentid = it->parentid.p ? arena_copy(&fx.arena, it->parentid) : VIEW_NONE;
    row->item.predecessorid = it->predecessorid.p ? arena_copy(&fx.arena, it->predecessorid) : VIEW_NONE;
    return true;
}

static void export_lacking(const struct lines *lacking, struct shipment *out)
{
    struct store_txn *tx = NULL;
    struct move m = to_s();
    out->n = 0;
    OK(store_export_begin(S->ss, &m, &fx.arena, &tx, &err));
    for (size_t i = 0; i < lacking->n; i++) {
        struct item_query q = { .coll = lacking->list[i].coll,
                                .ids = &lacking->list[i].id,
                                .n_ids = 1,
                                .has_ids = true,
                                .order = ORDER_ID,
                                .with_payload = true };
        out->coll = q.coll;
        OK(store_items_find(tx, &q, ship, out, NULL, &err));
    }
    commit(tx);
}

static void damage(struct shipment *s, enum fault fault)
{
    struct import_row *row = &s->rows[s->n / 2];
    if (fault == FLIPPED_PAYLOAD)
        *(char *)(uintptr_t)row->item.payload.p ^= 1;
    if (fault == FLIPPED_STAMP)
        row->item.modified.cs ^= 1;
    if (fault == LOST_ROW)
        s->n--;
    if (fault == LOST_PAGE)
        s->n /= 2;
}

/* One pass; how many rows it sent. */
size_t pass_with(enum fault fault)
{
    static struct lines manifest, lacking;
    static struct shipment rows;
    struct move m = to_t();
    struct store_txn *tx = NULL;
    struct item_key after = { VIEW(""), VIEW("") };
    struct head h = *read_manifest(&manifest);
    if (fault == LOST_STAMP_OF_COLL) {
        struct head_coll *colls = arena_alloc(&fx.arena, h.n_colls * sizeof *colls);
        memcpy(colls, h.colls, h.n_colls * sizeof *colls);
        colls[0].modified.cs--;
        h.colls = colls;
    }
    lacking.n = 0;
    OK(store_import_begin(T->ss, &m, &fx.arena, &tx, &err));
    OK(store_import_head(tx, &h, &err));
    commit(tx);
    for (size_t i = 0; i == 0 || i < manifest.n; i += PAGE) {
        size_t n = manifest.n - i < PAGE ? manifest.n - i : PAGE;
        OK(store_import_begin(T->ss, &m, &fx.arena, &tx, &err));
        store_manifest_base(tx, mover_base);
        OK(store_import_prune(tx, &after, manifest.list + i, n, i + n == manifest.n, keep_entry, &lacking,
                              &err));
        commit(tx);
        if (n > 0)
            after = (struct item_key){ manifest.list[i + n - 1].coll, manifest.list[i + n - 1].id };
    }
    export_lacking(&lacking, &rows);
    size_t sent = rows.n;
    damage(&rows, fault);
    OK(store_import_begin(T->ss, &m, &fx.arena, &tx, &err));
    OK(store_import_items(tx, rows.rows, rows.n, &err));
    commit(tx);
    return sent;
}

size_t pass(void)
{
    return pass_with(NO_FAULT);
}

rc seal(void)
{
    at(S);
    struct manifest_sum sum = sum_of(1);
    at(T);
    return try_step(MOVE, 2, STEP_SEAL, &sum);
}

void begin_import(void)
{
    at(T);
    step(2, STEP_IMPORT_BEGIN);
    at(S);
}

void freeze(void)
{
    at(S);
    step(1, STEP_FREEZE);
}

void finish(void)
{
    OK(seal());
    step(2, STEP_ACTIVATE);
    at(S);
    step(2, STEP_RETIRE);
    at(T);
}

void reopen(struct node *n)
{
    store_session_close(n->ss);
    OK(store_session_open(n->store, false, &n->ss, &err));
    at(n);
}

void meddle(const char *sql, const char *id)
{
    struct conn *c = NULL;
    struct stmt *st = NULL;
    uint64_t rows = 0;
    OK(session_begin(T->ss, session_shard(T->ss, fx.uid), STORE_WRITE, &c, &err));
    OK(c->driver->prepare(c, sql, &st, &err));
    bind_int(st, 1, fx.uid);
    bind_bytes(st, 2, view_of(id));
    OK(stmt_run(st, &rows, &err));
    assert_int_equal(rows, 1);
    c->driver->stmt_free(st);
    OK(c->driver->commit(c, &err));
}

/* ---- users worth moving ---- */

void fill(void)
{
    at(S);
    for (int i = 0; i < 30; i++) {
        char id[20];
        snprintf(id, sizeof id, "h%02d", i);
        put("history", id, i % 2 ? "a \"quoted\" line\n" : "\xc3\xa4\xe2\x82\xac");
    }
    struct item_patch odd[] = { patch_index("neg", "", -7), patch("up", "x"), patch_ttl("short", 60) };
    odd[1].parentid_op = odd[1].predecessorid_op = PATCH_SET;
    odd[1].parentid = VIEW("");
    odd[1].predecessorid = VIEW("up");
    put_patches("my-own", odd, 3);
    put_with_ttl("tabs", "t", "later gone", 3600);
    put("bookmarks", "b", "1");
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_coll_touch(tx, VIEW("empty"), &err));
    commit(tx);
}

/* Everything of both, compared through the public face. */
void assert_same_user(void)
{
    at(S);
    struct head a = *head_now();
    at(T);
    struct head b = *head_now();
    assert_int_equal(a.modified.cs, b.modified.cs);
    assert_int_equal(a.used_bytes, b.used_bytes);
    assert_int_equal(a.quota_bytes, b.quota_bytes);
    assert_int_equal(a.n_colls, b.n_colls);
    assert_true(b.clock.cs >= a.clock.cs);
    for (size_t i = 0; i < a.n_colls; i++) {
        const struct head_coll *c = head_coll_find(&b, a.colls[i].name);
        assert_non_null(c);
        assert_int_equal(c->modified.cs, a.colls[i].modified.cs);
    }
}
