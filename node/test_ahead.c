#include "node/ahead.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common/base/testing.h"

enum { QUESTIONS = 100, ROOM = 64, UNDER_WAY = 1 };

/* Notes what it is asked, and goes on when it is let. */
struct asker {
    sem_t begun, go;
    atomic_int n;
    char first[8], last[8];
};

static void ask(void *arg, view name, view password)
{
    struct asker *x = arg;
    sem_post(&x->begun);
    sem_wait(&x->go);
    if (atomic_load(&x->n) == 0)
        snprintf(x->first, sizeof(x->first), "%.*s", VIEW_ARG(name));
    snprintf(x->last, sizeof(x->last), "%.*s", VIEW_ARG(password));
    atomic_fetch_add(&x->n, 1);
}

static struct ahead *start(struct asker *x)
{
    struct ahead *h = NULL;
    *x = (struct asker){ .n = 0 };
    sem_init(&x->begun, 0, 0);
    sem_init(&x->go, 0, 0);
    assert_int_equal(ahead_start(ask, x, &h, NULL), RC_OK);
    return h;
}

static void add(struct ahead *h, int i)
{
    char name[8], password[8];
    snprintf(name, sizeof(name), "n%d", i);
    snprintf(password, sizeof(password), "p%d", i);
    ahead_add(h, view_of(name), view_of(password));
}

static void questions_are_asked_in_their_order_and_those_without_room_are_dropped(void **state)
{
    struct asker x;
    (void)state;
    struct ahead *h = start(&x);
    add(h, 0);
    sem_wait(&x.begun);
    for (int i = 1; i < QUESTIONS; i++)
        add(h, i);
    for (int i = 0; i < QUESTIONS; i++)
        sem_post(&x.go);
    WAIT_UNTIL(atomic_load(&x.n) == ROOM + UNDER_WAY);
    add(h, QUESTIONS);
    WAIT_UNTIL(atomic_load(&x.n) == ROOM + UNDER_WAY + 1);
    ahead_stop(h);
    assert_string_equal(x.first, "n0");
    assert_string_equal(x.last, "p100");
}

static void who_stops_waits_for_what_is_under_way_alone(void **state)
{
    struct asker x;
    (void)state;
    struct ahead *h = start(&x);
    for (int i = 0; i < ROOM; i++)
        add(h, i);
    sem_wait(&x.begun);
    sem_post(&x.go);
    sem_wait(&x.begun);
    sem_post(&x.go); /* it may find more to do before it hears of the end: */
    for (int i = 0; i < ROOM; i++)
        sem_post(&x.go);
    ahead_stop(h);
    assert_in_range(atomic_load(&x.n), 2, ROOM);
    ahead_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_are_asked_in_their_order_and_those_without_room_are_dropped),
        cmocka_unit_test(who_stops_waits_for_what_is_under_way_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
