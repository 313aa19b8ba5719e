/* A chain of blocks, filled from the front. Past the ceiling memory is still real and its own: two things that shared
 * scrap would overwrite each other's pointers, and a request that is answered 503 anyway must not crash on its way there.
 * So the ceiling is where `spent` is set; what a handler can still take after that is bounded by its bounded input. */
#include "common/base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/mem.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define WATCHED 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define WATCHED 1
#endif

#ifdef WATCHED
#define SMALL_BYTES ((size_t)0) /* each thing in a block of its own, so that the sanitizer sees its ends */
#define LARGE_BYTES ((size_t)0)
#else
#define SMALL_BYTES ((size_t)8192)
#define LARGE_BYTES ((size_t)65536)
#endif

#define TEXT_BRIEF 256 /* bytes */

#define ALIGN _Alignof(max_align_t)

struct arena_block {
    struct arena_block *prev;
    size_t size, used;
    _Alignas(max_align_t) char bytes[];
};

static struct arena_block *block_new(size_t size)
{
    struct arena_block *b = mem_need(malloc(sizeof *b + size));

    b->prev = NULL;
    b->size = size;
    b->used = 0;
    return b;
}

static void blocks_free(struct arena_block *b)
{
    while (b) {
        struct arena_block *prev = b->prev;

        free(b);
        b = prev;
    }
}

void arena_init(struct arena *a, size_t ceiling_bytes)
{
    *a = (struct arena){ .ceiling_bytes = ceiling_bytes };
}

void arena_done(struct arena *a)
{
    blocks_free(a->last);
    *a = (struct arena){ .ceiling_bytes = a->ceiling_bytes };
}

void arena_reset(struct arena *a)
{
    struct arena_block *b = a->last, *kept = NULL;

    while (b) {
        struct arena_block *prev = b->prev;

        if (!kept && b->size == SMALL_BYTES)
            kept = b;
        else
            free(b);
        b = prev;
    }
    if (kept) {
        kept->prev = NULL;
        kept->used = 0;
    }
    a->last = kept;
    a->used_bytes = 0;
    a->spent = false;
}

/* A block with room for size: a new front, doubling up to LARGE_BYTES; or, for something large, a block of its own
 * behind the front, whose room stays in use. */
static struct arena_block *block_for(struct arena *a, size_t size)
{
    size_t next = a->last ? a->last->size * 2 : SMALL_BYTES;
    struct arena_block *b;

    if (next > LARGE_BYTES)
        next = LARGE_BYTES;
    if (size > next / 4 && a->last) {
        b = block_new(size);
        b->prev = a->last->prev;
        a->last->prev = b;
        return b;
    }
    b = block_new(size > next ? size : next);
    b->prev = a->last;
    a->last = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
    struct arena_block *b = a->last;
    void *p;

    assert(size <= SIZE_MAX / 4);
    size = (size + ALIGN - 1) & ~(ALIGN - 1);
    if (size == 0)
        size = ALIGN;
    if (a->used_bytes > a->ceiling_bytes || size > a->ceiling_bytes - a->used_bytes)
        a->spent = true;
    if (!b || size > b->size - b->used)
        b = block_for(a, size);
    p = b->bytes + b->used;
    b->used += size;
    a->used_bytes += size;
    return p;
}

void *arena_zero(struct arena *a, size_t size)
{
    void *p = arena_alloc(a, size);

    if (size)
        memset(p, 0, size);
    return p;
}

view arena_copy(struct arena *a, view v)
{
    char *p = arena_alloc(a, v.n + 1);

    if (v.n)
        memcpy(p, v.p, v.n);
    p[v.n] = '\0';
    return (view){ .p = p, .n = v.n };
}

char *arena_cstr(struct arena *a, view v)
{
    char *p = arena_alloc(a, v.n + 1);

    if (v.n)
        memcpy(p, v.p, v.n);
    p[v.n] = '\0';
    return p;
}

view arena_text(struct arena *a, const char *fmt, ...)
{
    char brief[TEXT_BRIEF]; /* most are: one pass does */
    va_list args, again;
    char *p;
    int n;

    va_start(args, fmt);
    va_copy(again, args);
    n = vsnprintf(brief, sizeof brief, fmt, args);
    assert(n >= 0);
    p = arena_alloc(a, (size_t)n + 1);
    if ((size_t)n < sizeof brief)
        memcpy(p, brief, (size_t)n + 1);
    else
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(args);
    return (view){ .p = p, .n = (size_t)n };
}
