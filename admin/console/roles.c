/* Roles, and how a person comes by one. */
#include "admin/console/inside.h"

static const char *const names[] = {
    [ROLE_NONE] = "", [ROLE_READER] = N_("reader"), [ROLE_HELPER] = N_("helper"), [ROLE_ADMIN] = N_("admin")
};

const char *role_name(enum role r)
{
    return names[r];
}

bool role_parse(view text, enum role *out)
{
    for (int i = ROLE_READER; i <= ROLE_ADMIN; i++)
        if (view_eq(text, view_of(names[i]))) {
            *out = (enum role)i;
            return true;
        }
    return false;
}
