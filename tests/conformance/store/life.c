/* Opening: settings, the schema, two processes at once. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/testing.h"
#include "node/store/internal.h"
#include "tests/conformance/store/fixture.h"

static void the_store_knows_its_name_and_schema(void **state)
{
    (void)state;
    assert_string_equal(store_driver_name(fx.store), fx.conf.driver);
    assert_true(store_schema_version(fx.store) >= 1);
    OK(store_ping(fx.ss, &err));
}

static void what_was_written_is_there_after_a_restart(void **state)
{
    (void)state;
    stamp t = put("own", "a", "x");
    assert_int_equal(close_store(state), 0);
    assert_int_equal(open_store(state), 0);
    assert_view(get("own", "a").payload, "x");
    assert_int_equal(head_now()->clock.cs, t.cs);
}

static void refuse(struct store_conf *conf)
{
    struct store *s = NULL;
    assert_int_equal(store_open(conf, &fx.clock.clock, &s, &err), RC_BAD_INPUT);
    assert_null(s);
    assert_true(strlen(err.text) > 20); /* a sentence */
}

static void wrong_settings_are_refused_in_a_sentence(void **state)
{
    (void)state;
    struct store_conf conf = fx.conf;
    conf.driver = "oracle";
    refuse(&conf);
    conf = fx.conf;
    if (fixture_is_mysql()) {
        conf.database = "";
        refuse(&conf);
        conf.database = "no_such_database";
        refuse(&conf);
        conf = fx.conf;
        conf.user = "nobody";
        conf.password = "wrong";
        refuse(&conf);
        conf = fx.conf;
        conf.answer_s = conf.lock_wait_s;
        refuse(&conf);
        conf = fx.conf;
        conf.socket = "/nonexistent/socket";
        struct store *s = NULL;
        assert_int_equal(store_open(&conf, &fx.clock.clock, &s, &err), RC_AWAY);
    } else {
        conf.path = "";
        refuse(&conf);
        conf.path = "/proc/no-folder-here";
        refuse(&conf);
        conf = fx.conf;
        conf.files = 0;
        refuse(&conf);
    }
}

static rc raw(const char *sql)
{
    struct conn *c = NULL;
    struct stmt *st = NULL;
    TRY(session_begin(fx.ss, 0, STORE_WRITE, &c, &err));
    rc r = c->driver->prepare(c, sql, &st, &err);
    if (r == RC_OK) {
        r = stmt_run(st, NULL, &err);
        c->driver->stmt_free(st);
    }
    if (r == RC_OK)
        return c->driver->commit(c, &err);
    c->driver->rollback(c);
    return r;
}

static void a_newer_database_is_refused(void **state)
{
    (void)state;
    OK(raw(fixture_is_mysql() ? "INSERT INTO schema_version (version) VALUES (9000)"
                              : "PRAGMA user_version = 9000"));
    refuse(&fx.conf);
    OK(raw(fixture_is_mysql() ? "DELETE FROM schema_version WHERE version = 9000"
                              : "PRAGMA user_version = 2"));
    struct store *s = NULL;
    OK(store_open(&fx.conf, &fx.clock.clock, &s, &err));
    store_close(s);
}

static void a_database_that_may_lose_commits_is_refused_unless_asked_for(void **state)
{
    (void)state;
    if (!fixture_is_mysql())
        return; /* there it is ours to set */
    OK(raw("SET GLOBAL innodb_flush_log_at_trx_commit = 2"));
    refuse(&fx.conf);
    struct store_conf careless = fx.conf;
    struct store *s = NULL;
    careless.durable = false;
    OK(store_open(&careless, &fx.clock.clock, &s, &err));
    store_close(s);
    OK(raw("SET GLOBAL innodb_flush_log_at_trx_commit = 1"));
}

static void the_number_of_files_is_fixed_when_the_folder_is_made(void **state)
{
    (void)state;
    if (fixture_is_mysql())
        return;
    struct store_conf conf = fx.conf;
    struct store *s = NULL;
    conf.files = 9;
    OK(store_open(&conf, &fx.clock.clock, &s, &err));
    assert_int_equal(s->engine->shards, fx.conf.files);
    store_close(s);
}

static void heads_are_counted_by_state_and_bytes_with_them(void **state)
{
    (void)state;
    struct store_facts before, now;
    int64_t first = 10000000 + fx.uid; /* below those of the list of heads */
    OK(store_facts(fx.ss, &before, &err));
    struct new_head h = { .epoch = 1, .state = HEAD_ACTIVE };
    for (int i = 0; i < 7; i++) { /* over several files */
        h.uid = first + i;
        h.state = i < 4 ? HEAD_ACTIVE : HEAD_GONE;
        OK(head_insert(fx.ss, &h, &err));
    }
    OK(store_facts(fx.ss, &now, &err));
    assert_int_equal(now.heads[HEAD_ACTIVE] - before.heads[HEAD_ACTIVE], 4);
    assert_int_equal(now.heads[HEAD_GONE] - before.heads[HEAD_GONE], 3);
    assert_int_equal(now.heads[HEAD_NONE], 0);
    assert_true(now.bytes > 0);
    assert_int_equal(now.folder[0], '/'); /* of a server on this machine, too */
}

static void the_database_says_whether_a_commit_survives_a_power_cut(void **state)
{
    (void)state;
    struct store_durability d;
    OK(store_durability(fx.ss, &d, &err));
    if (!fixture_is_mysql()) {
        assert_string_equal(d.text, fx.conf.durable ? "synchronous=2" : "synchronous=1");
        assert_int_equal(d.durable, fx.conf.durable);
        return;
    }
    assert_non_null(strstr(d.text, "innodb_flush_log_at_trx_commit="));
    assert_non_null(strstr(d.text, " innodb_doublewrite=1"));
    OK(raw("SET GLOBAL innodb_flush_log_at_trx_commit = 2"));
    OK(store_durability(fx.ss, &d, &err));
    assert_false(d.durable);
    OK(raw("SET GLOBAL innodb_flush_log_at_trx_commit = 1"));
    OK(store_durability(fx.ss, &d, &err));
    assert_true(d.durable);
    put("meta", "global", "the session goes on");
}

static void a_note_of_the_node_stays_until_it_is_taken_back(void **state)
{
    (void)state;
    view got = VIEW("?");
    OK(store_note_get(fx.ss, VIEW("test"), &fx.arena, &got, &err));
    assert_null(got.p);
    OK(store_note_put(fx.ss, VIEW("test"), VIEW("one"), &err));
    OK(store_note_put(fx.ss, VIEW("test"), VIEW("two"), &err));
    struct store_session *other = NULL;
    OK(store_session_open(fx.store, true, &other, &err));
    OK(store_note_get(other, VIEW("test"), &fx.arena, &got, &err));
    assert_view(got, "two");
    OK(store_note_put(fx.ss, VIEW("test"), VIEW_NONE, &err));
    OK(store_note_get(other, VIEW("test"), &fx.arena, &got, &err));
    assert_null(got.p);
    store_session_close(other);
}

static void a_user_has_a_quota_of_his_own_where_he_lives(void **state)
{
    (void)state;
    GIVES(RC_NOT_FOUND, store_quota_set(fx.ss, fx.uid, 1000, &fx.arena, &err));
    put("meta", "global", "x");
    OK(store_quota_set(fx.ss, fx.uid, 1000, &fx.arena, &err));
    assert_int_equal(head_now()->quota_bytes, 1000);
    put("meta", "global", "y"); /* a write leaves it alone */
    assert_int_equal(head_now()->quota_bytes, 1000);
    OK(store_quota_set(fx.ss, fx.uid, -1, &fx.arena, &err));
    assert_int_equal(head_now()->quota_bytes, -1);
    struct move gone = { .uid = fx.uid, .id = VIEW("m"), .epoch = 2 };
    OK(store_head_step(fx.ss, &gone, STEP_LEAVE, NULL, &fx.arena, NULL, &err));
    GIVES(RC_CONFLICT, store_quota_set(fx.ss, fx.uid, 1000, &fx.arena, &err));
}

struct starter {
    struct store_conf conf;
    rc r;
    atomic_int tid;
    atomic_bool over;
};

static void *start(void *arg)
{
    struct starter *me = arg;
    struct store *s = NULL;
    atomic_store(&me->tid, gettid());
    me->r = store_open(&me->conf, &fx.clock.clock, &s, NULL);
    if (me->r == RC_OK)
        store_close(s);
    atomic_store(&me->over, true);
    return NULL;
}

static bool sleeps_or_is_over(struct starter *who)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", atomic_load(&who->tid));
    FILE *f = fopen(path, "re");
    if (f) {
        (void)!fread(line, 1, sizeof line - 1, f);
        fclose(f);
    }
    return atomic_load(&who->over) || strstr(line, ") S ");
}

/* As another that starts at the same time holds it, for a moment. */
static void a_new_file_that_another_holds_is_waited_for(void **state)
{
    (void)state;
    if (fixture_is_mysql())
        return;
    char folder[] = "/tmp/heddle-start-XXXXXX", path[64];
    struct starter starter = { .conf = fx.conf };
    sqlite3 *other = NULL;
    pthread_t thread;
    assert_non_null(mkdtemp(folder));
    starter.conf.path = folder;
    snprintf(path, sizeof path, "%s/node-00.sqlite", folder);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(pthread_create(&thread, NULL, start, &starter), 0);
    WAIT_UNTIL(atomic_load(&starter.tid) && sleeps_or_is_over(&starter));
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    pthread_join(thread, NULL);
    assert_int_equal(starter.r, RC_OK);
    sqlite3_close(other);
    fixture_remove_folder(folder);
}

static void several_can_start_on_an_empty_database_at_once(void **state)
{
    (void)state;
    enum { STARTERS = 6 };
    char folder[] = "/tmp/heddle-start-XXXXXX";
    struct starter starters[STARTERS];
    pthread_t threads[STARTERS];
    assert_non_null(mkdtemp(folder));
    if (fixture_is_mysql())
        OK(raw("CREATE DATABASE heddle_start"));
    for (int i = 0; i < STARTERS; i++) {
        starters[i] = (struct starter){ .conf = fx.conf };
        starters[i].conf.path = folder;
        starters[i].conf.files = i + 1;
        starters[i].conf.database = "heddle_start";
        assert_int_equal(pthread_create(&threads[i], NULL, start, &starters[i]), 0);
    }
    for (int i = 0; i < STARTERS; i++) /* all, before a test that fails gives up its stack */
        pthread_join(threads[i], NULL);
    for (int i = 0; i < STARTERS; i++)
        assert_int_equal(starters[i].r, RC_OK);
    if (fixture_is_mysql())
        OK(raw("DROP DATABASE heddle_start"));
    fixture_remove_folder(folder);
}

static const struct CMUnitTest life_tests[] = {
    TEST(the_store_knows_its_name_and_schema),
    TEST(what_was_written_is_there_after_a_restart),
    TEST(wrong_settings_are_refused_in_a_sentence),
    TEST(a_newer_database_is_refused),
    TEST(a_database_that_may_lose_commits_is_refused_unless_asked_for),
    TEST(the_number_of_files_is_fixed_when_the_folder_is_made),
    TEST(a_new_file_that_another_holds_is_waited_for),
    TEST(several_can_start_on_an_empty_database_at_once),
    TEST(heads_are_counted_by_state_and_bytes_with_them),
    TEST(a_note_of_the_node_stays_until_it_is_taken_back),
    TEST(a_user_has_a_quota_of_his_own_where_he_lives),
    TEST(the_database_says_whether_a_commit_survives_a_power_cut),
};
const struct test_group life_group = TEST_GROUP(life);
