/* The least work of telling where a known user lives: one search in LDAP for each answer, over connections that are bound once. A yardstick,
 * never a server for anybody: whatever goes wrong ends the program, so that it does not count as fast. */
#ifndef HEDDLE_LOAD_LDAP_FLOOR_H
#define HEDDLE_LOAD_LDAP_FLOOR_H

#include <ldap.h>

#include "common/base/arena.h"

struct floor_ldap {
    const char *uri, *bind_dn, *password;
    view base; /* where the accounts stand */
};

_Noreturn void floor_die(const char *what, const char *why);

LDAP *floor_connect(const struct floor_ldap *l);
/* The entry of that name with all that a directory asks for; owned by the caller (ldap_msgfree). */
LDAPMessage *floor_search(LDAP *ld, const char *dn);
/* Its DN, in the arena. The name is one that needs no escaping. */
const char *floor_dn(const struct floor_ldap *l, struct arena *a, view name);
/* The first value of an attribute, in the arena. */
view floor_value(LDAP *ld, LDAPMessage *found, const char *attr, struct arena *a);

#endif
