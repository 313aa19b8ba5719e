#include "common/base/encode.h"

#define BAD 0xff

static const char hex_digits[] = "0123456789abcdef";
static const char base32_digits[] = "abcdefghijklmnopqrstuvwxyz234567";
static const char std_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* ---- hex ---- */

static unsigned hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return BAD;
}

void hex_put(struct buf *b, view bytes)
{
    buf_reserve(b, bytes.n * 2);
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char byte = (unsigned char)bytes.p[i];

        b->p[b->n++] = hex_digits[byte >> 4];
        b->p[b->n++] = hex_digits[byte & 15];
    }
}

size_t hex_print(uint64_t number, char out[HEX_NUMBER_MAX])
{
    unsigned shift = 4 * (HEX_NUMBER_MAX - 1);
    size_t n = 0;

    while (shift > 0 && number >> shift == 0)
        shift -= 4;
    for (;; shift -= 4) {
        out[n++] = hex_digits[number >> shift & 15];
        if (shift == 0)
            return n;
    }
}

bool hex_decode(view text, struct arena *a, view *out)
{
    char *p;

    if (text.n % 2 != 0)
        return false;
    p = arena_alloc(a, text.n / 2);
    for (size_t i = 0; i < text.n; i += 2) {
        unsigned high = hex_value(text.p[i]), low = hex_value(text.p[i + 1]);

        if (high == BAD || low == BAD)
            return false;
        p[i / 2] = (char)(high << 4 | low);
    }
    *out = (view){ .p = p, .n = text.n / 2 };
    return true;
}

/* ---- base64 ---- */

size_t base64_size(enum base64 kind, size_t n_bytes)
{
    size_t n = n_bytes, tail = n % 3;

    if (kind == BASE64_URL_NOPAD)
        return n / 3 * 4 + (tail ? tail + 1 : 0);
    return (n + 2) / 3 * 4;
}

void base64_write(enum base64 kind, view bytes, char *out)
{
    const char *digits = kind == BASE64_STD ? std_digits : url_digits;
    const unsigned char *in = (const unsigned char *)bytes.p;
    size_t left = bytes.n;

    for (; left >= 3; left -= 3, in += 3) {
        unsigned v = (unsigned)in[0] << 16 | (unsigned)in[1] << 8 | in[2];

        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 63];
        *out++ = digits[v >> 6 & 63];
        *out++ = digits[v & 63];
    }
    if (left == 0)
        return;
    unsigned v = (unsigned)in[0] << 16 | (left == 2 ? (unsigned)in[1] << 8 : 0);

    *out++ = digits[v >> 18];
    *out++ = digits[v >> 12 & 63];
    if (left == 2)
        *out++ = digits[v >> 6 & 63];
    if (kind == BASE64_URL_NOPAD)
        return;
    if (left == 1)
        *out++ = '=';
    *out = '=';
}

void base64_put(struct buf *b, enum base64 kind, view bytes)
{
    size_t n = base64_size(kind, bytes.n);

    buf_reserve(b, n);
    if (n)
        base64_write(kind, bytes, b->p + b->n);
    b->n += n;
}

view base64_text(struct arena *a, enum base64 kind, view bytes)
{
    size_t n = base64_size(kind, bytes.n);
    char *p = arena_alloc(a, n + 1);

    base64_write(kind, bytes, p);
    p[n] = '\0';
    return (view){ .p = p, .n = n };
}

#define COMMON_VALUES                                                                                        \
    ['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7, ['H'] = 8, ['I'] = 9,       \
    ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17,          \
    ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25,          \
    ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33,          \
    ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41,          \
    ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49,          \
    ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56, ['4'] = 57,          \
    ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62

/* One more than the value of a digit, so that 0 is "no digit". */
static const unsigned char std_values[256] = { COMMON_VALUES, ['+'] = 63, ['/'] = 64 };
static const unsigned char url_values[256] = { COMMON_VALUES, ['-'] = 63, ['_'] = 64 };

/* Takes the padding off and says whether what is left has a possible length. */
static bool base64_unpad(enum base64 kind, view *text)
{
    if (kind != BASE64_URL_NOPAD) {
        if (text->n % 4 != 0)
            return false;
        for (int i = 0; i < 2 && text->n > 0 && text->p[text->n - 1] == '='; i++)
            text->n--;
    }
    return text->n % 4 != 1;
}

bool base64_decode(enum base64 kind, view text, struct arena *a, view *out)
{
    const unsigned char *values = kind == BASE64_STD ? std_values : url_values;
    unsigned v = 0;
    size_t n = 0;
    char *p;

    if (!base64_unpad(kind, &text))
        return false;
    p = arena_alloc(a, text.n / 4 * 3 + 3);
    for (size_t i = 0; i < text.n; i++) {
        unsigned digit = values[(unsigned char)text.p[i]];

        if (digit == 0)
            return false;
        v = v << 6 | (digit - 1);
        if (i % 4 == 3) {
            p[n++] = (char)(v >> 16 & 255);
            p[n++] = (char)(v >> 8 & 255);
            p[n++] = (char)(v & 255);
            v = 0;
        }
    }
    if (text.n % 4 == 2) {
        if (v & 15) /* bits that no byte uses */
            return false;
        p[n++] = (char)(v >> 4 & 255);
    } else if (text.n % 4 == 3) {
        if (v & 3)
            return false;
        p[n++] = (char)(v >> 10 & 255);
        p[n++] = (char)(v >> 2 & 255);
    }
    *out = (view){ .p = p, .n = n };
    return true;
}

/* ---- base32 ---- */

void base32_put_lower(struct buf *b, view bytes)
{
    unsigned v = 0, bits = 0;

    buf_reserve(b, bytes.n / 5 * 8 + 8);
    for (size_t i = 0; i < bytes.n; i++) {
        v = (v << 8 | (unsigned char)bytes.p[i]) & 0xfff; /* never more than 4 + 8 bits wait */
        for (bits += 8; bits >= 5; bits -= 5)
            b->p[b->n++] = base32_digits[v >> (bits - 5) & 31];
    }
    if (bits)
        b->p[b->n++] = base32_digits[v << (5 - bits) & 31];
}

/* ---- percent escapes ---- */

static bool unescape(view text, bool plus_is_blank, struct arena *a, view *out)
{
    bool percent = text.n && memchr(text.p, '%', text.n);
    bool plus = plus_is_blank && text.n && memchr(text.p, '+', text.n);
    size_t n = 0;
    char *p;

    if (!percent && !plus) {
        *out = text;
        return true;
    }
    p = arena_alloc(a, text.n);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (c == '%') {
            unsigned high = i + 2 < text.n ? hex_value(text.p[i + 1]) : BAD;
            unsigned low = i + 2 < text.n ? hex_value(text.p[i + 2]) : BAD;

            if (high == BAD || low == BAD)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        p[n++] = c;
    }
    *out = (view){ .p = p, .n = n };
    return true;
}

void percent_put(struct buf *b, view v)
{
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        if (ascii_alnum(c) || (c && strchr("-._~", c)))
            buf_addc(b, c);
        else
            buf_addf(b, "%%%02X", (unsigned)(unsigned char)c);
    }
}

bool percent_decode(view text, struct arena *a, view *out)
{
    return unescape(text, false, a, out);
}

bool form_decode(view text, struct arena *a, view *out)
{
    return unescape(text, true, a, out);
}

/* ---- UTF-8 ---- */

/* Bytes that follow a first byte, and the range of the first of them, which is where overlong forms, surrogates and
 * values above U+10FFFF show. 0 followers with a first byte >= 0x80: never legal. */
static unsigned followers(unsigned char first, unsigned char *out_least, unsigned char *out_most)
{
    *out_least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *out_most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first >= 0xc2 && first <= 0xdf)
        return 1;
    if (first >= 0xe0 && first <= 0xef)
        return 2;
    if (first >= 0xf0 && first <= 0xf4)
        return 3;
    return 0;
}

bool utf8_valid(view v)
{
    const unsigned char *p = (const unsigned char *)v.p;
    size_t i = 0;

    while (i < v.n) {
        unsigned char least, most;
        unsigned more;
        uint64_t eight;

        while (v.n - i >= sizeof eight) { /* most text is ASCII */
            memcpy(&eight, p + i, sizeof eight);
            if (eight & UINT64_C(0x8080808080808080))
                break;
            i += sizeof eight;
        }
        if (i == v.n)
            break;
        if (p[i] < 0x80) {
            i++;
            continue;
        }
        more = followers(p[i], &least, &most);
        if (more == 0 || more >= v.n - i || p[i + 1] < least || p[i + 1] > most)
            return false;
        for (unsigned k = 2; k <= more; k++)
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
        i += more + 1;
    }
    return true;
}
