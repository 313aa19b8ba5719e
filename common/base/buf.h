/* Owned, growing bytes. Allocation failure ends the process (we bound every input instead). */
#ifndef HEDDLE_BASE_BUF_H
#define HEDDLE_BASE_BUF_H

#include "common/base/rc.h"
#include "common/base/view.h"

struct buf {
    char *p;
    size_t n;   /* bytes in use */
    size_t cap; /* bytes allocated */
};

void buf_done(struct buf *b);              /* frees; b is an empty buffer again */
void buf_grow(struct buf *b, size_t more); /* what buf_reserve does where there is too little room */
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_add_i64(struct buf *b, int64_t v); /* decimal; no printf on the hot path */

/* In line, as they are what answers are made of: a literal becomes a few moves. */
static inline void buf_reserve(struct buf *b, size_t more)
{
    if (more > b->cap - b->n)
        buf_grow(b, more);
}

static inline void buf_add(struct buf *b, view v)
{
    if (v.n == 0)
        return;
    buf_reserve(b, v.n);
    memcpy(b->p + b->n, v.p, v.n);
    b->n += v.n;
}

static inline void buf_addc(struct buf *b, char c)
{
    buf_reserve(b, 1);
    b->p[b->n++] = c;
}

static inline void buf_clear(struct buf *b)
{
    b->n = 0;
}

static inline view buf_view(const struct buf *b)
{
    return (view){ .p = b->p ? b->p : "", .n = b->n };
}

const char *buf_text(struct buf *b); /* NUL-terminated; the NUL is not counted in n */

static inline void buf_done_scoped(struct buf *b) /* for SCOPED(buf_done) struct buf b = { 0 }; */
{
    buf_done(b);
}

#endif
