/* The answer under construction. From rc to status, headers and body there is one table, in reply.c; no handler writes 412.
 * Small bodies are built in memory; past 4 MiB the bytes go to an unlinked temporary file and are sent from there, so a slow
 * reader holds neither worker nor memory, and until the first byte leaves a failure is a plain 503. */
#ifndef HEDDLE_WEB_REPLY_H
#define HEDDLE_WEB_REPLY_H

#include "common/base/buf.h"
#include "common/base/stamp.h"
#include "common/web/request.h"

/* Sets status and content type. Default: 200, application/json. type must be a literal. */
void reply_status(struct request *rq, int status);
void reply_type(struct request *rq, const char *type);

/* Adds a header; value is copied into the arena and cleaned of CR, LF and other control bytes. */
void reply_header(struct request *rq, const char *name, view value);
void reply_header_stamp(struct request *rq, const char *name, stamp t);

/* X-Last-Modified, and the floor under X-Weave-Timestamp ("raised to X-Last-Modified when that is larger"). */
void reply_last_modified(struct request *rq, stamp t);
/* X-Weave-Timestamp is exactly t (a write). */
void reply_timestamp(struct request *rq, stamp t);

/* The body: append to it. buf for direct building of small answers; reply_flush now and then (after each record) lets it
 * spill to a file when it has grown. RC_AWAY: the file could not be written. */
struct buf *reply_body(struct request *rq);
MUST_USE rc reply_flush(struct request *rq, struct err *e);
/* Bytes of the body so far, spilled ones included. */
uint64_t reply_size(const struct request *rq);
/* Drops body, status and headers: to begin anew. */
void reply_reset(struct request *rq);

/* Fills the reply from a failure, by the dialect of the route. The server calls this for what handlers return. */
void reply_fail(struct request *rq, rc r, const struct err *e);
int reply_status_of(rc r, enum dialect d); /* the table, for tests */

#endif
