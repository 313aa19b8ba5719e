#include "common/base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/mem.h"

#define FIRST_BYTES 64

void buf_done(struct buf *b)
{
    free(b->p);
    *b = (struct buf){ 0 };
}

void buf_grow(struct buf *b, size_t more)
{
    size_t cap = b->cap ? b->cap : FIRST_BYTES;

    assert(more <= SIZE_MAX / 4 && b->n <= SIZE_MAX / 4); /* nobody asks for that: inputs are bounded */
    while (cap - b->n < more)
        cap *= 2;
    b->p = mem_need(realloc(b->p, cap));
    b->cap = cap;
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list args, again;
    int n;

    buf_reserve(b, 1);
    va_start(args, fmt);
    va_copy(again, args);
    n = vsnprintf(b->p + b->n, b->cap - b->n, fmt, args);
    assert(n >= 0);
    if ((size_t)n >= b->cap - b->n) {
        buf_reserve(b, (size_t)n + 1);
        n = vsnprintf(b->p + b->n, b->cap - b->n, fmt, again);
    }
    va_end(again);
    va_end(args);
    b->n += (size_t)n;
}

void buf_add_i64(struct buf *b, int64_t v)
{
    char digits[20];
    size_t at = sizeof digits;
    uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (v < 0)
        digits[--at] = '-';
    buf_add(b, (view){ .p = digits + at, .n = sizeof digits - at });
}

const char *buf_text(struct buf *b)
{
    buf_reserve(b, 1);
    b->p[b->n] = '\0';
    return b->p;
}
