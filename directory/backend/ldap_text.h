/* Texts of ours and of clients as parts of filters and DNs. Whatever the bytes are, they stay one value: nothing that stands in a
 * name ends a value, adds a condition or names another entry. Protocol: RFC 4515 (filters), RFC 4514 (DNs). */
#ifndef HEDDLE_BACKEND_LDAP_TEXT_H
#define HEDDLE_BACKEND_LDAP_TEXT_H

#include "common/base/arena.h"
#include "common/base/view.h"

/* "(attr=value)", "(attr:rule:=value)" with attr as "attr:rule:". */
view filter_equals(struct arena *a, const char *attr, view value);
/* "(&…)" around filters. */
view filter_and(struct arena *a, const view *parts, size_t n);
/* "attr=value,parent", every byte of value but letters and digits escaped. */
view dn_below(struct arena *a, const char *attr, view value, view parent);

/* How long a value is in the DNs that servers keep: as it is, but for those that mean something there. */
size_t dn_value_length(view value);

#endif
