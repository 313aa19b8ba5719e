/* What goes for memory everywhere. Any thread.
 *
 * The one answer to "no memory": every input is bounded, so what cannot be had is a machine in trouble, and a process
 * that ends cleanly and is started again helps more than one that limps. */
#ifndef HEDDLE_BASE_MEM_H
#define HEDDLE_BASE_MEM_H

#include <stdio.h>
#include <stdlib.h>

/* p, unless it is NULL: then the process ends with a line on stderr. mem_need(malloc(n)), n > 0. */
static inline void *mem_need(void *p)
{
    if (!p) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return p;
}

/* All of it will be read at once: who remembers many users finds hardly any of them in the processor's caches, and fetching what lies
 * together side by side takes as long as one piece of it. p may point anywhere. */
static inline void mem_soon(const void *p, size_t n)
{
    for (size_t at = 0; at < n; at += 64)
        __builtin_prefetch((const char *)p + at);
}

#endif
