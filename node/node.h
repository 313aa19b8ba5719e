/* The storage node: context, options, life. heddle-node runs one; the one box runs one beside a directory. */
#ifndef HEDDLE_NODE_H
#define HEDDLE_NODE_H

#include "common/auth/token.h"
#include "common/base/conf.h"
#include "common/web/server.h"
#include "node/authority.h"
#include "node/cache/cache.h"
#include "node/store/store.h"
#include "node/sync/sync.h"

/* Keys of [node] and [auth]. */
struct node_conf {
    char *name;                     /* of this node in the directory: host[:port] of its URL; "": from url */
    char *url;                      /* own URL (tokens carry it); "": the public URL */
    struct conf_list aliases;       /* further own URLs that tokens may carry */
    struct conf_list token_secrets; /* tokens.secrets */
    bool token_derived;      /* tokens.derived: the list holds masters, ours is derived from node.url */
    int64_t token_grace_s;   /* expired tokens may still read info/collections */
    int64_t token_arrived_s; /* how long after a move tokens of the owner before are taken; 0: never */
    int64_t hawk_window_s;   /* 31449600; strict: 60 */
    bool hawk_strict;        /* remember nonces */
    struct conf_list directories, key; /* of a cluster; our key at them */
    int64_t pulse_ms;                  /* between two questions for news */
    int64_t outage_s;                  /* how old a verdict may be while no directory answers */
    int64_t verdict_s;                 /* how long a password's verdict is trusted */
    char *confirm_heads;     /* strict, lenient: after a start, until a directory has confirmed a user */
    bool open_configuration; /* info/configuration without a signature */
    int64_t backoff_s;       /* value of X-Weave-Backoff */
    int64_t backoff_percent, refuse_percent; /* of the answers with back-off; of requests refused with 503 */
    struct conf_list refused_agents;         /* prefixes of User-Agent answered with 503 */
    bool cors;
    bool error_route; /* /__error__ */
    int64_t purge_every_s, purge_grace_s, purge_gone_s;
    char *state; /* normal, backoff, backoff:NN, down, unhealthy, draining */
};
extern const struct conf_key node_conf_keys[];
extern const size_t node_conf_keys_n;

struct admit;
struct confirm;
struct exchange;
struct load;
struct maintenance;
struct sweep;
struct node_extra;

struct node {
    const struct node_conf *conf;
    const struct clock *clock;
    struct store *store;
    struct cache *cache;
    struct authority *authority; /* NULL: no directory; 1.1 is 503 */
    struct token_verifier *verifier;
    struct secrets *secrets;
    struct nonces *nonces;       /* strict mode, else NULL */
    struct url_parts public_url; /* what clients sign */
    const view *own_urls;        /* ours and the aliases: what tokens and verdicts may name */
    size_t n_own_urls;
    view own_name;             /* in the directory: host[:port] of our URL, or node.name */
    struct admit *admit;       /* the door's memory */
    struct sync_node sync;     /* what node/sync sees of us */
    struct confirm *confirm;   /* who is still ours; NULL: all are */
    struct exchange *exchange; /* for tokens of the owner before; NULL: none is taken */
    struct maintenance *maintenance;
    struct load *load;        /* how busy we are */
    struct sweep *sweep;      /* the thread that purges */
    struct node_extra *extra; /* node.c's own */
};

/* A worker's own: rq->worker in node handlers. */
struct node_worker {
    struct sync_worker sync; /* first: the handlers of node/sync take it as theirs */
    struct node *node;
};

struct node_options {
    const struct node_conf *conf;
    const struct sync_limits *limits;
    const struct store_conf *store;
    const struct cache_conf *cache;
    const char *public_url;                   /* without a slash at its end */
    const struct authority_driver *authority; /* NULL: the directories of the settings; without them none */
    const struct clock *clock;
    const struct conf_list *internal_keys; /* who may use node_internal_mount; NULL: nobody */
    /* of that listener, for the admin: a URL or the path of a socket; NULL: not told */
    const char *internal_address;
};

/* Whether node_open could use these settings, as far as they alone decide that: for --check-config, opens nothing. RC_BAD_INPUT: says
 * what is wrong. */
MUST_USE rc node_check(const struct node_options *o, struct err *e);
/* Opens store and cache, checks limits (RC_BAD_INPUT names the relation that does not hold), starts the sweep. Options are borrowed
 * until node_close. */
MUST_USE rc node_open(const struct node_options *o, struct node **out, struct err *e);
/* The mount with all of its routes, for server_open. */
void node_mount(struct node *n, struct mount *out);
/* "/" in plain text: for a program that has no better page there. */
void node_home_mount(struct node *n, struct mount *out);
/* What our own programs ask (internal.h), and the health of the node: for an internal listener. */
void node_internal_mount(struct node *n, struct mount *out);
/* Free bytes where the data are kept; false: on another machine, or not known yet. */
bool node_disk_free(const struct node *n, uint64_t *out_bytes);
/* SIGHUP: follows the keys that may change in a running node (CONF_RELOAD). fresh is borrowed for the call. One thread at a time.
 * RC_BAD_INPUT: all stays as it was. */
MUST_USE rc node_reload(struct node *n, const struct node_conf *fresh, struct err *e);
void node_close(struct node *n); /* after the servers */

#endif
