/* Memory that lives exactly as long as one request. Allocation never fails for the caller: past the ceiling the
 * arena sets `spent` and goes on giving out memory, and the server throws the handler's answer away and sends 503.
 * One check at the end instead of one at every call; a loop as long as the client likes looks at `spent` itself.
 * One thread at a time. */
#ifndef HEDDLE_BASE_ARENA_H
#define HEDDLE_BASE_ARENA_H

#include "common/base/rc.h"
#include "common/base/view.h"

struct arena_block;

struct arena {
    struct arena_block *last;
    size_t used_bytes, ceiling_bytes;
    bool spent;
};

void arena_init(struct arena *a, size_t ceiling_bytes);
void arena_done(struct arena *a);
void arena_reset(struct arena *a); /* everything handed out is void; keeps at most one small block */

void *arena_alloc(struct arena *a, size_t size); /* aligned for any type, not cleared */
void *arena_zero(struct arena *a, size_t size);
view arena_copy(struct arena *a, view v);  /* a NUL stands behind the copy, not counted */
char *arena_cstr(struct arena *a, view v); /* the same as C text */
view arena_text(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

static inline void arena_done_scoped(struct arena *a) /* for SCOPED(arena_done) struct arena a; */
{
    arena_done(a);
}

#endif
