/* The internal routes of the directory: what nodes and the admin may ask. Protocol: docs/internal-api.md. */
#ifndef HEDDLE_DIRECTORY_INTERNAL_H
#define HEDDLE_DIRECTORY_INTERNAL_H

#include "common/base/json.h"
#include "common/web/internal.h"
#include "directory/inside.h"
#include "directory/news.h"

struct loads;

struct internal {
    struct callers *callers;
    struct news *news;
    struct loads *loads; /* the last pulse of each node */
};

/* directory.c opens and closes it; not in the one box, where all this is a function call. */
MUST_USE rc internal_open(struct directory *d, const struct conf_list *keys, struct err *e);
void internal_close(struct directory *d); /* also when there is none */

/* ---- internal_nodes.c ---- */
handler_fn internal_node_list, internal_node_get, internal_node_put, internal_node_delete;

/* ---- internal_pulse.c ---- */
handler_fn internal_pulse, internal_loads;
struct loads *loads_new(void);
void loads_free(struct loads *l);

#endif
