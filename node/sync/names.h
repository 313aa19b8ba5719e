/* Which names are legal: of users, collections and items, in both protocols. Pure; any thread. */
#ifndef HEDDLE_SYNC_NAMES_H
#define HEDDLE_SYNC_NAMES_H

#include "common/base/view.h"
#include "node/store/store.h"

/* 1.5: [a-zA-Z0-9._-]{1,32}. "." and ".." are no names: what walks about in paths is refused there. */
bool coll_name_ok(view name);
/* 1.1: the same letters, any length; too long a name is an empty collection for readers and an error for writers. */
bool coll_name_legacy_ok(view name);
/* 1.5: 1 to 64 bytes of 0x20..0x7E. */
bool item_id_ok(view id);
/* 1.1: the same without '/'. */
bool item_id_legacy_ok(view id);

bool uid_ok(view segment);            /* [0-9]{1,10} */
bool user_name_ok(view segment);      /* [a-zA-Z0-9._-]+ */
bool legacy_version_ok(view segment); /* "1.1", "1.0", "1" */
bool item_segment_ok(view segment);   /* 1.5: an id that can stand in a path; not '/', "." or ".." */
bool any_segment_ok(view segment);    /* 1.1: the handler tells what is wrong with an id */

#endif
