/* The only door: headers → credential → who. The mount's admit functions (common/web/router.h); rq->app is the struct node.
 *
 *   AUTH_HAWK, AUTH_HAWK_GRACE   a token and its signature: CPU only, in the order of the protocol's table
 *   AUTH_BASIC                   a remembered verdict, else admit_late asks the directory on a worker; again where the user's head is
 *                                newer than what is remembered: he was moved here since
 *   AUTH_NONE, AUTH_SELF         nobody is asked; rq->who stays empty
 *
 * The user of the URL is the parameter {uid} or {user} of the route's pattern and must be the credential's. Why a credential was
 * refused stands in rq->log_reason and the counter heddle_hawk_refused_total or heddle_basic_refused_total, never in the reply.
 * Too many refusals of one address are answered RC_BUSY (strikes.h).
 *
 * Protocol: "Verification order" of hawk-and-tokens; Storage API 1.1, "Authentication"; docs/protocol-notes.md has the choices. */
#ifndef HEDDLE_NODE_ADMIT_H
#define HEDDLE_NODE_ADMIT_H

#include "common/web/request.h"
#include "node/node.h"

struct admit;

struct admit *admit_new(const struct node *n);
void admit_free(struct admit *a);

rc admit_headers(struct request *rq, bool *out_late, struct err *e); /* mount.admit: io thread */
rc admit_late(struct request *rq, struct err *e);                    /* a worker */
rc admit_body(struct request *rq, struct err *e);                    /* payload hash; any */
rc admit_renew(struct request *rq, struct err *e);                   /* sync_node.renew */

/* The window for Hawk's time stamps. In strict mode 60 s, unless another is set than the default of 52 weeks. */
#define HAWK_WINDOW_LAX_S    INT64_C(31449600)
#define HAWK_WINDOW_STRICT_S INT64_C(60)
int64_t admit_hawk_window_s(const struct node_conf *c);

#endif
