/* Searches in LDAP and nothing else: threads that each hold one connection and search for one entry again and again. Prints what it found
 * as one JSON object, in the form of load.c.
 *
 *   ldap_search URI BIND_DN PASSWORD USERS_DN NAME THREADS SECONDS SLAPD_PID */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "common/base/mem.h"
#include "tests/load/ldap_floor.h"
#include "tests/load/measure.h"

enum { THREADS_MAX = 256, SECONDS_MAX = 600, WARM_MS = 300, ARENA_BYTES = 4096 };

static struct floor_ldap server;
static const char *dn;
static atomic_int phase; /* 0: warming up, 1: counted, 2: over */

static void *search_on(void *arg)
{
    struct times *times = arg;
    LDAP *ld = floor_connect(&server);
    int now;
    while ((now = atomic_load(&phase)) < 2) {
        int64_t begun = now_ns();
        ldap_msgfree(floor_search(ld, dn));
        if (now == 1)
            times_add(times, (uint64_t)(now_ns() - begun));
    }
    ldap_unbind_ext_s(ld, NULL, NULL);
    return NULL;
}

static void pass_ms(int64_t ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

static void merge(struct times *into, const struct times *from)
{
    into->count += from->count;
    into->most_ns = from->most_ns > into->most_ns ? from->most_ns : into->most_ns;
    for (size_t i = 0; i < MEASURE_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

static void print_result(const struct times *t, double seconds, int64_t slapd_us)
{
    double n = (double)t->count;
    printf(
        "{\"scenario\":\"ldap\",\"seconds\":%.3f,\"requests\":%" PRIu64 ",\"good\":%" PRIu64
        ",\"rps\":%.2f,\"latency_us\":{\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f},\"cpu_us\":{\"slapd\":%.3f}}\n",
        seconds, t->count, t->count, n / seconds, times_at(t, 0.5), times_at(t, 0.99),
        (double)t->most_ns / 1000, n > 0 ? (double)slapd_us / n : 0);
}

int main(int argc, char **argv)
{
    uint64_t threads = 0, seconds = 0, slapd = 0;
    int64_t before_us = 0, after_us = 0;
    struct arena a;
    if (argc != 9 || !view_to_u64(view_of(argv[6]), THREADS_MAX, &threads) || threads == 0 ||
        !view_to_u64(view_of(argv[7]), SECONDS_MAX, &seconds) || seconds == 0 ||
        !view_to_u64(view_of(argv[8]), INT32_MAX, &slapd)) {
        fputs("Usage: ldap_search URI BIND_DN PASSWORD USERS_DN NAME THREADS SECONDS SLAPD_PID\n", stderr);
        return 2;
    }
    arena_init(&a, ARENA_BYTES);
    server = (struct floor_ldap){ argv[1], argv[2], argv[3], view_of(argv[4]) };
    dn = floor_dn(&server, &a, view_of(argv[5]));
    struct times *times = mem_need(calloc(threads, sizeof(*times)));
    pthread_t *ids = mem_need(calloc(threads, sizeof(*ids)));
    for (size_t i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, search_on, &times[i]) != 0)
            floor_die("threads", "cannot be made");
    pass_ms(WARM_MS);
    (void)process_cpu_us((int)slapd, &before_us);
    int64_t begun = now_ns();
    atomic_store(&phase, 1);
    pass_ms((int64_t)seconds * 1000);
    atomic_store(&phase, 2);
    double took_s = (double)(now_ns() - begun) / 1e9;
    (void)process_cpu_us((int)slapd, &after_us);
    for (size_t i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        if (i > 0)
            merge(&times[0], &times[i]);
    }
    print_result(&times[0], took_s, after_us - before_us);
    free(ids);
    free(times);
    arena_done(&a);
    return 0;
}
