#include "tests/load/measure.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- times ---- */

/* Below MEASURE_STEPS nanoseconds one bucket each; above, MEASURE_STEPS for each doubling. */
static size_t bucket_of(uint64_t ns)
{
    if (ns < MEASURE_STEPS)
        return (size_t)ns;
    unsigned doubling = 63 - (unsigned)__builtin_clzll(ns / MEASURE_STEPS);
    size_t at = ((size_t)doubling + 1) * MEASURE_STEPS + (size_t)((ns >> doubling) - MEASURE_STEPS);
    return at < MEASURE_BUCKETS ? at : MEASURE_BUCKETS - 1;
}

/* The middle of a bucket. */
static double bucket_ns(size_t at)
{
    if (at < MEASURE_STEPS)
        return (double)at;
    unsigned doubling = (unsigned)(at / MEASURE_STEPS) - 1;
    double width = (double)(UINT64_C(1) << doubling);
    return ((double)(at % MEASURE_STEPS) + MEASURE_STEPS + 0.5) * width;
}

void times_add(struct times *t, uint64_t ns)
{
    t->count++;
    if (ns > t->most_ns)
        t->most_ns = ns;
    t->buckets[bucket_of(ns)]++;
}

double times_at(const struct times *t, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)t->count + 0.999999), seen = 0;

    for (size_t i = 0; i < MEASURE_BUCKETS; i++) {
        seen += t->buckets[i];
        if (seen >= wanted && seen > 0)
            return bucket_ns(i) / 1000;
    }
    return 0;
}

int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- other processes ---- */

static bool slurp(int pid, const char *name, char *out, size_t size)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, out, size - 1);
    close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* Protocol: proc(5), /proc/[pid]/stat: utime and stime are fields 14 and 15; the name in field 2 may hold anything. */
bool process_cpu_us(int pid, int64_t *out)
{
    char text[1024];
    char *rest;

    if (!slurp(pid, "stat", text, sizeof text))
        return false;
    const char *p = strrchr(text, ')');
    for (int field = 2; p && field < 14; field++)
        p = strchr(p + 1, ' ');
    if (!p)
        return false;
    long long user = strtoll(p, &rest, 10), kernel = strtoll(rest, &rest, 10);
    *out = (user + kernel) * 1000000 / sysconf(_SC_CLK_TCK);
    return true;
}

static int64_t line_number(const char *text, const char *name)
{
    const char *p = strstr(text, name);

    return p ? strtoll(p + strlen(name), NULL, 10) : 0;
}

bool process_memory_kb(int pid, int64_t *out_now, int64_t *out_peak)
{
    char text[4096];

    if (!slurp(pid, "status", text, sizeof text))
        return false;
    *out_now = line_number(text, "VmRSS:");
    *out_peak = line_number(text, "VmHWM:");
    return true;
}
