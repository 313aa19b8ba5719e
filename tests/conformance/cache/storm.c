/* Several processes with several threads each read and write a few users through one Redis, as a node's do, while the script around
 * this program kills, stops, empties and restores that Redis; and now and then a process of ours is killed too. The store is a
 * page of shared memory. Each reader notes what others had been told before he asked, writers and readers; what he gets must not be older. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/scope.h"
#include "conformance.h"
#include "node/cache/heads.h"

#define PROCESSES     3
#define THREADS       4
#define USERS         4
#define KILL_EVERY_MS 700

struct user {
    pthread_mutex_t head; /* the lock of the head row; between processes, survives its holder */
    _Atomic int64_t committed, told;
};

struct page {
    struct user users[USERS];
    _Atomic bool over;
    _Atomic uint64_t reads, hits, writes, stale;
};

static struct page *page;
static const char *socket_path;
static char scope[32]; /* of this run alone */

static void head_lock(struct user *u)
{
    if (pthread_mutex_lock(&u->head) == EOWNERDEAD) /* killed inside: rolled back */
        pthread_mutex_consistent(&u->head);
}

static void tell(struct user *u, int64_t version)
{
    int64_t was = atomic_load(&u->told);
    while (was < version && !atomic_compare_exchange_weak(&u->told, &was, version))
        ;
}

static void write_once(struct cache_handle *h, int64_t uid, struct buf *text)
{
    struct user *u = &page->users[uid];
    struct cache_mark mark;

    head_lock(u);
    cache_before(h, uid, &mark);
    int64_t version = atomic_fetch_add(&u->committed, 1) + 1;
    pthread_mutex_unlock(&u->head);
    buf_clear(text);
    buf_add_i64(text, version);
    cache_after(h, uid, &mark, buf_view(text));
    tell(u, version);
    atomic_fetch_add(&page->writes, 1);
}

static void read_once(struct cache_handle *h, int64_t uid, struct buf *text)
{
    struct user *u = &page->users[uid];
    struct cache_mark mark;
    int64_t floor = atomic_load(&u->told);

    atomic_fetch_add(&page->reads, 1);
    if (cache_get(h, uid, text, &mark)) {
        uint64_t got = 0;
        if (!view_to_u64(buf_view(text), INT64_MAX, &got) || (int64_t)got < floor) {
            fprintf(stderr, "stale: user %d, read \"%.*s\", %lld had been told\n", (int)uid,
                    VIEW_ARG(buf_view(text)), (long long)floor);
            atomic_fetch_add(&page->stale, 1);
        }
        tell(u, (int64_t)got);
        atomic_fetch_add(&page->hits, 1);
        return;
    }
    int64_t version = atomic_load(&u->committed);
    buf_clear(text);
    buf_add_i64(text, version);
    cache_fill(h, uid, &mark, buf_view(text));
    tell(u, version);
}

struct task {
    struct cache *cache;
    unsigned seed;
};

static void *thread_main(void *arg)
{
    struct task *t = arg;
    struct cache_handle *h = NULL;
    SCOPED(buf_done) struct buf text = { 0 };

    if (cache_handle_open(t->cache, &h, NULL) != RC_OK)
        abort();
    while (!atomic_load(&page->over)) {
        int64_t uid = rand_r(&t->seed) % USERS;
        if (rand_r(&t->seed) % 16 == 0)
            write_once(h, uid, &text);
        else
            read_once(h, uid, &text);
        if (rand_r(&t->seed) % 8 == 0) /* leave the processors to Redis and the others now and then */
            usleep((useconds_t)(rand_r(&t->seed) % 300));
    }
    cache_handle_close(h);
    return NULL;
}

static void process_main(unsigned seed)
{
    struct cache_conf c = conformance_conf("redis", socket_path, scope);
    c.timeout_ms = 200;                      /* less than what the script stops it for */
    c.shared_bytes = seed % 2 ? 1 << 16 : 0; /* who shares no heads in memory goes on asking that Redis */
    struct task tasks[THREADS];
    pthread_t threads[THREADS];
    struct cache *cache = NULL;
    struct err e = ERR_NONE;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (cache_open(&c, clock_system(), &cache, &e) != RC_OK) {
        fprintf(stderr, "cache_open: %s\n", e.text);
        _exit(1);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        tasks[i] = (struct task){ .cache = cache, .seed = seed * 31 + i };
        if (pthread_create(&threads[i], NULL, thread_main, &tasks[i]) != 0)
            abort();
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cache_close(cache);
    _exit(0);
}

static pid_t process_start(unsigned seed)
{
    pid_t pid = fork();
    if (pid == 0)
        process_main(seed);
    return pid;
}

static void page_make(void)
{
    pthread_mutexattr_t attr;
    page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        abort();
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    for (size_t i = 0; i < USERS; i++)
        pthread_mutex_init(&page->users[i].head, &attr);
    pthread_mutexattr_destroy(&attr);
}

int storm_run(const char *socket, unsigned seconds, unsigned seed)
{
    pid_t pids[PROCESSES];
    bool good = true;

    socket_path = socket;
    snprintf(scope, sizeof(scope), "storm-%d", (int)getpid());
    page_make();
    for (unsigned i = 0; i < PROCESSES; i++)
        pids[i] = process_start(seed + i);
    for (unsigned ms = 0; ms < seconds * 1000; ms += KILL_EVERY_MS) {
        usleep(KILL_EVERY_MS * 1000);
        unsigned victim = (unsigned)rand_r(&seed) % PROCESSES;
        kill(pids[victim], SIGKILL);
        waitpid(pids[victim], NULL, 0);
        pids[victim] = process_start(seed + ms);
    }
    atomic_store(&page->over, true);
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status = 0;
        waitpid(pids[i], &status, 0);
        good &= WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    versions_unlink(scope);
    heads_unlink(scope);
    printf("reads=%llu hits=%llu writes=%llu stale=%llu\n", (unsigned long long)page->reads,
           (unsigned long long)page->hits, (unsigned long long)page->writes, (unsigned long long)page->stale);
    return good && page->stale == 0 ? 0 : 1;
}
