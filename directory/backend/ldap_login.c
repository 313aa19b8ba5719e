/* Passwords in LDAP: the server checks them, by binding; we only make the hashes of new ones. */
#include <inttypes.h>

#include "common/base/scope.h"
#include "directory/backend/ldap_pack.h"
#include "directory/backend/ldap_session.h"

struct login {
    view name;
    struct arena *a;
    struct account acc;
    view hash; /* VIEW_NONE: several, or we may not read it */
};

static rc unpack_login(void *arg, const struct ldap_entry *x, struct err *e)
{
    struct login *l = arg;
    const struct ldap_value_list *v = ldap_entry_values(x, "userPassword");
    TRY(account_unpack(x, l->name, l->a, &l->acc, e));
    l->hash = v && v->n == 1 ? arena_copy(l->a, v->items[0]) : VIEW_NONE;
    return RC_OK;
}

static rc fetch_login(struct ldap_session *s, struct login *l, bool *out_secondhand, struct err *e)
{
    const struct ldap_fetching f = {
        .how = LDAP_READ_NEWEST,
        .name = l->name,
        .query = { ldap_account_dn(s, l->a, l->name).p, LDAP_SCOPE_BASE, "(objectClass=heddleAccount)",
                   login_attrs, 1 },
        .unpack = unpack_login,
        .arg = l,
    };
    return ldap_fetch(s, &f, out_secondhand, e);
}

/* Only over the hash that was there after the login: a password that was changed meanwhile stays. Nothing of the login depends on it,
 * so a provider that is away, or busy, or somebody who was faster, leaves it to the next login. RC_BROKEN: that would go on for ever. */
static rc upgrade(struct ldap_session *s, const struct login *l, view password, struct err *e)
{
    SCOPED(buf_done) struct buf hash = { 0 };
    struct mods m;
    if (!l->hash.p || password_scheme_is_current(s->backend->scheme, l->hash, &s->backend->cost))
        return RC_OK;
    rc r = password_scheme_hash(s->backend->scheme, password, &s->backend->cost, &hash, e);
    if (r == RC_BAD_INPUT || r == RC_AWAY)
        return RC_OK;
    TRY(r);
    mods_init(&m, l->a);
    mods_put(&m, LDAP_MOD_DELETE, "userPassword", l->hash);
    mods_put(&m, LDAP_MOD_ADD, "userPassword", buf_view(&hash));
    r = ldap_write_to(s, l->name,
                      &(struct ldap_write){ .kind = LDAP_WRITE_MODIFY,
                                            .dn = ldap_account_dn(s, l->a, l->name).p,
                                            .mods = m.list },
                      NULL, e);
    return r == RC_BROKEN ? r : RC_OK;
}

/* The time that a server takes to check a password where there is one. */
static rc deny_slowly(struct ldap_session *s, view password, struct err *e)
{
    TRY(password_waste(password, &s->backend->cost, e));
    return fail(e, RC_DENIED, RESP_GENERIC, "unknown name or wrong password");
}

/* The server was quick to say no if there is nothing to check: that shall not be seen. */
static rc deny(struct ldap_session *s, struct login *l, view password, struct err *e)
{
    bool secondhand;
    rc r = fetch_login(s, l, &secondhand, e);
    if (r == RC_OK && l->acc.has_password)
        return fail(e, RC_DENIED, RESP_GENERIC, "wrong password");
    if (r == RC_OK || r == RC_NOT_FOUND)
        return deny_slowly(s, password, e);
    return r;
}

/* First the password, then the account as it is thereafter: who was disabled while the server was checking does not get in. */
static rc check_own(struct ldap_session *s, struct login *l, view password, struct err *e)
{
    bool secondhand = false;
    rc r = ldap_conn_bind(&s->login, ldap_account_dn(s, l->a, l->name).p, password, e);
    if (r == RC_DENIED)
        return deny(s, l, password, e);
    TRY(r);
    r = fetch_login(s, l, &secondhand, e);
    if (r == RC_NOT_FOUND || (r == RC_OK && !l->acc.enabled))
        return fail(e, RC_DENIED, RESP_GENERIC, r == RC_OK ? "the account is disabled" : "deleted meanwhile");
    TRY(r);
    return secondhand ? RC_OK : upgrade(s, l, password, e);
}

static rc check_guest(struct ldap_session *s, struct login *l, view password, struct err *e)
{
    struct person p;
    rc r = ldap_person_possible(s, l->name) ? ldap_person_find(s, l->name, l->a, &p, e) : RC_NOT_FOUND;
    if (r == RC_NOT_FOUND)
        return deny_slowly(s, password, e);
    TRY(r);
    TRY(ldap_conn_bind(&s->login, p.dn.p, password, e));
    /* makes our entry at the first login */
    TRY(ldap_account_get(&s->base, ACCOUNT_BY_NAME, l->name, l->a, &l->acc, e));
    bool secondhand;
    r = fetch_login(s, l, &secondhand, e);
    if (r == RC_NOT_FOUND || (r == RC_OK && !l->acc.enabled))
        return fail(e, RC_DENIED, RESP_GENERIC, "the account is disabled");
    l->acc.has_password = l->acc.password_elsewhere = true;
    return r;
}

rc ldap_account_check_password(struct backend_session *bs, view name, view password, struct arena *a,
                               struct account *out, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    struct login l = { .name = name, .a = a };
    TRY(s->backend->guest ? check_guest(s, &l, password, e) : check_own(s, &l, password, e));
    *out = l.acc;
    return RC_OK;
}

/* We may not read it, and who lets nobody in (locks, password policies) may be the server alone: only a bind tells. */
rc ldap_account_password_kept(struct backend_session *bs, view name, struct arena *a, view *out,
                              struct err *e)
{
    (void)bs, (void)name, (void)a, (void)e;
    *out = VIEW_NONE;
    return RC_OK;
}

rc ldap_account_set_password(struct backend_session *bs, view name, view password, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    SCOPED(buf_done) struct buf hash = { 0 };
    struct mods m;
    if (s->backend->guest)
        return fail(e, RC_FORBIDDEN, RESP_GENERIC,
                    "people's passwords are changed in their own tree, not here");
    TRY(password_scheme_hash(s->backend->scheme, password, &s->backend->cost, &hash, e));
    arena_reset(&s->scratch);
    mods_init(&m, &s->scratch);
    mods_put(&m, LDAP_MOD_REPLACE, "userPassword", buf_view(&hash));
    mods_put_number(&m, LDAP_MOD_REPLACE, "heddlePasswordSince", clock_now_us(s->backend->clock) / 1000);
    return ldap_write_to(s, name,
                         &(struct ldap_write){ .kind = LDAP_WRITE_MODIFY,
                                               .dn = ldap_account_dn(s, &s->scratch, name).p,
                                               .mods = m.list },
                         NULL, e);
}
