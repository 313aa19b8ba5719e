/* Confirmation of heads after a start, against a directory that answers what the test says. */
#include "node/confirm.h"

#include <pthread.h>
#include <stdatomic.h>

#include "node/step.h"
#include "node/testing.h"

/* A directory that knows for some uids who owns them. */
struct dir {
    pthread_mutex_t lock;
    bool away;
    int questions;
    size_t longest;
    int64_t left[8][2]; /* uid, epoch */
    size_t n_left;
    /* whom it does not know any more; 0: it is an older directory, which tells of none */
    int64_t nobody, until_s;
    int64_t voided, voided_until_s;
    bool closed; /* answers nobody until it is opened */
    pthread_cond_t opened;
};

static rc answer(void *arg, view heads, json_t **out, struct err *e)
{
    struct dir *d = arg;
    json_t *body = NULL, *pair;
    size_t i;
    assert_int_equal(json_read(heads, 8, JSON_READ_NO_DUPLICATES, &body, e), RC_OK);
    const json_t *list = json_object_get(body, "heads");
    json_t *left = json_array(), *nobody = json_array();
    pthread_mutex_lock(&d->lock);
    while (d->closed)
        pthread_cond_wait(&d->opened, &d->lock);
    d->questions++;
    d->longest = json_array_size(list) > d->longest ? json_array_size(list) : d->longest;
    bool away = d->away;
    json_array_foreach (list, i, pair) {
        int64_t uid = json_integer_value(json_array_get(pair, 0));
        for (size_t k = 0; k < d->n_left; k++)
            if (d->left[k][0] == uid)
                json_array_append_new(left, json_pack("[I,I]", (json_int_t)uid, (json_int_t)d->left[k][1]));
        if (uid == d->nobody)
            json_array_append_new(nobody, json_integer(uid));
    }
    pthread_mutex_unlock(&d->lock);
    json_decref(body);
    if (away) {
        json_decref(left);
        json_decref(nobody);
        return fail(e, RC_AWAY, RESP_GENERIC, "no directory answers");
    }
    *out = json_pack("{s:o}", "left", left);
    if (d->nobody > 0) {
        json_object_set(*out, "nobody", nobody);
        json_object_set_new(*out, "until", json_integer(d->until_s));
    }
    json_decref(nobody);
    return RC_OK;
}

static void on_nobody(void *arg, int64_t uid, int64_t until_s)
{
    struct dir *d = arg;
    pthread_mutex_lock(&d->lock);
    d->voided = uid;
    d->voided_until_s = until_s;
    pthread_mutex_unlock(&d->lock);
}

struct place {
    struct site s;
    struct dir d;
    struct store *store;
    struct cache *cache;
    struct sync_worker w;
    struct arena a;
    struct confirm *c;
    struct err e;
};

static struct place *place_new(void)
{
    struct place *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    site_make(&p->s);
    pthread_mutex_init(&p->d.lock, NULL);
    pthread_cond_init(&p->d.opened, NULL);
    assert_int_equal(store_open(&p->s.store, &p->s.clock.clock, &p->store, &p->e), RC_OK);
    assert_int_equal(cache_open(&p->s.cache, &p->s.clock.clock, &p->cache, &p->e), RC_OK);
    assert_int_equal(store_session_open(p->store, false, &p->w.store, &p->e), RC_OK);
    assert_int_equal(cache_handle_open(p->cache, &p->w.cache, &p->e), RC_OK);
    arena_init(&p->a, 16 << 20);
    return p;
}

static void place_free(struct place *p)
{
    confirm_stop(p->c);
    arena_done(&p->a);
    cache_handle_close(p->w.cache);
    store_session_close(p->w.store);
    cache_close(p->cache);
    store_close(p->store);
    site_close(&p->s);
    pthread_cond_destroy(&p->d.opened);
    pthread_mutex_destroy(&p->d.lock);
    free(p);
}

static void begin(struct place *p, bool lenient)
{
    const struct confirm_options o = { .store = p->store,
                                       .cache = p->cache,
                                       .lenient = lenient,
                                       .owners = answer,
                                       .arg = &p->d,
                                       .nobody = on_nobody,
                                       .nobody_arg = &p->d };
    assert_int_equal(confirm_start(&o, &p->c, &p->e), RC_OK);
}

static void add(struct place *p, int64_t uid, int64_t epoch, enum head_step step)
{
    const struct move m = { .uid = uid, .id = VIEW("m1"), .epoch = epoch };
    assert_int_equal(store_head_step(p->w.store, &m, step, NULL, &p->a, NULL, &p->e), RC_OK);
}

static enum head_state state_of(struct place *p, int64_t uid, int64_t epoch)
{
    struct head h;
    assert_int_equal(store_head_read(p->w.store, uid, &p->a, &h, &p->e), RC_OK);
    assert_int_equal(h.epoch, epoch);
    return h.state;
}

static void left(struct place *p, int64_t uid, int64_t epoch)
{
    pthread_mutex_lock(&p->d.lock);
    p->d.left[p->d.n_left][0] = uid;
    p->d.left[p->d.n_left++][1] = epoch;
    pthread_mutex_unlock(&p->d.lock);
}

static void set_away(struct place *p, bool away)
{
    pthread_mutex_lock(&p->d.lock);
    p->d.away = away;
    pthread_mutex_unlock(&p->d.lock);
}

static void close_door(struct place *p, bool closed)
{
    pthread_mutex_lock(&p->d.lock);
    p->d.closed = closed;
    pthread_cond_broadcast(&p->d.opened);
    pthread_mutex_unlock(&p->d.lock);
}

static int64_t voided(struct place *p)
{
    pthread_mutex_lock(&p->d.lock);
    int64_t uid = p->d.voided;
    pthread_mutex_unlock(&p->d.lock);
    return uid;
}

static int questions(struct place *p)
{
    pthread_mutex_lock(&p->d.lock);
    int n = p->d.questions;
    pthread_mutex_unlock(&p->d.lock);
    return n;
}

static rc ask(struct place *p, int64_t uid)
{
    p->e = (struct err)ERR_NONE;
    return confirm_user(p->c, &p->w, uid, &p->a, &p->e);
}

/* The background has found no directory, and waits a second; then who asks about him finds none either. */
static void begin_without_directory(struct place *p, int64_t uid)
{
    set_away(p, true);
    begin(p, false);
    WAIT_UNTIL(questions(p) > 0);
    assert_int_equal(ask(p, uid), RC_AWAY);
}

/* ---- the background ---- */

static void who_left_is_gone_and_all_others_stay(void **state)
{
    (void)state;
    struct place *p = place_new();
    add(p, 1, 1, STEP_THAW);
    add(p, 2, 1, STEP_THAW);
    add(p, 3, 4, STEP_FREEZE);
    add(p, 4, 4, STEP_FREEZE);
    add(p, 5, 2, STEP_IMPORT_BEGIN);
    left(p, 2, 3);
    left(p, 4, 5);
    left(p, 5, 3); /* nobody asks about him: he does not serve */
    begin(p, false);
    confirm_await(p->c);
    assert_int_equal(state_of(p, 1, 1), HEAD_ACTIVE);
    assert_int_equal(state_of(p, 2, 3), HEAD_GONE);
    assert_int_equal(state_of(p, 3, 4), HEAD_FROZEN);
    assert_int_equal(state_of(p, 4, 5), HEAD_GONE);
    assert_int_equal(state_of(p, 5, 2), HEAD_IMPORTING);
    assert_true(confirm_knows(p->c, 2) && confirm_knows(p->c, 77));
    struct confirm_progress g;
    confirm_progress(p->c, &g);
    assert_true(g.done && g.asked == 4 && g.left == 2);
    place_free(p);
}

static void many_heads_are_asked_about_in_pages(void **state)
{
    (void)state;
    struct place *p = place_new();
    for (int64_t uid = 1; uid <= 2 * CONFIRM_PAGE; uid++) {
        add(p, uid, 1, STEP_THAW);
        arena_reset(&p->a);
    }
    left(p, 1, 2);
    left(p, CONFIRM_PAGE, 2);
    left(p, CONFIRM_PAGE + 1, 2);
    left(p, 2 * CONFIRM_PAGE, 2);
    begin(p, false);
    confirm_await(p->c);
    assert_int_equal(p->d.questions, 2);
    assert_int_equal(p->d.longest, CONFIRM_PAGE);
    assert_int_equal(state_of(p, 1, 2), HEAD_GONE);
    assert_int_equal(state_of(p, CONFIRM_PAGE, 2), HEAD_GONE);
    assert_int_equal(state_of(p, CONFIRM_PAGE + 1, 2), HEAD_GONE);
    assert_int_equal(state_of(p, 2 * CONFIRM_PAGE, 2), HEAD_GONE);
    assert_int_equal(state_of(p, 2, 1), HEAD_ACTIVE);
    place_free(p);
}

static void it_goes_on_when_a_directory_comes_back(void **state)
{
    (void)state;
    struct place *p = place_new();
    add(p, 1, 1, STEP_THAW);
    left(p, 1, 2);
    begin_without_directory(p, 1);
    set_away(p, false);
    confirm_await(p->c);
    assert_int_equal(state_of(p, 1, 2), HEAD_GONE);
    place_free(p);
}

static void what_is_cached_of_a_user_who_left_is_dropped(void **state)
{
    (void)state;
    struct place *p = place_new();
    struct cache_mark mark;
    struct buf b = { 0 };
    add(p, 1, 1, STEP_THAW);
    assert_false(cache_get(p->w.cache, 1, &b, &mark));
    cache_fill(p->w.cache, 1, &mark, VIEW("an old head"));
    assert_true(cache_get(p->w.cache, 1, &b, NULL));
    left(p, 1, 2);
    begin(p, false);
    confirm_await(p->c);
    assert_false(cache_get(p->w.cache, 1, &b, NULL));
    buf_done(&b);
    place_free(p);
}

static void tokens_of_whom_no_account_knows_are_void_and_his_data_stay(void **state)
{
    (void)state;
    struct place *p = place_new();
    add(p, 1, 1, STEP_THAW);
    add(p, 2, 1, STEP_THAW);
    p->d.nobody = 2;
    p->d.until_s = 4711;
    begin(p, false);
    confirm_await(p->c);
    assert_int_equal(voided(p), 2);
    assert_int_equal(p->d.voided_until_s, 4711);
    assert_int_equal(state_of(p, 2, 1), HEAD_ACTIVE);
    place_free(p);
}

static void he_is_void_before_he_counts_as_confirmed(void **state)
{
    (void)state;
    struct place *p = place_new();
    add(p, 2, 1, STEP_THAW);
    p->d.nobody = 2;
    begin_without_directory(p, 2);
    assert_int_equal(voided(p), 0);
    set_away(p, false);
    assert_int_equal(ask(p, 2), RC_OK);
    assert_int_equal(voided(p), 2);
    assert_true(confirm_knows(p->c, 2));
    place_free(p);
}

/* ---- before his turn ---- */

static void a_user_who_comes_before_his_turn_is_asked_about_at_once(void **state)
{
    (void)state;
    struct place *p = place_new();
    add(p, 1, 1, STEP_THAW);
    add(p, 2, 1, STEP_THAW);
    left(p, 2, 2);
    begin_without_directory(p, 1);
    assert_false(confirm_knows(p->c, 1));
    set_away(p, false);
    assert_int_equal(ask(p, 1), RC_OK);
    assert_true(confirm_knows(p->c, 1));
    assert_int_equal(ask(p, 2), RC_OK); /* the fence says the rest */
    assert_int_equal(state_of(p, 2, 2), HEAD_GONE);
    assert_int_equal(ask(p, 3), RC_OK); /* of whom nothing is here */
    place_free(p);
}

static void strict_refuses_and_lenient_serves_while_no_directory_answers(void **state)
{
    (void)state;
    for (int lenient = 0; lenient < 2; lenient++) {
        struct place *p = place_new();
        add(p, 1, 1, STEP_THAW);
        set_away(p, true);
        begin(p, lenient);
        assert_int_equal(ask(p, 1), lenient ? RC_OK : RC_AWAY);
        assert_false(confirm_knows(p->c, 1));
        assert_int_equal(ask(p, 2), RC_OK); /* nothing to give away */
        place_free(p);
    }
}

static void a_directory_that_knows_less_than_we_do_confirms_nobody(void **state)
{
    (void)state;
    struct place *p = place_new();
    add(p, 1, 5, STEP_THAW);
    left(p, 1, 3);
    begin(p, false);
    assert_int_equal(ask(p, 1), RC_AWAY);
    assert_int_equal(state_of(p, 1, 5), HEAD_ACTIVE);
    struct confirm_progress g;
    WAIT_UNTIL((confirm_progress(p->c, &g), g.doubtful > 0));
    assert_false(g.done);
    assert_false(confirm_knows(p->c, 1));
    assert_true(confirm_knows(p->c, 2));
    pthread_mutex_lock(&p->d.lock);
    p->d.n_left = 0; /* it has come to know better */
    pthread_mutex_unlock(&p->d.lock);
    assert_int_equal(ask(p, 1), RC_OK);
    confirm_await(p->c);
    assert_true(confirm_knows(p->c, 1));
    place_free(p);
}

static void closing_waits_for_no_directory_that_is_away(void **state)
{
    (void)state;
    struct place *p = place_new();
    add(p, 1, 1, STEP_THAW);
    close_door(p, true);
    begin(p, false);
    close_door(p, false);
    place_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_left_is_gone_and_all_others_stay),
        cmocka_unit_test(many_heads_are_asked_about_in_pages),
        cmocka_unit_test(it_goes_on_when_a_directory_comes_back),
        cmocka_unit_test(what_is_cached_of_a_user_who_left_is_dropped),
        cmocka_unit_test(tokens_of_whom_no_account_knows_are_void_and_his_data_stay),
        cmocka_unit_test(he_is_void_before_he_counts_as_confirmed),
        cmocka_unit_test(a_user_who_comes_before_his_turn_is_asked_about_at_once),
        cmocka_unit_test(strict_refuses_and_lenient_serves_while_no_directory_answers),
        cmocka_unit_test(a_directory_that_knows_less_than_we_do_confirms_nobody),
        cmocka_unit_test(closing_waits_for_no_directory_that_is_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
