/* Invite codes, over any driver. */
#include <pthread.h>

#include "common/base/scope.h"
#include "suite.h"

static struct invite code_named(const char *id, int64_t uses)
{
    return (struct invite){ .id = view_of(id),
                            .hash = VIEW("c2FsdGVkIGhhc2g"),
                            .note = VIEW("f\xc3\xbcr *)(uid=*) Anna's course"),
                            .by = VIEW("ops1"),
                            .uses = uses,
                            .left = uses,
                            .made_ms = START_MS,
                            .end_ms = START_MS + 86400000 };
}

static void add(struct fixture *f, const struct invite *x)
{
    struct err e = ERR_NONE;
    if (invite_add(f->s, x, &e) != RC_OK)
        fail_msg("%s", e.text);
}

static struct invite get(struct fixture *f, const char *id)
{
    struct invite x = { .takers = NULL };
    struct err e = ERR_NONE;
    if (invite_get(f->s, view_of(id), &f->arena, &x, &e) != RC_OK)
        fail_msg("%s: %s", id, e.text);
    return x;
}

static rc cas(struct fixture *f, const char *id, int64_t left, int64_t wanted, const char *taker, bool comes)
{
    const struct invite_change c = {
        .left = left, .wanted = wanted, .taker = view_of(taker), .comes = comes
    };
    return invite_cas(f->s, view_of(id), &c, NULL);
}

static void an_invite_code_comes_back_as_it_was_added(void **state)
{
    struct fixture *f = *state;
    struct invite full = code_named("k7qp", 3), bare = code_named("0001", 1), x;
    bare.note = bare.by = VIEW_NONE;
    add(f, &full);
    add(f, &bare);
    x = get(f, "k7qp");
    assert_true(view_eq(x.id, full.id) && view_eq(x.hash, full.hash) && view_eq(x.note, full.note) &&
                view_eq(x.by, full.by));
    assert_true(x.uses == 3 && x.left == 3 && x.made_ms == full.made_ms && x.end_ms == full.end_ms &&
                x.n_takers == 0);
    x = get(f, "0001");
    assert_true(!x.note.p && !x.by.p && x.uses == 1);
    assert_int_equal(invite_get(f->s, VIEW("zzzz"), &f->arena, &x, NULL), RC_NOT_FOUND);
    assert_int_equal(invite_get(f->s, VIEW("*"), &f->arena, &x, NULL), RC_NOT_FOUND);
    assert_int_equal(invite_get(f->s, VIEW("K7QP"), &f->arena, &x, NULL), RC_NOT_FOUND);
    assert_int_equal(invite_get(f->s, VIEW(""), &f->arena, &x, NULL), RC_NOT_FOUND);
}

static void an_invite_code_is_never_written_over_another(void **state)
{
    struct fixture *f = *state;
    struct invite first = code_named("k7qp", 3), second = code_named("k7qp", 5);
    add(f, &first);
    assert_int_equal(invite_add(f->s, &second, NULL), RC_CONFLICT);
    assert_int_equal(get(f, "k7qp").uses, 3);
}

static void an_impossible_invite_code_is_refused(void **state)
{
    struct fixture *f = *state;
    static char longer[INVITE_TEXT_MAX + 1];
    struct invite x = code_named("k7qp", 1), wrong[9];
    memset(longer, 'n', sizeof(longer));
    for (int i = 0; i < 9; i++)
        wrong[i] = x;
    wrong[0].uses = wrong[0].left = 0;
    wrong[1].uses = wrong[1].left = INVITE_USES_MAX + 1;
    wrong[2].left = 0;
    wrong[3].end_ms = wrong[3].made_ms;
    wrong[4].id = VIEW("K7QP");
    wrong[5].hash = VIEW("");
    wrong[6].note = (view){ .p = longer, .n = sizeof(longer) };
    wrong[7].note = VIEW("\xff");
    wrong[8].by = VIEW("a\0b");
    for (int i = 0; i < 9; i++)
        if (invite_add(f->s, &wrong[i], NULL) != RC_BAD_INPUT)
            fail_msg("row %d", i);
    add(f, &x);
    assert_int_equal(cas(f, "k7qp", 1, 0, "", true), RC_BAD_INPUT);
    assert_int_equal(cas(f, "k7qp", 1, 1, "7 1", true), RC_BAD_INPUT);
    assert_int_equal(cas(f, "k7qp", 0, -1, "7 1", true), RC_BAD_INPUT);
    assert_int_equal(cas(f, "k7qp", 1, 3, "7 1", false), RC_BAD_INPUT);
    assert_int_equal(cas(f, "k7qp", 1, 0, "7 1", false), RC_BAD_INPUT);
}

static void a_use_is_taken_once_confirmed_or_given_back(void **state)
{
    struct fixture *f = *state;
    struct invite x = code_named("k7qp", 2);
    add(f, &x);
    assert_int_equal(cas(f, "k7qp", 2, 1, "7 1000", true), RC_OK);
    assert_int_equal(cas(f, "k7qp", 2, 1, "8 1000", true), RC_CONFLICT); /* somebody was faster */
    assert_int_equal(cas(f, "k7qp", 1, 0, "7 1000", true), RC_CONFLICT); /* the same twice */
    assert_int_equal(get(f, "k7qp").left, 1);
    assert_int_equal(cas(f, "k7qp", 1, 0, "8 1001", true), RC_OK);
    x = get(f, "k7qp");
    assert_true(x.left == 0 && x.n_takers == 2 && view_eq(x.takers[0], VIEW("7 1000")) &&
                view_eq(x.takers[1], VIEW("8 1001")));
    assert_int_equal(cas(f, "k7qp", 0, 0, "7 1000", false), RC_OK);       /* registered */
    assert_int_equal(cas(f, "k7qp", 0, 0, "7 1000", false), RC_CONFLICT); /* … once */
    assert_int_equal(cas(f, "k7qp", 0, 1, "7 1000", false), RC_CONFLICT);
    assert_int_equal(cas(f, "k7qp", 0, 1, "8 1001", false), RC_OK); /* failed */
    x = get(f, "k7qp");
    assert_true(x.left == 1 && x.n_takers == 0);
    assert_int_equal(cas(f, "zzzz", 1, 0, "9 1", true), RC_NOT_FOUND);
}

static void a_deleted_invite_code_takes_nobody(void **state)
{
    struct fixture *f = *state;
    struct invite x = code_named("k7qp", 2);
    add(f, &x);
    assert_int_equal(cas(f, "k7qp", 2, 1, "7 1000", true), RC_OK);
    assert_int_equal(invite_delete(f->s, VIEW("k7qp"), NULL), RC_OK);
    assert_int_equal(invite_delete(f->s, VIEW("k7qp"), NULL), RC_NOT_FOUND);
    assert_int_equal(cas(f, "k7qp", 1, 0, "8 1001", true), RC_NOT_FOUND);
    assert_int_equal(cas(f, "k7qp", 1, 1, "7 1000", false), RC_NOT_FOUND);
    add(f, &x); /* the name is free again, and has nothing of the one before */
    assert_true(get(f, "k7qp").n_takers == 0);
}

struct walked {
    int n, most;
    char ids[8][INVITE_ID_MAX + 1];
    size_t takers;
};

static bool see(void *arg, const struct invite *x)
{
    struct walked *w = arg;
    assert_true(w->n < 8);
    snprintf(w->ids[w->n++], sizeof(w->ids[0]), "%.*s", VIEW_ARG(x->id));
    w->takers += x->n_takers;
    return w->n < w->most;
}

static void invite_codes_are_walked_in_the_order_of_ids(void **state)
{
    struct fixture *f = *state;
    static const char *const ids[] = { "zz", "k7qp", "0001", "k7qa" };
    struct walked w = { .most = 8 };
    assert_int_equal(invites_each(f->s, see, &w, NULL), RC_OK);
    assert_int_equal(w.n, 0);
    for (int i = 0; i < 4; i++) {
        struct invite x = code_named(ids[i], 1);
        add(f, &x);
    }
    assert_int_equal(cas(f, "k7qp", 1, 0, "7 1000", true), RC_OK);
    assert_int_equal(invites_each(f->s, see, &w, NULL), RC_OK);
    assert_int_equal(w.n, 4);
    assert_string_equal(w.ids[0], "0001");
    assert_string_equal(w.ids[1], "k7qa");
    assert_string_equal(w.ids[2], "k7qp");
    assert_string_equal(w.ids[3], "zz");
    assert_int_equal(w.takers, 1);
    w = (struct walked){ .most = 2 };
    assert_int_equal(invites_each(f->s, see, &w, NULL), RC_OK);
    assert_int_equal(w.n, 2);
}

/* ---- many at once ---- */

enum { RACERS = 8, USES = 20 };

struct racer {
    struct backend *backend;
    int number, wins, failures;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    struct backend_session *s;
    if (backend_session_open(r->backend, &s, NULL) != RC_OK) {
        r->failures++;
        return NULL;
    }
    for (int i = 0; i < 10 * USES && !r->failures; i++) {
        SCOPED(arena_done) struct arena a;
        struct invite x;
        arena_init(&a, 65536);
        if (invite_get(s, VIEW("k7qp"), &a, &x, NULL) != RC_OK) {
            r->failures++;
            break;
        }
        if (x.left == 0)
            break;
        const struct invite_change c = { .left = x.left,
                                         .wanted = x.left - 1,
                                         .taker = arena_text(&a, "%d%03d 1", r->number + 1, i),
                                         .comes = true };
        rc got = invite_cas(s, VIEW("k7qp"), &c, NULL);
        r->wins += got == RC_OK;
        r->failures += got != RC_OK && got != RC_CONFLICT;
    }
    backend_session_close(s);
    return NULL;
}

static void of_parallel_registrations_as_many_take_as_uses_were_made(void **state)
{
    struct fixture *f = *state;
    struct racer racers[RACERS];
    pthread_t threads[RACERS];
    struct invite x = code_named("k7qp", USES);
    int wins = 0;
    add(f, &x);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){ .backend = f->backend, .number = i };
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < RACERS; i++) {
        assert_int_equal(racers[i].failures, 0);
        wins += racers[i].wins;
    }
    assert_int_equal(wins, USES);
    x = get(f, "k7qp");
    assert_true(x.left == 0 && x.n_takers == USES);
}

static const struct CMUnitTest invites_tests[] = {
    TEST(an_invite_code_comes_back_as_it_was_added),
    TEST(an_invite_code_is_never_written_over_another),
    TEST(an_impossible_invite_code_is_refused),
    TEST(a_use_is_taken_once_confirmed_or_given_back),
    TEST(a_deleted_invite_code_takes_nobody),
    TEST(invite_codes_are_walked_in_the_order_of_ids),
    TEST(of_parallel_registrations_as_many_take_as_uses_were_made),
};
const struct test_group invites_part = TEST_GROUP(invites);
