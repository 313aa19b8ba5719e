/* The record that clients really write, read without building it: one object, its members plain. Anything else — an escape with
 * \u, a byte beyond ASCII, null, a member twice, a field that is unknown or out of range — is left to bso.h, which also knows how to
 * say what is wrong; so whatever is taken here means exactly what it means there. Pure; any thread.
 * It is not the reader of directory/flat_json.h, which takes any members, but no blanks and no escapes: what both have in common is a line. */
#ifndef HEDDLE_SYNC_BSO_SCAN_H
#define HEDDLE_SYNC_BSO_SCAN_H

#include "node/sync/bso.h"

/* Reads the object at text[*at] (blanks before it are skipped), and sets *at behind it and the blanks that follow. out->id is its own
 * id, which is legal, or VIEW_NONE. Views live as long as text and the arena, of which at most the half is taken.
 * false: not that plain; nothing has changed. */
bool bso_scan(view text, size_t *at, const struct bso_ctx *c, struct item_patch *out);

#endif
