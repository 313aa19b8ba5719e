/* Invite codes in LDAP. All of it is read where it is decided. */
#include "common/base/scope.h"
#include "directory/backend/ldap_pack.h"
#include "directory/backend/ldap_session.h"
#include "directory/backend/ldap_text.h"

rc ldap_invite_add(struct backend_session *bs, const struct invite *x, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    struct mods m;
    arena_reset(&s->scratch);
    mods_init(&m, &s->scratch);
    invite_pack(&m, x);
    struct err why = ERR_NONE;
    rc r = ldap_write_to(s, VIEW_NONE,
                         &(struct ldap_write){ .kind = LDAP_WRITE_ADD,
                                               .dn = ldap_invite_dn(s, &s->scratch, x->id).p,
                                               .mods = m.list },
                         NULL, &why);
    if (r == RC_BROKEN) /* most likely a tree that an older version laid */
        return fail(e, r, RESP_GENERIC, "%.120s (is %.60s there? run heddle-directory ldap-init)", why.text,
                    s->backend->invites.p);
    if (r != RC_OK && e)
        *e = why;
    return r;
}

struct invite_fetch {
    struct arena *a;
    struct invite *out;
};

static rc unpack(void *arg, const struct ldap_entry *x, struct err *e)
{
    const struct invite_fetch *f = arg;
    return invite_unpack(x, f->a, f->out, e);
}

rc ldap_invite_get(struct backend_session *bs, view id, struct arena *a, struct invite *out, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    struct invite x;
    struct invite_fetch to = { a, &x };
    const struct ldap_fetching f = {
        .how = LDAP_READ_TRUTH,
        .query = { ldap_invite_dn(s, a, id).p, LDAP_SCOPE_BASE, "(objectClass=heddleInvite)", invite_attrs,
                   1 },
        .unpack = unpack,
        .arg = &to,
    };
    TRY(ldap_fetch(s, &f, NULL, e));
    *out = x;
    return RC_OK;
}

rc ldap_invite_cas(struct backend_session *bs, view id, const struct invite_change *c, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    struct mods m;
    arena_reset(&s->scratch);
    mods_init(&m, &s->scratch);
    invite_cas_pack(&m, c);
    return ldap_write_to(s, VIEW_NONE,
                         &(struct ldap_write){ .kind = LDAP_WRITE_MODIFY,
                                               .dn = ldap_invite_dn(s, &s->scratch, id).p,
                                               .mods = m.list },
                         NULL, e);
}

rc ldap_invite_delete(struct backend_session *bs, view id, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    arena_reset(&s->scratch);
    return ldap_write_to(
        s, VIEW_NONE,
        &(struct ldap_write){ .kind = LDAP_WRITE_DELETE, .dn = ldap_invite_dn(s, &s->scratch, id).p }, NULL,
        e);
}

struct invites_walk {
    invite_visitor *visit;
    void *arg;
};

static rc unpack_walked(const struct ldap_entry *x, struct arena *a, void *out, struct err *e)
{
    return invite_unpack(x, a, out, e);
}

static view name_of_invite(const void *item, struct arena *a)
{
    const struct invite *x = item;
    (void)a;
    return x->id;
}

static rc walk_invite(void *arg, const void *item, bool *out_on, struct err *e)
{
    const struct invites_walk *w = arg;
    (void)e;
    *out_on = w->visit(w->arg, item);
    return RC_OK;
}

rc ldap_invites_each(struct backend_session *bs, invite_visitor *visit, void *arg, struct err *e)
{
    struct invites_walk w = { .visit = visit, .arg = arg };
    rc r = ldap_walk_each(ldap_own(bs),
                          &(struct ldap_walk){ .base = ldap_own(bs)->backend->invites.p,
                                               .filter = "(objectClass=heddleInvite)",
                                               .attr = "cn",
                                               .attrs = invite_attrs,
                                               .unpack = unpack_walked,
                                               .name_of = name_of_invite,
                                               .item_bytes = sizeof(struct invite) },
                          walk_invite, &w, e);
    return r == RC_NOT_FOUND ? RC_OK : r; /* a tree that an older version laid: there are none */
}
