#include "world.h"

#include <unistd.h>

#include "common/base/rand.h"
#include "conformance.h"
#include "node/cache/heads.h"

const char *driver_name, *redis_socket;
bool heads_shared;
redisContext *control;
char scope[64];

static void fresh_scope(void)
{
    snprintf(scope, sizeof(scope), "test-%d-%u", (int)getpid(), rand_below(1000000));
}

void world_open(struct world *w)
{
    struct cache_conf c = conformance_conf(driver_name, redis_socket, scope);
    c.shared_bytes = heads_shared ? 1 << 16 : 0;
    struct err e = ERR_NONE;
    *w = (struct world){ .cache = NULL };
    clock_fake_init(&w->clock, 1767225600000000);
    if (cache_open(&c, &w->clock.clock, &w->cache, &e) != RC_OK)
        fail_msg("cache_open: %s", e.text);
    assert_int_equal(cache_handle_open(w->cache, &w->h, &e), RC_OK);
}

void world_close(struct world *w)
{
    cache_handle_close(w->h);
    cache_close(w->cache);
    buf_done(&w->out);
}

int fresh(void **state)
{
    (void)state;
    fresh_scope();
    if (control)
        freeReplyObject(redisCommand(control, "FLUSHALL"));
    return 0;
}

int leave(void **state)
{
    (void)state;
    versions_unlink(scope);
    heads_unlink(scope);
    return 0;
}

bool caches(void)
{
    return strcmp(driver_name, "none") != 0;
}

bool reads(struct world *w, const char *value)
{
    return cache_get(w->h, USER, &w->out, NULL) && view_eq(buf_view(&w->out), view_of(value));
}

bool reads_nothing(struct world *w)
{
    return !cache_get(w->h, USER, &w->out, NULL);
}

void fill(struct world *w, const char *value)
{
    struct cache_mark mark;
    assert_false(cache_get(w->h, USER, &w->out, &mark));
    cache_fill(w->h, USER, &mark, view_of(value));
}

void write_value(struct world *w, const char *value)
{
    struct cache_mark mark;
    cache_before(w->h, USER, &mark);
    cache_after(w->h, USER, &mark, view_of(value));
}

/* ---- what befalls a Redis ---- */

void order(const char *command)
{
    redisReply *r = redisCommand(control, command);
    if (!r || r->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", command, r ? r->str : control->errstr);
    freeReplyObject(r);
}

void cut_all_connections(void)
{
    order("CLIENT KILL TYPE normal SKIPME yes");
}

void plant_wrong_types(void)
{
    redisReply *r = redisCommand(control, "EVAL %s 0",
                                 "for _, k in ipairs(redis.call('KEYS', 'h:*')) do "
                                 "redis.call('DEL', k) redis.call('RPUSH', k, 'x') end return 1");
    assert_true(r && r->type == REDIS_REPLY_INTEGER);
    freeReplyObject(r);
}
