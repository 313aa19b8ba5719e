/* The cache of heads: what info/collections answers. A cache never fails: a broken cache is an empty one, and nothing lives in it
 * alone. Two drivers: memory (this process) and redis (all processes of a node).
 *
 * One rule keeps reads after writes true: a value enters only by `swap` against a mark of one's own that was there before the data
 * was read. A reader who misses puts a mark with `add`, reads the store, swaps. Whoever changes a head `put`s his mark over whatever is
 * there, under the head lock, commits, swaps, and if his mark is gone drops the key, all before he answers. A mark that cannot be
 * written, or a drop that may not have happened, trips the breaker: nobody reads for one TTL, and no value lives longer.
 * tests/models/cache_model.py walks through all interleavings. */
#ifndef HEDDLE_CACHE_H
#define HEDDLE_CACHE_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/conf.h"
#include "common/base/err.h"

/* Keys of [cache]. */
struct cache_conf {
    char *driver;       /* "memory", "redis", "none"                    */
    char *redis_socket; /* wins over host and port                      */
    char *redis_host;
    int64_t redis_port;
    char *redis_password;
    int64_t timeout_ms; /* of one command                               */
    int64_t ttl_s;      /* life of a value, and of the breaker's pause  */
    int64_t memory_bytes; /* memory driver: ceiling; the least used go  */
    char *scope;        /* keeps nodes apart that share one Redis; default: the node's name */
};
extern const struct conf_key cache_conf_keys[];
extern const size_t cache_conf_keys_n;

struct cache;        /* one for the process */
struct cache_handle; /* one for each thread */

/* A driver. Called through the wrappers below only, which check arguments, prefix keys and keep the breaker. Slots are never NULL.
 * handle_open may succeed without a connection; later calls try again (at most once a second). */
struct cache_driver {
    const char *name;
    rc (*open)(const struct cache_conf *c, const struct clock *clock, void **out, struct err *e);
    void (*close)(void *shared);
    rc (*handle_open)(void *shared, void **out, struct err *e);
    void (*handle_close)(void *h);
    /* Names this run of the cache: "" where memory is the cache, Redis' run_id asked at each connect. A Redis restored from an old
     * snapshot is another run, and so an empty cache. false: no connection. */
    bool (*run)(void *h, char out[64]);
    bool (*get)(void *h, view key, struct buf *out);                            /* false: nothing usable     */
    bool (*put)(void *h, view key, view value, unsigned ttl_s);                 /* false: may not be there   */
    bool (*add)(void *h, view key, view value, unsigned ttl_s);                 /* only where none is        */
    bool (*swap)(void *h, view key, view mine, view value, unsigned ttl_s);     /* only over mine            */
    bool (*drop)(void *h, view key);                                            /* false: may not be gone    */
};
extern const struct cache_driver cache_memory, cache_redis, cache_none;

MUST_USE rc cache_open(const struct cache_conf *c, const struct clock *clock, struct cache **out, struct err *e);
void cache_close(struct cache *c);
MUST_USE rc cache_handle_open(struct cache *c, struct cache_handle **out, struct err *e);
void cache_handle_close(struct cache_handle *h);
const char *cache_driver_name(const struct cache *c);
bool cache_in_memory(const struct cache *c); /* get needs no I/O: may be asked on an io thread */
bool cache_healthy(struct cache_handle *h);  /* for the heartbeat; memory and none: true       */

/* ---- the rule, for one user's head ---- */

/* Reading. false: not there (or the breaker is open); then, if mark is not NULL, a mark of the caller's own may have been put:
 * after reading the store he offers what he read with cache_fill. */
struct cache_mark {
    char id[40]; /* "" : none was put */
};
bool cache_get(struct cache_handle *h, int64_t uid, struct buf *out, struct cache_mark *mark);
void cache_fill(struct cache_handle *h, int64_t uid, const struct cache_mark *mark, view value);

/* Writing. cache_before under the head lock and before the commit; cache_after when the commit's outcome is known:
 * value VIEW_NONE: rolled back or unsure, drop the key. */
void cache_before(struct cache_handle *h, int64_t uid, struct cache_mark *mark);
void cache_after(struct cache_handle *h, int64_t uid, const struct cache_mark *mark, view value);

#endif
