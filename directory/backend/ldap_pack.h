/* Accounts, nodes and erases as LDAP entries, there and back. Pure: nothing here talks to a server. */
#ifndef HEDDLE_BACKEND_LDAP_PACK_H
#define HEDDLE_BACKEND_LDAP_PACK_H

#include <ldap.h>

#include "directory/backend/backend.h"
#include "directory/backend/ldap_conn.h"

/* What is asked for; each ends with NULL. Hashes only at a login, to see which are old. */
extern const char *const login_attrs[], *const node_attrs[], *const erase_attrs[], *const invite_attrs[];
#define account_attrs (&login_attrs[1])

/* Texts are copied to the arena. name: the one that was asked for; VIEW_NONE: whichever it has.
 * RC_NOT_FOUND: the entry has another name, or was not named by us. RC_BROKEN: not an entry of ours. */
MUST_USE rc account_unpack(const struct ldap_entry *x, view name, struct arena *a, struct account *out,
                           struct err *e);
MUST_USE rc node_unpack(const struct ldap_entry *x, view name, struct arena *a, struct node_entry *out,
                        struct err *e);
MUST_USE rc erase_unpack(const struct ldap_entry *x, struct arena *a, struct erase *out, struct err *e);
MUST_USE rc invite_unpack(const struct ldap_entry *x, struct arena *a, struct invite *out, struct err *e);
/* One number of an entry. RC_BROKEN: absent, or none. */
MUST_USE rc number_unpack(const struct ldap_entry *x, const char *attr, int64_t *out, struct err *e);

/* A list of attributes to add, or of changes. Names and values are borrowed: literals, and what is in the arena. */
#define MODS_MAX (2 * ACCOUNT_CHANGES)
struct mods {
    struct arena *a;
    size_t n;
    LDAPMod *list[MODS_MAX + 1]; /* ends with NULL */
};
static inline void mods_init(struct mods *m, struct arena *a)
{
    m->a = a;
    m->n = 0;
    m->list[0] = NULL;
}
/* op: LDAP_MOD_ADD, _DELETE, _REPLACE. value VIEW_NONE: nothing is added; replacing takes the attribute away. */
void mods_put(struct mods *m, int op, const char *attr, view value);
void mods_put_number(struct mods *m, int op, const char *attr, int64_t value);

/* password: as it is to be stored; VIEW_NONE: none. */
void account_pack(struct mods *m, const struct account_new *n, view password);
void node_pack(struct mods *m, const struct node_entry *n, int op);
void erase_pack(struct mods *m, const struct erase *x, int op);
void invite_pack(struct mods *m, const struct invite *x);
/* As cas_pack, of invite_cas. */
void invite_cas_pack(struct mods *m, const struct invite_change *c);

/* The changes of account_cas: each value that is expected is deleted, which fails when it is not there, and the wanted one added, which
 * fails when there is another. *out_only_if: absences that are expected and wanted; NULL: none. */
void cas_pack(struct mods *m, const struct change *changes, size_t n, const char **out_only_if);
/* As account_attr_name, but for the mail address: LDAP's own `mail` is ASCII and has many values. */
const char *ldap_attr_name(enum account_attr attr);

#endif
