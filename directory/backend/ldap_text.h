/* Texts of ours and of clients as parts of filters and DNs. Whatever the bytes are, they stay one value: nothing that stands in a
 * name ends a value, adds a condition or names another entry. Protocol: RFC 4515 (filters), RFC 4514 (DNs). */
#ifndef HEDDLE_BACKEND_LDAP_TEXT_H
#define HEDDLE_BACKEND_LDAP_TEXT_H

#include "common/base/arena.h"
#include "common/base/view.h"

/* "(attr=value)", "(attr:rule:=value)" with attr as "attr:rule:". */
view filter_equals(struct arena *a, const char *attr, view value);
/* "(attr=value*)". */
view filter_begins(struct arena *a, const char *attr, view value);
/* "(&…)", "(|…)" around filters. */
view filter_and(struct arena *a, const view *parts, size_t n);
view filter_or(struct arena *a, const view *parts, size_t n);
/* "attr=value,parent", every byte of value but letters and digits escaped. */
view dn_below(struct arena *a, const char *attr, view value, view parent);

/* Names as values of uid and cn: bytes other than a-z 0-9 . _ - @ : become %xx. What differs in one byte differs for LDAP too, which
 * takes upper case for lower, two blanks for one, a ligature for its letters, and no broken UTF-8 at all. */
view name_encode(struct arena *a, view name);
bool name_decode(struct arena *a, view text, view *out); /* false: not written by name_encode */

#endif
