/* Random bytes from the kernel. Cannot fail: a kernel without getrandom ends the process. Any thread. */
#ifndef HEDDLE_BASE_RAND_H
#define HEDDLE_BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

void rand_bytes(void *out, size_t n); /* the kernel's, good for secrets; without any the program ends */
uint32_t rand_below(uint32_t limit);  /* 0 … limit-1, even; limit > 0; for jitter and choices */

#endif
