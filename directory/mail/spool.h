/* Folders of small files: each is whole or not there, and on the disk before anybody hears of it. Names begin with the milliseconds of their
 * making and "-", so that the oldest comes first; what is named otherwise is left alone. Folders 0700, files 0600. Any thread. */
#ifndef HEDDLE_MAIL_SPOOL_H
#define HEDDLE_MAIL_SPOOL_H

#include "common/base/buf.h"
#include "common/base/err.h"

enum { SPOOL_NAME = 64, SPOOL_FILE_MAX = 512 * 1024 };

/* RC_BROKEN. Makes the folder if it is missing. */
MUST_USE rc spool_folder(const char *dir, struct err *e);
/* The same with queue/ and failed/ in it. */
MUST_USE rc spool_prepare(const char *dir, struct err *e);
/* A new name: "0001767225600123-9c1f….<kind>"; kind has at most 8 letters; "": without the dot. */
void spool_name(int64_t now_us, const char *kind, char out[SPOOL_NAME]);
/* Puts `head` and `body` into dir/name: whole or not at all, and on the disk. RC_AWAY. */
MUST_USE rc spool_put(const char *dir, const char *name, view head, view body, struct err *e);
/* Names of files in dir, oldest first. *out: malloc, of n; others' files are left out. RC_AWAY. */
MUST_USE rc spool_list(const char *dir, char (**out)[SPOOL_NAME], size_t *out_n, struct err *e);
/* Appends the file. RC_NOT_FOUND; RC_BROKEN: larger than SPOOL_FILE_MAX; RC_AWAY. */
MUST_USE rc spool_read(const char *dir, const char *name, struct buf *out, struct err *e);
/* false: it stays where it is; errno says why. */
bool spool_drop(const char *dir, const char *name);
bool spool_move(const char *from, const char *to, const char *name);
/* Removes the oldest beyond `kept`. */
void spool_trim(const char *dir, int64_t kept);
/* Milliseconds since 1970 at the beginning of a name; 0: no name of ours. */
int64_t spool_name_ms(const char *name);

#endif
