#include "common/base/cores.h"

#include <sched.h>
#include <unistd.h>

int64_t cores_usable(void)
{
    cpu_set_t ours; /* a container, or taskset, may leave us a few of many */
    long n = sched_getaffinity(0, sizeof ours, &ours) == 0 ? CPU_COUNT(&ours) : sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > 32 ? 32 : n;
}
