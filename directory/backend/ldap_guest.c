/* The guest layout: people live in a tree that belongs to somebody else. There we look for them and bind as them, nothing more; what
 * Heddle knows of them stands in a tree of its own, in an entry without a password that is made when they are first met. */
#include "common/base/encode.h"
#include "common/base/scope.h"
#include "directory/backend/ldap_pack.h"
#include "directory/backend/ldap_session.h"
#include "directory/backend/ldap_text.h"

enum { DN_MAX = 2048, MAIL_MAX = 255 };

bool ldap_person_possible(const struct ldap_session *s, view name)
{
    return s->backend->guest && name.n > 0 && !memchr(name.p, '@', name.n);
}

struct person_fetch {
    view name;
    const char *name_attr, *mail_attr;
    struct arena *a;
    struct person p;
    size_t n;
};

/* A user's name is that of the person in lower case: so servers that see no difference do not make two users of one person. */
static bool is_called(const struct ldap_entry *x, const char *attr, view name)
{
    const struct ldap_value_list *v = ldap_entry_values(x, attr);
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] >= 'A' && name.p[i] <= 'Z')
            return false;
    for (size_t i = 0; v && i < v->n; i++)
        if (view_eq_nocase(v->items[i], name))
            return true;
    return false;
}

static rc visit_person(void *arg, const struct ldap_entry *x, struct err *e)
{
    struct person_fetch *f = arg;
    const struct ldap_value_list *mail = ldap_entry_values(x, f->mail_attr);
    (void)e;
    f->n++;
    if (x->dn.n == 0 || x->dn.n > DN_MAX || memchr(x->dn.p, '\0', x->dn.n) ||
        !is_called(x, f->name_attr, f->name))
        return RC_OK; /* p.dn stays absent */
    f->p.dn = arena_copy(f->a, x->dn);
    f->p.mail = mail && mail->items[0].n <= MAIL_MAX && utf8_valid(mail->items[0])
                    ? arena_copy(f->a, mail->items[0])
                    : VIEW_NONE;
    return RC_OK;
}

rc ldap_person_find(struct ldap_session *s, view name, struct arena *a, struct person *out, struct err *e)
{
    const struct ldap_conf *c = s->backend->conf;
    const char *const attrs[] = { c->people_name, c->people_mail, NULL };
    const view parts[] = { view_of(c->people_filter), filter_equals(a, c->people_name, name) };
    struct person_fetch f = {
        .name = name, .name_attr = c->people_name, .mail_attr = c->people_mail, .a = a
    };
    const struct ldap_query q = { c->people_base, LDAP_SCOPE_SUBTREE, filter_and(a, parts, 2).p, attrs, 2 };
    size_t seen = 0;
    rc r = ldap_conn_search(&s->people, &q, visit_person, &f, &seen, e);
    if (r == RC_NOT_FOUND)
        return fail(e, RC_BROKEN, RESP_GENERIC,
                    "ldap.people_base is \"%s\": not there, or we may not read it", c->people_base);
    TRY(r);
    if (seen != 1 || !f.p.dn.p)
        return fail(e, RC_NOT_FOUND, RESP_USERNAME,
                    seen > 1 ? "several people have this name" : "no such person");
    *out = f.p;
    return RC_OK;
}

rc ldap_person_adopt(struct ldap_session *s, view name, const struct person *p, struct err *e)
{
    int64_t uid;
    TRY(ldap_uid_next(&s->base, 1, &uid, e));
    struct account_new n = { .name = name,
                             .uid = uid,
                             .mail = p->mail,
                             .created_ms = clock_now_us(s->backend->clock) / 1000,
                             .epoch = 1 };
    return ldap_account_add(&s->base, &n, e);
}
