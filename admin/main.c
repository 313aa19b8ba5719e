/* heddle-admin: the operator's command. */
#include <stdarg.h>
#include <stdio.h>

#include "admin/admin.h"
#include "common/auth/secrets.h"
#include "common/base/buf.h"
#include "common/base/encode.h"
#include "common/base/rand.h"
#include "common/web/program.h"

#define SECRET_BYTES_MAX 1024

struct command {
    const char *name, *arguments, *help;
    int least, most; /* arguments */
    command_fn *run;
};

int admin_wrong(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("heddle-admin: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    return PROGRAM_MISUSED;
}

/* Protocol: mozservices, the helper "mozsvc-secrets new". */
static int secret_new(const struct admin_conf *conf, int argc, char **argv)
{
    (void)conf;
    uint64_t n = 32;
    if (argc > 0 && (!view_to_u64(view_of(argv[0]), SECRET_BYTES_MAX, &n) || n < 16))
        return admin_wrong("secret new: BYTES must be a number from 16 to 1024");
    SCOPED(buf_done) struct buf text = { 0 };
    uint8_t bytes[SECRET_BYTES_MAX];
    rand_bytes(bytes, n);
    hex_put(&text, (view){ .p = (const char *)bytes, .n = n });
    printf("%s\n", buf_text(&text));
    secret_wipe(bytes, sizeof(bytes));
    secret_wipe(text.p, text.n);
    return PROGRAM_DONE;
}

/* Protocol: mozservices, the helper "mozsvc-secrets derive". The master comes from standard input: an argument would show in the
 * list of processes. */
static int secret_derive(const struct admin_conf *conf, int argc, char **argv)
{
    (void)conf;
    (void)argc;
    char line[4096];
    if (!fgets(line, sizeof(line), stdin))
        return admin_wrong("secret derive: no master secret on standard input");
    line[strcspn(line, "\r\n")] = '\0';

    char *items[] = { line };
    struct conf_list list = { .items = items, .n = 1 };
    SCOPED(secrets_free) struct secrets *masters = NULL;
    SCOPED(secrets_free) struct secrets *derived = NULL;
    struct err e = ERR_NONE;
    rc r = secrets_new(&list, 1, &masters, &e);
    if (r == RC_OK)
        r = secrets_derive(masters, view_of(argv[0]), &derived, &e);
    secret_wipe(line, sizeof(line));
    if (r != RC_OK)
        return admin_wrong("%s", e.text);
    printf("%.*s\n", VIEW_ARG(derived->items[0]));
    return PROGRAM_DONE;
}

static const struct command commands[] = {
    { "secret new", "[BYTES]", "print a random secret as hex (32 bytes unless told)", 0, 1, secret_new },
    { "secret derive", "NODE-URL", "read a master secret from standard input, print the secret of that node",
      1, 1, secret_derive },
    { "node add", "URL [KEY=VALUE …]", "add a node; KEY: address, capacity, seats, state, node_type, pools",
      1, 7, node_add },
    { "node set", "NAME KEY=VALUE …", "change what is decided about a node", 2, 8, node_set },
    { "node list", "", "all nodes", 0, 0, node_list },
    { "node show", "NAME", "one node", 1, 1, node_show },
    { "node remove", "NAME", "remove a node on which nobody lives", 1, 1, node_remove },
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int run(void *arg, int argc, char **argv)
{
    const struct admin_conf *conf = arg;
    for (size_t i = 0; i < N_COMMANDS && argc >= 2; i++) {
        const struct command *c = &commands[i];
        char words[64];
        snprintf(words, sizeof(words), "%.30s %.30s", argv[0], argv[1]);
        if (strcmp(words, c->name) != 0)
            continue;
        if (argc - 2 < c->least || argc - 2 > c->most) {
            fprintf(stderr, "Usage: heddle-admin %s %s\n", c->name, c->arguments);
            return PROGRAM_MISUSED;
        }
        return c->run(conf, argc - 2, argv + 2);
    }
    fprintf(stderr, "Usage: heddle-admin COMMAND [ARGUMENT …]\n\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(stderr, "  %-14s %-17s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
    return PROGRAM_MISUSED;
}

int main(int argc, char **argv)
{
    static struct admin_conf conf;
    const struct program_group groups[] = { { admin_conf_keys, admin_conf_keys_n, &conf, sizeof(conf) } };
    const struct program program = {
        .name = "heddle-admin",
        .purpose = "the operator's command for a Heddle server",
        .arguments = "COMMAND [ARGUMENT …]",
        .groups = groups,
        .n_groups = 1,
        .arg = &conf,
        .run = run,
    };
    return program_main(&program, argc, argv);
}
