/* What the files of the store share: the structures behind store.h, and the steps that every operation is made of. */
#ifndef HEDDLE_STORE_INTERNAL_H
#define HEDDLE_STORE_INTERNAL_H

#include "node/store/engine.h"
#include "node/store/head.h"
#include "node/store/move.h"
#include "node/store/pool.h"

struct store {
    const struct store_conf *conf;
    const struct clock *clock;
    const struct engine_driver *driver;
    struct engine *engine;
    struct pool *pool;
    int schema_version;
};

struct store_txn {
    struct store_session *session;
    struct conn *conn;
    struct arena *arena;
    enum store_mode mode;
    struct head *head;       /* in the arena */
    struct head_coll *colls; /* head->colls, to be changed */
    size_t colls_cap;
    const struct head *saved; /* what the row is already in it, see store_begin; NULL: what it was */
    view saved_colls;         /* … packed */
    stamp t;                  /* of this write */
    bool dirty;               /* the head is to be saved */
    stamp base;               /* of the manifest, see store_manifest_base */
    int64_t now_ms;           /* what has expired by then is missing. In a write: T; in a read:
                               * the wall clock, but never before the last stamp given */
    view
        asked_colls; /* packed: of a head that is read by, if each statement asks whether its row is the same */
    bool doubt;      /* one of them gave nothing, so it may not be the same */
};

struct store_session {
    struct store *store;
    bool reader, in_txn;
    struct conn *conn;    /* what it has at the moment; NULL: none */
    unsigned shard;       /* of the connection */
    struct store_txn tx;  /* there is one at a time */
    unsigned purge_shard; /* where the next purge begins */
};

/* ---- connections ---- */

/* A connection to a shard, the session's until it asks for one to another shard or rests; opened if none is to be had or the one it
 * has was lost. *out_fresh: it was opened by this call. */
MUST_USE rc session_conn(struct store_session *ss, unsigned shard, struct conn **out, bool *out_fresh,
                         struct err *e);
unsigned session_shard(const struct store_session *ss, int64_t uid);
/* session_conn and begin; a connection that turns out to have been lost in the meantime is opened once more. */
MUST_USE rc session_begin(struct store_session *ss, unsigned shard, enum store_mode mode, struct conn **out,
                          struct err *e);

/* ---- heads ---- */

/* From the columns of the row at hand (enum head_column). spare: room for more collections. RC_BROKEN: not what we write. */
MUST_USE rc head_from_row(struct stmt *st, int64_t uid, size_t spare, struct arena *a, struct head *out,
                          struct head_coll **out_colls, struct err *e);
/* Time as this user counts it: never before the last stamp that was given to him. */
int64_t head_now_ms(const struct head *h, const struct clock *clock);
/* The collections as the head's row has them. */
view head_colls_packed(const struct head *h, struct arena *a);

struct new_head {
    int64_t uid, epoch;
    enum head_state state;
    view move; /* VIEW_NONE: none */
};
/* Makes an empty head unless there is one, in a transaction of its own: locking a row that is missing makes neighbours deadlock. */
MUST_USE rc head_insert(struct store_session *ss, const struct new_head *h, struct err *e);

/* ---- inside a transaction ---- */

/* Begins without the fence and without a stamp, for moves; nothing has expired in it. A write holds the head's lock. *out_found false:
 * there is no row, and store_head tells HEAD_NONE. */
MUST_USE rc tx_open(struct store_session *ss, int64_t uid, enum store_mode mode, struct arena *a,
                    struct store_txn **out, bool *out_found, struct err *e);

MUST_USE static inline rc tx_stmt(struct store_txn *tx, enum sql_id id, struct stmt **out, struct err *e)
{
    return conn_stmt(tx->conn, id, out, e);
}

/* Runs a statement whose ?1 is the user, and ?2, where it has one, that text or number. */
MUST_USE rc tx_run(struct store_txn *tx, enum sql_id id, struct err *e);
MUST_USE rc tx_run_text(struct store_txn *tx, enum sql_id id, view text, struct err *e);
MUST_USE rc tx_run_number(struct store_txn *tx, enum sql_id id, int64_t number, struct err *e);
/* The first column of the first row, NULL being 0; *out_found (may be NULL): whether there was a row. Parameters are bound. */
MUST_USE rc stmt_number(struct stmt *st, int64_t *out, bool *out_found, struct err *e);

/* The collection, made if missing, without a stamp then. RC_OVER_QUOTA: too many collections. */
MUST_USE rc tx_coll(struct store_txn *tx, view coll, struct head_coll **out, struct err *e);
/* The collection, made if missing, gets T; so do storage time and clock. RC_OVER_QUOTA: too many collections. */
MUST_USE rc tx_touch(struct store_txn *tx, view coll, uint32_t *out_number, struct err *e);
/* Items, collections and batches go; stamps and head are the caller's business. */
MUST_USE rc tx_drop_data(struct store_txn *tx, struct err *e);
MUST_USE rc tx_drop_batches(struct store_txn *tx, struct err *e);
/* T is used up without a collection: storage time and clock move. */
void tx_use_stamp(struct store_txn *tx);
void tx_used_more(struct store_txn *tx, int64_t bytes);

/* ---- items ---- */

#define FIELDS_ALL                                                                                           \
    (FIELD_PAYLOAD | FIELD_SORTINDEX | FIELD_TTL | FIELD_PARENTID | FIELD_PREDECESSORID | FIELD_TOUCHES)

/* The user's collections by name, in the arena. */
const struct head_coll **colls_by_name(const struct head *h, struct arena *a);

/* A stretch of one collection in the order of ids. VIEW_NONE as `upto`: to the end. */
struct walk {
    uint32_t coll;
    view upto;
    struct buf *after; /* ids above this; becomes the last id seen */
    unsigned most;     /* rows at once */
};
/* Reads at most `most` of them, expired ones too; *out_n: how many were read, fewer than `most` at the end of the stretch. */
MUST_USE rc items_walk(struct store_txn *tx, struct walk *w, item_visitor *visit, void *arg, unsigned *out_n,
                       struct err *e);
#define WALK_ROWS 500

/* Whether the manifest looks into it: every write to a collection gives it a stamp. */
static inline bool coll_is_newer(const struct store_txn *tx, const struct head_coll *c)
{
    return c->modified.cs > tx->base.cs;
}

/* SHA-256 of an item's line; `line` is scratch. */
void item_hash(struct buf *line, view coll, const struct item *it, uint8_t out[SHA256_BYTES]);

/* The item in the row at hand, its columns beginning at `first`; views as the row has them. */
void item_from_row(struct stmt *st, unsigned first, struct item *out);
/* The row of a listing: columns ITEM_COLUMNS, BARE_COLUMNS, or without payload BRIEF_COLUMNS. false: it has expired. */
bool item_from_listing(const struct store_txn *tx, struct stmt *st, const struct item_query *q,
                       struct item *out);

/* ---- batches ---- */

/* store_items_put for some of a batch: each gets T whatever it sets, and later ones add to earlier ones, whatever ttl these have.
 * *stillborn becomes true where one has a ttl of 0: then tx_batch_settle comes last. */
MUST_USE rc tx_batch_put(struct store_txn *tx, view coll, const struct item_patch *patches, size_t n,
                         bool *stillborn, struct err *e);
MUST_USE rc tx_batch_settle(struct store_txn *tx, view coll, struct err *e);

#endif
