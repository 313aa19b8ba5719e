#include "directory/backend/ldap_session.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/scope.h"
#include "directory/backend/ldap_text.h"

enum { SCRATCH_BYTES = 256 * 1024, NAMES_BYTES = 16 * 1024 };

static int64_t now_us(void)
{
    return clock_mono_us(clock_system());
}

/* ---- life ---- */

static void people_init(struct ldap_backend *b)
{
    const struct ldap_conf *c = b->conf;
    struct ldap_servers *s = &b->people;
    if (c->people_servers.n) {
        ldap_servers_init(s, &c->people_servers, c);
    } else {
        ldap_servers_init(s, &c->provider, c);
        ldap_servers_add(s, &c->replicas);
    }
    if (c->people_bind_dn[0]) {
        s->bind_dn = c->people_bind_dn;
        s->bind_password = &c->people_bind_password;
    }
}

rc ldap_backend_make(const struct backend_conf *c, struct ldap_backend **out, struct err *e)
{
    enum password_scheme scheme;
    /* Nobody's ~/.ldaprc or LDAPTLS_REQCERT changes what we were told. Read when the library is first used, hence here. */
    setenv("LDAPNOINIT", "1", 1);
    if (!c->ldap)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the LDAP driver without its settings");
    TRY(ldap_conf_check(c->ldap, e));
    if (!password_scheme_parse(c->ldap->passwords, &scheme))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "ldap.passwords is \"%s\": must be argon2, crypt, ssha512 or ssha", c->ldap->passwords);
    struct ldap_backend *b = mem_need(calloc(1, sizeof(*b)));
    b->base.driver = &backend_ldap;
    b->conf = c->ldap;
    b->clock = c->clock;
    b->opened_us = now_us();
    b->walks = ldap_walks_new();
    pthread_mutex_init(&b->started_lock, NULL);
    b->cost = c->cost;
    b->scheme = scheme;
    b->guest = ldap_conf_is_guest(c->ldap);
    ldap_servers_init(&b->provider, &c->ldap->provider, c->ldap);
    ldap_servers_init(&b->replicas, &c->ldap->replicas, c->ldap);
    ldap_servers_init(&b->logins, &c->ldap->provider, c->ldap);
    ldap_servers_add(&b->logins, &c->ldap->replicas);
    if (b->guest) {
        people_init(b);
        b->logins = b->people;
    }
    arena_init(&b->names, NAMES_BYTES);
    view base = view_of(c->ldap->base);
    b->users = dn_below(&b->names, "ou", VIEW("users"), base);
    b->nodes = dn_below(&b->names, "ou", VIEW("nodes"), base);
    b->erase = dn_below(&b->names, "ou", VIEW("erase"), base);
    b->counters = dn_below(&b->names, "ou", VIEW("counters"), base);
    b->invites = dn_below(&b->names, "ou", VIEW("invites"), base);
    b->marks = dn_below(&b->names, "ou", VIEW("marks"), base);
    *out = b;
    return RC_OK;
}

void ldap_backend_free(struct ldap_backend *b)
{
    if (!b)
        return;
    arena_done(&b->names);
    ldap_walks_free(b->walks);
    pthread_mutex_destroy(&b->started_lock);
    free(b);
}

struct ldap_session *ldap_session_make(struct ldap_backend *b)
{
    struct ldap_session *s = mem_need(calloc(1, sizeof(*s)));
    size_t nth = atomic_fetch_add_explicit(&b->sessions, 1, memory_order_relaxed);
    s->base.driver = &backend_ldap;
    s->backend = b;
    ldap_conn_init(&s->provider, &b->provider, false, 0);
    ldap_conn_init(&s->replica, &b->replicas, false, nth);
    ldap_conn_init(&s->login, &b->logins, true, 0);
    s->login.prefers_first = true; /* a replica may know the password before */
    ldap_conn_init(&s->people, &b->people, false, 0);
    arena_init(&s->scratch, SCRATCH_BYTES);
    return s;
}

void ldap_session_free(struct ldap_session *s)
{
    if (!s)
        return;
    ldap_conn_done(&s->provider);
    ldap_conn_done(&s->replica);
    ldap_conn_done(&s->login);
    ldap_conn_done(&s->people);
    arena_done(&s->scratch);
    free(s);
}

/* ---- names ---- */

view ldap_account_dn(const struct ldap_session *s, struct arena *a, view name)
{
    return dn_below(a, "uid", name_encode(a, name), s->backend->users);
}

view ldap_node_dn(const struct ldap_session *s, struct arena *a, view name)
{
    return dn_below(a, "cn", name_encode(a, name), s->backend->nodes);
}

view ldap_erase_dn(const struct ldap_session *s, struct arena *a, int64_t uid)
{
    return dn_below(a, "cn", arena_text(a, "%" PRId64, uid), s->backend->erase);
}

view ldap_invite_dn(const struct ldap_session *s, struct arena *a, view id)
{
    return dn_below(a, "cn", id, s->backend->invites);
}

view ldap_counter_dn(const struct ldap_session *s, struct arena *a, const char *name)
{
    return dn_below(a, "cn", view_of(name), s->backend->counters);
}

/* ---- what was changed lately ---- */

static _Atomic int64_t *changed_slot(struct ldap_session *s, view name)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * UINT64_C(1099511628211);
    return &s->backend->changed_until_us[(h ^ (h >> 32)) % LDAP_CHANGED_SLOTS];
}

void ldap_changed(struct ldap_session *s, view name)
{
    if (s->backend->replicas.n && name.p)
        atomic_store_explicit(changed_slot(s, name), now_us() + s->backend->conf->replica_lag_s * 1000000,
                              memory_order_relaxed);
}

static bool changed_lately(struct ldap_session *s, view name)
{
    return atomic_load_explicit(changed_slot(s, name), memory_order_relaxed) > now_us();
}

/* ---- reading ---- */

/* Whom to ask, in this order. */
static size_t sources(struct ldap_session *s, enum ldap_freshness how, view name, struct ldap_conn *out[2])
{
    bool replicas = s->backend->replicas.n > 0 && how != LDAP_READ_TRUTH;
    bool replica_first =
        replicas && how == LDAP_READ_ANY && !changed_lately(s, name) && ldap_replica_caught_up(s);
    out[0] = replica_first ? &s->replica : &s->provider;
    out[1] = replica_first ? &s->provider : &s->replica;
    return replicas ? 2 : 1;
}

rc ldap_read(struct ldap_session *s, const struct ldap_reading *r, size_t *out_n, bool *out_secondhand,
             struct err *e)
{
    struct ldap_conn *from[2];
    size_t n = sources(s, r->how, r->name, from);
    rc got = RC_AWAY;
    for (size_t i = 0; i < n && got == RC_AWAY; i++) {
        r->begin(r->arg);
        got = ldap_conn_search(from[i], &r->query, r->visit, r->arg, out_n, e);
        *out_secondhand = from[i] == &s->replica;
        if (i == 0 && *out_secondhand && got != RC_AWAY && !ldap_replica_caught_up(s))
            got = RC_AWAY; /* it was another replica that answered in its place, and an older one */
    }
    return got;
}

/* What came of reading one entry. The visitor always goes on, else the connection would have to be closed. */
struct fetched {
    const struct ldap_fetching *f;
    size_t n;
    rc result;
    struct err why;
};

static void fetch_begin(void *arg)
{
    struct fetched *x = arg;
    x->n = 0;
    x->result = RC_OK;
}

static rc fetch_visit(void *arg, const struct ldap_entry *entry, struct err *e)
{
    struct fetched *x = arg;
    (void)e;
    if (x->n++ == 0)
        x->result = x->f->unpack(x->f->arg, entry, &x->why);
    return RC_OK;
}

static rc fetch_once(struct ldap_session *s, const struct ldap_fetching *f, enum ldap_freshness how,
                     bool *out_secondhand, struct err *e)
{
    struct fetched x = { .f = f, .result = RC_OK, .why = ERR_NONE };
    const struct ldap_reading r = { how, f->name, f->query, fetch_begin, fetch_visit, &x };
    size_t seen = 0;
    TRY(ldap_read(s, &r, &seen, out_secondhand, e));
    if (seen == 0)
        return fail(e, RC_NOT_FOUND, RESP_USERNAME, "no such entry");
    if (seen > 1)
        return fail(e, RC_CONFLICT, RESP_GENERIC, "several entries where there should be one");
    if (x.result != RC_OK && e)
        *e = x.why;
    return x.result;
}

rc ldap_fetch(struct ldap_session *s, const struct ldap_fetching *f, bool *out_secondhand, struct err *e)
{
    bool secondhand = false;
    rc r = fetch_once(s, f, f->how, &secondhand, e);
    if (r == RC_NOT_FOUND && secondhand)
        r = fetch_once(s, f, LDAP_READ_TRUTH, &secondhand, e);
    if (out_secondhand)
        *out_secondhand = secondhand;
    return r;
}

rc ldap_write_to(struct ldap_session *s, view name, const struct ldap_write *w, bool *out_refused,
                 struct err *e)
{
    rc r = ldap_conn_write(&s->provider, w, out_refused, e);
    ldap_changed(s, name); /* whatever came of it: a lost race is somebody else's change */
    return r;
}
