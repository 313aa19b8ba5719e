/* Reading works on the decimal text itself: no binary float, no loop longer than the text. */
#include "common/base/stamp.h"

#define CS_MAX (INT64_MAX / 10) /* so that stamp_ms() fits; what is later than that, is that */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

size_t stamp_print(stamp t, char out[STAMP_TEXT_MAX])
{
    uint64_t cs = t.cs > 0 ? (uint64_t)t.cs : 0;
    uint64_t s = cs / 100;
    unsigned part = (unsigned)(cs % 100);
    char digits[20];
    size_t at = sizeof digits, n;

    do {
        digits[--at] = (char)('0' + s % 10);
        s /= 10;
    } while (s);
    n = sizeof digits - at;
    memcpy(out, digits + at, n);
    out[n++] = '.';
    out[n++] = (char)('0' + part / 10);
    out[n++] = (char)('0' + part % 10);
    out[n] = '\0';
    return n;
}

void stamp_put(struct buf *b, stamp t)
{
    buf_reserve(b, STAMP_TEXT_MAX);
    b->n += stamp_print(t, b->p + b->n);
}

/* A decimal number as written: its digits with leading zeros and the point taken out, and how many of them (or how many
 * more zeros) stand before the point. */
struct decimal {
    view digits; /* may still hold the point, at any place */
    int64_t before_point;
};

/* [0-9]* [ "." [0-9]* ] with at least one digit; *text becomes the rest. */
static bool decimal_read(view *text, struct decimal *out)
{
    size_t i = 0, first = 0, point = 0;
    bool any = false, pointed = false, nonzero = false;

    for (; i < text->n; i++) {
        char c = text->p[i];

        if (c == '.' && !pointed) {
            pointed = true;
            point = i;
        } else if (is_digit(c)) {
            any = true;
            if (c != '0' && !nonzero) {
                nonzero = true;
                first = i;
            }
        } else {
            break;
        }
    }
    if (!any)
        return false;
    if (!pointed)
        point = i;
    if (!nonzero)
        first = i;
    out->digits = (view){ .p = text->p + first, .n = i - first };
    out->before_point = (int64_t)point - (int64_t)first + (first > point ? 1 : 0);
    text->p += i;
    text->n -= i;
    return true;
}

/* "e" [sign] digits, added to *power; a number too large to matter is kept below what could overflow. */
static bool exponent_read(view *text, int64_t *power)
{
    const int64_t enough = INT64_C(1) << 60;
    bool negative = false;
    int64_t value = 0;
    size_t i = 1;

    if (i < text->n && (text->p[i] == '+' || text->p[i] == '-'))
        negative = text->p[i++] == '-';
    if (i == text->n)
        return false;
    for (; i < text->n && is_digit(text->p[i]); i++)
        if (value < enough / 16)
            value = value * 10 + (text->p[i] - '0');
    if (i < text->n)
        return false;
    *power += negative ? -value : value;
    text->p += i;
    text->n = 0;
    return true;
}

/* What was cut off behind the last hundredth. */
enum rest { REST_NONE, REST_BELOW_HALF, REST_HALF, REST_ABOVE_HALF };

static enum rest rest_first(int digit)
{
    return digit == 0 ? REST_NONE : digit < 5 ? REST_BELOW_HALF : digit == 5 ? REST_HALF : REST_ABOVE_HALF;
}

/* One more digit behind those that made `rest`. */
static enum rest rest_next(enum rest rest, int digit)
{
    if (digit == 0)
        return rest;
    return rest == REST_NONE ? REST_BELOW_HALF : rest == REST_HALF ? REST_ABOVE_HALF : rest;
}

static int64_t append_digit(int64_t value, int digit)
{
    return value > CS_MAX / 10 ? CS_MAX : value * 10 + digit;
}

/* The hundredths in d * 10^shift. */
static int64_t decimal_cs(const struct decimal *d, int64_t shift, enum rest *out_rest)
{
    int64_t whole = d->before_point + shift + 2; /* digits that count whole hundredths */
    int64_t value = 0, taken = 0;

    *out_rest = REST_NONE;
    if (d->digits.n == 0)
        return 0;
    if (whole > 19)
        return CS_MAX;
    if (whole < 0) {
        *out_rest = REST_BELOW_HALF;
        return 0;
    }
    for (size_t i = 0; i < d->digits.n; i++) {
        int digit = d->digits.p[i] - '0';

        if (d->digits.p[i] == '.')
            continue;
        if (taken < whole)
            value = append_digit(value, digit);
        else
            *out_rest = taken == whole ? rest_first(digit) : rest_next(*out_rest, digit);
        taken++;
    }
    for (; taken < whole; taken++)
        value = append_digit(value, 0);
    return value > CS_MAX ? CS_MAX : value;
}

bool stamp_parse_15(view text, stamp *out)
{
    struct decimal d;
    enum rest rest;

    if (!decimal_read(&text, &d) || text.n > 0)
        return false;
    out->cs = decimal_cs(&d, 0, &rest);
    return true;
}

bool stamp_parse_11(view text, stamp *out)
{
    struct decimal d;
    int64_t power = 0, cs;
    bool negative = false;
    enum rest rest;

    text = view_trim(text);
    if (text.n > 0 && (text.p[0] == '+' || text.p[0] == '-')) {
        negative = text.p[0] == '-';
        text.p++;
        text.n--;
    }
    if (!decimal_read(&text, &d))
        return false;
    if (text.n > 0 && (text.p[0] == 'e' || text.p[0] == 'E') && !exponent_read(&text, &power))
        return false;
    if (text.n > 0)
        return false;
    cs = decimal_cs(&d, power, &rest);
    if (cs < CS_MAX && (rest == REST_ABOVE_HALF || (rest == REST_HALF && cs % 2 == 1)))
        cs++;
    out->cs = negative ? -cs : cs;
    return true;
}
