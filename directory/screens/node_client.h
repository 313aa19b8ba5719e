/* Somebody's data, through the public API of his node, with a token minted for him: the directory is a client like any other. */
#ifndef HEDDLE_SCREENS_NODE_CLIENT_H
#define HEDDLE_SCREENS_NODE_CLIENT_H

#include "common/base/json.h"
#include "directory/screens/page.h"

/* One question below /1.5/<uid>. answer: as for call(). RC_OK whatever the status but 5xx and 401, which are RC_AWAY. */
MUST_USE rc node_ask(struct page *p, const struct account *acc, const char *method, const char *rest,
                     size_t answer_max, struct answer *out, struct err *e);
/* GET of an object or a list; *out is the caller's. RC_AWAY: no usable answer. */
MUST_USE rc node_json(struct page *p, const struct account *acc, const char *rest, json_t **out,
                      struct err *e);
/* Everything he has there. */
MUST_USE rc node_clear(struct page *p, const struct account *acc, struct err *e);

#endif
