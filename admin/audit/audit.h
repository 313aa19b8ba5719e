/* The audit log: who did what, when, with digests before and after. Append-only JSON lines, one file for each host that acts
 * (admin.dir/audit/HOST.log); each record holds the hash of the one before, so a line that was changed, removed or put in between shows.
 * What was cut off at a file's end shows in the files of other hosts (a record that begins an act notes the last hash of each file that
 * lies beside its own), or by a hash that was kept elsewhere (`audit verify --has`).
 *
 *   {"n":12,"time":1767225600310,"host":"ops1","who":"anna","act":"9c1f…","what":"begin", …,"prev":"…","hash":"…"}
 *
 *   begin   "as" (name of the key), "command", "words", "seen": {"ops2":"<its last hash>"}
 *   change  "user", "uid", "node", "to", "before", "after", "data_before", "data_after", "text": what there is of these. before and after:
 *           SHA-256 in hex of what the act changes (of a move: account number, node and epoch); data_…: of the user's data, see audit_data.c
 *   end     "status" (exit), "ms"
 *   console "text": somebody signed in or out there
 *
 * `hash` is SHA-256 of the line up to its comma; `prev` that of the record before, 64 zeros in the first. A line that a crash left torn is
 * kept; the next record names its digest as "torn". Appending takes a lock of the file and ends with fsync; any thread, any process. */
#ifndef HEDDLE_ADMIN_AUDIT_H
#define HEDDLE_ADMIN_AUDIT_H

#include <jansson.h>

#include "admin/commands.h"
#include "common/base/buf.h"
#include "common/base/err.h"

#define AUDIT_HASH_TEXT 64

/* ---- the file ---- */

/* Appends one record; fields: an object of the members beside n, time, host, who, prev and hash (borrowed). */
MUST_USE rc audit_append(const char *path, int64_t time_ms, const char *host, const char *who,
                         const json_t *fields, struct err *e);

struct audit_verdict {
    int64_t records;
    int64_t torn;                   /* lines that a crash left */
    int64_t bad_line;               /* from 1; 0: the file is whole */
    const char *why;                /* what is wrong with that line */
    char last[AUDIT_HASH_TEXT + 1]; /* hash of the last good record, "" if there is none */
    bool found;                     /* audit_check: the wanted hash is there */
};
/* Reads a whole file. visit (may be NULL) gets every record that is good JSON, borrowed. wanted: a hash to look for, or NULL.
 * RC_BROKEN: it cannot be read. A chain that does not hold is no error of this function. */
typedef void audit_visitor(void *arg, json_t *record);
MUST_USE rc audit_check(const char *path, const char *wanted, audit_visitor *visit, void *arg,
                        struct audit_verdict *out, struct err *e);

/* ---- acts: one command that changes something ---- */

struct audit_note {
    const char *user, *node, *to, *before, *after, *text; /* NULL: nothing to tell */
    const char *data_before, *data_after;                 /* NULL or "": not known */
    int64_t uid;                                          /* 0: none */
};

/* Before a command with `changes` runs; fills a->audit_id. Whoever cannot write does not act. */
MUST_USE rc audit_begin(struct admin *a, int words, int argc, char **argv, struct err *e);
/* Who acts, for people: "anna", "root (for anna)". What sudo says is a hint, not a proof: it stands in the environment. */
void audit_person(const struct admin *a, struct buf *out);
/* A change of this act. Any thread. */
MUST_USE rc audit_note(const struct admin *a, const struct audit_note *n, struct err *e);
MUST_USE rc audit_end(struct admin *a, int status, struct err *e);
/* Something that belongs to no command: who signed in to the console. Needs a->conf and a->person alone. */
MUST_USE rc audit_say(const struct admin *a, const char *what, const char *text, struct err *e);
/* In the environment: for whom this process acts, as the console tells a run that it starts. */
#define AUDIT_FOR "HEDDLE_ADMIN_FOR"

/* Of where an account lives, since when: what a move changes. */
struct subject;
void audit_digest_place(const struct subject *s, char out[AUDIT_HASH_TEXT + 1]);

/* ---- audit_data.c: of a user's data ---- */

/* Of what a node tells at users/{uid}/usage: the same wherever the same records lie. */
void audit_digest_usage(const json_t *usage, char out[AUDIT_HASH_TEXT + 1]);
/* Of what that node holds now; "": it does not say. */
struct reach;
void audit_data_at(struct reach *r, view node, int64_t uid, char out[AUDIT_HASH_TEXT + 1]);
/* After a move: what the node that he left keeps is what it handed over. Equal to what the other has, unless he has written since. */
void audit_data_of_move(struct reach *r, const struct subject *before, const struct subject *after,
                        char out_before[AUDIT_HASH_TEXT + 1], char out_after[AUDIT_HASH_TEXT + 1]);

/* SHA-256 of text, in hex. */
void audit_digest(view text, char out[AUDIT_HASH_TEXT + 1]);
/* Of a JSON value, written with sorted members. */
void audit_digest_json(const json_t *value, char out[AUDIT_HASH_TEXT + 1]);

#endif
