/* An empty backend of one driver, for each test anew. A driver that needs a server gets its place by `fixture_driver`'s environment. */
#ifndef HEDDLE_TESTS_BACKEND_FIXTURE_H
#define HEDDLE_TESTS_BACKEND_FIXTURE_H

#include "common/base/testing.h"
#include "directory/backend/backend.h"

#define START_US INT64_C(1767225600000000)
#define START_MS (START_US / 1000)

struct ldap_conf;
struct fixture {
    struct backend *backend;
    struct backend_session *s;
    struct clock_fake clock;
    struct arena arena;
    char folder[64];
    char path[128];
    struct ldap_conf *ldap; /* NULL: SQLite */
};

extern const struct backend_driver *fixture_driver;
extern bool fixture_guest; /* LDAP: people are in a tree of their own */
/* LDAP: the server is killed and started when everything is open, before each test */
extern bool fixture_restart;

int fixture_setup(void **state);
int fixture_teardown(void **state);

/* What most tests begin with. */
struct account_new fixture_user(const char *name, int64_t uid);   /* 1.1: mail and password, not placed */
struct account_new fixture_synced(const char *name, int64_t uid); /* 1.5: on node1, client state aaaa */
/* In the guest layout somebody with a password is added to the tree of people, and his entry of ours has none. */
rc fixture_try_add(struct fixture *f, const struct account_new *n, struct err *e);
void fixture_add(struct fixture *f, const struct account_new *n);
struct account fixture_get(struct fixture *f, const char *name); /* must be there */
struct change fixture_change(enum account_attr attr, const char *expected, const char *wanted);

#endif
