#include "node/sync/negotiate.h"

#include "common/base/testing.h"

static void the_best_of_an_accept_header_is_served(void **state)
{
    static const struct {
        const char *header; /* NULL: none */
        enum format best, legacy;
    } cases[] = {
        { NULL, FORMAT_JSON, FORMAT_JSON },
        { "", FORMAT_JSON, FORMAT_JSON },
        { "application/json", FORMAT_JSON, FORMAT_JSON },
        { "application/newlines", FORMAT_NEWLINES, FORMAT_NEWLINES },
        { "Application/NewLines", FORMAT_NEWLINES, FORMAT_NEWLINES },
        { "application/whoisi", FORMAT_NONE, FORMAT_WHOISI },
        { "*/*", FORMAT_JSON, FORMAT_JSON },
        { "application/*", FORMAT_JSON, FORMAT_JSON },
        { "application/json;q=0.9,*/*;q=0.2", FORMAT_JSON, FORMAT_JSON }, /* Firefox */
        { "text/html,application/xhtml+xml,*/*;q=0.8", FORMAT_JSON, FORMAT_JSON },
        { "application/json;charset=utf-8", FORMAT_JSON, FORMAT_JSON },
        { "application/json,text/plain:q=0.5", FORMAT_JSON, FORMAT_JSON },
        { "x/yy", FORMAT_NONE, FORMAT_JSON },
        { "application/xxx", FORMAT_NONE, FORMAT_JSON },
        { "text/plain", FORMAT_NONE, FORMAT_JSON },
        { "application/newlines;q=0.5, application/json", FORMAT_JSON, FORMAT_JSON },
        { "application/newlines, application/json;q=0.5", FORMAT_NEWLINES, FORMAT_NEWLINES },
        { "application/newlines, application/json", FORMAT_JSON, FORMAT_JSON },
        { "application/newlines;q=0.3,*/*;q=0.2", FORMAT_NEWLINES, FORMAT_NEWLINES },
        { "application/newlines;q=0.2,*/*;q=0.2", FORMAT_JSON, FORMAT_JSON },
        { "application/newlines ; q=1.000 , x/y", FORMAT_NEWLINES, FORMAT_NEWLINES },
        { "application/json;q=0", FORMAT_NONE, FORMAT_JSON },
        { "application/json;q=0, */*", FORMAT_NEWLINES, FORMAT_JSON },
        { "application/newlines;q=0", FORMAT_NONE, FORMAT_JSON },
        { "*/*;q=0", FORMAT_NONE, FORMAT_JSON },
        { "application/whoisi, application/newlines", FORMAT_NEWLINES, FORMAT_NEWLINES },
        { "application/whoisi, application/newlines;q=0.9", FORMAT_NEWLINES, FORMAT_WHOISI },
        { "application/newlines;q=nonsense", FORMAT_JSON, FORMAT_JSON },
        { "application/newlines;q=1.5, application/json;q=0.1", FORMAT_JSON, FORMAT_JSON },
        { "application/newlines;q=0.1234, application/json;q=0.1", FORMAT_JSON, FORMAT_JSON },
        { ";;;,,,", FORMAT_JSON, FORMAT_JSON },
        { "garbage", FORMAT_JSON, FORMAT_JSON },
        { "/", FORMAT_JSON, FORMAT_JSON },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        view header = view_of(cases[i].header);

        if (accept_best(header) != cases[i].best)
            fail_msg("1.5, case %zu: \"%s\" gives %d", i, cases[i].header, (int)accept_best(header));
        if (accept_best_legacy(header) != cases[i].legacy)
            fail_msg("1.1, case %zu: \"%s\" gives %d", i, cases[i].header, (int)accept_best_legacy(header));
    }
}

static void a_content_type_names_the_format_of_the_body(void **state)
{
    static const struct {
        const char *type;
        rc put, post;
        enum format format;
    } cases[] = {
        { NULL, RC_OK, RC_OK, FORMAT_JSON },
        { "", RC_OK, RC_OK, FORMAT_JSON },
        { "application/json", RC_OK, RC_OK, FORMAT_JSON },
        { "text/plain", RC_OK, RC_OK, FORMAT_JSON },
        { "application/newlines", RC_MEDIA_TYPE, RC_OK, FORMAT_NEWLINES },
        { "application/octet-stream", RC_MEDIA_TYPE, RC_MEDIA_TYPE, FORMAT_NONE },
        { "application/javascript", RC_MEDIA_TYPE, RC_MEDIA_TYPE, FORMAT_NONE },
        { "application/x-www-form-urlencoded", RC_MEDIA_TYPE, RC_MEDIA_TYPE, FORMAT_NONE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum format f = FORMAT_NONE;
        view type = view_of(cases[i].type);

        assert_int_equal(body_format(type, true, &f, NULL), cases[i].put);
        assert_int_equal(body_format(type, false, &f, NULL), cases[i].post);
        assert_int_equal(f, cases[i].format);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_of_an_accept_header_is_served),
        cmocka_unit_test(a_content_type_names_the_format_of_the_body),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
