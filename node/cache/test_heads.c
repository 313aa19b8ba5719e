/* The table of heads in shared memory: what is half written is nothing, and whoever dies leaves nothing behind that others wait for. */
#include "node/cache/heads.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/scope.h"
#include "common/base/testing.h"
#include "node/cache/shared.h"

#define BYTES  ((size_t)64 << 10)
#define BUCKET 4096 /* four places */
#define USER   INT64_C(4711)

static char scope[32], name[SHARED_NAME_MAX];

static int set_up(void **state)
{
    (void)state;
    snprintf(scope, sizeof(scope), "test-%d", (int)getpid());
    shared_name(scope, "-heads1", name);
    heads_unlink(scope); /* of a test with our number that was killed */
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    heads_unlink(scope);
    return 0;
}

static struct heads *open_table(size_t bytes)
{
    struct heads *h = NULL;
    struct err e = ERR_NONE;
    if (heads_open(scope, bytes, &h, &e) != RC_OK)
        fail_msg("%s", e.text);
    return h;
}

static bool has(const struct heads *h, int64_t uid, view value)
{
    SCOPED(buf_done) struct buf out = { 0 };

    return heads_get(h, uid, &out) && view_eq(buf_view(&out), value);
}

static bool has_any(const struct heads *h, int64_t uid)
{
    SCOPED(buf_done) struct buf out = { 0 };

    return heads_get(h, uid, &out);
}

static void who_opens_the_same_scope_shares_the_table(void **state)
{
    (void)state;
    struct heads *a = open_table(BYTES), *b = open_table(BYTES);
    assert_false(has_any(b, USER));
    assert_false(has_any(b, 0));
    heads_put(a, USER, VIEW("one"));
    assert_true(has(b, USER, VIEW("one")));
    assert_false(has_any(b, USER + 1));
    heads_put(b, USER, VIEW("of another length, longer than it was"));
    assert_true(has(a, USER, VIEW("of another length, longer than it was")));
    heads_put(b, USER, VIEW("short"));
    assert_true(has(a, USER, VIEW("short")));
    heads_close(a);
    assert_true(has(b, USER, VIEW("short")));
    heads_close(b);
}

static void every_length_fits_or_is_left_out(void **state)
{
    (void)state;
    struct heads *h = open_table(BYTES);
    char text[HEADS_VALUE_MAX + 1];
    for (size_t n = 1; n <= sizeof(text); n++) {
        memset(text, (int)('a' + n % 26), n);
        heads_put(h, (int64_t)n, (view){ .p = text, .n = n });
        assert_int_equal(has(h, (int64_t)n, (view){ .p = text, .n = n }), n <= HEADS_VALUE_MAX);
    }
    heads_put(h, -1, (view){ .p = text, .n = 0 });
    assert_false(has_any(h, -1));
    heads_close(h);
}

static void users_of_one_bucket_take_each_others_places_and_no_more(void **state)
{
    (void)state;
    enum { N = 9 };
    struct heads *h = open_table(BYTES);
    char text[24];
    int kept = 0;
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof(text), "user %d", i);
        heads_put(h, i * (int64_t)(BYTES / BUCKET), view_of(text));
        assert_true(has(h, i * (int64_t)(BYTES / BUCKET), view_of(text)));
    }
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof(text), "user %d", i);
        bool there = has_any(h, i * (int64_t)(BYTES / BUCKET));
        assert_int_equal(has(h, i * (int64_t)(BYTES / BUCKET), view_of(text)), there);
        kept += there;
    }
    assert_int_equal(kept, 4);
    heads_close(h);
}

static void what_was_damaged_anywhere_is_nothing_until_it_is_put_again(void **state)
{
    (void)state;
    static const char value[] = "a head of forty bytes, more or less long";
    struct heads *h = open_table(BYTES);
    int fd = shm_open(name, O_RDWR, 0);
    assert_true(fd >= 0);
    char *raw = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(raw != MAP_FAILED);
    close(fd);
    heads_put(h, USER, view_of(value));
    char *place = memmem(raw, BYTES, value, sizeof(value) - 1);
    assert_non_null(place);
    place -= 3 * sizeof(uint64_t); /* sum, user, length */
    for (size_t i = 0; i < 3 * sizeof(uint64_t) + sizeof(value) - 1; i++) {
        for (int bit = 0; bit < 8; bit++) {
            place[i] = (char)(place[i] ^ 1 << bit);
            if (has_any(h, USER))
                fail_msg("byte %zu, bit %d", i, bit);
            place[i] = (char)(place[i] ^ 1 << bit);
            assert_true(has(h, USER, view_of(value)));
        }
    }
    place[0] ^= 1;
    heads_put(h, USER, view_of(value));
    assert_true(has(h, USER, view_of(value)));
    munmap(raw, BYTES);
    heads_close(h);
}

static void a_table_of_another_size_is_replaced_and_its_users_keep_it(void **state)
{
    (void)state;
    struct heads *old = open_table(BYTES);
    heads_put(old, USER, VIEW("old"));
    struct heads *new = open_table(2 * BYTES);
    assert_false(has_any(new, USER));
    heads_put(new, USER, VIEW("new"));
    assert_true(has(old, USER, VIEW("old")));
    struct heads *third = open_table(2 * BYTES + 1);
    assert_true(has(third, USER, VIEW("new")));
    heads_close(old);
    heads_close(new);
    heads_close(third);
}

static void a_table_that_others_may_write_is_refused(void **state)
{
    (void)state;
    struct heads *h = open_table(BYTES), *refused = NULL;
    struct err e = ERR_NONE;
    int fd = shm_open(name, O_RDWR, 0);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0622), 0);
    close(fd);
    assert_int_equal(heads_open(scope, BYTES, &refused, &e), RC_BAD_INPUT);
    assert_non_null(strstr(e.text, "others may write"));
    assert_null(refused);
    heads_close(h);
}

/* ---- many at once ---- */

#define CHANGES 500

struct writer {
    struct heads *heads;
    unsigned seed;
    _Atomic bool *over;
};

/* All letters of a value are the same, and as many as the first says: what is mixed of two shows. */
static void put_one(struct heads *h, unsigned *seed)
{
    char text[64];
    size_t n = 1 + (size_t)rand_r(seed) % 26;
    memset(text, (int)('a' + n - 1), n * 2);
    heads_put(h, USER, (view){ .p = text, .n = n * 2 });
}

static bool is_whole(view v)
{
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] != v.p[0] || v.n != 2 * (size_t)(v.p[0] - 'a' + 1))
            return false;
    return v.n > 0;
}

static void *put_many(void *arg)
{
    struct writer *w = arg;
    while (!atomic_load(w->over))
        put_one(w->heads, &w->seed);
    return NULL;
}

static void who_reads_while_others_write_gets_what_one_of_them_put(void **state)
{
    (void)state;
    enum { N = 3 };
    _Atomic bool over = false;
    struct heads *h = open_table(BYTES);
    struct writer writers[N];
    pthread_t threads[N];
    size_t last = 0;
    bool whole = true;
    for (unsigned i = 0; i < N; i++) {
        writers[i] = (struct writer){ .heads = h, .seed = i + 1, .over = &over };
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, &writers[i]), 0);
    }
    for (int changes = 0; whole && changes < CHANGES;) { /* however late the machine lets us look */
        SCOPED(buf_done) struct buf out = { 0 };
        if (!heads_get(h, USER, &out))
            continue;
        whole = is_whole(buf_view(&out));
        changes += out.n != last;
        last = out.n;
    }
    atomic_store(&over, true);
    for (unsigned i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    assert_true(whole);
    put_one(h, &writers[0].seed);
    assert_true(has_any(h, USER));
    heads_close(h);
}

static void a_process_that_is_killed_while_it_puts_holds_nobody_up(void **state)
{
    (void)state;
    struct heads *h = open_table(BYTES);
    for (unsigned round = 0; round < 20; round++) {
        SCOPED(buf_done) struct buf out = { 0 };
        pid_t pid = fork();
        if (pid == 0)
            for (unsigned seed = round;;)
                put_one(h, &seed);
        assert_true(pid > 0);
        while (!heads_get(h, USER, &out)) /* it has begun */
            ;
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        buf_clear(&out);
        if (heads_get(h, USER, &out))
            assert_true(is_whole(buf_view(&out)));
        heads_put(h, USER, VIEW("after"));
        assert_true(has(h, USER, VIEW("after")));
        heads_put(h, USER, VIEW("aa"));
    }
    heads_close(h);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(who_opens_the_same_scope_shares_the_table),
        TEST(every_length_fits_or_is_left_out),
        TEST(users_of_one_bucket_take_each_others_places_and_no_more),
        TEST(what_was_damaged_anywhere_is_nothing_until_it_is_put_again),
        TEST(a_table_of_another_size_is_replaced_and_its_users_keep_it),
        TEST(a_table_that_others_may_write_is_refused),
        TEST(who_reads_while_others_write_gets_what_one_of_them_put),
        TEST(a_process_that_is_killed_while_it_puts_holds_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
