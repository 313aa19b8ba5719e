/* Strict reading with jansson, building, and writing straight into a buffer. */
#ifndef HEDDLE_BASE_JSON_H
#define HEDDLE_BASE_JSON_H

#include <jansson.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/scope.h"
#include "common/base/stamp.h"

#define JSON_DEPTH_MAX 32

enum json_read {
    JSON_READ_PLAIN = 0,
    JSON_READ_NO_DUPLICATES = 1, /* two members of one name are an error; else the last wins */
    JSON_READ_WIDE_INTEGERS = 2  /* integers become reals, so that none is out of range (1e400 still is) */
};

/* Parses text as one JSON value of any kind (not only object or array), UTF-8, "\u0000" allowed in strings. Nesting deeper
 * than max_depth is refused before anything is built. *out is owned by the caller (json_decref).
 * RC_BAD_INPUT with RESP_JSON; with RESP_INVALID_WBO when only a number was out of range (1e400). */
MUST_USE rc json_read(view text, unsigned max_depth, enum json_read flags, json_t **out, struct err *e);

static inline view json_text(const json_t *s) /* a string's bytes; VIEW_NONE for anything else */
{
    return json_is_string(s) ? (view){ .p = json_string_value(s), .n = json_string_length(s) } : VIEW_NONE;
}

/* A member that is a number; 0 where there is none. */
static inline int64_t json_member_int(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static inline double json_member_real(const json_t *object, const char *name) /* whole ones too */
{
    return json_number_value(json_object_get(object, name));
}

/* Building; where memory is missing the process ends. Text is taken as it is (VIEW_NONE: ""): it can be looked at whatever it is, and be
 * dumped only if it is UTF-8. json_add takes the value. */
json_t *json_of_text(view text);
void json_add(json_t *object, const char *name, json_t *value);

/* quoted and escaped; U+2028 etc. are left alone; "\n" as \n */
void json_put_string(struct buf *b, view text);
/* a dump of it, braces included, compact; or of any value */
void json_put_members(struct buf *b, const json_t *object);

static inline void json_decref_scoped(json_t **j)
{
    json_decref(*j);
}

#endif
