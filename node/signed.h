/* What a client signed, which is not always what reached us. Any thread. */
#ifndef HEDDLE_NODE_SIGNED_H
#define HEDDLE_NODE_SIGNED_H

#include "common/auth/hawk.h"
#include "common/web/request.h"
#include "node/node.h"

/* The client signed the public address: its scheme's port, its host, and its path with the public base. A proxy may have stripped the
 * base on the way; then the target came without it. */
bool signed_fits(const struct request *rq, const struct node *n, view key, const struct hawk_header *h);

/* Tells the operator, in the log, which of method, path, host, port would have made the MAC fit: the usual cause is a proxy, or public.url.
 * Costs up to 256 signatures: not for each request. */
void signed_tell(const struct request *rq, const struct node *n, view key, const struct hawk_header *h);

#endif
