/* The files of /media: a program's own, those that all pages share, and the operator's from screens.folder, which come first. All in
 * memory, read at start. */
#ifndef HEDDLE_PAGE_MEDIA_H
#define HEDDLE_PAGE_MEDIA_H

#include "common/page/embedded.h"
#include "common/page/site.h"
#include "common/web/request.h"

/* folder: "" for none. RC_BAD_INPUT: it cannot be read, or holds too much (64 files, 2 MB together). */
MUST_USE rc media_open(const char *folder, const struct embedded_file *own, struct media **out,
                       struct err *e);
void media_close(struct media *m); /* NULL is fine */

/* Answers a request for the file of that name; "logo" is the operator's logo, or ours. RC_NOT_FOUND. */
MUST_USE rc media_reply(const struct site *s, struct request *rq, view name, struct err *e);

#endif
