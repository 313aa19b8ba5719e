/* Is somebody in a group? Groups belong to those who keep the people: we only look. */
#include "common/base/scope.h"
#include "directory/backend/ldap_session.h"
#include "directory/backend/ldap_text.h"

/* What stands in a group for this member: his name, or the DN of his entry, wherever that is. RC_NOT_FOUND: nobody is called so. */
static rc member_value(struct ldap_session *s, view name, struct arena *a, view *out, struct err *e)
{
    struct person p;
    *out = name;
    if (strcmp(s->backend->conf->groups_value, "name") == 0)
        return RC_OK;
    *out = ldap_account_dn(s, a, name);
    if (!s->backend->guest)
        return RC_OK;
    if (!ldap_person_possible(s, name))
        return RC_NOT_FOUND;
    TRY(ldap_person_find(s, name, a, &p, e));
    *out = p.dn;
    return RC_OK;
}

static rc see(void *arg, const struct ldap_entry *x, struct err *e)
{
    (void)arg, (void)x, (void)e;
    return RC_OK;
}

rc ldap_account_in_group(struct backend_session *bs, view name, view group, struct arena *a, bool *out,
                         struct err *e)
{
    static const char *const none[] = { LDAP_NO_ATTRS, NULL };
    struct ldap_session *s = ldap_own(bs);
    const struct ldap_conf *c = s->backend->conf;
    view member;
    size_t seen = 0;
    *out = false;
    if (c->groups_base[0] == '\0')
        return RC_OK;
    rc r = member_value(s, name, a, &member, e);
    if (r == RC_NOT_FOUND)
        return RC_OK;
    TRY(r);
    const view parts[] = { view_of(c->groups_filter), filter_equals(a, c->groups_name, group),
                           filter_equals(a, c->groups_member, member) };
    const struct ldap_query q = { c->groups_base, LDAP_SCOPE_SUBTREE, filter_and(a, parts, 3).p, none, 1 };
    r = ldap_conn_search(s->backend->guest ? &s->people : &s->provider, &q, see, NULL, &seen, e);
    if (r == RC_NOT_FOUND)
        return fail(e, RC_BROKEN, RESP_GENERIC,
                    "ldap.groups_base is \"%s\": not there, or we may not read it", c->groups_base);
    TRY(r);
    *out = seen > 0;
    return RC_OK;
}
