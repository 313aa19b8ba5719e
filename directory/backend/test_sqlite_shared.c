/* Several processes on one SQLite file. */
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/testing.h"
#include "directory/backend/backend.h"

static char folder[] = "/tmp/heddle-shared-XXXXXX";
static char path[128];

static struct backend *open_file(void)
{
    struct err e = ERR_NONE;
    struct backend *b;
    const struct backend_conf c = { .path = path,
                                    .cost = { .kib = 8, .passes = 1, .lanes = 1 },
                                    .clock = clock_system() };
    if (backend_open(&backend_sqlite, &c, &b, &e) != RC_OK)
        fail_msg("%s", e.text);
    return b;
}

static struct backend_session *open_session(struct backend *b)
{
    struct backend_session *s;
    assert_int_equal(backend_session_open(b, &s, NULL), RC_OK);
    return s;
}

static int64_t next(struct backend_session *s)
{
    int64_t uid;
    assert_int_equal(uid_next(s, 1, &uid, NULL), RC_OK);
    return uid;
}

/* A process made beforehand (SQLite does not survive a fork): when told, it opens the file, takes a number and closes. */
struct neighbour {
    pid_t pid;
    int go, got;
};

static struct neighbour neighbour_new(void)
{
    int go[2], got[2];
    char c;
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(got), 0);
    struct neighbour n = { .pid = fork(), .go = go[1], .got = got[0] };
    assert_true(n.pid >= 0);
    if (n.pid > 0) {
        close(go[0]);
        close(got[1]);
        return n;
    }
    close(go[1]);
    close(got[0]);
    if (read(go[0], &c, 1) != 1)
        _exit(1);
    struct backend *b = open_file();
    struct backend_session *s = open_session(b);
    int64_t uid = next(s);
    backend_session_close(s);
    backend_close(b);
    _exit(write(got[1], &uid, sizeof(uid)) == sizeof(uid) ? 0 : 1);
}

static int64_t neighbour_next(struct neighbour *n)
{
    int64_t uid;
    int status;
    assert_int_equal(write(n->go, "x", 1), 1);
    assert_int_equal(read(n->got, &uid, sizeof(uid)), sizeof(uid));
    assert_int_equal(waitpid(n->pid, &status, 0), n->pid);
    assert_int_equal(status, 0);
    close(n->go);
    close(n->got);
    return uid;
}

static void a_process_that_leaves_does_not_take_the_log_of_the_others_along(void **state)
{
    (void)state;
    struct neighbour first = neighbour_new(), second = neighbour_new();
    struct backend *b = open_file();
    struct backend_session *one = open_session(b);
    int64_t uid = next(one);
    struct backend_session *two = open_session(b); /* opening must not give up what `one` holds */
    assert_int_equal(neighbour_next(&first), uid + 1);
    assert_int_equal(next(one), uid + 2);
    assert_int_equal(neighbour_next(&second), uid + 3);
    assert_int_equal(next(two), uid + 4);
    backend_session_close(one);
    backend_session_close(two);
    backend_close(b);
}

enum { WRITERS = 6 };

static void *write_in_vain(void *session)
{
    int64_t uid;
    return uid_next(session, 1, &uid, NULL) == RC_AWAY ? session : NULL;
}

static void writers_of_a_file_that_another_keeps_locked_are_refused_together(void **state)
{
    (void)state;
    struct backend *b = open_file();
    struct backend_session *sessions[WRITERS];
    pthread_t threads[WRITERS];
    sqlite3 *other;
    int64_t before = 0;
    for (size_t i = 0; i < WRITERS; i++) {
        sessions[i] = open_session(b);
        before = next(sessions[i]);
    }
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    int64_t began_us = clock_mono_us(clock_system());
    for (size_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_in_vain, sessions[i]), 0);
    for (size_t i = 0; i < WRITERS; i++) {
        void *refused;
        pthread_join(threads[i], &refused);
        assert_ptr_equal(refused, sessions[i]);
    }
    assert_true(clock_mono_us(clock_system()) - began_us < 25000000); /* one after the other: half a minute */
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    for (size_t i = 0; i < WRITERS; i++) {
        assert_int_equal(next(sessions[i]), before + 1 + (int64_t)i);
        backend_session_close(sessions[i]);
    }
    backend_close(b);
}

static void a_place_where_no_file_can_be_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "/", "/nowhere/at/all", "/proc/self" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = ERR_NONE;
        struct backend *b;
        const struct backend_conf c = { .path = bad[i],
                                        .cost = { .kib = 8, .passes = 1, .lanes = 1 },
                                        .clock = clock_system() };
        assert_int_equal(backend_open(&backend_sqlite, &c, &b, &e), RC_BAD_INPUT);
        assert_non_null(strstr(e.text, "cannot open"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_that_leaves_does_not_take_the_log_of_the_others_along),
        cmocka_unit_test(writers_of_a_file_that_another_keeps_locked_are_refused_together),
        cmocka_unit_test(a_place_where_no_file_can_be_is_refused),
    };
    signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof(path), "%s/directory.sqlite", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(folder);
    return failed;
}
