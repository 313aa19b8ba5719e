/* Inside of the LDAP driver: a worker's connections, which server is asked what, and walking over many entries.
 *
 * Whatever decides something reads and writes the provider. Looking an account or a node up by its name may be answered by a replica,
 * with three exceptions that keep a replica's lag from being seen: what this process changed, or lost a race for, is read from the provider
 * for ldap.replica_lag; a replica that lacks what was changed before our start is not asked (ldap_caught_up.c); and that something does
 * not exist is never taken from a replica. While the provider is away replicas answer for
 * it, except for that last question. */
#ifndef HEDDLE_BACKEND_LDAP_SESSION_H
#define HEDDLE_BACKEND_LDAP_SESSION_H

#include <pthread.h>

#include "directory/backend/backend.h"
#include "directory/backend/ldap_conf.h"
#include "directory/backend/ldap_conn.h"
#include "directory/backend/ldap_password.h"

#define LDAP_CHANGED_SLOTS 4096
#define LDAP_CSNS_MAX      16
#define LDAP_CSN_BYTES     64

/* Change numbers of a server: one for each provider that it has changes of. */
struct ldap_csns {
    size_t n;
    char items[LDAP_CSNS_MAX][LDAP_CSN_BYTES];
};

struct ldap_walks;

struct ldap_backend {
    struct backend base; /* first */
    const struct ldap_conf *conf;
    const struct clock *clock;
    struct password_cost cost;
    enum password_scheme scheme;
    bool guest;
    struct ldap_servers provider, replicas, logins, people; /* logins: for checking passwords */
    struct arena names;                                     /* of the DNs below */
    view users, nodes, erase, counters, invites, marks;
    struct ldap_walks *walks;     /* ldap_walk.c: those that were stopped */
    int64_t opened_us;            /* steady clock */
    pthread_mutex_t started_lock; /* of started: what the provider had after our start; n 0: not known yet */
    struct ldap_csns started;
    _Atomic size_t sessions; /* ever opened: spreads them over the replicas */
    /* by hash of a name; names that share one read the provider more often */
    _Atomic int64_t changed_until_us[LDAP_CHANGED_SLOTS];
};

struct ldap_session {
    struct backend_session base; /* first */
    struct ldap_backend *backend;
    struct ldap_conn provider, replica, login, people;
    struct arena scratch; /* of one operation */
};

static inline struct ldap_session *ldap_own(struct backend_session *s)
{
    return (struct ldap_session *)s;
}

/* The driver's connections without a tree to check: for ldap-init. */
MUST_USE rc ldap_backend_make(const struct backend_conf *c, struct ldap_backend **out, struct err *e);
void ldap_backend_free(struct ldap_backend *b);
struct ldap_session *ldap_session_make(struct ldap_backend *b);
void ldap_session_free(struct ldap_session *s);

view ldap_account_dn(const struct ldap_session *s, struct arena *a, view name);
view ldap_node_dn(const struct ldap_session *s, struct arena *a, view name);
view ldap_erase_dn(const struct ldap_session *s, struct arena *a, int64_t uid);
view ldap_invite_dn(const struct ldap_session *s, struct arena *a, view id);
view ldap_counter_dn(const struct ldap_session *s, struct arena *a, const char *name);

/* Remembers that what is called so was changed a moment ago, perhaps by somebody else. */
void ldap_changed(struct ldap_session *s, view name);

/* ldap_caught_up.c: may the replica in use (or to be tried first) be asked before the provider? */
bool ldap_replica_caught_up(struct ldap_session *s);
/* Has somebody with this number, or one of these, all that is behind the other? Numbers of different providers do not compare. */
bool ldap_csn_reached(view has, view wanted);
bool ldap_csns_reached(const struct ldap_csns *have, const struct ldap_csns *wanted);

enum ldap_freshness {
    LDAP_READ_ANY,    /* a replica, if one is as new as we are and `name` was not changed lately */
    LDAP_READ_NEWEST, /* the provider; a replica while it is away */
    LDAP_READ_TRUTH   /* the provider */
};

struct ldap_reading {
    enum ldap_freshness how;
    view name; /* for LDAP_READ_ANY */
    struct ldap_query query;
    void (*begin)(void *arg); /* before each server that is tried: forget what came so far */
    ldap_entry_visitor *visit;
    void *arg;
};
/* *out_n: as ldap_conn_search. *out_secondhand: a replica said so. */
MUST_USE rc ldap_read(struct ldap_session *s, const struct ldap_reading *r, size_t *out_n,
                      bool *out_secondhand, struct err *e);
/* The one entry at a DN, through `unpack` (which copies). RC_NOT_FOUND: the provider says so, or unpack does. */
typedef rc ldap_unpacker(void *arg, const struct ldap_entry *x, struct err *e);
struct ldap_fetching {
    enum ldap_freshness how;
    view name;
    struct ldap_query query; /* limit: 1; with 2, two matches are RC_CONFLICT */
    ldap_unpacker *unpack;
    void *arg;
};
MUST_USE rc ldap_fetch(struct ldap_session *s, const struct ldap_fetching *f, bool *out_secondhand,
                       struct err *e);
/* A write at the provider. `name` is remembered as changed. */
MUST_USE rc ldap_write_to(struct ldap_session *s, view name, const struct ldap_write *w, bool *out_refused,
                          struct err *e);

/* Entries in the order of their names, however many: in memory are WALK_BYTES of names at a time, and a tree with more is gone through
 * several times; the entries are read some at a time. One that changes its name or goes meanwhile is left out, and one that comes after the
 * names were read may be: who stops and goes on (`after`) within a minute goes on with the names of then. Without
 * `unpack` nothing is read but names, and the item is a view. */
struct ldap_walk {
    const char *base, *filter, *attr;
    bool by_number; /* decimal numbers, by their value */
    view after;
    const char *const *attrs; /* of an entry */
    /* RC_NOT_FOUND: leave it out */
    rc (*unpack)(const struct ldap_entry *x, struct arena *a, void *out_item, struct err *e);
    view (*name_of)(const void *item, struct arena *a);
    size_t item_bytes;
};
struct ldap_walks *ldap_walks_new(void);
void ldap_walks_free(struct ldap_walks *k); /* NULL is fine */
/* The visitor must not use the session; the item lives during the call. */
typedef rc ldap_walk_visitor(void *arg, const void *item, bool *out_on, struct err *e);
MUST_USE rc ldap_walk_each(struct ldap_session *s, const struct ldap_walk *w, ldap_walk_visitor *visit,
                           void *arg, struct err *e);

/* ldap_guest.c: people in another tree. */
struct person {
    view dn, mail;
};
/* RC_NOT_FOUND: no such person, or several. */
MUST_USE rc ldap_person_find(struct ldap_session *s, view name, struct arena *a, struct person *out,
                             struct err *e);
/* Makes the entry of ours for somebody who is in that tree. RC_CONFLICT: somebody else just did. */
MUST_USE rc ldap_person_adopt(struct ldap_session *s, view name, const struct person *p, struct err *e);
/* Names of the other kind (<sub>@<domain>) are never looked for among people. */
bool ldap_person_possible(const struct ldap_session *s, view name);

/* ldap_group.c */
rc ldap_account_in_group(struct backend_session *bs, view name, view group, struct arena *a, bool *out,
                         struct err *e);

/* ldap_login.c */
rc ldap_account_check_password(struct backend_session *bs, view name, view password, struct arena *a,
                               struct account *out, struct err *e);
rc ldap_account_set_password(struct backend_session *bs, view name, view password, struct err *e);
rc ldap_account_password_kept(struct backend_session *bs, view name, struct arena *a, view *out,
                              struct err *e);

/* ldap.c */
rc ldap_account_get(struct backend_session *bs, enum account_key by, view key, struct arena *a,
                    struct account *out, struct err *e);
rc ldap_account_add(struct backend_session *bs, const struct account_new *n, struct err *e);

/* ldap_nodes.c */
rc ldap_erases_each(struct backend_session *bs, erase_visitor *visit, void *arg, struct err *e);
rc ldap_leftovers_each(struct backend_session *bs, int64_t after_uid, erase_visitor *visit, void *arg,
                       struct err *e);
rc ldap_erase_done(struct backend_session *bs, int64_t uid, struct err *e);
rc ldap_node_get(struct backend_session *bs, view name, struct arena *a, struct node_entry *out,
                 struct err *e);
rc ldap_nodes_each(struct backend_session *bs, node_visitor *visit, void *arg, struct err *e);
rc ldap_node_put(struct backend_session *bs, const struct node_entry *n, struct err *e);
rc ldap_node_delete(struct backend_session *bs, view name, struct err *e);
rc ldap_seats_take(struct backend_session *bs, view node, int64_t want, int64_t *out_got, struct err *e);
rc ldap_seats_give(struct backend_session *bs, view node, int64_t n, struct err *e);
rc ldap_uid_next(struct backend_session *bs, int64_t count, int64_t *out_first, struct err *e);
rc ldap_uid_peek(struct backend_session *bs, int64_t *out, struct err *e);

/* ldap_marks.c */
rc ldap_mark_put(struct backend_session *bs, view name, int64_t end_ms, struct err *e);
rc ldap_mark_there(struct backend_session *bs, view name, bool *out, struct err *e);
rc ldap_marks_sweep(struct backend_session *bs, int64_t before_ms, struct err *e);

/* ldap_invites.c */
rc ldap_invite_add(struct backend_session *bs, const struct invite *x, struct err *e);
rc ldap_invite_get(struct backend_session *bs, view id, struct arena *a, struct invite *out, struct err *e);
rc ldap_invite_cas(struct backend_session *bs, view id, const struct invite_change *c, struct err *e);
rc ldap_invite_delete(struct backend_session *bs, view id, struct err *e);
rc ldap_invites_each(struct backend_session *bs, invite_visitor *visit, void *arg, struct err *e);

#endif
