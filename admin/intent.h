/* What stands in an account while it is on its way: the one value over which movers and settlers race. All that a settler needs is in it,
 * for the account may get another number or another owner in the meantime.
 *
 *     copy TO MOVE LEASE UID EPOCH    data are being copied; the mover has time until LEASE (seconds), then others may give it up
 *     abort TO MOVE UID EPOCH         it was given up: TO drops, the owner thaws
 *     retire FROM MOVE UID EPOCH      the flip is done: the new owner is activated, FROM retires
 *
 * EPOCH is that of the owner before the move; the move leads to EPOCH + 1. Protocol: docs/internal-api.md, "Moving a user". */
#ifndef HEDDLE_ADMIN_INTENT_H
#define HEDDLE_ADMIN_INTENT_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"

enum intent_kind { INTENT_COPY, INTENT_ABORT, INTENT_RETIRE };

struct intent {
    enum intent_kind kind;
    view peer;       /* the other node: the one that copies come to, or the one that retires */
    view move;       /* its id */
    int64_t lease_s; /* of copy alone */
    int64_t uid, epoch;
};

void intent_put(struct buf *out, const struct intent *i);
/* Views of text. RC_BROKEN: none of ours. */
MUST_USE rc intent_parse(view text, struct intent *out, struct err *e);

#endif
