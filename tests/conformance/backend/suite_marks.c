/* Marks, over any driver. */
#include "suite.h"

static bool there(struct fixture *f, const char *name)
{
    bool out = false;
    struct err e = ERR_NONE;
    if (mark_there(f->s, view_of(name), &out, &e) != RC_OK)
        fail_msg("%s", e.text);
    return out;
}

static void a_mark_is_put_once(void **state)
{
    struct fixture *f = *state;
    assert_false(there(f, "session-0a1b"));
    assert_int_equal(mark_put(f->s, VIEW("session-0a1b"), START_MS, NULL), RC_OK);
    assert_int_equal(mark_put(f->s, VIEW("session-0a1b"), START_MS + 1, NULL), RC_CONFLICT);
    assert_true(there(f, "session-0a1b"));
    assert_false(there(f, "session-0a1c"));
    assert_false(there(f, "session-0a1"));
}

static void marks_go_when_they_ended(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(marks_sweep(f->s, START_MS, NULL), RC_OK);
    assert_int_equal(mark_put(f->s, VIEW("a"), START_MS - 1, NULL), RC_OK);
    assert_int_equal(mark_put(f->s, VIEW("b"), START_MS, NULL), RC_OK);
    assert_int_equal(mark_put(f->s, VIEW("c"), 999, NULL), RC_OK); /* fewer digits */
    assert_int_equal(marks_sweep(f->s, START_MS, NULL), RC_OK);
    assert_true(!there(f, "a") && there(f, "b") && !there(f, "c"));
    assert_int_equal(mark_put(f->s, VIEW("a"), START_MS + 1, NULL), RC_OK); /* its name is free again */
}

static void a_mark_that_could_mean_something_else_is_refused(void **state)
{
    struct fixture *f = *state;
    static char longer[MARK_NAME_MAX + 1];
    bool out;
    memset(longer, 'm', sizeof(longer));
    const view bad[] = {
        VIEW(""), VIEW("A"), VIEW("a b"), VIEW("a,cn=b"), VIEW("*"), VIEW("a\0b"), { longer, sizeof(longer) },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(mark_put(f->s, bad[i], START_MS, NULL), RC_BAD_INPUT);
        assert_int_equal(mark_there(f->s, bad[i], &out, NULL), RC_BAD_INPUT);
    }
    assert_int_equal(mark_put(f->s, VIEW("a"), 0, NULL), RC_BAD_INPUT);
}

static const struct CMUnitTest marks_tests[] = {
    TEST(a_mark_is_put_once),
    TEST(marks_go_when_they_ended),
    TEST(a_mark_that_could_mean_something_else_is_refused),
};
const struct test_group marks_part = TEST_GROUP(marks);
