/* The page of shared memory behind versions: who shares it, whose it must be, and what becomes of it when its name is removed. */
#include "node/cache/versions.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/testing.h"
#include "node/cache/shared.h"

#define LOOKED_US INT64_C(1100000) /* after this versions_refresh looks again */

static char scope[32], name[SHARED_NAME_MAX];
static struct clock_fake fake;

static struct versions *open_page(void)
{
    struct versions *v = NULL;
    struct err e = ERR_NONE;
    if (versions_open(scope, &fake.clock, &v, &e) != RC_OK)
        fail_msg("%s", e.text);
    return v;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(scope, sizeof(scope), "test-%d", (int)getpid());
    shared_name(scope, "", name);
    versions_unlink(scope); /* of a test with our number that was killed */
    clock_fake_init(&fake, 1767225600000000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    versions_unlink(scope);
    return 0;
}

static struct version now(const struct versions *v, int64_t uid)
{
    struct version out;
    assert_true(version_now(v, uid, &out));
    return out;
}

/* A whole change. Whether nobody else changed anything meanwhile. */
static bool change(struct versions *v, int64_t uid, struct version *out)
{
    struct version_change c;
    version_begin(v, uid, &c);
    return version_end(v, uid, &c, out);
}

static bool same(struct version a, struct version b)
{
    return version_eq(&a, &b);
}

static void who_shares_a_scope_shares_the_versions_and_a_private_one_is_private(void **state)
{
    (void)state;
    struct versions *a = open_page(), *b = open_page(), *alone = NULL;
    struct version next;
    assert_int_equal(versions_open(NULL, &fake.clock, &alone, NULL), RC_OK);
    struct version before = now(a, 1), apart = now(alone, 1), other = now(a, 2);
    assert_true(same(now(b, 1), before));
    assert_true(change(b, 1, &next));
    assert_true(same(now(a, 1), next));
    assert_false(same(next, before));
    assert_true(same(now(a, 2), other));
    assert_true(same(now(alone, 1), apart));
    assert_true(same(now(b, 1), next));
    versions_close(a);
    versions_close(b);
    versions_close(alone);
    a = open_page(); /* it outlives those who used it, and nothing of before is the present one */
    assert_int_equal(now(a, 1).page, next.page);
    assert_int_equal(now(a, 1).count, next.count);
    assert_false(same(now(a, 1), next));
    versions_close(a);
}

static void while_a_head_is_being_changed_there_is_no_version(void **state)
{
    (void)state;
    struct versions *a = open_page(), *b = open_page();
    struct version before = now(b, 1), v;
    struct version_change slow, fast;
    version_begin(a, 1, &slow);
    assert_false(version_now(a, 1, &v));
    assert_false(version_now(b, 1, &v));
    assert_true(same(now(b, 2), (struct version){ .page = before.page, .start = before.start, .count = 0 }));
    version_begin(b, 1, &fast);
    assert_false(version_end(b, 1, &fast, &v)); /* the other has not ended */
    assert_false(version_now(b, 1, &v));
    assert_false(version_end(a, 1, &slow, &v)); /* another ended meanwhile */
    assert_true(same(now(b, 1), (struct version){
                                    .page = before.page, .start = before.start, .count = before.count + 2 }));
    versions_close(a);
    versions_close(b);
}

/* Forks a process that begins changes of users 1 to n, and dies of it. */
static void die_changing(int64_t n)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct versions *v = open_page();
        struct version_change c;
        for (int64_t uid = 1; uid <= n; uid++)
            version_begin(v, uid, &c);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void the_living_end_what_a_dead_process_began(void **state)
{
    (void)state;
    struct versions *a = open_page();
    struct version_change mine;
    struct version v, old = now(a, 1);
    version_begin(a, 7, &mine);
    die_changing(5);
    for (int64_t uid = 1; uid <= 5; uid++)
        assert_false(version_now(a, uid, &v));
    fake.steady_us += LOOKED_US;
    versions_refresh(a);
    for (int64_t uid = 1; uid <= 5; uid++)
        assert_false(same(now(a, uid), old)); /* it may have committed */
    assert_false(version_now(a, 7, &v));      /* the living one's change goes on */
    assert_true(version_end(a, 7, &mine, &v) || v.start != mine.from.start);
    assert_int_equal(now(a, 7).count, mine.from.count + 1);
    versions_close(a);
}

static void who_begins_alone_ends_all_that_is_left(void **state)
{
    (void)state;
    struct versions *a, *b;
    struct version v;
    die_changing(700); /* more than are noted */
    a = open_page();
    for (int64_t uid = 1; uid <= 700; uid++)
        (void)now(a, uid);
    die_changing(700);
    b = open_page(); /* not alone: only what was noted */
    assert_true(version_now(b, 1, &v));
    assert_false(version_now(b, 700, &v));
    versions_close(a);
    versions_close(b);
}

static void no_more_processes_than_there_are_rows_use_a_page(void **state)
{
    (void)state;
    struct versions *all[64], *refused = NULL;
    struct err e = ERR_NONE;
    for (size_t i = 0; i < 64; i++)
        all[i] = open_page();
    assert_int_equal(versions_open(scope, &fake.clock, &refused, &e), RC_BROKEN);
    assert_non_null(strstr(e.text, "more than 64 processes"));
    versions_close(all[17]);
    all[17] = open_page();
    for (size_t i = 0; i < 64; i++)
        versions_close(all[i]);
}

static void a_million_users_find_their_counters(void **state)
{
    (void)state;
    struct versions *v = NULL;
    struct version next;
    assert_int_equal(versions_open(NULL, &fake.clock, &v, NULL), RC_OK);
    for (int64_t uid = -500000; uid < 500000; uid++) {
        struct version before = now(v, uid);
        assert_true(change(v, uid, &next));
        assert_true(same(now(v, uid), next));
        assert_false(same(before, next));
    }
    const int64_t far[] = { INT64_MIN, INT64_MAX };
    for (size_t i = 0; i < 2; i++) {
        assert_true(change(v, far[i], &next));
        assert_true(same(now(v, far[i]), next));
    }
    versions_close(v);
}

static void what_lies_there_and_is_not_ours_is_refused_and_left_alone(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        off_t size; /* 0: as it is */
        mode_t mode;
        const char *told;
    } cases[] = {
        { NULL, 5, 0600, "is not ours" },
        { "another magic", 0, 0600, "another version" },
        { NULL, 0, 0666, "others may write" },
        { NULL, 0, 0620, "others may write" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stat st;
        struct versions *v = open_page(), *refused = NULL;
        struct err e = ERR_NONE;
        versions_close(v);
        int fd = shm_open(name, O_RDWR, 0);
        assert_true(fd >= 0);
        assert_int_equal(fchmod(fd, cases[i].mode), 0);
        if (cases[i].bytes)
            assert_int_equal(pwrite(fd, cases[i].bytes, 8, 0), 8);
        if (cases[i].size)
            assert_int_equal(ftruncate(fd, cases[i].size), 0);
        assert_int_equal(versions_open(scope, &fake.clock, &refused, &e), RC_BAD_INPUT);
        if (!strstr(e.text, cases[i].told) || !strstr(e.text, name))
            fail_msg("case %zu: %s", i, e.text);
        assert_null(refused);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_nlink, 1);
        assert_int_equal(st.st_mode & 0777, cases[i].mode);
        close(fd);
        versions_unlink(scope);
        versions_close(open_page());
        versions_unlink(scope);
    }
}

static void a_page_whose_maker_died_half_way_is_made_whole(void **state)
{
    (void)state;
    struct stat st = { .st_size = 0 };
    versions_close(open_page());
    int fd = shm_open(name, O_RDWR, 0);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(ftruncate(fd, st.st_size), 0); /* zeroes */
    close(fd);
    struct versions *a = open_page(), *b = open_page();
    assert_int_not_equal(now(a, 1).page, 0);
    assert_true(same(now(a, 1), now(b, 1)));
    versions_close(a);
    versions_close(b);
}

static void a_page_that_was_removed_is_noticed_within_a_second_by_all(void **state)
{
    (void)state;
    struct versions *a = open_page(), *b = open_page();
    struct version old = now(a, 1), next;
    struct version_change c;
    versions_unlink(scope);
    versions_refresh(a); /* too early to look */
    assert_true(same(now(a, 1), old));
    fake.steady_us += LOOKED_US;
    versions_refresh(a);
    assert_int_not_equal(now(a, 1).page, old.page);
    assert_true(same(now(b, 1), old)); /* has not looked yet … */
    version_begin(a, 1, &c);
    assert_false(version_now(b, 1, &next)); /* … and is told all the same */
    assert_true(version_end(a, 1, &c, &next));
    assert_false(same(now(b, 1), old));
    versions_refresh(b);
    assert_true(same(now(b, 1), now(a, 1)));
    old = now(a, 1);
    fake.steady_us += LOOKED_US;
    versions_refresh(a); /* it is there: nothing changes */
    assert_true(same(now(a, 1), old));
    versions_close(a);
    versions_close(b);
}

static void with_a_page_that_cannot_be_opened_anew_nobody_knows(void **state)
{
    (void)state;
    struct versions *a = open_page();
    struct version v;
    versions_unlink(scope);
    int fd = shm_open(name, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0 && ftruncate(fd, 3) == 0);
    close(fd);
    fake.steady_us += LOOKED_US;
    versions_refresh(a);
    assert_false(version_now(a, 1, &v));
    versions_unlink(scope);
    fake.steady_us += LOOKED_US;
    versions_refresh(a);
    assert_true(version_now(a, 1, &v));
    versions_close(a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(who_shares_a_scope_shares_the_versions_and_a_private_one_is_private),
        TEST(while_a_head_is_being_changed_there_is_no_version),
        TEST(the_living_end_what_a_dead_process_began),
        TEST(who_begins_alone_ends_all_that_is_left),
        TEST(no_more_processes_than_there_are_rows_use_a_page),
        TEST(a_million_users_find_their_counters),
        TEST(what_lies_there_and_is_not_ours_is_refused_and_left_alone),
        TEST(a_page_whose_maker_died_half_way_is_made_whole),
        TEST(a_page_that_was_removed_is_noticed_within_a_second_by_all),
        TEST(with_a_page_that_cannot_be_opened_anew_nobody_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
