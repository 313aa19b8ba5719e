#include "common/base/json.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/mem.h"

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

#define STRING_PIECE 256 /* bytes that are escaped with room for the worst */
#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* The high bit of each byte that needs an escape; of bytes behind the first such it may be set, too. (x - 1 & ~x has the high bit of
 * the lowest byte that is 0.) The first byte is the lowest, see first_of. */
static uint64_t escapes_in(uint64_t w)
{
    uint64_t quote = w ^ EACH_BYTE('"'), slash = w ^ EACH_BYTE('\\');

    return (((w - EACH_BYTE(0x20)) & ~w) | ((quote - EACH_BYTE(1)) & ~quote) |
            ((slash - EACH_BYTE(1)) & ~slash)) &
           EACH_BYTE(0x80);
}

static uint64_t eight_bytes(const char *p)
{
    uint64_t w;

    memcpy(&w, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

#define BLOCK_BYTES 32

/* Nothing in a block needs an escape. Written so that compilers compare all of its bytes at once. */
static bool block_is_plain(const char *p)
{
    unsigned char special = 0;

    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        unsigned char c = (unsigned char)p[i];

        special |= (unsigned char)((c < 0x20) | (c == '"') | (c == '\\'));
    }
    return !special;
}

/* There is room for six bytes for each of text, and eight more. Gives the end of what was written. Payloads are kilobytes of base64 with
 * a quote here and there, so a block is copied and looked at as one, and eight bytes where there is something in it. */
static char *put_escaped(char *to, view text)
{
    static const char hex[] = "0123456789abcdef";
    const char *p = text.p, *end = text.p + text.n;

    while (p < end) {
        if (end - p >= BLOCK_BYTES && block_is_plain(p)) {
            memcpy(to, p, BLOCK_BYTES);
            p += BLOCK_BYTES;
            to += BLOCK_BYTES;
            continue;
        }
        if (end - p >= 8) {
            uint64_t found = escapes_in(eight_bytes(p));
            size_t n = found ? (size_t)__builtin_ctzll(found) / 8 : 8;

            memcpy(to, p, 8);
            p += n;
            to += n;
            if (!found)
                continue;
        }
        unsigned char c = (unsigned char)*p++;
        char letter = escape_of[c];

        if (letter)
            *to++ = '\\';
        *to++ = letter ? letter : (char)c;
        if (letter == 'u') {
            memcpy(to, "00", 2);
            to[2] = hex[c >> 4];
            to[3] = hex[c & 15];
            to += 4;
        }
    }
    return to;
}

json_t *json_of_text(view text)
{
    return mem_need(json_stringn(text.p ? text.p : "", text.n));
}

void json_add(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0)
        abort();
}

void json_put_string(struct buf *b, view text)
{
    buf_reserve(b, text.n + 2);
    buf_addc(b, '"');
    for (size_t at = 0; at < text.n;) {
        size_t n = text.n - at < STRING_PIECE ? text.n - at : STRING_PIECE;

        buf_reserve(b, 6 * n + 8);
        b->n = (size_t)(put_escaped(b->p + b->n, (view){ .p = text.p + at, .n = n }) - b->p);
        at += n;
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
