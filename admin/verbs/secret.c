/* heddle-admin secret …: secrets for tokens and for calls. */
#include "admin/show.h"
#include "admin/verbs.h"
#include "common/auth/secrets.h"
#include "common/base/encode.h"
#include "common/base/rand.h"

enum { SECRET_BYTES_MAX = 1024, INPUT_MAX = 65536, MASTERS_MAX = 64 };

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

/* Standard input, whole: a secret that is cut off would be another one. */
static rc read_input(struct buf *out, struct err *e)
{
    size_t n;
    buf_reserve(out, INPUT_MAX + 1);
    while ((n = fread(out->p + out->n, 1, INPUT_MAX + 1 - out->n, stdin)) > 0)
        out->n += n;
    if (ferror(stdin))
        return fail(e, RC_BROKEN, RESP_GENERIC, "standard input cannot be read");
    if (out->n > INPUT_MAX)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "more than %d bytes on standard input", INPUT_MAX);
    return RC_OK;
}

/* One a line, as in the file that tokens.secrets names. */
static rc read_masters(struct buf *text, struct secrets **out, struct err *e)
{
    char *items[MASTERS_MAX];
    struct conf_list list = { .items = items };
    TRY(read_input(text, e));
    buf_addc(text, '\n'); /* so that something can end each */
    view rest = buf_view(text), line;
    while (view_cut(&rest, '\n', &line)) {
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        line = view_trim(line);
        if (line.n == 0)
            continue;
        if (memchr(line.p, '\0', line.n))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "there is a NUL byte on standard input");
        if (list.n == MASTERS_MAX)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "more than %d secrets on standard input", MASTERS_MAX);
        items[list.n] = text->p + (line.p - text->p);
        items[list.n++][line.n] = '\0';
    }
    if (list.n == 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "no master secret on standard input");
    return secrets_new(&list, 1, out, e);
}

/* Protocol: mozservices, the helper "mozsvc-secrets derive". The master comes from standard input: an argument would show in the
 * list of processes. Of several, as there are while they are changed, each gives one. */
static int secret_derive(struct admin *a)
{
    SCOPED(buf_done) struct buf text = { 0 };
    SCOPED(secrets_free) struct secrets *masters = NULL;
    SCOPED(secrets_free) struct secrets *derived = NULL;
    struct err e = ERR_NONE;
    rc r = read_masters(&text, &masters, &e);
    if (r == RC_OK)
        r = secrets_derive(masters, view_of(a->argv[0]), &derived, &e);
    secret_wipe(text.p, text.n);
    if (r != RC_OK)
        return admin_wrong("secret derive: %s", e.text);
    for (size_t i = 0; i < derived->n; i++)
        print_secret(a, derived->items[i]);
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
      .help = "read master secrets from standard input, one a line, print the secret of that node for each",
      .about =
          "Give it to the node as tokens.secrets, with tokens.derived = no: so the node can open tokens for itself alone, and the "
          "master stays with the directories.",
      .examples = { "heddle-admin secret derive https://node7.example.net < token.secrets > node7.secrets" },
      .run = secret_derive },
    COMMANDS_END,
};
