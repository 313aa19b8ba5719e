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
#include "node/cache/shared.h"

#define PAGE_MAGIC    0x68656464656c0004u
#define LOOK_EVERY_US 1000000
#define COUNTERS_LOG2 18
#define CHANGING      (UINT64_C(1) << 48) /* in a counter: one change under way; below it: those that ended */
#define ENDED(word)   ((word) & (CHANGING - 1))
#define PROCESSES_MAX 64
#define CHANGES_MAX   256 /* noted of one process; more happen, too */
#define NOT_NOTED     UINT32_MAX

/* What lies in shared memory. */
struct page {
    uint64_t magic;
    uint64_t id;
    _Atomic uint64_t start;
    _Atomic uint64_t counts[(size_t)1 << COUNTERS_LOG2];
    _Atomic uint32_t rows; /* so many of the next are or were in use */
    /* What each process changes, for when it dies: 1 + the counter's place, or 0. While it lives it locks the byte of the page's file
     * that has its row's number. */
    _Atomic uint32_t under_way[PROCESSES_MAX][CHANGES_MAX];
};

/* One mapping of it. Earlier ones are kept until the end, since other threads may still read them; there are as many as there
 * were removals. */
struct mapping {
    struct page *page;
    struct mapping *before;
    int fd; /* -1: private memory */
    uint32_t row;
};

struct versions {
    char *scope; /* NULL: private */
    const struct clock *clock;
    _Atomic(struct mapping *) mapping;
    _Atomic int64_t look_us; /* when to look at the name again */
    _Atomic bool lost;       /* the page's name is gone, and no other can be had */
};

/* ---- the page ---- */

static void page_fill(struct page *p)
{
    rand_bytes(&p->id, sizeof(p->id));
    p->magic = PAGE_MAGIC;
}

/* fd is locked: whoever comes first fills the page. */
static rc page_prepare(int fd, const char *name, size_t there, struct page **out, struct err *e)
{
    void *at = NULL;
    if (there != 0 && there != sizeof(struct page))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "shared memory %s is not ours; remove it", name);
    TRY(shared_map(fd, name, sizeof(struct page), there == 0, &at, e));
    struct page *p = at;
    /* A process that died before the magic was written left a page of zeroes, which nobody has used. */
    if (p->magic == 0)
        page_fill(p);
    if (p->magic != PAGE_MAGIC) {
        munmap(p, sizeof(struct page));
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "shared memory %s is of another version; remove it", name);
    }
    *out = p;
    return RC_OK;
}

/* ---- who uses the page ---- */

static bool row_lock(int fd, uint32_t row, short how)
{
    struct flock l = { .l_type = how, .l_whence = SEEK_SET, .l_start = row, .l_len = 1 };

    return fcntl(fd, F_OFD_SETLK, &l) == 0;
}

/* Ends what a dead process had begun; its row is locked by us. It died after it had noted a change, so that it is in the counter. */
static void row_end_changes(struct page *p, uint32_t row)
{
    for (size_t i = 0; i < CHANGES_MAX; i++) {
        uint32_t noted = atomic_exchange(&p->under_way[row][i], 0);
        if (noted)
            atomic_fetch_add(&p->counts[noted - 1], 1 - CHANGING);
    }
}

/* The page's file is locked: nobody else begins now. */
static rc row_take(int fd, struct page *p, uint32_t *out, struct err *e)
{
    for (uint32_t row = 0; row < PROCESSES_MAX; row++) {
        if (!row_lock(fd, row, F_WRLCK))
            continue;
        row_end_changes(p, row);
        if (atomic_load(&p->rows) <= row)
            atomic_store(&p->rows, row + 1);
        *out = row;
        return RC_OK;
    }
    return fail(e, RC_BROKEN, RESP_GENERIC, "more than %d processes use one page of shared memory",
                PROCESSES_MAX);
}

/* Whoever begins and is alone ends whatever else is left: nobody changes anything now. */
static void counters_settle(int fd, struct page *p, uint32_t own)
{
    for (uint32_t row = 0; row < atomic_load(&p->rows); row++)
        if (row != own && (!row_lock(fd, row, F_WRLCK) || !row_lock(fd, row, F_UNLCK)))
            return;
    for (size_t i = 0; i < sizeof(p->counts) / sizeof(p->counts[0]); i++)
        if (atomic_load_explicit(&p->counts[i], memory_order_relaxed) >= CHANGING)
            atomic_fetch_and(&p->counts[i], CHANGING - 1);
}

static void rows_end_changes_of_the_dead(const struct mapping *m)
{
    uint32_t rows = atomic_load(&m->page->rows);

    for (uint32_t row = 0; row < rows; row++) {
        if (row == m->row || !row_lock(m->fd, row, F_WRLCK))
            continue;
        row_end_changes(m->page, row);
        (void)row_lock(m->fd, row, F_UNLCK);
    }
}

/* ---- a page in use ---- */

static rc page_open(const char *scope, struct page **out, int *out_fd, uint32_t *out_row, struct err *e)
{
    char name[SHARED_NAME_MAX];
    size_t there;
    int fd;
    shared_name(scope, "", name);
    TRY(shared_open(name, &fd, &there, e));
    struct page *p = NULL;
    rc r = page_prepare(fd, name, there, &p, e);
    if (r == RC_OK && (r = row_take(fd, p, out_row, e)) != RC_OK)
        munmap(p, sizeof(*p));
    if (r != RC_OK) {
        close(fd);
        return r;
    }
    counters_settle(fd, p, *out_row);
    atomic_fetch_add(&p->start, 1);
    flock(fd, LOCK_UN);
    *out = p;
    *out_fd = fd;
    return RC_OK;
}

static struct mapping *mapping_new(const struct mapping *m)
{
    struct mapping *new = mem_need(malloc(sizeof(*new)));
    *new = *m;
    return new;
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
    struct mapping m = { .fd = -1 };

    if (scope) {
        TRY(page_open(scope, &m.page, &m.fd, &m.row, e));
    } else {
        m.page = mem_need(calloc(1, sizeof(*m.page)));
        page_fill(m.page);
    }
    struct versions *v = mem_need(calloc(1, sizeof(*v)));
    v->scope = scope ? mem_need(strdup(scope)) : NULL;
    v->clock = clock;
    atomic_init(&v->mapping, mapping_new(&m));
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

    struct mapping *m = atomic_load(&v->mapping), next = { .before = m };
    struct stat st;
    rows_end_changes_of_the_dead(m);
    if (fstat(m->fd, &st) == 0 && st.st_nlink > 0)
        return;
    rc r = page_open(v->scope, &next.page, &next.fd, &next.row, NULL);
    if (r == RC_OK)
        atomic_store(&v->mapping, mapping_new(&next));
    atomic_store(&v->lost, r != RC_OK);
}

void versions_unlink(const char *scope)
{
    char name[SHARED_NAME_MAX];
    shared_name(scope, "", name);
    shm_unlink(name);
}

/* ---- counting ---- */

/* Uids are given one after the other: so few users touch few pages. */
static size_t counter_of(int64_t uid)
{
    return (size_t)((uint64_t)uid & (((uint64_t)1 << COUNTERS_LOG2) - 1));
}

bool versions_page(const struct versions *v, uint64_t *out)
{
    *out = atomic_load(&v->mapping)->page->id;
    return !atomic_load(&v->lost);
}

bool version_now(const struct versions *v, int64_t uid, struct version *out)
{
    struct page *p = atomic_load(&v->mapping)->page;
    uint64_t word = atomic_load(&p->counts[counter_of(uid)]);

    *out = (struct version){ .page = p->id, .start = atomic_load(&p->start), .count = ENDED(word) };
    return word < CHANGING && !atomic_load(&v->lost);
}

/* Each thread looks for a free line where it found its last one. */
static uint32_t change_note(struct mapping *m, size_t counter)
{
    static _Thread_local uint32_t hint;
    _Atomic uint32_t *lines = m->page->under_way[m->row];

    for (uint32_t tried = 0; m->fd >= 0 && tried < CHANGES_MAX; tried++, hint = (hint + 1) % CHANGES_MAX) {
        uint32_t nothing = 0;
        if (atomic_compare_exchange_strong(&lines[hint], &nothing, (uint32_t)counter + 1))
            return hint;
    }
    return NOT_NOTED;
}

/* In earlier pages too: who has not yet noticed that they were removed reads there. A change is noted after it is in the counter, and
 * the note goes first: a process that dies in between leaves one change too many, never one too few. */
void version_begin(struct versions *v, int64_t uid, struct version_change *out)
{
    size_t i = counter_of(uid);
    struct mapping *m = atomic_load(&v->mapping);
    uint64_t was = atomic_fetch_add(&m->page->counts[i], CHANGING);

    out->note = change_note(m, i);
    out->from =
        (struct version){ .page = m->page->id, .start = atomic_load(&m->page->start), .count = ENDED(was) };
    for (m = m->before; m; m = m->before)
        atomic_fetch_add(&m->page->counts[i], CHANGING);
}

/* A page that came after the change began knows nothing of the beginning. */
bool version_end(struct versions *v, int64_t uid, const struct version_change *c, struct version *out)
{
    size_t i = counter_of(uid);
    struct mapping *m = atomic_load(&v->mapping);
    bool alone = m->page->id == c->from.page;

    for (; m->page->id != c->from.page; m = m->before)
        atomic_fetch_add(&m->page->counts[i], 1);
    if (c->note != NOT_NOTED)
        atomic_store(&m->page->under_way[m->row][c->note], 0);
    uint64_t was = atomic_fetch_add(&m->page->counts[i], 1 - CHANGING);
    *out =
        (struct version){ .page = m->page->id, .start = atomic_load(&m->page->start), .count = ENDED(was) };
    alone = alone && version_eq(out, &c->from) && was < 2 * CHANGING;
    out->count++;
    for (m = m->before; m; m = m->before)
        atomic_fetch_add(&m->page->counts[i], 1 - CHANGING);
    return alone;
}

bool version_eq(const struct version *a, const struct version *b)
{
    return a->page == b->page && a->start == b->start && a->count == b->count;
}
