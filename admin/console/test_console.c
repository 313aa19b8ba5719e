/* What of the console needs no server: one-time passwords, roles, the table of addresses, journals that are followed. */
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/console/inside.h"
#include "admin/folder.h"
#include "admin/run/run.h"
#include "common/base/testing.h"

static char folder[] = "/tmp/heddle-console-XXXXXX";

static struct admin_conf conf(void)
{
    return (struct admin_conf){ .dir = folder };
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_it(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static int remove_folder(void **state)
{
    (void)state;
    return nftw(folder, remove_it, 8, FTW_DEPTH | FTW_PHYS);
}

static void a_one_time_password_is_good_once(void **state)
{
    const struct admin_conf c = conf();
    char once[ONCE_TEXT];
    struct err e = ERR_NONE;
    (void)state;
    assert_int_equal(once_make(&c, 1000, once, &e), RC_OK);
    assert_int_equal(strlen(once), ONCE_TEXT - 2);
    assert_false(once_use(&c, VIEW("AAAAA-AAAAA-AAAAA-AAAAA"), 1000, 60));
    assert_false(once_use(&c, VIEW(""), 1000, 60));
    assert_false(once_use(&c, VIEW("../../../../etc/passwd"), 1000, 60));
    assert_true(once_use(&c, view_of(once), 1060, 60));
    assert_false(once_use(&c, view_of(once), 1060, 60));
}

static void a_one_time_password_ends_and_is_voided_by_the_next(void **state)
{
    const struct admin_conf c = conf();
    char first[ONCE_TEXT], second[ONCE_TEXT];
    struct err e = ERR_NONE;
    (void)state;
    assert_int_equal(once_make(&c, 1000, first, &e), RC_OK);
    assert_false(once_use(&c, view_of(first), 1061, 60));
    assert_int_equal(once_make(&c, 1000, first, &e), RC_OK);
    assert_int_equal(once_make(&c, 1000, second, &e), RC_OK);
    assert_string_not_equal(first, second);
    assert_false(once_use(&c, view_of(first), 1000, 60));
    assert_true(once_use(&c, view_of(second), 1000, 60));
}

struct user_of_one {
    const char *once;
    pthread_barrier_t *together;
    bool in;
};

static void *use(void *arg)
{
    struct user_of_one *u = arg;
    const struct admin_conf c = conf();
    pthread_barrier_wait(u->together);
    u->in = once_use(&c, view_of(u->once), 1000, 60);
    return NULL;
}

static void of_many_at_once_one_gets_in(void **state)
{
    enum { MANY = 8, ROUNDS = 20 };
    const struct admin_conf c = conf();
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        char once[ONCE_TEXT];
        pthread_t threads[MANY];
        pthread_barrier_t together;
        struct user_of_one users[MANY];
        struct err e = ERR_NONE;
        int in = 0;
        assert_int_equal(once_make(&c, 1000, once, &e), RC_OK);
        pthread_barrier_init(&together, NULL, MANY);
        for (int i = 0; i < MANY; i++) {
            users[i] = (struct user_of_one){ .once = once, .together = &together };
            assert_int_equal(pthread_create(&threads[i], NULL, use, &users[i]), 0);
        }
        for (int i = 0; i < MANY; i++) {
            pthread_join(threads[i], NULL);
            in += users[i].in;
        }
        pthread_barrier_destroy(&together);
        assert_int_equal(in, 1);
    }
}

static void only_looks_and_signing_in_are_for_less_than_helpers(void **state)
{
    (void)state;
    for (size_t i = 0; i < console_pages_n; i++) {
        const struct console_page *x = &console_pages[i];
        bool open = x->flags & (CONSOLE_OPEN | CONSOLE_MEDIA);
        assert_int_equal(open, x->least == ROLE_NONE);
        if (x->methods & POST && !open && strcmp(x->path, "/admin/sign-out") != 0)
            assert_true(x->least >= ROLE_HELPER);
        if (x->flags & CONSOLE_LIVE)
            assert_int_equal(x->methods, GET);
    }
}

static void roles_have_names(void **state)
{
    enum role r = ROLE_NONE;
    (void)state;
    for (int i = ROLE_READER; i <= ROLE_ADMIN; i++) {
        assert_true(role_parse(view_of(role_name((enum role)i)), &r));
        assert_int_equal(r, i);
    }
    assert_false(role_parse(VIEW(""), &r));
    assert_false(role_parse(VIEW("root"), &r));
}

static void groups_must_be_of_a_role(void **state)
{
    static char good[] = "helper support desk", bad[] = "root wheel", bare[] = "admin";
    char *items[1] = { good };
    char name[] = "Heddle";
    struct console_conf c = { .name = name, .groups = { .items = items, .n = 1 } };
    struct err e = ERR_NONE;
    (void)state;
    assert_int_equal(console_check(&c, &e), RC_OK);
    items[0] = bad;
    assert_int_equal(console_check(&c, &e), RC_BAD_INPUT);
    items[0] = bare;
    assert_int_equal(console_check(&c, &e), RC_BAD_INPUT);
}

/* ---- runs ---- */

static json_t *a_plan(void)
{
    return json_pack("{s:i,s:I,s:s,s:s,s:[{s:s,s:i,s:s,s:s},{s:s,s:i,s:s,s:s}]}", "plan", 1, "made",
                     (json_int_t)1, "kind", "rebalance", "by", "users", "moves", "user", "anna", "uid", 1,
                     "from", "n1.example.net", "to", "n2.example.net", "user", "bert", "uid", 2, "from",
                     "n1.example.net", "to", "n2.example.net");
}

struct seen {
    size_t done;
    enum run_state state;
};

static void see(void *arg, const struct journal *j)
{
    struct seen *s = arg;
    s->done = 0;
    s->state = j->state;
    for (size_t i = 0; i < j->n_moves; i++)
        s->done += j->moves[i].state == RUN_MOVE_DONE;
}

static struct seen look_at(struct follow *f, const char *id)
{
    struct seen s = { 0 };
    struct err e = ERR_NONE;
    assert_int_equal(follow_run(f, id, see, &s, &e), RC_OK);
    return s;
}

static void a_run_is_followed_line_by_line(void **state)
{
    const struct admin_conf c = conf();
    json_t *plan = a_plan(), *options = json_object();
    struct journal *j = NULL;
    struct follow *f = follow_new(&c);
    struct err e = ERR_NONE;
    (void)state;
    assert_int_equal(journal_create(&c, plan, options, &j, &e), RC_OK);
    assert_int_equal(look_at(f, j->id).state, RUN_RUNNING);
    assert_int_equal(look_at(f, j->id).done, 0);
    assert_int_equal(journal_add_move(j, 0, "done", &e), RC_OK);
    assert_int_equal(look_at(f, j->id).done, 1);
    assert_int_equal(journal_add_state(j, RUN_PAUSED, "", &e), RC_OK);
    assert_int_equal(look_at(f, j->id).state, RUN_PAUSED);
    assert_int_equal(journal_add_move(j, 1, "done", &e), RC_OK);
    assert_int_equal(look_at(f, j->id).done, 2);
    char id[RUN_ID_MAX];
    snprintf(id, sizeof(id), "%s", j->id);
    journal_close(j); /* whoever ran it is gone */
    assert_int_equal(look_at(f, id).state, RUN_STOPPED);
    assert_int_equal(journal_open(&c, id, true, &j, &e), RC_OK);
    assert_int_equal(journal_add_state(j, RUN_RUNNING, "", &e), RC_OK);
    assert_int_equal(look_at(f, id).state, RUN_RUNNING);
    assert_int_equal(journal_add_state(j, RUN_DONE, "", &e), RC_OK);
    journal_close(j);
    assert_int_equal(look_at(f, id).state, RUN_DONE);
    assert_int_equal(look_at(f, id).done, 2);
    assert_int_equal(follow_run(f, "20200101-000000-000-abcdef", see, &(struct seen){ 0 }, &e), RC_NOT_FOUND);
    follow_free(f);
    json_decref(plan);
    json_decref(options);
}

static void half_a_line_is_read_when_it_is_whole(void **state)
{
    const struct admin_conf c = conf();
    json_t *plan = a_plan(), *options = json_object();
    struct journal *j = NULL, *reader = NULL;
    struct err e = ERR_NONE;
    (void)state;
    assert_int_equal(journal_create(&c, plan, options, &j, &e), RC_OK);
    assert_int_equal(journal_open(&c, j->id, false, &reader, &e), RC_OK);
    static const char half[] = "{\"i\":1,\"sta", rest[] = "te\":\"done\"}\n";
    assert_int_equal(write(j->fd, half, strlen(half)), strlen(half));
    assert_int_equal(journal_follow(reader, &e), RC_OK);
    assert_int_equal(reader->moves[1].state, RUN_MOVE_PENDING);
    assert_int_equal(write(j->fd, rest, strlen(rest)), strlen(rest));
    assert_int_equal(journal_follow(reader, &e), RC_OK);
    assert_int_equal(reader->moves[1].state, RUN_MOVE_DONE);
    journal_close(reader);
    journal_close(j);
    json_decref(plan);
    json_decref(options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_one_time_password_is_good_once),
        cmocka_unit_test(a_one_time_password_ends_and_is_voided_by_the_next),
        cmocka_unit_test(of_many_at_once_one_gets_in),
        cmocka_unit_test(only_looks_and_signing_in_are_for_less_than_helpers),
        cmocka_unit_test(roles_have_names),
        cmocka_unit_test(groups_must_be_of_a_role),
        cmocka_unit_test(a_run_is_followed_line_by_line),
        cmocka_unit_test(half_a_line_is_read_when_it_is_whole),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
