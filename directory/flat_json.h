/* What the parts of an access token nearly always are: one object of plain texts and whole numbers, without blanks. Read in one pass and lent by
 * the text; anything else is for json_read, and nothing is read here in another way than there. It is not the
 * reader of node/sync/bso_scan.h, which takes blanks, escapes and a few known members: without these, what both have in common is a line. */
#ifndef HEDDLE_DIRECTORY_FLAT_JSON_H
#define HEDDLE_DIRECTORY_FLAT_JSON_H

#include <stdbool.h>

#include "common/base/view.h"

#define FLAT_MEMBERS_MAX 24

struct flat_member {
    view name;
    view text;      /* VIEW_NONE: it is a number */
    int64_t number; /* 0 or more */
};

struct flat_json {
    struct flat_member members[FLAT_MEMBERS_MAX];
    size_t n;
};

/* false: it is something else, perhaps no JSON at all. No two members have one name. */
bool flat_json_read(view text, struct flat_json *out);
const struct flat_member *flat_json_get(const struct flat_json *f, view name); /* NULL: there is none */

#endif
