/* Walking in the order of names. LDAP servers answer in an order of their own, and sorting there needs an overlay that many lack and
 * memory that grows with the tree. So the names are gone through page by page, the smallest are kept as long as they fit, sorted, and
 * visited; what did not fit comes in the next round. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/scope.h"
#include "directory/backend/ldap_session.h"
#include "directory/backend/ldap_text.h"

enum { WALK_BYTES = 8 * 1024 * 1024 };

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
    for (size_t i = 0; i < x->n && *on; i++)
        TRY(visit(arg, x->items[i], on, e));
    return RC_OK;
}

rc ldap_walk_names(struct ldap_session *s, const struct ldap_walk *w, ldap_walk_visitor *visit, void *arg,
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
