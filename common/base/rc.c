#include "common/base/rc.h"

#include <stddef.h>

static const char *const names[] = {
    [RC_OK] = "OK",
    [RC_NOT_FOUND] = "NOT_FOUND",
    [RC_NOT_MODIFIED] = "NOT_MODIFIED",
    [RC_BAD_INPUT] = "BAD_INPUT",
    [RC_TOO_LARGE] = "TOO_LARGE",
    [RC_NOT_ACCEPTABLE] = "NOT_ACCEPTABLE",
    [RC_MEDIA_TYPE] = "MEDIA_TYPE",
    [RC_DENIED] = "DENIED",
    [RC_FORBIDDEN] = "FORBIDDEN",
    [RC_OVER_QUOTA] = "OVER_QUOTA",
    [RC_MODIFIED] = "MODIFIED",
    [RC_CONFLICT] = "CONFLICT",
    [RC_NOT_HERE] = "NOT_HERE",
    [RC_FROZEN] = "FROZEN",
    [RC_BUSY] = "BUSY",
    [RC_AWAY] = "AWAY",
    [RC_UNSURE] = "UNSURE",
    [RC_BROKEN] = "BROKEN",
};

const char *rc_name(rc r)
{
    size_t i = (size_t)r;

    return i < sizeof(names) / sizeof(names[0]) && names[i] ? names[i] : "UNKNOWN";
}
