/* Who is signed in: a sealed text in a cookie, which any process with the same keys opens; nothing is stored here but sessions that were ended
 * by hand in this process, until they would have ended by themselves (a program of several processes remembers them beside). Beside it the
 * tokens that forms send back. Any thread. */
#ifndef HEDDLE_PAGE_SESSION_H
#define HEDDLE_PAGE_SESSION_H

#include "common/page/site.h"
#include "common/web/request.h"

enum { SESSION_ID = 32 }; /* hex digits */

/* Whatever `whose` says: the program's own words for who it is. */
struct sitting {
    view whose, id;
    int64_t begun_s, seen_s;
};

/* The sitting of the request's cookie, still good by its own times; false: none. */
bool sitting_read(const struct site *s, const struct request *rq, struct sitting *out);
/* Sets the cookie: for a new one, or with the time of now if the old one is getting old. */
void sitting_start(const struct site *s, struct request *rq, view whose);
void sitting_touch(const struct site *s, struct request *rq, const struct sitting *old);
/* Takes the cookie back, and remembers that this one is over. */
void sitting_end(const struct site *s, struct request *rq, view id);

/* The token that a form must send back: bound to the session, or without one (VIEW_NONE) to a cookie that is set here. */
view form_token(const struct site *s, struct request *rq, view session_id);
bool form_token_good(const struct site *s, const struct request *rq, view session_id, view token);

/* A cookie of the request; VIEW_NONE. */
view cookie_get(const struct request *rq, const char *name);

struct ended *ended_new(void);
void ended_free(struct ended *e); /* NULL is fine */

#endif
