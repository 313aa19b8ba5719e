/* Text forms of bytes, strict both ways: decoding takes exactly what encoding would have written. */
#ifndef HEDDLE_BASE_ENCODE_H
#define HEDDLE_BASE_ENCODE_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/view.h"

void hex_put(struct buf *b, view bytes); /* lower case */
/* A number in lower case, without zeros before it and without a NUL; gives how many characters. */
#define HEX_NUMBER_MAX 16
size_t hex_print(uint64_t number, char out[HEX_NUMBER_MAX]);
bool hex_decode(view text, struct arena *a, view *out); /* either case */

enum base64 { BASE64_STD, BASE64_URL, BASE64_URL_NOPAD }; /* RFC 4648 4; 5 with "="; 5 without */

void base64_put(struct buf *b, enum base64 kind, view bytes);
view base64_text(struct arena *a, enum base64 kind, view bytes);
/* Writes exactly base64_size() characters and no NUL: for texts whose length is known beforehand. */
size_t base64_size(enum base64 kind, size_t n_bytes);
void base64_write(enum base64 kind, view bytes, char *out);
/* Strict and canonical: the alphabet of its kind, its padding, unused bits zero. */
bool base64_decode(enum base64 kind, view text, struct arena *a, view *out);

void base32_put_lower(struct buf *b, view bytes); /* RFC 4648 6 in lower case, no padding */

/* v as one segment of a path, or a value of a query: %XX for all but letters, digits and "-._~" (RFC 3986 2.3). */
void percent_put(struct buf *b, view v);
/* %XX only; '+' stays. false on a broken escape. Copies into the arena only if there is an escape. */
bool percent_decode(view text, struct arena *a, view *out);
/* The same, and '+' is a blank (HTML forms, query strings of forms). */
bool form_decode(view text, struct arena *a, view *out);

bool utf8_valid(view v); /* RFC 3629: no surrogates, nothing above U+10FFFF, no overlong forms */

#endif
