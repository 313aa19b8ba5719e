/* Is a replica as new as this process? What others changed while we run we are told, and then read from the provider for ldap.replica_lag.
 * What they changed before we were started nobody tells us: a replica that lacks it would send users who moved back to their old node.
 *
 * So a replica is asked first only when it has all that the provider had after our start: its contextCSN (OpenLDAP; RFC 4533 as slapd does
 * it), which a consumer moves on when it has taken over everything up to there. Where servers do not tell it, ldap.replica_lag has to pass. */
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "directory/backend/ldap_session.h"

enum { LOOK_EVERY_US = 500 * 1000, LEVELS_MAX = 16, SERVER_FIELD = 2 };

static int64_t now_us(void)
{
    return clock_mono_us(clock_system());
}

/* ---- change numbers ---- */

/* "20260101000000.000000Z#000000#001#000000": the third part is the server whose changes it counts. */
static view server_of(view csn)
{
    view part = VIEW_NONE;
    for (int i = 0; i <= SERVER_FIELD; i++)
        if (!view_cut(&csn, '#', &part))
            return VIEW_NONE;
    return part;
}

bool ldap_csn_reached(view has, view wanted)
{
    view server = server_of(wanted);
    return server.p && view_eq(server_of(has), server) && view_cmp(has, wanted) >= 0;
}

static bool takes(const struct ldap_csns *c, view wanted)
{
    for (size_t i = 0; i < c->n; i++)
        if (ldap_csn_reached(view_of(c->items[i]), wanted))
            return true;
    return false;
}

bool ldap_csns_reached(const struct ldap_csns *have, const struct ldap_csns *wanted)
{
    for (size_t i = 0; i < wanted->n; i++)
        if (!takes(have, view_of(wanted->items[i])))
            return false;
    return wanted->n > 0;
}

/* ---- asking ---- */

static rc visit(void *arg, const struct ldap_entry *x, struct err *e)
{
    struct ldap_csns *out = arg;
    const struct ldap_value_list *v = ldap_entry_values(x, "contextCSN");
    out->n = 0;
    for (size_t i = 0; v && i < v->n; i++) {
        if (out->n == LDAP_CSNS_MAX || v->items[i].n >= sizeof(out->items[0]))
            return fail(e, RC_BROKEN, RESP_GENERIC, "contextCSN of %.*s cannot be read", VIEW_ARG(x->dn));
        memcpy(out->items[out->n], v->items[i].p, v->items[i].n);
        out->items[out->n++][v->items[i].n] = '\0';
    }
    return RC_OK;
}

/* The DN above; NULL: none. */
static const char *above(const char *dn)
{
    for (; *dn && *dn != ','; dn++)
        if (*dn == '\\' && dn[1])
            dn++;
    return *dn ? dn + 1 : NULL;
}

/* It stands on the uppermost entry of the database: on our base, or above it. */
static rc ask(struct ldap_session *s, struct ldap_conn *c, struct ldap_csns *out, struct err *e)
{
    static const char *const attrs[] = { "contextCSN", NULL };
    const char *dn = s->backend->conf->base;
    out->n = 0;
    for (int i = 0; i < LEVELS_MAX && dn && out->n == 0; i++, dn = above(dn)) {
        const struct ldap_query q = { dn, LDAP_SCOPE_BASE, "(objectClass=*)", attrs, 1 };
        rc r = ldap_conn_search(c, &q, visit, out, NULL, e);
        if (r != RC_OK && r != RC_NOT_FOUND)
            return r;
    }
    return RC_OK;
}

/* What the provider had when it was first asked. */
static bool wanted(struct ldap_session *s, struct ldap_csns *out)
{
    struct ldap_backend *b = s->backend;
    struct err why = ERR_NONE;
    pthread_mutex_lock(&b->started_lock);
    *out = b->started;
    pthread_mutex_unlock(&b->started_lock);
    if (out->n > 0)
        return true;
    if (ask(s, &s->provider, out, &why) != RC_OK || out->n == 0)
        return false;
    pthread_mutex_lock(&b->started_lock);
    if (b->started.n == 0)
        b->started = *out;
    pthread_mutex_unlock(&b->started_lock);
    return true;
}

/* One of the workers, once in a while. */
static bool looks_now(struct ldap_server *server, int64_t now)
{
    int64_t due = atomic_load_explicit(&server->look_at_us, memory_order_relaxed);
    return now >= due && atomic_compare_exchange_strong(&server->look_at_us, &due, now + LOOK_EVERY_US);
}

bool ldap_replica_caught_up(struct ldap_session *s)
{
    struct ldap_backend *b = s->backend;
    struct ldap_server *server = &s->replica.servers->list[s->replica.at];
    struct ldap_csns has, started;
    struct err why = ERR_NONE;
    int64_t now = now_us();
    if (atomic_load_explicit(&server->caught_up, memory_order_relaxed))
        return true;
    bool over = now - b->opened_us >= b->conf->replica_lag_s * 1000000;
    if (!over) {
        if (!looks_now(server, now) || !wanted(s, &started) || ask(s, &s->replica, &has, &why) != RC_OK ||
            &s->replica.servers->list[s->replica.at] != server || !ldap_csns_reached(&has, &started))
            return false;
    }
    atomic_store_explicit(&server->caught_up, true, memory_order_relaxed);
    return true;
}
