/* The bodies of internal calls: one object each, and nothing in it that the route does not know. */
#include <inttypes.h>
#include <string.h>

#include "common/base/json.h"
#include "common/web/internal.h"

#define BODY_DEPTH 8

static bool is_member(const char *const *members, const char *name)
{
    for (; *members; members++)
        if (strcmp(*members, name) == 0)
            return true;
    return false;
}

rc internal_body(const struct request *rq, const char *const *members, json_t **out, struct err *e)
{
    json_t *o = NULL;
    const char *name;
    json_t *value;
    TRY(json_read(rq->body, BODY_DEPTH, JSON_READ_NO_DUPLICATES, &o, e));
    rc r = json_is_object(o) ? RC_OK : fail(e, RC_BAD_INPUT, RESP_GENERIC, "the body is no object");
    json_object_foreach (o, name, value)
        if (r == RC_OK && !is_member(members, name))
            r = fail(e, RC_BAD_INPUT, RESP_GENERIC, "an unknown member \"%.60s\"", name);
    if (r != RC_OK) {
        json_decref(o);
        return r;
    }
    *out = o;
    return RC_OK;
}

rc internal_text(const json_t *o, const char *name, view *out, struct err *e)
{
    const json_t *v = json_object_get(o, name);
    if (!v)
        return RC_OK;
    if (!json_is_string(v))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%s must be a text", name);
    *out = json_text(v);
    return RC_OK;
}

rc internal_number(const json_t *o, const char *name, int64_t least, int64_t *out, struct err *e)
{
    const json_t *v = json_object_get(o, name);
    if (!v)
        return RC_OK;
    if (!json_is_integer(v) || json_integer_value(v) < least)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%s must be a whole number of at least %" PRId64, name,
                    least);
    *out = json_integer_value(v);
    return RC_OK;
}
