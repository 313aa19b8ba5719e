/* What nodes hold of a user, compared: the owner's data with what other nodes still or already have of him (a node that he left keeps his
 * data for purge.gone), and the owner with the directory. An item that differs is damaged unless the owner has written it since. */
#ifndef HEDDLE_ADMIN_VERIFY_H
#define HEDDLE_ADMIN_VERIFY_H

#include "admin/subject.h"

/* Appends to *out, an object: {"uid","name","node","epoch","holders":[{"node","state","epoch","role","colls":[…],"changed","damaged",
 * "missing","extra"}],"faults":["…"]}. "changed" counts what was written or deleted since that copy was taken. *out: json_decref. */
MUST_USE rc verify_user(struct reach *r, view who, json_t **out, struct err *e);

/* ---- verify_items.c ---- */

struct verify_side {
    view node;
    const json_t *usage; /* as the node gave it */
};
struct verify_result {
    uint64_t same, changed, damaged, missing, extra;
    json_t *examples; /* array of texts, a few; the caller's */
};
/* Items of the two, one by one. */
MUST_USE rc verify_items(struct reach *r, int64_t uid, const struct verify_side *owner,
                         const struct verify_side *copy, struct verify_result *out, struct err *e);

#endif
