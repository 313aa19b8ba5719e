/* Calls to directories and nodes: signed, with timeouts, page by page where there are many objects.
 * Protocol: docs/internal-api.md, "Transport". */
#ifndef HEDDLE_ADMIN_ASK_H
#define HEDDLE_ADMIN_ASK_H

#include <jansson.h>

#include "admin/admin.h"

#define ASK_DEPTH 12 /* of an answer's JSON */

/* One thread's way to the cluster, with keep-alive connections of its own. Not thread-safe. */
struct ask;

/* RC_BAD_INPUT: admin.directory or admin.key is missing or wrong. conf is borrowed. */
MUST_USE rc ask_new(const struct admin_conf *conf, struct ask **out, struct err *e);
void ask_free(struct ask *a); /* NULL is fine */
/* From here on no call takes longer than this, if the settings allow more; 0: as they say. */
void ask_limit(struct ask *a, long ms);

/* One call, path below /internal/v1/; body VIEW_NONE: none. *out: zeroed or an earlier answer, of status 200; answer_done.
 * What is answered else comes as the word it names with its text: NOT_FOUND, CONFLICT, BUSY …; RC_AWAY: no answer.
 *
 * ask_directory: the directory that answered last, then the others, while one does not answer at all. A call that changes something is
 * sent again only when the connection was never made, else it ends with RC_UNSURE: it may have happened.
 * ask_directory_at: the i-th of admin.directory (ask_directories of them), and no other. */
MUST_USE rc ask_directory(struct ask *a, const char *method, const char *path, view body, struct answer *out,
                          struct err *e);
size_t ask_directories(const struct ask *a);
MUST_USE rc ask_directory_at(struct ask *a, size_t i, const char *method, const char *path, view body,
                             struct answer *out, struct err *e);
const char *ask_directory_name(const struct ask *a, size_t i); /* its address, for people */

/* A node by its name. Its internal address is found in admin.nodes, else in its entry (member "internal"), else in what it last told a
 * directory. RC_NOT_FOUND: nobody knows an address. */
MUST_USE rc ask_node(struct ask *a, view node, const char *method, const char *path, view body,
                     struct answer *out, struct err *e);
/* The address itself, "http://…" or a path, lives as long as a. */
MUST_USE rc ask_node_address(struct ask *a, view node, const char **out, struct err *e);

/* A body that is one object. *out: json_decref. RC_BROKEN: it is none. */
MUST_USE rc ask_object(const struct answer *answer, json_t **out, struct err *e);

/* Many objects: every line of every page. `visit` borrows `line`; what it returns but RC_OK ends the reading. The path may have a
 * query; X-Heddle-Next of an answer, which is escaped already, becomes "after=" of the next question. node VIEW_NONE: a directory. */
typedef rc ask_visitor(void *arg, json_t *line, struct err *e);
MUST_USE rc ask_each(struct ask *a, view node, const char *path, ask_visitor *visit, void *arg,
                     struct err *e);
/* The same, all lines as one array. */
MUST_USE rc ask_all(struct ask *a, view node, const char *path, json_t **out, struct err *e);

/* host[:port] with no byte that means something in a path. */
bool ask_is_node_name(view v);

static inline void
answer_done_scoped(struct answer *a) /* SCOPED(answer_done) struct answer a = { .status = 0 }; */
{
    answer_done(a);
}
static inline void ask_free_scoped(struct ask **a)
{
    ask_free(*a);
}

#endif
