/* Who is signed in: a sealed text in a cookie, which any process of the directory opens; nothing is stored here but sessions that were ended
 * by hand, until they would have ended by themselves (in this process; elsewhere they end within screens.idle). A session also ends
 * when the account's password is changed, or the account is disabled or deleted. */
#ifndef HEDDLE_SCREENS_SESSION_H
#define HEDDLE_SCREENS_SESSION_H

#include "directory/screens/screens.h"

enum { SESSION_ID = 32 }; /* hex digits */

struct session {
    view name, id;
    int64_t uid, password_since_ms, begun_s, seen_s;
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

/* The token that a form must send back: bound to the session, or without one to a cookie that is set here. */
view form_token(struct request *rq, const struct session *s);
bool form_token_good(const struct request *rq, const struct session *s, view token);

/* A cookie of the request; VIEW_NONE. */
view cookie_get(const struct request *rq, const char *name);

struct ended *ended_new(void);
void ended_free(struct ended *e); /* NULL is fine */

#endif
