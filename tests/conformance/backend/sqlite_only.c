/* What only the SQLite driver has: a file, its schema, hashes it checks itself. */
#include <sqlite3.h>
#include <sys/stat.h>

#include "fixture.h"

static void sql(struct fixture *f, const char *text)
{
    sqlite3 *db;
    char *why = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s", why);
    sqlite3_close(db);
}

static rc open_again(struct fixture *f, struct err *e)
{
    struct backend *b;
    const struct backend_conf conf = { .path = f->path, .cost = { 64, 1, 1 }, .clock = &f->clock.clock };
    rc r = backend_open(&backend_sqlite, &conf, &b, e);
    if (r == RC_OK)
        backend_close(b);
    return r;
}

static int version(struct fixture *f)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int n = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}

static void a_second_start_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct account_new n = fixture_user("alice", 7);
    fixture_add(f, &n);
    assert_int_equal(open_again(f, NULL), RC_OK);
    assert_int_equal(fixture_get(f, "alice").uid, 7);
}

static void a_file_of_a_newer_version_is_refused_and_untouched(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_NONE;
    char back[64];
    snprintf(back, sizeof(back), "PRAGMA user_version = %d", version(f));
    sql(f, "PRAGMA user_version = 999");
    assert_int_equal(open_again(f, &e), RC_BAD_INPUT);
    assert_non_null(strstr(e.text, "newer"));
    assert_int_equal(version(f), 999);
    sql(f, back);
    assert_int_equal(open_again(f, NULL), RC_OK);
}

static void a_file_that_is_no_database_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_NONE;
    struct backend *b;
    char path[160];
    snprintf(path, sizeof(path), "%s/garbage", f->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        fputs("this is no database, whatever you say ", file);
    fclose(file);
    const struct backend_conf conf = { .path = path, .cost = { 64, 1, 1 }, .clock = &f->clock.clock };
    assert_int_not_equal(backend_open(&backend_sqlite, &conf, &b, &e), RC_OK);
    assert_true(strlen(e.text) > 0);
}

static void nobody_else_may_read_the_file(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_login_with_an_old_hash_makes_a_new_one(void **state)
{
    struct fixture *f = *state;
    struct account a;
    struct account_new n = fixture_user("alice", 7);
    fixture_add(f, &n);
    sql(f,
        "UPDATE accounts SET password = '{SSHA-256}Lid6DT8LQQY5qGAZK+2DJxMKUMfAAOtfsN6pZWGxwv1hYkNEMTIzNA=='");
    assert_int_equal(account_check_password(f->s, VIEW("alice"), VIEW("wrong"), &f->arena, &a, NULL),
                     RC_DENIED);
    /* a wrong one changes nothing */
    sql(f, "UPDATE accounts SET enabled = 'No' WHERE password NOT LIKE '{SSHA-256}%'");
    assert_int_equal(
        account_check_password(f->s, VIEW("alice"), VIEW("caf\xc3\xa9 secret"), &f->arena, &a, NULL), RC_OK);
    sql(f, "UPDATE accounts SET enabled = 'No' WHERE password NOT LIKE '$argon2id$%'");
    assert_int_equal(
        account_check_password(f->s, VIEW("alice"), VIEW("caf\xc3\xa9 secret"), &f->arena, &a, NULL), RC_OK);
    assert_int_equal(a.password_since_ms, START_MS); /* it is still the same password */
}

static void ten_digits_are_the_end_of_uids(void **state)
{
    struct fixture *f = *state;
    int64_t first = 0;
    sql(f, "UPDATE counters SET next = 9999999999 WHERE name = 'uid'");
    assert_int_equal(uid_next(f->s, 2, &first, NULL), RC_BROKEN);
    assert_int_equal(uid_next(f->s, 1, &first, NULL), RC_OK);
    assert_true(first == UID_MAX);
    assert_int_equal(uid_next(f->s, 1, &first, NULL), RC_BROKEN);
}

static void a_failed_write_leaves_the_session_usable(void **state)
{
    struct fixture *f = *state;
    struct account_new n = fixture_user("alice", 7), m = fixture_user("bob", 7); /* the uid of another */
    fixture_add(f, &n);
    assert_int_equal(account_add(f->s, &m, NULL), RC_BROKEN);
    m.uid = 8;
    fixture_add(f, &m);
    assert_int_equal(fixture_get(f, "bob").uid, 8);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_second_start_changes_nothing),
        TEST(a_file_of_a_newer_version_is_refused_and_untouched),
        TEST(a_file_that_is_no_database_is_an_error),
        TEST(nobody_else_may_read_the_file),
        TEST(a_login_with_an_old_hash_makes_a_new_one),
        TEST(ten_digits_are_the_end_of_uids),
        TEST(a_failed_write_leaves_the_session_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
