/* RSA keys that RS256 signatures are checked with (RFC 7518 3.3, 6.3.1). */
#ifndef HEDDLE_DIRECTORY_RS256_H
#define HEDDLE_DIRECTORY_RS256_H

#include <stdbool.h>

#include "common/base/view.h"

struct rs256;

/* Modulus and exponent as big-endian bytes. NULL: no public key, or one of fewer than 2048 bits. */
struct rs256 *rs256_new(view modulus, view exponent);
void rs256_free(struct rs256 *k);

/* Whether the key's owner signed this text. Any thread, also several at once. */
bool rs256_proves(const struct rs256 *k, view text, view signature);

#endif
