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
#define BLOCK_WORDS  4
#define BLOCK_BYTES  (8 * BLOCK_WORDS)
#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* Eight bytes of a text, the first of them the lowest. */
static uint64_t word_at(const char *p)
{
    uint64_t w;

    memcpy(&w, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

static void store_word(char *to, uint64_t w)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    memcpy(to, &w, 8);
}

/* The highest bit of each byte that needs an escape. */
static inline uint64_t escapes_in(uint64_t w)
{
    const uint64_t low = EACH_BYTE(0x7f);
    uint64_t quote = w ^ EACH_BYTE('"'), slash = w ^ EACH_BYTE('\\');
    uint64_t fine = (((w & low) + EACH_BYTE(0x60)) | w) & (((quote & low) + low) | quote) &
                    (((slash & low) + low) | slash);

    return ~fine & EACH_BYTE(0x80);
}

/* The same for a block, with the lowest bits. false: no byte needs one. Written so that compilers compare all of its bytes at once. */
static bool find_escapes(const char *p, uint64_t found[BLOCK_WORDS])
{
    char flags[BLOCK_BYTES];
    uint64_t any = 0;

    for (size_t i = 0; i < sizeof flags; i++) {
        unsigned char c = (unsigned char)p[i];

        flags[i] = (char)((c < 0x20) | (c == '"') | (c == '\\'));
    }
    for (size_t i = 0; i < BLOCK_WORDS; i++)
        any |= found[i] = word_at(flags + 8 * i);
    return any != 0;
}

/* Writes the bytes of w; those with a bit in `found` are escaped, and what comes after one is written again behind it. Gives the end;
 * up to eight bytes behind it are written, too. */
static inline char *put_word(char *to, uint64_t w, uint64_t found)
{
    static const char hex[] = "0123456789abcdef";

    store_word(to, w);
    for (; found; found &= found - 1) {
        unsigned at = (unsigned)__builtin_ctzll(found) / 8;
        unsigned char c = (unsigned char)(w >> 8 * at);
        char *escape = to + at;

        escape[0] = '\\';
        escape[1] = escape_of[c];
        to++;
        if (escape[1] == 'u') {
            memcpy(escape + 2, "00", 2);
            escape[4] = hex[c >> 4];
            escape[5] = hex[c & 15];
            to += 4;
        }
        store_word(to + at + 1, w >> 8 * at >> 8);
    }
    return to + 8;
}

/* The last n bytes of a text, fewer than eight, as the first ones of a word. */
static uint64_t last_bytes(view text, size_t n)
{
    const char *end = text.p + text.n;
    uint64_t w = 0;

    if (text.n >= 8)
        return word_at(end - 8) >> 8 * (8 - n);
    for (size_t i = 0; i < n; i++)
        w |= (uint64_t)(unsigned char)text.p[text.n - n + i] << 8 * i;
    return w;
}

/* There is room for six bytes for each of text, and eight more. Payloads are kilobytes of base64 with quotes here and there, so a
 * block without anything to escape is copied as one. Gives the end of what was written. */
static char *put_escaped(char *to, view text)
{
    const char *p = text.p, *end = text.p + text.n;
    uint64_t found[BLOCK_WORDS];

    for (; end - p >= BLOCK_BYTES; p += BLOCK_BYTES) {
        if (find_escapes(p, found)) {
            for (size_t i = 0; i < BLOCK_WORDS; i++)
                to = put_word(to, word_at(p + 8 * i), found[i]);
        } else {
            memcpy(to, p, BLOCK_BYTES);
            to += BLOCK_BYTES;
        }
    }
    for (; end - p >= 8; p += 8)
        to = put_word(to, word_at(p), escapes_in(word_at(p)));
    size_t rest = (size_t)(end - p);
    if (rest > 0) {
        uint64_t w = last_bytes(text, rest);
        to = put_word(to, w, escapes_in(w) & ~(UINT64_MAX << 8 * rest)) - (8 - rest);
    }
    return to;
}

json_t *json_of_text(view text)
{
    return mem_need(json_stringn_nocheck(text.p ? text.p : "", text.n));
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
