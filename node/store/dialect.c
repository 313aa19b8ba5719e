#include "node/store/dialect.h"

/* What both engines read the same way stands once: { both }. The rest: { SQLite, MySQL }. */

#define HEAD_COLUMNS "epoch, state, since, clock, modified, used_bytes, quota_bytes, colls"
#define ALIVE(now)   "(expires IS NULL OR expires > " now ")"
#define ITEM_KEY     "uid = ?1 AND coll = ?2 AND id = ?3"

/* A field after a write over an existing row: named in the write, or of an expired row (then as of a new one), or kept. */
#define MERGED(col, bit, NEW, fallback)                                                                      \
    " " #col " = CASE WHEN ?10 & " bit                                                                       \
    " THEN " NEW(col) " WHEN items.expires <= " NEW(modified) " THEN " fallback " ELSE items." #col " END"

/* `expires` stands last: MySQL assigns from left to right, and all others look at the old value of it. */
#define MERGE(NEW)                                                                                           \
    MERGED(payload, "1", NEW, "x''")                                                                         \
    "," MERGED(sortindex, "2", NEW, "NULL") "," MERGED(parentid, "8", NEW, "NULL") "," MERGED(               \
        predecessorid, "16", NEW, "NULL") "," MERGED(modified, "32", NEW,                                    \
                                                     NEW(modified)) "," MERGED(expires, "4", NEW, "NULL")

#define NEW_SQLITE(col) "excluded." #col
#define NEW_MYSQL(col)  "VALUES(" #col ")"

#define PUT                                                                                                  \
    "INSERT INTO items (uid, coll, id, modified, expires, sortindex, parentid, predecessorid, payload)"      \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"

/* A run of records lies under the number of those before it, as text of ten digits. */
#define BATCH_PUT(number)                                                                                    \
    "INSERT INTO batch_items (uid, batch, id, fields, payload)"                                              \
    " SELECT uid, id, " number ", 0, ?4 FROM batches WHERE uid = ?1 AND id = ?2"

static const char *const statements[SQL_N][2] = {
    [SQL_HEAD_GET] = { "SELECT " HEAD_COLUMNS " FROM heads WHERE uid = ?1" },
    [SQL_HEAD_LOCK] = { "SELECT " HEAD_COLUMNS " FROM heads WHERE uid = ?1",
                        "SELECT " HEAD_COLUMNS " FROM heads WHERE uid = ?1 FOR UPDATE" },
#define MAKE                                                                                                 \
    " INTO heads (uid, epoch, state, since, clock, modified, used_bytes, quota_bytes, colls, move_id)"       \
    " VALUES (?1, ?2, ?3, ?4, 0, 0, 0, -1, ?5, ?6)"
    [SQL_HEAD_MAKE] = { "INSERT OR IGNORE" MAKE, "INSERT IGNORE" MAKE },
    [SQL_HEAD_SAVE] = { "UPDATE heads SET state = ?2, since = ?3, clock = ?4, modified = ?5, used_bytes = ?6,"
                        " colls = ?7 WHERE uid = ?1" },
    [SQL_HEAD_SWAP] = { "UPDATE heads SET clock = ?2, modified = ?3, used_bytes = ?4, colls = ?5 WHERE uid = ?1"
                        " AND clock = ?6 AND modified = ?7 AND used_bytes = ?8 AND colls = ?9 AND epoch = ?10"
                        " AND state = ?11 AND since = ?12 AND quota_bytes = ?13" },
    [SQL_HEAD_MOVE] = { "SELECT move_id FROM heads WHERE uid = ?1" },
    [SQL_HEAD_STEP] = { "UPDATE heads SET epoch = ?2, state = ?3, since = ?4, move_id = ?5 WHERE uid = ?1" },
    [SQL_HEAD_QUOTA] = { "UPDATE heads SET quota_bytes = ?2 WHERE uid = ?1" },
    [SQL_HEADS_LIST] = { "SELECT uid, epoch, state, since, clock, modified, used_bytes, quota_bytes, move_id FROM heads"
                         " WHERE uid > ?1 AND uid < ?2 ORDER BY uid LIMIT ?3" },

    [SQL_ITEM_READ] = { "SELECT h.epoch, h.state, h.since, h.clock, h.modified, h.used_bytes, h.quota_bytes, h.colls,"
                        " i.id, i.modified, i.expires, i.sortindex, i.parentid, i.predecessorid, i.payload"
                        " FROM heads h LEFT JOIN items i ON i.uid = h.uid AND i.coll = ?2 AND i.id = ?3"
                        " WHERE h.uid = ?1" },
    [SQL_ITEM_GET] = { "SELECT " ITEM_COLUMNS " FROM items WHERE " ITEM_KEY " AND " ALIVE("?4") },
    [SQL_ITEM_TIME] = { "SELECT modified FROM items WHERE " ITEM_KEY },
    [SQL_ITEM_PUT] = { PUT " ON CONFLICT (uid, coll, id) DO UPDATE SET" MERGE(NEW_SQLITE),
                       PUT " ON DUPLICATE KEY UPDATE" MERGE(NEW_MYSQL) },
    [SQL_ITEM_DELETE] = { "DELETE FROM items WHERE " ITEM_KEY " AND " ALIVE("?4") },
    [SQL_ITEM_DROP] = { "DELETE FROM items WHERE " ITEM_KEY },
    [SQL_ITEMS_WALK] = { "SELECT id, modified, expires, sortindex, parentid, predecessorid,"
                         " CASE WHEN modified > ?6 THEN payload END"
                         " FROM items WHERE uid = ?1 AND coll = ?2 AND id > ?3 AND id <= ?4"
                         " ORDER BY id LIMIT ?5" },
    [SQL_COLL_DROP] = { "DELETE FROM items WHERE uid = ?1 AND coll = ?2" },
    [SQL_USER_DROP] = { "DELETE FROM items WHERE uid = ?1" },
    [SQL_USAGE] = { "SELECT coll, COUNT(*), SUM(LENGTH(payload)) FROM items WHERE uid = ?1 AND " ALIVE(
        "?2") " GROUP BY coll" },
    [SQL_USED] = { "SELECT SUM(LENGTH(payload)) FROM items WHERE uid = ?1 AND " ALIVE("?2") },

    [SQL_BATCH_OPEN] = { "INSERT INTO batches (uid, id, coll, created, touched, items, bytes)"
                         " VALUES (?1, ?2, ?3, ?4, ?4, 0, 0)" },
    [SQL_BATCH_GET] = { "SELECT items, bytes FROM batches WHERE uid = ?1 AND id = ?2 AND coll = ?3"
                        " AND created > ?4" },
    [SQL_BATCH_COUNT] = { "UPDATE batches SET items = items + ?3, bytes = bytes + ?4, touched = ?5"
                          " WHERE uid = ?1 AND id = ?2" },
    [SQL_BATCH_PUT] = { BATCH_PUT("CAST(printf('%010d', items + ?3) AS BLOB)"),
                        BATCH_PUT("LPAD(items + ?3, 10, '0')") },
    [SQL_BATCH_RUN] = { "SELECT payload FROM batch_items WHERE uid = ?1 AND batch = ?2 AND id = ?3" },
    [SQL_BATCH_SETTLE] = { "UPDATE items SET expires = ?3 WHERE uid = ?1 AND coll = ?2 AND modified = ?3 AND expires = ?4" },
    [SQL_BATCH_PENDING] = { "SELECT SUM(bytes) FROM batches WHERE uid = ?1 AND created > ?2" },
    [SQL_BATCH_TOUCHED] = { "SELECT MAX(touched) FROM batches WHERE uid = ?1 AND created > ?2" },
    [SQL_BATCH_DROP] = { "DELETE FROM batches WHERE uid = ?1 AND id = ?2" },
    [SQL_BATCH_DROP_ITEMS] = { "DELETE FROM batch_items WHERE uid = ?1 AND batch = ?2" },
    [SQL_BATCHES_DROP_COLL] = { "DELETE FROM batches WHERE uid = ?1 AND coll = ?2" },
    [SQL_BATCHES_DROP_COLL_ITEMS] = { "DELETE FROM batch_items WHERE uid = ?1"
                                      " AND batch IN (SELECT id FROM batches WHERE uid = ?1 AND coll = ?2)" },
    [SQL_BATCHES_DROP_USER] = { "DELETE FROM batches WHERE uid = ?1" },
    [SQL_BATCHES_DROP_USER_ITEMS] = { "DELETE FROM batch_items WHERE uid = ?1" },

    [SQL_GONE_LIST] = { "SELECT uid, epoch, move_id FROM heads h WHERE state = ?1 AND since <= ?2 AND (modified > 0"
                        " OR EXISTS (SELECT 1 FROM items i WHERE i.uid = h.uid)) LIMIT ?3" },
    [SQL_PURGE_EXPIRED] = { "SELECT uid, coll, id FROM (SELECT i.uid, i.coll, i.id FROM items i"
                            " JOIN heads h ON h.uid = i.uid"
                            " WHERE i.expires IS NOT NULL AND i.expires <= ?1 AND h.state = ?2 LIMIT ?3) AS old"
                            " ORDER BY uid" },
    [SQL_PURGE_ITEM] = { "DELETE FROM items WHERE " ITEM_KEY " AND expires <= ?4" },
    [SQL_PURGE_BATCHES] = { "SELECT uid, id FROM (SELECT uid, id FROM batches WHERE created <= ?1 LIMIT ?2) AS old"
                            " ORDER BY uid" },
    [SQL_HEADS_COUNT] = { "SELECT state, COUNT(*) FROM heads GROUP BY state" },
    [SQL_BYTES] = { "SELECT (p.page_count - f.freelist_count) * s.page_size"
                    " FROM pragma_page_count() p, pragma_freelist_count() f, pragma_page_size() s",
                    "SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS SIGNED) FROM information_schema.tables"
                    " WHERE table_schema = DATABASE() AND table_name IN ('heads', 'items', 'batches', 'batch_items')" },
    [SQL_NOTE_GET] = { "SELECT value FROM notes WHERE name = ?1" },
    [SQL_NOTE_PUT] = { "REPLACE INTO notes (name, value) VALUES (?1, ?2)" },
    [SQL_NOTE_DROP] = { "DELETE FROM notes WHERE name = ?1" },
    [SQL_FOLDER] = { "SELECT ''", "SELECT @@datadir" },
    [SQL_DURABILITY] = { "PRAGMA synchronous",
                         "SELECT @@innodb_flush_log_at_trx_commit, @@log_bin, @@sync_binlog,"
                         " @@innodb_doublewrite + 0" },
};

const char *dialect_sql(enum sql_id id, enum dialect d)
{
    const char *own = statements[id][d];
    return own ? own : statements[id][DIALECT_SQLITE];
}
