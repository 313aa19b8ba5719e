/* Password hashes as text: `$argon2id$v=19$m=19456,t=2,p=1$…$…` is what we write; Mozilla's {SSHA} and {SSHA-256} (also spelled
 * {SSHA256}) are read too, so that accounts can be brought along. Memory for Argon2 is mapped for one call and given back at once.
 * Any thread. Protocol: User API 1.0, "LDAP directory"; RFC 9106. */
#ifndef HEDDLE_BACKEND_PASSWORD_H
#define HEDDLE_BACKEND_PASSWORD_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"

struct password_cost {
    uint32_t kib, passes, lanes;
};

enum password_verdict {
    PASSWORD_WRONG,
    PASSWORD_RIGHT,
    PASSWORD_RIGHT_OLD /* right, but of another scheme or cost: store it anew */
};

/* Appends to out. RC_AWAY: no memory for it. */
MUST_USE rc password_hash(view password, const struct password_cost *c, struct buf *out, struct err *e);
/* A wrong password takes the time of Argon2 whatever the scheme. RC_BROKEN: `stored` is of no form we know. */
MUST_USE rc password_check(view password, view stored, const struct password_cost *c,
                           enum password_verdict *out, struct err *e);
/* Takes as long as checking a password would: for accounts that do not exist. */
MUST_USE rc password_waste(view password, const struct password_cost *c, struct err *e);

#endif
