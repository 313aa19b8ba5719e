#include "common/page/html.h"

#include <assert.h>

void html_escape(struct buf *b, view v)
{
    size_t from = 0;
    for (size_t i = 0; i < v.n; i++) {
        const char *as = NULL;
        switch (v.p[i]) {
        case '&':
            as = "&amp;";
            break;
        case '<':
            as = "&lt;";
            break;
        case '>':
            as = "&gt;";
            break;
        case '"':
            as = "&quot;";
            break;
        case '\'':
            as = "&#39;";
            break;
        case '\0':
            as = "\xef\xbf\xbd";
            break;
        default:
            continue;
        }
        buf_add(b, (view){ .p = v.p + from, .n = i - from });
        buf_add(b, view_of(as));
        from = i + 1;
    }
    if (from < v.n)
        buf_add(b, (view){ .p = v.p + from, .n = v.n - from });
}

void html_put(struct buf *b, const char *fmt, const view *values, size_t n)
{
    size_t used = 0;
    const char *hole;
    for (; (hole = strstr(fmt, "{}")); fmt = hole + 2) {
        buf_add(b, (view){ .p = fmt, .n = (size_t)(hole - fmt) });
        assert(used < n);
        html_escape(b, values[used++]);
    }
    assert(used == n);
    buf_add(b, view_of(fmt));
}

void html_raw(struct buf *b, view markup)
{
    buf_add(b, markup);
}
