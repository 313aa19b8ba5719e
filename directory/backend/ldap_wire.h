/* Inside of the LDAP connection: waiting for answers, and what result codes mean. */
#ifndef HEDDLE_BACKEND_LDAP_WIRE_H
#define HEDDLE_BACKEND_LDAP_WIRE_H

#include "directory/backend/ldap_conn.h"

#define LDAP_MESSAGE_MAX (1024 * 1024) /* bytes in one message of a server */

/* Connected and, as far as can be seen, alive. RC_AWAY, RC_BROKEN: nothing was sent. */
MUST_USE rc ldap_conn_ready(struct ldap_conn *c, struct err *e);
void ldap_conn_drop(struct ldap_conn *c);

/* Waits for the one answer to `id`, which must be of this kind (LDAP_RES_BIND …). *out_code: its result code. out_msg (may be NULL): the answer, to be freed with ldap_msgfree.
 * RC_UNSURE: lost or too late, the connection is closed. */
MUST_USE rc ldap_wire_result(struct ldap_conn *c, int id, int kind, int *out_code, LDAPMessage **out_msg,
                             struct err *e);
/* RC_UNSURE: sent, no answer; RC_AWAY: not sent. Either way the connection is closed. */
MUST_USE rc ldap_wire_bind(struct ldap_conn *c, const char *dn, const char *mechanism,
                           const struct berval *cred, int *out_code, struct err *e);

#endif
