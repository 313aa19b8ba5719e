/* The program heddle-directory: who you are, where you live. */
#include <errno.h>
#include <sys/stat.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/scope.h"
#include "common/web/program.h"
#include "directory/directory.h"

/* Keys of [data]. */
struct data_conf {
    char *dir;
};

static const struct conf_key data_conf_keys[] = {
    { "data.dir", CONF_TEXT, offsetof(struct data_conf, dir), "./var", 0, 0, 0, "",
      "Folder of what is kept here: the SQLite file, keys that were not given." },
};

/* In the order of `groups` below. */
enum group { GROUP_DATA, GROUP_PUBLIC, GROUP_INTERNAL, GROUP_DIRECTORY, N_GROUPS };

struct app {
    struct data_conf data;
    struct server_conf public, internal;
    struct directory_conf conf;

    char *url; /* public URL */
    struct directory *directory;
    struct server *public_server, *internal_server;
};

static rc settle_url(struct app *a, struct err *e)
{
    struct url_parts u;
    char *url = NULL;
    if (a->public.url[0] != '\0')
        url = mem_need(strdup(a->public.url));
    else if (asprintf(&url, "%s://%s", a->public.tls_cert[0] ? "https" : "http", a->public.listen) < 0)
        url = mem_need(NULL);
    free(a->url);
    a->url = url;
    if (!url_cut(view_of(url), &u) || url[strlen(url) - 1] == '/')
        return fail(
            e, RC_BAD_INPUT, RESP_GENERIC,
            "public.url is \"%s\"%s: must be the address that clients use, like https://sync.example.net, "
            "without a slash at its end",
            url, a->public.url[0] ? "" : " (made of public.listen)");
    return RC_OK;
}

static rc check(void *arg, struct err *e)
{
    struct app *a = arg;
    TRY(settle_url(a, e));
    return directory_check(&a->conf, a->url, e);
}

static rc make_data_dir(const char *path, struct err *e)
{
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "data.dir: cannot make the folder %s: %s", path,
                    strerror(errno));
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "data.dir: %s is not a folder", path);
    return RC_OK;
}

static rc start(void *arg, struct err *e)
{
    struct app *a = arg;
    struct mount mount;
    TRY(make_data_dir(a->data.dir, e));
    TRY(directory_open(
        &(struct directory_options){
            .conf = &a->conf, .public_url = a->url, .data_dir = a->data.dir, .clock = clock_system() },
        &a->directory, e));
    directory_mount(a->directory, &mount);
    if (a->internal.listen[0] != '\0') {
        TRY(server_open(&a->internal, true, &mount, 1, clock_system(), &a->internal_server, e));
        LOG(LOG_INFO, "listening", LOG_S("what", "internal"), LOG_S("url", server_url(a->internal_server)));
    }
    TRY(server_open(&a->public, false, &mount, 1, clock_system(), &a->public_server, e));
    LOG(LOG_INFO, "listening", LOG_S("what", "public"), LOG_S("url", server_url(a->public_server)),
        LOG_I("port", server_port(a->public_server)));
    return RC_OK;
}

static void reload(void *arg, void *const *fresh)
{
    struct app *a = arg;
    struct err e = ERR_NONE;
    if (directory_reload(a->directory, fresh[GROUP_DIRECTORY], &e) != RC_OK)
        LOG(LOG_ERROR, "reload refused, the old settings stay", LOG_S("why", e.text));
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

int main(int argc, char **argv)
{
    static struct app app;
    const struct program_group groups[N_GROUPS] = {
        [GROUP_DATA] = { data_conf_keys, sizeof(data_conf_keys) / sizeof(data_conf_keys[0]), &app.data,
                         sizeof(app.data) },
        [GROUP_PUBLIC] = { server_conf_public, server_conf_public_n, &app.public, sizeof(app.public) },
        [GROUP_INTERNAL] = { server_conf_internal, server_conf_internal_n, &app.internal,
                             sizeof(app.internal) },
        [GROUP_DIRECTORY] = { directory_conf_keys, directory_conf_keys_n, &app.conf, sizeof(app.conf) },
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
    return program_main(&program, argc, argv);
}
