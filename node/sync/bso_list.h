/* The body of a POST: many records, of which each may fail by itself. What is good becomes an array of patches for the store; what
 * is not becomes text of the answer. Pure; one thread at a time.
 * Protocol: Storage API 1.5, "POST storage/<collection>"; Storage API 1.1, "POST (batch)". */
#ifndef HEDDLE_SYNC_BSO_LIST_H
#define HEDDLE_SYNC_BSO_LIST_H

#include "node/sync/bso.h"
#include "node/sync/negotiate.h"

/* So many records above max_post_records are looked at, to be named in `failed`; a list that is longer still is refused. */
#define BSO_LIST_SURPLUS 10000

struct bso_list {
    struct item_patch *patches; /* of distinct ids; in the arena */
    size_t n;
    uint64_t payload_bytes; /* of all good records, a repeated id counted each time */
    struct buf success;     /* "id","id" */
    struct buf failed;      /* "id":"why","id":"why"; 1.1: lists of reasons */
    bool single;            /* 1.1: the body was one object, not a list */
    json_t **roots; /* keep views of patches alive, those that do not point into the body or the arena */
    size_t n_roots;
};

/* Reads a whole body; format is JSON or NEWLINES. What is wrong with the list itself fails: RC_BAD_INPUT with RESP_JSON,
 * RESP_INVALID_WBO, or RESP_TOO_LARGE beyond BSO_LIST_SURPLUS. Views in *out live as long as it, the body and the arena.
 * On failure there is nothing to be done. */
MUST_USE rc bso_list_read(view body, enum format format, const struct bso_ctx *c, struct bso_list *out,
                          struct err *e);
void bso_list_done(struct bso_list *l);

static inline void bso_list_done_scoped(struct bso_list *l)
{
    bso_list_done(l);
}

/* "success":[…],"failed":{…} */
void bso_list_put(struct buf *b, const struct bso_list *l);

#endif
