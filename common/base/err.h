/* The text that goes with an rc: filled where the failure happens, logged where it ends. */
#ifndef HEDDLE_BASE_ERR_H
#define HEDDLE_BASE_ERR_H

#include "common/base/rc.h"

/* Response codes of the Sync protocols: the single integer that is the body of an error.
 * Protocol: Storage API 1.1 "Response codes"; Storage API 1.5 "Response codes". */
enum respcode {
    RESP_GENERIC = 0,          /* unspecified */
    RESP_ILLEGAL = 1,          /* illegal method or protocol */
    RESP_CAPTCHA = 2,          /* bad or missing captcha */
    RESP_USERNAME = 3,         /* bad or missing user name */
    RESP_OVERWRITE = 4,        /* overwriting what must not be */
    RESP_JSON = 6,             /* JSON does not parse */
    RESP_PASSWORD_MISSING = 7, /* missing password */
    RESP_INVALID_WBO = 8,      /* invalid BSO, WBO or list of them */
    RESP_PASSWORD_WEAK = 9,    /* password not strong enough */
    RESP_RESET_CODE = 10,      /* bad or missing password-reset code */
    RESP_UNSUPPORTED = 11,     /* unsupported function */
    RESP_NO_EMAIL = 12,        /* no e-mail address on file, or bad one */
    RESP_COLLECTION = 13,      /* invalid collection */
    RESP_OVER_QUOTA = 14,      /* over quota */
    RESP_EMAIL_MISMATCH = 15,  /* e-mail does not match the user name */
    RESP_TOO_LARGE = 17        /* size or count limit exceeded */
};

/* Words of a structured error body (token server). Constant; only pointers to static rows travel.
 * Protocol: Token server API 1.0, "Error responses". */
struct err_words {
    int http;                /* status that overrides the table in reply.c; 0: no override */
    const char *status;      /* "invalid-credentials" */
    const char *location;    /* "body", "header", "url", "internal" */
    const char *name;        /* "", "X-Client-State" */
    const char *description; /* "Unauthorized" */
};

/* Owned by the caller of the failing function, usually on the stack of the web worker. The text may name
 * what a client sent (it is escaped by the log), but never a secret. */
struct err {
    enum respcode respcode;
    unsigned retry_after_s;        /* 0: the default of the rc */
    const struct err_words *words; /* NULL: built from rc and respcode */
    char text[240];                /* for the log only, never for the client */
};

#define ERR_NONE ((struct err){ .respcode = RESP_GENERIC })

/* Fills e (if not NULL) and gives r back: `return fail(e, RC_BAD_INPUT, RESP_JSON, "…")`. A macro, so that the compiler sees which word
 * comes back: where it is not RC_OK, results through pointers need not be set. */
#define fail(e, r, code, ...) (err_fill((e), (code), __VA_ARGS__), (r))

/* The same with the words of a structured body. */
#define fail_words(e, r, words, ...) (err_fill_words((e), (words), __VA_ARGS__), (r))

/* What they are made of. The text may be made of e's own. */
void err_fill(struct err *e, enum respcode code, const char *fmt, ...) PRINTF_LIKE(3, 4);
void err_fill_words(struct err *e, const struct err_words *w, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
