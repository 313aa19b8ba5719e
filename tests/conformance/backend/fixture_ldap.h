/* What the tests know of the LDAP server that tests/conformance/run_backend.py started for them. */
#ifndef HEDDLE_TESTS_BACKEND_FIXTURE_LDAP_H
#define HEDDLE_TESTS_BACKEND_FIXTURE_LDAP_H

#include <ldap.h>

#include "directory/backend/ldap_conf.h"
#include "fixture.h"

/* Settings for a tree of its own, empty, for each test; laid already. Texts live as long as the process. */
void fixture_ldap_conf(struct ldap_conf *out);
/* The same, not laid. */
void fixture_ldap_conf_bare(struct ldap_conf *out);
/* Somebody in the tree of people (guest layout). Twice is once. */
void fixture_ldap_person(const struct ldap_conf *c, view name, view password, view mail);
/* A word to run_backend.py: "kill", "start", "stop" of "provider" or "replica". Waits until it is done. */
void fixture_ldap_control(const char *verb, const char *server);
/* Waits until the replica has that account. */
void fixture_ldap_await_replica(const struct ldap_conf *c, const char *name);
/* Bound as who may do everything; to be closed by ldap_unbind_ext. */
LDAP *fixture_ldap_root(void);
/* Replaces one attribute of an account, behind the driver's back. */
void fixture_ldap_set(const struct ldap_conf *c, const char *name, const char *attr, view value);

/* The backend and its session anew, with the settings as they are now. */
void reopen(struct fixture *f);
rc get(struct fixture *f, const char *name, struct account *out);
rc login(struct fixture *f, const char *name, const char *password);

#endif
