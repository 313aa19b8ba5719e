/* A QR code as SVG, for addresses that people would have to type on a phone. */
#ifndef HEDDLE_SCREENS_QR_H
#define HEDDLE_SCREENS_QR_H

#include "common/base/buf.h"
#include "common/base/err.h"

/* Appends <svg …>; one path, dark on white whatever the page's colours are. RC_BAD_INPUT: a text too long for it. */
MUST_USE rc qr_put(struct buf *b, const char *text, struct err *e);

#endif
