/* Marks in LDAP: an entry each, whose name is taken or is not. */
#include <inttypes.h>

#include "common/base/scope.h"
#include "directory/backend/ldap_pack.h"
#include "directory/backend/ldap_session.h"
#include "directory/backend/ldap_text.h"

enum { SWEEP_AT_ONCE = 1000, NAMES_BYTES = 256 * 1024 };

static view mark_dn(const struct ldap_session *s, struct arena *a, view name)
{
    return dn_below(a, "cn", name, s->backend->marks);
}

rc ldap_mark_put(struct backend_session *bs, view name, int64_t end_ms, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    struct mods m;
    struct err why = ERR_NONE;
    arena_reset(&s->scratch);
    mods_init(&m, &s->scratch);
    mods_put(&m, LDAP_MOD_ADD, "objectClass", VIEW("heddleMark"));
    mods_put(&m, LDAP_MOD_ADD, "cn", name);
    mods_put_number(&m, LDAP_MOD_ADD, "heddleEnds", end_ms);
    const struct ldap_write w = { .kind = LDAP_WRITE_ADD,
                                  .dn = mark_dn(s, &s->scratch, name).p,
                                  .mods = m.list };
    rc r = ldap_write_to(s, VIEW_NONE, &w, NULL, &why);
    if (r == RC_BROKEN) /* most likely a tree that an older version laid */
        return fail(e, r, RESP_GENERIC, "%.120s (is %.60s there? run heddle-directory ldap-init)", why.text,
                    s->backend->marks.p);
    if (r != RC_OK && e)
        *e = why;
    return r;
}

static void forget(void *arg)
{
    *(bool *)arg = false;
}

static rc see(void *arg, const struct ldap_entry *x, struct err *e)
{
    (void)x, (void)e;
    *(bool *)arg = true;
    return RC_OK;
}

rc ldap_mark_there(struct backend_session *bs, view name, bool *out, struct err *e)
{
    static const char *const none[] = { LDAP_NO_ATTRS, NULL };
    struct ldap_session *s = ldap_own(bs);
    bool there = false, secondhand;
    arena_reset(&s->scratch);
    const struct ldap_reading r = {
        .how = LDAP_READ_NEWEST,
        .query = { mark_dn(s, &s->scratch, name).p, LDAP_SCOPE_BASE, "(objectClass=heddleMark)", none, 1 },
        .begin = forget,
        .visit = see,
        .arg = &there,
    };
    rc got = ldap_read(s, &r, NULL, &secondhand, e);
    if (got != RC_OK && got != RC_NOT_FOUND)
        return got;
    *out = got == RC_OK && there;
    return RC_OK;
}

struct old {
    struct arena a;
    view names[SWEEP_AT_ONCE];
    size_t n;
};

static void old_done_scoped(struct old *o)
{
    arena_done(&o->a);
}

static rc keep(void *arg, const void *item, bool *out_on, struct err *e)
{
    struct old *o = arg;
    (void)e;
    o->names[o->n++] = arena_copy(&o->a, *(const view *)item);
    *out_on = o->n < SWEEP_AT_ONCE;
    return RC_OK;
}

rc ldap_marks_sweep(struct backend_session *bs, int64_t before_ms, struct err *e)
{
    struct ldap_session *s = ldap_own(bs);
    SCOPED(old_done) struct old o = { .n = 0 };
    arena_init(&o.a, NAMES_BYTES);
    const char *filter =
        arena_text(&o.a, "(&(objectClass=heddleMark)(heddleEnds<=%" PRId64 "))", before_ms - 1).p;
    rc r = ldap_walk_each(
        s, &(struct ldap_walk){ .base = s->backend->marks.p, .filter = filter, .attr = "cn" }, keep, &o, e);
    if (r == RC_NOT_FOUND) /* a tree that an older version laid: there are none */
        return RC_OK;
    for (size_t i = 0; r == RC_OK && i < o.n; i++) {
        arena_reset(&s->scratch);
        r = ldap_write_to(
            s, VIEW_NONE,
            &(struct ldap_write){ .kind = LDAP_WRITE_DELETE, .dn = mark_dn(s, &s->scratch, o.names[i]).p },
            NULL, e);
        if (r == RC_NOT_FOUND) /* somebody else swept */
            r = RC_OK;
    }
    return r;
}
