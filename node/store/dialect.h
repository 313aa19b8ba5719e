/* Every fixed statement of the store, for both engines side by side. Parameters are numbered (?1, ?2 …) and may be used
 * several times; the engine for MySQL turns them into its own. Bytes are bound as bytes, times as milliseconds. */
#ifndef HEDDLE_STORE_DIALECT_H
#define HEDDLE_STORE_DIALECT_H

enum dialect { DIALECT_SQLITE, DIALECT_MYSQL };

/* Which fields a write names: the bits of ?10 in SQL_ITEM_PUT and of a run's records. A named field without a value is cleared. */
enum field_bit {
    FIELD_PAYLOAD = 1,
    FIELD_SORTINDEX = 2,
    FIELD_TTL = 4,
    FIELD_PARENTID = 8,
    FIELD_PREDECESSORID = 16,
    FIELD_TOUCHES = 32 /* the item's modified becomes T */
};

/* Columns that SQL_HEAD_GET, SQL_HEAD_LOCK and SQL_ITEM_READ begin with. */
enum head_column {
    HEAD_COL_EPOCH,
    HEAD_COL_STATE,
    HEAD_COL_SINCE,
    HEAD_COL_CLOCK,
    HEAD_COL_MODIFIED,
    HEAD_COL_USED,
    HEAD_COL_QUOTA,
    HEAD_COL_COLLS,
    HEAD_COLS
};

/* Columns of a whole item, in this order wherever one is read (in SQL_ITEM_READ after the head's). */
enum item_column {
    ITEM_COL_ID,
    ITEM_COL_MODIFIED,
    ITEM_COL_EXPIRES,
    ITEM_COL_SORTINDEX,
    ITEM_COL_PARENTID,
    ITEM_COL_PREDECESSORID,
    ITEM_COL_PAYLOAD
};
#define ITEM_COLUMNS "id, modified, expires, sortindex, parentid, predecessorid, payload"

/* What a long listing need not carry costs it a tenth of its time. */
enum bare_column { BARE_COL_ID, BARE_COL_MODIFIED, BARE_COL_EXPIRES, BARE_COL_SORTINDEX, BARE_COL_PAYLOAD };
#define BRIEF_COLUMNS "id, modified, expires" /* the first of them */
#define BARE_COLUMNS  BRIEF_COLUMNS ", sortindex, payload"

enum sql_id {
    SQL_HEAD_GET,   /* uid */
    SQL_HEAD_LOCK,  /* uid; in a write */
    SQL_HEAD_MAKE,  /* uid, epoch, state, since, colls, move_id; does nothing where a row is */
    SQL_HEAD_SAVE,  /* uid, state, since, clock, modified, used_bytes, colls */
    SQL_HEAD_SWAP,  /* uid, clock, modified, used_bytes, colls;
                     * as it is: the same four, epoch, state, since, quota_bytes */
    SQL_HEAD_MOVE,  /* uid: move_id */
    SQL_HEAD_STEP,  /* uid, epoch, state, since, move_id */
    SQL_HEAD_QUOTA, /* uid, quota_bytes */
    SQL_HEADS_LIST, /* uids above, below, limit: uid, the head without colls, move_id; by uid */

    SQL_ITEM_READ,   /* uid, coll, id: head and item in one snapshot */
    SQL_ITEM_GET,    /* uid, coll, id, now */
    SQL_ITEM_TIME,   /* uid, coll, id: its modified */
    SQL_ITEM_PUT,    /* uid, coll, id, T, expires, sortindex, parentid, predecessorid, payload, fields */
    SQL_ITEM_DELETE, /* uid, coll, id, now: if not expired */
    SQL_ITEM_DROP,   /* uid, coll, id: in any case */
    SQL_ITEMS_WALK,  /* uid, coll, ids above, ids up to, limit, base:
                      * items, expired too, by id; payloads of newer ones */
    SQL_COLL_DROP,   /* uid, coll */
    SQL_USER_DROP,   /* uid */
    SQL_USAGE,       /* uid, now: coll, items, bytes */
    SQL_USED,        /* uid, now: bytes */

    SQL_BATCH_OPEN,              /* uid, id, coll, now */
    SQL_BATCH_GET,               /* uid, id, coll, created after: items, bytes */
    SQL_BATCH_COUNT,             /* uid, id, items more, bytes more, now */
    SQL_BATCH_PUT,               /* uid, batch, records of the same append before these, run:
                                  * nothing where there is no batch */
    SQL_BATCH_RUN,               /* uid, batch, number of records before: run */
    SQL_BATCH_SETTLE,            /* uid, coll, T, expires: items of T that expire then expire at T */
    SQL_BATCH_PENDING,           /* uid, created after: bytes */
    SQL_BATCH_TOUCHED,           /* uid, created after: when one was touched last */
    SQL_BATCH_DROP,              /* uid, id */
    SQL_BATCH_DROP_ITEMS,        /* uid, batch */
    SQL_BATCHES_DROP_COLL,       /* uid, coll's name */
    SQL_BATCHES_DROP_COLL_ITEMS, /* uid, coll's name; before the one above */
    SQL_BATCHES_DROP_USER,       /* uid */
    SQL_BATCHES_DROP_USER_ITEMS, /* uid */

    SQL_GONE_LIST,     /* state, since before, limit: uid, epoch, move_id of heads with something left */
    SQL_PURGE_EXPIRED, /* expired by, state, limit: uid, coll, id of users in that state, by uid */
    SQL_PURGE_ITEM,    /* uid, coll, id, expired by */
    SQL_PURGE_BATCHES, /* created by, limit: uid, id, by uid */

    SQL_HEADS_COUNT, /* state, how many */
    SQL_BYTES,       /* bytes on disk, data and indexes; MySQL: as it estimates them */
    SQL_NOTE_GET,    /* name */
    SQL_NOTE_PUT,    /* name, value: over what is there */
    SQL_NOTE_DROP,   /* name */
    SQL_FOLDER,      /* where the data are; SQLite has it in its settings */
    SQL_DURABILITY,  /* SQLite: synchronous. MySQL: @@innodb_flush_log_at_trx_commit, @@log_bin,
                      * @@sync_binlog, @@innodb_doublewrite */
    SQL_N
};

/* Never NULL; constant text. */
const char *dialect_sql(enum sql_id id, enum dialect d);

#endif
