/* What a server must know and be able to do, as it says of itself: controls, schema, indexes. */
#ifndef HEDDLE_BACKEND_LDAP_SCHEMA_H
#define HEDDLE_BACKEND_LDAP_SCHEMA_H

#include <stdio.h>

#include "directory/backend/ldap_conn.h"

struct ldap_schema_report {
    FILE *tell; /* one sentence a line; NULL: nobody reads */
};
/* Gives the number of things that are wrong. Indexes that the server does not show us are a note, not wrong. */
MUST_USE int ldap_schema_check(struct ldap_conn *c, const char *base, struct arena *a,
                               const struct ldap_schema_report *report);

#endif
