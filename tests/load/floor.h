/* The least-work server: what a Sync node costs at the very least with the same libraries and the same durable databases. It checks
 * Hawk (token, key, MAC), does one SELECT or one durable transaction, keeps a row a record, stamps in `colls` rows, asks Redis in
 * info/collections and drops a key of it in each write. It has no JSON parser (bodies are cut at the names that our own generator
 * writes), no quota, no routing, no fence, no preconditions, no limits and no log: a yardstick, never a server for anybody. */
#ifndef HEDDLE_LOAD_FLOOR_H
#define HEDDLE_LOAD_FLOOR_H

#include "common/base/buf.h"
#include "common/base/stamp.h"

enum floor_kind {
    FLOOR_INFO,      /* the stamps of all collections */
    FLOOR_FIND,      /* records with modified > newer */
    FLOOR_GET,       /* one record */
    FLOOR_POST,      /* records, in one transaction */
    FLOOR_PUT,       /* one record */
    FLOOR_DROP_COLL, /* all records of a collection */
    FLOOR_DROP_ALL,
    FLOOR_NOTHING /* not served */
};

struct floor_job {
    enum floor_kind kind;
    int64_t uid;
    unsigned coll;
    view id;   /* of GET and PUT */
    view body; /* of POST and PUT */
    int64_t newer_ms, now_ms;
    bool batch; /* answered as one; the records are stored at once */
};

/* One record cut out of a body. The payload stays escaped, in the table too. */
struct floor_record {
    view id, payload;
    int64_t sortindex;
    bool sorted;
};
/* false: no more. *rest: what is still to be cut. */
bool floor_record_next(view *rest, struct floor_record *out);

/* Both write the JSON that the tables' rows become. */
void floor_put_record(struct buf *out, view id, int64_t modified_ms, view sortindex, view payload,
                      bool *first);
void floor_put_stamp(struct buf *out, unsigned coll, int64_t modified_ms, bool *first);

/* A backend; a session belongs to a thread. */
struct floor_backend {
    void (*start)(const char *where); /* ends the process on failure */
    void *(*session)(void);
    /* Fills body and *last_ms; false: no such record. A database that fails ends the process: it shall not count as fast. */
    bool (*run)(void *session, const struct floor_job *job, struct buf *body, int64_t *last_ms);
};
extern const struct floor_backend floor_mysql, floor_sqlite;

_Noreturn void floor_die(const char *what, const char *why);

#endif
