/* HTML from C, escaped by construction: markup stands in string literals alone, and whatever is put into their holes is escaped. There is
 * no way to put in text unescaped but html_raw, for markup that this program made itself (a QR code). Pure; any thread. */
#ifndef HEDDLE_PAGE_HTML_H
#define HEDDLE_PAGE_HTML_H

#include "common/base/buf.h"

/* HTML(b, "<a href=\"{}\">{}</a>", url, text): the holes in order, all views; their number must fit. `fmt` must be a literal: it is pasted to
 * one. Attribute values stand in double quotes. */
#define HTML(b, fmt, ...)                                                                                    \
    html_put((b), "" fmt, &(const view[]){ VIEW_NONE, ##__VA_ARGS__ }[1],                                    \
             sizeof((const view[]){ VIEW_NONE, ##__VA_ARGS__ }) / sizeof(view) - 1)

/* Ends the process when holes and values differ in number: a programmer's mistake. */
void html_put(struct buf *b, const char *fmt, const view *values, size_t n);
void html_escape(struct buf *b, view v);
void html_raw(struct buf *b, view markup);

#endif
