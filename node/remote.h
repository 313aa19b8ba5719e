/* The directories of a cluster, as a node reaches them: signed calls, the next one when one is silent, and the question "who is
 * this?" of authority.h. Thread-safe; calls block. Protocol: docs/internal-api.md. */
#ifndef HEDDLE_NODE_REMOTE_H
#define HEDDLE_NODE_REMOTE_H

#include "common/base/conf.h"
#include "common/base/json.h"
#include "node/authority.h"

#define REMOTE_SILENT_US                                                                                     \
    INT64_C(1000000) /* who did not answer is not asked for so long, unless by the pulse */

struct remote_conf {
    const struct conf_list *directories; /* http(s)://HOST:PORT, or the path of a unix socket */
    const struct conf_list *key;         /* ours; the last one signs */
    view name;                           /* ours */
};

struct remote;

/* The settings by themselves. RC_BAD_INPUT: a sentence that names the key. No directory at all is fine. */
MUST_USE rc remote_check(const struct conf_list *directories, const struct conf_list *key, struct err *e);
/* At least one directory. Texts are copied. RC_BAD_INPUT as above. */
MUST_USE rc remote_new(const struct remote_conf *c, const struct clock *clock, struct remote **out,
                       struct err *e);
void remote_free(struct remote *r); /* after all calls; NULL is fine */

size_t remote_count(const struct remote *r);
const char *remote_address(const struct remote *r, size_t i); /* as configured, for the log */

/* POST /internal/v1/<path> to directory i. *out: the answer's object, the caller's.
 * RC_AWAY: no answer, or 503. RC_FORBIDDEN: it does not know our key, or our clock is wrong. RC_BROKEN: an answer that is none. */
MUST_USE rc remote_call(struct remote *r, size_t i, const char *path, view body, long timeout_ms,
                        json_t **out, struct err *e);

/* Reads an answer into out. RC_OK or RC_DENIED: that is what the directory says. Anything else: it makes no sense, the next may know. */
typedef rc remote_reader(const json_t *answer, void *out, struct err *e);
/* Asks the one that answered last, then the others, until one knows. RC_AWAY: none of them does; e tells of the last one. */
MUST_USE rc remote_ask(struct remote *r, const char *path, view body, long timeout_ms, remote_reader *read,
                       void *out, struct err *e);

/* For authority_new, by remote_ask. */
struct authority_driver remote_authority(struct remote *r);

#endif
