/* The one answer to "no memory": every input is bounded, so what cannot be had is a machine in trouble, and a process
 * that ends cleanly and is started again helps more than one that limps. Any thread. */
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

#endif
