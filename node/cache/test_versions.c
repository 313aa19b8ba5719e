/* The page of shared memory behind versions: who shares it, whose it must be, and what becomes of it when its name is removed. */
#include "node/cache/versions.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/testing.h"

#define LOOKED_US INT64_C(1100000) /* after this versions_refresh looks again */

static char scope[32];
static struct clock_fake fake;

static struct versions *open_page(void)
{
    struct versions *v = NULL;
    struct err e = ERR_NONE;
    if (versions_open(scope, &fake.clock, &v, &e) != RC_OK)
        fail_msg("%s", e.text);
    return v;
}

/* The name that versions.c gave to the page of our scope: the only one that holds it. */
static void find_page(char out[300])
{
    DIR *folder = opendir("/dev/shm");
    assert_non_null(folder);
    out[0] = '\0';
    for (struct dirent *d; (d = readdir(folder));)
        if (strstr(d->d_name, scope))
            snprintf(out, 300, "/%s", d->d_name);
    closedir(folder);
    assert_string_not_equal(out, "");
}

static int set_up(void **state)
{
    (void)state;
    snprintf(scope, sizeof(scope), "test-%d", (int)getpid());
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
    assert_true(version_next(b, 1, &before, &next));
    assert_true(same(now(a, 1), next));
    assert_false(same(next, before));
    assert_true(same(now(a, 2), other));
    assert_true(same(now(alone, 1), apart));
    assert_false(version_next(a, 1, &before, &next)); /* somebody counted on since */
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

static void a_million_users_find_their_counters(void **state)
{
    (void)state;
    struct versions *v = NULL;
    struct version next;
    assert_int_equal(versions_open(NULL, &fake.clock, &v, NULL), RC_OK);
    for (int64_t uid = -500000; uid < 500000; uid++) {
        struct version before = now(v, uid);
        assert_true(version_next(v, uid, &before, &next));
        assert_true(same(now(v, uid), next));
    }
    const int64_t far[] = { INT64_MIN, INT64_MAX };
    for (size_t i = 0; i < 2; i++) {
        struct version before = now(v, far[i]);
        assert_true(version_next(v, far[i], &before, &next));
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
        char name[300];
        struct stat st;
        struct versions *v = open_page(), *refused = NULL;
        struct err e = ERR_NONE;
        versions_close(v);
        find_page(name);
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
    char name[300];
    struct stat st = { .st_size = 0 };
    versions_close(open_page());
    find_page(name);
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
    versions_unlink(scope);
    versions_refresh(a); /* too early to look */
    assert_true(same(now(a, 1), old));
    fake.steady_us += LOOKED_US;
    versions_refresh(a);
    assert_int_not_equal(now(a, 1).page, old.page);
    assert_true(same(now(b, 1), old)); /* has not looked yet … */
    assert_false(version_next(a, 1, &old, &next));
    assert_false(same(now(b, 1), old)); /* … and is told all the same */
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
    char name[300];
    struct versions *a = open_page();
    struct version v;
    find_page(name);
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
        TEST(a_million_users_find_their_counters),
        TEST(what_lies_there_and_is_not_ours_is_refused_and_left_alone),
        TEST(a_page_whose_maker_died_half_way_is_made_whole),
        TEST(a_page_that_was_removed_is_noticed_within_a_second_by_all),
        TEST(with_a_page_that_cannot_be_opened_anew_nobody_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
