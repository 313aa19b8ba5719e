#include "common/base/metrics.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* Cells are 64-bit counts. A thread has a block of its own, made of chunks that are allocated when one of their cells is
 * first used. Only the owner adds to a block, so adding is a plain load and store; anybody may read. When a thread ends, its
 * block goes back to the pool with all its counts, and the next new thread goes on counting in it: nothing is lost and
 * there are never more blocks than there were threads at one time.
 *
 * Series and families are only ever appended and never freed; readers walk them without a lock. Two locks, never both
 * held: `registry` for appending, `pool` for handing out blocks. */

#define CHUNK_CELLS 256
#define CHUNKS      64 /* 16384 cells: some thousand series; registering more ends the process */

struct chunk {
    _Atomic uint64_t cells[CHUNK_CELLS];
};

struct block {
    struct chunk *_Atomic chunks[CHUNKS];
    struct block *next;      /* all blocks */
    struct block *next_idle; /* unowned blocks */
};

enum kind { COUNTER, HISTOGRAM, GAUGE };
static const char *const kind_names[] = { "counter", "histogram", "gauge" };

/* Upper bounds of a histogram's buckets. Behind the buckets' cells stand the one of +Inf and the sum of microseconds. */
static const struct {
    int64_t us;
    const char *seconds;
} buckets[] = {
    { 100, "0.0001" },  { 250, "0.00025" }, { 500, "0.0005" },  { 1000, "0.001" },
    { 2500, "0.0025" }, { 5000, "0.005" },  { 10000, "0.01" },  { 25000, "0.025" },
    { 50000, "0.05" },  { 100000, "0.1" },  { 250000, "0.25" }, { 500000, "0.5" },
    { 1000000, "1" },   { 2500000, "2.5" }, { 5000000, "5" },   { 10000000, "10" },
};
#define BUCKETS         ((unsigned)(sizeof buckets / sizeof buckets[0]))
#define HISTOGRAM_CELLS (BUCKETS + 2)

/* Where a gauge's value comes from. Registering again puts a newer one before it. */
struct gauge {
    double (*fn)(void *arg); /* NULL: nobody to ask, the series is not shown */
    void *arg;
    const struct gauge *older; /* keeps it reachable: a reader may still hold it */
};

struct series {
    char *labels; /* "" without */
    metric cell;
    const struct gauge *_Atomic gauge;
    struct series *_Atomic next;
};

struct family {
    const char *name, *help;
    enum kind kind;
    struct series *_Atomic first;
    struct family *_Atomic next;
};

static struct {
    pthread_mutex_t registry, pool;
    struct family *_Atomic families;
    unsigned cells_used; /* cell 0 belongs to no metric: one that was never registered counts there */
    struct block *_Atomic blocks;
    struct block *idle;
    pthread_once_t once;
    pthread_key_t leaving;
} book = {
    .registry = PTHREAD_MUTEX_INITIALIZER,
    .pool = PTHREAD_MUTEX_INITIALIZER,
    .cells_used = 1,
    .once = PTHREAD_ONCE_INIT,
};

static _Thread_local struct block *mine;

static void *zeroed(size_t size)
{
    void *p = calloc(1, size);

    if (!p)
        abort();
    return p;
}

/* --- registering --- */

static struct family *family_of(const char *name, enum kind kind, const char *help)
{
    struct family *_Atomic *at = &book.families;
    struct family *f;

    for (; (f = atomic_load(at)); at = &f->next)
        if (strcmp(f->name, name) == 0) {
            assert(f->kind == kind);
            return f;
        }
    f = zeroed(sizeof *f);
    f->name = name;
    f->help = help;
    f->kind = kind;
    atomic_store(at, f);
    return f;
}

static unsigned cells_of(enum kind kind)
{
    return kind == COUNTER ? 1 : kind == HISTOGRAM ? HISTOGRAM_CELLS : 0;
}

static struct series *series_of(struct family *f, const char *labels)
{
    struct series *_Atomic *at = &f->first;
    struct series *s;

    for (; (s = atomic_load(at)); at = &s->next)
        if (strcmp(s->labels, labels) == 0)
            return s;
    s = zeroed(sizeof *s);
    s->labels = strdup(labels);
    if (!s->labels)
        abort();
    s->cell.slot = book.cells_used;
    book.cells_used += cells_of(f->kind);
    assert(book.cells_used <= CHUNKS * CHUNK_CELLS);
    atomic_store(at, s);
    return s;
}

static struct series *enter(const char *name, const char *labels, const char *help, enum kind kind)
{
    struct series *s;

    pthread_mutex_lock(&book.registry);
    s = series_of(family_of(name, kind, help), labels ? labels : "");
    pthread_mutex_unlock(&book.registry);
    return s;
}

metric metric_counter(const char *name, const char *labels, const char *help)
{
    return enter(name, labels, help, COUNTER)->cell;
}

metric metric_histogram(const char *name, const char *labels, const char *help)
{
    return enter(name, labels, help, HISTOGRAM)->cell;
}

void metric_gauge(const char *name, const char *labels, const char *help, double (*fn)(void *arg), void *arg)
{
    struct series *s = enter(name, labels, help, GAUGE);
    struct gauge *g = zeroed(sizeof *g);

    g->fn = fn;
    g->arg = arg;
    pthread_mutex_lock(&book.registry);
    g->older = atomic_load(&s->gauge);
    atomic_store(&s->gauge, g);
    pthread_mutex_unlock(&book.registry);
}

/* --- counting --- */

static void leave(void *block)
{
    struct block *b = block;

    mine = NULL;
    pthread_mutex_lock(&book.pool);
    b->next_idle = book.idle;
    book.idle = b;
    pthread_mutex_unlock(&book.pool);
}

static void make_key(void)
{
    if (pthread_key_create(&book.leaving, leave) != 0)
        abort();
}

static struct block *join(void)
{
    struct block *b;

    pthread_once(&book.once, make_key);
    pthread_mutex_lock(&book.pool);
    b = book.idle;
    if (b) {
        book.idle = b->next_idle;
    } else {
        b = zeroed(sizeof *b);
        b->next = atomic_load(&book.blocks);
        atomic_store(&book.blocks, b);
    }
    pthread_mutex_unlock(&book.pool);
    if (pthread_setspecific(book.leaving, b) != 0)
        abort();
    return mine = b;
}

static _Atomic uint64_t *cell(unsigned slot)
{
    struct block *b = mine ? mine : join();
    struct chunk *c = atomic_load_explicit(&b->chunks[slot / CHUNK_CELLS], memory_order_relaxed);

    if (!c) {
        c = zeroed(sizeof *c);
        atomic_store_explicit(&b->chunks[slot / CHUNK_CELLS], c, memory_order_release);
    }
    return &c->cells[slot % CHUNK_CELLS];
}

static void add(unsigned slot, uint64_t n)
{
    _Atomic uint64_t *c = cell(slot);

    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

void metric_add(metric m, uint64_t n)
{
    add(m.slot, n);
}

void metric_observe_us(metric m, int64_t us)
{
    unsigned i = 0;

    if (m.slot == 0)
        return;
    if (us < 0)
        us = 0;
    while (i < BUCKETS && us > buckets[i].us)
        i++;
    add(m.slot + i, 1);
    add(m.slot + BUCKETS + 1, (uint64_t)us);
}

/* --- reading --- */

static uint64_t sum(unsigned slot)
{
    uint64_t total = 0;

    for (const struct block *b = atomic_load(&book.blocks); b; b = b->next) {
        struct chunk *c = atomic_load_explicit(&b->chunks[slot / CHUNK_CELLS], memory_order_acquire);

        if (c)
            total += atomic_load_explicit(&c->cells[slot % CHUNK_CELLS], memory_order_relaxed);
    }
    return total;
}

static uint64_t sum_of_cells(unsigned slot, unsigned n)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < n; i++)
        total += sum(slot + i);
    return total;
}

uint64_t metric_value(metric m)
{
    for (const struct family *f = atomic_load(&book.families); f; f = atomic_load(&f->next))
        for (const struct series *s = atomic_load(&f->first); s; s = atomic_load(&s->next))
            if (s->cell.slot == m.slot && f->kind != GAUGE)
                return f->kind == HISTOGRAM ? sum_of_cells(m.slot, BUCKETS + 1) : sum(m.slot);
    return 0;
}

_Static_assert(METRIC_BUCKETS == BUCKETS + 1, "the header's number of buckets");

void metric_counts_read(metric m, struct metric_counts *out)
{
    for (unsigned i = 0; i < METRIC_BUCKETS; i++)
        out->bucket[i] = m.slot == 0 ? 0 : sum(m.slot + i);
}

uint64_t metric_counted(const struct metric_counts *before, const struct metric_counts *now)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < METRIC_BUCKETS; i++)
        n += now->bucket[i] - before->bucket[i];
    return n;
}

int64_t metric_median_us(const struct metric_counts *before, const struct metric_counts *now)
{
    uint64_t half = (metric_counted(before, now) + 1) / 2, below = 0;

    for (unsigned i = 0; i < BUCKETS; i++) {
        uint64_t here = now->bucket[i] - before->bucket[i];
        int64_t from = i ? buckets[i - 1].us : 0;

        if (half > 0 && below + here >= half)
            return from + (int64_t)((double)(buckets[i].us - from) * (double)(half - below) / (double)here);
        below += here;
    }
    return half > 0 ? buckets[BUCKETS - 1].us : 0;
}

/* name_suffix{labels,le="bound"}, and a blank */
static void put_name(struct buf *out, const struct family *f, const char *suffix, const char *labels,
                     const char *le)
{
    buf_addf(out, "%s%s", f->name, suffix);
    if (labels[0] && le)
        buf_addf(out, "{%s,le=\"%s\"} ", labels, le);
    else if (labels[0])
        buf_addf(out, "{%s} ", labels);
    else if (le)
        buf_addf(out, "{le=\"%s\"} ", le);
    else
        buf_addc(out, ' ');
}

static void put_double(struct buf *out, double v)
{
    if (isnan(v))
        buf_add(out, VIEW("NaN\n"));
    else if (isinf(v))
        buf_add(out, v > 0 ? VIEW("+Inf\n") : VIEW("-Inf\n"));
    else
        buf_addf(out, "%.15g\n", v);
}

static void put_count(struct buf *out, uint64_t n)
{
    buf_addf(out, "%llu\n", (unsigned long long)n);
}

static void put_histogram(struct buf *out, const struct family *f, const struct series *s)
{
    uint64_t total = 0, us;

    for (unsigned i = 0; i <= BUCKETS; i++) {
        total += sum(s->cell.slot + i);
        put_name(out, f, "_bucket", s->labels, i < BUCKETS ? buckets[i].seconds : "+Inf");
        put_count(out, total);
    }
    us = sum(s->cell.slot + BUCKETS + 1);
    put_name(out, f, "_sum", s->labels, NULL);
    buf_addf(out, "%llu.%06llu\n", (unsigned long long)(us / 1000000), (unsigned long long)(us % 1000000));
    put_name(out, f, "_count", s->labels, NULL);
    put_count(out, total);
}

static void put_gauge(struct buf *out, const struct family *f, const struct series *s)
{
    const struct gauge *g = atomic_load(&s->gauge);

    if (!g || !g->fn)
        return;
    put_name(out, f, "", s->labels, NULL);
    put_double(out, g->fn(g->arg));
}

static void put_counter(struct buf *out, const struct family *f, const struct series *s)
{
    put_name(out, f, "", s->labels, NULL);
    put_count(out, sum(s->cell.slot));
}

static void put_help(struct buf *out, const struct family *f)
{
    buf_addf(out, "# HELP %s ", f->name);
    for (const char *p = f->help; *p; p++)
        if (*p == '\\')
            buf_add(out, VIEW("\\\\"));
        else if (*p == '\n')
            buf_add(out, VIEW("\\n"));
        else
            buf_addc(out, *p);
    buf_addf(out, "\n# TYPE %s %s\n", f->name, kind_names[f->kind]);
}

void metrics_put(struct buf *out)
{
    for (const struct family *f = atomic_load(&book.families); f; f = atomic_load(&f->next)) {
        put_help(out, f);
        for (const struct series *s = atomic_load(&f->first); s; s = atomic_load(&s->next))
            switch (f->kind) {
            case COUNTER:
                put_counter(out, f, s);
                break;
            case HISTOGRAM:
                put_histogram(out, f, s);
                break;
            case GAUGE:
                put_gauge(out, f, s);
                break;
            }
    }
}
