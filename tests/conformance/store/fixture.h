/* What the store's conformance tests share: a store on the engine of the command line, a stopped clock, one fresh user for each test,
 * and whole transactions in one line. */
#ifndef HEDDLE_TESTS_STORE_FIXTURE_H
#define HEDDLE_TESTS_STORE_FIXTURE_H

#include "common/base/testing.h"

#include "node/store/store.h"

#define START_US INT64_C(1767225600000000) /* what the clock shows at the beginning of each test */
#define LIFE_S   7200                      /* of a batch */

struct fixture {
    struct store_conf conf;
    struct clock_fake clock;
    struct store *store;
    struct store_session *ss;
    struct arena arena;
    int64_t uid;   /* of this test */
    int64_t epoch; /* of its credential */
};

extern struct fixture fx;
extern struct err err; /* of the last failure */

/* The engine of this run; the connection comes from the environment (HEDDLE_TEST_SOCKET), the folder is a new one. */
void fixture_conf(const char *driver);
bool fixture_is_mysql(void);
/* Runs the program HEDDLE_TEST_CONTROL with a verb: kill, start. The tests that need it are for mysql. */
void fixture_control(const char *verb);
void fixture_remove_folder(const char *path);

int open_store(void **state); /* of a group */
int close_store(void **state);
int fresh_user(void **state); /* of a test */
int end_user(void **state);

void expect_rc(rc got, rc wanted, const char *what, const char *file, int line);
#define OK(x)       expect_rc((x), RC_OK, #x, __FILE__, __LINE__)
#define GIVES(r, x) expect_rc((x), (r), #x, __FILE__, __LINE__)

void wait_ms(int64_t ms); /* moves the clock, waits for nothing */

struct store_txn *begin_as(struct store_session *ss, int64_t uid, int64_t epoch, enum store_mode mode);
struct store_txn *begin(enum store_mode mode);
void commit(struct store_txn *tx);

/* A patch that sets a payload, as most writes of clients do. */
struct item_patch patch(const char *id, const char *payload);
struct item_patch patch_index(const char *id, const char *payload, int64_t sortindex);
struct item_patch patch_ttl(const char *id, int64_t ttl_s); /* ttl alone: does not touch */

/* Each is one transaction; T of it. */
stamp put(const char *coll, const char *id, const char *payload);
stamp put_patches(const char *coll, const struct item_patch *patches, size_t n);
stamp put_with_ttl(const char *coll, const char *id, const char *payload, int64_t ttl_s);

struct item get(const char *coll, const char *id); /* must be there */
void assert_missing(const char *coll, const char *id);
void assert_view(view v, const char *text);

struct item_query all(const char *coll);
/* Ids in the order read, parted by blanks; the next page's token (NULL: not wanted). */
const char *find(const struct item_query *q, view *out_next);
uint64_t delete_found(const struct item_query *q);

const struct head *head_now(void);        /* of this test's user, in the arena */
stamp coll_time(const char *coll);        /* zero: does not exist */
const char *batch_open(const char *coll); /* in a transaction of its own */
void batch_append(const char *id, const struct item_patch *patches, size_t n);
stamp batch_commit(const char *coll, const char *id);

#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh_user, end_user)

extern const struct test_group life_group, fence_group, stamps_group, reading_group, pages_group,
    writing_group, deleting_group, counting_group, batches_group, purge_group, threads_group, known_group,
    recovery_group, steps_group, moving_group, importing_group, conns_group;

#endif
