/* Nodes, seats, account numbers and erases in LDAP. */
#include <inttypes.h>

#include "common/base/scope.h"
#include "directory/backend/ldap_pack.h"
#include "directory/backend/ldap_session.h"
#include "directory/backend/ldap_text.h"

/* Of those who race for a number one wins each time: so many tries are lost only against so many winners. */
enum { SWAP_TRIES = 100, NODE_BYTES = 64 * 1024 };

/* ---- erases ---- */

struct erases_walk {
    struct ldap_session *s;
    erase_visitor *visit;
    void *arg;
    bool on;
    rc failed; /* of an account's values */
    struct err *e;
};

static rc unpack_erase(const struct ldap_entry *x, struct arena *a, void *out, struct err *e)
{
    return erase_unpack(x, a, out, e);
}

static view name_of_erase(const void *item, struct arena *a)
{
    const struct erase *x = item;
    return arena_text(a, "%" PRId64, x->uid);
}

static rc walk_erase(void *arg, const void *item, bool *out_on, struct err *e)
{
    struct erases_walk *w = arg;
    (void)e;
    *out_on = w->on = w->visit(w->arg, item);
    return RC_OK;
}

static bool visit_living(void *arg, const struct account *acc)
{
    struct erases_walk *w = arg;
    for (size_t i = 0; i < acc->n_erases && w->on; i++) {
        struct erase x;
        if (!erase_parse(acc->erases[i], &x)) {
            w->failed = fail(w->e, RC_BROKEN, RESP_GENERIC, "an heddleErase cannot be read");
            return false;
        }
        x.account = acc->name;
        w->on = w->visit(w->arg, &x);
    }
    return w->on;
}

static rc walk_leftovers(struct erases_walk *w, int64_t after_uid, struct err *e)
{
    char number[24];
    view after = VIEW_NONE;
    if (after_uid > 0) {
        snprintf(number, sizeof(number), "%" PRId64, after_uid);
        after = view_of(number);
    }
    return ldap_walk_each(w->s,
                          &(struct ldap_walk){ .base = w->s->backend->erase.p,
                                               .filter = "(objectClass=heddleLeftover)",
                                               .attr = "cn",
                                               .by_number = true,
                                               .after = after,
                                               .attrs = erase_attrs,
                                               .unpack = unpack_erase,
                                               .name_of = name_of_erase,
                                               .item_bytes = sizeof(struct erase) },
                          walk_erase, w, e);
}

rc ldap_leftovers_each(struct backend_session *bs, int64_t after_uid, erase_visitor *visit, void *arg,
                       struct err *e)
{
    struct erases_walk w = { .s = ldap_own(bs), .visit = visit, .arg = arg, .on = true, .e = e };
    return walk_leftovers(&w, after_uid, e);
}

rc ldap_erases_each(struct backend_session *bs, erase_visitor *visit, void *arg, struct err *e)
{
    struct erases_walk w = { .s = ldap_own(bs), .visit = visit, .arg = arg, .on = true, .e = e };
    TRY(walk_leftovers(&w, 0, e));
    if (!w.on)
        return RC_OK;
    TRY(accounts_each(bs, &(struct account_filter){ .with_erase = true }, visit_living, &w, e));
    return w.failed;
}

rc ldap_erase_done(struct backend_session *bs, int64_t uid, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    arena_reset(&s->scratch);
    return ldap_write_to(
        s, VIEW_NONE,
        &(struct ldap_write){ .kind = LDAP_WRITE_DELETE, .dn = ldap_erase_dn(s, &s->scratch, uid).p }, NULL,
        e);
}

/* ---- nodes ---- */

struct node_fetch {
    view name;
    struct arena *a;
    struct node_entry *out;
};

static rc unpack_node(void *arg, const struct ldap_entry *x, struct err *e)
{
    const struct node_fetch *f = arg;
    return node_unpack(x, f->name, f->a, f->out, e);
}

static rc fetch_node(struct ldap_session *s, enum ldap_freshness how, view name, struct arena *a,
                     struct node_entry *out, struct err *e)
{
    struct node_entry n;
    struct node_fetch to = { name, a, &n };
    const struct ldap_fetching f = {
        .how = how,
        .name = name,
        .query = { ldap_node_dn(s, a, name).p, LDAP_SCOPE_BASE, "(objectClass=heddleNode)", node_attrs, 1 },
        .unpack = unpack_node,
        .arg = &to,
    };
    TRY(ldap_fetch(s, &f, NULL, e));
    *out = n;
    return RC_OK;
}

rc ldap_node_get(struct backend_session *bs, view name, struct arena *a, struct node_entry *out,
                 struct err *e)
{
    return fetch_node(ldap_own(bs), LDAP_READ_ANY, name, a, out, e);
}

struct nodes_walk {
    node_visitor *visit;
    void *arg;
};

static rc unpack_walked(const struct ldap_entry *x, struct arena *a, void *out, struct err *e)
{
    return node_unpack(x, VIEW_NONE, a, out, e);
}

static view name_of_node(const void *item, struct arena *a)
{
    const struct node_entry *n = item;
    (void)a;
    return n->name;
}

static rc walk_node(void *arg, const void *item, bool *out_on, struct err *e)
{
    struct nodes_walk *w = arg;
    (void)e;
    *out_on = w->visit(w->arg, item);
    return RC_OK;
}

rc ldap_nodes_each(struct backend_session *bs, node_visitor *visit, void *arg, struct err *e)
{
    struct nodes_walk w = { .visit = visit, .arg = arg };
    return ldap_walk_each(ldap_own(bs),
                          &(struct ldap_walk){ .base = ldap_own(bs)->backend->nodes.p,
                                               .filter = "(objectClass=heddleNode)",
                                               .attr = "cn",
                                               .attrs = node_attrs,
                                               .unpack = unpack_walked,
                                               .name_of = name_of_node,
                                               .item_bytes = sizeof(struct node_entry) },
                          walk_node, &w, e);
}

static rc node_write(struct ldap_session *s, enum ldap_write_kind kind, const struct node_entry *n,
                     struct err *e)
{
    struct mods m;
    arena_reset(&s->scratch);
    mods_init(&m, &s->scratch);
    node_pack(&m, n, kind == LDAP_WRITE_ADD ? LDAP_MOD_ADD : LDAP_MOD_REPLACE);
    const struct ldap_write w = { .kind = kind,
                                  .dn = ldap_node_dn(s, &s->scratch, n->name).p,
                                  .mods = m.list };
    return ldap_write_to(s, n->name, &w, NULL, e);
}

rc ldap_node_put(struct backend_session *bs, const struct node_entry *n, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    rc r = node_write(s, LDAP_WRITE_MODIFY, n, e);
    if (r == RC_NOT_FOUND && n->seats != SEATS_KEPT)
        r = node_write(s, LDAP_WRITE_ADD, n, e);
    if (r == RC_CONFLICT) /* made in this moment by somebody else: ours is the later word */
        r = node_write(s, LDAP_WRITE_MODIFY, n, e);
    return r;
}

rc ldap_node_delete(struct backend_session *bs, view name, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    arena_reset(&s->scratch);
    const struct ldap_write w = { .kind = LDAP_WRITE_DELETE, .dn = ldap_node_dn(s, &s->scratch, name).p };
    return ldap_write_to(s, name, &w, NULL, e);
}

/* ---- counters ---- */

struct number_at {
    const char *dn, *attr;
};

struct number_fetch {
    const struct number_at *at;
    int64_t *out;
};

static rc unpack_number(void *arg, const struct ldap_entry *x, struct err *e)
{
    const struct number_fetch *f = arg;
    return number_unpack(x, f->at->attr, f->out, e);
}

static rc read_number(struct ldap_session *s, const struct number_at *at, int64_t *out, struct err *e)
{
    const char *const attrs[] = { at->attr, NULL };
    struct number_fetch to = { at, out };
    const struct ldap_fetching f = {
        .how = LDAP_READ_TRUTH,
        .query = { at->dn, LDAP_SCOPE_BASE, "(objectClass=*)", attrs, 1 },
        .unpack = unpack_number,
        .arg = &to,
    };
    return ldap_fetch(s, &f, NULL, e);
}

/* RC_CONFLICT: it is not `old` any more. */
static rc swap_number(struct ldap_session *s, const struct number_at *at, int64_t old, int64_t new,
                      struct err *e)
{
    struct mods m;
    mods_init(&m, &s->scratch);
    mods_put_number(&m, LDAP_MOD_DELETE, at->attr, old);
    mods_put_number(&m, LDAP_MOD_ADD, at->attr, new);
    return ldap_write_to(s, VIEW_NONE,
                         &(struct ldap_write){ .kind = LDAP_WRITE_MODIFY, .dn = at->dn, .mods = m.list },
                         NULL, e);
}

rc ldap_seats_take(struct backend_session *bs, view node, int64_t want, int64_t *out_got, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    SCOPED(arena_done) struct arena a;
    arena_init(&a, 4096);
    const struct number_at at = { ldap_node_dn(s, &a, node).p, "heddleSeats" };
    for (int i = 0; i < SWAP_TRIES; i++) {
        int64_t seats;
        arena_reset(&s->scratch);
        TRY(read_number(s, &at, &seats, e));
        int64_t got = want < seats ? want : seats;
        rc r = got > 0 ? swap_number(s, &at, seats, seats - got, e) : RC_OK;
        if (r == RC_OK)
            *out_got = got > 0 ? got : 0;
        if (r != RC_CONFLICT)
            return r;
    }
    return fail(e, RC_BUSY, RESP_GENERIC, "everybody takes seats on %.*s", VIEW_ARG(node));
}

rc ldap_seats_give(struct backend_session *bs, view node, int64_t n, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    SCOPED(arena_done) struct arena a;
    arena_init(&a, NODE_BYTES);
    const struct number_at at = { ldap_node_dn(s, &a, node).p, "heddleSeats" };
    for (int i = 0; i < SWAP_TRIES; i++) {
        struct node_entry x;
        arena_reset(&s->scratch);
        TRY(fetch_node(s, LDAP_READ_TRUTH, node, &a, &x, e));
        int64_t room = x.capacity > x.seats ? x.capacity - x.seats : 0, more = n < room ? n : room;
        rc r = more > 0 ? swap_number(s, &at, x.seats, x.seats + more, e) : RC_OK;
        if (r != RC_CONFLICT)
            return r;
    }
    return fail(e, RC_BUSY, RESP_GENERIC, "everybody takes seats on %.*s", VIEW_ARG(node));
}

rc ldap_uid_next(struct backend_session *bs, int64_t count, int64_t *out_first, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    SCOPED(arena_done) struct arena a;
    arena_init(&a, 4096);
    const struct number_at at = { ldap_counter_dn(s, &a, "uid").p, "heddleNext" };
    for (int i = 0; i < SWAP_TRIES; i++) {
        int64_t first;
        arena_reset(&s->scratch);
        rc r = read_number(s, &at, &first, e);
        if (r == RC_NOT_FOUND)
            return fail(e, RC_BROKEN, RESP_GENERIC, "the counter of uids is gone");
        TRY(r);
        if (first < 1 || first > UID_MAX - count + 1)
            return fail(e, RC_BROKEN, RESP_GENERIC, "all uids are used up");
        r = swap_number(s, &at, first, first + count, e);
        if (r == RC_OK)
            *out_first = first;
        if (r != RC_CONFLICT)
            return r;
    }
    return fail(e, RC_BUSY, RESP_GENERIC, "everybody takes account numbers");
}

rc ldap_uid_peek(struct backend_session *bs, int64_t *out, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    SCOPED(arena_done) struct arena a;
    arena_init(&a, 4096);
    const struct number_at at = { ldap_counter_dn(s, &a, "uid").p, "heddleNext" };
    arena_reset(&s->scratch);
    rc r = read_number(s, &at, out, e);
    if (r == RC_NOT_FOUND)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the counter of uids is gone");
    return r;
}
