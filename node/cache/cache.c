#include "node/cache/cache.h"

#include <assert.h>

#include "common/base/metrics.h"
#include "common/base/rand.h"
#include "common/base/scope.h"
#include "node/cache/era.h"

/* A mark must outlive a transaction, no more: one left behind by a process that died keeps its user out of the cache for so long. */
#define MARK_TTL_S 30
#define PREFIX_MAX 512
#define KEY_MAX    (PREFIX_MAX + 20)
#define SCOPE_MAX  255

const struct conf_key cache_conf_keys[] = {
    { "cache.driver", CONF_TEXT, offsetof(struct cache_conf, driver), "auto", 0, 0, 0, "",
      "Where heads are cached: memory (a node of one process), redis (several processes of one machine), none, or auto: redis "
      "where cache.redis_socket or cache.redis_host is set, else memory." },
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
      "bytes", "Ceiling of the memory driver; the heads used least recently go first." },
    { "cache.scope", CONF_TEXT, offsetof(struct cache_conf, scope), "", 0, 0, 0, "",
      "Keeps nodes apart that share one Redis; the same for all processes of a node; empty: the node's name." },
};
const size_t cache_conf_keys_n = sizeof(cache_conf_keys) / sizeof(cache_conf_keys[0]);

struct cache {
    const struct cache_driver *driver;
    void *shared; /* the driver's */
    struct era *era;
    char *scope;
    unsigned ttl_s, mark_ttl_s;
    metric hits, misses, trips;
};

struct cache_handle {
    struct cache *cache;
    void *h; /* the driver's */
    /* The key's beginning, made anew when the page, the era or the run is another. */
    char key[KEY_MAX];
    size_t prefix_n;
    uint64_t page, era;
    char run[64];
    struct buf scratch; /* a value with its tag */
};

/* What stands in the cache ends with a tag. */
enum tag { TAG_MARK = 'm', TAG_VALUE = 'v' };

/* ---- life ---- */

static const struct cache_driver *driver_of(const struct cache_conf *c)
{
    static const struct cache_driver *const all[] = { &cache_memory, &cache_redis, &cache_none };
    if (strcmp(c->driver, "auto") == 0)
        return c->redis_socket[0] || c->redis_host[0] ? &cache_redis : &cache_memory;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strcmp(all[i]->name, c->driver) == 0)
            return all[i];
    return NULL;
}

rc cache_check(const struct cache_conf *c, struct err *e)
{
    if (!driver_of(c))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "cache.driver is \"%s\": must be auto, memory, redis or none", c->driver);
    if (strlen(c->scope) > SCOPE_MAX)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "cache.scope is longer than %d bytes", SCOPE_MAX);
    return RC_OK;
}

rc cache_open(const struct cache_conf *c, const struct clock *clock, struct cache **out, struct err *e)
{
    TRY(cache_check(c, e));
    const struct cache_driver *driver = driver_of(c);
    struct era *era = NULL;
    TRY(era_open(driver->shared ? c->scope : NULL, clock, &era, e));
    uint64_t page;
    era_now(era, &page);
    void *shared = NULL;
    rc r = driver->open(c, clock, page, &shared, e);
    if (r != RC_OK) {
        era_close(era);
        return r;
    }
    struct cache *cache = calloc(1, sizeof(*cache));
    char *scope = strdup(c->scope);
    if (!cache || !scope)
        abort();
    unsigned ttl_s = (unsigned)c->ttl_s;
    *cache = (struct cache){
        .driver = driver,
        .shared = shared,
        .era = era,
        .scope = scope,
        .ttl_s = ttl_s,
        .mark_ttl_s = ttl_s < MARK_TTL_S ? ttl_s : MARK_TTL_S,
        .hits = metric_counter("heddle_cache_gets_total", "result=\"hit\"", "Heads asked of the cache."),
        .misses = metric_counter("heddle_cache_gets_total", "result=\"miss\"", "Heads asked of the cache."),
        .trips =
            metric_counter("heddle_cache_breaks_total", NULL,
                           "Times that everything cached was given up because a write of the cache failed."),
    };
    *out = cache;
    return RC_OK;
}

void cache_close(struct cache *c)
{
    if (!c)
        return;
    c->driver->close(c->shared);
    era_close(c->era);
    free(c->scope);
    free(c);
}

rc cache_handle_open(struct cache *c, struct cache_handle **out, struct err *e)
{
    void *h = NULL;
    TRY(c->driver->handle_open(c->shared, &h, e));
    struct cache_handle *handle = calloc(1, sizeof(*handle));
    if (!handle)
        abort();
    handle->cache = c;
    handle->h = h;
    *out = handle;
    return RC_OK;
}

void cache_handle_close(struct cache_handle *h)
{
    if (!h)
        return;
    h->cache->driver->handle_close(h->h);
    buf_done(&h->scratch);
    free(h);
}

const char *cache_driver_name(const struct cache *c)
{
    return c->driver->name;
}

bool cache_in_memory(const struct cache *c)
{
    return !c->driver->shared;
}

/* ---- keys ---- */

static void prefix_make(struct cache_handle *h, uint64_t page, uint64_t era, const char *run)
{
    int n = snprintf(h->key, PREFIX_MAX, "h:%016llx:%016llx:%.63s:%s:", (unsigned long long)page,
                     (unsigned long long)era, run, h->cache->scope);
    assert(n > 0 && n < PREFIX_MAX);
    h->prefix_n = (size_t)n;
    h->page = page;
    h->era = era;
    snprintf(h->run, sizeof(h->run), "%s", run);
}

static view key_of(struct cache_handle *h, int64_t uid)
{
    char digits[20], *p = digits + sizeof(digits);
    uint64_t rest = (uint64_t)uid;
    do
        *--p = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    size_t n = (size_t)(digits + sizeof(digits) - p);
    memcpy(h->key + h->prefix_n, p, n);
    return (view){ .p = h->key, .n = h->prefix_n + n };
}

/* The user's key in the present era of a server that can be reached. The era is read before the run is compared with it, so a key
 * never joins the one of now with the other of then. false: no server. */
static bool key_now(struct cache_handle *h, int64_t uid, view *out)
{
    struct cache *c = h->cache;

    era_refresh(c->era);
    bool fresh = false;
    uint64_t page, era = era_now(c->era, &page);
    const char *run = c->driver->run(h->h, page, &fresh);
    if (run && !fresh && !era_is_of(era, run)) {
        /* Somebody met another server. Whether that or ours is the one of now, only a new connection can tell. */
        c->driver->hang_up(h->h);
        run = c->driver->run(h->h, page, &fresh);
    }
    if (!run)
        return false;
    if (fresh) {
        era_meet(c->era, run);
        era = era_now(c->era, &page);
        if (!era_is_of(era, run))
            return false;
    }
    if (h->prefix_n == 0 || era != h->era || page != h->page || strcmp(run, h->run) != 0)
        prefix_make(h, page, era, run);
    *out = key_of(h, uid);
    return true;
}

/* Asks for something, whatever: a connection that survives it is one. */
bool cache_healthy(struct cache_handle *h)
{
    struct cache *c = h->cache;
    view key;
    bool fresh = false;

    if (!key_now(h, 0, &key))
        return false;
    buf_clear(&h->scratch);
    (void)c->driver->get(h->h, key, &h->scratch);
    return c->driver->run(h->h, h->page, &fresh) && !fresh;
}

/* ---- the rule ---- */

static view tagged(struct cache_handle *h, view value, enum tag tag)
{
    buf_clear(&h->scratch);
    buf_add(&h->scratch, value);
    buf_addc(&h->scratch, (char)tag);
    return buf_view(&h->scratch);
}

static void mark_make(struct cache_mark *mark, uint64_t era)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t bytes[16];
    rand_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        mark->id[2 * i] = hex[bytes[i] >> 4];
        mark->id[2 * i + 1] = hex[bytes[i] & 15];
    }
    mark->id[32] = (char)TAG_MARK;
    mark->id[33] = '\0';
    mark->era = era;
}

bool cache_get(struct cache_handle *h, int64_t uid, struct buf *out, struct cache_mark *mark)
{
    struct cache *c = h->cache;
    view key;

    if (mark)
        *mark = (struct cache_mark){ .id = "" };
    buf_clear(out);
    if (!key_now(h, uid, &key))
        return false;
    bool there = c->driver->get(h->h, key, out);
    if (there && out->n > 0 && out->p[out->n - 1] == TAG_VALUE) {
        out->n--;
        metric_add(c->hits, 1);
        return true;
    }
    buf_clear(out);
    metric_add(c->misses, 1);
    if (!mark || there) /* somebody's mark: he will fill it */
        return false;
    mark_make(mark, h->era);
    if (!c->driver->add(h->h, key, view_of(mark->id), c->mark_ttl_s))
        mark->id[0] = '\0';
    return false;
}

/* Puts the value where the mark stands, in the mark's own era. */
static bool swap_mark(struct cache_handle *h, view key, const struct cache_mark *mark, view value)
{
    struct cache *c = h->cache;
    return mark->id[0] != '\0' && mark->era == h->era &&
           c->driver->swap(h->h, key, view_of(mark->id), tagged(h, value, TAG_VALUE), c->ttl_s);
}

void cache_fill(struct cache_handle *h, int64_t uid, const struct cache_mark *mark, view value)
{
    view key;
    if (mark->id[0] != '\0' && key_now(h, uid, &key))
        (void)swap_mark(h, key, mark, value); /* else somebody was faster, or the cache is away */
}

static void trip(struct cache *c)
{
    era_trip(c->era);
    metric_add(c->trips, 1);
}

void cache_before(struct cache_handle *h, int64_t uid, struct cache_mark *mark)
{
    struct cache *c = h->cache;
    view key;

    *mark = (struct cache_mark){ .id = "" };
    if (key_now(h, uid, &key)) {
        mark_make(mark, h->era);
        if (c->driver->put(h->h, key, view_of(mark->id), c->mark_ttl_s))
            return;
        mark->id[0] = '\0';
    }
    /* What was there may still be, and we may die between commit and cache_after. */
    trip(c);
}

void cache_after(struct cache_handle *h, int64_t uid, const struct cache_mark *mark, view value)
{
    struct cache *c = h->cache;
    view key;

    if (key_now(h, uid, &key)) {
        if (value.p && swap_mark(h, key, mark, value))
            return;
        if (c->driver->drop(h->h, key))
            return;
    }
    trip(c);
}
