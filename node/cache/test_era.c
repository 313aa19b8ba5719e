/* The page of shared memory behind an era: who shares it, whose it must be, and what becomes of it when its name is removed. */
#include "node/cache/era.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/testing.h"

#define LOOKED_US INT64_C(1100000) /* after this era_refresh looks again */

static char scope[32];
static struct clock_fake fake;

static struct era *open_era(void)
{
    struct era *era = NULL;
    struct err e = ERR_NONE;
    if (era_open(scope, &fake.clock, &era, &e) != RC_OK)
        fail_msg("%s", e.text);
    return era;
}

/* The name that era.c gave to the page of our scope: the only one that holds it. */
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
    era_unlink(scope);
    return 0;
}

static void who_shares_a_scope_shares_the_era_and_a_private_one_is_private(void **state)
{
    (void)state;
    struct era *a = open_era(), *b = open_era(), *alone = NULL;
    uint64_t page_a = 0, page_b = 0;
    assert_int_equal(era_open(NULL, &fake.clock, &alone, NULL), RC_OK);
    uint64_t before = era_now(a, &page_a), apart = era_now(alone, NULL);
    assert_int_equal(era_now(b, &page_b), before);
    assert_int_equal(page_a, page_b);
    era_trip(a);
    assert_int_not_equal(era_now(b, NULL), before);
    assert_int_equal(era_now(a, NULL), era_now(b, NULL));
    assert_int_equal(era_now(alone, NULL), apart);
    era_meet(b, "run 1");
    assert_true(era_is_of(era_now(a, NULL), "run 1"));
    uint64_t met = era_now(a, NULL);
    era_meet(a, "run 1"); /* known already */
    assert_int_equal(era_now(b, NULL), met);
    era_close(a);
    era_close(b);
    era_close(alone);
    a = open_era(); /* it outlives those who used it */
    assert_int_equal(era_now(a, NULL), met);
    era_close(a);
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
        struct era *era = open_era(), *refused = NULL;
        struct err e = ERR_NONE;
        era_close(era);
        find_page(name);
        int fd = shm_open(name, O_RDWR, 0);
        assert_true(fd >= 0);
        assert_int_equal(fchmod(fd, cases[i].mode), 0);
        if (cases[i].bytes)
            assert_int_equal(pwrite(fd, cases[i].bytes, 8, 0), 8);
        if (cases[i].size)
            assert_int_equal(ftruncate(fd, cases[i].size), 0);
        assert_int_equal(era_open(scope, &fake.clock, &refused, &e), RC_BAD_INPUT);
        if (!strstr(e.text, cases[i].told) || !strstr(e.text, name))
            fail_msg("case %zu: %s", i, e.text);
        assert_null(refused);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_nlink, 1);
        assert_int_equal(st.st_mode & 0777, cases[i].mode);
        close(fd);
        era_unlink(scope);
        era_close(open_era());
        era_unlink(scope);
    }
}

static void a_page_whose_maker_died_half_way_is_made_whole(void **state)
{
    (void)state;
    char name[300];
    struct stat st = { .st_size = 0 };
    uint64_t page = 0, again = 0;
    era_close(open_era());
    find_page(name);
    int fd = shm_open(name, O_RDWR, 0);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(ftruncate(fd, st.st_size), 0); /* zeroes */
    close(fd);
    struct era *a = open_era(), *b = open_era();
    era_now(a, &page);
    era_now(b, &again);
    assert_int_not_equal(page, 0);
    assert_int_equal(page, again);
    era_close(a);
    era_close(b);
}

static void a_page_that_was_removed_is_noticed_within_a_second_by_all(void **state)
{
    (void)state;
    struct era *a = open_era(), *b = open_era();
    uint64_t old = 0, page_a = 0, page_b = 0;
    era_now(a, &old);
    era_unlink(scope);
    era_refresh(a); /* too early to look */
    era_now(a, &page_a);
    assert_int_equal(page_a, old);
    fake.steady_us += LOOKED_US;
    era_refresh(a);
    era_refresh(b);
    era_now(a, &page_a);
    era_now(b, &page_b);
    assert_int_not_equal(page_a, old);
    assert_int_equal(page_a, page_b);
    fake.steady_us += LOOKED_US;
    era_refresh(a); /* it is there: nothing changes */
    era_now(a, &page_b);
    assert_int_equal(page_a, page_b);
    era_close(a);
    era_close(b);
}

static void with_a_page_that_cannot_be_opened_anew_nothing_of_before_is_trusted(void **state)
{
    (void)state;
    char name[300];
    struct era *a = open_era();
    uint64_t before = era_now(a, NULL);
    find_page(name);
    era_unlink(scope);
    int fd = shm_open(name, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0 && ftruncate(fd, 3) == 0);
    close(fd);
    fake.steady_us += LOOKED_US;
    era_refresh(a);
    assert_int_not_equal(era_now(a, NULL), before);
    era_close(a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(who_shares_a_scope_shares_the_era_and_a_private_one_is_private),
        TEST(what_lies_there_and_is_not_ours_is_refused_and_left_alone),
        TEST(a_page_whose_maker_died_half_way_is_made_whole),
        TEST(a_page_that_was_removed_is_noticed_within_a_second_by_all),
        TEST(with_a_page_that_cannot_be_opened_anew_nothing_of_before_is_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
