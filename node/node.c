#include "node/node.h"

#include <inttypes.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/auth/hawk.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/scope.h"
#include "node/admit.h"
#include "node/alone.h"
#include "node/confirm.h"
#include "node/exchange.h"
#include "node/front.h"
#include "node/internal.h"
#include "node/load.h"
#include "node/maintenance.h"
#include "node/pulse.h"
#include "node/remote.h"
#include "node/sweep.h"
#include "node/urls.h"

#define SECRET_LEAST_BYTES 8      /* shorter ones are typing errors */
#define VERDICTS_MOST      100000 /* remembered passwords: some 50 MB at the very most */
#define NONCES_MOST        100000
#define SETTINGS_BYTES     ((size_t)1 << 20)

/* What only this file knows of a node. */
struct node_extra {
    struct arena arena; /* texts made of the settings */
    struct front *front;
    struct sync_limits limits; /* the caller's, made ready */
    struct cache_conf cache;   /* the caller's, with its scope */
    struct route *routes;      /* those of sync and ours */
    size_t n_routes;
    int store_lock;                 /* alone.h; -1 */
    const char *internal_address;   /* "": not told */
    struct remote *remote;          /* the directories; NULL: none, or one in this process */
    struct pulse *pulse;            /* what tells us their news */
    struct node_internal *internal; /* who may ask us what */
};

/* ---- routes of our own ---- */

static rc fail_on_purpose(struct request *rq, struct err *e)
{
    (void)rq;
    return fail(e, RC_BROKEN, RESP_GENERIC, "/__error__ was asked to fail");
}

static rc home(struct request *rq, struct err *e)
{
    (void)e;
    reply_type(rq, "text/plain; charset=utf-8");
    buf_add(reply_body(rq),
            VIEW("This is a storage node of a Firefox Sync server. There is nothing to see here.\n"));
    return RC_OK;
}

static const struct route error_route = { .methods = GET,
                                          .path = "/__error__",
                                          .handler = fail_on_purpose,
                                          .auth = AUTH_NONE,
                                          .dialect = DIALECT_PLAIN };

static const struct route home_routes[] = {
    { .methods = GET | HEAD,
      .path = "/",
      .handler = home,
      .auth = AUTH_NONE,
      .dialect = DIALECT_PLAIN,
      .flags = ROUTE_QUICK },
};

/* One table: those of sync, then ours. */
static void collect_routes(struct node *n)
{
    struct node_extra *x = n->extra;

    x->routes = mem_need(calloc(sync_routes_n + 1, sizeof(*x->routes)));
    for (size_t i = 0; i < sync_routes_n; i++) {
        x->routes[x->n_routes] = sync_routes[i];
        if (n->conf->open_configuration && strcmp(sync_routes[i].path, "/1.5/{uid}/info/configuration") == 0)
            x->routes[x->n_routes].auth = AUTH_NONE;
        x->n_routes++;
    }
    if (n->conf->error_route)
        x->routes[x->n_routes++] = error_route;
}

/* ---- settings ---- */

static rc open_tokens(struct node *n, struct err *e)
{
    const struct node_conf *c = n->conf;

    if (c->token_secrets.n == 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "tokens.secrets is not set: without the directory's secrets no token can be opened");
    struct err why = ERR_NONE;
    if (secrets_new(&c->token_secrets, SECRET_LEAST_BYTES, &n->secrets, &why) != RC_OK)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "tokens.secrets: %s", why.text);
    if (c->token_derived) {
        struct secrets *own = NULL;
        if (secrets_derive(n->secrets, n->own_urls[0], &own, &why) != RC_OK)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "tokens.secrets: %s", why.text);
        secrets_free(n->secrets);
        n->secrets = own;
    }
    return token_verifier_new(n->secrets, n->own_urls, n->n_own_urls, (double)c->token_grace_s, &n->verifier,
                              e);
}

/* ---- the directories ---- */

static rc check_directories(const struct node_options *o, struct err *e)
{
    const struct node_conf *c = o->conf;

    if (o->authority && (c->directories.n > 0 || c->key.n > 0))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "node.directories and node.key have no meaning here: the directory is in this process");
    if (c->confirm_heads && strcmp(c->confirm_heads, "strict") != 0 &&
        strcmp(c->confirm_heads, "lenient") != 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "node.confirm_heads is \"%.60s\": must be strict or lenient", c->confirm_heads);
    return remote_check(&c->directories, &c->key, e);
}

static rc open_authority(struct node *n, const struct node_options *o, struct err *e)
{
    struct node_extra *x = n->extra;
    const struct node_conf *c = o->conf;
    struct authority_driver driver;

    if (o->authority) {
        driver = *o->authority;
    } else if (c->directories.n > 0) {
        const struct remote_conf conf = { .directories = &c->directories,
                                          .key = &c->key,
                                          .name = n->own_name };
        TRY(remote_new(&conf, o->clock, &x->remote, e));
        driver = remote_authority(x->remote);
    } else {
        return RC_OK;
    }
    TRY(authority_new(&driver, o->clock, c->verdict_s, VERDICTS_MOST, &n->authority, e));
    if (!x->remote)
        return RC_OK;
    authority_outage_grace(n->authority, c->outage_s);
    return authority_ask_ahead(n->authority, e);
}

bool node_disk_free(const struct node *n, uint64_t *out_bytes)
{
    struct load_now now;
    struct statvfs disk;
    load_read(n->load, &now);
    if (now.facts.folder[0] == '\0' || statvfs(now.facts.folder, &disk) != 0)
        return false;
    *out_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    return true;
}

/* {"sync":{…}}; what cannot be told is left out. */
static void put_loads(void *arg, struct buf *out)
{
    const struct node *n = arg;
    struct load_now now;
    uint64_t disk_free;

    load_read(n->load, &now);
    buf_addc(out, '{');
    if (n->extra->internal_address[0] != '\0') {
        buf_add(out, VIEW("\"internal\":"));
        json_put_string(out, view_of(n->extra->internal_address));
        buf_addc(out, ',');
    }
    buf_addf(out, "\"sync\":{\"schema\":%d,\"queue\":%u,\"rps\":%.1f,\"latency_ms\":%.2f",
             store_schema_version(n->store), now.queue, now.requests_s, (double)now.latency_us / 1e3);
    if (now.counted)
        buf_addf(out, ",\"users\":%" PRIu64 ",\"bytes\":%" PRIu64, now.facts.heads[HEAD_ACTIVE],
                 now.facts.bytes);
    if (node_disk_free(n, &disk_free))
        buf_addf(out, ",\"disk_free\":%" PRIu64, disk_free);
    buf_add(out, VIEW("}}"));
}

static void decided(void *arg, bool down)
{
    const struct node *n = arg;
    LOG(LOG_WARN, down ? "this node is down by decision: all requests get 503" : "this node serves again");
    front_down(n->extra->front, down);
}

static unsigned waiting(void)
{
    return server_waiting(false);
}

static rc open_load(struct node *n, struct err *e)
{
    const struct load_options o = {
        .store = n->store, .clock = n->clock, .latency = server_latency(false), .queue = waiting
    };
    return load_start(&o, &n->load, e);
}

static rc open_pulse(struct node *n, const struct node_options *o, struct err *e)
{
    struct node_extra *x = n->extra;
    x->internal_address = o->internal_address ? o->internal_address : "";
    if (!x->remote)
        return RC_OK;
    const struct pulse_options pulse = { .remote = x->remote,
                                         .authority = n->authority,
                                         .clock = o->clock,
                                         .name = n->own_name,
                                         .every_ms = o->conf->pulse_ms,
                                         .loads = put_loads,
                                         .decided = decided,
                                         .arg = n };
    return pulse_start(&pulse, &x->pulse, e);
}

#define OWNERS_TIMEOUT_MS 20000
#define TOKEN_TIMEOUT_MS  5000

static rc take_object(const json_t *answer, void *out, struct err *e)
{
    (void)e;
    *(json_t **)out = json_deep_copy(answer); /* whoever asked looks into it */
    return RC_OK;
}

static rc ask_owners(void *arg, view heads, json_t **out, struct err *e)
{
    return remote_ask(arg, "owners", heads, OWNERS_TIMEOUT_MS, take_object, out, e);
}

static rc ask_token(void *arg, view body, json_t **out, struct err *e)
{
    return remote_ask(arg, "token", body, TOKEN_TIMEOUT_MS, take_object, out, e);
}

static void open_exchange(struct node *n)
{
    const struct exchange_options o = {
        .clock = n->clock, .arrived_s = n->conf->token_arrived_s, .ask = ask_token, .arg = n->extra->remote
    };
    if (n->extra->remote && o.arrived_s > 0)
        n->exchange = exchange_new(&o);
}

/* He may not even read with a token that has expired. */
static void void_tokens(void *arg, int64_t uid, int64_t until_s)
{
    const struct node *n = arg;
    authority_refuse(n->authority, uid, until_s + n->conf->token_grace_s);
}

static rc open_confirm(struct node *n, struct err *e)
{
    const struct confirm_options o = { .store = n->store,
                                       .cache = n->cache,
                                       .lenient = n->conf->confirm_heads &&
                                                  strcmp(n->conf->confirm_heads, "lenient") == 0,
                                       .owners = ask_owners,
                                       .arg = n->extra->remote,
                                       .nobody = void_tokens,
                                       .nobody_arg = n };
    return n->extra->remote ? confirm_start(&o, &n->confirm, e) : RC_OK;
}

/* ---- life ---- */

/* All that the settings alone decide; touches nothing outside of this process. */
static rc settle(struct node *n, const struct node_options *o, struct err *e)
{
    struct node_extra *x = n->extra;
    const struct node_conf *c = o->conf;

    TRY(node_urls(n, o, &x->arena, e));
    TRY(front_new(c, &x->front, e));
    x->limits = *o->limits;
    x->limits.colls = NULL;
    TRY(sync_limits_ready(&x->limits, e));
    TRY(open_tokens(n, e));
    TRY(check_directories(o, e));
    TRY(node_internal_open(o->internal_keys, o->clock, &x->internal, e));
    x->cache = *o->cache;
    if (x->cache.scope[0] == '\0')
        x->cache.scope = arena_cstr(&x->arena, n->own_name);
    TRY(store_check(o->store, e));
    return cache_check(&x->cache, e);
}

static rc open_parts(struct node *n, const struct node_options *o, struct err *e)
{
    struct node_extra *x = n->extra;
    const struct node_conf *c = o->conf;

    TRY(settle(n, o, e));
    if (c->hawk_strict)
        n->nonces = nonces_new(NONCES_MOST, 2 * admit_hawk_window_s(c));
    TRY(open_authority(n, o, e));

    TRY(store_open(o->store, o->clock, &n->store, e));
    TRY(cache_open(&x->cache, o->clock, &n->cache, e));
    bool alone = cache_alone(n->cache);
    TRY(alone_lock(o->store, store_driver_name(n->store), alone, &x->store_lock, e));

    n->sync = (struct sync_node){
        .limits = &x->limits, .clock = o->clock, .cache = n->cache, .store = n->store, .renew = admit_renew
    };
    n->admit = admit_new(n);
    collect_routes(n);
    const struct sweep_options sweep = { .store = n->store,
                                         .clock = o->clock,
                                         .every_s = c->purge_every_s,
                                         .grace_s = c->purge_grace_s,
                                         .batch_life_s = x->limits.batch_life_s,
                                         .gone_s = c->purge_gone_s };
    TRY(sweep_start(&sweep, &n->sweep, e));
    TRY(maintenance_start(n->store, x->front, !alone, &n->maintenance, e));
    TRY(open_load(n, e));
    TRY(open_pulse(n, o, e));
    open_exchange(n);
    return open_confirm(n, e);
}

static struct node *node_new(const struct node_options *o)
{
    struct node *n = mem_need(calloc(1, sizeof(*n)));

    n->conf = o->conf;
    n->clock = o->clock;
    n->extra = mem_need(calloc(1, sizeof(*n->extra)));
    n->extra->store_lock = -1;
    arena_init(&n->extra->arena, SETTINGS_BYTES);
    return n;
}

rc node_check(const struct node_options *o, struct err *e)
{
    struct node *n = node_new(o);
    rc r = settle(n, o, e);
    node_close(n);
    return r;
}

rc node_open(const struct node_options *o, struct node **out, struct err *e)
{
    struct node *n = node_new(o);
    rc r = open_parts(n, o, e);
    if (r != RC_OK) {
        node_close(n);
        return r;
    }
    LOG(LOG_INFO, "node open", LOG_V("url", n->own_urls[0]), LOG_S("store", store_driver_name(n->store)),
        LOG_I("schema", store_schema_version(n->store)), LOG_S("cache", cache_driver_name(n->cache)),
        LOG_S("directory", n->authority ? "yes" : "no"));
    *out = n;
    return RC_OK;
}

void node_close(struct node *n)
{
    if (!n)
        return;
    struct node_extra *x = n->extra;
    confirm_stop(n->confirm);
    pulse_stop(x->pulse);
    load_stop(n->load);
    maintenance_stop(n->maintenance);
    sweep_stop(n->sweep);
    admit_free(n->admit);
    cache_close(n->cache);
    if (n->store)
        store_close(n->store);
    if (x->store_lock >= 0)
        close(x->store_lock);
    exchange_free(n->exchange);
    authority_free(n->authority);
    remote_free(x->remote);
    token_verifier_free(n->verifier);
    secrets_free(n->secrets);
    if (n->nonces)
        nonces_free(n->nonces);
    front_free(x->front);
    node_internal_close(x->internal);
    sync_limits_done(&x->limits);
    arena_done(&x->arena);
    free(x->routes);
    free(x);
    free(n);
}

rc node_reload(struct node *n, const struct node_conf *fresh, struct err *e)
{
    return front_change(n->extra->front, fresh, e);
}

/* ---- what threads own ---- */

static rc thread_open(struct node *n, bool reader, void **out, struct err *e)
{
    struct node_worker *w = mem_need(calloc(1, sizeof(*w)));
    w->node = n;
    w->sync.sync = &n->sync;
    rc r = store_session_open(n->store, reader, &w->sync.store, e);
    if (r == RC_OK) {
        r = cache_handle_open(n->cache, &w->sync.cache, e);
        if (r != RC_OK)
            store_session_close(w->sync.store);
    }
    if (r != RC_OK) {
        free(w);
        return r;
    }
    *out = w;
    return RC_OK;
}

static rc worker_open(void *app, void **out, struct err *e)
{
    return thread_open(app, false, out, e);
}

static rc io_open(void *app, void **out, struct err *e)
{
    return thread_open(app, true, out, e);
}

static void worker_rest(void *worker)
{
    struct node_worker *w = worker;
    store_session_rest(w->sync.store);
}

static void worker_close(void *worker)
{
    struct node_worker *w = worker;
    cache_handle_close(w->sync.cache);
    store_session_close(w->sync.store);
    free(w);
}

/* ---- the mount ---- */

static bool before(struct request *rq)
{
    const struct node *n = rq->app;
    return front_before(n->extra->front, rq);
}

static void decorate(struct request *rq)
{
    const struct node *n = rq->app;
    front_decorate(n->extra->front, rq);
}

static size_t body_max(const struct request *rq)
{
    const struct node *n = rq->app;
    return sync_body_max(rq, &n->extra->limits);
}

/* The store must answer; a cache that does not only makes us slower. Protocol: Storage API 1.5, "Operations endpoints". */
static bool health(struct request *rq, struct buf *out)
{
    const struct node *n = rq->app;
    const struct node_worker *w = rq->worker;
    const struct sync_limits *l = &n->extra->limits;
    struct err e = ERR_NONE;

    bool store = store_ping(w->sync.store, &e) == RC_OK;
    if (!store)
        LOG(LOG_WARN, "the store does not answer", LOG_S("why", e.text));
    buf_addf(out, ",\"database\":\"%s\",\"cache\":\"%s\",\"quota\":{\"enabled\":%s,\"size\":%lld}",
             store ? "Ok" : "Unknown", cache_healthy(w->sync.cache) ? "Ok" : "Err",
             l->quota_bytes > 0 && l->quota_enforced ? "true" : "false", (long long)l->quota_bytes);
    return store && front_serves(n->extra->front);
}

void node_mount(struct node *n, struct mount *out)
{
    *out = (struct mount){
        .name = "sync",
        .service = "sync",
        .routes = n->extra->routes,
        .n_routes = n->extra->n_routes,
        .kinds = sync_param_kinds,
        .n_kinds = sync_param_kinds_n,
        .app = n,
        .before = before,
        .admit = admit_headers,
        .admit_late = admit_late,
        .admit_body = admit_body,
        .body_max = body_max,
        .decorate = decorate,
        .worker_open = worker_open,
        .worker_close = worker_close,
        .worker_rest = worker_rest,
        .io_open = io_open,
        .reads_compute = store_is_embedded(n->store),
        .health = health,
    };
}

void node_home_mount(struct node *n, struct mount *out)
{
    *out = (struct mount){ .name = "home",
                           .service = "sync",
                           .routes = home_routes,
                           .n_routes = sizeof(home_routes) / sizeof(home_routes[0]),
                           .app = n,
                           .before = before,
                           .decorate = decorate };
}

static rc admit_internal(struct request *rq, bool *out_late, struct err *e)
{
    const struct node *n = rq->app;
    (void)out_late;
    return node_internal_admit(n->extra->internal, rq, e);
}

void node_internal_mount(struct node *n, struct mount *out)
{
    const struct route_table *all = node_internal_all_routes(n->extra->internal);
    *out = (struct mount){ .name = "internal",
                           .service = "sync",
                           .routes = all->routes,
                           .n_routes = all->n,
                           .kinds = node_internal_kinds,
                           .n_kinds = node_internal_kinds_n,
                           .app = n,
                           .admit = admit_internal,
                           .admit_body = internal_admit_body,
                           .worker_open = worker_open,
                           .worker_close = worker_close,
                           .worker_rest = worker_rest,
                           .health = health };
}
