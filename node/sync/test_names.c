#include "node/sync/names.h"

#include "common/base/testing.h"

#define X32 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X64 X32 X32

static void a_name_is_legal_or_not(void **state)
{
    static const struct {
        view text;
        bool coll, coll11, id, id11, segment, uid, user;
    } cases[] = {
        { VIEW("bookmarks"), true, true, true, true, true, false, true },
        { VIEW("a.b_c-D9"), true, true, true, true, true, false, true },
        { VIEW(X32), true, true, true, true, true, false, true },
        { VIEW(X32 "x"), false, true, true, true, true, false, true },
        { VIEW(X64), false, true, true, true, true, false, true },
        { VIEW(X64 "x"), false, true, false, false, false, false, true },
        { VIEW("1234567890"), true, true, true, true, true, true, true },
        { VIEW("12345678901"), true, true, true, true, true, false, true },
        { VIEW("."), false, false, true, true, false, false, true },
        { VIEW(".."), false, false, true, true, false, false, true },
        { VIEW("..."), true, true, true, true, true, false, true },
        { VIEW("{6820f3ca}"), false, false, true, true, true, false, false },
        { VIEW("a/b"), false, false, true, false, false, false, false },
        { VIEW("a b"), false, false, true, true, true, false, false },
        { VIEW("~?#,\\"), false, false, true, true, true, false, false },
        { VIEW(""), false, false, false, false, false, false, false },
        { VIEW("a\nb"), false, false, false, false, false, false, false },
        { VIEW("a\tb"), false, false, false, false, false, false, false },
        { VIEW("a\x7f"), false, false, false, false, false, false, false },
        { VIEW("a\0b"), false, false, false, false, false, false, false },
        { VIEW("\xc3\xa4"), false, false, false, false, false, false, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        view v = cases[i].text;

        if (coll_name_ok(v) != cases[i].coll || coll_name_legacy_ok(v) != cases[i].coll11 ||
            item_id_ok(v) != cases[i].id || item_id_legacy_ok(v) != cases[i].id11 ||
            item_segment_ok(v) != cases[i].segment || uid_ok(v) != cases[i].uid ||
            user_name_ok(v) != cases[i].user)
            fail_msg("case %zu: \"%.*s\"", i, VIEW_ARG(v));
        assert_true(any_segment_ok(v));
    }
}

static void three_versions_of_the_old_protocol_are_known(void **state)
{
    (void)state;
    assert_true(legacy_version_ok(VIEW("1.1")));
    assert_true(legacy_version_ok(VIEW("1.0")));
    assert_true(legacy_version_ok(VIEW("1")));
    assert_false(legacy_version_ok(VIEW("1.5")));
    assert_false(legacy_version_ok(VIEW("2.0")));
    assert_false(legacy_version_ok(VIEW("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_legal_or_not),
        cmocka_unit_test(three_versions_of_the_old_protocol_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
