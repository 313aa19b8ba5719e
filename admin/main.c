/* heddle-admin: the operator's command. Its commands: admin/commands.h. */
#include <stdio.h>
#include <unistd.h>

#include "admin/commands.h"
#include "common/base/mem.h"
#include "common/web/program.h"

#define CONFIG_FILE "/etc/heddle/admin.ini"

static int run(void *arg, int argc, char **argv)
{
    return commands_run(arg, argc, argv);
}

static void help(void *arg, FILE *out)
{
    (void)arg;
    help_overview(out);
}

static bool names_config(int argc, char **argv)
{
    for (int i = 1; i < argc && strncmp(argv[i], "-", 1) == 0; i++)
        if (strncmp(argv[i], "--config", 8) == 0)
            return true;
        else if (strcmp(argv[i], "--set") == 0)
            i++;
    return false;
}

/* An operator shall not have to name his settings each time: without --config they are those of the environment, else the usual
 * file if there is one. */
static const char *usual_config(int argc, char **argv)
{
    const char *named = getenv("HEDDLE_ADMIN_CONFIG");
    if (names_config(argc, argv))
        return NULL;
    if (named && named[0])
        return named;
    return access(CONFIG_FILE, R_OK) == 0 ? CONFIG_FILE : NULL;
}

int main(int argc, char **argv)
{
    static struct admin_conf conf;
    const struct program_group groups[] = {
        { admin_conf_keys, admin_conf_keys_n, &conf, sizeof(conf) },
        { lb_conf_keys, lb_conf_keys_n, &conf, sizeof(conf) },
        { console_listen_keys, console_listen_keys_n, &conf.console, sizeof(conf.console) },
        { console_conf_keys, console_conf_keys_n, &conf.console, sizeof(conf.console) }
    };
    const struct program program = {
        .name = "heddle-admin",
        .purpose = "the operator's command for a Heddle server",
        .arguments = "COMMAND [OPTION …] [ARGUMENT …]",
        .groups = groups,
        .n_groups = 4,
        .arg = &conf,
        .run = run,
        .help = help,
    };
    static char word[] = "--config";
    const char *config = usual_config(argc, argv);
    char **more = mem_need(calloc((size_t)argc + 3, sizeof(*more)));
    int n = 0;
    if (argc > 0)
        more[n++] = argv[0];
    if (config) {
        more[n++] = word;
        more[n++] = (char *)(uintptr_t)config;
    }
    for (int i = 1; i < argc; i++)
        more[n++] = argv[i];
    int status = program_main(&program, n, more);
    free(more);
    return status;
}
