#include "node/cache/era.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/rand.h"
#include "common/base/scope.h"

#define PAGE_MAGIC    0x68656464656c0002u
#define NAME_TEXT_MAX 128
#define LOOK_EVERY_US 1000000

/* What lies in shared memory. */
struct page {
    uint64_t magic;
    uint64_t id;
    _Atomic uint64_t word;
};

/* One mapping of it. Earlier ones are kept until the end, since other threads may still read them; there are as many as there
 * were removals. */
struct mapping {
    struct page *page;
    struct mapping *before;
    int fd; /* -1: private memory */
};

struct era {
    char *scope; /* NULL: private */
    const struct clock *clock;
    _Atomic(struct mapping *) mapping;
    _Atomic int64_t look_us; /* when to look at the name again */
};

static uint32_t run_hash(const char *run) /* FNV-1a */
{
    uint32_t h = 2166136261u;
    for (; *run; run++)
        h = (h ^ (uint8_t)*run) * 16777619u;
    return h;
}

/* The count begins anywhere, so that a mark made under one page is not taken for one of the next. */
static void page_fill(struct page *p)
{
    uint32_t count;
    rand_bytes(&count, sizeof(count));
    rand_bytes(&p->id, sizeof(p->id));
    atomic_store(&p->word, (uint64_t)run_hash("") << 32 | count);
    p->magic = PAGE_MAGIC;
}

/* Scopes may hold any bytes and lengths; the name has what is legible of it, and a hash of all. */
static void page_name(const char *scope, char out[NAME_TEXT_MAX])
{
    char legible[48];
    size_t n = 0;
    for (const char *p = scope; *p && n + 1 < sizeof(legible); p++)
        legible[n++] =
            (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '.' || *p == '-' ? *p : '_';
    legible[n] = '\0';
    snprintf(out, NAME_TEXT_MAX, "/heddle-era-%u-%s-%08x", (unsigned)geteuid(), legible, run_hash(scope));
}

/* fd is locked: whoever comes first fills the page. */
static rc page_prepare(int fd, const char *name, struct page **out, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "cannot look at shared memory %s: %s", name, strerror(errno));
    if (st.st_uid != geteuid() || (st.st_mode & 022) != 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "shared memory %s belongs to somebody else or others may write it", name);
    bool fresh = st.st_size == 0;
    if (!fresh && st.st_size != (off_t)sizeof(struct page))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "shared memory %s is not ours; remove it", name);
    if (fresh && ftruncate(fd, sizeof(struct page)) != 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "no shared memory for %s: %s", name, strerror(errno));
    struct page *p = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return fail(e, RC_BROKEN, RESP_GENERIC, "cannot map shared memory %s: %s", name, strerror(errno));
    /* A process that died between ftruncate and the magic left a page of zeroes, which nobody has used. */
    if (p->magic == 0)
        page_fill(p);
    if (p->magic != PAGE_MAGIC) {
        munmap(p, sizeof(struct page));
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "shared memory %s is of another version; remove it", name);
    }
    *out = p;
    return RC_OK;
}

static rc page_open(const char *scope, struct page **out, int *out_fd, struct err *e)
{
    char name[NAME_TEXT_MAX];
    page_name(scope, name);
    int fd = shm_open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "cannot open shared memory %s: %s", name, strerror(errno));
    while (flock(fd, LOCK_EX) != 0 && errno == EINTR)
        ;
    rc r = page_prepare(fd, name, out, e);
    if (r != RC_OK) {
        close(fd);
        return r;
    }
    flock(fd, LOCK_UN);
    *out_fd = fd;
    return RC_OK;
}

static struct mapping *mapping_new(struct page *page, int fd, struct mapping *before)
{
    struct mapping *m = malloc(sizeof(*m));
    if (!m)
        abort();
    *m = (struct mapping){ .page = page, .fd = fd, .before = before };
    return m;
}

rc era_open(const char *scope, const struct clock *clock, struct era **out, struct err *e)
{
    struct page *page = NULL;
    int fd = -1;

    if (scope) {
        TRY(page_open(scope, &page, &fd, e));
    } else {
        page = calloc(1, sizeof(*page));
        if (!page)
            abort();
        page_fill(page);
    }
    struct era *era = calloc(1, sizeof(*era));
    if (!era)
        abort();
    era->scope = scope ? strdup(scope) : NULL;
    era->clock = clock;
    atomic_init(&era->mapping, mapping_new(page, fd, NULL));
    atomic_init(&era->look_us, clock_mono_us(clock) + LOOK_EVERY_US);
    *out = era;
    return RC_OK;
}

void era_close(struct era *era)
{
    if (!era)
        return;
    struct mapping *m = atomic_load(&era->mapping);
    while (m) {
        struct mapping *before = m->before;
        if (m->fd >= 0) {
            munmap(m->page, sizeof(struct page));
            close(m->fd);
        } else {
            free(m->page);
        }
        free(m);
        m = before;
    }
    free(era->scope);
    free(era);
}

static struct page *page_of(const struct era *era)
{
    return atomic_load(&era->mapping)->page;
}

uint64_t era_now(const struct era *era, uint64_t *out_page)
{
    const struct page *p = page_of(era);
    if (out_page)
        *out_page = p->id;
    return atomic_load(&p->word);
}

/* The count alone goes on; it wraps without touching the other half. */
static uint64_t counted_on(uint64_t word, uint32_t hash)
{
    return (uint64_t)hash << 32 | (uint32_t)(word + 1);
}

void era_trip(struct era *era)
{
    struct page *p = page_of(era);
    uint64_t word = atomic_load(&p->word);
    while (!atomic_compare_exchange_weak(&p->word, &word, counted_on(word, (uint32_t)(word >> 32))))
        ;
}

void era_meet(struct era *era, const char *run)
{
    struct page *p = page_of(era);
    uint64_t word = atomic_load(&p->word);
    while (!era_is_of(word, run))
        if (atomic_compare_exchange_weak(&p->word, &word, counted_on(word, run_hash(run))))
            return;
}

bool era_is_of(uint64_t word, const char *run)
{
    return (uint32_t)(word >> 32) == run_hash(run);
}

void era_refresh(struct era *era)
{
    if (!era->scope)
        return;
    int64_t now = clock_mono_us(era->clock);
    int64_t due = atomic_load(&era->look_us);
    if (now < due || !atomic_compare_exchange_strong(&era->look_us, &due, now + LOOK_EVERY_US))
        return; /* not yet, or another thread looks */

    struct mapping *m = atomic_load(&era->mapping);
    struct stat st;
    if (fstat(m->fd, &st) == 0 && st.st_nlink > 0)
        return;
    struct page *page;
    int fd;
    if (page_open(era->scope, &page, &fd, NULL) != RC_OK) {
        era_trip(era); /* no page to share: at least we ourselves trust nothing of before */
        return;
    }
    atomic_store(&era->mapping, mapping_new(page, fd, m));
}

void era_unlink(const char *scope)
{
    char name[NAME_TEXT_MAX];
    page_name(scope, name);
    shm_unlink(name);
}
