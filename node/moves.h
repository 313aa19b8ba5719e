/* What the admin asks a node when users move: their heads, the steps of the fence, and the data out and in. Thin over node/store/move.h.
 * Protocol: docs/internal-api.md, "Admin to node". */
#ifndef HEDDLE_NODE_MOVES_H
#define HEDDLE_NODE_MOVES_H

#include "common/web/reply.h"
#include "node/internal.h"

/* ---- moves.c ---- */
handler_fn moves_heads, moves_head, moves_step;

struct move;
/* uid of the path, move and epoch of the query. RC_BAD_INPUT. */
MUST_USE rc moves_args(const struct request *rq, struct move *out, struct err *e);
/* An argument of the query, VIEW("") where it is absent. */
view moves_arg(const struct request *rq, const char *name);

/* "base" of the query becomes that of the transaction's manifest. RC_BAD_INPUT. */
MUST_USE rc moves_base(const struct request *rq, struct store_txn *tx, struct err *e);

/* ---- moves_export.c: of what is here ---- */
handler_fn moves_manifest, moves_export, moves_usage;

/* ---- moves_import.c: of what comes ---- */
handler_fn moves_compare, moves_import;

#endif
