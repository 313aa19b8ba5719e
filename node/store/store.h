/* The store of one node: users' heads, their items, their open batches; MariaDB or SQLite. No SQL here, no HTTP.
 *
 * A session belongs to one thread. store_begin takes the user's lock, checks the fence and fixes the stamp; everything else
 * needs the transaction it gives. Writing locks the head row, reading uses one snapshot. One transaction at a time in a session.
 *
 * The fence: each user has a head row with the epoch of his owner; every transaction compares the epoch of its credential with it
 * in the same transaction as the data. So whatever goes wrong elsewhere, an old owner refuses (docs/architecture.md).
 *
 * Failures all functions may give, beside their own: RC_AWAY (the database does not answer; the session mends itself at the next
 * begin), RC_BUSY (lock wait over, disk full), RC_BROKEN (it says what it never should). After a failure only store_rollback. */
#ifndef HEDDLE_STORE_H
#define HEDDLE_STORE_H

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/conf.h"
#include "common/base/err.h"
#include "common/base/scope.h"
#include "common/base/stamp.h"

#define COLL_NAME_MAX  32
#define ITEM_ID_MAX    64
#define BATCH_ID_BYTES 18 /* random ones */
#define BATCH_ID_TEXT  24 /* … in base64url. Not 22: see batch.c on programs of before */

/* ---- life ---- */

/* Keys of [store]. */
struct store_conf {
    char *driver;  /* "sqlite" or "mysql" */
    char *path;    /* sqlite: folder of the files; made if missing */
    int64_t files; /* sqlite: over how many files users are spread; fixed when the folder is made */
    bool durable;  /* sqlite: synchronous=FULL;
                    * mysql: refuse to start where innodb_flush_log_at_trx_commit is not 1 */
    char *host, *socket, *user, *password, *database; /* mysql; socket wins over host */
    int64_t port;
    int64_t lock_wait_s;         /* how long a writer waits for the user's lock */
    int64_t connect_s, answer_s; /* mysql time limits */
    int64_t wide_writers;        /* mysql: who write many rows at the same moment; 0: cores and one more */
    int64_t cache_bytes;         /* sqlite: page cache of a reader's connection */
    int64_t kept_bytes; /* sqlite: page caches of all files' other connections, while nobody uses them */
};
extern const struct conf_key store_conf_keys[];
extern const size_t store_conf_keys_n;

struct store;
struct store_session;
struct store_txn;

/* Without touching the outside: RC_BAD_INPUT where there is no such driver. */
MUST_USE rc store_check(const struct store_conf *c, struct err *e);

/* Opens, checks and migrates the schema. RC_BAD_INPUT: wrong settings, or a database newer than this program (err.text says
 * it in a sentence). Conf and clock are borrowed. */
MUST_USE rc store_open(const struct store_conf *c, const struct clock *clock, struct store **out,
                       struct err *e);
void store_close(struct store *s);                    /* all sessions must be closed */
const char *store_driver_name(const struct store *s); /* "sqlite", "mysql" */
int store_schema_version(const struct store *s);
/* Whether reading is work of this process, out of files, and no waiting for a server. */
bool store_is_embedded(const struct store *s);

/* reader: a session that will only read (never waits for a writer): for io threads. It takes a connection when it needs one, and opens
 * it when none lies ready. */
MUST_USE rc store_session_open(struct store *s, bool reader, struct store_session **out, struct err *e);
/* Outside of a transaction: what it has taken is laid ready for others. Before its thread waits for anything. */
void store_session_rest(struct store_session *ss);
void store_session_close(struct store_session *ss);
MUST_USE rc store_ping(struct store_session *ss, struct err *e);

/* ---- the store as a whole (facts.c) ---- */

#define HEAD_STATES 6 /* of enum head_state */

struct store_facts {
    uint64_t heads[HEAD_STATES]; /* how many are in each state */
    uint64_t bytes;              /* on disk, with indexes; MySQL: as it estimates them */
    char folder[256];            /* where that is; "": not known, or on another machine */
};
/* Reads the whole table of heads, no items: not for each request. */
MUST_USE rc store_facts(struct store_session *ss, struct store_facts *out, struct err *e);

/* Whether what was committed survives a power cut, by the database's own account. */
struct store_durability {
    bool durable;
    char text[120]; /* "synchronous=2";
                     * "innodb_flush_log_at_trx_commit=1 log_bin=0 sync_binlog=0 innodb_doublewrite=1" */
};
MUST_USE rc store_durability(struct store_session *ss, struct store_durability *out, struct err *e);

/* ---- notes.c ---- */

#define NOTE_NAME_MAX  64
#define NOTE_VALUE_MAX 4000
/* A fact of the whole node, which all of its processes see and which stays. VIEW_NONE: there is none, or shall be none. */
MUST_USE rc store_note_get(struct store_session *ss, view name, struct arena *a, view *out, struct err *e);
MUST_USE rc store_note_put(struct store_session *ss, view name, view value, struct err *e);

/* A limit of his own, in payload bytes; -1: the node's setting. Whoever calls it drops the cached head. RC_NOT_FOUND: he has no head;
 * RC_CONFLICT: it is not ACTIVE. */
MUST_USE rc store_quota_set(struct store_session *ss, int64_t uid, int64_t quota_bytes, struct arena *a,
                            struct err *e);

/* ---- heads ---- */

/* leaving:  ACTIVE --freeze--> FROZEN --retire--> GONE        (thaw leads back to ACTIVE)
 * coming:   none or GONE of a lower epoch --import--> IMPORTING --seal--> READY --activate--> ACTIVE;  drop leads to GONE */
enum head_state { HEAD_NONE, HEAD_ACTIVE, HEAD_FROZEN, HEAD_IMPORTING, HEAD_READY, HEAD_GONE };

struct head_coll {
    view name;
    uint32_t number; /* of the collection within this user: items carry it instead of the name */
    stamp modified;
};

struct head {
    int64_t uid, epoch;
    enum head_state state; /* HEAD_NONE: no row */
    int64_t since_ms;      /* when this state began */
    stamp clock;           /* last stamp ever given; never falls, not even in a wipe */
    stamp modified;        /* storage time that clients see; 0 after a wipe */
    int64_t used_bytes;    /* payload bytes, never less than the truth; exact after store_used_exact */
    int64_t quota_bytes;   /* a limit of his own; -1: the node's setting */
    const struct head_coll *colls;
    size_t n_colls;
    uint32_t next_number; /* of the next collection with a name of its own */
};

/* Bytes for the cache and back: the packing of the row plus the rest. head.c alone knows it. false: not ours. */
void head_pack(const struct head *h, struct buf *out);
bool head_unpack(view bytes, struct arena *a, struct head *out);
const struct head_coll *head_coll_find(const struct head *h, view name); /* NULL: does not exist */

/* Whether a credential of that epoch may use the data now. READ and WRITE alike. 0: a foreign token.
 * RC_OK, RC_NOT_HERE, RC_FROZEN. A user without a row is welcome. */
MUST_USE rc head_admits(const struct head *h, int64_t epoch, struct err *e);

/* ---- transactions ---- */

enum store_mode { STORE_READ, STORE_WRITE };

struct store_begin {
    int64_t uid;
    int64_t epoch; /* of the credential; 0: none named */
    enum store_mode mode;
    struct arena *arena; /* views that the transaction hands out live here; the caller's, outlives it */
    /* WRITE, optional: what the caller takes for the head, and what he is about to do: items with so many payload bytes are put into
     * `coll`. If the row is exactly that, one statement locks it and saves what it will be, instead of two; if not, or if something
     * else is done then, no harm. Until the commit store_head tells what was there before. */
    const struct head *known;
    view coll;
    int64_t adding_bytes;
};

/* READ: one snapshot; creates nothing. WRITE: the head row is made if missing (in a transaction of its own), locked, checked.
 * RC_NOT_HERE, RC_FROZEN: the fence. *out is released by commit or rollback. */
MUST_USE rc store_begin(struct store_session *ss, const struct store_begin *o, struct store_txn **out,
                        struct err *e);

/* The head as it is inside the transaction (later changes of it show). Lives as long as the arena. */
const struct head *store_head(const struct store_txn *tx);

/* T of this write: max(now, last stamp ever given + 0.01 s). Reading it does not use it up. */
stamp store_stamp(const struct store_txn *tx);

/* Ends the transaction either way. RC_BUSY: the arena ran out, so what was written may be nonsense and was rolled back. RC_UNSURE:
 * the connection broke while committing: it may have happened. */
MUST_USE rc store_commit(struct store_txn **tx, struct err *e);
void store_rollback(struct store_txn *tx); /* takes NULL */
DEFINE_SCOPED(struct store_txn *, store_rollback);

/* ---- items ---- */

struct item {
    view id;
    view payload; /* VIEW_NONE where the query did not ask for it */
    stamp modified;
    int64_t expires_ms; /* 0: never */
    int64_t sortindex;
    bool has_sortindex;
    view parentid, predecessorid; /* VIEW_NONE: null */
};

enum patch_op { PATCH_LEAVE, PATCH_SET, PATCH_CLEAR };

/* One write of one item. Fields that are LEFT keep the stored value, or get the default where the item is new (an expired item
 * counts as new): payload "", the rest null, expires never. */
struct item_patch {
    view id;
    enum patch_op payload_op; /* LEAVE or SET */
    enum patch_op sortindex_op, ttl_op, parentid_op, predecessorid_op;
    view payload;
    int64_t sortindex;
    int64_t ttl_s; /* expiry = time of the write (of the commit, for batches) + ttl_s */
    view parentid, predecessorid;
    bool touches; /* the item's modified becomes T; without it an existing item keeps its own */
};

enum item_order {
    ORDER_NEWEST,        /* modified desc, id desc  (1.5, and its default) */
    ORDER_OLDEST,        /* modified asc, id asc (both) */
    ORDER_INDEX,         /* sortindex desc, null last, id desc (1.5) */
    ORDER_ID,            /* id asc (1.1's default) */
    ORDER_NEWEST_ID_ASC, /* 1.1 */
    ORDER_INDEX_ID_ASC   /* 1.1 */
};

struct item_query {
    view coll;
    const view *ids; /* with has_ids: only these; n_ids 0 then selects nothing */
    size_t n_ids;
    bool has_ids;
    bool has_newer, has_older; /* strict */
    stamp newer, older;
    bool has_index_above, has_index_below; /* strict; null never matches (1.1) */
    double index_above, index_below;
    view parentid, predecessorid; /* VIEW_NONE: any (1.1) */
    enum item_order order;
    bool with_payload; /* also parentid, predecessorid, sortindex, expiry … */
    bool bare;         /* … but of those the sortindex and the expiry alone: 1.5 shows no more */
    bool has_limit;
    uint64_t limit;
    uint64_t skip; /* 1.1's offset */
    view offset;   /* 1.5's token; VIEW_NONE: from the beginning */
};

/* Nothing can match, as the head alone tells: an empty choice, or a collection that has not changed since `newer`. */
bool head_selects_nothing(const struct head *h, const struct item_query *q);

/* false stops the reading (and is no error). Views are valid only during the call. Rows come straight from the database: the visitor
 * must not use the session. */
typedef bool item_visitor(const struct item *it, void *arg);

/* Reads in the asked order; expired items are skipped. *out_next: the token of the next page, in the transaction's arena; VIEW_NONE
 * after the last or without a limit. RC_BAD_INPUT: a token we did not make, or one outside newer/older.
 * An unknown collection is an empty one. Where the head's stamp already answers `newer`, no item is touched. More than 8192 ids in
 * one query: RC_BAD_INPUT. With `skip` there is no token: who counts by himself needs none.
 * Protocol: Storage API 1.5 "limit", "offset". */
MUST_USE rc store_items_find(struct store_txn *tx, const struct item_query *q, item_visitor *visit, void *arg,
                             view *out_next, struct err *e);

/* The same without a transaction, by a head that the caller has read or was told of. It is right where *out_same is true: each
 * statement found the head's row to be h in its own snapshot; else where the head is the same afterwards (store_head_read):
 * whatever changes items changes their head. RC_AWAY also where a connection was lost while idle. */
MUST_USE rc store_items_by_head(struct store_session *ss, const struct head *h, const struct item_query *q,
                                struct arena *a, item_visitor *visit, void *arg, view *out_next,
                                bool *out_same, struct err *e);

/* One unexpired item; views in the transaction's arena. RC_NOT_FOUND. */
MUST_USE rc store_item_get(struct store_txn *tx, view coll, view id, struct item *out, struct err *e);

/* The same with the fence in one statement and without a transaction: the hot path. *out_head: clock, modified, epoch and state
 * are filled, colls too. RC_NOT_FOUND fills out_head as well. Views in the arena. */
MUST_USE rc store_item_read(struct store_session *ss, int64_t uid, int64_t epoch, view coll, view id,
                            struct arena *a, struct head *out_head, struct item *out, struct err *e);
/* One unexpired item by a head that the caller has read or was told of, and whose fence he has checked: one statement, and one table.
 * RC_NOT_FOUND. Views in the arena. */
MUST_USE rc store_item_by_head(struct store_session *ss, const struct head *h, view coll, view id,
                               struct arena *a, struct item *out, struct err *e);
/* One statement, no transaction: the head. HEAD_NONE where there is no row. The fence is NOT checked (head_admits does). */
MUST_USE rc store_head_read(struct store_session *ss, int64_t uid, struct arena *a, struct head *out,
                            struct err *e);

/* Bytes for the cache and back. The id is not in them. false: not ours, or expired by now for the user with that head. Views lie in bytes. */
void item_pack(const struct item *it, struct buf *out);
bool item_unpack(view bytes, view id, const struct head *h, const struct clock *clock, struct item *out);

/* Applies patches of distinct ids; the collection is made if missing and gets T (RC_OVER_QUOTA: the user has
 * 10,000 of them). n may be 0. *out_modified (may be NULL; n must be 1): the item's time afterwards. */
MUST_USE rc store_items_put(struct store_txn *tx, view coll, const struct item_patch *patches, size_t n,
                            stamp *out_modified, struct err *e);

/* RC_NOT_FOUND: missing or expired, nothing changed. Else the collection gets T. */
MUST_USE rc store_item_delete(struct store_txn *tx, view coll, view id, struct err *e);
/* Deletes what the query selects (expired items too, unless limit or skip count); any number of ids without those two; no token.
 * *out_n: unexpired ones deleted. The caller touches the collection as its
 * protocol wants (1.5: always; 1.1: when something went). */
MUST_USE rc store_items_delete(struct store_txn *tx, const struct item_query *q, uint64_t *out_n,
                               struct err *e);
/* The collection gets T and exists. */
MUST_USE rc store_coll_touch(struct store_txn *tx, view coll, struct err *e);
/* All of it; the storage time becomes T. *out_existed false: nothing changed. Open batches of it are dropped. */
MUST_USE rc store_coll_delete(struct store_txn *tx, view coll, bool *out_existed, struct err *e);
/* Items, collections, batches; storage time 0; the clock stays and T is used up. */
MUST_USE rc store_user_wipe(struct store_txn *tx, struct err *e);

/* ---- counting: exact, unexpired items only ---- */

struct coll_usage {
    view name;
    uint64_t items, bytes;
};
/* In the transaction's arena; collections without items are left out. */
MUST_USE rc store_usage(struct store_txn *tx, const struct coll_usage **out, size_t *out_n, struct err *e);
/* All payload bytes of unexpired items. In a WRITE transaction head.used_bytes becomes that. */
MUST_USE rc store_used_exact(struct store_txn *tx, int64_t *out_bytes, struct err *e);

/* ---- batches: parts of one upload, invisible until the commit. Scope: (user, collection, id). WRITE transactions ---- */

struct batch_totals {
    uint64_t items, bytes; /* bytes of payloads appended; a repeated id counts each time */
};
MUST_USE rc store_batch_open(struct store_txn *tx, view coll, char out_id[BATCH_ID_TEXT + 1], struct err *e);
/* RC_NOT_FOUND: unknown, of another user or collection, committed, or older than life_s. */
MUST_USE rc store_batch_totals(struct store_txn *tx, view coll, view batch_id, int64_t life_s,
                               struct batch_totals *out, struct err *e);
/* The same id again: later fields win, field by field. The batch must have been found by store_batch_totals. */
MUST_USE rc store_batch_append(struct store_txn *tx, view batch_id, const struct item_patch *patches,
                               size_t n, struct err *e);
/* Everything becomes visible: each item gets modified = T whatever it sets; ttl counts from now. The batch is gone. RC_BROKEN: what was
 * appended is not all there any more, or cannot be read. */
MUST_USE rc store_batch_commit(struct store_txn *tx, view coll, view batch_id, struct err *e);
/* As store_batch_append and then store_batch_commit, but what comes last is written once and not twice. */
MUST_USE rc store_batch_finish(struct store_txn *tx, view coll, view batch_id,
                               const struct item_patch *patches, size_t n, struct err *e);
/* Payload bytes waiting in all open batches of this user (for the quota). */
MUST_USE rc store_batch_pending(struct store_txn *tx, int64_t life_s, int64_t *out_bytes, struct err *e);

/* ---- upkeep: each does at most `limit` items or batches, tells how many it did, and can be called again at once ---- */

MUST_USE rc store_purge_expired(struct store_session *ss, int64_t grace_s, unsigned limit, uint64_t *out_n,
                                struct err *e);
MUST_USE rc store_purge_batches(struct store_session *ss, int64_t life_s, unsigned limit, uint64_t *out_n,
                                struct err *e);

#endif
