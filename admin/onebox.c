/* The program `heddle`: a directory and a node in one process on one port, and the only file that sees both sides. What a cluster
 * does over the network is a function call here: the node asks the directory about passwords, the directory tells the node whom to
 * forget. All else is the cluster's code. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "admin/console/console.h"
#include "admin/move/settle_thread.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/web/internal.h"
#include "common/web/ops.h"
#include "common/web/program.h"
#include "directory/backend/ldap_conf.h"
#include "directory/directory.h"
#include "directory/mail/mail.h"
#include "directory/screens/screens.h"
#include "node/node.h"

#define TOKEN_SECRET_BYTES 32
#define ADMIN_KEY_BYTES    32
#define CONSOLE_TIMEOUT_S  30

enum {
    GROUP_DATA,
    GROUP_PUBLIC,
    GROUP_INTERNAL,
    GROUP_CALLERS,
    GROUP_NODE,
    GROUP_LIMITS,
    GROUP_STORE,
    GROUP_CACHE,
    GROUP_DIRECTORY,
    GROUP_LDAP,
    GROUP_MAIL,
    GROUP_SCREENS,
    GROUP_CONSOLE,
    N_GROUPS
};

/* Keys of [data]. */
struct box_conf {
    char *dir;
    int64_t settle_every_s, settle_grace_s;
    bool console;
};

static const struct conf_key box_conf_keys[] = {
    { "data.dir", CONF_TEXT, offsetof(struct box_conf, dir), "./var", 0, 0, 0, "",
      "Folder of everything that is kept: databases, secrets, the socket of the internal listener." },
    { "settle.every", CONF_SECONDS, offsetof(struct box_conf, settle_every_s), "1m", 0, 86400, 0, "s",
      "How often it is looked for what deleted accounts left, and erased; 0: never." },
    { "settle.grace", CONF_SECONDS, offsetof(struct box_conf, settle_grace_s), "1d", 0, 31536000, 0, "s",
      "How long the data of a deleted account stay on disk." },
    { "console.on", CONF_BOOL, offsetof(struct box_conf, console), "yes", 0, 0, 0, "",
      "Whether the admins' console is served, at /admin." },
};

struct box {
    struct box_conf data;
    struct server_conf public, internal;
    struct internal_conf callers;
    struct node_conf node_conf;
    struct sync_limits limits;
    struct store_conf store;
    struct cache_conf cache;
    struct directory_conf directory_conf;
    struct ldap_conf ldap;
    struct mail_conf mail;
    struct screens_conf screens;

    char *url; /* public URL */
    char *store_path, *directory_path, *internal_path;
    char *token_secret; /* made and kept by us when none was given */
    struct conf_list token_list;
    char *admin_secret;      /* likewise, for heddle-admin and for our own settling */
    char *own_callers[3];    /* "admin admin KEY", "admin settle KEY", "admin console KEY" */
    struct conf_list admits; /* those of the settings, and ours */
    struct settle_thread *settle;
    struct console_conf console_conf;
    struct admin_conf admin; /* of the console: how it reaches this process */
    char *admin_places[3];   /* directory, node, folder */
    struct console *console;
    struct directory *directory;
    struct node *node;
    struct server *public_server, *internal_server;
};

/* ---- what the two sides say to each other ---- */

static struct verdict told(const struct directory_verdict *v)
{
    struct verdict out = { .uid = v->uid, .epoch = v->epoch, .marked = v->marked };
    snprintf(out.node, sizeof(out.node), "%s", v->node);
    memcpy(out.mark, v->mark, sizeof(out.mark));
    return out;
}

static rc ask_directory(void *arg, view name, view password, struct verdict *out, struct err *e)
{
    struct box *b = arg;
    struct directory_verdict v;
    TRY(directory_verify(b->directory, name, password, &v, e));
    *out = told(&v);
    return RC_OK;
}

static rc ask_directory_again(void *arg, view name, const struct verdict *was, struct verdict *out,
                              struct err *e)
{
    struct box *b = arg;
    struct directory_verdict v, before = { .marked = was->marked };
    memcpy(before.mark, was->mark, sizeof(before.mark));
    TRY(directory_recheck(b->directory, name, &before, &v, e));
    *out = told(&v);
    return RC_OK;
}

static void tell_node(void *arg, view name, int64_t uid, int64_t until_s)
{
    struct box *b = arg;
    if (name.n > 0)
        authority_forget(b->node->authority, name);
    if (uid > 0)
        authority_refuse(b->node->authority, uid, until_s);
}

static void allow_at_node(void *arg, int64_t uid)
{
    struct box *b = arg;
    authority_allow(b->node->authority, uid);
}

/* ---- settings that follow from others ---- */

static char *text(const char *fmt, const char *a, const char *b)
{
    char *out = NULL;
    if (asprintf(&out, fmt, a, b) < 0)
        abort();
    return out;
}

/* The public URL is the truth for Hawk and for every link: it is given, or it is the loopback address we listen at. */
static rc settle_url(struct box *b, struct err *e)
{
    if (b->public.url[0] == '\0' && !program_listens_here_alone(b->public.listen))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "listening at %s, beyond this machine, needs the address that browsers use: "
                    "--public-url https://sync.example.net (key public.url)",
                    b->public.listen);
    free(b->url);
    return program_public_url(&b->public, &b->url, e);
}

/* The directory writes the node's own URL into tokens, the node compares it byte for byte. */
static rc check_node_url(const char *url, struct err *e)
{
    struct url_parts u;
    if (url[0] != '\0' && (!url_cut(view_of(url), &u) || url[strlen(url) - 1] == '/'))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "node.url is \"%s\": must be like https://node7.example.net, without a slash at its end",
                    url);
    return RC_OK;
}

static rc check(void *arg, struct err *e)
{
    struct box *b = arg;
    TRY(settle_url(b, e));
    TRY(check_node_url(b->node_conf.url, e));
    TRY(server_check(&b->public, e));
    TRY(server_check(&b->internal, e));
    TRY(store_check(&b->store, e));
    TRY(cache_check(&b->cache, e));
    TRY(directory_check(&b->directory_conf, b->url, e));
    if (strcmp(b->directory_conf.backend, "ldap") == 0)
        TRY(ldap_conf_check(&b->ldap, e));
    TRY(mail_check(&b->mail, e));
    TRY(screens_check(&b->screens, e));
    TRY(console_check(&b->console_conf, e));
    return sync_limits_ready(&b->limits, e);
}

/* Places in the data folder for what was not told, and a token secret of our own. */
static rc settle_paths(struct box *b, struct err *e)
{
    TRY(program_data_dir(b->data.dir, e));
    if (b->store.path[0] == '\0')
        b->store.path = b->store_path = text("%s/%s", b->data.dir, "store");
    if (b->directory_conf.path[0] == '\0')
        b->directory_conf.path = b->directory_path = text("%s/%s", b->data.dir, "directory.sqlite");
    if (b->internal.listen[0] == '\0') {
        char *real = realpath(b->data.dir, NULL);
        if (!real)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "data.dir: %s: %s", b->data.dir, strerror(errno));
        b->internal.listen = b->internal_path = text("%s/%s", real, "internal.sock");
        free(real);
    }
    if (b->node_conf.token_secrets.n == 0) {
        char *path = text("%s/%s", b->data.dir, "token.secret");
        rc r = secret_file(path, TOKEN_SECRET_BYTES, &b->token_secret, e);
        free(path);
        TRY(r);
        b->token_list = (struct conf_list){ .items = &b->token_secret, .n = 1 };
        b->node_conf.token_secrets = b->token_list;
        b->directory_conf.token_secrets = b->token_list;
    }
    return RC_OK;
}

static rc add_callers(struct box *b, struct err *e)
{
    char *path = text("%s/%s", b->data.dir, "admin.key");
    rc r = secret_file(path, ADMIN_KEY_BYTES, &b->admin_secret, e);
    free(path);
    TRY(r);
    size_t n = b->callers.keys.n;
    b->admits.items = mem_need(calloc(n + 3, sizeof(*b->admits.items)));
    for (size_t i = 0; i < n; i++)
        b->admits.items[i] = b->callers.keys.items[i];
    b->own_callers[0] = text("admin admin %s%s", b->admin_secret, "");
    b->own_callers[1] = text("admin settle %s%s", b->admin_secret, "");
    b->own_callers[2] = text("admin console %s%s", b->admin_secret, "");
    if (n == 0) /* else the operator has said who may */
        b->admits.items[n++] = b->own_callers[0];
    b->admits.items[n++] = b->own_callers[1];
    b->admits.items[n++] = b->own_callers[2];
    b->admits.n = n;
    return RC_OK;
}

/* ---- life ---- */

static rc open_both(struct box *b, struct err *e)
{
    const char *own = b->node_conf.url[0] ? b->node_conf.url : b->url;
    TRY(directory_open(&(struct directory_options){ .conf = &b->directory_conf,
                                                    .ldap = &b->ldap,
                                                    .mail = &b->mail,
                                                    .screens = &b->screens,
                                                    .sole_node_socket = b->internal.listen[0] == '/'
                                                                            ? b->internal.listen
                                                                            : NULL,
                                                    .public_url = b->url,
                                                    .data_dir = b->data.dir,
                                                    .clock = clock_system(),
                                                    .sole_node_url = own,
                                                    .sole_node_address = b->url,
                                                    .on_forget = tell_node,
                                                    .internal_keys = &b->admits,
                                                    .on_allow = allow_at_node,
                                                    .on_forget_arg = b },
                       &b->directory, e));
    struct authority_driver authority = { .verify = ask_directory, .recheck = ask_directory_again, .arg = b };
    return node_open(&(struct node_options){ .conf = &b->node_conf,
                                             .limits = &b->limits,
                                             .store = &b->store,
                                             .cache = &b->cache,
                                             .public_url = b->url,
                                             .authority = &authority,
                                             .clock = clock_system(),
                                             .internal_keys = &b->admits },
                     &b->node, e);
}

/* What is void stays void. Accounts elsewhere that do not answer now must not keep the box from starting: Sync goes on with tokens. */
static rc tell_refused(struct box *b, struct err *e)
{
    struct err why = ERR_NONE;
    rc r = directory_tell_refused(b->directory, &why);
    if (r == RC_AWAY || r == RC_BUSY)
        LOG(LOG_WARN, "accounts disabled or deleted before this start keep their tokens until they expire",
            LOG_S("why", why.text));
    else if (r != RC_OK)
        return fail(e, r, RESP_GENERIC, "%s", why.text);
    return RC_OK;
}

static rc greet(const struct box *b, struct err *e)
{
    char once[ONCE_TEXT] = "";
    if (b->console && b->console_conf.groups.n == 0)
        TRY(once_make(&b->admin, clock_now_s(clock_system()), once, e));
    printf("\nHeddle %s serves at %s\n\n"
           "  Firefox    about:config, identity.sync.tokenserver.uri =\n"
           "             %s/1.0/sync/1.5\n"
           "  Pale Moon  Sync setup, \"use a custom server\":\n"
           "             %s/\n",
           heddle_version, b->url, b->url, b->url);
    if (b->console)
        printf("  Admins     %s/admin\n", b->url);
    if (once[0])
        printf("             one-time password: %s\n", once);
    printf("\n  Data in %s; Ctrl-C stops it, the data stay.\n\n", b->data.dir);
    fflush(stdout);
    secret_wipe(once, sizeof(once));
    return RC_OK;
}

/* The console comes to us over the internal listener, as heddle-admin does. */
static rc start_console(struct box *b, struct err *e)
{
    const char *listen = b->internal.listen[0] == '/' ? b->internal.listen : server_url(b->internal_server);
    static char name[] = "console";
    if (!b->data.console)
        return RC_OK;
    SCOPED(buf_done) struct buf node = { 0 };
    buf_addf(&node, "%.*s=%s", VIEW_ARG(b->node->own_name), listen);
    b->admin_places[0] = text("%s%s", listen, "");
    b->admin_places[1] = text("%s%s", buf_text(&node), "");
    b->admin_places[2] = text("%s/%s", b->data.dir, "admin");
    b->admin = (struct admin_conf){ .directories = { .items = &b->admin_places[0], .n = 1 },
                                    .nodes = { .items = &b->admin_places[1], .n = 1 },
                                    .name = name,
                                    .key = { .items = &b->admin_secret, .n = 1 },
                                    .dir = b->admin_places[2],
                                    .timeout_s = CONSOLE_TIMEOUT_S };
    return console_open(
        &(struct console_options){
            .conf = &b->console_conf, .admin = &b->admin, .public_url = b->url, .clock = clock_system() },
        &b->console, e);
}

static rc start_settling(struct box *b, struct err *e)
{
    SCOPED(buf_done) struct buf node = { 0 };
    const char *listen = b->internal.listen[0] == '/' ? b->internal.listen : server_url(b->internal_server);
    if (b->data.settle_every_s == 0)
        return RC_OK;
    buf_addf(&node, "%.*s=%s", VIEW_ARG(b->node->own_name), listen);
    return settle_thread_start(&(struct settle_thread_options){ .directory = listen,
                                                                .name = "settle",
                                                                .key = b->admin_secret,
                                                                .node = buf_text(&node),
                                                                .every_s = b->data.settle_every_s,
                                                                .grace_s = b->data.settle_grace_s },
                               &b->settle, e);
}

static rc start(void *arg, struct err *e)
{
    struct box *b = arg;
    struct mount mounts[4], pages[3];

    TRY(settle_paths(b, e));
    TRY(add_callers(b, e));
    TRY(open_both(b, e));
    TRY(tell_refused(b, e));
    node_mount(b->node, &mounts[0]);
    directory_mount(b->directory, &mounts[1]);
    node_internal_mount(b->node, &mounts[2]);
    mounts[2].health = NULL; /* the first one tells it */
    directory_internal_mount(b->directory, &mounts[3]);
    if (b->internal.spool_dir[0] == '\0')
        b->internal.spool_dir = b->data.dir;
    if (b->public.spool_dir[0] == '\0')
        b->public.spool_dir = b->data.dir;
    TRY(server_open(&b->internal, true, mounts, 4, clock_system(), &b->internal_server, e));
    TRY(start_settling(b, e));
    TRY(start_console(b, e));
    memcpy(pages, mounts, 2 * sizeof(*pages));
    if (b->console)
        console_mount(b->console, &pages[2]);
    TRY(server_open(&b->public, false, pages, b->console ? 3 : 2, clock_system(), &b->public_server, e));
    return greet(b, e);
}

/* Each side by itself: what one refuses does not keep the other from its new settings. */
static rc reload(void *arg, void *const *fresh, struct err *e)
{
    struct box *b = arg;
    rc r = node_reload(b->node, fresh[GROUP_NODE], e);
    rc also = directory_reload(b->directory, fresh[GROUP_DIRECTORY], e);
    return r != RC_OK ? r : also;
}

static void wipe(char *secret)
{
    if (secret)
        secret_wipe(secret, strlen(secret));
    free(secret);
}

static void stop(void *arg)
{
    struct box *b = arg;
    if (b->public_server)
        server_close(b->public_server);
    console_close(b->console);
    settle_thread_stop(b->settle);
    if (b->internal_server)
        server_close(b->internal_server);
    if (b->node)
        node_close(b->node);
    if (b->directory)
        directory_close(b->directory);
    free(b->url);
    free(b->store_path);
    free(b->directory_path);
    free(b->internal_path);
    wipe(b->token_secret);
    for (size_t i = 0; i < 3; i++)
        wipe(b->own_callers[i]);
    for (size_t i = 0; i < 3; i++)
        free(b->admin_places[i]);
    wipe(b->admin_secret);
    free(b->admits.items);
    sync_limits_done(&b->limits);
}

/* What suits a small machine differs from what suits a node of a cluster. */
static const struct conf_default box_defaults[] = {
    { "public.workers", "4" }, { "internal.workers", "1" }, { "tokens.derived", "no" },
    { "store.files", "4" },    { "store.cache", "32k" },    { "store.kept", "0" },
    { "cache.items", "0" },
};

int main(int argc, char **argv)
{
    static struct box box;
    struct program_group groups[N_GROUPS] = {
        [GROUP_DATA] = { box_conf_keys, sizeof(box_conf_keys) / sizeof(box_conf_keys[0]), &box.data,
                         sizeof(box.data) },
        [GROUP_PUBLIC] = { server_conf_public, server_conf_public_n, &box.public, sizeof(box.public) },
        [GROUP_INTERNAL] = { server_conf_internal, server_conf_internal_n, &box.internal,
                             sizeof(box.internal) },
        [GROUP_CALLERS] = { internal_conf_keys, internal_conf_keys_n, &box.callers, sizeof(box.callers) },
        [GROUP_NODE] = { node_conf_keys, node_conf_keys_n, &box.node_conf, sizeof(box.node_conf) },
        [GROUP_LIMITS] = { sync_limits_keys, sync_limits_keys_n, &box.limits, sizeof(box.limits) },
        [GROUP_STORE] = { store_conf_keys, store_conf_keys_n, &box.store, sizeof(box.store) },
        [GROUP_CACHE] = { cache_conf_keys, cache_conf_keys_n, &box.cache, sizeof(box.cache) },
        [GROUP_DIRECTORY] = { directory_conf_keys, directory_conf_keys_n, &box.directory_conf,
                              sizeof(box.directory_conf) },
        [GROUP_LDAP] = { ldap_conf_keys, ldap_conf_keys_n, &box.ldap, sizeof(box.ldap) },
        [GROUP_MAIL] = { mail_conf_keys, mail_conf_keys_n, &box.mail, sizeof(box.mail) },
        [GROUP_SCREENS] = { screens_conf_keys, screens_conf_keys_n, &box.screens, sizeof(box.screens) },
        [GROUP_CONSOLE] = { console_conf_keys, console_conf_keys_n, &box.console_conf,
                            sizeof(box.console_conf) },
    };
    const struct program program = {
        .name = "heddle",
        .purpose = "a whole Firefox Sync server in one process",
        .groups = groups,
        .n_groups = N_GROUPS,
        .arg = &box,
        .small = true,
        .check = check,
        .start = start,
        .reload = reload,
        .stop = stop,
    };
    for (size_t i = 0; i < N_GROUPS; i++)
        groups[i].keys = conf_keys_with(groups[i].keys, groups[i].n, box_defaults,
                                        sizeof(box_defaults) / sizeof(box_defaults[0]));
    int status = program_main(&program, argc, argv);
    for (size_t i = 0; i < N_GROUPS; i++)
        free((void *)(uintptr_t)groups[i].keys);
    return status;
}
