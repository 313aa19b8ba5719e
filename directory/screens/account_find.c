/* Whom somebody means by what he typed. */
#include "common/auth/basic.h"
#include "directory/screens/screens.h"

enum { TYPED_MAX = 254 };

rc account_meant(struct backend_session *s, view typed, struct arena *a, view *out_name, struct err *e)
{
    struct account acc;
    view name;
    typed = view_trim(typed);
    *out_name = VIEW("no such name"); /* names have no blanks */
    if (typed.n > TYPED_MAX || !account_name_derive(typed, a, &name))
        return RC_OK;
    *out_name = name;
    if (!memchr(typed.p, '@', typed.n) || !mail_valid(typed))
        return RC_OK;
    /* An address that was changed later no longer makes the name. */
    rc r = account_get(s, ACCOUNT_BY_NAME, name, a, &acc, e);
    if (r != RC_NOT_FOUND)
        return r;
    r = account_get(s, ACCOUNT_BY_MAIL, typed, a, &acc, e);
    if (r == RC_OK)
        *out_name = acc.name;
    return r == RC_NOT_FOUND || r == RC_CONFLICT || r == RC_BAD_INPUT ? RC_OK : r;
}
