/* The public keys that access tokens are signed with: from a JWK-set file, or from a URL that is asked when a key is first needed,
 * then hourly, and for an unknown `kid` at most once a minute; keys at hand are kept while the URL is away.
 * Protocol: Token server, "JWT access token, local"; RFC 7517. Any thread. */
#ifndef HEDDLE_DIRECTORY_JWKS_H
#define HEDDLE_DIRECTORY_JWKS_H

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "directory/identity_oauth.h"

struct jwks;

/* Exactly one of file and url, or none ("" or NULL). Texts are borrowed. */
struct jwks *jwks_new(const char *file, const char *url, int64_t timeout_s, const struct clock *clock);
void jwks_free(struct jwks *k);
/* Reads the file (again). On a failure the keys at hand stay. RC_OK without a file. */
MUST_USE rc jwks_reload(struct jwks *k, struct err *e);

/* Changes whenever the keys at hand do. */
uint64_t jwks_edition(const struct jwks *k);

/* A compact JWS (RFC 7515 3.1) taken apart. */
struct signed_text {
    view text;      /* what was signed: header and payload with the dot between them */
    view signature; /* its bytes */
    view kid;       /* names the key; VIEW_NONE: it is not told */
};

/* Does one of the keys prove it (RS256)? The key named by kid is tried first. RC_DENIED: none does.
 * RC_AWAY: no keys at hand. RC_NOT_FOUND: there is neither file nor URL. */
MUST_USE rc jwks_prove(struct jwks *k, const struct oauth_http *http, const struct signed_text *t,
                       struct err *e);

#endif
