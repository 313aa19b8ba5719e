/* The program heddle-node: one storage node of a cluster. */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/scope.h"
#include "common/web/internal.h"
#include "common/web/program.h"
#include "node/node.h"

struct app {
    struct server_conf public, internal;
    struct internal_conf callers;
    struct sync_limits limits;
    struct store_conf store;
    struct cache_conf cache;
    struct node_conf node_conf;

    char *url;              /* public URL */
    char *internal_address; /* where the admin finds us, as our listener has it */
    struct node *node;
    struct server *public_server, *internal_server;
};

/* In the order of `groups` below. */
enum group {
    GROUP_PUBLIC,
    GROUP_INTERNAL,
    GROUP_CALLERS,
    GROUP_STORE,
    GROUP_LIMITS,
    GROUP_CACHE,
    GROUP_NODE,
    N_GROUPS
};

/* What our calls are signed for (server.h): the URL that was set, the address that we listen at, or a socket's path. */
static void settle_internal(struct app *a)
{
    const struct server_conf *c = &a->internal;
    free(a->internal_address);
    a->internal_address = NULL;
    if (c->url[0] != '\0' || c->listen[0] == '/' || c->listen[0] == '\0')
        a->internal_address = mem_need(strdup(c->url[0] != '\0' ? c->url : c->listen));
    else if (asprintf(&a->internal_address, "%s://%s", c->tls_cert[0] != '\0' ? "https" : "http", c->listen) <
             0)
        a->internal_address = mem_need(NULL);
}

static struct node_options options(const struct app *a)
{
    return (struct node_options){ .conf = &a->node_conf,
                                  .limits = &a->limits,
                                  .store = &a->store,
                                  .cache = &a->cache,
                                  .public_url = a->url,
                                  .clock = clock_system(),
                                  .internal_keys = &a->callers.keys,
                                  .internal_address = a->internal_address };
}

static rc check(void *arg, struct err *e)
{
    struct app *a = arg;

    free(a->url);
    TRY(program_public_url(&a->public, &a->url, e));
    settle_internal(a);
    TRY(server_check(&a->public, e));
    TRY(server_check(&a->internal, e));
    const struct node_options o = options(a);
    return node_check(&o, e);
}

static rc start(void *arg, struct err *e)
{
    struct app *a = arg;
    struct mount public[2], internal[1];

    const struct node_options o = options(a);
    TRY(node_open(&o, &a->node, e));
    node_mount(a->node, &public[0]);
    node_home_mount(a->node, &public[1]);
    node_internal_mount(a->node, &internal[0]);
    TRY(program_listen(&a->internal, true, internal, 1, &a->internal_server, e));
    return program_listen(&a->public, false, public, 2, &a->public_server, e);
}

static rc reload(void *arg, void *const *fresh, struct err *e)
{
    struct app *a = arg;
    return node_reload(a->node, fresh[GROUP_NODE], e);
}

static void stop(void *arg)
{
    struct app *a = arg;

    if (a->public_server)
        server_close(a->public_server);
    if (a->internal_server)
        server_close(a->internal_server);
    node_close(a->node);
    free(a->url);
    free(a->internal_address);
}

int main(int argc, char **argv)
{
    static struct app app;
    const struct program_group groups[N_GROUPS] = {
        [GROUP_PUBLIC] = { server_conf_public, server_conf_public_n, &app.public, sizeof(app.public) },
        [GROUP_INTERNAL] = { server_conf_internal, server_conf_internal_n, &app.internal,
                             sizeof(app.internal) },
        [GROUP_CALLERS] = { internal_conf_keys, internal_conf_keys_n, &app.callers, sizeof(app.callers) },
        [GROUP_STORE] = { store_conf_keys, store_conf_keys_n, &app.store, sizeof(app.store) },
        [GROUP_LIMITS] = { sync_limits_keys, sync_limits_keys_n, &app.limits, sizeof(app.limits) },
        [GROUP_CACHE] = { cache_conf_keys, cache_conf_keys_n, &app.cache, sizeof(app.cache) },
        [GROUP_NODE] = { node_conf_keys, node_conf_keys_n, &app.node_conf, sizeof(app.node_conf) },
    };
    const struct program program = {
        .name = "heddle-node",
        .purpose = "one storage node of a Firefox Sync cluster",
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
