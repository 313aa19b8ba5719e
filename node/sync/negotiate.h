/* Formats of bodies: what a Content-Type says, and what an Accept header asks for. Pure; any thread. */
#ifndef HEDDLE_SYNC_NEGOTIATE_H
#define HEDDLE_SYNC_NEGOTIATE_H

#include "common/base/err.h"
#include "common/base/view.h"

enum format {
    FORMAT_NONE,     /* nothing that we have */
    FORMAT_JSON,     /* application/json */
    FORMAT_NEWLINES, /* application/newlines */
    FORMAT_WHOISI    /* application/whoisi: 4 bytes of length before each record (1.1) */
};

/* What of json and newlines an Accept header prefers: the highest q; json where they are equal, where only a wildcard or no
 * header stands. Parameters are ignored; an element whose q cannot be read, too; a header without one readable
 * element counts as none. FORMAT_NONE: neither is acceptable.
 * Protocol: Storage API 1.5, "Response bodies". */
enum format accept_best(view header);

/* The same of three, for 1.1, which knows no 406: never FORMAT_NONE. newlines wins over whoisi.
 * Protocol: Storage API 1.1, "Negotiation". */
enum format accept_best_legacy(view header);

/* The format of a 1.5 body. type: lower case, without parameters; VIEW_NONE or empty: no header, which means json. text/plain
 * is json, as Firefox sends it. RC_MEDIA_TYPE: none of ours, or newlines where one object is wanted. */
MUST_USE rc body_format(view type, bool one_object, enum format *out, struct err *e);

#endif
