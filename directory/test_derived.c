#include "directory/derived.h"

#include "common/base/testing.h"

static char *master = (char *)(uintptr_t) "5b1f0e7c9d2a4483b6c0a1e2f3d4958677665544332211ffeeddccbbaa998877";

static void each_node_has_the_secret_that_is_derived_for_it_and_keeps_it(void **state)
{
    (void)state;
    const struct conf_list list = { .items = &master, .n = 1 };
    struct secrets *masters, *expected;
    struct derived *d = derived_new();
    const struct secrets *got, *first = NULL;
    char url[64];
    assert_int_equal(secrets_new(&list, 1, &masters, NULL), RC_OK);
    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < DERIVED_MOST; i++) {
            snprintf(url, sizeof url, "https://node%d.example.net", i);
            assert_int_equal(derived_get(d, masters, view_of(url), &got, NULL), RC_OK);
            assert_int_equal(secrets_derive(masters, view_of(url), &expected, NULL), RC_OK);
            assert_true(view_eq(got->items[0], expected->items[0]));
            secrets_free(expected);
            if (i == 0) {
                assert_true(!first || first == got);
                first = got;
            }
        }
    assert_int_equal(derived_get(d, masters, VIEW("https://one.more"), &got, NULL), RC_BUSY);
    assert_int_equal(derived_get(d, masters, view_of(url), &got, NULL), RC_OK);
    derived_free(d);
    secrets_free(masters);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(
        each_node_has_the_secret_that_is_derived_for_it_and_keeps_it) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
