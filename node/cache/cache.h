/* The cache of heads, which are what info/collections answers, and of single items. A cache never fails: a broken cache is an empty one, and nothing lives in it
 * alone. Kinds: memory (this process), redis (this process, memory that all processes of a node share, heads.h, and behind both
 * a Redis for them) and none.
 *
 * One rule keeps reads after writes true: **a value is worth as much as the version of the user's head that stands beside it.** Versions
 * are counted in memory that all processes of the node share (versions.h).
 *   A reader takes a value only if its version is the present one. Who misses notes the present version, reads the store, and
 *   puts what he read under the version he noted. While somebody changes the head there is no present version: he reads the store.
 *   Whoever changes a head says so before his commit, and counts on after it and before he answers. If nobody else changed it meanwhile,
 *   he puts his value under the new version, into memory alone.
 * So what somebody was told once, by the answer to a write or to a read, is told to everybody who asks later; and no write of the cache has to happen for an answer to be true: what is lost, late, flushed, restored from an old snapshot or
 * refused in Redis has a version of before, or the right one. tests/models/cache_model.py walks through all interleavings.
 *
 * What a process that dies between the two had begun, the other processes end. */
#ifndef HEDDLE_CACHE_H
#define HEDDLE_CACHE_H

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/conf.h"
#include "common/base/err.h"
#include "node/cache/items.h"
#include "node/cache/versions.h"

/* Keys of [cache]. */
struct cache_conf {
    char *driver;       /* "memory", "redis", "none"; "auto": redis where an address is given, else memory */
    char *redis_socket; /* wins over host and port */
    char *redis_host;
    int64_t redis_port;
    char *redis_password;
    int64_t timeout_ms;   /* of one command */
    int64_t ttl_s;        /* life of a value */
    int64_t memory_bytes; /* ceiling in this process; the least used go */
    int64_t shared_bytes; /* of heads in memory that a node's processes share; 0: they share none there */
    int64_t items_bytes;  /* ceiling of single items in this process; 0: none are kept */
    char *scope;          /* keeps nodes apart that share one Redis; "": node_open puts the node's name */
};
extern const struct conf_key cache_conf_keys[];
extern const size_t cache_conf_keys_n;

struct cache;        /* one for the process */
struct cache_handle; /* one for each thread */

/* Whether cache_open could use these settings; opens nothing. RC_BAD_INPUT: unknown driver, scope too long. */
MUST_USE rc cache_check(const struct cache_conf *c, struct err *e);
/* RC_BAD_INPUT: as above, or another machine uses this scope of that Redis. A Redis that does not answer is no error. */
MUST_USE rc cache_open(const struct cache_conf *c, const struct clock *clock, struct cache **out,
                       struct err *e);
void cache_close(struct cache *c); /* after all handles */
MUST_USE rc cache_handle_open(struct cache *c, struct cache_handle **out, struct err *e);
void cache_handle_close(struct cache_handle *h);
const char *cache_driver_name(const struct cache *c);
bool cache_alone(const struct cache *c);    /* other processes would not see that a head changed */
bool cache_healthy(struct cache_handle *h); /* for the heartbeat; memory and none: true */

/* ---- the rule, for one user's head ---- */

struct cache_mark {
    bool good;                    /* else nothing is to be put, or ended */
    struct version seen;          /* by a reader */
    struct version_change change; /* of a writer */
};

/* Reading. false: not there; then, if mark is not NULL, the caller offers to cache_fill what he reads in the store from now on. out is
 * cleared first. cache_peek looks into memory alone and waits for nothing: for io threads. */
bool cache_get(struct cache_handle *h, int64_t uid, struct buf *out, struct cache_mark *mark);
bool cache_peek(struct cache_handle *h, int64_t uid, struct buf *out);
void cache_fill(struct cache_handle *h, int64_t uid, const struct cache_mark *mark, view value);

/* Writing. cache_before before the commit, as late as can be, and under the head lock if a value is to be put; cache_after, always, when
 * the commit's outcome is known, before the answer: value VIEW_NONE: rolled back, unsure, or not known. Neither talks to anybody. */
void cache_before(struct cache_handle *h, int64_t uid, struct cache_mark *mark);
void cache_after(struct cache_handle *h, int64_t uid, const struct cache_mark *mark, view value);

/* ---- in the memory of this process: heads and single items that were read together, or an item by a head ----
 *
 * An item is kept with the time that its collection had. It is right wherever a head that may be taken (cache_peek, cache_get) gives the
 * collection that time, since whatever changes an item gives its collection a time that it never had. Who reads in the store takes a mark
 * first, and what he read is kept only if nobody began to change the head meanwhile: else it may be of a commit under way, of which
 * nothing is left if the database dies before it is safe. Nothing here waits for anything. */

/* false: what is read now is not to be kept; putting it does nothing then. */
bool cache_mark_read(struct cache_handle *h, int64_t uid, struct cache_mark *mark);
void cache_keep(struct cache_handle *h, int64_t uid, const struct cache_mark *mark, view value); /* a head */
bool cache_item_get(struct cache_handle *h, const struct item_tag *k, struct arena *a, view *out);
void cache_item_put(struct cache_handle *h, const struct item_tag *k, const struct cache_mark *mark,
                    view value);

#endif
