/* HTTP Basic. Protocol: Storage API 1.1, "Authentication"; RFC 7617. */
#ifndef HEDDLE_AUTH_BASIC_H
#define HEDDLE_AUTH_BASIC_H

#include "common/base/arena.h"

struct basic {
    view name;     /* as sent, [a-zA-Z0-9._-]+ checked, lower-cased */
    view password; /* raw UTF-8, may hold anything but NUL */
};

/* Scheme in any case; split at the first colon. false: anything wrong with it (no colon, not base64, not UTF-8,
 * illegal characters in the name, empty password). */
bool basic_parse(view header, struct arena *a, struct basic *out);

/* The account name that Sync 1.1 makes of an e-mail address: base32(sha1(lower(address))), lower case, as clients do it: of
 * the UTF-8, without IDNA; only ASCII letters are lower-cased. A text without '@' is used as it is (lower-cased) if it
 * matches [a-zA-Z0-9._-]+. false: neither, or not UTF-8.
 * Protocol: Storage API 1.1, "Authentication". */
bool account_name_derive(view account, struct arena *a, view *out);

#endif
