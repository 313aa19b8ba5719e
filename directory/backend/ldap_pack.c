#include "directory/backend/ldap_pack.h"

#include <inttypes.h>

#include "common/base/encode.h"
#include "common/base/scope.h"
#include "directory/backend/ldap_text.h"

enum { TEXT_MAX = 4096, MANY_MAX = 1000 };

const char *const login_attrs[] = { "userPassword", /* first: account_attrs begins behind it */
                                    "uid",
                                    "uidNumber",
                                    "heddleMail",
                                    "account-enabled",
                                    "syncNode",
                                    "heddlePlaced",
                                    "heddleCreated",
                                    "heddlePasswordSince",
                                    "heddleEpoch",
                                    "heddleIntent",
                                    "heddleErase",
                                    "heddleClientState",
                                    "heddleOldState",
                                    "heddleGeneration",
                                    "heddleKeysChanged",
                                    "heddleReset",
                                    "heddleDisabled",
                                    NULL };
const char *const node_attrs[] = { "cn",           "heddleUrl",   "heddleAddress",  "heddleNodeType",
                                   "heddlePools",  "heddleState", "heddleCapacity", "heddleSeats",
                                   "heddleOpened", NULL };
const char *const erase_attrs[] = { "cn", "syncNode", "heddleEpoch", "heddleSince", "heddleSeats", NULL };
const char *const invite_attrs[] = { "cn",         "heddleHash", "heddleUses", "heddleLeft",  "heddleCreated",
                                     "heddleEnds", "heddleBy",   "heddleNote", "heddleTaker", NULL };

/* ---- reading ---- */

/* All of ours is UTF-8, and goes out again in JSON. */
static rc value_copy(const struct ldap_entry *x, const char *attr, view value, struct arena *a, view *out,
                     struct err *e)
{
    if (value.n > TEXT_MAX)
        return fail(e, RC_BROKEN, RESP_GENERIC, "a value of %s of %.*s has %zu bytes", attr, VIEW_ARG(x->dn),
                    value.n);
    if (!utf8_valid(value))
        return fail(e, RC_BROKEN, RESP_GENERIC, "a value of %s of %.*s is no text", attr, VIEW_ARG(x->dn));
    *out = arena_copy(a, value);
    return RC_OK;
}

static rc text_unpack(const struct ldap_entry *x, const char *attr, struct arena *a, view *out, struct err *e)
{
    const struct ldap_value_list *v = ldap_entry_values(x, attr);
    if (v)
        return value_copy(x, attr, v->items[0], a, out, e);
    *out = VIEW_NONE;
    return RC_OK;
}

/* Absent is 0. */
static rc number_or_none(const struct ldap_entry *x, const char *attr, int64_t *out, struct err *e)
{
    const struct ldap_value_list *v = ldap_entry_values(x, attr);
    uint64_t n = 0;
    if (v && !view_to_u64(v->items[0], INT64_MAX, &n))
        return fail(e, RC_BROKEN, RESP_GENERIC, "%s of %.*s is no number", attr, VIEW_ARG(x->dn));
    *out = (int64_t)n;
    return RC_OK;
}

rc number_unpack(const struct ldap_entry *x, const char *attr, int64_t *out, struct err *e)
{
    if (!ldap_entry_values(x, attr))
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.*s has no %s, or we may not read it", VIEW_ARG(x->dn),
                    attr);
    return number_or_none(x, attr, out, e);
}

static rc name_unpack(const struct ldap_entry *x, const char *attr, view asked, struct arena *a, view *out,
                      struct err *e)
{
    const struct ldap_value_list *v = ldap_entry_values(x, attr);
    view name;
    if (!v)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.*s has no %s, or we may not read it", VIEW_ARG(x->dn),
                    attr);
    if (!name_decode(a, v->items[0], &name) || (asked.p && !view_eq(asked, name)))
        return fail(e, RC_NOT_FOUND, RESP_USERNAME, "%.*s: %s is not written as we write it", VIEW_ARG(x->dn),
                    attr);
    *out = name;
    return RC_OK;
}

static rc many_unpack(const struct ldap_entry *x, const char *attr, int (*order)(const void *, const void *),
                      struct arena *a, const view **out, size_t *out_n, struct err *e)
{
    const struct ldap_value_list *v = ldap_entry_values(x, attr);
    if (!v)
        return RC_OK;
    if (v->n > MANY_MAX)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%s of %.*s has %zu values", attr, VIEW_ARG(x->dn), v->n);
    view *items = arena_alloc(a, v->n * sizeof(view));
    for (size_t i = 0; i < v->n; i++)
        TRY(value_copy(x, attr, v->items[i], a, &items[i], e));
    qsort(items, v->n, sizeof(view), order);
    *out = items;
    *out_n = v->n;
    return RC_OK;
}

rc account_unpack(const struct ldap_entry *x, view name, struct arena *a, struct account *out, struct err *e)
{
    struct account acc = { 0 };
    const struct {
        const char *attr;
        view *to;
    } texts[] = {
        { "heddleMail", &acc.mail },     { "syncNode", &acc.node },
        { "heddlePlaced", &acc.placed }, { "heddleIntent", &acc.intent },
        { "heddleReset", &acc.reset },   { "heddleClientState", &acc.client_state },
    };
    const struct {
        const char *attr;
        int64_t *to;
    } numbers[] = {
        { "heddleCreated", &acc.created_ms },    { "heddlePasswordSince", &acc.password_since_ms },
        { "heddleGeneration", &acc.generation }, { "heddleKeysChanged", &acc.keys_changed },
        { "heddleDisabled", &acc.disabled_ms },
    };
    TRY(name_unpack(x, "uid", name, a, &acc.name, e));
    TRY(number_unpack(x, "uidNumber", &acc.uid, e));
    TRY(number_unpack(x, "heddleEpoch", &acc.epoch, e));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        TRY(text_unpack(x, texts[i].attr, a, texts[i].to, e));
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        TRY(number_or_none(x, numbers[i].attr, numbers[i].to, e));
    TRY(many_unpack(x, "heddleOldState", old_state_order, a, &acc.old_states, &acc.n_old_states, e));
    TRY(many_unpack(x, "heddleErase", view_order, a, &acc.erases, &acc.n_erases, e));
    const struct ldap_value_list *enabled = ldap_entry_values(x, "account-enabled");
    acc.enabled = enabled && view_eq(enabled->items[0], VIEW("Yes"));
    acc.has_password = acc.password_since_ms > 0;
    *out = acc;
    return RC_OK;
}

rc node_unpack(const struct ldap_entry *x, view name, struct arena *a, struct node_entry *out, struct err *e)
{
    struct node_entry n = { 0 };
    view state;
    TRY(name_unpack(x, "cn", name, a, &n.name, e));
    TRY(text_unpack(x, "heddleUrl", a, &n.url, e));
    TRY(text_unpack(x, "heddleAddress", a, &n.address, e));
    TRY(text_unpack(x, "heddleNodeType", a, &n.node_type, e));
    TRY(text_unpack(x, "heddlePools", a, &n.pools, e));
    TRY(text_unpack(x, "heddleState", a, &state, e));
    TRY(number_unpack(x, "heddleCapacity", &n.capacity, e));
    TRY(number_unpack(x, "heddleSeats", &n.seats, e));
    TRY(number_unpack(x, "heddleOpened", &n.opened_ms, e));
    if (!n.node_type.p)
        n.node_type = VIEW("");
    if (!n.pools.p)
        n.pools = VIEW("");
    if (!n.url.p || !n.address.p || !node_state_parse(state, &n.state))
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.*s has no URL, no address or a state that we do not know",
                    VIEW_ARG(x->dn));
    *out = n;
    return RC_OK;
}

rc erase_unpack(const struct ldap_entry *x, struct arena *a, struct erase *out, struct err *e)
{
    struct erase r = { .account = VIEW_NONE };
    int64_t seats;
    TRY(number_unpack(x, "cn", &r.uid, e));
    TRY(number_unpack(x, "heddleEpoch", &r.epoch, e));
    TRY(number_unpack(x, "heddleSince", &r.since_ms, e));
    TRY(number_or_none(x, "heddleSeats", &seats, e));
    r.seat = seats > 0;
    TRY(text_unpack(x, "syncNode", a, &r.node, e));
    if (!r.node.p)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.*s names no node", VIEW_ARG(x->dn));
    *out = r;
    return RC_OK;
}

rc invite_unpack(const struct ldap_entry *x, struct arena *a, struct invite *out, struct err *e)
{
    struct invite i = { .takers = NULL };
    TRY(name_unpack(x, "cn", VIEW_NONE, a, &i.id, e));
    TRY(text_unpack(x, "heddleHash", a, &i.hash, e));
    TRY(text_unpack(x, "heddleBy", a, &i.by, e));
    TRY(text_unpack(x, "heddleNote", a, &i.note, e));
    TRY(number_unpack(x, "heddleUses", &i.uses, e));
    TRY(number_unpack(x, "heddleLeft", &i.left, e));
    TRY(number_unpack(x, "heddleCreated", &i.made_ms, e));
    TRY(number_unpack(x, "heddleEnds", &i.end_ms, e));
    TRY(many_unpack(x, "heddleTaker", view_order, a, &i.takers, &i.n_takers, e));
    if (!i.hash.p)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.*s has no hash", VIEW_ARG(x->dn));
    *out = i;
    return RC_OK;
}

/* ---- writing ---- */

/* The library takes pointers to what it does not change. */
static char *lent(const char *p)
{
    return (char *)(uintptr_t)p;
}

void mods_put(struct mods *m, int op, const char *attr, view value)
{
    if (m->n == MODS_MAX)
        abort(); /* the callers' numbers are bounded */
    if (!value.p && op != LDAP_MOD_REPLACE)
        return;
    LDAPMod *mod = arena_zero(m->a, sizeof(*mod));
    mod->mod_op = op | LDAP_MOD_BVALUES;
    mod->mod_type = lent(attr);
    if (value.p) {
        struct berval *v = arena_alloc(m->a, sizeof(*v));
        *v = (struct berval){ .bv_len = value.n, .bv_val = lent(value.p) };
        mod->mod_bvalues = arena_zero(m->a, 2 * sizeof(v));
        mod->mod_bvalues[0] = v;
    }
    m->list[m->n++] = mod;
    m->list[m->n] = NULL;
}

void mods_put_number(struct mods *m, int op, const char *attr, int64_t value)
{
    mods_put(m, op, attr, arena_text(m->a, "%" PRId64, value));
}

static view or_none(view v)
{
    return v.n ? v : VIEW_NONE;
}

static view number_or_absent(struct arena *a, int64_t n)
{
    return n ? arena_text(a, "%" PRId64, n) : VIEW_NONE;
}

void account_pack(struct mods *m, const struct account_new *n, view password)
{
    mods_put(m, LDAP_MOD_ADD, "objectClass", VIEW("heddleAccount"));
    mods_put(m, LDAP_MOD_ADD, "uid", name_encode(m->a, n->name));
    mods_put_number(m, LDAP_MOD_ADD, "uidNumber", n->uid);
    mods_put(m, LDAP_MOD_ADD, "account-enabled", VIEW("Yes"));
    mods_put_number(m, LDAP_MOD_ADD, "heddleCreated", n->created_ms);
    mods_put_number(m, LDAP_MOD_ADD, "heddleEpoch", n->epoch);
    mods_put(m, LDAP_MOD_ADD, "heddleMail", or_none(n->mail));
    mods_put(m, LDAP_MOD_ADD, "userPassword", password);
    if (password.p)
        mods_put_number(m, LDAP_MOD_ADD, "heddlePasswordSince", n->created_ms);
    mods_put(m, LDAP_MOD_ADD, "syncNode", or_none(n->node));
    mods_put(m, LDAP_MOD_ADD, "heddlePlaced", or_none(n->placed));
    mods_put(m, LDAP_MOD_ADD, "heddleClientState", or_none(n->client_state));
    mods_put(m, LDAP_MOD_ADD, "heddleGeneration", number_or_absent(m->a, n->generation));
    mods_put(m, LDAP_MOD_ADD, "heddleKeysChanged", number_or_absent(m->a, n->keys_changed));
}

void node_pack(struct mods *m, const struct node_entry *n, int op)
{
    if (op == LDAP_MOD_ADD) {
        mods_put(m, op, "objectClass", VIEW("heddleNode"));
        mods_put(m, op, "cn", name_encode(m->a, n->name));
    }
    mods_put(m, op, "heddleUrl", n->url);
    mods_put(m, op, "heddleAddress", n->address);
    mods_put(m, op, "heddleNodeType", or_none(n->node_type));
    mods_put(m, op, "heddlePools", or_none(n->pools));
    mods_put(m, op, "heddleState", view_of(node_state_name(n->state)));
    mods_put_number(m, op, "heddleCapacity", n->capacity);
    if (n->seats != SEATS_KEPT)
        mods_put_number(m, op, "heddleSeats", n->seats);
    mods_put_number(m, op, "heddleOpened", n->opened_ms);
}

void erase_pack(struct mods *m, const struct erase *x, int op)
{
    if (op == LDAP_MOD_ADD) {
        mods_put(m, op, "objectClass", VIEW("heddleLeftover"));
        mods_put_number(m, op, "cn", x->uid);
    }
    mods_put(m, op, "syncNode", x->node);
    mods_put_number(m, op, "heddleEpoch", x->epoch);
    mods_put_number(m, op, "heddleSince", x->since_ms);
    mods_put(m, op, "heddleSeats", x->seat ? VIEW("1") : VIEW_NONE);
}

void invite_pack(struct mods *m, const struct invite *x)
{
    mods_put(m, LDAP_MOD_ADD, "objectClass", VIEW("heddleInvite"));
    mods_put(m, LDAP_MOD_ADD, "cn", x->id);
    mods_put(m, LDAP_MOD_ADD, "heddleHash", x->hash);
    mods_put(m, LDAP_MOD_ADD, "heddleNote", or_none(x->note));
    mods_put(m, LDAP_MOD_ADD, "heddleBy", or_none(x->by));
    mods_put_number(m, LDAP_MOD_ADD, "heddleUses", x->uses);
    mods_put_number(m, LDAP_MOD_ADD, "heddleLeft", x->left);
    mods_put_number(m, LDAP_MOD_ADD, "heddleCreated", x->made_ms);
    mods_put_number(m, LDAP_MOD_ADD, "heddleEnds", x->end_ms);
}

void invite_cas_pack(struct mods *m, const struct invite_change *c)
{
    if (c->left != c->wanted) {
        mods_put_number(m, LDAP_MOD_DELETE, "heddleLeft", c->left);
        mods_put_number(m, LDAP_MOD_ADD, "heddleLeft", c->wanted);
    }
    mods_put(m, c->comes ? LDAP_MOD_ADD : LDAP_MOD_DELETE, "heddleTaker", c->taker);
}

const char *ldap_attr_name(enum account_attr attr)
{
    return attr == ATTR_MAIL ? "heddleMail" : account_attr_name(attr);
}

void cas_pack(struct mods *m, const struct change *changes, size_t n, const char **out_only_if)
{
    view *conditions = arena_alloc(m->a, (n + 1) * sizeof(view));
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        const struct change *c = &changes[i];
        const char *attr = ldap_attr_name(c->attr);
        mods_put(m, LDAP_MOD_DELETE, attr, c->expected);
        mods_put(m, LDAP_MOD_ADD, attr, c->wanted);
        if (!c->expected.p &&
            !c->wanted.p) /* an absence that shall stay: nothing that is added would refute it */
            conditions[k++] = arena_text(m->a, "(!(%s=*))", attr);
    }
    *out_only_if = k ? filter_and(m->a, conditions, k).p : NULL;
}
