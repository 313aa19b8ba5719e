/* An eventfd by which one thread wakes another that polls it beside what it waits for. */
#include "common/web/inside.h"

#include <errno.h>
#include <unistd.h>

void wake_up(int fd)
{
    uint64_t one = 1;

    while (write(fd, &one, sizeof one) < 0) {
        if (errno == EAGAIN) /* it has been told often enough */
            return;
        if (errno != EINTR)
            abort();
    }
}

void wake_taken(int fd)
{
    uint64_t drop;

    if (read(fd, &drop, sizeof drop) < 0 && errno != EAGAIN && errno != EINTR)
        abort();
}
