/* What the parts of the suite share: it runs over fixture_driver and says what directory/backend/backend.h promises. */
#ifndef HEDDLE_TESTS_BACKEND_SUITE_H
#define HEDDLE_TESTS_BACKEND_SUITE_H

#include <stdio.h>

#include "fixture.h"

#define TEST(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)

extern const struct test_group accounts_part, leaving_part, nodes_part, invites_part, marks_part;

int suite_run(void);

static inline bool same(view v, const char *text) /* NULL: absent */
{
    return text ? view_eq(v, view_of(text)) && v.p : v.p == NULL;
}

static inline rc cas1(struct fixture *f, const char *name, enum account_attr attr, const char *expected,
                      const char *wanted)
{
    struct change c = fixture_change(attr, expected, wanted);
    return account_cas(f->s, view_of(name), &c, 1, NULL);
}

/* What a visitor wrote down. */
struct seen {
    size_t n;
    char text[16][128];
};

#endif
