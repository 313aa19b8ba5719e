/* Giving new users a node: the table of nodes as this process knows it, a second old at most, and taking a seat of one. What is decided
 * is decided by assign.c from the table, and by the seats on the node's entry in the backend, which are taken one by one:
 *
 * - A node never gets more users than it had seats, however many processes and workers choose at once.
 * - No seat lies idle in a process: each is taken for one user, and given back if he did not get an account after all. Only a process
 *   that ends between the two loses one, for which settle counts the seats anew.
 * - Nobody is told that all is full before the seats were looked at again in the backend.
 * - What the admin changes of a node other processes follow within TABLE_MS, this one at once. */
#ifndef HEDDLE_DIRECTORY_CHOICE_H
#define HEDDLE_DIRECTORY_CHOICE_H

#include "common/base/buf.h"
#include "directory/inside.h"

struct choice;
struct choice *choice_new(void);
void choice_free(struct choice *c); /* NULL is fine */

/* A node's entry was changed: the table is read again before the next choice. Any thread. */
void choice_changed(struct directory *d);

/* "where would somebody like this account go now, and why" as members of a JSON object, with their braces. RC_AWAY … as the backend. */
MUST_USE rc choice_explain(struct directory *d, struct backend_session *s, struct arena *a,
                           const struct account *acc, struct buf *out, struct err *e);

#endif
