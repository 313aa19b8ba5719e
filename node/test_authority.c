#include "node/authority.h"

#include <stdatomic.h>

#include "common/base/testing.h"

/* A directory of two users that counts questions, and can do something while it is asked. */
struct fake {
    const char *password;
    int asked, rechecked;
    rc answer;
    int64_t takes_us; /* to answer, by this clock: */
    struct clock_fake *clock;
    void (*meanwhile)(struct authority *a);
    struct authority *a;
};

static rc fake_verify(void *arg, view name, view password, struct verdict *out, struct err *e)
{
    struct fake *f = arg;
    f->asked++;
    f->clock->steady_us += f->takes_us;
    if (f->meanwhile)
        f->meanwhile(f->a);
    if (f->answer != RC_OK)
        return fail(e, f->answer, RESP_GENERIC, "as told");
    if ((!view_eq(name, VIEW("anna")) && !view_eq(name, VIEW("bert"))) ||
        !view_eq(password, view_of(f->password)))
        return fail(e, RC_DENIED, RESP_GENERIC, "wrong");
    *out = (struct verdict){ .uid = 7, .epoch = 3, .node = "http://here", .marked = true };
    memcpy(out->mark, f->password, 3);
    return RC_OK;
}

/* Tells by the mark, which is the password's first bytes. */
static rc fake_recheck(void *arg, view name, const struct verdict *was, struct verdict *out, struct err *e)
{
    struct fake *f = arg;
    f->rechecked++;
    if (f->meanwhile)
        f->meanwhile(f->a);
    if (!view_eq(name, VIEW("anna")) || memcmp(was->mark, f->password, 3) != 0)
        return fail(e, RC_DENIED, RESP_GENERIC, "changed");
    *out = *was;
    out->epoch++;
    return RC_OK;
}

struct world {
    struct fake fake;
    struct clock_fake clock;
    struct authority *a;
};

static void open_world_with(struct world *w, size_t capacity, bool recheck)
{
    *w = (struct world){ .fake = { .password = "secret" } };
    clock_fake_init(&w->clock, 1767225600000000);
    struct authority_driver d = { .verify = fake_verify,
                                  .recheck = recheck ? fake_recheck : NULL,
                                  .arg = &w->fake };
    assert_int_equal(authority_new(&d, &w->clock.clock, 60, capacity, &w->a, NULL), RC_OK);
    w->fake.a = w->a;
    w->fake.clock = &w->clock;
}

static void open_world(struct world *w, size_t capacity)
{
    open_world_with(w, capacity, false);
}

static rc verify(struct world *w, const char *password)
{
    struct verdict v;
    struct err e = ERR_NONE;
    return authority_verify(w->a, VIEW("anna"), view_of(password), &v, &e);
}

static bool known(struct world *w, const char *password)
{
    struct verdict v;
    return authority_known(w->a, VIEW("anna"), view_of(password), &v);
}

static void a_verdict_is_remembered_until_its_time_is_over(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 10);
    assert_false(known(&w, "secret"));
    assert_int_equal(verify(&w, "secret"), RC_OK);
    assert_true(known(&w, "secret"));
    assert_int_equal(verify(&w, "secret"), RC_OK);
    assert_int_equal(w.fake.asked, 1);
    w.clock.steady_us += 59999999;
    assert_true(known(&w, "secret"));
    w.clock.steady_us += 1;
    assert_false(known(&w, "secret"));
    authority_free(w.a);
}

/* It may have been void a moment after the question was asked. */
static void the_time_of_a_verdict_begins_with_the_question(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 10);
    w.fake.takes_us = 4000000;
    assert_int_equal(verify(&w, "secret"), RC_OK);
    assert_true(known(&w, "secret"));
    w.clock.steady_us += 55999999;
    assert_true(known(&w, "secret"));
    w.clock.steady_us += 1;
    assert_false(known(&w, "secret"));
    authority_free(w.a);
}

static struct world *slow;

static rc verify_bert(struct authority *a)
{
    struct verdict v;
    return authority_verify(a, VIEW("bert"), VIEW("secret"), &v, NULL);
}

/* While the question about Anna is under way a directory falls silent, and Bert is asked about and answered at once. */
static void bert_overtakes(struct authority *a)
{
    slow->fake.meanwhile = NULL;
    slow->clock.steady_us += 4000000;
    authority_hears(a, AUTHORITY_HEARS_SOME);
    slow->clock.steady_us += 500000;
    assert_int_equal(verify_bert(a), RC_OK);
}

static void an_answer_that_was_overtaken_is_as_old_as_its_question(void **state)
{
    (void)state;
    struct world w;
    struct verdict v;
    open_world(&w, 10);
    slow = &w;
    w.fake.meanwhile = bert_overtakes;
    assert_int_equal(verify(&w, "secret"), RC_OK);
    assert_int_equal(w.fake.asked, 2);
    w.clock.steady_us += 4600000;
    authority_hears(w.a, AUTHORITY_HEARS_ALL); /* what was older than 5 s then is gone for good */
    assert_false(known(&w, "secret"));
    assert_true(authority_known(w.a, VIEW("bert"), VIEW("secret"), &v));
    authority_free(w.a);
}

static void forget_anna(struct authority *a)
{
    authority_forget(a, VIEW("anna"));
}

static void who_can_tell_without_the_password_is_asked_without_it(void **state)
{
    (void)state;
    struct world w;
    struct verdict v;
    open_world_with(&w, 10, true);
    assert_int_equal(verify(&w, "secret"), RC_OK);
    for (int i = 1; i <= 3; i++) {
        w.clock.steady_us += 60000000;
        assert_false(known(&w, "secret"));
        assert_int_equal(authority_verify(w.a, VIEW("anna"), VIEW("secret"), &v, NULL), RC_OK);
        assert_int_equal(v.epoch, 3 + i); /* as it is now */
        assert_true(known(&w, "secret"));
        assert_int_equal(w.fake.rechecked, i);
    }
    assert_int_equal(w.fake.asked, 1);
    w.clock.steady_us += 60000000;
    assert_int_equal(verify(&w, "wrong"), RC_DENIED); /* not the one that was right: verified */
    assert_int_equal(w.fake.rechecked, 3);
    w.fake.password = "other";
    assert_int_equal(verify(&w, "secret"), RC_DENIED);
    assert_int_equal(w.fake.rechecked, 4);
    assert_int_equal(verify(&w, "secret"), RC_DENIED); /* and is gone */
    assert_int_equal(w.fake.rechecked, 4);
    authority_free(w.a);
}

static void what_is_forgotten_or_old_is_not_asked_about_without_the_password(void **state)
{
    (void)state;
    struct world w;
    open_world_with(&w, 10, true);
    assert_int_equal(verify(&w, "secret"), RC_OK);
    authority_forget(w.a, VIEW("anna"));
    assert_int_equal(verify(&w, "secret"), RC_OK);
    assert_int_equal(w.fake.rechecked, 0);
    w.clock.steady_us += INT64_C(86400000000);
    assert_int_equal(verify(&w, "secret"), RC_OK);
    assert_int_equal(w.fake.rechecked, 0);
    assert_int_equal(w.fake.asked, 3);
    w.clock.steady_us += 60000000;
    w.fake.meanwhile = forget_anna; /* while it is asked: holds for this request alone */
    assert_int_equal(verify(&w, "secret"), RC_OK);
    assert_int_equal(w.fake.rechecked, 1);
    assert_false(known(&w, "secret"));
    authority_free(w.a);
}

static void the_wall_clock_has_no_say_in_it(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 10);
    assert_int_equal(verify(&w, "secret"), RC_OK);
    w.clock.wall_us += INT64_C(86400000000);
    assert_true(known(&w, "secret"));
    authority_free(w.a);
}

static void a_refusal_is_not_remembered(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 10);
    assert_int_equal(verify(&w, "wrong"), RC_DENIED);
    assert_false(known(&w, "wrong"));
    assert_int_equal(verify(&w, "wrong"), RC_DENIED);
    assert_int_equal(w.fake.asked, 2);
    w.fake.answer = RC_AWAY;
    assert_int_equal(verify(&w, "secret"), RC_AWAY);
    assert_false(known(&w, "secret"));
    authority_free(w.a);
}

static void another_password_or_name_is_not_known(void **state)
{
    (void)state;
    struct world w;
    struct verdict v;
    open_world(&w, 10);
    assert_int_equal(verify(&w, "secret"), RC_OK);
    assert_false(known(&w, "secre"));
    assert_false(known(&w, "secrets"));
    assert_false(known(&w, ""));
    assert_false(authority_known(w.a, VIEW("annas"), VIEW("ecret"), &v));
    assert_false(authority_known(w.a, VIEW("bert"), VIEW("secret"), &v));
    assert_true(authority_known(w.a, VIEW("anna"), VIEW("secret"), &v));
    assert_int_equal(v.uid, 7);
    assert_int_equal(v.epoch, 3);
    assert_string_equal(v.node, "http://here");
    authority_free(w.a);
}

static void what_is_forgotten_is_asked_again(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 10);
    assert_int_equal(verify(&w, "secret"), RC_OK);
    authority_forget(w.a, VIEW("bert"));
    assert_true(known(&w, "secret"));
    authority_forget(w.a, VIEW("anna"));
    assert_false(known(&w, "secret"));
    assert_int_equal(verify(&w, "secret"), RC_OK);
    authority_forget_all(w.a);
    assert_false(known(&w, "secret"));
    authority_free(w.a);
}

static void forget_before_the_fourth(struct authority *a)
{
    authority_forget_before(a, VIEW("anna"), 4);
}

static void only_what_is_older_than_a_move_is_forgotten_by_it(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 10);
    assert_int_equal(verify(&w, "secret"), RC_OK); /* of epoch 3 */
    authority_forget_before(w.a, VIEW("bert"), 4);
    authority_forget_before(w.a, VIEW("anna"), 3);
    assert_true(known(&w, "secret"));
    authority_forget_before(w.a, VIEW("anna"), 4);
    assert_false(known(&w, "secret"));
    w.fake.meanwhile = forget_before_the_fourth; /* an answer that is on its way may be of before as well */
    assert_int_equal(verify(&w, "secret"), RC_OK);
    assert_false(known(&w, "secret"));
    authority_free(w.a);
}

static void a_verdict_fetched_while_a_forget_happened_is_not_remembered(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 10);
    w.fake.meanwhile = forget_anna;
    assert_int_equal(verify(&w, "secret"), RC_OK);
    assert_false(known(&w, "secret"));
    w.fake.meanwhile = authority_forget_all;
    assert_int_equal(verify(&w, "secret"), RC_OK);
    assert_false(known(&w, "secret"));
    authority_free(w.a);
}

static rc anybody(void *arg, view name, view password, struct verdict *out, struct err *e)
{
    (void)arg, (void)name, (void)password, (void)e;
    *out = (struct verdict){ .uid = 1 };
    return RC_OK;
}

static void the_memory_is_bounded_and_the_oldest_go(void **state)
{
    (void)state;
    struct world w;
    struct verdict v;
    open_world(&w, 3);
    authority_free(w.a);
    struct authority_driver d = { .verify = anybody };
    assert_int_equal(authority_new(&d, &w.clock.clock, 60, 3, &w.a, NULL), RC_OK);
    static const char *const names[] = { "a", "b", "c", "d", "e" };
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(authority_verify(w.a, view_of(names[i]), VIEW("p"), &v, NULL), RC_OK);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(authority_known(w.a, view_of(names[i]), VIEW("p"), &v), i >= 2);
    authority_free(w.a);
}

static void a_refused_uid_stays_so_until_its_time(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 10);
    int64_t now_s = clock_now_s(&w.clock.clock);
    assert_false(authority_refused(w.a, 5));
    authority_refuse(w.a, 5, now_s + 10);
    authority_refuse(w.a, 9, now_s + 20);
    authority_refuse(w.a, 5, now_s + 5); /* an older message does not shorten it */
    assert_true(authority_refused(w.a, 5));
    assert_true(authority_refused(w.a, 9));
    assert_false(authority_refused(w.a, 7));
    w.clock.wall_us += 11000000;
    assert_false(authority_refused(w.a, 5));
    assert_true(authority_refused(w.a, 9));
    authority_allow(w.a, 9);
    authority_allow(w.a, 1234);
    assert_false(authority_refused(w.a, 9));
    authority_free(w.a);
}

static void the_refusals_are_bounded(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 100);
    int64_t now_s = clock_now_s(&w.clock.clock);
    for (int64_t uid = 0; uid < 1000; uid++)
        authority_refuse(w.a, uid * 7919 % 1000, now_s + 10 + uid);
    int n = 0;
    for (int64_t uid = 0; uid < 1000; uid++)
        n += authority_refused(w.a, uid);
    assert_in_range(n, 64, 128);
    assert_true(authority_refused(w.a, 999 * 7919 % 1000)); /* the one that lasts longest */
    authority_free(w.a);
}

/* ---- a directory that is out of reach ---- */

#define MINUTE_US INT64_C(60000000)

static void open_cluster(struct world *w)
{
    open_world(w, 10);
    authority_outage_grace(w->a, 600);
    assert_int_equal(verify(w, "secret"), RC_OK);
}

static void while_nobody_answers_a_verdict_is_good_for_the_grace(void **state)
{
    (void)state;
    struct world w;
    open_cluster(&w);
    w.clock.steady_us += 9 * MINUTE_US;
    assert_false(known(&w, "secret"));
    authority_hears(w.a, AUTHORITY_HEARS_NONE);
    assert_true(known(&w, "secret"));
    assert_false(known(&w, "wrong"));
    w.clock.steady_us += MINUTE_US;
    assert_false(known(&w, "secret"));
    authority_free(w.a);
}

static void who_finds_nobody_to_ask_takes_an_older_verdict_too(void **state)
{
    (void)state;
    struct world w;
    open_cluster(&w);
    w.fake.answer = RC_AWAY;
    w.clock.steady_us += 9 * MINUTE_US;
    assert_int_equal(verify(&w, "secret"), RC_OK);
    assert_int_equal(verify(&w, "wrong"), RC_AWAY);
    assert_int_equal(w.fake.asked, 3);
    w.clock.steady_us += MINUTE_US;
    assert_int_equal(verify(&w, "secret"), RC_AWAY);
    authority_free(w.a);
}

static void without_a_grace_an_old_verdict_is_no_verdict(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 10);
    assert_int_equal(verify(&w, "secret"), RC_OK);
    w.fake.answer = RC_AWAY;
    w.clock.steady_us += MINUTE_US;
    assert_int_equal(verify(&w, "secret"), RC_AWAY);
    authority_free(w.a);
}

static void while_one_directory_is_silent_verdicts_live_five_seconds(void **state)
{
    (void)state;
    struct world w;
    open_cluster(&w);
    authority_hears(w.a, AUTHORITY_HEARS_SOME);
    w.clock.steady_us += 4999999;
    assert_true(known(&w, "secret"));
    w.clock.steady_us += 1;
    assert_false(known(&w, "secret"));
    w.fake.answer = RC_AWAY;
    assert_int_equal(verify(&w, "secret"), RC_AWAY);
    authority_free(w.a);
}

static void what_was_doubtful_while_one_was_silent_does_not_come_back_when_all_are(void **state)
{
    (void)state;
    struct world w;
    open_cluster(&w);
    authority_hears(w.a, AUTHORITY_HEARS_SOME);
    w.clock.steady_us += 5000000;
    authority_hears(w.a, AUTHORITY_HEARS_NONE);
    assert_false(known(&w, "secret"));
    authority_free(w.a);
}

static void directories_that_fall_silent_one_after_the_other_are_one_outage(void **state)
{
    (void)state;
    struct world w;
    open_cluster(&w);
    w.clock.steady_us += 2 * MINUTE_US;
    authority_hears(w.a, AUTHORITY_HEARS_SOME);
    w.clock.steady_us += 4999999;
    assert_false(known(&w, "secret"));
    authority_hears(w.a, AUTHORITY_HEARS_NONE);
    w.clock.steady_us += MINUTE_US;
    assert_true(known(&w, "secret"));
    authority_free(w.a);
}

static void a_password_that_was_refused_meanwhile_is_not_good_again_in_an_outage(void **state)
{
    (void)state;
    struct world w;
    open_cluster(&w);
    w.clock.steady_us += MINUTE_US;
    w.fake.password = "another";
    assert_int_equal(verify(&w, "secret"), RC_DENIED);
    authority_hears(w.a, AUTHORITY_HEARS_NONE);
    assert_false(known(&w, "secret"));
    authority_free(w.a);
}

static void a_wrong_password_does_not_take_the_right_one_along(void **state)
{
    (void)state;
    struct world w;
    open_cluster(&w);
    assert_int_equal(verify(&w, "wrong"), RC_DENIED);
    assert_true(known(&w, "secret"));
    authority_free(w.a);
}

/* ---- asked ahead ---- */

/* Each verdict of later epoch than the one before. */
struct counting {
    atomic_int asked, answer;
};

static rc count(void *arg, view name, view password, struct verdict *out, struct err *e)
{
    struct counting *c = arg;
    (void)name, (void)password;
    *out = (struct verdict){ .uid = 7, .epoch = atomic_fetch_add(&c->asked, 1) + 1, .node = "http://here" };
    rc r = (rc)atomic_load(&c->answer);
    return r == RC_OK ? r : fail(e, r, RESP_GENERIC, "as told");
}

static void open_ahead(struct world *w, struct counting *c)
{
    *w = (struct world){ .a = NULL };
    *c = (struct counting){ .answer = RC_OK };
    clock_fake_init(&w->clock, 1767225600000000);
    const struct authority_driver d = { .verify = count, .arg = c };
    assert_int_equal(authority_new(&d, &w->clock.clock, 60, 10, &w->a, NULL), RC_OK);
    assert_int_equal(authority_ask_ahead(w->a, NULL), RC_OK);
    assert_int_equal(verify(w, "secret"), RC_OK);
}

/* 0: not known. */
static int64_t known_epoch(struct world *w)
{
    struct verdict v;
    return authority_known(w->a, VIEW("anna"), VIEW("secret"), &v) ? v.epoch : 0;
}

static void who_comes_late_in_a_verdicts_life_is_asked_about_before_it_ends(void **state)
{
    struct world w;
    struct counting c;
    (void)state;
    open_ahead(&w, &c);
    w.clock.steady_us += 44999999;
    assert_int_equal(known_epoch(&w), 1); /* too early */
    w.clock.steady_us += 1;
    assert_false(known(&w, "wrong"));
    assert_int_equal(atomic_load(&c.asked), 1);
    assert_in_range(known_epoch(&w), 1, 2);
    WAIT_UNTIL(known_epoch(&w) == 2);
    w.clock.steady_us += 44999999; /* long after the first one's life */
    assert_int_equal(known_epoch(&w), 2);
    assert_int_equal(atomic_load(&c.asked), 2);
    w.clock.steady_us += 1;
    WAIT_UNTIL(known_epoch(&w) == 3);
    authority_free(w.a);
    assert_int_equal(atomic_load(&c.asked), 3);
}

static void a_no_that_is_heard_ahead_ends_the_verdict(void **state)
{
    struct world w;
    struct counting c;
    (void)state;
    open_ahead(&w, &c);
    atomic_store(&c.answer, RC_DENIED);
    w.clock.steady_us += 45000000;
    WAIT_UNTIL(known_epoch(&w) == 0);
    authority_free(w.a);
    assert_int_equal(atomic_load(&c.asked), 2);
}

static void a_directory_that_is_silent_is_asked_ahead_once_and_takes_no_verdict(void **state)
{
    struct world w;
    struct counting c;
    (void)state;
    open_ahead(&w, &c);
    atomic_store(&c.answer, RC_AWAY);
    w.clock.steady_us += 45000000;
    assert_int_equal(known_epoch(&w), 1);
    WAIT_UNTIL(atomic_load(&c.asked) == 2);
    w.clock.steady_us += 14999999;
    assert_int_equal(known_epoch(&w), 1);
    w.clock.steady_us += 1;
    assert_int_equal(known_epoch(&w), 0);
    authority_free(w.a);
    assert_int_equal(atomic_load(&c.asked), 2);
}

static void while_no_directory_is_heard_none_is_asked_ahead(void **state)
{
    struct world w;
    struct counting c;
    struct verdict bert;
    (void)state;
    open_ahead(&w, &c);
    authority_outage_grace(w.a, 600);
    authority_hears(w.a, AUTHORITY_HEARS_NONE);
    w.clock.steady_us += INT64_C(599999999);
    assert_int_equal(known_epoch(&w), 1);
    authority_hears(w.a, AUTHORITY_HEARS_ALL);
    assert_int_equal(authority_verify(w.a, VIEW("bert"), VIEW("secret"), &bert, NULL), RC_OK);
    w.clock.steady_us += 45000000;
    assert_true(authority_known(w.a, VIEW("bert"), VIEW("secret"), &bert));
    /* after anna, were she asked about */
    WAIT_UNTIL(authority_known(w.a, VIEW("bert"), VIEW("secret"), &bert) && bert.epoch > 2);
    authority_free(w.a);
    assert_int_equal(atomic_load(&c.asked), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verdict_is_remembered_until_its_time_is_over),
        cmocka_unit_test(the_time_of_a_verdict_begins_with_the_question),
        cmocka_unit_test(an_answer_that_was_overtaken_is_as_old_as_its_question),
        cmocka_unit_test(who_can_tell_without_the_password_is_asked_without_it),
        cmocka_unit_test(what_is_forgotten_or_old_is_not_asked_about_without_the_password),
        cmocka_unit_test(the_wall_clock_has_no_say_in_it),
        cmocka_unit_test(a_refusal_is_not_remembered),
        cmocka_unit_test(another_password_or_name_is_not_known),
        cmocka_unit_test(what_is_forgotten_is_asked_again),
        cmocka_unit_test(only_what_is_older_than_a_move_is_forgotten_by_it),
        cmocka_unit_test(a_verdict_fetched_while_a_forget_happened_is_not_remembered),
        cmocka_unit_test(the_memory_is_bounded_and_the_oldest_go),
        cmocka_unit_test(a_refused_uid_stays_so_until_its_time),
        cmocka_unit_test(the_refusals_are_bounded),
        cmocka_unit_test(while_nobody_answers_a_verdict_is_good_for_the_grace),
        cmocka_unit_test(who_finds_nobody_to_ask_takes_an_older_verdict_too),
        cmocka_unit_test(without_a_grace_an_old_verdict_is_no_verdict),
        cmocka_unit_test(while_one_directory_is_silent_verdicts_live_five_seconds),
        cmocka_unit_test(what_was_doubtful_while_one_was_silent_does_not_come_back_when_all_are),
        cmocka_unit_test(directories_that_fall_silent_one_after_the_other_are_one_outage),
        cmocka_unit_test(a_password_that_was_refused_meanwhile_is_not_good_again_in_an_outage),
        cmocka_unit_test(a_wrong_password_does_not_take_the_right_one_along),
        cmocka_unit_test(who_comes_late_in_a_verdicts_life_is_asked_about_before_it_ends),
        cmocka_unit_test(a_no_that_is_heard_ahead_ends_the_verdict),
        cmocka_unit_test(a_directory_that_is_silent_is_asked_ahead_once_and_takes_no_verdict),
        cmocka_unit_test(while_no_directory_is_heard_none_is_asked_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
