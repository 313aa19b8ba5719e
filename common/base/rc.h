/* One word for what a caller can do about a failure; the text of it is in struct err.
 * What can fail returns rc. The word is translated to an HTTP status in one place: common/web/reply.c. */
#ifndef HEDDLE_BASE_RC_H
#define HEDDLE_BASE_RC_H

#define MUST_USE                __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

typedef enum rc {
    RC_OK = 0,
    RC_NOT_FOUND,      /* no such item, account or node */
    RC_NOT_MODIFIED,   /* X-If-Modified-Since held: nothing newer to tell */
    RC_BAD_INPUT,      /* the client's data is wrong; err.respcode says how */
    RC_TOO_LARGE,      /* a body above its ceiling */
    RC_NOT_ACCEPTABLE, /* none of the answer formats asked for */
    RC_MEDIA_TYPE,     /* a Content-Type we do not take */
    RC_DENIED,         /* credentials missing or wrong */
    RC_FORBIDDEN,      /* known, but not allowed */
    RC_OVER_QUOTA,     /* the user's space is used up */
    RC_MODIFIED,       /* X-If-Unmodified-Since did not hold */
    RC_CONFLICT,       /* somebody else won; trying again can help */
    RC_NOT_HERE,       /* wrong epoch: the user lives elsewhere */
    RC_FROZEN,         /* the user is on his way to another node */
    RC_BUSY,           /* one of our limits is reached; later it will work */
    RC_AWAY,           /* a backend (database, directory, verifier) does not answer */
    RC_UNSURE,         /* a commit may have happened; never repeat blindly */
    RC_BROKEN          /* our own fault */
} rc;

/* "OK", "NOT_FOUND", …: for logs and for the internal API. Never NULL. */
const char *rc_name(rc r);

#endif
