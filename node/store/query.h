/* A query as a statement, and the token that names its next page. */
#ifndef HEDDLE_STORE_QUERY_H
#define HEDDLE_STORE_QUERY_H

#include "node/store/internal.h"

#define QUERY_IDS_MAX 8192 /* in one statement */

/* Where a reading stands. Orders by time resume at a stamp and skip those already seen with it ("<ms>_<n>"), the order by id behind
 * the last one seen ("i<hex>"), those by sortindex count from the beginning ("<n>"). */
struct page {
    bool by_time, by_id;
    bool resumes;    /* at_ms or after_id is a bound */
    int64_t at_ms;   /* the stamp of the last item passed */
    uint64_t passed; /* how many: by time, with at_ms; else in all */
    uint64_t skip;   /* rows to leave out at the beginning */
    size_t after_n, last_n;
    char after_id[ITEM_ID_MAX]; /* by id: the bound, which stays what it is while its statement runs */
    char last_id[ITEM_ID_MAX];  /* by id: the last one passed */
};

/* Protocol: Storage API 1.5 "offset". RC_BAD_INPUT: not a token of ours, or outside newer and older. */
MUST_USE rc page_open(const struct item_query *q, struct page *out, struct err *e);
void page_pass(struct page *p, view id, int64_t modified_ms);
/* By id: the next statement begins behind the last one passed, if there is one. */
void page_go_on(struct page *p);
view page_token(const struct page *p, struct arena *a);

enum query_want {
    WANT_ITEMS,          /* unexpired ones: ITEM_COLUMNS, BARE_COLUMNS or BRIEF_COLUMNS */
    WANT_ITEMS_AND_DEAD, /* all: whoever reads them looks at `expires`, which is cheaper than a condition */
    WANT_AS_THEY_LIE,    /* the same, along MySQL's primary key, but in no order that was asked for */
    WANT_IDS,            /* of unexpired ones: id, 0 */
    WANT_IDS_AND_DEAD    /* of all: id, 1 if expired */
};

/* Bound and ready to step. limit 0: all. n_ids must be 1 … QUERY_IDS_MAX where has_ids (RC_BAD_INPUT above). Items are given only if
 * the head's row is the same as tx->head, where tx->asked_colls tells to ask for that. */
MUST_USE rc query_statement(struct store_txn *tx, const struct item_query *q, uint32_t coll,
                            const struct page *p, enum query_want want, uint64_t limit, struct stmt **out,
                            struct err *e);

#endif
