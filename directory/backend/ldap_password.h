/* Password hashes in the forms that LDAP servers can check: values of userPassword. Protocol: RFC 2307 ({SCHEME}text); OpenLDAP's
 * modules argon2 and pw-sha2. */
#ifndef HEDDLE_BACKEND_LDAP_PASSWORD_H
#define HEDDLE_BACKEND_LDAP_PASSWORD_H

#include "directory/backend/password.h"

enum password_scheme { SCHEME_ARGON2, SCHEME_CRYPT, SCHEME_SSHA512, SCHEME_SSHA };

/* "argon2", "crypt", "ssha512", "ssha" */
bool password_scheme_parse(const char *text, enum password_scheme *out);
const char *password_scheme_prefix(enum password_scheme s); /* "{ARGON2}" … */
/* Appends to out. RC_AWAY: no memory for it. */
MUST_USE rc password_scheme_hash(enum password_scheme s, view password, const struct password_cost *c,
                                 struct buf *out, struct err *e);
/* Was it made as we would make it now? */
bool password_scheme_is_current(enum password_scheme s, view stored, const struct password_cost *c);

#endif
