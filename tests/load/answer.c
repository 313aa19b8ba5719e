#include "tests/load/answer.h"

#define ANSWER_MOST ((uint64_t)256 << 20)

/* The value of a header line, if it is the one called `name` (lower case). */
static bool header_is(view line, view name, view *out)
{
    if (line.n <= name.n || line.p[name.n] != ':')
        return false;
    if (!view_eq_nocase((view){ .p = line.p, .n = name.n }, name))
        return false;
    *out = view_trim((view){ .p = line.p + name.n + 1, .n = line.n - name.n - 1 });
    return true;
}

/* false: a length that is none. */
static bool read_headers(view head, struct answer *out, uint64_t *length)
{
    view value;

    for (const char *p = head.p; p < head.p + head.n;) {
        const char *end = memchr(p, '\r', (size_t)(head.p + head.n - p));
        view line = { .p = p, .n = (size_t)((end ? end : head.p + head.n) - p) };

        switch (line.n ? line.p[0] | 0x20 : 0) { /* most lines are none of these */
        case 'c':
            if (header_is(line, VIEW("content-length"), &value) && !view_to_u64(value, ANSWER_MOST, length))
                return false;
            if (header_is(line, VIEW("connection"), &value))
                out->close = view_eq_nocase(value, VIEW("close"));
            break;
        case 'x':
            if (header_is(line, VIEW("x-last-modified"), &value))
                out->last_modified = value;
            break;
        case 't':
            if (header_is(line, VIEW("transfer-encoding"), &value))
                return false; /* none of our servers does that */
            break;
        }
        p = line.p + line.n + 2;
    }
    return true;
}

enum answer_state answer_read(view got, struct answer *out, size_t *out_need)
{
    const char *end = got.n ? memmem(got.p, got.n, "\r\n\r\n", 4) : NULL;
    uint64_t length = 0;

    *out = (struct answer){ .status = 0 };
    *out_need = 0;
    if (!end)
        return got.n > 65536 ? ANSWER_BROKEN : ANSWER_MORE;
    if (got.n < 12 || memcmp(got.p, "HTTP/1.1 ", 9) != 0)
        return ANSWER_BROKEN;
    for (int i = 9; i < 12; i++) {
        if (got.p[i] < '0' || got.p[i] > '9')
            return ANSWER_BROKEN;
        out->status = out->status * 10 + (got.p[i] - '0');
    }
    out->head = (view){ .p = got.p, .n = (size_t)(end - got.p) };
    if (!read_headers(out->head, out, &length))
        return ANSWER_BROKEN;
    *out_need = out->head.n + 4 + (size_t)length;
    if (got.n < *out_need)
        return ANSWER_MORE;
    out->body = (view){ .p = end + 4, .n = (size_t)length };
    return ANSWER_WHOLE;
}
