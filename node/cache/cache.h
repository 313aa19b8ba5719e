/* The cache of heads: what info/collections answers. A cache never fails: a broken cache is an empty one, and nothing lives in it
 * alone. Drivers: memory (this process), redis (all processes of a node) and none.
 *
 * One rule keeps reads after writes true: a value enters only by `swap` against a mark of one's own that was there before the data
 * was read. A reader who misses puts a mark with `add`, reads the store, swaps. Whoever changes a head `put`s his mark over whatever is
 * there, under the head lock, commits, swaps, and if his mark is gone drops the key, all before he answers.
 * tests/models/cache_model.py walks through all interleavings.
 *
 * The breaker. A mark that cannot be written, or a drop that may not have happened, leaves an old value where others can still reach
 * the cache. So he who met the trouble begins a new *era*: a number that is part of every key and stands in memory shared by all
 * processes of the node (era.h). From that moment nobody, in no process, finds anything of before. No clock takes part, neither ours nor
 * Redis'; the life of a value only bounds memory. A writer who finds after his commit that the era changed since his mark drops the key
 * of the new one: a reader may have put his mark there before the commit.
 *
 * Keys: h:<page>:<era>:<run>:<scope>:<uid>
 *   page   names the shared memory that holds the era; the same for all processes of the node on this machine, another after
 *          a reboot (the era of before is forgotten then, so what it shut out must stay out)
 *   era    as above; it also changes when a connection meets another run of Redis
 *   run    Redis' run_id, asked at each connect: a Redis restored from an old snapshot is another run, and so an empty cache
 *   scope  keeps nodes apart that share one Redis
 * Nothing in it differs between the processes of a node, which must see each other's marks. They must therefore share a machine;
 * the redis driver refuses a scope that another machine is using. */
#ifndef HEDDLE_CACHE_H
#define HEDDLE_CACHE_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/conf.h"
#include "common/base/err.h"

/* Keys of [cache]. */
struct cache_conf {
    char *driver;       /* "memory", "redis", "none"; "auto": redis where an address is given, else memory */
    char *redis_socket; /* wins over host and port                      */
    char *redis_host;
    int64_t redis_port;
    char *redis_password;
    int64_t timeout_ms;   /* of one command                               */
    int64_t ttl_s;        /* life of a value                              */
    int64_t memory_bytes; /* memory driver: ceiling; the least used go    */
    char *scope; /* keeps nodes apart that share one Redis; node_open puts the node's name where it is "" */
};
extern const struct conf_key cache_conf_keys[];
extern const size_t cache_conf_keys_n;

struct cache;        /* one for the process */
struct cache_handle; /* one for each thread */

/* A driver. Called through the wrappers below only, which check arguments, make keys and keep the breaker. Slots are never NULL.
 * handle_open succeeds without a connection; `run` makes one when there is none, at most once a second, and no other slot does:
 * a key made for one run must not reach another. */
struct cache_driver {
    const char *name;
    bool shared; /* other processes see it: the era must be shared too */
    rc (*open)(const struct cache_conf *c, const struct clock *clock, uint64_t page, void **out,
               struct err *e);
    void (*close)(void *shared);
    rc (*handle_open)(void *shared, void **out, struct err *e);
    void (*handle_close)(void *h);
    /* Names this run of the cache: "" where memory is the cache, Redis' run_id. NULL: no connection. Valid until the next call.
     * page: names the shared memory of the era; a server on which another page has claimed our scope counts as not there.
     * *out_fresh: the connection was made by this very call. */
    const char *(*run)(void *h, uint64_t page, bool *out_fresh);
    void (*hang_up)(void *h); /* gives the connection up: it may lead to a server that others have left */
    bool (*get)(void *h, view key, struct buf *out);            /* appends; false: nothing usable */
    bool (*put)(void *h, view key, view value, unsigned ttl_s); /* false: may not be there   */
    bool (*add)(void *h, view key, view value, unsigned ttl_s); /* only where none is        */
    bool (*swap)(void *h, view key, view mine, view value, unsigned ttl_s); /* only over mine            */
    bool (*drop)(void *h, view key);                                        /* false: may not be gone    */
};
extern const struct cache_driver cache_memory, cache_redis, cache_none;

/* Whether cache_open could use these settings; opens nothing. RC_BAD_INPUT: unknown driver, scope too long. */
MUST_USE rc cache_check(const struct cache_conf *c, struct err *e);
/* RC_BAD_INPUT: as above, or another machine uses this scope of that Redis. A Redis that does not answer is no error. */
MUST_USE rc cache_open(const struct cache_conf *c, const struct clock *clock, struct cache **out,
                       struct err *e);
void cache_close(struct cache *c); /* after all handles */
MUST_USE rc cache_handle_open(struct cache *c, struct cache_handle **out, struct err *e);
void cache_handle_close(struct cache_handle *h);
const char *cache_driver_name(const struct cache *c);
bool cache_in_memory(const struct cache *c); /* get needs no I/O: may be asked on an io thread */
bool cache_healthy(struct cache_handle *h);  /* for the heartbeat; memory and none: true       */

/* ---- the rule, for one user's head ---- */

/* Reading. false: not there; then, if mark is not NULL, a mark of the caller's own may have been put: after reading the store he
 * offers what he read with cache_fill. out is cleared first. */
struct cache_mark {
    char id[40];  /* "" : none was put              */
    uint64_t era; /* in which it was put            */
};
bool cache_get(struct cache_handle *h, int64_t uid, struct buf *out, struct cache_mark *mark);
void cache_fill(struct cache_handle *h, int64_t uid, const struct cache_mark *mark, view value);

/* Writing. cache_before under the head lock and before the commit; cache_after when the commit's outcome is known:
 * value VIEW_NONE: rolled back or unsure, drop the key. */
void cache_before(struct cache_handle *h, int64_t uid, struct cache_mark *mark);
void cache_after(struct cache_handle *h, int64_t uid, const struct cache_mark *mark, view value);

#endif
