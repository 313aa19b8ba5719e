/* Whom somebody means by what he typed. */
#include "common/auth/basic.h"
#include "directory/screens/screens.h"

rc account_meant(struct backend_session *s, view typed, struct arena *a, view *out_name, struct err *e)
{
    struct account named, mailed;
    view name;
    struct err unheard = ERR_NONE;
    typed = view_trim(typed);
    *out_name = VIEW("no such name"); /* names have no blanks */
    if (typed.n > ACCOUNT_TYPED_MAX || !account_name_derive(typed, a, &name))
        return RC_OK;
    *out_name = name;
    if (!memchr(typed.p, '@', typed.n) || !mail_valid(typed))
        return RC_OK;
    /* An address that was changed later no longer makes the name. Both are asked for, whoever is meant: the time shall tell nobody. */
    rc r = account_get(s, ACCOUNT_BY_NAME, name, a, &named, e);
    rc by_mail = account_get(s, ACCOUNT_BY_MAIL, typed, a, &mailed, r == RC_NOT_FOUND ? e : &unheard);
    if (r != RC_NOT_FOUND)
        return r;
    r = by_mail;
    if (r == RC_OK)
        *out_name = mailed.name;
    return r == RC_NOT_FOUND || r == RC_CONFLICT || r == RC_BAD_INPUT ? RC_OK : r;
}
