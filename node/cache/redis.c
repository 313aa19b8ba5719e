/* The cache in Redis, shared by all processes of a node. Each handle has a connection of its own and never waits for another. An
 * answer that is not what was asked for counts as "not there" for a read and as "may not have happened" for a write; a connection
 * that failed once is closed, so that no late answer is taken for a later question. */
#include <errno.h>
#include <hiredis/hiredis.h>

#include "common/base/mem.h"
#include "common/base/scope.h"
#include "node/cache/cache.h"

#define RECONNECT_US INT64_C(1000000)
#define CLAIM_S      30                /* how long a machine keeps a scope that it does not use */
#define CLAIM_US     INT64_C(10000000) /* how often one in use is renewed                       */
#define RUN_TEXT_MAX 64
#define SHA_TEXT     40

/* KEYS[1] the key, ARGV my mark, the value, its life in seconds. */
#define SWAP_SCRIPT                                                                                          \
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "                                            \
    "redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) "                                                    \
    "return 1"

struct redis {
    char *socket, *host, *password, *scope;
    int port;
    struct timeval timeout;
    const struct clock *clock;
};

struct redis_handle {
    const struct redis *redis;
    redisContext *cx;           /* NULL: no connection                  */
    int64_t retry_us, claim_us; /* on the steady clock: not before that */
    char run[RUN_TEXT_MAX];
    char swap_sha[SHA_TEXT + 1];
    bool foreign; /* another machine uses our scope */
};

DEFINE_SCOPED(void *, freeReplyObject);
#define REPLY SCOPED(freeReplyObject) void *

/* ---- one command ---- */

static void hang_up(void *arg)
{
    struct redis_handle *h = arg;
    if (h->cx)
        redisFree(h->cx);
    h->cx = NULL;
}

/* NULL: no usable answer, and the connection is closed. Else owned by the caller. */
static redisReply *ask(struct redis_handle *h, int argc, const view *args)
{
    const char *p[8];
    size_t n[8];

    if (!h->cx)
        return NULL;
    for (int i = 0; i < argc; i++) {
        p[i] = args[i].p;
        n[i] = args[i].n;
    }
    redisReply *r = redisCommandArgv(h->cx, argc, p, n);
    if (!r)
        hang_up(h);
    return r;
}

#define ASK(h, ...)                                                                                          \
    ask((h), (int)(sizeof((const view[]){ __VA_ARGS__ }) / sizeof(view)), (const view[]){ __VA_ARGS__ })

static bool is_status(const redisReply *r, const char *text)
{
    return r && r->type == REDIS_REPLY_STATUS && strcmp(r->str, text) == 0;
}

static bool is_error(const redisReply *r, const char *word)
{
    return r && r->type == REDIS_REPLY_ERROR && strncmp(r->str, word, strlen(word)) == 0;
}

static bool is_one(const redisReply *r)
{
    return r && r->type == REDIS_REPLY_INTEGER && r->integer == 1;
}

struct number {
    char text[24];
};

static view number_text(struct number *n, unsigned value)
{
    int len = snprintf(n->text, sizeof(n->text), "%u", value);
    return (view){ .p = n->text, .n = (size_t)len };
}

static bool redis_drop(void *arg, view key)
{
    REPLY answer = ASK(arg, VIEW("DEL"), key);
    const redisReply *r = answer;
    return r && r->type == REDIS_REPLY_INTEGER;
}

/* ---- a connection ---- */

static bool learn_run(struct redis_handle *h)
{
    static const char label[] = "run_id:";
    REPLY answer = ASK(h, VIEW("INFO"), VIEW("server"));
    const redisReply *r = answer;
    if (!r || r->type != REDIS_REPLY_STRING)
        return false;
    const char *at = strstr(r->str, label);
    if (!at)
        return false;
    at += sizeof(label) - 1;
    size_t n = strspn(at, "0123456789abcdef");
    if (n == 0 || n >= sizeof(h->run))
        return false;
    memcpy(h->run, at, n);
    h->run[n] = '\0';
    return true;
}

static bool learn_script(struct redis_handle *h)
{
    REPLY answer = ASK(h, VIEW("SCRIPT"), VIEW("LOAD"), VIEW(SWAP_SCRIPT));
    const redisReply *r = answer;
    if (!r || r->type != REDIS_REPLY_STRING || r->len != SHA_TEXT)
        return false;
    memcpy(h->swap_sha, r->str, SHA_TEXT);
    h->swap_sha[SHA_TEXT] = '\0';
    return true;
}

static bool log_in(struct redis_handle *h)
{
    const char *password = h->redis->password;
    if (password[0] == '\0')
        return true;
    REPLY answer = ASK(h, VIEW("AUTH"), view_of(password));
    return is_status(answer, "OK");
}

/* Says that this machine uses the scope, unless another has said so: its processes do not see our marks, nor we theirs. */
static bool claim(struct redis_handle *h, uint64_t page)
{
    char key[300], mine[24];
    struct number life;
    int64_t now = clock_mono_us(h->redis->clock);

    snprintf(key, sizeof(key), "o:%s", h->redis->scope);
    snprintf(mine, sizeof(mine), "%016llx", (unsigned long long)page);
    h->claim_us = now + CLAIM_US;
    REPLY taken =
        ASK(h, VIEW("SET"), view_of(key), view_of(mine), VIEW("NX"), VIEW("EX"), number_text(&life, CLAIM_S));
    h->foreign = false;
    if (is_status(taken, "OK"))
        return true;
    REPLY answer = ASK(h, VIEW("GET"), view_of(key));
    const redisReply *owner = answer;
    if (!owner || owner->type != REDIS_REPLY_STRING) {
        if (is_error(owner, "WRONGTYPE"))
            (void)redis_drop(h, view_of(key));
        return false;
    }
    h->foreign = strcmp(owner->str, mine) != 0;
    if (h->foreign)
        return false;
    REPLY renewed = ASK(h, VIEW("EXPIRE"), view_of(key), number_text(&life, CLAIM_S));
    return is_one(renewed);
}

static bool dial(struct redis_handle *h, uint64_t page)
{
    const struct redis *r = h->redis;

    hang_up(h);
    h->cx = r->socket[0] != '\0' ? redisConnectUnixWithTimeout(r->socket, r->timeout)
                                 : redisConnectWithTimeout(r->host, r->port, r->timeout);
    if (h->cx && h->cx->err == 0 && redisSetTimeout(h->cx, r->timeout) == REDIS_OK && log_in(h) &&
        learn_run(h) && learn_script(h) && claim(h, page))
        return true;
    hang_up(h);
    return false;
}

static const char *redis_run(void *arg, uint64_t page, bool *out_fresh)
{
    struct redis_handle *h = arg;
    int64_t now = clock_mono_us(h->redis->clock);

    *out_fresh = false;
    if (h->cx && now >= h->claim_us && !claim(h, page))
        hang_up(h);
    if (h->cx)
        return h->run;
    if (now < h->retry_us)
        return NULL;
    bool good = dial(h, page);
    h->retry_us = clock_mono_us(h->redis->clock) + RECONNECT_US;
    *out_fresh = good;
    return good ? h->run : NULL;
}

/* ---- the driver ---- */

static void redis_close(void *shared)
{
    struct redis *r = shared;
    if (!r)
        return;
    free(r->socket);
    free(r->host);
    free(r->password);
    free(r->scope);
    free(r);
}

static rc redis_handle_open(void *shared, void **out, struct err *e)
{
    (void)e;
    struct redis_handle *h = mem_need(calloc(1, sizeof(*h)));
    h->redis = shared;
    *out = h;
    return RC_OK;
}

static void redis_handle_close(void *arg)
{
    hang_up(arg);
    free(arg);
}

/* A scope that another machine uses is an error of the configuration; a server that does not answer is not. */
static rc refuse_second_machine(const struct redis *r, uint64_t page, struct err *e)
{
    struct redis_handle h = { .redis = r };
    bool there = dial(&h, page);
    hang_up(&h);
    if (there || !h.foreign)
        return RC_OK;
    return fail(
        e, RC_BAD_INPUT, RESP_GENERIC,
        "another machine uses cache.scope \"%.80s\" of this Redis (or did until %d s ago): processes that share it must "
        "run on one machine",
        r->scope, CLAIM_S);
}

static rc redis_open(const struct cache_conf *c, const struct clock *clock, uint64_t page, void **out,
                     struct err *e)
{
    struct redis *r = mem_need(calloc(1, sizeof(*r)));
    *r = (struct redis){
        .socket = mem_need(strdup(c->redis_socket)),
        .host = mem_need(strdup(c->redis_host[0] != '\0' ? c->redis_host : "127.0.0.1")),
        .password = mem_need(strdup(c->redis_password)),
        .scope = mem_need(strdup(c->scope)),
        .port = (int)c->redis_port,
        .timeout = { .tv_sec = c->timeout_ms / 1000, .tv_usec = c->timeout_ms % 1000 * 1000 },
        .clock = clock,
    };
    rc result = refuse_second_machine(r, page, e);
    if (result != RC_OK) {
        redis_close(r);
        return result;
    }
    *out = r;
    return RC_OK;
}

static bool redis_get(void *arg, view key, struct buf *out)
{
    REPLY answer = ASK(arg, VIEW("GET"), key);
    const redisReply *r = answer;
    if (r && r->type == REDIS_REPLY_STRING) {
        buf_add(out, (view){ .p = r->str, .n = r->len });
        return true;
    }
    if (is_error(r, "WRONGTYPE")) /* planted by somebody: it would keep this user out of the cache for ever */
        (void)redis_drop(arg, key);
    return false;
}

static bool redis_put(void *arg, view key, view value, unsigned ttl_s)
{
    struct number life;
    REPLY answer = ASK(arg, VIEW("SET"), key, value, VIEW("EX"), number_text(&life, ttl_s));
    return is_status(answer, "OK");
}

static bool redis_add(void *arg, view key, view value, unsigned ttl_s)
{
    struct number life;
    REPLY answer = ASK(arg, VIEW("SET"), key, value, VIEW("NX"), VIEW("EX"), number_text(&life, ttl_s));
    return is_status(answer, "OK");
}

static bool redis_swap(void *arg, view key, view mine, view value, unsigned ttl_s)
{
    struct redis_handle *h = arg;
    struct number life;
    view seconds = number_text(&life, ttl_s);

    REPLY answer = ASK(h, VIEW("EVALSHA"), view_of(h->swap_sha), VIEW("1"), key, mine, value, seconds);
    if (!is_error(answer, "NOSCRIPT"))
        return is_one(answer);
    REPLY again = ASK(h, VIEW("EVAL"), VIEW(SWAP_SCRIPT), VIEW("1"), key, mine, value, seconds);
    return is_one(again);
}

const struct cache_driver cache_redis = {
    .name = "redis",
    .shared = true,
    .open = redis_open,
    .close = redis_close,
    .handle_open = redis_handle_open,
    .handle_close = redis_handle_close,
    .run = redis_run,
    .hang_up = hang_up,
    .get = redis_get,
    .put = redis_put,
    .add = redis_add,
    .swap = redis_swap,
    .drop = redis_drop,
};
