/* The admin's own folder: plans, journals of runs, the audit log. Made when it is first needed, for its owner alone. */
#ifndef HEDDLE_ADMIN_FOLDER_H
#define HEDDLE_ADMIN_FOLDER_H

#include "admin/admin.h"

/* The path of admin.dir (or where it is by default), or of `part` in it ("runs"). RC_BAD_INPUT: there is none and it cannot be made. */
MUST_USE rc folder_path(const struct admin_conf *c, const char *part, struct buf *out, struct err *e);

/* Writes a whole file so that others see the old one or the new one, and a power cut leaves one of them. */
MUST_USE rc folder_write(const char *path, view text, struct err *e);
/* RC_NOT_FOUND: there is none; RC_TOO_LARGE: more than most bytes. */
MUST_USE rc folder_read(const char *path, size_t most, struct buf *out, struct err *e);

#endif
