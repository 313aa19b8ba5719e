/* The internal routes of the directory: what nodes and the admin may ask. Protocol: docs/internal-api.md. */
#ifndef HEDDLE_DIRECTORY_INTERNAL_H
#define HEDDLE_DIRECTORY_INTERNAL_H

#include <stdatomic.h>

#include "common/base/json.h"
#include "common/web/internal.h"
#include "directory/inside.h"
#include "directory/news.h"

struct loads;

struct internal {
    struct callers *callers;
    struct news *news;
    struct loads *loads;                        /* the last pulse of each node */
    int64_t opened_us;                          /* steady clock */
    _Atomic int64_t settled_us, settled_failed; /* INT64_MIN: not since the start */
};

/* directory.c opens and closes it. (The node of the one box asks by function calls; the operator asks here.) */
MUST_USE rc internal_open(struct directory *d, const struct conf_list *keys, struct err *e);
void internal_close(struct directory *d); /* also when there is none */

/* ---- internal_nodes.c ---- */
handler_fn internal_node_list, internal_node_get, internal_node_put, internal_node_delete;
void internal_put_text(struct buf *b, const char *name, view value); /* ,"name":"value"; "" for VIEW_NONE */

/* ---- internal_accounts.c: what the admin reads ---- */
handler_fn internal_account_list, internal_account_get, internal_account_explain, internal_erase_list;
void internal_account_put(struct buf *b, const struct account *acc); /* one JSON object */
/* The number of an account in the path. RC_NOT_FOUND: not one. */
MUST_USE rc internal_uid(const struct request *rq, int64_t *out, struct err *e);

/* ---- internal_change.c: what the admin changes ---- */
handler_fn internal_account_cas, internal_account_disable, internal_account_enable, internal_account_delete,
    internal_erase_done, internal_node_seats, internal_news;

/* ---- internal_reset.c ---- */
handler_fn internal_account_reset;

/* ---- internal_invites.c ---- */
handler_fn internal_invite_make, internal_invite_list, internal_invite_revoke, internal_sweep;

/* ---- internal_mail.c ---- */
handler_fn internal_mail_newest;

/* ---- internal_settled.c ---- */
handler_fn internal_settled_put, internal_settled_get;

/* ---- internal_token.c ---- */
handler_fn internal_token;

/* ---- internal_pulse.c ---- */
handler_fn internal_pulse, internal_loads, internal_news_get;
/* What is known of a node from its pulses. */
struct load_heard {
    int64_t silent_ms; /* how long it should have been heard and was not; 0 while no node was ever heard */
    int64_t users;     /* as it counts them; below 0: it did not say */
    int64_t queue;     /* requests that wait there; below 0: it did not say */
};
void loads_heard(struct loads *l, view name, int64_t now_us, struct load_heard *out);
struct loads *loads_new(void);
void loads_free(struct loads *l);

#endif
