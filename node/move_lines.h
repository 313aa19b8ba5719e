/* Lines and pages of a move, as they go over the wire between two nodes (the admin carries them). A page is lines and, last, its sum:
 *
 *     …lines…
 *     {"sum":"<SHA-256, hex, of the call's target, a line feed, and all lines before this one>"}
 *
 * so a page that was cut, changed, put together anew or sent under another call is refused before anything of it is used. Lines are taken
 * in the one form that move.h writes: read, written again and compared.
 * Protocol: docs/internal-api.md, "Moving a user". */
#ifndef HEDDLE_NODE_MOVE_LINES_H
#define HEDDLE_NODE_MOVE_LINES_H

#include "common/base/json.h"
#include "node/store/move.h"

#define MOVE_PAGE_BYTES ((size_t)1 << 20)  /* lines of a page; a single row may be longer than that */
#define MOVE_PAGE_MAX   ((size_t)64 << 20) /* ceiling of what is taken */

/* Ends the page. target: path and query of the call it belongs to, byte for byte. */
void lines_end(struct buf *page, view target);
/* The lines of a page, each with its "\n". RC_BAD_INPUT: not the page that was sent. */
MUST_USE rc lines_open(view page, view target, view *out_lines, struct err *e);

/* All: RC_BAD_INPUT where the line is not exactly what would be written for it. Texts live in the arena. */
MUST_USE rc line_read_head(view line, struct arena *a, struct head *out, struct err *e);
MUST_USE rc line_read_entry(view line, struct arena *a, struct manifest_entry *out, struct err *e);
/* Its texts live as long as *out_keep, which is the caller's: payloads are too large for a request's arena. */
MUST_USE rc line_read_row(view line, struct import_row *out, json_t **out_keep, struct err *e);

/* A place in the manifest as one word for a query, at most KEY_TEXT_MAX bytes; "" is before the first. */
#define KEY_TEXT_MAX 132
view key_text(struct arena *a, const struct item_key *k);
bool key_parse(view text, struct arena *a, struct item_key *out);

#endif
