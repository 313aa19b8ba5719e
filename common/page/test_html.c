#include "common/base/testing.h"
#include "common/page/html.h"

static void what_is_put_in_is_escaped(void **state)
{
    struct buf b = { 0 };
    (void)state;
    HTML(&b, "<a href=\"{}\">{}</a>", VIEW("x\" onload='1"), VIEW("<script>&\0"));
    assert_string_equal(buf_text(&b),
                        "<a href=\"x&quot; onload=&#39;1\">&lt;script&gt;&amp;\xef\xbf\xbd</a>");
    buf_clear(&b);
    HTML(&b, "<p>{}</p>", VIEW("{}"));
    assert_string_equal(buf_text(&b), "<p>{}</p>");
    buf_clear(&b);
    HTML(&b, "plain");
    HTML(&b, "{}{}", VIEW("a"), VIEW_NONE);
    assert_string_equal(buf_text(&b), "plaina");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_put_in_is_escaped) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
