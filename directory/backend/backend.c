#include "directory/backend/backend.h"

#include <inttypes.h>

#include "common/base/encode.h"
#include "directory/backend/recent.h"

static const char *const attr_names[ATTR_N] = {
    [ATTR_UID_NUMBER] = "uidNumber",        [ATTR_MAIL] = "mail",
    [ATTR_ENABLED] = "account-enabled",     [ATTR_NODE] = "syncNode",
    [ATTR_PLACED] = "heddlePlaced",         [ATTR_EPOCH] = "heddleEpoch",
    [ATTR_INTENT] = "heddleIntent",         [ATTR_CLIENT_STATE] = "heddleClientState",
    [ATTR_GENERATION] = "heddleGeneration", [ATTR_KEYS_CHANGED] = "heddleKeysChanged",
    [ATTR_RESET] = "heddleReset",           [ATTR_OLD_STATE] = "heddleOldState",
    [ATTR_ERASE] = "heddleErase",           [ATTR_DISABLED] = "heddleDisabled",
};

static const char *const state_names[] = { "open", "closed", "draining", "down" };

const struct backend_driver *backend_find(view name)
{
    static const struct backend_driver *const drivers[] = { &backend_sqlite, &backend_ldap };
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
        if (view_eq(name, view_of(drivers[i]->name)))
            return drivers[i];
    return NULL;
}

/* ---- words ---- */

const char *account_attr_name(enum account_attr a)
{
    return attr_names[a];
}

bool account_attr_parse(view name, enum account_attr *out)
{
    for (int i = 0; i < ATTR_N; i++)
        if (view_eq(name, view_of(attr_names[i]))) {
            *out = (enum account_attr)i;
            return true;
        }
    return false;
}

bool account_attr_many(enum account_attr a)
{
    return a == ATTR_OLD_STATE || a == ATTR_ERASE;
}

static view number_text(struct arena *a, int64_t n)
{
    return n ? arena_text(a, "%" PRId64, n) : VIEW_NONE;
}

struct change change_number(struct arena *a, enum account_attr attr, int64_t expected, int64_t wanted)
{
    return (struct change){ attr, number_text(a, expected), number_text(a, wanted) };
}

view erase_text(struct arena *a, const struct erase *x)
{
    return arena_text(a, "%.*s %" PRId64 " %" PRId64 " %" PRId64, VIEW_ARG(x->node), x->uid, x->epoch,
                      x->since_ms);
}

bool erase_parse(view text, struct erase *out)
{
    view node, part[2];
    uint64_t n[3];
    if (!view_cut(&text, ' ', &node) || node.n == 0 || !view_cut(&text, ' ', &part[0]) ||
        !view_cut(&text, ' ', &part[1]))
        return false;
    if (!view_to_u64(part[0], INT64_MAX, &n[0]) || !view_to_u64(part[1], INT64_MAX, &n[1]) ||
        !view_to_u64(text, INT64_MAX, &n[2]))
        return false;
    *out = (struct erase){
        .node = node, .uid = (int64_t)n[0], .epoch = (int64_t)n[1], .since_ms = (int64_t)n[2]
    };
    return true;
}

const char *node_state_name(enum node_state s)
{
    return state_names[s];
}

bool node_state_parse(view text, enum node_state *out)
{
    for (size_t i = 0; i < sizeof(state_names) / sizeof(state_names[0]); i++)
        if (view_eq(text, view_of(state_names[i]))) {
            *out = (enum node_state)i;
            return true;
        }
    return false;
}

/* ---- what is checked once, for all drivers ---- */

static rc name_check(view name, struct err *e)
{
    if (name.n == 0 || name.n > ACCOUNT_NAME_MAX || memchr(name.p, '\0', name.n))
        return fail(e, RC_BAD_INPUT, RESP_USERNAME, "an account name of %zu bytes", name.n);
    return RC_OK;
}

static rc password_possible(view password, struct err *e)
{
    if (password.n == 0)
        return fail(e, RC_BAD_INPUT, RESP_PASSWORD_MISSING, "an empty password");
    return RC_OK;
}

rc backend_open(const struct backend_driver *d, const struct backend_conf *c, struct backend **out,
                struct err *e)
{
    struct backend *b;
    TRY(d->open(c, &b, e));
    b->recent = recent_new(c->clock, c->remember_s);
    *out = b;
    return RC_OK;
}

void backend_close(struct backend *b)
{
    if (!b)
        return;
    recent_free(b->recent);
    b->driver->close(b);
}

rc backend_session_open(struct backend *b, struct backend_session **out, struct err *e)
{
    struct backend_session *s;
    TRY(b->driver->session_open(b, &s, e));
    s->recent = b->recent;
    *out = s;
    return RC_OK;
}

void backend_session_close(struct backend_session *s)
{
    if (s)
        s->driver->session_close(s);
}

rc backend_ping(struct backend_session *s, struct err *e)
{
    return s->driver->ping(s, e);
}

rc account_get(struct backend_session *s, enum account_key by, view key, struct arena *a, struct account *out,
               struct err *e)
{
    if (key.n == 0 || key.n > ACCOUNT_NAME_MAX || memchr(key.p, '\0', key.n))
        return fail(e, RC_NOT_FOUND, RESP_USERNAME, "no account has such a key");
    if (by != ACCOUNT_BY_NAME)
        return s->driver->account_get(s, by, key, a, out, e);
    struct recall_mark before = recent_account_mark(s->recent, key);
    TRY(s->driver->account_get(s, by, key, a, out, e));
    recent_account_keep(s->recent, key, before, out);
    return RC_OK;
}

rc account_truth(struct backend_session *s, enum account_key by, view key, struct arena *a,
                 struct account *out, struct err *e)
{
    if (key.n == 0 || key.n > ACCOUNT_NAME_MAX || memchr(key.p, '\0', key.n))
        return fail(e, RC_NOT_FOUND, RESP_USERNAME, "no account has such a key");
    return s->driver->account_truth(s, by, key, a, out, e);
}

void account_changed(struct backend_session *s, view name)
{
    s->driver->account_changed(s, name);
    recent_account_drop(s->recent, name);
}

/* After a change, whatever came of it: it may have happened. */
static rc changed(struct backend_session *s, view name, rc r)
{
    recent_account_drop(s->recent, name);
    return r;
}

rc account_in_group(struct backend_session *s, view name, view group, struct arena *a, bool *out,
                    struct err *e)
{
    *out = false;
    if (group.n == 0 || group.n > ACCOUNT_NAME_MAX || name_check(name, NULL) != RC_OK)
        return RC_OK;
    return s->driver->account_in_group(s, name, group, a, out, e);
}

rc account_add(struct backend_session *s, const struct account_new *n, struct err *e)
{
    TRY(name_check(n->name, e));
    if (n->uid <= 0 || n->uid > UID_MAX || n->epoch < 1)
        return fail(e, RC_BROKEN, RESP_GENERIC, "uid %" PRId64 ", epoch %" PRId64, n->uid, n->epoch);
    if (n->password.p)
        TRY(password_possible(n->password, e));
    return changed(s, n->name, s->driver->account_add(s, n, e));
}

rc account_delete(struct backend_session *s, view name, int64_t uid, int64_t since_ms, struct err *e)
{
    TRY(name_check(name, e));
    return changed(s, name, s->driver->account_delete(s, name, uid, since_ms, e));
}

rc account_check_password(struct backend_session *s, view name, view password, struct arena *a,
                          struct account *out, struct err *e)
{
    /* An LDAP bind without a password succeeds as nobody: it must never get that far. */
    if (password.n == 0 || name_check(name, NULL) != RC_OK)
        return fail(e, RC_DENIED, RESP_GENERIC, "name or password empty or too long");
    return s->driver->account_check_password(s, name, password, a, out, e);
}

rc account_set_password(struct backend_session *s, view name, view password, struct err *e)
{
    TRY(name_check(name, e));
    TRY(password_possible(password, e));
    return changed(s, name, s->driver->account_set_password(s, name, password, e));
}

rc account_password_kept(struct backend_session *s, view name, struct arena *a, view *out, struct err *e)
{
    TRY(name_check(name, e));
    return s->driver->account_password_kept(s, name, a, out, e);
}

rc account_cas(struct backend_session *s, view name, const struct change *changes, size_t n, struct err *e)
{
    TRY(name_check(name, e));
    if (n == 0 || n > ACCOUNT_CHANGES)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%zu changes at once", n);
    for (size_t i = 0; i < n; i++) {
        const struct change *c = &changes[i];
        if ((c->expected.p && c->expected.n == 0) || (c->wanted.p && c->wanted.n == 0) ||
            (account_attr_many(c->attr) && !c->expected.p == !c->wanted.p))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "an impossible change of %s", attr_names[c->attr]);
    }
    return changed(s, name, s->driver->account_cas(s, name, changes, n, e));
}

rc accounts_each(struct backend_session *s, const struct account_filter *f, account_visitor *visit, void *arg,
                 struct err *e)
{
    if ((f->node.p != NULL) + f->with_intent + f->with_erase + f->all + (f->disabled_since_ms > 0) +
            (f->begins.p != NULL) !=
        1)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "accounts are asked for by one thing at a time");
    if (f->begins.p && (f->begins.n == 0 || f->begins.n > ACCOUNT_NAME_MAX || !utf8_valid(f->begins) ||
                        memchr(f->begins.p, '\0', f->begins.n)))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "accounts are searched by a text of 1 to %d bytes",
                    ACCOUNT_NAME_MAX);
    return s->driver->accounts_each(s, f, visit, arg, e);
}

rc erases_each(struct backend_session *s, erase_visitor *visit, void *arg, struct err *e)
{
    return s->driver->erases_each(s, visit, arg, e);
}

rc leftovers_each(struct backend_session *s, int64_t after_uid, erase_visitor *visit, void *arg,
                  struct err *e)
{
    return s->driver->leftovers_each(s, after_uid, visit, arg, e);
}

rc erase_done(struct backend_session *s, int64_t uid, struct err *e)
{
    return s->driver->erase_done(s, uid, e);
}

rc node_get(struct backend_session *s, view name, struct arena *a, struct node_entry *out, struct err *e)
{
    struct recall_mark before = recent_node_mark(s->recent, name);
    TRY(s->driver->node_get(s, name, a, out, e));
    recent_node_keep(s->recent, name, before, out);
    return RC_OK;
}

rc nodes_each(struct backend_session *s, node_visitor *visit, void *arg, struct err *e)
{
    return s->driver->nodes_each(s, visit, arg, e);
}

static bool url_fits(view url)
{
    return url.n > 0 && url.n < 256 && url.p[url.n - 1] != '/' && !memchr(url.p, '\0', url.n);
}

rc node_put(struct backend_session *s, const struct node_entry *n, struct err *e)
{
    TRY(name_check(n->name, e));
    if (memchr(n->name.p, ' ', n->name.n) || memchr(n->name.p, '/', n->name.n))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a node's name is the host[:port] of its URL");
    if (!url_fits(n->url) || !url_fits(n->address))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "a node's URL or address is empty, too long or ends in a slash");
    if (n->capacity < 0 || n->seats < SEATS_KEPT || n->seats > n->capacity)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%" PRId64 " seats on a node for %" PRId64, n->seats,
                    n->capacity);
    rc r = s->driver->node_put(s, n, e);
    recent_node_drop(s->recent, n->name);
    return r;
}

rc node_delete(struct backend_session *s, view name, struct err *e)
{
    rc r = s->driver->node_delete(s, name, e);
    recent_node_drop(s->recent, name);
    return r;
}

rc seats_take(struct backend_session *s, view node, int64_t want, int64_t *out_got, struct err *e)
{
    if (want <= 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%" PRId64 " seats", want);
    return s->driver->seats_take(s, node, want, out_got, e);
}

rc seats_give(struct backend_session *s, view node, int64_t n, struct err *e)
{
    if (n <= 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%" PRId64 " seats", n);
    return s->driver->seats_give(s, node, n, e);
}

rc uid_next(struct backend_session *s, int64_t count, int64_t *out_first, struct err *e)
{
    if (count <= 0 || count > 10000)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a block of %" PRId64 " uids", count);
    return s->driver->uid_next(s, count, out_first, e);
}

rc uid_peek(struct backend_session *s, int64_t *out, struct err *e)
{
    return s->driver->uid_peek(s, out, e);
}

/* ---- invite codes ---- */

static rc invite_id_check(view id, struct err *e)
{
    bool good = id.n > 0 && id.n <= INVITE_ID_MAX;
    for (size_t i = 0; good && i < id.n; i++)
        good = (id.p[i] >= 'a' && id.p[i] <= 'z') || (id.p[i] >= '0' && id.p[i] <= '9');
    return good ? RC_OK : fail(e, RC_NOT_FOUND, RESP_GENERIC, "no invite code is called so");
}

static bool invite_text_fits(view v)
{
    return v.n <= INVITE_TEXT_MAX && utf8_valid(v) && !memchr(v.n ? v.p : "", '\0', v.n);
}

rc invite_add(struct backend_session *s, const struct invite *x, struct err *e)
{
    if (invite_id_check(x->id, NULL) != RC_OK || x->hash.n == 0 || !invite_text_fits(x->hash) ||
        !invite_text_fits(x->note) || !invite_text_fits(x->by))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a text of an invite code is empty, too long or no UTF-8");
    if (x->uses < 1 || x->uses > INVITE_USES_MAX || x->left != x->uses || x->made_ms < 1 ||
        x->end_ms <= x->made_ms)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "an invite code for %" PRId64 " uses, or one that ends before it begins", x->uses);
    return s->driver->invite_add(s, x, e);
}

rc invite_get(struct backend_session *s, view id, struct arena *a, struct invite *out, struct err *e)
{
    TRY(invite_id_check(id, e));
    return s->driver->invite_get(s, id, a, out, e);
}

rc invite_cas(struct backend_session *s, view id, const struct invite_change *c, struct err *e)
{
    TRY(invite_id_check(id, e));
    int64_t step = c->wanted - c->left;
    if (c->taker.n == 0 || !invite_text_fits(c->taker) || c->left < 0 || c->wanted < 0 ||
        (c->comes ? step != -1 : step != 0 && step != 1))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "an impossible change of an invite code");
    return s->driver->invite_cas(s, id, c, e);
}

rc invite_delete(struct backend_session *s, view id, struct err *e)
{
    TRY(invite_id_check(id, e));
    return s->driver->invite_delete(s, id, e);
}

rc invites_each(struct backend_session *s, invite_visitor *visit, void *arg, struct err *e)
{
    return s->driver->invites_each(s, visit, arg, e);
}

/* ---- a moment ago ---- */

bool account_remembered(struct backend *b, view name, struct arena *a, struct account *out)
{
    return recent_account(b->recent, name, a, out);
}

bool node_remembered(struct backend *b, view name, struct arena *a, struct node_entry *out)
{
    return recent_node(b->recent, name, a, out);
}

/* ---- marks ---- */

static rc mark_check(view name, struct err *e)
{
    bool good = name.n > 0 && name.n <= MARK_NAME_MAX;
    for (size_t i = 0; good && i < name.n; i++)
        good = (name.p[i] >= 'a' && name.p[i] <= 'z') || (name.p[i] >= '0' && name.p[i] <= '9') ||
               name.p[i] == '-';
    return good ? RC_OK : fail(e, RC_BAD_INPUT, RESP_GENERIC, "no name of a mark");
}

rc mark_put(struct backend_session *s, view name, int64_t end_ms, struct err *e)
{
    TRY(mark_check(name, e));
    if (end_ms < 1)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a mark that never was");
    return s->driver->mark_put(s, name, end_ms, e);
}

rc mark_there(struct backend_session *s, view name, bool *out, struct err *e)
{
    TRY(mark_check(name, e));
    return s->driver->mark_there(s, name, out, e);
}

rc marks_sweep(struct backend_session *s, int64_t before_ms, struct err *e)
{
    return s->driver->marks_sweep(s, before_ms, e);
}

/* ---- for drivers ---- */

int old_state_order(const void *pa, const void *pb)
{
    const view *a = pa, *b = pb;
    const char *ea = memchr(a->p, ' ', a->n), *eb = memchr(b->p, ' ', b->n);
    ptrdiff_t na = ea ? ea - a->p : 0, nb = eb ? eb - b->p : 0;
    if (na != nb)
        return na < nb ? -1 : 1;
    return view_cmp(*a, *b);
}
