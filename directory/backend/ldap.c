/* Accounts in LDAP. Connections are in ldap_conn.c, which server is asked what in ldap_session.c, entries in ldap_pack.c; passwords are
 * checked in ldap_login.c, nodes and counters kept in ldap_nodes.c. */
#include <inttypes.h>

#include "common/base/scope.h"
#include "directory/backend/ldap_pack.h"
#include "directory/backend/ldap_session.h"
#include "directory/backend/ldap_text.h"

/* OpenLDAP's back-mdb keeps a name twice in one key of 511 bytes; what is longer it answers with "other error". */
enum { DELETE_TRIES = 8, ACCOUNT_BYTES = 256 * 1024, NAME_MAX_IN_DN = 235 };

#define ACCOUNT_FILTER "(objectClass=heddleAccount)"

/* ---- life ---- */

static void driver_close(struct backend *b)
{
    ldap_backend_free((struct ldap_backend *)b);
}

static void ldap_session_shut(struct backend_session *s)
{
    ldap_session_free(ldap_own(s));
}

static rc ldap_session_start(struct backend *b, struct backend_session **out, struct err *e)
{
    (void)e;
    *out = &ldap_session_make((struct ldap_backend *)b)->base; /* connects when it is first used */
    return RC_OK;
}

static rc found(void *arg, const struct ldap_entry *x, struct err *e)
{
    (void)arg, (void)x, (void)e;
    return RC_OK;
}

/* Can anything be looked up? With the provider away it can, as long as there is a replica. */
static rc ldap_ping(struct backend_session *bs, struct err *e)
{
    static const char *const none[] = { LDAP_NO_ATTRS, NULL };
    struct ldap_session *s = ldap_own(bs);
    const struct ldap_fetching f = {
        .how = LDAP_READ_NEWEST,
        .query = { s->backend->counters.p, LDAP_SCOPE_BASE, "(objectClass=*)", none, 1 },
        .unpack = found,
    };
    rc r = ldap_fetch(s, &f, NULL, e);
    if (r == RC_NOT_FOUND)
        return fail(e, RC_BROKEN, RESP_GENERIC,
                    "%s is not there, or %s may not read it: run heddle-directory ldap-init",
                    s->backend->counters.p, s->backend->conf->bind_dn);
    return r;
}

/* A server that is away now may be back when the first user comes; one without our tree will not have it then either. */
static rc driver_open(const struct backend_conf *c, struct backend **out, struct err *e)
{
    struct ldap_backend *b;
    TRY(ldap_backend_make(c, &b, e));
    struct ldap_session *s = ldap_session_make(b);
    rc r = ldap_ping(&s->base, e);
    ldap_session_free(s);
    if (r != RC_OK && r != RC_AWAY) {
        ldap_backend_free(b);
        return RC_BAD_INPUT;
    }
    *out = &b->base;
    return RC_OK;
}

/* ---- reading ---- */

struct account_fetch {
    view name;
    struct arena *a;
    struct account *out;
};

static rc unpack_account(void *arg, const struct ldap_entry *x, struct err *e)
{
    const struct account_fetch *f = arg;
    return account_unpack(x, f->name, f->a, f->out, e);
}

/* By name, at the DN that is made of it. */
static rc fetch_by_name(struct ldap_session *s, enum ldap_freshness how, view name, struct arena *a,
                        struct account *out, struct err *e)
{
    struct account acc;
    struct account_fetch to = { name, a, &acc };
    const struct ldap_fetching f = {
        .how = how,
        .name = name,
        .query = { ldap_account_dn(s, a, name).p, LDAP_SCOPE_BASE, ACCOUNT_FILTER, account_attrs, 1 },
        .unpack = unpack_account,
        .arg = &to,
    };
    TRY(ldap_fetch(s, &f, NULL, e));
    acc.password_elsewhere = ldap_person_possible(s, name);
    acc.has_password = acc.has_password || acc.password_elsewhere;
    *out = acc;
    return RC_OK;
}

static rc fetch_by_value(struct ldap_session *s, enum ldap_freshness how, const char *attr, view value,
                         struct arena *a, struct account *out, struct err *e)
{
    struct account acc;
    struct account_fetch to = { VIEW_NONE, a, &acc };
    const view parts[] = { VIEW(ACCOUNT_FILTER), filter_equals(a, attr, value) };
    const struct ldap_fetching f = {
        .how = how,
        .query = { s->backend->users.p, LDAP_SCOPE_ONELEVEL, filter_and(a, parts, 2).p, account_attrs, 2 },
        .unpack = unpack_account,
        .arg = &to,
    };
    TRY(ldap_fetch(s, &f, NULL, e));
    acc.password_elsewhere = ldap_person_possible(s, acc.name);
    acc.has_password = acc.has_password || acc.password_elsewhere;
    *out = acc;
    return RC_OK;
}

/* In a guest tree somebody whom we meet for the first time gets his entry here. */
static rc fetch_or_adopt(struct ldap_session *s, view name, struct arena *a, struct account *out,
                         struct err *e)
{
    struct person p;
    rc r = fetch_by_name(s, LDAP_READ_ANY, name, a, out, e);
    if (r != RC_NOT_FOUND || !ldap_person_possible(s, name))
        return r;
    TRY(ldap_person_find(s, name, a, &p, e));
    r = ldap_person_adopt(s, name, &p, e);
    if (r != RC_OK && r != RC_CONFLICT)
        return r;
    return fetch_by_name(s, LDAP_READ_TRUTH, name, a, out, e);
}

static rc fetch_by(struct ldap_session *s, enum ldap_freshness how, enum account_key by, view key,
                   struct arena *a, struct account *out, struct err *e)
{
    uint64_t uid;
    if (by == ACCOUNT_BY_NAME)
        return fetch_by_name(s, how, key, a, out, e);
    if (by == ACCOUNT_BY_MAIL)
        return fetch_by_value(s, how, ldap_attr_name(ATTR_MAIL), key, a, out, e);
    if (!view_to_u64(key, INT64_MAX, &uid))
        return fail(e, RC_NOT_FOUND, RESP_USERNAME, "no account has such a number");
    return fetch_by_value(s, how, "uidNumber", key, a, out, e);
}

rc ldap_account_get(struct backend_session *bs, enum account_key by, view key, struct arena *a,
                    struct account *out, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    if (by == ACCOUNT_BY_NAME)
        return fetch_or_adopt(s, key, a, out, e);
    return fetch_by(s, LDAP_READ_NEWEST, by, key, a, out, e);
}

static rc ldap_account_truth(struct backend_session *bs, enum account_key by, view key, struct arena *a,
                             struct account *out, struct err *e)
{
    return fetch_by(ldap_own(bs), LDAP_READ_TRUTH, by, key, a, out, e);
}

static void ldap_account_changed(struct backend_session *bs, view name)
{
    ldap_changed(ldap_own(bs), name);
}

/* ---- life of an account ---- */

rc ldap_account_add(struct backend_session *bs, const struct account_new *n, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    SCOPED(buf_done) struct buf hash = { 0 };
    struct mods m;
    if (n->password.p && s->backend->guest)
        return fail(e, RC_FORBIDDEN, RESP_GENERIC, "people are made in their own tree, not here");
    arena_reset(&s->scratch);
    if (name_encode(&s->scratch, n->name).n > NAME_MAX_IN_DN)
        return fail(e, RC_BAD_INPUT, RESP_USERNAME, "a name of %zu bytes is too long for LDAP", n->name.n);
    if (n->password.p)
        TRY(password_scheme_hash(s->backend->scheme, n->password, &s->backend->cost, &hash, e));
    mods_init(&m, &s->scratch);
    account_pack(&m, n, n->password.p ? buf_view(&hash) : VIEW_NONE);
    rc r = ldap_write_to(s, n->name,
                         &(struct ldap_write){ .kind = LDAP_WRITE_ADD,
                                               .dn = ldap_account_dn(s, &s->scratch, n->name).p,
                                               .mods = m.list },
                         NULL, e);
    if (e && r == RC_CONFLICT)
        e->respcode = RESP_OVERWRITE;
    if (e && r == RC_BAD_INPUT)
        e->respcode = RESP_USERNAME;
    return r;
}

/* Over what an earlier attempt left there, if it did. */
static rc leave_erase(struct ldap_session *s, struct arena *a, const struct erase *x, struct err *e)
{
    struct mods m;
    const char *dn = ldap_erase_dn(s, a, x->uid).p;
    mods_init(&m, a);
    erase_pack(&m, x, LDAP_MOD_ADD);
    rc r = ldap_write_to(s, VIEW_NONE,
                         &(struct ldap_write){ .kind = LDAP_WRITE_ADD, .dn = dn, .mods = m.list }, NULL, e);
    if (r != RC_CONFLICT)
        return r;
    mods_init(&m, a);
    erase_pack(&m, x, LDAP_MOD_REPLACE);
    return ldap_write_to(
        s, VIEW_NONE, &(struct ldap_write){ .kind = LDAP_WRITE_MODIFY, .dn = dn, .mods = m.list }, NULL, e);
}

static rc leave_erases(struct ldap_session *s, struct arena *a, const struct account *acc, int64_t since_ms,
                       struct err *e)
{
    for (size_t i = 0; i < acc->n_erases; i++) {
        struct erase x;
        if (!erase_parse(acc->erases[i], &x))
            return fail(e, RC_BROKEN, RESP_GENERIC, "an heddleErase of account %" PRId64 " cannot be read",
                        acc->uid);
        if (x.uid != acc->uid)
            TRY(leave_erase(s, a, &x, e));
    }
    if (!acc->node.p)
        return RC_OK;
    const struct erase now = {
        .node = acc->node, .uid = acc->uid, .epoch = acc->epoch, .since_ms = since_ms, .seat = true
    };
    return leave_erase(s, a, &now, e);
}

/* The entry, if it still is what the erases were made of. */
static view unchanged_filter(struct arena *a, const struct account *acc)
{
    const view parts[] = {
        arena_text(a, "(uidNumber=%" PRId64 ")", acc->uid),
        arena_text(a, "(heddleEpoch=%" PRId64 ")", acc->epoch),
        acc->node.p ? filter_equals(a, "syncNode", acc->node) : VIEW("(!(syncNode=*))"),
    };
    return filter_and(a, parts, sizeof(parts) / sizeof(parts[0]));
}

static rc delete_once(struct ldap_session *s, view name, int64_t uid, int64_t since_ms, bool *out_moved,
                      struct err *e)
{
    struct account acc;
    SCOPED(arena_done) struct arena a;
    arena_init(&a, ACCOUNT_BYTES);
    TRY(fetch_by_name(s, LDAP_READ_TRUTH, name, &a, &acc, e));
    if (acc.uid != uid)
        return fail(e, RC_CONFLICT, RESP_GENERIC, "the account has another uid by now");
    TRY(leave_erases(s, &a, &acc, since_ms, e));
    if (a.spent)
        return fail(e, RC_BROKEN, RESP_GENERIC, "account %" PRId64 " has too many values", uid);
    return ldap_write_to(s, name,
                         &(struct ldap_write){ .kind = LDAP_WRITE_DELETE,
                                               .dn = ldap_account_dn(s, &a, name).p,
                                               .only_if = unchanged_filter(&a, &acc).p },
                         out_moved, e);
}

/* The erases come first: should we end in between, they name an account that lives, and settle leaves its data alone. */
static rc ldap_account_delete(struct backend_session *bs, view name, int64_t uid, int64_t since_ms,
                              struct err *e)
{
    for (int i = 0; i < DELETE_TRIES; i++) {
        bool moved = false;
        rc r = delete_once(ldap_own(bs), name, uid, since_ms, &moved, e);
        if (r != RC_CONFLICT || !moved)
            return r;
    }
    return fail(e, RC_BUSY, RESP_GENERIC, "the account is changed all the time");
}

/* ---- compare and set ---- */

static rc ldap_account_cas(struct backend_session *bs, view name, const struct change *changes, size_t n,
                           struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    struct mods m;
    struct ldap_write w = { .kind = LDAP_WRITE_MODIFY };
    arena_reset(&s->scratch);
    mods_init(&m, &s->scratch);
    cas_pack(&m, changes, n, &w.only_if);
    w.dn = ldap_account_dn(s, &s->scratch, name).p;
    w.mods = m.list;
    return ldap_write_to(s, name, &w, NULL, e);
}

/* ---- walking ---- */

struct accounts_walk {
    struct ldap_session *s;
    const struct account_filter *f;
    account_visitor *visit;
    void *arg;
};

/* What the filter asked for may be gone by the time the whole entry is read. */
static bool still_wanted(const struct account_filter *f, const struct account *acc)
{
    return f->all || f->begins.p || (f->node.p && view_eq(f->node, acc->node)) ||
           (f->with_intent && acc->intent.p) || (f->with_erase && acc->n_erases > 0) ||
           (f->disabled_since_ms && acc->disabled_ms >= f->disabled_since_ms);
}

/* Names stand there encoded, byte by byte: what a name begins with, its encoding begins with the encoding of. */
static view begins_filter(struct arena *a, view begins)
{
    return arena_text(a, "(|%.*s%.*s)", VIEW_ARG(filter_begins(a, "uid", name_encode(a, begins))),
                      VIEW_ARG(filter_begins(a, ldap_attr_name(ATTR_MAIL), begins)));
}

static rc unpack_walked(const struct ldap_entry *x, struct arena *a, void *out, struct err *e)
{
    return account_unpack(x, VIEW_NONE, a, out, e);
}

static view name_of_account(const void *item, struct arena *a)
{
    const struct account *acc = item;
    (void)a;
    return acc->name;
}

static rc walk_account(void *arg, const void *item, bool *out_on, struct err *e)
{
    struct accounts_walk *w = arg;
    struct account acc = *(const struct account *)item;
    (void)e;
    acc.password_elsewhere = ldap_person_possible(w->s, acc.name);
    acc.has_password = acc.has_password || acc.password_elsewhere;
    if (still_wanted(w->f, &acc))
        *out_on = w->visit(w->arg, &acc);
    return RC_OK;
}

static rc ldap_accounts_each(struct backend_session *bs, const struct account_filter *f,
                             account_visitor *visit, void *arg, struct err *e)
{
    struct accounts_walk w = { .s = ldap_own(bs), .f = f, .visit = visit, .arg = arg };
    SCOPED(arena_done) struct arena a;
    arena_init(&a, 4096);
    const view parts[] = {
        VIEW(ACCOUNT_FILTER),
        f->node.p              ? filter_equals(&a, "syncNode", f->node)
        : f->with_intent       ? VIEW("(heddleIntent=*)")
        : f->with_erase        ? VIEW("(heddleErase=*)")
        : f->disabled_since_ms ? arena_text(&a, "(heddleDisabled>=%" PRId64 ")", f->disabled_since_ms)
        : f->begins.p          ? begins_filter(&a, f->begins)
                               : VIEW(""),
    };
    return ldap_walk_each(w.s,
                          &(struct ldap_walk){ .base = w.s->backend->users.p,
                                               .filter = filter_and(&a, parts, 2).p,
                                               .attr = "uid",
                                               .after = f->after,
                                               .attrs = account_attrs,
                                               .unpack = unpack_walked,
                                               .name_of = name_of_account,
                                               .item_bytes = sizeof(struct account) },
                          walk_account, &w, e);
}

const struct backend_driver backend_ldap = {
    .name = "ldap",
    .open = driver_open,
    .close = driver_close,
    .session_open = ldap_session_start,
    .session_close = ldap_session_shut,
    .ping = ldap_ping,
    .account_get = ldap_account_get,
    .account_truth = ldap_account_truth,
    .account_changed = ldap_account_changed,
    .account_in_group = ldap_account_in_group,
    .account_add = ldap_account_add,
    .account_delete = ldap_account_delete,
    .account_check_password = ldap_account_check_password,
    .account_set_password = ldap_account_set_password,
    .account_password_kept = ldap_account_password_kept,
    .account_cas = ldap_account_cas,
    .accounts_each = ldap_accounts_each,
    .erases_each = ldap_erases_each,
    .leftovers_each = ldap_leftovers_each,
    .erase_done = ldap_erase_done,
    .node_get = ldap_node_get,
    .nodes_each = ldap_nodes_each,
    .node_put = ldap_node_put,
    .node_delete = ldap_node_delete,
    .seats_take = ldap_seats_take,
    .seats_give = ldap_seats_give,
    .uid_next = ldap_uid_next,
    .uid_peek = ldap_uid_peek,
    .invite_add = ldap_invite_add,
    .invite_get = ldap_invite_get,
    .invite_cas = ldap_invite_cas,
    .invite_delete = ldap_invite_delete,
    .invites_each = ldap_invites_each,
    .mark_put = ldap_mark_put,
    .mark_there = ldap_mark_there,
    .marks_sweep = ldap_marks_sweep,
};
