/* SHA-256 and HMAC-SHA-256 piece by piece, so that what is signed need not be copied together first; for this room, others
 * use secrets.h. Each thread owns one OpenSSL context, made at its first use: no allocation and no look-up of algorithms
 * for each request (measured: a third of the time of HMAC()). Therefore one digest at a time in a thread, from begin to
 * end. Any thread. A libcrypto without SHA-256 ends the process. */
#ifndef HEDDLE_AUTH_DIGEST_H
#define HEDDLE_AUTH_DIGEST_H

#include "common/auth/secrets.h"

#define SHA256_BLOCK_BYTES 64

void digest_begin(void);
void digest_add(view piece);
void digest_add_upper(view piece); /* ASCII letters made upper case on their way */
void digest_add_lower(view piece);
void digest_end(uint8_t out[SHA256_BYTES]);

/* hmac_begin, any number of digest_add…, hmac_end. */
struct hmac {
    uint8_t pad[SHA256_BLOCK_BYTES];
};
void hmac_begin(struct hmac *h, view key);
void hmac_end(struct hmac *h, uint8_t out[SHA256_BYTES]); /* wipes h */

#endif
