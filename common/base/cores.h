/* How many cores this process may run on (1 … 32): what numbers of threads are made of. Any thread. */
#ifndef HEDDLE_BASE_CORES_H
#define HEDDLE_BASE_CORES_H

#include <stdint.h>

int64_t cores_usable(void);

#endif
