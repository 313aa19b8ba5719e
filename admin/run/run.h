/* Carrying a plan out: several moves at a time, with a journal, so that a run can be paused, resumed and cancelled from any terminal, and one
 * that was killed goes on. Prints nothing itself but through struct run_view.
 *
 *   waiting   outside the time window
 *   running --pause--> paused --resume--> running
 *   running, paused, waiting --cancel--> cancelled     moves that are not frozen yet are undone
 *   no process holds the journal's lock: "stopped"; `run resume` takes it over
 *   ended     done (all moves), partly (some failed), cancelled
 *
 * Files, in admin.dir/runs: ID.journal, lines of JSON: first the run (plan, options), then what happened; ID.control, one word, what somebody
 * asks of it. */
#ifndef HEDDLE_ADMIN_RUN_H
#define HEDDLE_ADMIN_RUN_H

#include <jansson.h>
#include <pthread.h>

#include "admin/admin.h"
#include "admin/audit/audit.h"
#include "admin/move/move.h"
#include "common/base/buf.h"

#define RUN_ID_MAX       40
#define RUN_PARALLEL_MAX 64

enum run_word { RUN_NOTHING, RUN_GO, RUN_PAUSE, RUN_CANCEL };
enum run_state { RUN_RUNNING, RUN_WAITING, RUN_PAUSED, RUN_STOPPED, RUN_CANCELLED, RUN_DONE, RUN_PARTLY };
const char *run_state_name(enum run_state s);

enum run_move_state {
    RUN_MOVE_PENDING,
    RUN_MOVE_BEGUN, /* somebody moves him, or did when he was killed */
    RUN_MOVE_DONE,
    RUN_MOVE_SKIPPED, /* the plan does not fit any more: he lives elsewhere, or is gone */
    RUN_MOVE_FAILED,
    RUN_MOVE_GIVEN_UP /* failed so often that it is not tried again */
};

struct run_move {
    const char *user, *from, *to; /* of the plan */
    int64_t uid, items_planned, bytes_planned;
    enum run_move_state state;
    unsigned tries;
    int64_t not_before_us;
    char move[72];         /* id of the last attempt */
    char why[240];         /* of the last failure */
    uint64_t items, bytes; /* carried */
    int64_t frozen_us;
    int64_t held_us; /* what rate and brake made it wait, and its worker after it */
};

/* ---- run_journal.c ---- */

struct journal {
    char id[RUN_ID_MAX];
    char *path, *control;
    int fd;       /* -1: only read */
    json_t *head; /* the first line */
    struct run_move *moves;
    size_t n_moves;
    enum run_state state; /* as the journal has it; RUN_STOPPED: unfinished, and nobody holds the lock */
    int64_t made_ms;
    enum run_state written; /* the last one in the file */
    size_t read_bytes;      /* of the file, whole lines */
    pthread_mutex_t lock;   /* of appending */
};

/* A fresh one, locked by us. plan and options are borrowed. */
MUST_USE rc journal_create(const struct admin_conf *c, const json_t *plan, const json_t *options,
                           struct journal **out, struct err *e);
/* take: locks it and goes on writing; RC_CONFLICT: another process runs it. id "last": the youngest. RC_NOT_FOUND. */
MUST_USE rc journal_open(const struct admin_conf *c, const char *id, bool take, struct journal **out,
                         struct err *e);
/* What was written since; for one that was opened without `take`. Cheap where nothing was. */
MUST_USE rc journal_follow(struct journal *j, struct err *e);
void journal_close(struct journal *j);
static inline void journal_close_scoped(struct journal **j)
{
    journal_close(*j);
}
/* One line; adds the time. On disk when it returns. Any thread. */
MUST_USE rc journal_add(struct journal *j, const json_t *line, struct err *e);
MUST_USE rc journal_add_move(struct journal *j, size_t i, const char *state, struct err *e);
MUST_USE rc journal_add_state(struct journal *j, enum run_state s, const char *why, struct err *e);
MUST_USE rc journal_ask(const struct journal *j, enum run_word word, struct err *e);
enum run_word journal_hear(const struct journal *j); /* the last word, once; for who runs it */
/* All ids, youngest last; a JSON array of texts. */
MUST_USE rc journal_list(const struct admin_conf *c, json_t **out, struct err *e);
/* What there is to say of it: {"run","state","kind","node","made","moves","done","failed","skipped","pending","bytes_planned","bytes"} */
json_t *journal_summary(const struct journal *j);

/* ---- run_ease.c: how hard we press; all of it thread-safe ---- */

struct ease;

struct ease_options {
    int64_t rate; /* bytes a second, of all moves together; 0: no limit */
    int64_t rise; /* thousandths of a per cent that a node's latency may rise; 0: do not hold back */
    const struct clock *clock;
};
struct ease *ease_new(const struct ease_options *o);
void ease_free(struct ease *x);
/* Before the first move: which machine it is on (nodes that name the same one share its processors; none: one of its own), how many processors
 * that has, and the node's latency (median, ms; 0: it had no requests) while we let it alone. */
void ease_know(struct ease *x, view node, view machine, int64_t cores, double latency_ms);
/* A move between the two begins, or is over. */
void ease_takes_part(struct ease *x, view from, view to, bool begins);
/* After a page of so many bytes for which two nodes worked so long: µs to wait. */
int64_t ease_wait_us(struct ease *x, view from, view to, uint64_t bytes, int64_t source_us,
                     int64_t target_us);
/* After a move that kept the two busy for so long beside its pages: µs to wait before the next. */
int64_t ease_rest_us(struct ease *x, view from, view to, int64_t us);
/* A node's own word about how long its requests take (median, ms), as often as it is known. */
void ease_hear(struct ease *x, view node, double latency_ms);
/* How much we hold back for this node: 0: not at all. */
double ease_back(struct ease *x, view node);

/* ---- run_window.c ---- */

/* "22:00-06:00", local time; equal ends: the whole day. */
struct run_window {
    int from_min, to_min;
};
bool run_window_parse(const char *text, struct run_window *out);
bool run_window_open(const struct run_window *w, int64_t now_s);

/* ---- run.c ---- */

struct run_options {
    unsigned parallel, tries;
    int64_t rate, rise, skew_s;
    bool has_window;
    struct run_window window;
};
json_t *run_options_json(const struct run_options *o);
void run_options_read(const json_t *json, struct run_options *out);

/* One of the moves under way. */
struct run_slot {
    bool busy;
    size_t move;
    enum move_phase phase;
    uint64_t items, bytes;
    int64_t since_us; /* of the phase, or of the last page */
    char note[120];
};

/* A picture of the run for who watches; taken under its lock. */
struct run_view {
    const struct journal *journal;
    enum run_state state;
    const char *why; /* of the state, or "" */
    size_t done, failed, skipped, pending, moving;
    uint64_t items, bytes; /* carried, those under way included */
    int64_t bytes_planned, bytes_done_planned, elapsed_us, now_us;
    const struct run_slot *slots;
    size_t n_slots;
};

struct run_watch {
    void (*tick)(void *arg, const struct run_view *v); /* several times a second, from the calling thread */
    /* a move ended; under the run's lock; any thread */
    void (*ended)(void *arg, const struct journal *j, size_t move);
    /* Whether to finish what is under way and stop. NULL: SIGINT and SIGTERM of this process ask for that, while run_go runs. */
    bool (*stop)(void *arg);
    void *arg;
};

/* What a move changed, for the audit log: SHA-256 of the place before and after, and of the user's data as the old node handed them over
 * and as the new one has them ("": not known). */
struct run_change {
    const struct run_move *move;
    char before[AUDIT_HASH_TEXT + 1], after[AUDIT_HASH_TEXT + 1];
    char data_before[AUDIT_HASH_TEXT + 1], data_after[AUDIT_HASH_TEXT + 1];
};

/* Runs what the journal (taken) has left. note writes the audit record of each move; any thread. Gives the state in which it ended; RC_OK
 * unless the journal or the log cannot be written. Asked to stop: what is under way is finished, then RUN_STOPPED. Several runs may go on
 * in one process, each with a stop of its own. */
typedef rc run_noter(void *arg, const struct run_change *c, struct err *e);
MUST_USE rc run_go(const struct admin_conf *c, struct journal *j, const struct run_options *o,
                   const struct run_watch *watch, run_noter *note, void *note_arg, enum run_state *out,
                   struct err *e);

/* ---- run_words.c: what is asked of a run from outside; id may be "last" ---- */

bool run_is_over(enum run_state s); /* done or cancelled: it cannot go on */
/* RUN_PAUSE, RUN_GO or RUN_CANCEL, for the process that runs it; it hears within a second. RC_CONFLICT: nobody runs it. out_id may be NULL. */
MUST_USE rc run_ask(const struct admin_conf *c, const char *id, enum run_word word, char out_id[RUN_ID_MAX],
                    struct err *e);
/* One that nobody runs, to go on with run_go. RC_CONFLICT: somebody runs it, or it is over. */
MUST_USE rc run_take(const struct admin_conf *c, const char *id, struct journal **out,
                     struct run_options *out_options, struct err *e);
/* Whoever runs it is asked to end (*out_asked), or else its journal is closed. RC_CONFLICT: it is over. */
MUST_USE rc run_cancel(const struct admin_conf *c, const char *id, bool *out_asked, char out_id[RUN_ID_MAX],
                       struct err *e);

#endif
