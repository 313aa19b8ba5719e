/* What the commands of heddle-admin share. How a command is added: admin/commands.h. */
#ifndef HEDDLE_ADMIN_ADMIN_H
#define HEDDLE_ADMIN_ADMIN_H

#include "admin/console/conf.h"
#include "admin/lb/lb_conf.h"
#include "common/base/conf.h"
#include "common/web/call.h"

/* Keys of [admin]. */
struct admin_conf {
    struct conf_list directories; /* internal addresses: http://HOST:PORT, or the path of a unix socket */
    struct conf_list nodes;       /* NAME=ADDRESS, for nodes that the directory knows no address of */
    char *name;                   /* by which directories and nodes know us */
    struct conf_list key;         /* the last one signs */
    char *dir;                    /* plans, journals of runs, the audit log; "": where folder_path puts it */
    int64_t timeout_s;            /* of one call */
    struct lb_conf lb;            /* keys of [lb] */
    struct console_conf console;  /* keys of [console] */
};
extern const struct conf_key admin_conf_keys[];
extern const size_t admin_conf_keys_n;

/* Says on stderr what is wrong with the command line; gives EXIT_MISUSED. */
int admin_wrong(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* The exit status that goes with r (enum admin_exit); says why on stderr if there is something to say. */
int admin_status(rc r, const struct err *e);

#endif
