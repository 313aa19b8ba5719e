/* Whose account is signed in (common/page/session.h): every directory process opens the cookie, and it ends also when the account's
 * password is changed, or the account is disabled or deleted. */
#ifndef HEDDLE_SCREENS_SESSION_H
#define HEDDLE_SCREENS_SESSION_H

#include "common/page/session.h"
#include "directory/screens/screens.h"

struct session {
    struct sitting sitting;
    view name;
    int64_t uid, password_since_ms;
};

/* The session of the request's cookie, still good by its own times; false: none. The account is not looked at. */
bool session_read(const struct request *rq, struct session *out);
/* Whether it is still this account's. */
bool session_is_of(const struct session *s, const struct account *acc);
/* Sets the cookie: for a new session, or with the time of now if the old one is getting old. */
void session_start(struct request *rq, const struct account *acc);
void session_touch(struct request *rq, const struct session *s);
/* Takes the cookie back, and remembers that this session is over. */
void session_end(struct request *rq, const struct session *s);
/* Was it ended by hand, wherever that was? */
MUST_USE rc session_is_over(const struct request *rq, const struct session *s, bool *out, struct err *e);

#endif
