/* Outgoing calls over libcurl: to the directory, to nodes, to a JWK-set URL or a remote verifier. Blocking, for workers
 * and background threads; one handle a thread, with its own keep-alive connections. */
#ifndef HEDDLE_WEB_CALL_H
#define HEDDLE_WEB_CALL_H

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"

struct caller; /* one thread's */

struct call {
    const char *method;      /* "GET", "POST" … */
    const char *url;         /* absolute; or for a unix socket http://localhost/path */
    const char *unix_socket; /* path, or NULL */
    const char *content_type;
    view body;
    view hawk_id, hawk_key; /* sign it; id VIEW_NONE: not */
    /* what is signed where it differs from url (another way to the same service), or NULL */
    const char *sign_url;
    const char *next_header; /* the header that goes into answer.next; NULL: X-Heddle-Next */
    view bearer;             /* or send this */
    view request_id;         /* X-Request-Id */
    long timeout_ms;         /* whole call */
    size_t answer_max;       /* bytes; a longer answer is RC_BROKEN */
};

struct answer {
    long status;
    struct buf body;
    /* X-Heddle-Next (or next_header), or "" (an account's name, escaped, fits); a longer one is RC_BROKEN */
    char next[800];
};

/* A caller keeps its connections, and belongs to one thread at a time. The clock, for signatures, is borrowed. RC_BROKEN: libcurl does not
 * start. */
MUST_USE rc caller_new(const struct clock *clock, struct caller **out, struct err *e);
void caller_free(struct caller *c);
/* out: zeroed or an earlier answer, which is replaced; untouched on failure. All of `what` is borrowed for the call.
 * RC_OK whatever the status; RC_AWAY: no connection, timeout, an answer that breaks off; RC_BROKEN: one that is too long;
 * RC_BAD_INPUT: no http(s) URL, or a control byte in what would become a header. Redirects are not followed. A signed call
 * carries the hash of its payload, of an empty one too, and goes past any proxy of the environment.
 * Protocol: the internal API's "signature". */
MUST_USE rc call(struct caller *c, const struct call *what, struct answer *out, struct err *e);
void answer_done(struct answer *a);

#endif
