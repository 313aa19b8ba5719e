#include "node/sync/limits.h"

#include "common/base/testing.h"
#include "node/sync/testing_conf.h"

static rc ready(struct sync_limits l)
{
    struct err e = ERR_NONE;
    rc r = sync_limits_ready(&l, &e);

    assert_true(r == RC_OK || (r == RC_BAD_INPUT && strstr(e.text, "limits")));
    sync_limits_done(&l);
    return r;
}

static void limits_that_contradict_each_other_are_refused(void **state)
{
    struct sync_limits l = usual_limits();

    (void)state;
    assert_int_equal(ready(l), RC_OK);
    l.max_request_bytes = l.max_post_bytes;
    assert_int_equal(ready(l), RC_BAD_INPUT);
    l = usual_limits();
    l.max_post_bytes = l.max_record_payload_bytes - 1;
    assert_int_equal(ready(l), RC_BAD_INPUT);
    l = usual_limits();
    l.max_total_records = 99;
    assert_int_equal(ready(l), RC_BAD_INPUT);
    l = usual_limits();
    l.max_total_bytes = l.max_post_bytes - 1;
    assert_int_equal(ready(l), RC_BAD_INPUT);
    l = usual_limits();
    l.legacy_request_bytes = l.legacy_post_bytes;
    assert_int_equal(ready(l), RC_BAD_INPUT);
}

static rc ready_with(const char *item)
{
    char *items[] = { (char *)item };
    struct sync_limits l = usual_limits();

    l.collections = (struct conf_list){ .items = items, .n = 1 };
    return ready(l);
}

static void limits_of_one_collection_are_checked_as_the_general_ones(void **state)
{
    static const struct {
        const char *item;
        rc expected;
    } cases[] = {
        { "bookmarks:0:4194304:4198400", RC_OK },
        { "bookmarks:4194304:4194304:4198400", RC_OK },
        { "bookmarks:0:0:0", RC_OK },
        { "bookmarks:4194304:0:0", RC_BAD_INPUT }, /* above max_post_bytes */
        { "bookmarks:0:4194304:0", RC_BAD_INPUT }, /* above max_request_bytes */
        { "bookmarks:0:0", RC_BAD_INPUT },
        { "bookmarks:0:0:0:0", RC_BAD_INPUT },
        { "bookmarks:x:0:0", RC_BAD_INPUT },
        { "bookmarks:-1:0:0", RC_BAD_INPUT },
        { ":0:0:0", RC_BAD_INPUT },
        { "book marks:0:0:0", RC_BAD_INPUT },
        { "", RC_BAD_INPUT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (ready_with(cases[i].item) != cases[i].expected)
            fail_msg("\"%s\"", cases[i].item);
}

static void a_collection_without_limits_of_its_own_has_the_general_ones(void **state)
{
    char *items[] = { "bookmarks:0:4194304:4198400" };
    struct sync_limits l = usual_limits();

    (void)state;
    l.collections = (struct conf_list){ .items = items, .n = 1 };
    assert_int_equal(sync_limits_ready(&l, NULL), RC_OK);
    assert_int_equal(sync_limits_of(&l, VIEW("bookmarks")).max_post_bytes, 4194304);
    assert_int_equal(sync_limits_of(&l, VIEW("bookmarks")).max_record_payload_bytes, 2621440);
    assert_int_equal(sync_limits_of(&l, VIEW("history")).max_post_bytes, 2621440);
    assert_int_equal(sync_limits_of(&l, VIEW_NONE).max_request_bytes, 2625536);
    sync_limits_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_that_contradict_each_other_are_refused),
        cmocka_unit_test(limits_of_one_collection_are_checked_as_the_general_ones),
        cmocka_unit_test(a_collection_without_limits_of_its_own_has_the_general_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
