/* The files of /media: ours, and the operator's from screens.folder (which come first). All in memory, read at start. */
#ifndef HEDDLE_SCREENS_MEDIA_H
#define HEDDLE_SCREENS_MEDIA_H

#include "directory/screens/screens.h"

/* folder: "" for none. RC_BAD_INPUT: it cannot be read, or holds too much (64 files, 2 MB together). */
MUST_USE rc media_open(const char *folder, struct media **out, struct err *e);
void media_close(struct media *m); /* NULL is fine */

#endif
