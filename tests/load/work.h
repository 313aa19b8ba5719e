/* What is asked: the scenarios. A session is what one connection does for one user; most are of one request.
 *
 *   A  GET info/collections            B  POST 100 records, new or replacing     C  GET full=1&newer=0, the whole collection
 *   D  GET one record                  E  PUT one record                         S  set up: the data that the others ask for
 *   F  a session of Mozilla's load test: info always; 60 % a read of meta/global; 10 % read and 20 % post clients; 0–4 reads with
 *      `newer` (71/15/7/4/3 %); 0–4 posts (67/18/9/4/2 %) of min(100, 20…180) records of 300 × Pareto(3) bytes, half of the sessions
 *      in one batch; 1 % delete a collection, 1 % everything
 *   P  a day of a production node, request by request (the table in work.c)
 *   X  GET of any path, with headers of any kind
 *
 * A reader with `newer` asks, as clients do, for what changed since he last looked. One thread. */
#ifndef HEDDLE_LOAD_WORK_H
#define HEDDLE_LOAD_WORK_H

#include "tests/load/records.h"
#include "tests/load/users.h"

#define SESSION_STEPS    24
#define WORK_HEADERS_MAX 4

struct work_conf {
    char scenario;
    const char *path; /* of X */
    const char *headers[WORK_HEADERS_MAX];
    size_t n_headers;
    size_t records; /* of a user's collection, for C, D, E, S; B writes over twice as many */
    size_t payload_bytes, post_records;
    uint64_t seed;
};

struct work {
    const struct work_conf *conf;
    struct users *users;
    struct records *records;
    struct chance chance;
    size_t turn;
};

void work_init(struct work *w, const struct work_conf *c, struct users *u);
void work_done(struct work *w);

enum step_kind {
    STEP_INFO,
    STEP_META,
    STEP_READ,
    STEP_NEWER,
    STEP_POST,
    STEP_PUT,
    STEP_DROP_COLL,
    STEP_DROP_ALL
};

struct step {
    enum step_kind kind;
    unsigned coll, n;
    size_t first; /* number of the first record, where they follow each other */
    bool in_row, batch, commit;
};

/* What a connection is in the middle of. */
struct session {
    struct user *who;
    struct step steps[SESSION_STEPS];
    size_t n, at;
    char batch[80]; /* "", or what stands behind batch= */
};

/* One request. The buffers are the caller's and are used again and again. */
struct ask {
    const struct user *who; /* NULL: unsigned */
    view method;
    struct buf target, body;
    bool has_body;
};

/* Makes the next one; false: nothing is left to be asked (S). */
bool work_next(struct work *w, struct session *s, struct ask *out);
/* Tells of its answer. */
void work_answered(struct work *w, struct session *s, int status, view last_modified, view body);
/* Ends a session in the middle (the connection was lost). */
void work_abandon(struct session *s);

#endif
