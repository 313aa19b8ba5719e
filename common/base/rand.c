#include "common/base/rand.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void rand_bytes(void *out, size_t n)
{
    char *p = out;

    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            fputs("getrandom failed\n", stderr);
            abort();
        }
        p += got;
        n -= (size_t)got;
    }
}

uint32_t rand_below(uint32_t limit)
{
    uint32_t value, uneven;

    assert(limit > 0);
    /* 2^32 mod limit: so many values would make some results more frequent */
    uneven = (uint32_t)-limit % limit;
    do
        rand_bytes(&value, sizeof value);
    while (value < uneven);
    return value % limit;
}
