#include "tests/conformance/store/fixture.h"

#include <errno.h>
#include <ftw.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/store/internal.h"

struct fixture fx;
struct err err;

static char folder[64];

/* ---- the engine of this run ---- */

static char *env(const char *name)
{
    char *value = getenv(name);
    return value ? value : "";
}

void fixture_conf(const char *driver)
{
    snprintf(folder, sizeof folder, "/tmp/heddle-store-XXXXXX");
    if (!mkdtemp(folder))
        abort();
    fx.conf = (struct store_conf){
        .driver = (char *)(uintptr_t)driver,
        .path = folder,
        .files = 4,
        .durable = true,
        .host = "",
        .socket = env("HEDDLE_TEST_SOCKET"),
        .user = "root",
        .password = "",
        .database = "heddle_test",
        .port = 3306,
        .lock_wait_s = 20,
        .connect_s = 5,
        .answer_s = 60,
        .cache_bytes = 524288,
    };
}

bool fixture_is_mysql(void)
{
    return view_eq(view_of(fx.conf.driver), VIEW("mysql"));
}

void fixture_control(const char *verb)
{
    char *control = env("HEDDLE_TEST_CONTROL");
    char *argv[] = { control, (char *)(uintptr_t)verb, NULL };
    pid_t child = -1;
    int status = -1;
    assert_int_equal(posix_spawn(&child, control, NULL, NULL, argv, environ), 0);
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void fixture_remove_folder(const char *path)
{
    if (nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
        perror(path);
}

/* ---- groups and tests ---- */

void expect_rc(rc got, rc wanted, const char *what, const char *file, int line)
{
    if (got == wanted)
        return;
    print_error("%s: %s instead of %s: %s\n", what, rc_name(got), rc_name(wanted),
                got == RC_OK ? "" : err.text);
    _fail(file, line);
}

int open_store(void **state)
{
    (void)state;
    clock_fake_init(&fx.clock, START_US);
    OK(store_open(&fx.conf, &fx.clock.clock, &fx.store, &err));
    OK(store_session_open(fx.store, false, &fx.ss, &err));
    return 0;
}

int close_store(void **state)
{
    (void)state;
    store_session_close(fx.ss);
    store_close(fx.store);
    return 0;
}

int fresh_user(void **state)
{
    static int64_t last_uid = 1000;
    (void)state;
    fx.uid = ++last_uid;
    fx.epoch = 1;
    clock_fake_init(&fx.clock, START_US);
    arena_init(&fx.arena, 64 << 20);
    return 0;
}

int end_user(void **state)
{
    (void)state;
    arena_done(&fx.arena);
    return 0;
}

void wait_ms(int64_t ms)
{
    fx.clock.wall_us += ms * 1000;
    fx.clock.steady_us += ms * 1000;
}

/* ---- transactions ---- */

struct store_txn *begin_as(struct store_session *ss, int64_t uid, int64_t epoch, enum store_mode mode)
{
    struct store_txn *tx = NULL;
    struct store_begin o = { .uid = uid, .epoch = epoch, .mode = mode, .arena = &fx.arena };
    OK(store_begin(ss, &o, &tx, &err));
    return tx;
}

struct store_txn *begin(enum store_mode mode)
{
    return begin_as(fx.ss, fx.uid, fx.epoch, mode);
}

void commit(struct store_txn *tx)
{
    OK(store_commit(&tx, &err));
    assert_null(tx);
}

/* ---- writing ---- */

struct item_patch patch(const char *id, const char *payload)
{
    return (struct item_patch){
        .id = view_of(id), .payload_op = PATCH_SET, .payload = view_of(payload), .touches = true
    };
}

struct item_patch patch_index(const char *id, const char *payload, int64_t sortindex)
{
    struct item_patch p = patch(id, payload);
    p.sortindex_op = PATCH_SET;
    p.sortindex = sortindex;
    return p;
}

struct item_patch patch_ttl(const char *id, int64_t ttl_s)
{
    return (struct item_patch){ .id = view_of(id), .ttl_op = PATCH_SET, .ttl_s = ttl_s };
}

stamp put_patches(const char *coll, const struct item_patch *patches, size_t n)
{
    struct store_txn *tx = begin(STORE_WRITE);
    stamp t = store_stamp(tx);
    OK(store_items_put(tx, view_of(coll), patches, n, NULL, &err));
    commit(tx);
    return t;
}

stamp put(const char *coll, const char *id, const char *payload)
{
    struct item_patch p = patch(id, payload);
    return put_patches(coll, &p, 1);
}

stamp put_with_ttl(const char *coll, const char *id, const char *payload, int64_t ttl_s)
{
    struct item_patch p = patch(id, payload);
    p.ttl_op = PATCH_SET;
    p.ttl_s = ttl_s;
    return put_patches(coll, &p, 1);
}

/* ---- reading ---- */

static void assert_same(const struct item *a, const struct item *b)
{
    assert_true(view_eq(a->id, b->id) && view_eq(a->payload, b->payload));
    assert_true(a->modified.cs == b->modified.cs && a->expires_ms == b->expires_ms);
    assert_true(a->has_sortindex == b->has_sortindex && a->sortindex == b->sortindex);
    assert_true(view_eq(a->parentid, b->parentid) && view_eq(a->predecessorid, b->predecessorid));
}

/* The ways of one statement must always say the same. */
struct item get(const char *coll, const char *id)
{
    struct item in_txn, alone, by_head;
    struct head h;
    struct store_txn *tx = begin(STORE_READ);
    OK(store_item_get(tx, view_of(coll), view_of(id), &in_txn, &err));
    commit(tx);
    OK(store_item_read(fx.ss, fx.uid, fx.epoch, view_of(coll), view_of(id), &fx.arena, &h, &alone, &err));
    assert_same(&in_txn, &alone);
    OK(store_item_by_head(fx.ss, &h, view_of(coll), view_of(id), &fx.arena, &by_head, &err));
    assert_same(&in_txn, &by_head);
    return alone;
}

void assert_missing(const char *coll, const char *id)
{
    struct item it;
    struct head h;
    struct store_txn *tx = begin(STORE_READ);
    GIVES(RC_NOT_FOUND, store_item_get(tx, view_of(coll), view_of(id), &it, &err));
    commit(tx);
    GIVES(RC_NOT_FOUND,
          store_item_read(fx.ss, fx.uid, fx.epoch, view_of(coll), view_of(id), &fx.arena, &h, &it, &err));
    assert_int_equal(h.uid, fx.uid);
    GIVES(RC_NOT_FOUND, store_item_by_head(fx.ss, &h, view_of(coll), view_of(id), &fx.arena, &it, &err));
}

void assert_view(view v, const char *text)
{
    if (!view_eq(v, view_of(text)))
        fail_msg("\"%.*s\" is not \"%s\"", VIEW_ARG(v), text);
}

struct item_query all(const char *coll)
{
    return (struct item_query){ .coll = view_of(coll), .with_payload = true };
}

static bool add_id(const struct item *it, void *arg)
{
    struct buf *ids = arg;
    if (ids->n > 0)
        buf_addc(ids, ' ');
    buf_add(ids, it->id);
    return true;
}

/* The way without a transaction must always say the same. */
static void assert_head_finds(const struct head *h, const struct item_query *q, view expected,
                              view expected_next)
{
    SCOPED(buf_done) struct buf ids = { 0 };
    view next;
    bool same;
    OK(store_items_by_head(fx.ss, h, q, &fx.arena, add_id, &ids, &next, &same, &err));
    assert_true(view_eq(buf_view(&ids), expected));
    assert_true(view_eq(next, expected_next));
    if (expected.n > 0) /* the head is compared along with what is read only where that pays */
        assert_int_equal(same, fx.ss->store->driver->dialect == DIALECT_MYSQL);
}

const char *find(const struct item_query *q, view *out_next)
{
    SCOPED(buf_done) struct buf ids = { 0 };
    view next;
    struct store_txn *tx = begin(STORE_READ);
    const struct head *h = store_head(tx);
    OK(store_items_find(tx, q, add_id, &ids, &next, &err));
    commit(tx);
    assert_head_finds(h, q, buf_view(&ids), next);
    if (out_next)
        *out_next = next;
    return arena_cstr(&fx.arena, buf_view(&ids));
}

uint64_t delete_found(const struct item_query *q)
{
    uint64_t n = 0;
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_items_delete(tx, q, &n, &err));
    commit(tx);
    return n;
}

const struct head *head_now(void)
{
    struct head *h = arena_alloc(&fx.arena, sizeof *h);
    OK(store_head_read(fx.ss, fx.uid, &fx.arena, h, &err));
    return h;
}

stamp coll_time(const char *coll)
{
    const struct head_coll *c = head_coll_find(head_now(), view_of(coll));
    return c ? c->modified : STAMP_ZERO;
}

/* ---- batches ---- */

const char *batch_open(const char *coll)
{
    char *id = arena_alloc(&fx.arena, BATCH_ID_TEXT + 1);
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_batch_open(tx, view_of(coll), id, &err));
    commit(tx);
    return id;
}

void batch_append(const char *id, const struct item_patch *patches, size_t n)
{
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_batch_append(tx, view_of(id), patches, n, &err));
    commit(tx);
}

stamp batch_commit(const char *coll, const char *id)
{
    struct store_txn *tx = begin(STORE_WRITE);
    stamp t = store_stamp(tx);
    OK(store_batch_commit(tx, view_of(coll), view_of(id), &err));
    commit(tx);
    return t;
}
