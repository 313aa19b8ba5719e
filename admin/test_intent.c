/* The intent: what stands in an account is read exactly as it was written, and nothing else is taken for one. */
#include "admin/intent.h"

#include "common/base/scope.h"
#include "common/base/testing.h"

static void what_is_written_is_read(void **state)
{
    (void)state;
    static const char *const texts[] = { "copy node8.example.net:8080 m12ab 1767225900 42 1",
                                         "abort node8 m1 42 7", "retire [::1]:8000 m1 9999999999 3" };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        SCOPED(buf_done) struct buf again = { 0 };
        struct intent got;
        assert_int_equal(intent_parse(view_of(texts[i]), &got, NULL), RC_OK);
        intent_put(&again, &got);
        assert_string_equal(buf_text(&again), texts[i]);
    }
    struct intent i;
    assert_int_equal(intent_parse(view_of(texts[0]), &i, NULL), RC_OK);
    assert_int_equal(i.kind, INTENT_COPY);
    assert_true(view_eq(i.peer, VIEW("node8.example.net:8080")) && view_eq(i.move, VIEW("m12ab")));
    assert_true(i.lease_s == 1767225900 && i.uid == 42 && i.epoch == 1);
}

static void anything_else_is_none_of_ours(void **state)
{
    (void)state;
    static const char *const texts[] = { "",
                                         "copy",
                                         "copy node8 m1 1767225900",
                                         "copy node8 m1 1767225900 42",
                                         "copy node8 m1 1767225900 42 1 more",
                                         "copy node8 m1 1767225900 42 1 ",
                                         "copy  m1 1767225900 42 1",
                                         "copy node8 m1 soon 42 1",
                                         "copy node8 m1 -1 42 1",
                                         "copy node8 m1 1767225900 0 1",
                                         "copy node8 m1 1767225900 42 0",
                                         "abort node8 m1 1767225900 42 1",
                                         "retire node8 m1 42 9223372036854775807",
                                         "Copy node8 m1 1767225900 42 1",
                                         "move node8 m1 42 1" };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct intent got;
        if (intent_parse(view_of(texts[i]), &got, NULL) == RC_OK)
            fail_msg("\"%s\" is taken", texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(anything_else_is_none_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
