#include "admin/reach.h"

rc admin_reach(struct admin *a, struct err *e)
{
    return a->ask ? RC_OK : ask_new(a->conf, &a->ask, e);
}
