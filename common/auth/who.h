/* Whom a request speaks for, once its credential was checked. */
#ifndef HEDDLE_AUTH_WHO_H
#define HEDDLE_AUTH_WHO_H

#include "common/base/view.h"

struct who {
    int64_t uid;
    /* of the credential: counts changes of owner; 0: the credential names none (a foreign token) */
    int64_t epoch;
    view name;      /* account name of Basic, caller of an internal call; lives as long as the request */
    bool expired;   /* a token past its time, let through for GET info/collections alone */
    view hashed_id; /* for logs: hashed_fxa_uid, or VIEW_NONE */
};

#endif
