/* What the tests of moves share: two stores, and a mover that does what the admin does, over function calls. Its wire can be broken. */
#ifndef HEDDLE_TESTS_STORE_MOVER_H
#define HEDDLE_TESTS_STORE_MOVER_H

#include "node/store/move.h"
#include "tests/conformance/store/fixture.h"

#define MOVE  VIEW("move-1")
#define OTHER VIEW("move-2")

/* ---- the fixture's node, or the one chosen with at() ---- */

struct move move_to(int64_t epoch, view id); /* of this test's user */
/* What it answers is compared with what is there. */
rc try_step(view id, int64_t epoch, enum head_step step, const struct manifest_sum *sum);
void step(int64_t epoch, enum head_step which); /* of MOVE, must succeed */
struct manifest_sum sum_of(int64_t epoch);      /* of MOVE */
uint64_t rows_of(const char *table);            /* this user's */

/* ---- two stores: the user goes from S with epoch 1 to T with epoch 2 ---- */

struct node {
    struct store_conf conf;
    struct clock_fake clock;
    struct store *store;
    struct store_session *ss;
    char folder[64];
};
extern struct node nodes[2];
#define S (&nodes[0])
#define T (&nodes[1])

/* Over each pair of engines that this run has. It begins at S. */
void over_each_pair(void (*test)(void));
void at(struct node *n); /* the fixture's helpers speak to it from here on */
void both_clocks(int64_t ms);
void reopen(struct node *n); /* as after a crash: a session is gone, with what it had open */

struct move to_s(void), to_t(void);
void begin_import(void);
void freeze(void);

enum fault { NO_FAULT, FLIPPED_PAYLOAD, FLIPPED_STAMP, LOST_ROW, LOST_PAGE, LOST_STAMP_OF_COLL };
size_t pass_with(enum fault fault); /* one pass; how many rows it should have sent */
size_t pass(void);
extern stamp mover_base; /* of the passes and the seal; everything at the beginning of each pair */

rc seal(void);     /* and at(T) */
void finish(void); /* seal, activate, retire, and at(T) */

struct lines {
    struct manifest_entry list[400];
    size_t n;
};
bool keep_entry(const struct manifest_entry *m, void *arg); /* in struct lines */

/* as nobody of us does to a row at T; ?1: the user, ?2: the id */
void meddle(const char *sql, const char *id);

void fill(void);             /* S with 35 items of all kinds */
void assert_same_user(void); /* what the heads of both say; and at(T) */

#endif
