#include "common/base/json.h"

#include <assert.h>

/* Set in jansson's word for the failure; the rest of its codes mean "this is not JSON". */
static bool out_of_range(const json_error_t *why)
{
    return json_error_code(why) == json_error_numeric_overflow;
}

/* Skips the rest of a string whose opening quote stands before p: the place behind its closing quote, or end. */
static const char *skip_string(const char *p, const char *end)
{
    for (; p < end; p++) {
        if (*p == '"')
            return p + 1;
        if (*p == '\\' && end - p > 1)
            p++;
    }
    return end;
}

/* Counts brackets outside strings. The parser recurses for each of them, so this stands before it. Of a text that is not
 * JSON the count is right up to the place where the parser stops, which is all that matters. */
static bool too_deep(view text, unsigned max_depth)
{
    const char *p = text.p, *end = text.p + text.n;
    unsigned depth = 0;

    while (p < end) {
        switch (*p++) {
        case '"':
            p = skip_string(p, end);
            break;
        case '[':
        case '{':
            if (++depth > max_depth)
                return true;
            break;
        case ']':
        case '}':
            if (depth > 0)
                depth--;
            break;
        default:
            break;
        }
    }
    return false;
}

rc json_read(view text, unsigned max_depth, enum json_read flags, json_t **out, struct err *e)
{
    size_t how = JSON_ALLOW_NUL | JSON_DECODE_ANY;
    json_error_t why;
    json_t *value;

    if (text.n == 0)
        return fail(e, RC_BAD_INPUT, RESP_JSON, "empty text instead of JSON");
    if (too_deep(text, max_depth))
        return fail(e, RC_BAD_INPUT, RESP_JSON, "JSON nested deeper than %u", max_depth);
    if (flags & JSON_READ_NO_DUPLICATES)
        how |= JSON_REJECT_DUPLICATES;
    if (flags & JSON_READ_WIDE_INTEGERS)
        how |= JSON_DECODE_INT_AS_REAL;
    value = json_loadb(text.p, text.n, how, &why);
    if (!value && json_error_code(&why) == json_error_out_of_memory)
        abort(); /* like any allocation: inputs are bounded instead */
    if (!value)  /* jansson's own text quotes the input, which may be a password or a payload */
        return fail(e, RC_BAD_INPUT, out_of_range(&why) ? RESP_INVALID_WBO : RESP_JSON,
                    "not usable JSON at byte %d (code %d)", why.position, (int)json_error_code(&why));
    *out = value;
    return RC_OK;
}

/* What stands after the backslash: a letter of the short forms, 'u' for \u00XX, 0 for a byte that is written as it is. */
static const char escape_of[256] = {
    [0] = 'u',  [1] = 'u',    [2] = 'u',    [3] = 'u',    [4] = 'u',   [5] = 'u',     [6] = 'u',
    [7] = 'u',  ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', [11] = 'u',  ['\f'] = 'f',  ['\r'] = 'r',
    [14] = 'u', [15] = 'u',   [16] = 'u',   [17] = 'u',   [18] = 'u',  [19] = 'u',    [20] = 'u',
    [21] = 'u', [22] = 'u',   [23] = 'u',   [24] = 'u',   [25] = 'u',  [26] = 'u',    [27] = 'u',
    [28] = 'u', [29] = 'u',   [30] = 'u',   [31] = 'u',   ['"'] = '"', ['\\'] = '\\',
};

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* Does one of the eight bytes need an escape? The high bit of a byte of x - 1 & ~x shows that the byte was 0. */
static bool any_escape(uint64_t w)
{
    uint64_t quote = w ^ EACH_BYTE('"'), slash = w ^ EACH_BYTE('\\');

    return (((w - EACH_BYTE(0x20)) & ~w) | ((quote - EACH_BYTE(1)) & ~quote) |
            ((slash - EACH_BYTE(1)) & ~slash)) &
           EACH_BYTE(0x80);
}

/* How many bytes from p on are written as they are? Payloads are kilobytes of base64 with a quote here and there, so
 * eight are looked at together. */
static size_t plain_run(const char *p, size_t n)
{
    size_t i = 0;

    for (; n - i >= 8; i += 8) {
        uint64_t w;

        memcpy(&w, p + i, 8);
        if (any_escape(w))
            break;
    }
    while (i < n && !escape_of[(unsigned char)p[i]])
        i++;
    return i;
}

void json_put_string(struct buf *b, view text)
{
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;

    buf_reserve(b, text.n + 2);
    buf_addc(b, '"');
    while (at < text.n) {
        size_t run = plain_run(text.p + at, text.n - at);

        if (run > 0)
            buf_add(b, (view){ .p = text.p + at, .n = run });
        at += run;
        if (at < text.n) {
            unsigned char c = (unsigned char)text.p[at++];
            char seq[6] = { '\\', escape_of[c], '0', '0', hex[c >> 4], hex[c & 15] };

            buf_add(b, (view){ .p = seq, .n = escape_of[c] == 'u' ? 6 : 2 });
        }
    }
    buf_addc(b, '"');
}

static int add_to_buf(const char *p, size_t n, void *arg)
{
    buf_add(arg, (view){ .p = p, .n = n });
    return 0;
}

void json_put_members(struct buf *b, const json_t *object)
{
    int failed = json_dump_callback(object, add_to_buf, b, JSON_COMPACT | JSON_ENCODE_ANY);

    assert(!failed); /* we built it, or json_read did: it has no cycle and all its texts are UTF-8 */
    (void)failed;
}
