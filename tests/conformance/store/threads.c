/* Many sessions at once: writers of one user take turns, writers of many users do not disturb each other. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "node/store/internal.h"
#include "tests/conformance/store/fixture.h"

struct worker {
    int64_t uid;
    int writes, n;
    const char *coll;
    atomic_int *barrier; /* how many are still to come */
    rc r;
    struct err err;
    stamp last;
};

static void wait_for_all(atomic_int *barrier)
{
    atomic_fetch_sub(barrier, 1);
    while (atomic_load(barrier) > 0)
        sched_yield();
}

static rc write_once(struct store_session *ss, struct worker *w, struct arena *a)
{
    struct store_txn *tx = NULL;
    struct store_begin o = { .uid = w->uid, .epoch = 1, .mode = STORE_WRITE, .arena = a };
    struct head known;
    char id[40];
    snprintf(id, sizeof id, "w%d-%d", w->n, w->writes);
    struct item_patch p[] = { patch(id, "payload"), patch("shared", id) };
    if (w->writes % 2) { /* what he takes for the head may be another's by now */
        TRY(store_head_read(ss, w->uid, a, &known, &w->err));
        o.known = &known;
        o.coll = view_of(w->coll);
        o.adding_bytes = (int64_t)(strlen("payload") + strlen(id));
    }
    TRY(store_begin(ss, &o, &tx, &w->err));
    stamp t = store_stamp(tx);
    rc r = store_items_put(tx, view_of(w->coll), p, 2, NULL, &w->err);
    if (r != RC_OK) {
        store_rollback(tx);
        return r;
    }
    TRY(store_commit(&tx, &w->err));
    if (t.cs <= w->last.cs)
        return fail(&w->err, RC_BROKEN, RESP_GENERIC, "T did not grow");
    w->last = t;
    return RC_OK;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct store_session *ss = NULL;
    struct arena a;
    arena_init(&a, 1 << 20);
    w->r = store_session_open(fx.store, false, &ss, &w->err);
    if (w->r == RC_OK)
        w->r = store_ping(ss, &w->err); /* the connection stands before the others are let off */
    wait_for_all(w->barrier);
    for (; w->writes > 0 && w->r == RC_OK; w->writes--) {
        w->r = write_once(ss, w, &a);
        arena_reset(&a);
    }
    store_session_close(ss);
    arena_done(&a);
    return NULL;
}

static void run(struct worker *workers, int n)
{
    pthread_t threads[600];
    pthread_attr_t attr;
    atomic_int barrier = n;
    assert_true(n <= 600);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 512 * 1024);
    for (int i = 0; i < n; i++) {
        workers[i].n = i;
        workers[i].barrier = &barrier;
        assert_int_equal(pthread_create(&threads[i], &attr, work, &workers[i]), 0);
    }
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    pthread_attr_destroy(&attr);
    for (int i = 0; i < n; i++) {
        if (workers[i].r != RC_OK)
            fail_msg("worker %d: %s: %s", i, rc_name(workers[i].r), workers[i].err.text);
    }
}

static void writers_of_one_user_take_turns(void **state)
{
    (void)state;
    enum { WORKERS = 8, WRITES = 20 };
    struct worker workers[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        workers[i] = (struct worker){ .uid = fx.uid, .writes = WRITES, .coll = i % 2 ? "forms" : "history" };
    run(workers, WORKERS);
    /* The clock stands still, so each stamp was given once and none was left out. */
    assert_int_equal(head_now()->clock.cs, START_US / 10000 + WORKERS * WRITES - 1);
    assert_true(head_now()->used_bytes >= WORKERS * WRITES * 7);
    struct store_txn *tx = begin(STORE_READ);
    const struct coll_usage *usage = NULL;
    size_t n = 0;
    OK(store_usage(tx, &usage, &n, &err));
    commit(tx);
    assert_int_equal(n, 2);
    assert_int_equal(usage[0].items, WORKERS / 2 * WRITES + 1);
    assert_int_equal(usage[1].items, WORKERS / 2 * WRITES + 1);
}

static void five_hundred_new_users_begin_at_the_same_moment(void **state)
{
    (void)state;
    enum { USERS = 500 };
    static struct worker workers[USERS];
    for (int i = 0; i < USERS; i++)
        workers[i] = (struct worker){ .uid = fx.uid * 100000 + i, .writes = 2, .coll = "first" };
    run(workers, USERS);
}

static void a_new_user_begins_on_many_devices_at_once(void **state)
{
    (void)state;
    enum { DEVICES = 30 };
    struct worker workers[DEVICES];
    for (int i = 0; i < DEVICES; i++)
        workers[i] = (struct worker){ .uid = fx.uid, .writes = 2, .coll = "first" };
    run(workers, DEVICES);
    assert_int_equal(head_now()->n_colls, 1);
    assert_int_equal(head_now()->clock.cs, START_US / 10000 + DEVICES * 2 - 1);
}

/* Purging and writing of the same users at the same time. */
struct purger {
    atomic_bool stop;
    rc r;
    struct err err;
};

static void *purge_all_the_time(void *arg)
{
    struct purger *p = arg;
    struct store_session *ss = NULL;
    p->r = store_session_open(fx.store, false, &ss, &p->err);
    while (p->r == RC_OK && !atomic_load(&p->stop)) {
        uint64_t n = 0;
        p->r = store_purge_expired(ss, -1000000, 100, &n, &p->err);
    }
    store_session_close(ss);
    return NULL;
}

static void *write_short_lives(void *arg)
{
    struct worker *w = arg;
    struct store_session *ss = NULL;
    struct arena a;
    arena_init(&a, 1 << 20);
    w->r = store_session_open(fx.store, false, &ss, &w->err);
    for (; w->writes > 0 && w->r == RC_OK; w->writes--) {
        struct store_txn *tx = NULL;
        struct store_begin o = { .uid = w->uid, .epoch = 1, .mode = STORE_WRITE, .arena = &a };
        struct item_patch p[] = { patch("a", "x"), patch("b", "x"), patch("c", "x") };
        for (int i = 0; i < 3; i++) {
            p[i].ttl_op = PATCH_SET;
            p[i].ttl_s = 1;
        }
        w->r = store_begin(ss, &o, &tx, &w->err);
        if (w->r == RC_OK)
            w->r = store_items_put(tx, VIEW("tabs"), p, 3, NULL, &w->err);
        if (w->r == RC_OK)
            w->r = store_commit(&tx, &w->err);
        store_rollback(tx);
        arena_reset(&a);
    }
    store_session_close(ss);
    arena_done(&a);
    return NULL;
}

static void purging_and_writing_do_not_deadlock(void **state)
{
    (void)state;
    enum { WRITERS = 6 };
    struct purger purgers[2] = { 0 };
    struct worker writers[WRITERS];
    pthread_t threads[WRITERS], purging[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&purging[i], NULL, purge_all_the_time, &purgers[i]), 0);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct worker){ .uid = fx.uid * 100000 + i, .writes = 60 };
        assert_int_equal(pthread_create(&threads[i], NULL, write_short_lives, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++) {
        atomic_store(&purgers[i].stop, true);
        pthread_join(purging[i], NULL);
        if (purgers[i].r != RC_OK)
            fail_msg("purge: %s: %s", rc_name(purgers[i].r), purgers[i].err.text);
    }
    for (int i = 0; i < WRITERS; i++) {
        if (writers[i].r != RC_OK)
            fail_msg("writer: %s: %s", rc_name(writers[i].r), writers[i].err.text);
    }
}

static void *begin_and_fail(void *arg)
{
    struct worker *w = arg;
    struct store_session *ss = NULL;
    struct store_txn *tx = NULL;
    struct arena a;
    struct store_begin o = { .uid = w->uid, .epoch = 1, .mode = STORE_WRITE, .arena = &a };
    arena_init(&a, 1 << 20);
    w->r = store_session_open(fx.store, false, &ss, &w->err);
    if (w->r == RC_OK)
        w->r = store_begin(ss, &o, &tx, &w->err);
    store_rollback(tx);
    store_session_close(ss);
    arena_done(&a);
    return NULL;
}

static void who_waits_too_long_for_the_lock_is_told_so(void **state)
{
    (void)state;
    struct worker w = { .uid = fx.uid };
    pthread_t thread;
    int64_t patience = fx.conf.lock_wait_s;
    assert_int_equal(close_store(state), 0);
    fx.conf.lock_wait_s = 1;
    assert_int_equal(open_store(state), 0);
    put("meta", "a", "x");
    struct store_txn *tx = begin(STORE_WRITE);
    assert_int_equal(pthread_create(&thread, NULL, begin_and_fail, &w), 0);
    pthread_join(thread, NULL);
    assert_int_equal(w.r, RC_BUSY);
    commit(tx);
    put("meta", "a", "y");
    assert_int_equal(close_store(state), 0);
    fx.conf.lock_wait_s = patience;
    assert_int_equal(open_store(state), 0);
}

/* Of MySQL; nobody waits long for a turn that somebody keeps. */
static void who_writes_many_rows_waits_for_his_turn(void **state)
{
    enum { ROWS = WIDE_ROWS };
    if (!fixture_is_mysql())
        return; /* writers of a file of SQLite take turns anyway */
    const struct store_conf before = fx.conf;
    struct item_patch many[ROWS];
    bool existed = false;
    assert_int_equal(close_store(state), 0);
    fx.conf.wide_writers = 1;
    fx.conf.lock_wait_s = 1;
    fx.conf.answer_s = 2;
    assert_int_equal(open_store(state), 0);
    for (size_t i = 0; i < ROWS; i++)
        many[i] = patch((const char *[]){ "a", "b", "c", "d", "e", "f", "g", "h" }[i], "x");
    put_patches("forms", many, ROWS); /* and gives the turn back */

    struct turns *wide = fx.store->engine->wide;
    OK(turn_take(wide, &err));
    struct store_txn *tx = begin(STORE_WRITE);
    GIVES(RC_BUSY, store_items_put(tx, VIEW("history"), many, ROWS, NULL, &err));
    GIVES(RC_BROKEN, store_commit(&tx, &err)); /* after a failure nothing of it happens */
    tx = begin(STORE_WRITE);
    GIVES(RC_BUSY, store_coll_delete(tx, VIEW("forms"), &existed, &err));
    store_rollback(tx);
    tx = begin(STORE_WRITE);
    GIVES(RC_BUSY, store_user_wipe(tx, &err));
    store_rollback(tx);
    put_patches("tabs", many, ROWS - 1);
    turn_give(wide);

    assert_int_equal(head_now()->n_colls, 2);
    put_patches("history", many, ROWS);
    tx = begin(STORE_WRITE);
    OK(store_coll_delete(tx, VIEW("forms"), &existed, &err));
    assert_true(existed);
    OK(store_user_wipe(tx, &err));
    commit(tx);
    assert_int_equal(close_store(state), 0);
    fx.conf = before;
    assert_int_equal(open_store(state), 0);
}

/* What one reading by a head found. */
struct found {
    size_t n;
    stamp newest;
    char shared[40],
        newest_id[40]; /* payload of the item that all writes share, id of the one that each makes */
};

static bool look(const struct item *it, void *arg)
{
    struct found *f = arg;
    bool shared = view_eq(it->id, VIEW("shared"));
    f->n++;
    f->newest = stamp_max(f->newest, it->modified);
    if (shared)
        snprintf(f->shared, sizeof f->shared, "%.*s", VIEW_ARG(it->payload));
    else if (it->modified.cs == f->newest.cs)
        snprintf(f->newest_id, sizeof f->newest_id, "%.*s", VIEW_ARG(it->id));
    return true;
}

/* Reads by the head of a moment ago, all or (changes) what is newer than the beginning. true: it was told that it was the same. */
static bool read_while_written(struct store_session *ss, bool changes, const char *coll, struct arena *a)
{
    struct item_query q = all(coll);
    struct found f = { .n = 0 };
    struct head h;
    bool same = false;
    OK(store_head_read(ss, fx.uid, a, &h, &err));
    if (changes)
        q.newer = (stamp){ .cs = START_US / 10000 - 1 }, q.has_newer = true;
    OK(store_items_by_head(ss, &h, &q, a, look, &f, NULL, &same, &err));
    if (same) {
        assert_int_equal(f.newest.cs, head_coll_find(&h, view_of(coll))->modified.cs);
        assert_string_equal(f.shared, f.newest_id);
    }
    return same;
}

static void what_is_read_by_a_head_is_of_that_head_where_that_is_told(void **state)
{
    (void)state;
    enum { WRITES = 80 };
    struct store_session *ss = NULL;
    atomic_int barrier = 2;
    struct worker w = { .uid = fx.uid, .writes = WRITES, .coll = "forms", .barrier = &barrier };
    pthread_t thread;
    struct arena a;
    arena_init(&a, 1 << 20);
    struct item_patch first[] = { patch("w0-0", "x"), patch("shared", "w0-0") };
    put_patches("forms", first, 2);
    OK(store_session_open(fx.store, true, &ss, &err));
    assert_int_equal(pthread_create(&thread, NULL, work, &w), 0);
    wait_for_all(&barrier);
    for (bool changes = false; pthread_tryjoin_np(thread, NULL) == EBUSY; changes = !changes) {
        read_while_written(ss, changes, "forms", &a);
        arena_reset(&a);
    }
    if (w.r != RC_OK)
        fail_msg("writer: %s: %s", rc_name(w.r), w.err.text);
    assert_int_equal(read_while_written(ss, false, "forms", &a), fixture_is_mysql());
    assert_int_equal(read_while_written(ss, true, "forms", &a), fixture_is_mysql());
    store_session_close(ss);
    arena_done(&a);
}

static const struct CMUnitTest threads_tests[] = {
    TEST(writers_of_one_user_take_turns),
    TEST(five_hundred_new_users_begin_at_the_same_moment),
    TEST(a_new_user_begins_on_many_devices_at_once),
    TEST(purging_and_writing_do_not_deadlock),
    TEST(what_is_read_by_a_head_is_of_that_head_where_that_is_told),
    TEST(who_waits_too_long_for_the_lock_is_told_so),
    TEST(who_writes_many_rows_waits_for_his_turn),
};
const struct test_group threads_group = TEST_GROUP(threads);
