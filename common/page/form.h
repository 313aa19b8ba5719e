/* The fields of a posted form. Of several with one name the first counts. Protocol: HTML, application/x-www-form-urlencoded. */
#ifndef HEDDLE_PAGE_FORM_H
#define HEDDLE_PAGE_FORM_H

#include "common/web/request.h"

enum { FORM_FIELDS = 32 };

struct form {
    size_t n;
    struct query_arg fields[FORM_FIELDS];
};

/* RC_BAD_INPUT: another content type, a broken escape, no UTF-8, or more fields than any form of ours has. */
MUST_USE rc form_read(const struct request *rq, struct form *out, struct err *e);
view form_field(const struct form *f, const char *name); /* VIEW_NONE: not there */

#endif
