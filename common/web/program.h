/* The skeleton of every program: command line, configuration, log, signals, life. A program's main.c fills one struct and calls
 * program_main; nothing else of the process (mallopt, signal masks, the log's file) is anybody else's business.
 *
 *   main thread   load configuration → --help, --version, --show-config, --check-config end here
 *                 open the log → check → block signals → start → wait:  SIGHUP  → reload
 *                                                                       SIGTERM → stop
 *                                                                       SIGINT  → stop
 */
#ifndef HEDDLE_WEB_PROGRAM_H
#define HEDDLE_WEB_PROGRAM_H

#include "common/base/conf.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/web/server.h"

/* Keys of [log]; program_main adds them to each program's own. */
struct log_conf {
    char *level;  /* debug, info, warn, error */
    char *format; /* auto, json, plain */
    char *file;   /* "": stderr. Opened for appending, and opened anew on SIGHUP (logrotate) */
};
extern const struct conf_key log_conf_keys[];
extern const size_t log_conf_keys_n;

/* The keys of one component, the structure they fill, and its size (for reading it afresh on SIGHUP). */
struct program_group {
    const struct conf_key *keys;
    size_t n;
    void *target;
    size_t target_bytes;
};

#define PROGRAM_GROUPS_MAX 16

struct program {
    const char *name;                   /* "heddle-node" */
    const char *purpose;                /* one sentence for --help */
    const char *arguments;              /* "COMMAND [ARGUMENT …]" for --help; NULL: takes none */
    const struct program_group *groups; /* without [log] */
    size_t n_groups;
    bool small; /* memory counts for more than speed: what is freed goes back to the system */
    void *arg;  /* handed to the functions below */

    /* Relations between keys, without touching the outside: also what --check-config runs. May be NULL.
     * RC_BAD_INPUT: err.text is a sentence for the person at the terminal. */
    rc (*check)(void *arg, struct err *e);
    /* Opens everything, threads included (signals are blocked by now), and returns: a daemon. Exclusive with run. */
    rc (*start)(void *arg, struct err *e);
    /* SIGHUP. fresh[i] is a filled structure of groups[i]'s size, valid during the call alone (texts in it live as long as the
     * process); keys without CONF_RELOAD hold their old value. Main thread; the program swaps what others read. May be NULL.
     * A failure is logged; the part of the program that refused keeps its old settings. */
    rc (*reload)(void *arg, void *const *fresh, struct err *e);
    /* Drains and closes what start opened, also after a start that failed half-way. */
    void (*stop)(void *arg);
    /* More for --help, before the keys. May be NULL. */
    void (*help)(void *arg, FILE *out);
    /* Instead of start … stop: a command that ends by itself. argv is what the options left over. Gives the exit status.
     * Signals keep their usual meaning. */
    int (*run)(void *arg, int argc, char **argv);
};

/* Exit statuses: 0 done (also after a signal), 1 could not start (the sentence stands on stderr and in the log),
 * 2 wrong configuration or command line. */
enum program_exit { PROGRAM_DONE = 0, PROGRAM_FAILED = 1, PROGRAM_MISUSED = 2 };

/* The whole of main(). */
int program_main(const struct program *p, int argc, char **argv);

/* For `check`: the address that clients use and sign, without slashes at its end. It is public.url, or else made of the one address
 * that public.listen names. The caller frees *out, which is also set where the answer is RC_BAD_INPUT. */
MUST_USE rc program_public_url(const struct server_conf *public, char **out, struct err *e);

/* Makes the folder of data.dir, for its owner alone, where it is missing. RC_BAD_INPUT: it cannot be made, or is no folder. */
MUST_USE rc program_data_dir(const char *path, struct err *e);

/* Whether this address ("127.0.0.1:8000") is reached from this machine alone. */
bool program_listens_here_alone(const char *listen);

/* For `start`: opens a listener and says so in the log. An empty `listen` means that there shall be none: *out stays as it is. */
MUST_USE rc program_listen(const struct server_conf *conf, bool internal, const struct mount *mounts,
                           size_t n, struct server **out, struct err *e);

#endif
