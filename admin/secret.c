/* heddle-admin secret …: secrets for tokens and for calls. */
#include "admin/show.h"
#include "admin/verbs.h"
#include "common/auth/secrets.h"
#include "common/base/encode.h"
#include "common/base/rand.h"

#define SECRET_BYTES_MAX 1024

static void print_secret(const struct admin *a, view secret)
{
    if (a->json)
        fprintf(a->out, "{\"secret\":\"%.*s\"}\n", VIEW_ARG(secret)); /* hex */
    else
        fprintf(a->out, "%.*s\n", VIEW_ARG(secret));
}

/* Protocol: mozservices, the helper "mozsvc-secrets new". */
static int secret_new(struct admin *a)
{
    uint64_t n = 32;
    if (a->argc > 0 && (!view_to_u64(view_of(a->argv[0]), SECRET_BYTES_MAX, &n) || n < 16))
        return admin_wrong("secret new: BYTES must be a number from 16 to 1024");
    SCOPED(buf_done) struct buf text = { 0 };
    uint8_t bytes[SECRET_BYTES_MAX];
    rand_bytes(bytes, n);
    hex_put(&text, (view){ .p = (const char *)bytes, .n = n });
    print_secret(a, buf_view(&text));
    secret_wipe(bytes, sizeof(bytes));
    secret_wipe(text.p, text.n);
    return EXIT_DONE;
}

/* Protocol: mozservices, the helper "mozsvc-secrets derive". The master comes from standard input: an argument would show in the
 * list of processes. */
static int secret_derive(struct admin *a)
{
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
        r = secrets_derive(masters, view_of(a->argv[0]), &derived, &e);
    secret_wipe(line, sizeof(line));
    if (r != RC_OK)
        return admin_wrong("%s", e.text);
    print_secret(a, derived->items[0]);
    return EXIT_DONE;
}

const struct command secret_commands[] = {
    { .name = "secret new",
      .arguments = "[BYTES]",
      .most = 1,
      .help = "print a random secret as hex (32 bytes unless told)",
      .examples = { "a key for a node\nheddle-admin secret new > /etc/heddle/node7.key" },
      .run = secret_new },
    { .name = "secret derive",
      .arguments = "NODE-URL",
      .least = 1,
      .most = 1,
      .help = "read a master secret from standard input, print the secret of that node",
      .about =
          "Give it to the node as tokens.secrets, with tokens.derived = no: so the node can open tokens for itself alone, and the "
          "master stays with the directories.",
      .examples = { "heddle-admin secret derive https://node7.example.net < token.secrets > node7.secrets" },
      .run = secret_derive },
    COMMANDS_END,
};
