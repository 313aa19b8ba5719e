/* What an LDAP server sends, looked at before libldap takes it apart. libldap 2.5 waits in the middle of a message for as long as the
 * server likes, and loses memory of a request whose answer it cannot read. So a layer of ours under it hands out whole messages alone,
 * each of the form that RFC 4511 gives it; anything else ends the connection. */
#ifndef HEDDLE_BACKEND_LDAP_GUARD_H
#define HEDDLE_BACKEND_LDAP_GUARD_H

#include <ldap.h>

#include "common/base/err.h"
#include "common/base/view.h"

/* Is this one LDAPMessage (RFC 4511, 4.1.1) of a server that answers something, and nothing more? Pure. */
bool ldap_message_ok(view message);

/* How many bytes the message has that begins so: 0: not to be told yet; -1: none that we take (LDAP_MESSAGE_MAX). Pure. */
long ldap_message_size(view begin);

/* For a connection that is not open yet, once; it ends with it. A read that brings nothing comes back after a moment, a write that does
 * not get through after timeout_s. RC_BROKEN: the library refuses. */
MUST_USE rc ldap_guard_install(LDAP *ld, int64_t timeout_s, struct err *e);

/* From now on more than one message may be read at once: for connections that are encrypted already, or never will be. */
void ldap_guard_read_ahead(LDAP *ld);

#endif
