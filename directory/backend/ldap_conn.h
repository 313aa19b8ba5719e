/* One connection to one of several LDAP servers that are as good as each other, and the three things done over it: searching, writing,
 * binding as somebody to check his password.
 *
 *   closed --first use--> connected, TLS, bound --use--> …          (ldap_conn_ready)
 *      ^------ the server went, was too slow, or talks nonsense ----'   (ldap_conn_drop)
 *
 * A connection that was lost is made anew, to the next server if need be, and what was being done is done again only where that can
 * change nothing: a search that had brought nothing yet, a bind, and a write that never left this machine. A write that was sent and not
 * answered is RC_UNSURE and the caller's business. Referrals are never followed. A message of a server is at most MESSAGE_MAX bytes, and
 * nothing waits longer than the configured timeouts.
 *
 * A connection belongs to one thread at a time; the list of servers is shared by all of them.
 * rc: RC_AWAY: no server answers; RC_UNSURE: a write may have happened; RC_BROKEN: the server refuses what it should do. */
#ifndef HEDDLE_BACKEND_LDAP_CONN_H
#define HEDDLE_BACKEND_LDAP_CONN_H

#include <ldap.h>
#include <stdatomic.h>

#include "common/base/arena.h"
#include "common/base/err.h"
#include "directory/backend/ldap_conf.h"

struct ldap_server {
    const char *uri;
    bool start_tls, tls;
    /* connecting took long and failed: not tried before that moment (steady clock) */
    _Atomic int64_t shunned_until_us;
    _Atomic bool caught_up;     /* of a replica: it has all that was changed before our start */
    _Atomic int64_t look_at_us; /* until then: not looked at again whether it has (steady clock) */
};

struct ldap_servers {
    struct ldap_server list[2 * LDAP_SERVERS_MAX];
    size_t n;
    const struct ldap_conf *conf;
    const char *bind_dn; /* "": SASL EXTERNAL */
    const struct conf_list *bind_password;
};
void ldap_servers_init(struct ldap_servers *s, const struct conf_list *uris, const struct ldap_conf *c);

struct ldap_conn {
    struct ldap_servers *servers;
    bool for_passwords;   /* not bound as the service */
    bool prefers_first;   /* the first server is the one; others only while it is away */
    LDAP *ld;             /* NULL: closed */
    size_t at;            /* the server in use, or to try first */
    int64_t connected_us; /* steady clock */
    struct arena scratch; /* of the entry being read */
};
void ldap_servers_add(struct ldap_servers *s, const struct conf_list *uris);
void ldap_conn_init(struct ldap_conn *c, struct ldap_servers *s, bool for_passwords, size_t first);
void ldap_conn_done(struct ldap_conn *c);
const char *ldap_conn_uri(const struct ldap_conn *c); /* of the server in use */

/* An entry as it came. Views live as long as the visitor runs. */
struct ldap_value_list {
    view attr; /* as the server spells it */
    const view *items;
    size_t n;
};
struct ldap_entry {
    view dn;
    const struct ldap_value_list *attrs;
    size_t n;
};
/* The values of an attribute, its name in any case of letters; NULL: none. */
const struct ldap_value_list *ldap_entry_values(const struct ldap_entry *x, const char *attr);

struct ldap_query {
    const char *base;
    int scope; /* LDAP_SCOPE_BASE, _ONELEVEL, _SUBTREE */
    const char *filter;
    const char *const *attrs; /* ends with NULL */
    int limit;                /* no more than so many entries are asked for; 0: all, page by page */
};
typedef rc ldap_entry_visitor(void *arg, const struct ldap_entry *x, struct err *e); /* not RC_OK stops */

/* RC_NOT_FOUND: no such base. *out_n (may be NULL): entries seen, at most limit + 1; beyond the limit the visitor is not called. */
MUST_USE rc ldap_conn_search(struct ldap_conn *c, const struct ldap_query *q, ldap_entry_visitor *visit,
                             void *arg, size_t *out_n, struct err *e);

enum ldap_write_kind { LDAP_WRITE_ADD, LDAP_WRITE_MODIFY, LDAP_WRITE_DELETE };
struct ldap_write {
    enum ldap_write_kind kind;
    const char *dn;
    LDAPMod **mods;      /* NULL for deleting */
    const char *only_if; /* filter that the entry must match in the same moment (RFC 4528); NULL: none */
};
/* RC_NOT_FOUND: no such entry. RC_CONFLICT: it exists already (add), something in it is not as expected (modify), or only_if does not
 * hold; *out_refused tells that (may be NULL). RC_BAD_INPUT: a value that LDAP cannot keep. */
MUST_USE rc ldap_conn_write(struct ldap_conn *c, const struct ldap_write *w, bool *out_refused,
                            struct err *e);

/* Is this the password of that entry? RC_DENIED: no, or nobody may log in there. An empty password or DN is RC_DENIED without asking:
 * servers take them for nobody and say yes. */
MUST_USE rc ldap_conn_bind(struct ldap_conn *c, const char *dn, view password, struct err *e);

/* The bytes of a value. */
static inline view ldap_view(const struct berval *v)
{
    return (view){ .p = v->bv_val ? v->bv_val : "", .n = v->bv_len };
}

#endif
