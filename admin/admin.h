/* What the commands of heddle-admin share. */
#ifndef HEDDLE_ADMIN_ADMIN_H
#define HEDDLE_ADMIN_ADMIN_H

#include "common/base/conf.h"
#include "common/web/call.h"

/* Keys of [admin]. */
struct admin_conf {
    char *directory;      /* internal address: http://HOST:PORT, or the path of a unix socket */
    char *name;           /* by which the directory knows us                                  */
    struct conf_list key; /* the last one signs                                               */
};
extern const struct conf_key admin_conf_keys[];
extern const size_t admin_conf_keys_n;

/* A command: what stands behind its two words; gives the exit status. */
typedef int command_fn(const struct admin_conf *c, int argc, char **argv);

/* Says on stderr what is wrong with the command line. */
int admin_wrong(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* ---- ask.c ---- */

/* One signed call to the directory, path below /internal/v1/; body VIEW_NONE: none. *out: zeroed or an earlier answer, of status 200.
 * RC_BAD_INPUT: the settings; RC_AWAY: no answer; any other word of the directory's with its text. */
MUST_USE rc admin_ask(const struct admin_conf *c, const char *method, const char *path, view body,
                      struct answer *out, struct err *e);
/* The exit status that goes with r; says why on stderr if there is something to say. */
int admin_status(rc r, const struct err *e);

/* ---- nodes.c ---- */
command_fn node_add, node_set, node_list, node_show, node_remove;

#endif
