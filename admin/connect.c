#include "admin/verbs.h"

rc admin_connect(struct admin *a, struct err *e)
{
    return a->ask ? RC_OK : ask_new(a->conf, &a->ask, e);
}
