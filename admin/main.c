/* heddle-admin: the operator's command. Its verbs grow with the cluster; today it makes and derives token secrets. */
#include <stdio.h>

#include "common/auth/secrets.h"
#include "common/base/buf.h"
#include "common/base/encode.h"
#include "common/base/rand.h"
#include "common/web/program.h"

#define SECRET_BYTES_MAX 1024

struct command {
    const char *name, *arguments, *help;
    int least, most; /* arguments */
    int (*run)(int argc, char **argv);
};

static int wrong(const char *why)
{
    fprintf(stderr, "heddle-admin: %s\n", why);
    return PROGRAM_MISUSED;
}

/* Protocol: mozservices, the helper "mozsvc-secrets new". */
static int secret_new(int argc, char **argv)
{
    uint64_t n = 32;
    if (argc > 0 && (!view_to_u64(view_of(argv[0]), SECRET_BYTES_MAX, &n) || n < 16))
        return wrong("secret new: BYTES must be a number from 16 to 1024");
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
static int secret_derive(int argc, char **argv)
{
    (void)argc;
    char line[4096];
    if (!fgets(line, sizeof(line), stdin))
        return wrong("secret derive: no master secret on standard input");
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
        return wrong(e.text);
    printf("%.*s\n", VIEW_ARG(derived->items[0]));
    return PROGRAM_DONE;
}

static const struct command commands[] = {
    { "secret new", "[BYTES]", "print a random secret as hex (32 bytes unless told)", 0, 1, secret_new },
    { "secret derive", "NODE-URL", "read a master secret from standard input, print the secret of that node",
      1, 1, secret_derive },
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int run(void *arg, int argc, char **argv)
{
    (void)arg;
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
        return c->run(argc - 2, argv + 2);
    }
    fprintf(stderr, "Usage: heddle-admin COMMAND [ARGUMENT …]\n\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(stderr, "  %-14s %-10s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
    return PROGRAM_MISUSED;
}

int main(int argc, char **argv)
{
    static const struct program program = {
        .name = "heddle-admin",
        .purpose = "the operator's command for a Heddle server",
        .arguments = "COMMAND [ARGUMENT …]",
        .run = run,
    };
    return program_main(&program, argc, argv);
}
