/* For tests of the internal routes: a directory of a cluster behind its internal listener, and somebody who calls it. */
#ifndef HEDDLE_DIRECTORY_TESTING_CLUSTER_H
#define HEDDLE_DIRECTORY_TESTING_CLUSTER_H

#include "common/web/testing_conf.h"
#include "directory/internal.h"
#include "directory/testing_http.h"

#define NODE1 "node1.example.net:8000"
#define NODE2 "node2.example.net:8000"

/* A directory of a cluster behind its internal listener, a unix socket, and somebody who calls it. */
struct cluster {
    struct house *h;
    char *keys[3];
    struct conf_list key_list;
    char socket[128];
    struct server_conf conf;
    struct mount mount;
    struct server *server;
    struct caller *caller;
    struct answer answer;
    struct backend_session *session;
};

/* For the next open_cluster. */
static struct conf_list testing_pools, testing_groups;
static int64_t testing_remember_s;

static inline void open_cluster(struct cluster *c)
{
    struct err e = ERR_NONE;
    *c = (struct cluster){ .h = house_new(NULL) };
    c->keys[0] = text_of("node " NODE1 " key-of-node-number-1");
    c->keys[1] = text_of("node " NODE2 " key-of-node-number-2");
    c->keys[2] = text_of("admin admin key-of-the-operator");
    c->key_list = (struct conf_list){ .items = c->keys, .n = 3 };
    c->h->options.sole_node_url = NULL;
    c->h->options.internal_keys = &c->key_list;
    c->h->conf.assign_pools = testing_pools;
    c->h->conf.groups = testing_groups;
    c->h->conf.remember_s = testing_remember_s;
    house_open(c->h);
    snprintf(c->socket, sizeof(c->socket), "%s/internal.sock", c->h->folder);
    directory_internal_mount(c->h->d, &c->mount);
    c->conf = test_conf();
    c->conf.listen = c->socket;
    if (server_open(&c->conf, true, &c->mount, 1, clock_system(), &c->server, &e) != RC_OK)
        fail_msg("%s", e.text);
    assert_int_equal(caller_new(&c->h->clock.clock, &c->caller, &e), RC_OK);
    assert_int_equal(backend_session_open(c->h->d->backend, &c->session, &e), RC_OK);
}

static inline void close_cluster(struct cluster *c)
{
    answer_done(&c->answer);
    caller_free(c->caller);
    server_close(c->server);
    backend_session_close(c->session);
    house_free(c->h);
}

static inline view key_of(view who)
{
    return view_eq(who, VIEW("admin")) ? VIEW("key-of-the-operator")
           : view_eq(who, VIEW(NODE1)) ? VIEW("key-of-node-number-1")
                                       : VIEW("key-of-node-number-2");
}

/* The answer's body. */
static inline const char *tell(struct cluster *c, const char *who, const char *method, const char *path,
                               const char *body, long status)
{
    char url[1024];
    struct err e = ERR_NONE;
    snprintf(url, sizeof(url), "http://localhost/internal/v1/%s", path);
    struct call what = { .method = method,
                         .url = url,
                         .unix_socket = c->socket,
                         .content_type = body ? "application/json" : NULL,
                         .body = body ? view_of(body) : VIEW_NONE,
                         .hawk_id = view_of(who),
                         .hawk_key = key_of(view_of(who)),
                         .timeout_ms = 60000,
                         .answer_max = 4 << 20 };
    if (call(c->caller, &what, &c->answer, &e) != RC_OK)
        fail_msg("%s", e.text);
    if (c->answer.status != status)
        fail_msg("%s %s: %ld %s", method, path, c->answer.status, buf_text(&c->answer.body));
    return buf_text(&c->answer.body);
}

static inline void add_node(struct cluster *c, const char *name, int capacity)
{
    char path[128], body[256];
    snprintf(path, sizeof(path), "nodes/%s", name);
    snprintf(body, sizeof(body),
             "{\"url\":\"http://%s\",\"address\":\"https://%.5s.example.org\",\"capacity\":%d}", name, name,
             capacity);
    tell(c, "admin", "PUT", path, body, 200);
}

static inline void add_account(struct cluster *c, const char *name, int64_t uid, const char *node,
                               int64_t epoch)
{
    struct err e = ERR_NONE;
    const struct account_new n = { .name = view_of(name),
                                   .uid = uid,
                                   .password = VIEW("correct horse"),
                                   .node = view_of(node),
                                   .placed = node ? VIEW("1 first") : VIEW_NONE,
                                   .created_ms = 1,
                                   .epoch = epoch };
    if (account_add(c->session, &n, &e) != RC_OK)
        fail_msg("%s", e.text);
}

#endif
