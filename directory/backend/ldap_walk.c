/* Walking in the order of names. LDAP servers answer in an order of their own, and sorting there needs an overlay that many lack and
 * memory that grows with the tree. So the names are gone through page by page, the smallest are kept as long as they fit, and sorted; what did
 * not fit comes in the next round. Then their entries are read, a batch of names in one search, and visited.
 *
 * Who stops goes on soon, most often: an operator's list, a page at a time. So the sorted names of a walk that was stopped are kept for a
 * while, and going on costs no more than the entries. Who signs up meanwhile may be missing from such a list. */
#include <pthread.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/scope.h"
#include "directory/backend/ldap_session.h"
#include "directory/backend/ldap_text.h"

enum { WALK_BYTES = 8 * 1024 * 1024, BATCH = 64, BATCH_BYTES = 32 * 1024 * 1024, KEPT_MAX = 4 };

#define KEPT_US      INT64_C(60000000)  /* since it was stopped */
#define KEPT_MOST_US INT64_C(600000000) /* since its names were read */

struct names {
    const struct ldap_walk *walk;
    struct arena last; /* of `after` */
    view after;        /* names up to it are not in the list */
    struct arena texts;
    view *items;
    size_t n, room, bytes, next; /* next: the first that was not visited */
    view ceiling;                /* names from here on wait for the next round; VIEW_NONE: there is room */
    struct buf key;              /* what is walked over */
    int64_t read_us, stopped_us;
};

struct ldap_walks {
    pthread_mutex_t lock;
    struct names *kept[KEPT_MAX];
};

static int number_cmp(view a, view b)
{
    return a.n != b.n ? (a.n < b.n ? -1 : 1) : view_cmp(a, b);
}

static int by_number(const void *a, const void *b)
{
    return number_cmp(*(const view *)a, *(const view *)b);
}

static int compare(const struct names *x, view a, view b)
{
    return x->walk->by_number ? number_cmp(a, b) : view_cmp(a, b);
}

static void names_begin(void *arg)
{
    struct names *x = arg;
    arena_reset(&x->texts);
    x->n = x->bytes = x->next = 0;
    x->ceiling = VIEW_NONE;
}

static int64_t now_us(void)
{
    return clock_mono_us(clock_system());
}

static void key_put(struct buf *out, const struct ldap_walk *w)
{
    const char *const parts[] = { w->base, w->filter, w->attr };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        buf_add(out, view_of(parts[i]));
        buf_addc(out, '\n');
    }
}

static struct names *names_new(const struct ldap_walk *w)
{
    struct names *x = mem_need(calloc(1, sizeof(*x)));
    arena_init(&x->texts, 2 * WALK_BYTES);
    arena_init(&x->last, WALK_BYTES);
    x->walk = w;
    x->after = w->after.p ? arena_copy(&x->last, w->after) : VIEW_NONE;
    x->read_us = now_us();
    key_put(&x->key, w);
    return x;
}

static void names_free(struct names *x)
{
    if (!x)
        return;
    arena_done(&x->texts);
    arena_done(&x->last);
    buf_done(&x->key);
    free(x->items);
    free(x);
}
DEFINE_SCOPED(struct names *, names_free);

static void sort(struct names *x)
{
    if (x->n > 1)
        qsort(x->items, x->n, sizeof(view), x->walk->by_number ? by_number : view_order);
}

static void keep(struct names *x, view name)
{
    if (x->n == x->room) {
        x->room = x->room ? 2 * x->room : 256;
        x->items = mem_need(realloc(x->items, x->room * sizeof(view)));
    }
    x->items[x->n++] = arena_copy(&x->texts, name);
    x->bytes += name.n + sizeof(view);
}

/* No more room: the greater half waits for the next round. */
static void halve(struct names *x)
{
    struct arena old = x->texts;
    view *items = x->items;
    size_t n = x->n / 2;
    sort(x);
    arena_init(&x->texts, 2 * WALK_BYTES);
    x->items = NULL;
    x->n = x->room = x->bytes = 0;
    for (size_t i = 0; i < n; i++)
        keep(x, items[i]);
    x->ceiling = arena_copy(&x->texts, items[n]);
    arena_done(&old);
    free(items);
}

static rc names_visit(void *arg, const struct ldap_entry *entry, struct err *e)
{
    struct names *x = arg;
    const struct ldap_value_list *v = ldap_entry_values(entry, x->walk->attr);
    if (!v)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.*s has no %s, or we may not read it", VIEW_ARG(entry->dn),
                    x->walk->attr);
    SCOPED(arena_done) struct arena a;
    arena_init(&a, 4096);
    view name;
    if (!name_decode(&a, v->items[0], &name)) /* nobody would find it by its name either */
        return RC_OK;
    if (x->after.p && compare(x, name, x->after) <= 0)
        return RC_OK;
    if (x->ceiling.p && compare(x, name, x->ceiling) >= 0)
        return RC_OK;
    keep(x, name);
    if (x->bytes > WALK_BYTES)
        halve(x);
    return RC_OK;
}

/* ---- entries of some names ---- */

struct batch {
    const struct ldap_walk *walk;
    const view *names;
    size_t n;
    struct arena a;
    char *items[BATCH]; /* by the index of the name; NULL: not there any more */
    rc result;          /* of unpacking; the search goes on, else the connection would have to be closed */
    struct err why;
};

static void batch_done_scoped(struct batch *b)
{
    arena_done(&b->a);
}

static void batch_begin(void *arg)
{
    struct batch *b = arg;
    memset(b->items, 0, sizeof(b->items));
    b->result = RC_OK;
}

static rc batch_visit(void *arg, const struct ldap_entry *entry, struct err *e)
{
    struct batch *b = arg;
    (void)e;
    char *item = arena_alloc(&b->a, b->walk->item_bytes);
    struct err why = ERR_NONE;
    rc r = b->walk->unpack(entry, &b->a, item, &why);
    if (r == RC_NOT_FOUND || b->result != RC_OK)
        return RC_OK;
    if (r != RC_OK) {
        b->result = r;
        b->why = why;
        return RC_OK;
    }
    view name = b->walk->name_of(item, &b->a);
    for (size_t i = 0; i < b->n; i++)
        if (view_eq(name, b->names[i]))
            b->items[i] = item;
    return RC_OK;
}

/* "(&filter(|(uid=…)(uid=…)…))" */
static const char *batch_filter(struct batch *b)
{
    view parts[BATCH];
    for (size_t i = 0; i < b->n; i++)
        parts[i] = filter_equals(&b->a, b->walk->attr,
                                 b->walk->by_number ? b->names[i] : name_encode(&b->a, b->names[i]));
    const view both[] = { view_of(b->walk->filter), filter_or(&b->a, parts, b->n) };
    return filter_and(&b->a, both, 2).p;
}

static rc batch_read(struct ldap_session *s, struct batch *b, struct err *e)
{
    const struct ldap_reading r = {
        .how = LDAP_READ_NEWEST,
        .query = { .base = b->walk->base,
                   .scope = LDAP_SCOPE_ONELEVEL,
                   .filter = batch_filter(b),
                   .attrs = b->walk->attrs },
        .begin = batch_begin,
        .visit = batch_visit,
        .arg = b,
    };
    bool secondhand;
    TRY(ldap_read(s, &r, NULL, &secondhand, e));
    if (b->result != RC_OK && e)
        *e = b->why;
    TRY(b->result);
    if (b->a.spent)
        return fail(e, RC_BROKEN, RESP_GENERIC, "entries with too many values below %s", b->walk->base);
    return RC_OK;
}

static rc visit_batch(struct ldap_session *s, const struct names *x, size_t from, ldap_walk_visitor *visit,
                      void *arg, bool *on, struct err *e)
{
    SCOPED(batch_done) struct batch b = { .walk = x->walk, .names = x->items + from };
    b.n = x->n - from < BATCH ? x->n - from : BATCH;
    arena_init(&b.a, BATCH_BYTES);
    TRY(batch_read(s, &b, e));
    for (size_t i = 0; i < b.n && *on; i++)
        if (b.items[i])
            TRY(visit(arg, b.items[i], on, e));
    return RC_OK;
}

/* ---- walks that were stopped ---- */

struct ldap_walks *ldap_walks_new(void)
{
    struct ldap_walks *k = mem_need(calloc(1, sizeof(*k)));
    pthread_mutex_init(&k->lock, NULL);
    return k;
}

void ldap_walks_free(struct ldap_walks *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < KEPT_MAX; i++)
        names_free(k->kept[i]);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

static bool is_over(const struct names *x, int64_t now)
{
    return now - x->stopped_us > KEPT_US || now - x->read_us > KEPT_MOST_US;
}

/* The first name behind `after`. */
static size_t behind(const struct names *x, view after)
{
    size_t from = 0, to = x->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (compare(x, x->items[middle], after) <= 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* One that goes on where it was stopped, or a little before; NULL: none. */
static struct names *take_kept(struct ldap_walks *k, const struct ldap_walk *w)
{
    SCOPED(buf_done) struct buf key = { 0 };
    struct names *found = NULL;
    int64_t now = now_us();
    if (!w->after.p)
        return NULL;
    key_put(&key, w);
    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < KEPT_MAX && !found; i++) {
        struct names *x = k->kept[i];
        if (!x || !view_eq(buf_view(&x->key), buf_view(&key)) || is_over(x, now))
            continue;
        x->walk = w;
        if (x->after.p && compare(x, w->after, x->after) < 0)
            continue;
        found = x;
        k->kept[i] = NULL;
    }
    pthread_mutex_unlock(&k->lock);
    if (found)
        found->next = behind(found, w->after);
    return found;
}

/* In the place of one that is over, or was stopped first. */
static void keep_stopped(struct ldap_walks *k, struct names *x)
{
    size_t at = 0;
    x->stopped_us = now_us();
    x->walk = NULL; /* the caller's */
    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < KEPT_MAX; i++)
        if (!k->kept[i] || (k->kept[at] && k->kept[i]->stopped_us < k->kept[at]->stopped_us))
            at = i;
    struct names *old = k->kept[at];
    k->kept[at] = x;
    pthread_mutex_unlock(&k->lock);
    names_free(old);
}

/* ---- the walk ---- */

static rc read_names(struct ldap_session *s, struct names *x, struct err *e)
{
    const char *const wanted[] = { x->walk->attr, NULL };
    const struct ldap_reading r = {
        .how = LDAP_READ_NEWEST,
        .query = { .base = x->walk->base,
                   .scope = LDAP_SCOPE_ONELEVEL,
                   .filter = x->walk->filter,
                   .attrs = wanted },
        .begin = names_begin,
        .visit = names_visit,
        .arg = x,
    };
    bool secondhand;
    TRY(ldap_read(s, &r, NULL, &secondhand, e));
    sort(x);
    return RC_OK;
}

static rc visit_names(struct ldap_session *s, struct names *x, ldap_walk_visitor *visit, void *arg, bool *on,
                      struct err *e)
{
    for (; !x->walk->unpack && x->next < x->n && *on; x->next++)
        TRY(visit(arg, &x->items[x->next], on, e));
    for (; x->walk->unpack && x->next < x->n && *on; x->next += BATCH)
        TRY(visit_batch(s, x, x->next, visit, arg, on, e));
    return RC_OK;
}

/* Behind the list; its texts go with the next round. */
static void go_behind(struct names *x)
{
    struct arena last;
    if (x->n == 0)
        return;
    arena_init(&last, WALK_BYTES);
    x->after = arena_copy(&last, x->items[x->n - 1]);
    arena_done(&x->last);
    x->last = last;
}

rc ldap_walk_each(struct ldap_session *s, const struct ldap_walk *w, ldap_walk_visitor *visit, void *arg,
                  struct err *e)
{
    struct ldap_walks *walks = s->backend->walks;
    bool on = true;
    SCOPED(names_free) struct names *x = take_kept(walks, w);
    if (!x) {
        x = names_new(w);
        TRY(read_names(s, x, e));
    }
    for (;;) {
        TRY(visit_names(s, x, visit, arg, &on, e));
        if (!on || !x->ceiling.p)
            break;
        go_behind(x);
        TRY(read_names(s, x, e));
    }
    if (!on) {
        keep_stopped(walks, x);
        x = NULL;
    }
    return RC_OK;
}
