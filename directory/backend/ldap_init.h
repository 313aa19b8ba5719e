/* Laying Heddle's tree in an LDAP server, and checking whether everything is as the driver needs it: the work of
 * `heddle-directory ldap-init`. Nothing that is there is changed; running it twice is running it once.
 *
 *   <base>                 ou=users    uid=<name>    an account each
 *                          ou=nodes    cn=<name>     a storage node each
 *                          ou=erase    cn=<uid>      data of deleted accounts that is still to be erased
 *                          ou=invites  cn=<id>       an invite code each
 *                          ou=marks    cn=<name>     what happened once: ended sessions, solved puzzles
 *                          ou=counters cn=uid        the next account number */
#ifndef HEDDLE_BACKEND_LDAP_INIT_H
#define HEDDLE_BACKEND_LDAP_INIT_H

#include <stdio.h>

#include "common/base/conf.h"
#include "directory/backend/backend.h"

struct ldap_init_options {
    bool check_only;   /* lay nothing. (Rights are checked by making entries and taking them away again.) */
    const char *as_dn; /* who lays the tree; NULL: ldap.bind_dn; "": our Unix user, over ldapi */
    struct conf_list as_password; /* his */
    FILE *out;                    /* one sentence a line; NULL: nobody reads */
};
/* RC_BAD_INPUT: something is wrong or missing; each such thing was told, err.text sums up. */
MUST_USE rc ldap_tree_init(const struct backend_conf *c, const struct ldap_init_options *o, struct err *e);

#endif
