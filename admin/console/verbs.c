/* heddle-admin console: serves the console; console password: makes a one-time password for it. */
#include <signal.h>

#include "admin/audit/audit.h"
#include "admin/console/console.h"
#include "admin/show.h"
#include "admin/verbs.h"
#include "common/auth/secrets.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/web/program.h"

/* ---- a password ---- */

static int console_password(struct admin *a)
{
    char text[ONCE_TEXT];
    struct err e = ERR_NONE;
    rc r = once_make(a->conf, clock_now_s(clock_system()), text, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    if (a->json)
        fprintf(a->out, "{\"password\":\"%s\"}\n", text);
    else
        fprintf(a->out, "%s\n", text);
    secret_wipe(text, sizeof(text));
    return EXIT_DONE;
}

/* ---- serving ---- */

struct serving {
    struct conf *defaults; /* owns the texts of `server` */
    struct server_conf server;
    struct console_conf conf;
    char *url;
    struct console *console;
    struct mount mount;
    struct server *listener;
};

/* What a listener is made of, with the settings of the console in place of those of [public]. */
static rc settle_server(struct serving *s, struct err *e)
{
    static char name[] = "console";
    char *argv[] = { name, NULL };
    const struct conf_group group = { server_conf_public, server_conf_public_n, &s->server };
    enum conf_wish wish;
    int first;
    TRY(conf_load(1, argv, &group, 1, &s->defaults, &wish, &first, e));
    s->server.listen = s->conf.listen;
    s->server.url = s->conf.url;
    s->server.tls_cert = s->conf.tls_cert;
    s->server.tls_key = s->conf.tls_key;
    s->server.trusted_proxies = s->conf.trusted_proxies;
    s->server.io_threads = 1;
    s->server.workers = 4;
    if (s->conf.url[0] == '\0' && !program_listens_here_alone(s->conf.listen))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "listening at %.100s, beyond this machine, needs the address that browsers use: "
                    "--public-url https://ops.example.net (key console.url)",
                    s->conf.listen);
    TRY(program_public_url(&s->server, &s->url, e));
    s->server.url = s->url;
    return server_check(&s->server, e);
}

static rc open_serving(const struct admin *a, struct serving *s, struct err *e)
{
    TRY(settle_server(s, e));
    TRY(console_open(
        &(struct console_options){
            .conf = &s->conf, .admin = a->conf, .public_url = s->url, .clock = clock_system() },
        &s->console, e));
    console_mount(s->console, &s->mount);
    return program_listen(&s->server, false, &s->mount, 1, &s->listener, e);
}

static void serving_done(struct serving *s)
{
    if (s->listener)
        server_close(s->listener);
    console_close(s->console);
    conf_free(s->defaults);
    free(s->url);
}

static rc greet(const struct admin *a, const struct serving *s, struct err *e)
{
    char once[ONCE_TEXT];
    if (s->conf.groups.n > 0 && !option_given(a, "once")) {
        fprintf(a->out, "The console is at %s/admin\n", server_url(s->listener));
    } else {
        TRY(once_make(a->conf, clock_now_s(clock_system()), once, e));
        fprintf(a->out, "The console is at %s/admin\nOne-time password: %s\n", server_url(s->listener), once);
        secret_wipe(once, sizeof(once));
    }
    fflush(a->out);
    return RC_OK;
}

static int console(struct admin *a)
{
    struct serving s = { .conf = a->conf->console };
    struct err e = ERR_NONE;
    if (option_given(a, "listen"))
        s.conf.listen = (char *)(uintptr_t)option_text(a, "listen");
    if (option_given(a, "public-url"))
        s.conf.url = (char *)(uintptr_t)option_text(a, "public-url");
    signal(SIGPIPE, SIG_IGN);
    signals_block();
    rc r = open_serving(a, &s, &e);
    if (r == RC_OK)
        r = greet(a, &s, &e);
    if (r == RC_OK) {
        LOG(LOG_INFO, "started", LOG_S("program", "heddle-admin console"));
        while (signals_wait(3600) == 0)
            ;
        LOG(LOG_INFO, "stopping", LOG_S("program", "heddle-admin console"));
    }
    serving_done(&s);
    return admin_status(r, &e);
}

/* ---- the table ---- */

static const struct command_option console_options[] = {
    { .name = "listen", .type = OPTION_TEXT, .value = "HOST:PORT", .help = "instead of console.listen" },
    { .name = "public-url",
      .type = OPTION_TEXT,
      .value = "URL",
      .help = "the address that browsers use; needed beyond this machine" },
    { .name = "once",
      .type = OPTION_FLAG,
      .help = "print a one-time password even though groups may sign in" },
    OPTIONS_END,
};

/* clang-format off */
const struct command console_commands[] = {
    { .name = "console", .help = "serve the console: pages for admins, below /admin", .options = console_options,
      .about = "Serves until SIGTERM. Who may sign in: members of the groups in console.groups, by name and password, and whoever has the one-time password "
               "that is printed at the start where there are no groups. Runs that are started there go on when it ends.",
      .examples = { "heddle-admin console", "behind a proxy that speaks TLS\nheddle-admin console --listen 10.0.0.5:8030 --public-url https://ops.example.net" },
      .run = console },
    { .name = "console password", .help = "make a one-time password for the console; it opens one session, and voids the one before",
      .about = "Good for console.password_life (a day), by this host's console or that of the one box whose admin.dir is this one.",
      .examples = { "heddle-admin console password" }, .run = console_password },
    COMMANDS_END,
};
/* clang-format on */
