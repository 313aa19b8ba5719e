/* SQLite's write-ahead log, for those who link SQLite. */
#ifndef HEDDLE_BASE_WAL_H
#define HEDDLE_BASE_WAL_H

#include <sqlite3.h>

#include "common/base/clock.h"

#define WAL_PAUSE_MS 5

/* Gives the database a write-ahead log unless it has one; the result is SQLite's code. SQLite reads first and then wants to write, and who
 * reads already it tells at once that another writes, whatever the busy timeout (btree.c, sqlite3BtreeSetVersion and sqlite3BtreeBeginTrans):
 * of two that open a new file together one has to ask again. */
static inline int wal_turn_on(sqlite3 *db, int64_t wait_ms)
{
    int64_t until = clock_mono_us(clock_system()) + wait_ms * 1000;

    for (;;) {
        int code = sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);

        if ((code & 0xff) != SQLITE_BUSY || clock_mono_us(clock_system()) >= until)
            return code;
        sqlite3_sleep(WAL_PAUSE_MS);
    }
}

#endif
