#include "node/cache/cache.h"

#include "common/base/mem.h"
#include "common/base/metrics.h"
#include "common/base/scope.h"
#include "node/cache/heads.h"
#include "node/cache/memory.h"
#include "node/cache/redis.h"

#define SCOPE_MAX 255

const struct conf_key cache_conf_keys[] = {
    { "cache.driver", CONF_TEXT, offsetof(struct cache_conf, driver), "auto", 0, 0, 0, "",
      "Where heads are cached: memory (a node of one process), redis (memory, and a Redis behind it: several processes of "
      "one machine), none, or auto: redis where cache.redis_socket or cache.redis_host is set, else memory." },
    { "cache.redis_socket", CONF_TEXT, offsetof(struct cache_conf, redis_socket), "", 0, 0, 0, "",
      "Unix socket of Redis; wins over cache.redis_host." },
    { "cache.redis_host", CONF_TEXT, offsetof(struct cache_conf, redis_host), "", 0, 0, 0, "",
      "Host name or address of Redis; one server, not a replicated set." },
    { "cache.redis_port", CONF_INT, offsetof(struct cache_conf, redis_port), "6379", 1, 65535, 0, "",
      "Port of Redis." },
    { "cache.redis_password", CONF_TEXT, offsetof(struct cache_conf, redis_password), "", 0, 0, CONF_SECRET,
      "", "Password for Redis' AUTH; empty: none is sent." },
    { "cache.timeout_ms", CONF_INT, offsetof(struct cache_conf, timeout_ms), "100", 1, 10000, 0, "ms",
      "How long one command of Redis may take; after that the connection is given up and tried again a second later." },
    { "cache.ttl", CONF_SECONDS, offsetof(struct cache_conf, ttl_s), "1h", 1, 604800, 0, "s",
      "Life of a cached head; bounds memory alone, since a head that changes leaves the cache at once." },
    { "cache.memory", CONF_SIZE, offsetof(struct cache_conf, memory_bytes), "32m", 65536, INT64_C(1) << 40, 0,
      "bytes",
      "Ceiling of the heads in a process' own memory, with memory and redis; those used least recently go first." },
    { "cache.shared", CONF_SIZE, offsetof(struct cache_conf, shared_bytes), "16m", 0, INT64_C(1) << 40, 0,
      "bytes",
      "Memory in which the processes of a node share heads, with redis: what one of them changed or read is there for the others; 1 KiB "
      "each, the same for all processes of a node; 0: none." },
    { "cache.items", CONF_SIZE, offsetof(struct cache_conf, items_bytes), "64m", 0, INT64_C(1) << 40, 0,
      "bytes",
      "Ceiling of single records in a process' own memory, with memory and redis: those that somebody asked for by their id, as "
      "browsers ask for meta/global and crypto/keys in each sync; 0: none are kept." },
    { "cache.scope", CONF_TEXT, offsetof(struct cache_conf, scope), "", 0, 0, 0, "",
      "Keeps nodes apart that share one Redis; the same for all processes of a node; empty: the node's name." },
};
const size_t cache_conf_keys_n = sizeof(cache_conf_keys) / sizeof(cache_conf_keys[0]);

struct kind {
    const char *name;
    bool keeps, shared;
};

struct cache {
    const struct kind *kind;
    struct versions *versions;
    struct memory *memory; /* NULL: nothing is kept */
    struct items *items;   /* NULL: none are kept */
    struct redis *redis;   /* NULL: not shared */
    struct heads *heads;   /* NULL: none are shared in memory */
    unsigned ttl_s;
    metric hits, misses, item_hits, item_misses;
};

struct cache_handle {
    struct cache *cache;
    struct redis_handle *redis; /* NULL: not shared */
    struct buf scratch;         /* a value with its version */
};

/* ---- life ---- */

static const struct kind *kind_of(const struct cache_conf *c)
{
    static const struct kind kinds[] = { { "memory", true, false },
                                         { "redis", true, true },
                                         { "none", false, false } };
    if (strcmp(c->driver, "auto") == 0)
        return &kinds[c->redis_socket[0] || c->redis_host[0] ? 1 : 0];
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, c->driver) == 0)
            return &kinds[i];
    return NULL;
}

rc cache_check(const struct cache_conf *c, struct err *e)
{
    if (!kind_of(c))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "cache.driver is \"%s\": must be auto, memory, redis or none", c->driver);
    if (strlen(c->scope) > SCOPE_MAX)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "cache.scope is longer than %d bytes", SCOPE_MAX);
    return RC_OK;
}

/* What processes share besides their versions. */
static rc open_shared(struct cache *c, const struct cache_conf *conf, const struct clock *clock,
                      struct err *e)
{
    uint64_t page;

    if (conf->shared_bytes > 0)
        TRY(heads_open(conf->scope, (size_t)conf->shared_bytes, &c->heads, e));
    if (!versions_page(c->versions, &page))
        return fail(e, RC_BROKEN, RESP_GENERIC, "shared memory is gone");
    return redis_open(conf, clock, page, &c->redis, e);
}

rc cache_open(const struct cache_conf *conf, const struct clock *clock, struct cache **out, struct err *e)
{
    TRY(cache_check(conf, e));
    const struct kind *kind = kind_of(conf);
    struct cache *c = mem_need(calloc(1, sizeof(*c)));
    rc r = versions_open(kind->shared ? conf->scope : NULL, clock, &c->versions, e);
    if (r == RC_OK && kind->shared)
        r = open_shared(c, conf, clock, e);
    if (r != RC_OK) {
        cache_close(c);
        return r;
    }
    c->kind = kind;
    c->memory = kind->keeps ? memory_new((size_t)conf->memory_bytes, clock) : NULL;
    c->items = kind->keeps && conf->items_bytes > 0 ? items_new((size_t)conf->items_bytes) : NULL;
    c->ttl_s = (unsigned)conf->ttl_s;
    c->hits = metric_counter("heddle_cache_gets_total", "result=\"hit\"", "Heads asked of the cache.");
    c->misses = metric_counter("heddle_cache_gets_total", "result=\"miss\"", "Heads asked of the cache.");
    c->item_hits =
        metric_counter("heddle_cache_item_gets_total", "result=\"hit\"", "Items asked of the cache.");
    c->item_misses =
        metric_counter("heddle_cache_item_gets_total", "result=\"miss\"", "Items asked of the cache.");
    *out = c;
    return RC_OK;
}

void cache_close(struct cache *c)
{
    if (!c)
        return;
    redis_close(c->redis);
    heads_close(c->heads);
    memory_free(c->memory);
    items_free(c->items);
    versions_close(c->versions);
    free(c);
}

rc cache_handle_open(struct cache *c, struct cache_handle **out, struct err *e)
{
    (void)e;
    struct cache_handle *h = mem_need(calloc(1, sizeof(*h)));
    h->cache = c;
    h->redis = c->redis ? redis_handle_open(c->redis) : NULL;
    *out = h;
    return RC_OK;
}

void cache_handle_close(struct cache_handle *h)
{
    if (!h)
        return;
    redis_handle_close(h->redis);
    buf_done(&h->scratch);
    free(h);
}

const char *cache_driver_name(const struct cache *c)
{
    return c->kind->name;
}

bool cache_alone(const struct cache *c)
{
    return c->kind->keeps && !c->kind->shared;
}

/* Asks for something, whatever: a connection that survives it is one. */
bool cache_healthy(struct cache_handle *h)
{
    uint64_t page;

    if (!h->redis)
        return true;
    versions_refresh(h->cache->versions);
    if (!versions_page(h->cache->versions, &page) || !redis_ready(h->redis, page))
        return false;
    buf_clear(&h->scratch);
    (void)redis_get(h->redis, 0, &h->scratch);
    return redis_connected(h->redis);
}

/* ---- values with their versions ---- */

/* Whether out is a value of that version, which is cut off. */
static bool is_of(struct buf *out, const struct version *now)
{
    struct version v;

    if (out->n < sizeof(v))
        return false;
    memcpy(&v, out->p + out->n - sizeof(v), sizeof(v));
    if (!version_eq(&v, now))
        return false;
    out->n -= sizeof(v);
    return true;
}

static view with_version(struct cache_handle *h, view value, const struct version *v)
{
    buf_clear(&h->scratch);
    buf_add(&h->scratch, value);
    buf_add(&h->scratch, (view){ .p = (const char *)v, .n = sizeof(*v) });
    return buf_view(&h->scratch);
}

/* The present version, where heads may be kept at all. */
static bool version_of(const struct cache_handle *h, int64_t uid, struct version *out)
{
    struct cache *c = h->cache;

    *out = (struct version){ .page = 0 };
    if (!c->memory)
        return false;
    versions_refresh(c->versions);
    return version_now(c->versions, uid, out);
}

/* Nothing remembered may be taken while another machine could use our scope. */
static bool trusted(const struct cache *c, const struct version *now)
{
    return !c->redis || redis_claimed(c->redis, now->page);
}

/* Remembers a value that stands with its version, in this process and for the node's others. */
static void remember(struct cache *c, int64_t uid, view kept)
{
    memory_put(c->memory, uid, kept, c->ttl_s);
    if (c->heads)
        heads_put(c->heads, uid, kept);
}

static bool in_memory(struct cache_handle *h, int64_t uid, const struct version *now, struct buf *out)
{
    struct cache *c = h->cache;

    if (!trusted(c, now))
        return false;
    if (memory_get(c->memory, uid, out) && is_of(out, now))
        return true;
    buf_clear(out);
    if (!c->heads || !heads_get(c->heads, uid, out) || !is_of(out, now))
        return false;
    memory_put(c->memory, uid, with_version(h, buf_view(out), now), c->ttl_s);
    return true;
}

static bool in_redis(struct cache_handle *h, int64_t uid, const struct version *now, struct buf *out)
{
    buf_clear(out);
    if (!redis_get(h->redis, uid, out) || !is_of(out, now))
        return false;
    remember(h->cache, uid, with_version(h, buf_view(out), now));
    return true;
}

/* ---- the rule ---- */

bool cache_peek(struct cache_handle *h, int64_t uid, struct buf *out)
{
    struct version now;

    buf_clear(out);
    if (!version_of(h, uid, &now) || !in_memory(h, uid, &now, out))
        return false;
    metric_add(h->cache->hits, 1);
    return true;
}

bool cache_get(struct cache_handle *h, int64_t uid, struct buf *out, struct cache_mark *mark)
{
    struct version now;
    bool usable = version_of(h, uid, &now);

    if (mark)
        *mark = (struct cache_mark){ .good = false };
    buf_clear(out);
    if (usable && in_memory(h, uid, &now, out)) {
        metric_add(h->cache->hits, 1);
        return true;
    }
    usable = usable && (!h->redis || redis_ready(h->redis, now.page));
    if (usable && h->redis && in_redis(h, uid, &now, out)) {
        metric_add(h->cache->hits, 1);
        return true;
    }
    buf_clear(out);
    metric_add(h->cache->misses, 1);
    if (mark)
        *mark = (struct cache_mark){ .good = usable, .seen = now };
    return false;
}

/* Looking at the version again spares work, no more: it stands beside the value. */
static bool still_seen(const struct cache_handle *h, int64_t uid, const struct cache_mark *mark)
{
    struct version now;

    return mark->good && version_of(h, uid, &now) && version_eq(&now, &mark->seen);
}

void cache_fill(struct cache_handle *h, int64_t uid, const struct cache_mark *mark, view value)
{
    if (!still_seen(h, uid, mark))
        return;
    view kept = with_version(h, value, &mark->seen);
    remember(h->cache, uid, kept);
    if (h->redis && redis_ready(h->redis, mark->seen.page))
        redis_put(h->redis, uid, kept, h->cache->ttl_s);
}

void cache_before(struct cache_handle *h, int64_t uid, struct cache_mark *mark)
{
    struct cache *c = h->cache;

    *mark = (struct cache_mark){ .good = c->memory != NULL };
    if (!mark->good)
        return;
    versions_refresh(c->versions);
    version_begin(c->versions, uid, &mark->change);
}

void cache_after(struct cache_handle *h, int64_t uid, const struct cache_mark *mark, view value)
{
    struct cache *c = h->cache;
    struct version next;

    if (mark->good && version_end(c->versions, uid, &mark->change, &next) && value.p)
        remember(c, uid, with_version(h, value, &next));
}

/* ---- in the memory of this process ---- */

bool cache_mark_read(struct cache_handle *h, int64_t uid, struct cache_mark *mark)
{
    const struct cache *c = h->cache;

    *mark = (struct cache_mark){ .good = false };
    mark->good = version_of(h, uid, &mark->seen) && trusted(c, &mark->seen);
    return mark->good;
}

void cache_keep(struct cache_handle *h, int64_t uid, const struct cache_mark *mark, view value)
{
    if (still_seen(h, uid, mark))
        remember(h->cache, uid, with_version(h, value, &mark->seen));
}

bool cache_item_get(struct cache_handle *h, const struct item_tag *k, struct arena *a, view *out)
{
    struct cache *c = h->cache;

    if (!c->items)
        return false;
    bool found = items_get(c->items, k, a, out);
    metric_add(found ? c->item_hits : c->item_misses, 1);
    return found;
}

void cache_item_put(struct cache_handle *h, const struct item_tag *k, const struct cache_mark *mark,
                    view value)
{
    if (h->cache->items && still_seen(h, k->uid, mark))
        items_put(h->cache->items, k, value);
}
