#include "node/cache/versions.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/scope.h"

#define PAGE_MAGIC    0x68656464656c0003u
#define NAME_TEXT_MAX 128
#define LOOK_EVERY_US 1000000
#define COUNTERS_LOG2 18

/* What lies in shared memory. */
struct page {
    uint64_t magic;
    uint64_t id;
    _Atomic uint64_t start;
    _Atomic uint64_t counts[(size_t)1 << COUNTERS_LOG2];
};

/* One mapping of it. Earlier ones are kept until the end, since other threads may still read them; there are as many as there
 * were removals. */
struct mapping {
    struct page *page;
    struct mapping *before;
    int fd; /* -1: private memory */
};

struct versions {
    char *scope; /* NULL: private */
    const struct clock *clock;
    _Atomic(struct mapping *) mapping;
    _Atomic int64_t look_us; /* when to look at the name again                   */
    _Atomic bool lost;       /* the page's name is gone, and no other can be had */
};

/* ---- the page ---- */

static uint32_t text_hash(const char *text) /* FNV-1a */
{
    uint32_t h = 2166136261u;
    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 16777619u;
    return h;
}

static void page_fill(struct page *p)
{
    rand_bytes(&p->id, sizeof(p->id));
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
    snprintf(out, NAME_TEXT_MAX, "/heddle-cache-%u-%s-%08x", (unsigned)geteuid(), legible, text_hash(scope));
}

/* All of it is reserved: a page that is missing when it is first touched would end the process. */
static rc page_size(int fd, const char *name, struct err *e)
{
    int why = posix_fallocate(fd, 0, sizeof(struct page));
    if (why != 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "no shared memory for %s: %s", name, strerror(why));
    return RC_OK;
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
    if (fresh)
        TRY(page_size(fd, name, e));
    struct page *p = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return fail(e, RC_BROKEN, RESP_GENERIC, "cannot map shared memory %s: %s", name, strerror(errno));
    /* A process that died before the magic was written left a page of zeroes, which nobody has used. */
    if (p->magic == 0)
        page_fill(p);
    if (p->magic != PAGE_MAGIC) {
        munmap(p, sizeof(struct page));
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "shared memory %s is of another version; remove it", name);
    }
    atomic_fetch_add(&p->start, 1);
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
    struct mapping *m = mem_need(malloc(sizeof(*m)));
    *m = (struct mapping){ .page = page, .fd = fd, .before = before };
    return m;
}

static void mapping_free(struct mapping *m)
{
    if (m->fd >= 0) {
        munmap(m->page, sizeof(struct page));
        close(m->fd);
    } else {
        free(m->page);
    }
    free(m);
}

/* ---- life ---- */

rc versions_open(const char *scope, const struct clock *clock, struct versions **out, struct err *e)
{
    struct page *page = NULL;
    int fd = -1;

    if (scope) {
        TRY(page_open(scope, &page, &fd, e));
    } else {
        page = mem_need(calloc(1, sizeof(*page)));
        page_fill(page);
    }
    struct versions *v = mem_need(calloc(1, sizeof(*v)));
    v->scope = scope ? mem_need(strdup(scope)) : NULL;
    v->clock = clock;
    atomic_init(&v->mapping, mapping_new(page, fd, NULL));
    atomic_init(&v->look_us, clock_mono_us(clock) + LOOK_EVERY_US);
    *out = v;
    return RC_OK;
}

void versions_close(struct versions *v)
{
    if (!v)
        return;
    for (struct mapping *m = atomic_load(&v->mapping), *before; m; m = before) {
        before = m->before;
        mapping_free(m);
    }
    free(v->scope);
    free(v);
}

void versions_refresh(struct versions *v)
{
    if (!v->scope)
        return;
    int64_t now = clock_mono_us(v->clock);
    int64_t due = atomic_load_explicit(&v->look_us, memory_order_relaxed);
    if (now < due || !atomic_compare_exchange_strong(&v->look_us, &due, now + LOOK_EVERY_US))
        return; /* not yet, or another thread looks */

    struct mapping *m = atomic_load(&v->mapping);
    struct stat st;
    if (fstat(m->fd, &st) == 0 && st.st_nlink > 0)
        return;
    struct page *page;
    int fd;
    rc r = page_open(v->scope, &page, &fd, NULL);
    if (r == RC_OK)
        atomic_store(&v->mapping, mapping_new(page, fd, m));
    atomic_store(&v->lost, r != RC_OK);
}

void versions_unlink(const char *scope)
{
    char name[NAME_TEXT_MAX];
    page_name(scope, name);
    shm_unlink(name);
}

/* ---- counting ---- */

/* Uids are given one after the other: so few users touch few pages. */
static size_t counter_of(int64_t uid)
{
    return (size_t)((uint64_t)uid & (((uint64_t)1 << COUNTERS_LOG2) - 1));
}

bool version_now(const struct versions *v, int64_t uid, struct version *out)
{
    struct page *p = atomic_load(&v->mapping)->page;
    *out = (struct version){ .page = p->id,
                             .start = atomic_load(&p->start),
                             .count = atomic_load(&p->counts[counter_of(uid)]) };
    return !atomic_load(&v->lost);
}

/* In earlier pages too: who has not yet noticed that they were removed reads there. */
bool version_next(struct versions *v, int64_t uid, const struct version *before, struct version *out)
{
    size_t i = counter_of(uid);
    struct mapping *m = atomic_load(&v->mapping);
    const struct version was = { .page = m->page->id,
                                 .count = atomic_fetch_add(&m->page->counts[i], 1),
                                 .start = atomic_load(&m->page->start) };

    for (struct mapping *old = m->before; old; old = old->before)
        atomic_fetch_add(&old->page->counts[i], 1);
    *out = was;
    out->count++;
    return version_eq(&was, before);
}

bool version_eq(const struct version *a, const struct version *b)
{
    return a->page == b->page && a->start == b->start && a->count == b->count;
}
