/* A point in time as Sync counts it: hundredths of a second since 1970. The wire shows two decimals
 * ("1763681523.07"), so this is exact where a double is not; the struct keeps milliseconds out.
 * Tables hold milliseconds (stamp_ms), whose last digit is 0 for Sync.
 * Protocol: Storage API 1.5, "Timestamps"; Storage API 1.1, section on timestamps. */
#ifndef HEDDLE_BASE_STAMP_H
#define HEDDLE_BASE_STAMP_H

#include "common/base/buf.h"
#include "common/base/view.h"

typedef struct stamp {
    int64_t cs;
} stamp;

#define STAMP_ZERO     ((stamp){ .cs = 0 })
#define STAMP_TEXT_MAX 24 /* bytes that stamp_print needs, with its NUL */

static inline int64_t stamp_ms(stamp t)
{
    return t.cs * 10;
}

static inline stamp stamp_from_ms(int64_t ms) /* rounds down */
{
    return (stamp){ .cs = ms / 10 };
}

static inline stamp stamp_max(stamp a, stamp b)
{
    return a.cs >= b.cs ? a : b;
}

/* "1763681523.07"; gives the length. Never negative. */
size_t stamp_print(stamp t, char out[STAMP_TEXT_MAX]);
void stamp_put(struct buf *b, stamp t);

/* Both: a value too late to be held is the last stamp that can, INT64_MAX / 10 hundredths. */

/* 1.5: decimal, >= 0, finite, any number of fraction digits, truncated to two. No exponent, no sign. */
bool stamp_parse_15(view text, stamp *out);

/* 1.1: also exponents, a sign and blanks around; rounded half to even to two digits. Negative values are taken as
 * they are (they compare below everything). false: not a finite decimal number. */
bool stamp_parse_11(view text, stamp *out);

#endif
