/* The least work of a look-up in LDAP: threads that each hold one connection, bound once, and search for one entry again and again, with
 * the attributes that a directory asks for. Prints what it found as one JSON object, in the form of load.c.
 *
 *   ldap_floor URI BIND_DN PASSWORD DN THREADS SECONDS [NAME=PID …] */
#include <inttypes.h>
#include <ldap.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/view.h"
#include "tests/load/measure.h"

enum { THREADS_MAX = 256, PIDS_MAX = 8, SECONDS_MAX = 600, WARM_MS = 300, TIMEOUT_S = 10 };

struct watched {
    const char *name;
    int pid;
    int64_t before_us, after_us;
};

struct run {
    const char *uri, *bind_dn, *password, *dn;
    size_t threads;
    int64_t seconds;
    atomic_int phase; /* 0: warming up, 1: counted, 2: over */
    struct watched pids[PIDS_MAX];
    size_t n_pids;
};

struct searcher {
    struct run *run;
    pthread_t thread;
    struct times times;
    uint64_t failed;
};

/* account_attrs of the directory. */
static const char *const attrs[] = { "uid",
                                     "uidNumber",
                                     "heddleMail",
                                     "account-enabled",
                                     "syncNode",
                                     "heddlePlaced",
                                     "heddleCreated",
                                     "heddlePasswordSince",
                                     "heddleEpoch",
                                     "heddleIntent",
                                     "heddleErase",
                                     "heddleClientState",
                                     "heddleOldState",
                                     "heddleGeneration",
                                     "heddleKeysChanged",
                                     "heddleReset",
                                     "heddleDisabled",
                                     NULL };

static LDAP *connected(const struct run *r)
{
    LDAP *ld = NULL;
    const int version = LDAP_VERSION3;
    struct berval password = { .bv_len = strlen(r->password), .bv_val = (char *)(uintptr_t)r->password };
    if (ldap_initialize(&ld, r->uri) != LDAP_SUCCESS)
        return NULL;
    ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version);
    if (ldap_sasl_bind_s(ld, r->bind_dn, LDAP_SASL_SIMPLE, &password, NULL, NULL, NULL) == LDAP_SUCCESS)
        return ld;
    ldap_unbind_ext_s(ld, NULL, NULL);
    return NULL;
}

static bool search(LDAP *ld, const char *dn)
{
    LDAPMessage *found = NULL;
    struct timeval limit = { .tv_sec = TIMEOUT_S };
    int got = ldap_search_ext_s(ld, dn, LDAP_SCOPE_BASE, "(objectClass=heddleAccount)",
                                (char **)(uintptr_t)attrs, 0, NULL, NULL, &limit, 2, &found);
    bool good = got == LDAP_SUCCESS && ldap_count_entries(ld, found) == 1;
    ldap_msgfree(found);
    return good;
}

static void *search_on(void *arg)
{
    struct searcher *s = arg;
    LDAP *ld = connected(s->run);
    int phase;
    while (ld && (phase = atomic_load(&s->run->phase)) < 2) {
        int64_t begun = now_ns();
        bool good = search(ld, s->run->dn);
        if (phase == 0)
            continue;
        times_add(&s->times, (uint64_t)(now_ns() - begun));
        s->failed += !good;
    }
    if (ld)
        ldap_unbind_ext_s(ld, NULL, NULL);
    else
        s->failed++;
    return NULL;
}

static bool read_arguments(struct run *r, int argc, char **argv)
{
    uint64_t threads, seconds, pid;
    if (argc < 7 || !view_to_u64(view_of(argv[5]), THREADS_MAX, &threads) || threads == 0 ||
        !view_to_u64(view_of(argv[6]), SECONDS_MAX, &seconds) || seconds == 0)
        return false;
    r->uri = argv[1];
    r->bind_dn = argv[2];
    r->password = argv[3];
    r->dn = argv[4];
    r->threads = (size_t)threads;
    r->seconds = (int64_t)seconds;
    for (int i = 7; i < argc; i++) {
        char *eq = strchr(argv[i], '=');
        if (!eq || r->n_pids == PIDS_MAX || !view_to_u64(view_of(eq + 1), INT32_MAX, &pid))
            return false;
        *eq = '\0';
        r->pids[r->n_pids++] = (struct watched){ .name = argv[i], .pid = (int)pid };
    }
    return true;
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

static void print_result(const struct run *r, const struct times *t, uint64_t failed, double seconds)
{
    printf("{\"scenario\":\"ldap\",\"seconds\":%.3f,\"requests\":%" PRIu64 ",\"rps\":%.2f,", seconds,
           t->count, (double)t->count / seconds);
    printf("\"latency_us\":{\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f},\"good\":%" PRIu64 ",\"cpu_us\":{",
           times_at(t, 0.5), times_at(t, 0.99), (double)t->most_ns / 1000,
           t->count - (failed < t->count ? failed : t->count));
    for (size_t i = 0; i < r->n_pids; i++)
        printf("%s\"%s\":%.3f", i ? "," : "", r->pids[i].name,
               t->count ? (double)(r->pids[i].after_us - r->pids[i].before_us) / (double)t->count : 0);
    printf("}}\n");
}

int main(int argc, char **argv)
{
    struct run run = { .phase = 0 };
    struct times *all = mem_need(calloc(1, sizeof(*all)));
    uint64_t failed = 0;
    if (!read_arguments(&run, argc, argv)) {
        fputs("Usage: ldap_floor URI BIND_DN PASSWORD DN THREADS SECONDS [NAME=PID …]\n", stderr);
        free(all);
        return 2;
    }
    run.pids[run.n_pids < PIDS_MAX ? run.n_pids++ : PIDS_MAX - 1] =
        (struct watched){ .name = "client", .pid = (int)getpid() };
    struct searcher *s = mem_need(calloc(run.threads, sizeof(*s)));
    for (size_t i = 0; i < run.threads; i++) {
        s[i].run = &run;
        if (pthread_create(&s[i].thread, NULL, search_on, &s[i]) != 0)
            abort();
    }
    pass_ms(WARM_MS);
    for (size_t i = 0; i < run.n_pids; i++)
        (void)process_cpu_us(run.pids[i].pid, &run.pids[i].before_us);
    int64_t begun = now_ns();
    atomic_store(&run.phase, 1);
    pass_ms(run.seconds * 1000);
    atomic_store(&run.phase, 2);
    double seconds = (double)(now_ns() - begun) / 1e9;
    for (size_t i = 0; i < run.n_pids; i++)
        (void)process_cpu_us(run.pids[i].pid, &run.pids[i].after_us);
    for (size_t i = 0; i < run.threads; i++) {
        pthread_join(s[i].thread, NULL);
        merge(all, &s[i].times);
        failed += s[i].failed;
    }
    print_result(&run, all, failed, seconds);
    free(s);
    free(all);
    return failed ? 1 : 0;
}
