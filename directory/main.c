/* The program heddle-directory: who you are, where you live. `heddle-directory ldap-init` prepares an LDAP server for it. */

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/scope.h"
#include "common/web/internal.h"
#include "common/web/program.h"
#include "directory/backend/ldap_conf.h"
#include "directory/backend/ldap_init.h"
#include "directory/directory.h"
#include "directory/mail/mail.h"
#include "directory/screens/screens.h"

/* Keys of [data]. */
struct data_conf {
    char *dir;
};

static const struct conf_key data_conf_keys[] = {
    { "data.dir", CONF_TEXT, offsetof(struct data_conf, dir), "./var", 0, 0, 0, "",
      "Folder of what is kept here: the SQLite file, keys that were not given." },
};

#define LDAP_INIT "ldap-init"

/* In the order of `groups` below. */
enum group {
    GROUP_DATA,
    GROUP_PUBLIC,
    GROUP_INTERNAL,
    GROUP_CALLERS,
    GROUP_DIRECTORY,
    GROUP_LDAP,
    GROUP_MAIL,
    GROUP_SCREENS,
    N_GROUPS
};

struct app {
    struct data_conf data;
    struct server_conf public, internal;
    struct internal_conf callers;
    struct directory_conf conf;
    struct ldap_conf ldap;
    struct mail_conf mail;
    struct screens_conf screens;

    char *url; /* public URL */
    struct directory *directory;
    struct server *public_server, *internal_server;
};

static rc check(void *arg, struct err *e)
{
    struct app *a = arg;
    free(a->url);
    TRY(program_public_url(&a->public, &a->url, e));
    TRY(server_check(&a->public, e));
    TRY(server_check(&a->internal, e));
    if (strcmp(a->conf.backend, "ldap") == 0)
        TRY(ldap_conf_check(&a->ldap, e));
    TRY(mail_check(&a->mail, e));
    TRY(screens_check(&a->screens, e));
    return directory_check(&a->conf, a->url, e);
}

static rc start(void *arg, struct err *e)
{
    struct app *a = arg;
    struct mount mounts[2];
    TRY(program_data_dir(a->data.dir, e));
    TRY(directory_open(&(struct directory_options){ .conf = &a->conf,
                                                    .ldap = &a->ldap,
                                                    .mail = &a->mail,
                                                    .screens = &a->screens,
                                                    .public_url = a->url,
                                                    .data_dir = a->data.dir,
                                                    .clock = clock_system(),
                                                    .internal_keys = &a->callers.keys },
                       &a->directory, e));
    directory_mount(a->directory, &mounts[0]);
    directory_internal_mount(a->directory, &mounts[1]);
    TRY(program_listen(&a->internal, true, mounts, 2, &a->internal_server, e));
    return program_listen(&a->public, false, mounts, 1, &a->public_server, e);
}

static rc reload(void *arg, void *const *fresh, struct err *e)
{
    struct app *a = arg;
    return directory_reload(a->directory, fresh[GROUP_DIRECTORY], e);
}

static void stop(void *arg)
{
    struct app *a = arg;
    if (a->public_server)
        server_close(a->public_server);
    if (a->internal_server)
        server_close(a->internal_server);
    directory_close(a->directory);
    free(a->url);
}

/* ---- heddle-directory ldap-init ---- */

static const char ldap_init_usage[] =
    "heddle-directory: ldap-init takes --check, --as DN (\"\": this Unix user, over ldapi) and --password-file FILE\n";

/* The words behind "ldap-init". */
struct ldap_init_words {
    struct ldap_init_options options;
    const char *password_file;
};

static bool read_words(int argc, char **argv, struct ldap_init_words *out)
{
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--check") == 0)
            out->options.check_only = true;
        else if (strcmp(argv[i], "--as") == 0 && more)
            out->options.as_dn = argv[++i];
        else if (strcmp(argv[i], "--password-file") == 0 && more)
            out->password_file = argv[++i];
        else
            return false;
    }
    const char *dn = out->options.as_dn;
    return (dn && dn[0]) == (out->password_file != NULL);
}

static int ldap_init_run(void *arg, int argc, char **argv)
{
    struct app *a = arg;
    struct ldap_init_words w = { .options.out = stdout };
    struct err e = ERR_NONE;
    char password[512] = "", *one = password;
    if (argc < 1 || strcmp(argv[0], LDAP_INIT) != 0 || !read_words(argc, argv, &w)) {
        fputs(ldap_init_usage, stderr);
        return PROGRAM_MISUSED;
    }
    if (w.password_file) {
        FILE *f = fopen(w.password_file, "re");
        bool got = f && fgets(password, sizeof(password), f);
        if (f)
            fclose(f);
        bool whole = strlen(password) < sizeof(password) - 1;
        password[strcspn(password, "\n")] = '\0';
        if (!got || !password[0] || !whole) {
            explicit_bzero(password, sizeof(password));
            fprintf(stderr, "heddle-directory: %s %s\n", w.password_file,
                    whole ? "cannot be read, or is empty" : "holds a line that is too long");
            return PROGRAM_FAILED;
        }
        w.options.as_password = (struct conf_list){ .items = &one, .n = 1 };
    }
    const struct backend_conf conf = { .ldap = &a->ldap,
                                       .cost = { .kib = (uint32_t)a->conf.argon2_kib,
                                                 .passes = (uint32_t)a->conf.argon2_passes,
                                                 .lanes = (uint32_t)a->conf.argon2_lanes },
                                       .clock = clock_system() };
    rc r = ldap_tree_init(&conf, &w.options, &e);
    explicit_bzero(password, sizeof(password));
    if (r != RC_OK) {
        fprintf(stderr, "heddle-directory: %s\n", e.text);
        return PROGRAM_FAILED;
    }
    puts("ok       LDAP is ready for Heddle");
    return PROGRAM_DONE;
}

static bool wants_ldap_init(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], LDAP_INIT) == 0)
            return true;
    return false;
}

/* Nearly every request goes to a worker and on to LDAP, and an io thread that comes before both interrupts what it waits for: a token would
 * take 58 µs of our processor instead of 52 (README.md). */
static const struct conf_default directory_defaults[] = { { "public.io_nice", "0" } };

int main(int argc, char **argv)
{
    static struct app app;
    struct conf_key *public = conf_keys_with(server_conf_public, server_conf_public_n, directory_defaults, 1);
    const struct program_group groups[N_GROUPS] = {
        [GROUP_DATA] = { data_conf_keys, sizeof(data_conf_keys) / sizeof(data_conf_keys[0]), &app.data,
                         sizeof(app.data) },
        [GROUP_PUBLIC] = { public, server_conf_public_n, &app.public, sizeof(app.public) },
        [GROUP_INTERNAL] = { server_conf_internal, server_conf_internal_n, &app.internal,
                             sizeof(app.internal) },
        [GROUP_CALLERS] = { internal_conf_keys, internal_conf_keys_n, &app.callers, sizeof(app.callers) },
        [GROUP_DIRECTORY] = { directory_conf_keys, directory_conf_keys_n, &app.conf, sizeof(app.conf) },
        [GROUP_LDAP] = { ldap_conf_keys, ldap_conf_keys_n, &app.ldap, sizeof(app.ldap) },
        [GROUP_MAIL] = { mail_conf_keys, mail_conf_keys_n, &app.mail, sizeof(app.mail) },
        [GROUP_SCREENS] = { screens_conf_keys, screens_conf_keys_n, &app.screens, sizeof(app.screens) },
    };
    const struct program init = {
        .name = "heddle-directory",
        .purpose = "lays Heddle's tree in an LDAP server, and checks it",
        .arguments = "ldap-init [--check] [--as DN --password-file FILE]",
        .groups = groups,
        .n_groups = N_GROUPS,
        .arg = &app,
        .run = ldap_init_run,
    };
    const struct program program = {
        .name = "heddle-directory",
        .purpose = "accounts, nodes and tokens of a Firefox Sync cluster",
        .groups = groups,
        .n_groups = N_GROUPS,
        .arg = &app,
        .check = check,
        .start = start,
        .reload = reload,
        .stop = stop,
    };
    int status = program_main(wants_ldap_init(argc, argv) ? &init : &program, argc, argv);
    free(public);
    return status;
}
