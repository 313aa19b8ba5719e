/* One record on the wire, in both protocols: BSO (1.5) and WBO (1.1). Reading checks it field by field against a table; writing puts
 * JSON straight into a buffer. Lists of them: bso_list.h. Pure; any thread.
 * Protocol: Storage API 1.5, "BSO fields", "Bad input"; Storage API 1.1, "WBO fields", "Bad input". */
#ifndef HEDDLE_SYNC_BSO_H
#define HEDDLE_SYNC_BSO_H

#include <jansson.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "node/store/store.h"

/* What a body may hold. */
struct bso_rules {
    bool legacy; /* 1.1 */
    int64_t max_payload_bytes;
    int64_t max_post_bytes;
    int64_t max_post_records;
};

/* Structure in the text of one record (brackets, commas, colons outside strings): what has more of it is no record, and is
 * refused before it is built, so that a small body cannot become a large tree. */
#define BSO_PARTS_MAX 1024

#define BSO_TTL_LEGACY_MAX INT64_C(31536000)
#define BSO_PARENT_MAX     64 /* bytes of parentid and predecessorid */

/* One member of a record: checks the value (never null) and sets its part of the patch. Gives NULL, or why it is invalid, in words
 * that both protocols know. */
struct bso_ctx {
    const struct bso_rules *rules;
    struct arena *arena;
};

/* The record's own id: as sent, or made of a number or boolean (1.1). VIEW_NONE: none, or nothing that can be one. It may still be
 * illegal (bso_id_ok). Lives as long as o or the arena. */
view bso_id(const json_t *o, const struct bso_ctx *c);
bool bso_id_ok(view id, const struct bso_ctx *c);

/* Fills all of *out but the id from an object. NULL: good; else why not: "invalid ttl", "unknown field x". Views live as long as
 * o or the arena. */
const char *bso_fill(const json_t *o, const struct bso_ctx *c, struct item_patch *out);

/* The body of a PUT to an item whose id is given; or, with id VIEW_NONE, one whose body must name it (1.1). *out_root (it may be
 * NULL), the body and the arena keep the views alive; the caller's, json_decref. RC_BAD_INPUT with RESP_JSON or RESP_INVALID_WBO. */
MUST_USE rc bso_read(view body, view id, const struct bso_ctx *c, struct item_patch *out, json_t **out_root,
                     struct err *e);

/* Walks over one JSON value from *at on without judging it; stops at the ',' or the closing bracket that ends it, or at the end.
 * *out_parts counts its structure. RC_BAD_INPUT with RESP_JSON: nested deeper than max_depth. */
MUST_USE rc bso_extent(view text, size_t *at, unsigned max_depth, unsigned *out_parts, struct err *e);

/* A time and its text: records that came together share it, so it is printed once. At first zero. */
struct time_text {
    stamp time;
    size_t n; /* 0: none yet */
    char text[STAMP_TEXT_MAX];
};

/* {"id":…,"modified":…,"payload":…} and the members that have a value; *last is of the record before. */
void bso_put(struct buf *b, const struct item *it, bool legacy, struct time_text *last);

#endif
