/* Key material: lists of secrets, HKDF, HMAC, comparison in constant time. All functions may be called from any thread;
 * a struct secrets is read-only after it was made. */
#ifndef HEDDLE_AUTH_SECRETS_H
#define HEDDLE_AUTH_SECRETS_H

#include "common/base/conf.h"
#include "common/base/err.h"
#include "common/base/scope.h"
#include "common/base/view.h"

#define SHA256_BYTES 32

void hmac_sha256(view key, view message, uint8_t out[SHA256_BYTES]);
void sha256(view message, uint8_t out[SHA256_BYTES]);
/* RFC 5869 with SHA-256; salt.n == 0: 32 zero bytes. n at most 255 * 32. */
void hkdf_sha256(view secret, view salt, view info, uint8_t *out, size_t n);
/* Equal lengths are compared in constant time; different lengths are unequal at once. */
bool secret_eq(view a, view b);
/* Overwrites memory in a way that the compiler keeps. */
void secret_wipe(void *p, size_t n);

/* A list of secrets, oldest first; the newest signs, any verifies. */
struct secrets {
    view *items; /* text, as written; hex digits are not decoded: protocol: tokenlib takes the text */
    size_t n;
};

/* From a configuration list; an empty list gives an empty one. RC_BAD_INPUT: empty item, or one shorter than `least` bytes. */
MUST_USE rc secrets_new(const struct conf_list *list, size_t least, struct secrets **out, struct err *e);
/* hex(HKDF(master text, none, "services.mozilla.com/mozsvc/v1/node_secret/" + node, len(master)/2)) of each.
 * RC_BAD_INPUT: a master of odd length. Protocol: mozservices, DerivedSecrets. */
MUST_USE rc secrets_derive(const struct secrets *masters, view node_url, struct secrets **out, struct err *e);
void secrets_free(struct secrets *s); /* wipes */

/* Reads the secret kept in path, or makes one of n random bytes as hex, writes it with mode 0600 and gives it back
 * (malloc). Atomic: two processes that start together end with the same one.
 * RC_BAD_INPUT: the file holds no secret (one line of at least n_bytes printable characters without blanks; the operator's
 * own text will do). RC_BROKEN: it cannot be read or made. n_bytes: 1 … 2048. */
MUST_USE rc secret_file(const char *path, size_t n_bytes, char **out, struct err *e);

DEFINE_SCOPED(struct secrets *, secrets_free);

#endif
