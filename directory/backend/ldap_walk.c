/* Walking in the order of names. LDAP servers answer in an order of their own, and sorting there needs an overlay that many lack and
 * memory that grows with the tree. So the names are gone through page by page, the smallest are kept as long as they fit, and sorted; what did
 * not fit comes in the next round. Then their entries are read, a batch of names in one search, and visited. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/scope.h"
#include "directory/backend/ldap_session.h"
#include "directory/backend/ldap_text.h"

enum { WALK_BYTES = 8 * 1024 * 1024, BATCH = 64, BATCH_BYTES = 32 * 1024 * 1024 };

struct names {
    const struct ldap_walk *walk;
    view after;
    struct arena texts;
    view *items;
    size_t n, room, bytes;
    view ceiling; /* names from here on wait for the next round; VIEW_NONE: there is room */
};

static int number_cmp(view a, view b)
{
    return a.n != b.n ? (a.n < b.n ? -1 : 1) : view_cmp(a, b);
}

static int by_name(const void *a, const void *b)
{
    return view_cmp(*(const view *)a, *(const view *)b);
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
    x->n = x->bytes = 0;
    x->ceiling = VIEW_NONE;
}

static void names_done_scoped(struct names *x)
{
    arena_done(&x->texts);
    free(x->items);
}

static void sort(struct names *x)
{
    if (x->n > 1)
        qsort(x->items, x->n, sizeof(view), x->walk->by_number ? by_number : by_name);
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

/* ---- the walk ---- */

static rc round_of(struct ldap_session *s, struct names *x, ldap_walk_visitor *visit, void *arg, bool *on,
                   struct err *e)
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
    for (size_t i = 0; !x->walk->unpack && i < x->n && *on; i++)
        TRY(visit(arg, &x->items[i], on, e));
    for (size_t i = 0; x->walk->unpack && i < x->n && *on; i += BATCH)
        TRY(visit_batch(s, x, i, visit, arg, on, e));
    return RC_OK;
}

rc ldap_walk_each(struct ldap_session *s, const struct ldap_walk *w, ldap_walk_visitor *visit, void *arg,
                  struct err *e)
{
    bool on = true;
    SCOPED(names_done) struct names x = { .walk = w, .after = w->after };
    SCOPED(arena_done) struct arena last;
    arena_init(&x.texts, 2 * WALK_BYTES);
    arena_init(&last, WALK_BYTES);
    do {
        TRY(round_of(s, &x, visit, arg, &on, e));
        if (x.n > 0) { /* its texts go with the next round */
            arena_reset(&last);
            x.after = arena_copy(&last, x.items[x.n - 1]);
        }
    } while (on && x.ceiling.p);
    return RC_OK;
}
