/* For tests: a node on SQLite in a folder of its own, somebody who calls its internal listener, and a directory that is asked about
 * passwords. */
#ifndef HEDDLE_NODE_TESTING_H
#define HEDDLE_NODE_TESTING_H

#include <ftw.h>

#include "common/base/testing.h"
#include "common/web/call.h"
#include "common/web/testing_conf.h"
#include "node/authority.h"
#include "node/node.h"
#include "node/sync/testing_conf.h"

#define SITE_ADMIN_KEY "key-of-the-operator"

struct site {
    char folder[64], path[80];
    char *secrets[1], *aliases[1];
    char *key[2];
    struct conf_list keys; /* internal.keys */
    struct node_conf conf;
    struct sync_limits limits;
    struct store_conf store;
    struct cache_conf cache;
    struct clock_fake clock;
    struct node *node;
    struct err e;
};

static inline void site_make(struct site *s)
{
    *s = (struct site){ .e = ERR_NONE };
    snprintf(s->folder, sizeof(s->folder), "/tmp/heddle-node-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    snprintf(s->path, sizeof(s->path), "%s/store", s->folder);
    s->key[0] = (char *)"admin admin " SITE_ADMIN_KEY;
    s->key[1] = (char *)"node other.example.net key-of-another-node";
    s->keys = (struct conf_list){ .items = s->key, .n = 2 };
    clock_fake_init(&s->clock, 1767225600000000);
    s->secrets[0] = (char *)"5b1f0e7c9d2a4483b6c0a1e2f3d4958677665544332211ffeeddccbbaa998877";
    s->aliases[0] = (char *)"https://old.example.net/";
    s->conf = (struct node_conf){ .name = (char *)"",
                                  .url = (char *)"",
                                  .aliases = { .items = s->aliases, .n = 1 },
                                  .token_secrets = { .items = s->secrets, .n = 1 },
                                  .token_derived = true,
                                  .hawk_window_s = 31449600,
                                  .backoff_s = 1800,
                                  .purge_every_s = 3600,
                                  .purge_grace_s = 10,
                                  .state = (char *)"normal" };
    s->limits = usual_limits();
    s->store = small_store(s->path);
    s->cache = small_cache("auto", "");
}

static inline rc site_open(struct site *s, const char *public_url)
{
    const struct node_options o = { .conf = &s->conf,
                                    .limits = &s->limits,
                                    .store = &s->store,
                                    .cache = &s->cache,
                                    .public_url = public_url,
                                    .clock = &s->clock.clock,
                                    .internal_keys = &s->keys };
    s->node = NULL;
    s->e = ERR_NONE;
    return node_open(&o, &s->node, &s->e);
}

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static inline void site_close(struct site *s)
{
    node_close(s->node);
    nftw(s->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline const struct route *route_of(const struct mount *m, const char *path)
{
    for (size_t i = 0; i < m->n_routes; i++)
        if (strcmp(m->routes[i].path, path) == 0)
            return &m->routes[i];
    return NULL;
}

/* ---- a directory that says of any password what the test wants ---- */

struct oracle {
    rc answer;
    int64_t uid, epoch;
    const char *node;
    int asked;
};

/* The verify of an authority_driver whose arg is a struct oracle. */
static inline rc oracle_says(void *arg, view name, view password, struct verdict *out, struct err *e)
{
    struct oracle *o = arg;
    (void)name, (void)password;
    o->asked++;
    if (o->answer != RC_OK)
        return fail(e, o->answer, RESP_GENERIC, "as told");
    *out = (struct verdict){ .uid = o->uid, .epoch = o->epoch };
    snprintf(out->node, sizeof(out->node), "%s", o->node);
    return RC_OK;
}

/* ---- its internal listener ---- */

struct office {
    char socket[100];
    struct server_conf conf;
    struct mount mount;
    struct server *server;
    struct caller *caller;
    struct answer answer;
};

/* Of an open site. */
static inline void office_open(struct office *o, struct site *s)
{
    struct err e = ERR_NONE;
    *o = (struct office){ .server = NULL };
    snprintf(o->socket, sizeof(o->socket), "%s/internal.sock", s->folder);
    node_internal_mount(s->node, &o->mount);
    o->conf = test_conf();
    o->conf.listen = o->socket;
    o->conf.arena_bytes = 8 << 20;
    if (server_open(&o->conf, true, &o->mount, 1, clock_system(), &o->server, &e) != RC_OK)
        fail_msg("%s", e.text);
    assert_int_equal(caller_new(&s->clock.clock, &o->caller, &e), RC_OK);
}

static inline void office_close(struct office *o)
{
    answer_done(&o->answer);
    caller_free(o->caller);
    server_close(o->server);
}

/* The answer to an admin's call of /internal/v1/<path>; body NULL: none. Fails unless it has that status. */
static inline const char *office_ask(struct office *o, const char *method, const char *path, const char *body,
                                     long status)
{
    char url[512];
    struct err e = ERR_NONE;
    snprintf(url, sizeof(url), "http://localhost/internal/v1/%s", path);
    const struct call what = { .method = method,
                               .url = url,
                               .unix_socket = o->socket,
                               .content_type = body ? "application/json" : NULL,
                               .body = body ? view_of(body) : VIEW_NONE,
                               .hawk_id = VIEW("admin"),
                               .hawk_key = VIEW(SITE_ADMIN_KEY),
                               .timeout_ms = 60000,
                               .answer_max = 4 << 20 };
    if (call(o->caller, &what, &o->answer, &e) != RC_OK)
        fail_msg("%s", e.text);
    if (o->answer.status != status)
        fail_msg("%s %s: %ld %s", method, path, o->answer.status, buf_text(&o->answer.body));
    return buf_text(&o->answer.body);
}

#endif
