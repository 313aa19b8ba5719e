/* What every driver must do, and what the rule above them promises. Time is a clock of the tests' own. */
#include <hiredis/hiredis.h>
#include <unistd.h>

#include "common/base/rand.h"
#include "common/base/scope.h"
#include "common/base/testing.h"
#include "conformance.h"
#include "node/cache/era.h"

static const char *driver_name, *redis_socket;
static redisContext *control; /* NULL without Redis */

#define USER INT64_C(4711)

/* ---- one cache, as one process has it ---- */

struct world {
    struct clock_fake clock;
    struct cache *cache;
    struct cache_handle *h;
    struct buf out;
};

static char scope[64];

static void fresh_scope(void)
{
    snprintf(scope, sizeof(scope), "test-%d-%u", (int)getpid(), rand_below(1000000));
}

static void world_open(struct world *w)
{
    struct cache_conf c = conformance_conf(driver_name, redis_socket, scope);
    struct err e = ERR_NONE;
    *w = (struct world){ .cache = NULL };
    clock_fake_init(&w->clock, 1767225600000000);
    if (cache_open(&c, &w->clock.clock, &w->cache, &e) != RC_OK)
        fail_msg("cache_open: %s", e.text);
    assert_int_equal(cache_handle_open(w->cache, &w->h, &e), RC_OK);
}

static void world_close(struct world *w)
{
    cache_handle_close(w->h);
    cache_close(w->cache);
    buf_done(&w->out);
}

static int begin(void **state)
{
    (void)state;
    fresh_scope();
    if (control)
        freeReplyObject(redisCommand(control, "FLUSHALL"));
    return 0;
}

static int end(void **state)
{
    (void)state;
    era_unlink(scope);
    return 0;
}

static bool caches(void) /* a driver that keeps anything at all */
{
    return strcmp(driver_name, "none") != 0;
}

static bool reads(struct world *w, const char *value)
{
    return cache_get(w->h, USER, &w->out, NULL) && view_eq(buf_view(&w->out), view_of(value));
}

static bool reads_nothing(struct world *w)
{
    return !cache_get(w->h, USER, &w->out, NULL);
}

static void fill(struct world *w, const char *value)
{
    struct cache_mark mark;
    assert_false(cache_get(w->h, USER, &w->out, &mark));
    cache_fill(w->h, USER, &mark, view_of(value));
}

static void write_value(struct world *w, const char *value)
{
    struct cache_mark mark;
    cache_before(w->h, USER, &mark);
    cache_after(w->h, USER, &mark, view_of(value));
}

/* ---- the driver by itself ---- */

struct raw {
    const struct cache_driver *d;
    struct clock_fake clock;
    void *shared, *h;
    struct buf out;
};

static const struct cache_driver *driver(void)
{
    if (strcmp(driver_name, "memory") == 0)
        return &cache_memory;
    return strcmp(driver_name, "redis") == 0 ? &cache_redis : &cache_none;
}

static void raw_open(struct raw *r)
{
    struct cache_conf c = conformance_conf(driver_name, redis_socket, scope);
    bool fresh;
    *r = (struct raw){ .d = driver() };
    clock_fake_init(&r->clock, 1767225600000000);
    assert_int_equal(r->d->open(&c, &r->clock.clock, 1, &r->shared, NULL), RC_OK);
    assert_int_equal(r->d->handle_open(r->shared, &r->h, NULL), RC_OK);
    assert_non_null(r->d->run(r->h, 1, &fresh));
}

static void raw_close(struct raw *r)
{
    r->d->handle_close(r->h);
    r->d->close(r->shared);
    buf_done(&r->out);
}

static bool raw_holds(struct raw *r, view key, view value)
{
    buf_clear(&r->out);
    return r->d->get(r->h, key, &r->out) && view_eq(buf_view(&r->out), value);
}

static bool raw_empty(struct raw *r, view key)
{
    buf_clear(&r->out);
    return !r->d->get(r->h, key, &r->out);
}

#define KEY VIEW("key")

static void what_is_put_is_there_until_it_is_dropped(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r);
    assert_true(raw_empty(&r, KEY));
    assert_true(r.d->put(r.h, KEY, VIEW("one"), 60));
    assert_true(raw_holds(&r, KEY, VIEW("one")));
    assert_true(r.d->put(r.h, KEY, VIEW("two"), 60));
    assert_true(raw_holds(&r, KEY, VIEW("two")));
    assert_true(r.d->drop(r.h, KEY));
    assert_true(raw_empty(&r, KEY));
    assert_true(r.d->drop(r.h, KEY)); /* gone is gone */
    raw_close(&r);
}

static void add_takes_only_an_empty_place(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r);
    assert_true(r.d->add(r.h, KEY, VIEW("one"), 60));
    assert_false(r.d->add(r.h, KEY, VIEW("two"), 60));
    assert_true(raw_holds(&r, KEY, VIEW("one")));
    raw_close(&r);
}

static void swap_takes_only_the_place_of_its_mark(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r);
    assert_false(r.d->swap(r.h, KEY, VIEW("mine"), VIEW("value"), 60));
    assert_true(raw_empty(&r, KEY));
    assert_true(r.d->put(r.h, KEY, VIEW("theirs"), 60));
    assert_false(r.d->swap(r.h, KEY, VIEW("mine"), VIEW("value"), 60));
    assert_true(raw_holds(&r, KEY, VIEW("theirs")));
    assert_true(r.d->swap(r.h, KEY, VIEW("theirs"), VIEW("value"), 60));
    assert_true(raw_holds(&r, KEY, VIEW("value")));
    raw_close(&r);
}

static void keys_and_values_are_any_bytes(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r);
    const view values[] = { VIEW(""), VIEW("\0"), VIEW("a\0b"), VIEW("\r\n$3\r\n"), VIEW("\xff\xfe %s %b") };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_true(r.d->put(r.h, VIEW("k\0\r\n"), values[i], 60));
        assert_true(raw_holds(&r, VIEW("k\0\r\n"), values[i]));
        assert_true(r.d->swap(r.h, VIEW("k\0\r\n"), values[i], VIEW("x"), 60));
    }
    assert_true(raw_empty(&r, VIEW("k")));
    raw_close(&r);
}

static void a_large_value_comes_back_or_is_not_there(void **state)
{
    (void)state;
    struct raw r;
    struct buf big = { 0 };
    raw_open(&r);
    for (int i = 0; i < 200000; i++)
        buf_addf(&big, "%d,", i);
    assert_true(r.d->put(r.h, KEY, VIEW("before"), 60));
    assert_true(r.d->put(r.h, KEY, buf_view(&big), 60));
    assert_true(raw_empty(&r, KEY) || raw_holds(&r, KEY, buf_view(&big)));
    buf_done(&big);
    raw_close(&r);
}

static void two_handles_see_the_same(void **state)
{
    (void)state;
    struct raw r;
    void *other;
    bool fresh;
    raw_open(&r);
    assert_int_equal(r.d->handle_open(r.shared, &other, NULL), RC_OK);
    assert_non_null(r.d->run(other, 1, &fresh));
    assert_true(r.d->put(r.h, KEY, VIEW("one"), 60));
    assert_false(r.d->add(other, KEY, VIEW("two"), 60));
    assert_true(r.d->swap(other, KEY, VIEW("one"), VIEW("three"), 60));
    assert_true(raw_holds(&r, KEY, VIEW("three")));
    r.d->handle_close(other);
    raw_close(&r);
}

static void nothing_lives_longer_than_its_time(void **state)
{
    (void)state;
    if (strcmp(driver_name, "memory") != 0)
        skip(); /* Redis' own clock, not ours */
    struct raw r;
    raw_open(&r);
    assert_true(r.d->put(r.h, KEY, VIEW("one"), 10));
    r.clock.steady_us += 9999999;
    assert_true(raw_holds(&r, KEY, VIEW("one")));
    r.clock.steady_us += 1;
    assert_true(raw_empty(&r, KEY));
    assert_true(r.d->add(r.h, KEY, VIEW("two"), 10));
    raw_close(&r);
}

static void memory_stays_under_its_ceiling_and_keeps_what_is_used(void **state)
{
    (void)state;
    if (strcmp(driver_name, "memory") != 0)
        skip();
    struct raw r;
    char key[32], value[200];
    int found = 0;
    raw_open(&r);
    memset(value, 'v', sizeof(value));
    assert_true(r.d->put(r.h, KEY, VIEW("used"), 60));
    for (int i = 0; i < 100000; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        assert_true(r.d->put(r.h, view_of(key), (view){ .p = value, .n = sizeof(value) }, 60));
        assert_true(raw_holds(&r, KEY, VIEW("used")));
    }
    for (int i = 0; i < 100000; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        found += !raw_empty(&r, view_of(key));
    }
    assert_in_range(found, 2000, (1 << 20) / 200);
    raw_close(&r);
}

/* ---- the rule ---- */

static void a_reader_fills_and_the_next_one_reads(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    assert_true(reads(&w, "one"));
    world_close(&w);
}

static void a_writer_leaves_his_value(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    write_value(&w, "two");
    assert_true(reads(&w, "two"));
    write_value(&w, "");
    assert_true(reads(&w, ""));
    world_close(&w);
}

static void between_mark_and_commit_nothing_is_read_or_filled(void **state)
{
    (void)state;
    struct world w;
    struct cache_mark reader, writer, late;
    world_open(&w);
    assert_false(cache_get(w.h, USER, &w.out, &reader));
    cache_before(w.h, USER, &writer);
    assert_false(cache_get(w.h, USER, &w.out, &late));
    assert_string_equal(late.id, "");
    cache_fill(w.h, USER, &reader, VIEW("old"));
    assert_true(reads_nothing(&w));
    cache_after(w.h, USER, &writer, VIEW("new"));
    cache_fill(w.h, USER, &reader, VIEW("old"));
    assert_true(reads(&w, "new"));
    world_close(&w);
}

static void a_write_that_was_rolled_back_or_unsure_leaves_nothing(void **state)
{
    (void)state;
    struct world w;
    struct cache_mark mark;
    world_open(&w);
    fill(&w, "one");
    cache_before(w.h, USER, &mark);
    cache_after(w.h, USER, &mark, VIEW_NONE);
    assert_true(reads_nothing(&w));
    fill(&w, "two");
    assert_true(reads(&w, "two"));
    world_close(&w);
}

static void a_slow_writer_does_not_overwrite_a_later_one(void **state)
{
    (void)state;
    struct world w;
    struct cache_mark slow, fast;
    world_open(&w);
    cache_before(w.h, USER, &slow);
    cache_before(w.h, USER, &fast);
    cache_after(w.h, USER, &fast, VIEW("2"));
    cache_after(w.h, USER, &slow, VIEW("1"));
    assert_true(reads_nothing(&w));
    world_close(&w);
}

static void users_do_not_meet(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    assert_false(cache_get(w.h, USER + 1, &w.out, NULL));
    assert_false(cache_get(w.h, 471, &w.out, NULL));
    assert_false(cache_get(w.h, 47110, &w.out, NULL));
    assert_false(cache_get(w.h, 0, &w.out, NULL));
    world_close(&w);
}

/* ---- what only a shared cache can suffer ---- */

static void order(const char *command)
{
    redisReply *r = redisCommand(control, command);
    if (!r || r->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", command, r ? r->str : control->errstr);
    freeReplyObject(r);
}

static void cut_all_connections(void)
{
    order("CLIENT KILL TYPE normal SKIPME yes");
}

/* Replaces each key by a list. */
static void plant_wrong_types(void)
{
    redisReply *r = redisCommand(control, "EVAL %s 0",
                                 "for _, k in ipairs(redis.call('KEYS', 'h:*')) do "
                                 "redis.call('DEL', k) redis.call('RPUSH', k, 'x') end return 1");
    assert_true(r && r->type == REDIS_REPLY_INTEGER);
    freeReplyObject(r);
}

static void processes_see_each_others_writes(void **state)
{
    (void)state;
    struct world a, b;
    world_open(&a);
    world_open(&b);
    fill(&a, "one");
    assert_true(reads(&b, "one"));
    write_value(&b, "two");
    assert_true(reads(&a, "two"));
    world_close(&a);
    world_open(&a); /* started anew: finds what is there */
    assert_true(reads(&a, "two"));
    world_close(&a);
    world_close(&b);
}

static void a_writer_cut_off_from_redis_makes_all_others_forget(void **state)
{
    (void)state;
    struct world a, b;
    world_open(&a);
    world_open(&b);
    fill(&a, "old");
    assert_true(reads(&b, "old"));
    cut_all_connections();
    assert_true(reads_nothing(&b)); /* finds his connection cut */
    b.clock.steady_us += 2000000;
    assert_true(reads(&b, "old")); /* has a new one */
    write_value(&a, "new");        /* a has none, and its clock stands still */
    assert_true(reads_nothing(&b));
    fill(&b, "new");
    assert_true(reads(&b, "new"));
    world_close(&a);
    world_close(&b);
}

static void a_mark_of_the_era_before_fills_nothing(void **state)
{
    (void)state;
    struct world a, b;
    struct cache_mark reader, writer;
    world_open(&a);
    world_open(&b);
    assert_true(reads_nothing(&a));                      /* has its connection */
    assert_false(cache_get(b.h, USER, &b.out, &reader)); /* reads "old" from the store now */
    cut_all_connections();
    assert_true(reads_nothing(&b));
    b.clock.steady_us += 2000000;
    assert_true(reads_nothing(&b));
    write_value(&a, "new"); /* cut off: a new era */
    cache_fill(b.h, USER, &reader, VIEW("old"));
    assert_true(reads_nothing(&b));

    cache_before(b.h, USER, &writer); /* a writer whose era ends before his commit … */
    write_value(&a, "ignored");
    assert_false(cache_get(b.h, USER, &b.out, &reader)); /* … and a reader who began before it */
    cache_after(b.h, USER, &writer, VIEW("newest"));
    cache_fill(b.h, USER, &reader, VIEW("new"));
    assert_true(reads_nothing(&b));
    world_close(&a);
    world_close(&b);
}

static void a_flush_between_mark_and_commit_lets_no_old_value_in(void **state)
{
    (void)state;
    struct world a, b;
    struct cache_mark reader, writer;
    world_open(&a);
    world_open(&b);
    cache_before(a.h, USER, &writer);
    order("FLUSHALL");
    assert_false(cache_get(b.h, USER, &b.out, &reader)); /* reads the store before the commit */
    cache_fill(b.h, USER, &reader, VIEW("old"));
    assert_true(reads(&b, "old")); /* still true: nothing was answered */
    cache_after(a.h, USER, &writer, VIEW("new"));
    assert_true(reads_nothing(&b));
    world_close(&a);
    world_close(&b);
}

static void wrong_types_are_nothing_and_go_away(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    plant_wrong_types();
    assert_true(reads_nothing(&w)); /* and removes it */
    fill(&w, "two");
    assert_true(reads(&w, "two"));
    plant_wrong_types();
    write_value(&w, "three");
    assert_true(reads(&w, "three"));
    struct cache_mark mark;
    cache_before(w.h, USER, &mark);
    plant_wrong_types();
    cache_after(w.h, USER, &mark, VIEW("four")); /* his mark is gone: drops */
    assert_true(reads_nothing(&w));
    fill(&w, "four");
    assert_true(reads(&w, "four"));
    world_close(&w);
}

static void a_lost_script_is_sent_again(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    order("SCRIPT FLUSH");
    write_value(&w, "two");
    assert_true(reads(&w, "two"));
    world_close(&w);
}

static void garbage_in_a_key_is_nothing(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    redisReply *r = redisCommand(
        control, "EVAL %s 0",
        "for _, k in ipairs(redis.call('KEYS', 'h:*')) do redis.call('SET', k, '') end return 1");
    freeReplyObject(r);
    assert_true(reads_nothing(&w));
    write_value(&w, "two");
    assert_true(reads(&w, "two"));
    world_close(&w);
}

static void another_machine_in_the_same_scope_is_refused(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    era_unlink(scope); /* what another machine has: no page of ours */
    struct cache_conf c = conformance_conf(driver_name, redis_socket, scope);
    struct cache *other = NULL;
    struct err e = ERR_NONE;
    assert_int_equal(cache_open(&c, &w.clock.clock, &other, &e), RC_BAD_INPUT);
    assert_non_null(strstr(e.text, "another machine"));
    world_close(&w);
}

static void a_removed_page_is_noticed(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    era_unlink(scope);
    freeReplyObject(redisCommand(control, "DEL o:%s", scope));
    w.clock.steady_us += 20000000; /* the look at the page is due, and the claim */
    assert_true(reads_nothing(&w));
    write_value(&w, "two");
    struct world other;
    world_open(&other);
    assert_true(reads(&other, "two"));
    world_close(&other);
    world_close(&w);
}

/* ---- random interleavings against a naive shadow ---- */

#define ACTORS 6
#define USERS  3
#define STEPS  30000

enum actor_kind { READER, WRITER };

struct actor {
    enum actor_kind kind;
    int pc, user, process;
    int value;
    struct cache_mark mark;
};

struct shadow {
    int committed, answered;
    bool locked;
};

/* Two caches (processes), a handle for each actor, all moved on by one step at random. */
struct race {
    struct world *processes;
    size_t n_processes;
    struct cache_handle *handles[ACTORS];
    struct actor actors[ACTORS];
    struct shadow users[USERS];
    unsigned hits, stale;
};

static int number_in(const struct buf *b)
{
    uint64_t n = 0;
    assert_true(view_to_u64(buf_view(b), INT32_MAX, &n));
    return (int)n;
}

static void reader_step(struct race *r, struct actor *a, struct cache_handle *h)
{
    SCOPED(buf_done) struct buf got = { 0 };
    struct shadow *u = &r->users[a->user];

    switch (a->pc++) {
    case 0:
        if (cache_get(h, a->user, &got, &a->mark)) {
            r->hits++;
            r->stale += number_in(&got) < u->answered;
            a->pc = 0;
        }
        break;
    case 1:
        a->value = u->committed;
        break;
    default:
        buf_addf(&got, "%d", a->value);
        cache_fill(h, a->user, &a->mark, buf_view(&got));
        a->pc = 0;
    }
}

static void writer_step(struct race *r, struct actor *a, struct cache_handle *h)
{
    SCOPED(buf_done) struct buf text = { 0 };
    struct shadow *u = &r->users[a->user];

    switch (a->pc) {
    case 0:
        if (u->locked)
            return;
        u->locked = true;
        break;
    case 1:
        cache_before(h, a->user, &a->mark);
        break;
    case 2:
        a->value = -1;
        if (rand_below(10) > 0) /* else rolled back */
            a->value = ++u->committed;
        u->locked = false;
        break;
    case 3:
        buf_addf(&text, "%d", a->value);
        cache_after(h, a->user, &a->mark, a->value < 0 ? VIEW_NONE : buf_view(&text));
        break;
    default:
        if (a->value > u->answered)
            u->answered = a->value;
        a->pc = 0;
        return;
    }
    a->pc++;
}

static void trouble(struct race *r)
{
    if (!control)
        return;
    switch (rand_below(6)) {
    case 0:
        order("FLUSHALL");
        break;
    case 1:
        cut_all_connections();
        break;
    case 2:
        plant_wrong_types();
        break;
    case 3:
        order("SCRIPT FLUSH");
        break;
    default: /* somebody may dial again */
        r->processes[rand_below((uint32_t)r->n_processes)].clock.steady_us += 1000001;
    }
}

static void no_interleaving_gives_an_old_value(void **state)
{
    (void)state;
    struct world processes[2];
    struct race r = { .processes = processes, .n_processes = control ? 2 : 1 };

    for (size_t i = 0; i < r.n_processes; i++)
        world_open(&processes[i]);
    for (size_t i = 0; i < ACTORS; i++) {
        r.actors[i] =
            (struct actor){ .kind = i % 2 ? WRITER : READER, .process = (int)(i / 2 % r.n_processes) };
        assert_int_equal(cache_handle_open(processes[r.actors[i].process].cache, &r.handles[i], NULL), RC_OK);
    }
    for (int step = 0; step < STEPS; step++) {
        uint32_t i = rand_below(ACTORS);
        struct actor *a = &r.actors[i];
        if (a->pc == 0)
            a->user = (int)rand_below(USERS);
        if (a->kind == READER)
            reader_step(&r, a, r.handles[i]);
        else if (a->pc > 0 || rand_below(8) == 0) /* readers are the many */
            writer_step(&r, a, r.handles[i]);
        if (rand_below(150) == 0)
            trouble(&r);
    }
    assert_int_equal(r.stale, 0);
    if (caches())
        assert_true(r.hits > STEPS / 50);
    else
        assert_int_equal(r.hits, 0);
    for (size_t i = 0; i < ACTORS; i++)
        cache_handle_close(r.handles[i]);
    for (size_t i = 0; i < r.n_processes; i++)
        world_close(&processes[i]);
}

static void nothing_is_ever_there(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    fill(&w, "one");
    assert_true(reads_nothing(&w));
    write_value(&w, "two");
    assert_true(reads_nothing(&w));
    assert_true(cache_healthy(w.h));
    world_close(&w);
}

int suite_run(const char *driver, const char *socket)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest keeping[] = {
        TEST(what_is_put_is_there_until_it_is_dropped),
        TEST(add_takes_only_an_empty_place),
        TEST(swap_takes_only_the_place_of_its_mark),
        TEST(keys_and_values_are_any_bytes),
        TEST(a_large_value_comes_back_or_is_not_there),
        TEST(two_handles_see_the_same),
        TEST(nothing_lives_longer_than_its_time),
        TEST(memory_stays_under_its_ceiling_and_keeps_what_is_used),
        TEST(a_reader_fills_and_the_next_one_reads),
        TEST(a_writer_leaves_his_value),
        TEST(between_mark_and_commit_nothing_is_read_or_filled),
        TEST(a_write_that_was_rolled_back_or_unsure_leaves_nothing),
        TEST(a_slow_writer_does_not_overwrite_a_later_one),
        TEST(users_do_not_meet),
        TEST(no_interleaving_gives_an_old_value),
    };
    const struct CMUnitTest shared[] = {
        TEST(processes_see_each_others_writes),
        TEST(a_writer_cut_off_from_redis_makes_all_others_forget),
        TEST(a_mark_of_the_era_before_fills_nothing),
        TEST(a_flush_between_mark_and_commit_lets_no_old_value_in),
        TEST(wrong_types_are_nothing_and_go_away),
        TEST(a_lost_script_is_sent_again),
        TEST(garbage_in_a_key_is_nothing),
        TEST(another_machine_in_the_same_scope_is_refused),
        TEST(a_removed_page_is_noticed),
    };
    const struct CMUnitTest empty[] = {
        TEST(nothing_is_ever_there),
        TEST(no_interleaving_gives_an_old_value),
    };
#undef TEST
    driver_name = driver;
    redis_socket = socket;
    if (!caches())
        return cmocka_run_group_tests_name("none", empty, NULL, NULL);
    int failed = 0;
    if (socket) {
        control = redisConnectUnix(socket);
        if (!control || control->err) {
            fprintf(stderr, "no Redis at %s\n", socket);
            return 1;
        }
        failed += cmocka_run_group_tests_name("shared", shared, NULL, NULL);
    }
    failed += cmocka_run_group_tests_name(driver, keeping, NULL, NULL);
    if (control)
        redisFree(control);
    return failed > 0;
}
