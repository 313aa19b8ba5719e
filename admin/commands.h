/* The commands of heddle-admin: one table, from which come the parser, usage and --help, man pages and shell completion.
 *
 * How to add a verb
 *   1. Write it in a file of its own (admin/move/move_cli.c): a function `int user_move(struct admin *a)`, which reads its arguments from
 *      a->argv and its options by option_text() and its kin, asks by admin/ask.h, answers by admin/show.h, and gives an exit status.
 *   2. Put a row for it into that file's table, whose last row is COMMANDS_END:
 *
 *          static const struct command_option move_options[] = {
 *              { .name = "to", .type = OPTION_NODE, .value = "NODE", .help = "the node to move to" },
 *              { .name = "rate", .type = OPTION_SIZE, .value = "BYTES", .help = "most bytes a second", .fallback = "0" },
 *              OPTIONS_END,
 *          };
 *          const struct command move_commands[] = {
 *              { .name = "user move", .arguments = "USER", .least = 1, .most = 1, .run = user_move,
 *                .help = "move a user to another node while he syncs", .options = move_options, .changes = true,
 *                .examples = { "heddle-admin user move alice --to node8.example.net" } },
 *              COMMANDS_END,
 *          };
 *   3. Name the table in `tables` of admin/commands.c, and a new group (the first word) in `groups` there.
 *
 * Every verb has --json and --help by itself; one with `danger` has --yes, and asks. Names are one word or two. Verbs write to stdout
 * through admin/show.h only, so that --json is always whole, and complain on stderr through admin_wrong and admin_status. */
#ifndef HEDDLE_ADMIN_COMMANDS_H
#define HEDDLE_ADMIN_COMMANDS_H

#include <stdio.h>

#include "admin/admin.h"
#include "common/base/scope.h"

/* What a process leaves behind, also in docs/admin.md. */
enum admin_exit {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,      /* it was tried, and did not work */
    EXIT_MISUSED = 2,     /* the command line, the settings, or a value that was refused */
    EXIT_NOT_FOUND = 3,   /* no such user, node, run */
    EXIT_REFUSED = 4,     /* not as things stand: users live there, somebody else was faster */
    EXIT_AWAY = 5,        /* a directory or node does not answer, or is busy: later it may */
    EXIT_UNCONFIRMED = 6, /* dangerous, and neither --yes nor a yes at the terminal */
    EXIT_PARTLY = 7,      /* some of it is done, some is not: paused, cancelled, or failed moves */
    EXIT_DIFFERENT = 8    /* a check found what should not be: audit verify, user verify, doctor */
};
struct exit_meaning {
    int status;
    const char *name, *meaning;
};
extern const struct exit_meaning exit_meanings[]; /* ends with a name of NULL */

/* What an option, or an argument, takes: for checking, and for completion. */
enum option_type {
    OPTION_FLAG,    /* nothing */
    OPTION_TEXT,    /* anything but "" */
    OPTION_NUMBER,  /* digits, within least … most */
    OPTION_PERCENT, /* 0 … 100, or 12.5; in thousandths of a per cent */
    OPTION_SIZE,    /* bytes: 512, 16k, 2m, 1g */
    OPTION_SECONDS, /* seconds: 30, 30s, 5m, 2h, 1d */
    OPTION_TIME,    /* 2026-05-01, 2026-05-01T12:30Z, 3d (ago); in ms */
    OPTION_CHOICE,  /* one of `choices`, parted by blanks */
    OPTION_FILE,    /* a path */
    OPTION_NODE,    /* the name of a node */
};

struct command_option {
    const char *name; /* without the dashes */
    enum option_type type;
    const char *value;    /* "NODE", as in usage; NULL for a flag */
    const char *help;     /* no capital, no full stop */
    const char *fallback; /* what holds without it; NULL: nothing */
    const char *choices;  /* for OPTION_CHOICE */
    int64_t least, most;  /* for OPTION_NUMBER; both 0: no bounds */
    bool many;            /* may be repeated: option_each */
};
#define OPTIONS_END                                                                                          \
    {                                                                                                        \
        .name = NULL                                                                                         \
    }
#define EXAMPLES_MAX 8

struct admin;
typedef int verb_fn(struct admin *a); /* gives an enum admin_exit */

struct command {
    const char *name;      /* "node add", or one word */
    const char *arguments; /* "USER [NODE …]", as in usage; NULL: none */
    int least, most;       /* so many arguments */
    const char *completes; /* words that the first argument may be, parted by blanks, or "@node", "@file" */
    const char *help;      /* one line: no capital, no full stop */
    const char *about;     /* more: paragraphs parted by an empty line; NULL: no more */
    const struct command_option *options; /* NULL: none of its own */
    const char *examples[EXAMPLES_MAX];   /* "heddle-admin …", or "what it is for\nheddle-admin …" */
    const char *danger; /* a sentence that tells what is lost; NULL: harmless. Makes --yes and the question */
    bool asks_itself;   /* the verb calls admin_confirm where it is due; else we ask before it runs */
    bool changes;       /* something in the cluster: it is written to the audit log, begin and end */
    verb_fn *run;
};
#define COMMANDS_END                                                                                         \
    {                                                                                                        \
        .name = NULL                                                                                         \
    }

struct command_group {
    const char *name;
    const char *help; /* one line for the overview */
};
extern const struct command_group command_groups[]; /* ends with a name of NULL */
/* The i-th command of all tables; NULL behind the last. */
const struct command *command_at(size_t i);
bool command_in_group(const struct command *c, const char *group);
/* That of the longest name which argv begins with; *out_words: how many words that were. NULL: none. */
const struct command *command_find(int argc, char **argv, int *out_words);
/* Its options with those that every verb has, in the order of --help; gives how many. */
#define COMMAND_OPTIONS_MAX 40
size_t command_options(const struct command *c, const struct command_option *out[COMMAND_OPTIONS_MAX]);

/* ---- one run of one command ---- */

struct ask;
struct option_given;

struct admin {
    const struct admin_conf *conf;
    const struct command *command;
    int argc; /* arguments, without options */
    char **argv;
    bool json, yes;
    bool colour;   /* stdout is a terminal, and nobody objects */
    bool terminal; /* stdout is a terminal */
    FILE *out;     /* stdout; tests have another */
    struct option_given *given;
    size_t n_given;
    struct ask *ask;    /* admin_connect (verbs.h) */
    const char *person; /* who acts, for the audit log; NULL: whose process it is */
    char audit_id[40];  /* of this act in the audit log, or "" */
    int64_t began_us;   /* when that began */
};

/* Values were checked while parsing. An option that was not given has its fallback; without one: false, NULL, 0. */
bool option_given(const struct admin *a, const char *name); /* the fallback does not count */
const char *option_text(const struct admin *a, const char *name);
int64_t option_number(const struct admin *a, const char *name); /* also sizes, seconds, times, per cents */
/* The i-th value of an option that may be repeated; NULL behind the last. */
const char *option_each(const struct admin *a, const char *name, size_t i);

/* A size as options have it: "512", "16k", "20MiB". */
bool option_read_size(view text, int64_t *out);

/* The whole of `heddle-admin WORD …` after program_main has read the settings. argv may be permuted. */
int commands_run(const struct admin_conf *conf, int argc, char **argv);
/* One command within another program, as `person`: as if with --json and --yes, its objects on `out`, its complaints on `wrong`. It calls
 * through `ask`. Any thread, with an ask of its own. Gives the exit status. argv is permuted. */
struct command_call {
    const struct admin_conf *conf;
    struct ask *ask;
    const char *person;
    FILE *out, *wrong;
};
int commands_call(const struct command_call *call, int argc, char **argv);
/* Parses what stands behind the command's `words` words; nothing is run. *a: zeroed. EXIT_DONE, or EXIT_MISUSED with the reason on
 * stderr; *out_help: --help was asked. admin_done in any case. argv is permuted and must outlive *a. */
int commands_parse(struct admin *a, const struct command *c, int words, int argc, char **argv,
                   bool *out_help);
void admin_done(struct admin *a);

/* Asks on the terminal; with --yes it answers itself. EXIT_DONE: go on. EXIT_UNCONFIRMED: said on stderr why not. */
int admin_confirm(const struct admin *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- help.c, man.c, completion.c: what is made of the table ---- */

void help_overview(FILE *out);                         /* all commands */
bool help_group(FILE *out, const char *group);         /* false: no such group */
void help_command(FILE *out, const struct command *c); /* --help of one */
void help_usage(FILE *out, const struct command *c);   /* its line */
extern const struct command help_commands[], man_commands[], completion_commands[];

#endif
