#include "common/base/testing.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/folder.h"
#include "admin/run/run.h"
#include "admin/run/run_show.h"
#include "common/base/json.h"
#include "common/base/scope.h"

static char folder[64];
static struct admin_conf conf;

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/heddle-run-XXXXXX");
    assert_non_null(mkdtemp(folder));
    conf = (struct admin_conf){ .dir = folder };
    return 0;
}

static int unlink_it(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    return nftw(folder, unlink_it, 8, FTW_DEPTH | FTW_PHYS);
}

static json_t *plan_of(int n)
{
    json_t *moves = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(moves, json_pack("{s:s,s:i,s:s,s:s,s:i}", "user", "u", "uid", i + 1, "from",
                                               "a", "to", "b", "bytes", 100));
    return json_pack("{s:i,s:s,s:s,s:o}", "plan", 1, "kind", "drain", "node", "a", "moves", moves);
}

static struct journal *fresh(int n)
{
    struct journal *j = NULL;
    struct err e = ERR_NONE;
    json_t *plan = plan_of(n),
           *options = run_options_json(&(struct run_options){ .parallel = 3, .tries = 2, .rate = 77 });
    assert_int_equal(journal_create(&conf, plan, options, &j, &e), RC_OK);
    json_decref(plan);
    json_decref(options);
    return j;
}

static void say(struct journal *j, size_t i, enum run_move_state s, const char *word)
{
    struct err e = ERR_NONE;
    j->moves[i].state = s;
    assert_int_equal(journal_add_move(j, i, word, &e), RC_OK);
}

static struct journal *open_again(const char *id, bool take)
{
    struct journal *j = NULL;
    struct err e = ERR_NONE;
    rc r = journal_open(&conf, id, take, &j, &e);
    if (r != RC_OK)
        fail_msg("%s", e.text);
    return j;
}

/* ---- the journal ---- */

static void a_journal_tells_what_happened(void **state)
{
    (void)state;
    struct journal *j = fresh(4);
    struct err e = ERR_NONE;
    char id[RUN_ID_MAX];
    snprintf(id, sizeof(id), "%s", j->id);
    assert_int_equal(journal_add_state(j, RUN_RUNNING, "", &e), RC_OK);
    snprintf(j->moves[0].move, sizeof(j->moves[0].move), "m1");
    say(j, 0, RUN_MOVE_BEGUN, "begun");
    j->moves[0].items = 5;
    say(j, 0, RUN_MOVE_DONE, "done");
    say(j, 1, RUN_MOVE_BEGUN, "begun");
    say(j, 2, RUN_MOVE_GIVEN_UP, "given up");
    journal_close(j);

    SCOPED(journal_close) struct journal *k = open_again(id, false);
    assert_int_equal(k->state, RUN_STOPPED); /* nobody holds it, and it has no end */
    assert_int_equal(k->moves[0].state, RUN_MOVE_DONE);
    assert_string_equal(k->moves[0].move, "m1");
    assert_int_equal(k->moves[0].items, 5);
    assert_int_equal(k->moves[1].state, RUN_MOVE_BEGUN);
    assert_int_equal(k->moves[2].state, RUN_MOVE_GIVEN_UP);
    assert_int_equal(k->moves[3].state, RUN_MOVE_PENDING);
    struct run_options o;
    run_options_read(json_object_get(k->head, "options"), &o);
    assert_int_equal(o.parallel, 3);
    assert_int_equal(o.rate, 77);
}

static void only_one_process_runs_a_journal(void **state)
{
    (void)state;
    struct journal *j = fresh(1), *other = NULL;
    struct err e = ERR_NONE;
    assert_int_equal(journal_add_state(j, RUN_RUNNING, "", &e), RC_OK);
    assert_int_equal(journal_open(&conf, j->id, true, &other, &e), RC_CONFLICT);
    other = open_again("last", false);
    assert_int_equal(other->state, RUN_RUNNING);
    journal_close(other);
    char id[RUN_ID_MAX];
    snprintf(id, sizeof(id), "%s", j->id);
    journal_close(j);
    journal_close(open_again(id, true));
}

static void a_torn_last_line_is_no_hindrance(void **state)
{
    (void)state;
    SCOPED(buf_done) struct buf text = { 0 };
    struct journal *j = fresh(2);
    struct err e = ERR_NONE;
    char path[200], id[RUN_ID_MAX];
    snprintf(path, sizeof(path), "%s", j->path);
    snprintf(id, sizeof(id), "%s", j->id);
    say(j, 0, RUN_MOVE_DONE, "done");
    say(j, 1, RUN_MOVE_DONE, "done");
    journal_close(j);
    assert_int_equal(folder_read(path, 1 << 20, &text, &e), RC_OK);
    assert_int_equal(folder_write(path, (view){ .p = text.p, .n = text.n - 20 }, &e), RC_OK);
    j = open_again(id, true);
    assert_int_equal(j->moves[0].state, RUN_MOVE_DONE);
    assert_int_equal(j->moves[1].state, RUN_MOVE_PENDING);
    say(j, 1, RUN_MOVE_DONE, "done"); /* behind the torn line, on a line of its own */
    journal_close(j);
    j = open_again(id, false);
    assert_int_equal(j->moves[1].state, RUN_MOVE_DONE);
    journal_close(j);
}

static void words_reach_the_run_and_are_taken_away(void **state)
{
    (void)state;
    SCOPED(journal_close) struct journal *j = fresh(1);
    struct err e = ERR_NONE;
    assert_int_equal(journal_hear(j), RUN_NOTHING);
    assert_int_equal(journal_ask(j, RUN_PAUSE, &e), RC_OK);
    assert_int_equal(journal_hear(j), RUN_PAUSE);
    assert_int_equal(journal_ask(j, RUN_PAUSE, &e), RC_OK);
    assert_int_equal(journal_ask(j, RUN_CANCEL, &e), RC_OK);
    assert_int_equal(journal_hear(j), RUN_CANCEL);
    assert_int_equal(journal_hear(j), RUN_NOTHING);
}

enum { SPEAKERS = 2, WORDS = 5, ROUNDS = 25 };

struct speaking {
    const struct journal *j;
    atomic_int over;
};

/* The last word is another than those before. */
static void *speak(void *arg)
{
    struct speaking *x = arg;
    struct err e = ERR_NONE;
    bool good = true;
    for (int i = 0; i < WORDS; i++)
        good &= journal_ask(x->j, i + 1 < WORDS ? RUN_PAUSE : RUN_CANCEL, &e) == RC_OK;
    atomic_fetch_add(&x->over, 1);
    return good ? arg : NULL;
}

static void the_last_word_is_heard_however_fast_words_come(void **state)
{
    (void)state;
    SCOPED(journal_close) struct journal *j = fresh(1);
    for (int round = 0; round < ROUNDS; round++) {
        struct speaking x = { .j = j };
        enum run_word last = RUN_NOTHING, word;
        pthread_t threads[SPEAKERS];
        for (size_t i = 0; i < SPEAKERS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, speak, &x), 0);
        for (bool over = false; !over;) {
            over = atomic_load(&x.over) == SPEAKERS;
            word = journal_hear(j);
            last = word == RUN_NOTHING ? last : word;
        }
        for (size_t i = 0; i < SPEAKERS; i++) {
            void *good;
            pthread_join(threads[i], &good);
            assert_non_null(good);
        }
        assert_int_equal(last, RUN_CANCEL);
    }
}

struct hearing {
    const struct journal *j;
    enum run_word word;
};

static void *hear(void *arg)
{
    struct hearing *x = arg;
    x->word = journal_hear(x->j);
    return NULL;
}

/* The word that is read comes through a pipe: whoever reads it reads on until its other end is closed. */
static void a_word_that_comes_while_another_is_read_is_heard_after_it(void **state)
{
    (void)state;
    SCOPED(journal_close) struct journal *j = fresh(1);
    struct hearing x = { .j = j };
    struct err e = ERR_NONE;
    pthread_t thread;
    int unread;
    assert_int_equal(mkfifo(j->control, 0600), 0);
    int pipe_fd = open(j->control, O_RDWR | O_CLOEXEC);
    assert_true(pipe_fd >= 0);
    assert_int_equal(write(pipe_fd, "pause", 5), 5);
    assert_int_equal(pthread_create(&thread, NULL, hear, &x), 0);
    WAIT_UNTIL(ioctl(pipe_fd, FIONREAD, &unread) == 0 && unread == 0);
    assert_int_equal(journal_ask(j, RUN_CANCEL, &e), RC_OK);
    close(pipe_fd);
    pthread_join(thread, NULL);
    assert_int_equal(x.word, RUN_PAUSE);
    assert_int_equal(journal_hear(j), RUN_CANCEL);
}

static void no_file_outside_the_folder_is_opened(void **state)
{
    (void)state;
    static const char *const ids[] = { "../../etc/passwd", "", "nothing", "20260101-000000-ffffff",
                                       "/etc/x" };
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct journal *j = NULL;
        struct err e = ERR_NONE;
        assert_int_equal(journal_open(&conf, ids[i], i % 2, &j, &e), RC_NOT_FOUND);
    }
}

/* ---- the window ---- */

static void a_window_is_open_from_its_first_minute_to_its_last(void **state)
{
    (void)state;
    static const struct {
        const char *window;
        int hour, minute;
        bool open;
    } cases[] = { { "22:00-06:00", 21, 59, false }, { "22:00-06:00", 22, 0, true },
                  { "22:00-06:00", 0, 0, true },    { "22:00-06:00", 5, 59, true },
                  { "22:00-06:00", 6, 0, false },   { "9:30-17:00", 9, 29, false },
                  { "9:30-17:00", 9, 30, true },    { "9:30-17:00", 17, 0, false },
                  { "00:00-00:00", 12, 0, true } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct run_window w;
        struct tm tm = { .tm_year = 126,
                         .tm_mon = 4,
                         .tm_mday = 5,
                         .tm_hour = cases[i].hour,
                         .tm_min = cases[i].minute,
                         .tm_isdst = -1 };
        assert_true(run_window_parse(cases[i].window, &w));
        assert_int_equal(run_window_open(&w, mktime(&tm)), cases[i].open);
    }
}

static void what_is_no_window_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = { "",          "22-6",        "22:00",       "22:00-",
                                         "-06:00",    "24:00-06:00", "22:60-06:00", "22:0-06:00",
                                         "a:00-06:00" };
    struct run_window w;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_false(run_window_parse(texts[i], &w));
}

/* ---- the brake ---- */

static struct ease *ease_with(struct clock_fake *f, int64_t rate, int64_t rise)
{
    clock_fake_init(f, 1);
    return ease_new(&(struct ease_options){ .rate = rate, .rise = rise, .clock = &f->clock });
}

static void a_rate_holds_for_all_moves_together(void **state)
{
    (void)state;
    struct clock_fake f;
    struct ease *x = ease_with(&f, 1000000, 0);
    assert_int_equal(ease_wait_us(x, VIEW("a"), VIEW("b"), 500000, 0, 0), 500000);
    /* in line behind the first */
    assert_int_equal(ease_wait_us(x, VIEW("c"), VIEW("d"), 500000, 0, 0), 1000000);
    f.steady_us += 2000000;
    /* what was not used is gone */
    assert_int_equal(ease_wait_us(x, VIEW("a"), VIEW("b"), 100000, 0, 0), 100000);
    ease_free(x);
}

static void the_brake_follows_the_latency_of_each_node(void **state)
{
    (void)state;
    struct clock_fake f;
    struct ease *x = ease_with(&f, 0, 20000);
    for (int i = 0; i < 3; i++)
        ease_hear(x, VIEW("a"), 2.0);
    ease_hear(x, VIEW("a"), 2.3);
    assert_true(ease_back(x, VIEW("a")) <= 0);
    ease_hear(x, VIEW("a"), 3.0);
    assert_true(ease_back(x, VIEW("a")) > 0);
    assert_int_equal(ease_wait_us(x, VIEW("a"), VIEW("b"), 1, 1000, 5000), 1000); /* b feels nothing */
    double first = ease_back(x, VIEW("a"));
    for (int i = 0; i < 20; i++)
        ease_hear(x, VIEW("a"), 9.0);
    assert_true(ease_back(x, VIEW("a")) > first && ease_back(x, VIEW("a")) < 100); /* a run shall end */
    for (int i = 0; i < 60; i++)
        ease_hear(x, VIEW("a"), 2.0);
    assert_true(ease_back(x, VIEW("a")) <= 0);
    ease_free(x);
}

static void all_moves_together_keep_to_a_share_of_each_node(void **state)
{
    (void)state;
    struct clock_fake f;
    struct ease *x = ease_with(&f, 0, 20000);
    ease_know(x, VIEW("a"), VIEW("m"), 2, 0);
    ease_takes_part(x, VIEW("a"), VIEW("b"), true);
    /* a third of one of two processors */
    assert_int_equal(ease_wait_us(x, VIEW("a"), VIEW("z"), 1, 1000, 9000), 2000);
    assert_int_equal(ease_wait_us(x, VIEW("z"), VIEW("b"), 1, 9000, 1000), 5000); /* a sixth of one */
    /* the one that needs more rest counts */
    assert_int_equal(ease_rest_us(x, VIEW("a"), VIEW("b"), 1000), 5000);
    ease_takes_part(x, VIEW("a"), VIEW("c"), true);
    assert_int_equal(ease_wait_us(x, VIEW("a"), VIEW("z"), 1, 1000, 0), 5000);
    ease_takes_part(x, VIEW("a"), VIEW("c"), false);
    ease_takes_part(x, VIEW("a"), VIEW("b"), false);
    assert_int_equal(ease_wait_us(x, VIEW("a"), VIEW("b"), 1, 1000, 1000), 0);
    ease_free(x);
    x = ease_with(&f, 0, 100000); /* who allows twice the latency on two processors gets one of them */
    ease_know(x, VIEW("a"), VIEW("m"), 2, 0);
    ease_takes_part(x, VIEW("a"), VIEW("b"), true);
    assert_int_equal(ease_wait_us(x, VIEW("a"), VIEW("z"), 1, 1000, 0), 0);
    ease_free(x);
}

static void nodes_of_one_machine_share_what_we_may_take_of_it(void **state)
{
    (void)state;
    struct clock_fake f;
    struct ease *x = ease_with(&f, 0, 20000);
    const char *nodes[] = { "a", "b", "c" };
    for (size_t i = 0; i < 3; i++)
        ease_know(x, view_of(nodes[i]), VIEW("m"), 2, 0);
    ease_know(x, VIEW("d"), VIEW("another"), 2, 0);
    ease_takes_part(x, VIEW("a"), VIEW("b"), true);
    /* it works at one end at a time */
    assert_int_equal(ease_wait_us(x, VIEW("a"), VIEW("b"), 1, 1000, 0), 2000);
    ease_takes_part(x, VIEW("a"), VIEW("c"), true);
    assert_int_equal(ease_wait_us(x, VIEW("a"), VIEW("b"), 1, 0, 1000), 5000);
    assert_int_equal(ease_wait_us(x, VIEW("a"), VIEW("c"), 1, 0, 1000), 5000);
    ease_takes_part(x, VIEW("a"), VIEW("d"), true);
    assert_int_equal(ease_wait_us(x, VIEW("a"), VIEW("d"), 1, 0, 1000), 2000); /* alone there */
    ease_takes_part(x, VIEW("a"), VIEW("d"), false);
    ease_takes_part(x, VIEW("a"), VIEW("b"), false);
    ease_takes_part(x, VIEW("a"), VIEW("c"), false);
    assert_int_equal(ease_wait_us(x, VIEW("a"), VIEW("b"), 1, 1000, 1000), 0);
    ease_free(x);
}

static void what_a_node_said_while_it_was_let_alone_is_the_measure(void **state)
{
    (void)state;
    struct clock_fake f;
    struct ease *x = ease_with(&f, 0, 20000);
    ease_know(x, VIEW("a"), VIEW("m"), 1, 2.0);
    ease_know(x, VIEW("idle"), VIEW_NONE, 1, 0);
    ease_hear(x, VIEW("a"), 3.0);
    ease_hear(x, VIEW("idle"), 3.0);
    assert_true(ease_back(x, VIEW("a")) > 0);
    assert_true(ease_back(x, VIEW("idle")) <= 0);
    ease_free(x);
}

static void without_a_rise_nobody_brakes(void **state)
{
    (void)state;
    struct clock_fake f;
    struct ease *x = ease_with(&f, 0, 0);
    for (int i = 0; i < 9; i++)
        ease_hear(x, VIEW("a"), i * 10.0);
    ease_takes_part(x, VIEW("a"), VIEW("b"), true);
    assert_int_equal(ease_wait_us(x, VIEW("a"), VIEW("b"), 1000, 1000, 1000), 0);
    assert_int_equal(ease_rest_us(x, VIEW("a"), VIEW("b"), 1000), 0);
    ease_free(x);
}

/* ---- what is asked from outside ---- */

static void a_run_that_nobody_runs_is_taken_or_closed_from_outside(void **state)
{
    (void)state;
    struct journal *j = fresh(1), *taken = NULL;
    struct run_options o;
    struct err e = ERR_NONE;
    bool asked = false;
    char id[RUN_ID_MAX], heard[RUN_ID_MAX];
    snprintf(id, sizeof(id), "%s", j->id);
    assert_int_equal(journal_add_state(j, RUN_RUNNING, "", &e), RC_OK);
    assert_int_equal(run_ask(&conf, "last", RUN_PAUSE, heard, &e), RC_OK);
    assert_string_equal(heard, id);
    assert_int_equal(journal_hear(j), RUN_PAUSE);
    assert_int_equal(run_take(&conf, id, &taken, &o, &e), RC_CONFLICT);
    assert_int_equal(run_cancel(&conf, id, &asked, NULL, &e), RC_OK);
    assert_true(asked);
    assert_int_equal(journal_hear(j), RUN_CANCEL);
    assert_int_equal(journal_ask(j, RUN_CANCEL, &e), RC_OK);
    journal_close(j);
    assert_int_equal(run_ask(&conf, id, RUN_GO, NULL, &e), RC_CONFLICT);
    assert_int_equal(run_take(&conf, id, &taken, &o, &e), RC_OK);
    assert_int_equal(o.parallel, 3);
    assert_int_equal(journal_hear(taken), RUN_NOTHING); /* words from before are not heard */
    journal_close(taken);
    assert_int_equal(run_cancel(&conf, id, &asked, heard, &e), RC_OK);
    assert_false(asked);
    assert_string_equal(heard, id);
    assert_int_equal(run_cancel(&conf, id, &asked, NULL, &e), RC_CONFLICT);
    assert_int_equal(run_take(&conf, id, &taken, &o, &e), RC_CONFLICT);
    assert_int_equal(run_ask(&conf, "nothing-like-it", RUN_GO, NULL, &e), RC_NOT_FOUND);
}

/* ---- the time left ---- */

static void the_time_left_follows_users_and_bytes(void **state)
{
    (void)state;
    struct journal j = { .n_moves = 10 };
    struct run_view v = {
        .journal = &j, .elapsed_us = 10000000, .done = 5, .bytes_planned = 1000, .bytes_done_planned = 500
    };
    assert_int_equal(run_left_s(&v), 10);
    v.bytes_done_planned = 100; /* the big ones are still to come */
    assert_int_equal(run_left_s(&v), 90);
    v.done = 0;
    v.bytes_done_planned = 0;
    assert_int_equal(run_left_s(&v), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_journal_tells_what_happened),
        TEST(only_one_process_runs_a_journal),
        TEST(a_torn_last_line_is_no_hindrance),
        TEST(words_reach_the_run_and_are_taken_away),
        TEST(the_last_word_is_heard_however_fast_words_come),
        TEST(a_word_that_comes_while_another_is_read_is_heard_after_it),
        TEST(no_file_outside_the_folder_is_opened),
        cmocka_unit_test(a_window_is_open_from_its_first_minute_to_its_last),
        cmocka_unit_test(what_is_no_window_is_refused),
        cmocka_unit_test(a_rate_holds_for_all_moves_together),
        cmocka_unit_test(the_brake_follows_the_latency_of_each_node),
        cmocka_unit_test(all_moves_together_keep_to_a_share_of_each_node),
        cmocka_unit_test(nodes_of_one_machine_share_what_we_may_take_of_it),
        cmocka_unit_test(what_a_node_said_while_it_was_let_alone_is_the_measure),
        cmocka_unit_test(without_a_rise_nobody_brakes),
        TEST(a_run_that_nobody_runs_is_taken_or_closed_from_outside),
        cmocka_unit_test(the_time_left_follows_users_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
