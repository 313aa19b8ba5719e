/* The tables of commands put together, and the run of one of them. */
#include "admin/commands.h"

#include <pthread.h>
#include <stdarg.h>
#include <unistd.h>

#include "admin/audit/audit.h"
#include "admin/verbs.h"

/* ---- the tables ---- */

/* A line for each table, in the order of the overview. */
/* clang-format off */
static const struct command *const tables[] = {
    node_commands,
    node_life_commands,
    lb_commands,
    plan_commands,
    run_commands,
    user_commands,
    invite_commands,
    mail_commands,
    move_commands,
    verify_commands,
    settle_commands,
    doctor_commands,
    explain_commands,
    audit_commands,
    settings_commands,
    console_commands,
    secret_commands,
    help_commands,
    man_commands,
    completion_commands,
};
/* clang-format on */
#define N_TABLES (sizeof(tables) / sizeof(tables[0]))

const struct command_group command_groups[] = {
    { "node", "nodes of the cluster: what is decided about them" },
    { "user", "accounts, and where they live" },
    { "invite", "codes with which somebody may make an account" },
    { "mail", "mails of a one box that sends none" },
    { "plan", "what would be moved, and why" },
    { "run", "plans carried out" },
    { "settle", "what moves and deleted accounts left behind" },
    { "doctor", "is everything as it should be?" },
    { "audit", "who did what, when" },
    { "explain", "why a user is where he is" },
    { "lb", "the balancer in front: its configuration and its routes" },
    { "settings", "what is in force at directories and nodes" },
    { "console", "pages for admins" },
    { "secret", "secrets for tokens and calls" },
    { "help", "what there is" },
    { "man", "manual pages" },
    { "completion", "completion in shells" },
    { NULL, NULL },
};

const struct exit_meaning exit_meanings[] = {
    { EXIT_DONE, "done", "It is done; of a question: here is the answer." },
    { EXIT_FAILED, "failed", "It was tried and did not work; standard error says why." },
    { EXIT_MISUSED, "misused",
      "The command line, a setting, or a value that was refused. Nothing was done." },
    { EXIT_NOT_FOUND, "not found", "There is no such user, node, plan or run." },
    { EXIT_REFUSED, "refused",
      "Not as things stand: users live there, or somebody else was faster. Nothing was done." },
    { EXIT_AWAY, "away", "A directory or a node does not answer or is busy; the same may work later." },
    { EXIT_UNCONFIRMED, "unconfirmed",
      "It is dangerous, and there was neither --yes nor a yes at the terminal. Nothing was done." },
    { EXIT_PARTLY, "partly", "Some of it is done and some is not: paused, cancelled, or some moves failed." },
    { EXIT_DIFFERENT, "different", "A check found what should not be." },
    { 0, NULL, NULL },
};

const struct command *command_at(size_t i)
{
    for (size_t t = 0; t < N_TABLES; t++)
        for (const struct command *c = tables[t]; c->name; c++)
            if (i-- == 0)
                return c;
    return NULL;
}

bool command_in_group(const struct command *c, const char *group)
{
    size_t n = strlen(group);
    return strncmp(c->name, group, n) == 0 && (c->name[n] == ' ' || c->name[n] == '\0');
}

/* How many words of name argv begins with; 0: not with all of them. */
static int words_match(const char *name, int argc, char **argv)
{
    view rest = view_of(name), word;
    int n = 0;
    while (view_cut(&rest, ' ', &word)) {
        if (n >= argc || !view_eq(word, view_of(argv[n])))
            return 0;
        n++;
    }
    return n;
}

const struct command *command_find(int argc, char **argv, int *out_words)
{
    const struct command *best = NULL, *c;
    int most = 0;
    for (size_t i = 0; (c = command_at(i)); i++) {
        int n = words_match(c->name, argc, argv);
        if (n > most) {
            most = n;
            best = c;
        }
    }
    *out_words = most;
    return best;
}

/* ---- sentences ---- */

/* Where this thread's complaints go: stderr, unless its command runs within another program. */
static _Thread_local FILE *complaints;

static FILE *wrong(void)
{
    return complaints ? complaints : stderr;
}

int admin_wrong(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("heddle-admin: ", wrong());
    vfprintf(wrong(), fmt, args);
    fputc('\n', wrong());
    va_end(args);
    return EXIT_MISUSED;
}

int admin_status(rc r, const struct err *e)
{
    if (r == RC_OK)
        return EXIT_DONE;
    fprintf(wrong(), "heddle-admin: %s\n", e->text);
    switch (r) {
    case RC_BAD_INPUT:
    case RC_TOO_LARGE:
        return EXIT_MISUSED;
    case RC_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case RC_CONFLICT:
    case RC_NOT_HERE:
    case RC_MODIFIED:
        return EXIT_REFUSED;
    case RC_AWAY:
    case RC_BUSY:
    case RC_FROZEN:
        return EXIT_AWAY;
    default:
        return EXIT_FAILED;
    }
}

int admin_confirm(const struct admin *a, const char *fmt, ...)
{
    if (a->yes)
        return EXIT_DONE;
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        admin_wrong("%s: this needs --yes, or a terminal to ask at", a->command->name);
        return EXIT_UNCONFIRMED;
    }
    char line[16];
    fprintf(stderr, "Go on? Type \"yes\": ");
    if (!fgets(line, sizeof(line), stdin) || strcmp(line, "yes\n") != 0) {
        admin_wrong("%s: nothing was done", a->command->name);
        return EXIT_UNCONFIRMED;
    }
    return EXIT_DONE;
}

/* ---- running ---- */

static bool wants_colour(const struct admin *a)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return a->terminal && !a->json && !(no && no[0]) && !(term && strcmp(term, "dumb") == 0);
}

/* Whoever cannot write down what he does, does not do it. */
static int run_audited(struct admin *a, int words, int argc, char **argv)
{
    struct err e = ERR_NONE;
    rc r = audit_begin(a, words, argc, argv, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    int status = a->command->run(a);
    r = audit_end(a, status, &e);
    if (r == RC_OK)
        return status;
    int told = admin_status(r, &e);
    return status == EXIT_DONE ? told : status;
}

static int run_parsed(struct admin *a, int words, int argc, char **argv)
{
    const struct command *c = a->command;
    a->out = stdout;
    a->terminal = isatty(STDOUT_FILENO) == 1;
    a->colour = wants_colour(a);
    if (c->danger && !c->asks_itself) {
        int asked = admin_confirm(a, "heddle-admin %s: %s", c->name, c->danger);
        if (asked != EXIT_DONE)
            return asked;
    }
    int status = c->changes ? run_audited(a, words, argc, argv) : c->run(a);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        admin_wrong("standard output cannot be written");
        return status == EXIT_DONE ? EXIT_FAILED : status;
    }
    return status;
}

static int run_command(const struct admin_conf *conf, const struct command *c, int words, int argc,
                       char **argv)
{
    struct admin a = { .conf = conf };
    bool help = false;
    int status = commands_parse(&a, c, words, argc, argv, &help);
    if (status == EXIT_DONE && help)
        help_command(stdout, c);
    else if (status == EXIT_DONE)
        status = run_parsed(&a, words, argc, argv);
    admin_done(&a);
    return status;
}

/* getopt_long keeps its place in variables of the process. */
static int parse_alone(struct admin *a, const struct command *c, int words, int argc, char **argv)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    bool help = false;
    pthread_mutex_lock(&lock);
    int status = commands_parse(a, c, words, argc, argv, &help);
    pthread_mutex_unlock(&lock);
    return help ? EXIT_MISUSED : status;
}

int commands_call(const struct command_call *call, int argc, char **argv)
{
    struct admin a = { .conf = call->conf, .ask = call->ask, .person = call->person, .out = call->out };
    int words = 0;
    const struct command *c = command_find(argc, argv, &words);
    if (!c)
        return EXIT_MISUSED;
    complaints = call->wrong;
    int status = parse_alone(&a, c, words, argc, argv);
    if (status == EXIT_DONE) {
        a.json = a.yes = true;
        status = c->changes ? run_audited(&a, words, argc, argv) : c->run(&a);
    }
    complaints = NULL;
    a.ask = NULL; /* the caller's */
    admin_done(&a);
    return status;
}

/* Words that are no command: perhaps a group, perhaps a slip. */
static int no_command(int argc, char **argv)
{
    bool asked = argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0);
    if (argc >= 1 && help_group(argc == 1 || asked ? stdout : stderr, argv[0])) {
        if (argc == 1 || asked)
            return asked ? EXIT_DONE : EXIT_MISUSED;
        return admin_wrong("there is no \"%s %.40s\"; above is what there is", argv[0], argv[1]);
    }
    if (argc == 0) {
        help_overview(stderr);
        return EXIT_MISUSED;
    }
    return admin_wrong("there is no command \"%.40s\"; \"heddle-admin help\" lists them all", argv[0]);
}

int commands_run(const struct admin_conf *conf, int argc, char **argv)
{
    int words = 0;
    const struct command *c = command_find(argc, argv, &words);
    if (!c)
        return no_command(argc, argv);
    return run_command(conf, c, words, argc, argv);
}
