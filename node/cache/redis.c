#include "node/cache/redis.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdatomic.h>

#include "common/base/mem.h"
#include "common/base/scope.h"

#define RECONNECT_US  INT64_C(1000000)
#define CLAIM_S       30                /* how long a machine keeps a scope that it does not use */
#define CLAIM_US      INT64_C(10000000) /* how often one in use is renewed */
#define CLAIM_OVER_US INT64_C(20000000) /* how long we count on it: ten seconds for clocks that differ */

struct redis {
    char *socket, *host, *password, *scope;
    int port;
    struct timeval timeout;
    const struct clock *clock;
    /* Whose the scope is, as far as we know. */
    _Atomic uint64_t claimed_page;
    _Atomic int64_t claim_until_us, claim_due_us;
};

struct redis_handle {
    struct redis *redis;
    redisContext *cx; /* NULL: no connection */
    int64_t retry_us; /* on the steady clock: not before that */
    struct buf key;   /* "h:SCOPE:", then the user */
    size_t prefix_n;
    bool foreign; /* another machine uses our scope */
};

DEFINE_SCOPED(void *, freeReplyObject);
#define REPLY SCOPED(freeReplyObject) void *

/* ---- one command ---- */

static void hang_up(struct redis_handle *h)
{
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

static void drop(struct redis_handle *h, view key)
{
    REPLY answer = ASK(h, VIEW("DEL"), key);
    (void)answer;
}

/* ---- a connection ---- */

static bool log_in(struct redis_handle *h)
{
    const char *password = h->redis->password;
    if (password[0] == '\0')
        return true;
    REPLY answer = ASK(h, VIEW("AUTH"), view_of(password));
    return is_status(answer, "OK");
}

/* The claim is ours, and asked for at `asked_us`. */
static bool claimed(struct redis *r, uint64_t page, int64_t asked_us)
{
    atomic_store(&r->claim_until_us, asked_us + CLAIM_OVER_US);
    atomic_store(&r->claimed_page, page);
    return true;
}

/* Says that this machine uses the scope, unless another has said so: its processes count their versions elsewhere. */
static bool claim(struct redis_handle *h, uint64_t page)
{
    char key[300], mine[24];
    struct number life;
    struct redis *r = h->redis;
    int64_t now = clock_mono_us(r->clock);

    snprintf(key, sizeof(key), "o:%s", r->scope);
    snprintf(mine, sizeof(mine), "%016llx", (unsigned long long)page);
    atomic_store(&r->claim_due_us, now + CLAIM_US);
    REPLY taken =
        ASK(h, VIEW("SET"), view_of(key), view_of(mine), VIEW("NX"), VIEW("EX"), number_text(&life, CLAIM_S));
    h->foreign = false;
    if (is_status(taken, "OK"))
        return claimed(r, page, now);
    REPLY answer = ASK(h, VIEW("GET"), view_of(key));
    const redisReply *owner = answer;
    if (!owner || owner->type != REDIS_REPLY_STRING) {
        if (is_error(owner, "WRONGTYPE"))
            drop(h, view_of(key));
        return false;
    }
    h->foreign = strcmp(owner->str, mine) != 0;
    if (h->foreign) {
        atomic_store(&r->claim_until_us, INT64_MIN);
        return false;
    }
    REPLY renewed = ASK(h, VIEW("EXPIRE"), view_of(key), number_text(&life, CLAIM_S));
    return is_one(renewed) && claimed(r, page, now);
}

static bool dial(struct redis_handle *h, uint64_t page)
{
    const struct redis *r = h->redis;

    hang_up(h);
    h->cx = r->socket[0] != '\0' ? redisConnectUnixWithTimeout(r->socket, r->timeout)
                                 : redisConnectWithTimeout(r->host, r->port, r->timeout);
    if (h->cx && h->cx->err == 0 && redisSetTimeout(h->cx, r->timeout) == REDIS_OK && log_in(h) &&
        claim(h, page))
        return true;
    hang_up(h);
    return false;
}

bool redis_claimed(const struct redis *r, uint64_t page)
{
    return atomic_load(&r->claim_until_us) > clock_mono_us(r->clock) && atomic_load(&r->claimed_page) == page;
}

bool redis_ready(struct redis_handle *h, uint64_t page)
{
    struct redis *r = h->redis;
    int64_t now = clock_mono_us(r->clock);

    if (h->cx && (now >= atomic_load(&r->claim_due_us) || !redis_claimed(r, page)) && !claim(h, page))
        hang_up(h);
    if (h->cx)
        return true;
    if (now < h->retry_us)
        return false;
    bool good = dial(h, page);
    h->retry_us = clock_mono_us(r->clock) + RECONNECT_US;
    return good;
}

bool redis_connected(const struct redis_handle *h)
{
    return h->cx != NULL;
}

/* ---- life ---- */

void redis_close(struct redis *r)
{
    if (!r)
        return;
    free(r->socket);
    free(r->host);
    free(r->password);
    free(r->scope);
    free(r);
}

struct redis_handle *redis_handle_open(struct redis *r)
{
    struct redis_handle *h = mem_need(calloc(1, sizeof(*h)));
    h->redis = r;
    buf_addf(&h->key, "h:%s:", r->scope);
    h->prefix_n = h->key.n;
    return h;
}

void redis_handle_close(struct redis_handle *h)
{
    if (!h)
        return;
    hang_up(h);
    buf_done(&h->key);
    free(h);
}

/* A scope that another machine uses is an error of the configuration; a server that does not answer is not. */
static rc refuse_second_machine(struct redis *r, uint64_t page, struct err *e)
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

rc redis_open(const struct cache_conf *c, const struct clock *clock, uint64_t page, struct redis **out,
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
        .claim_until_us = INT64_MIN,
        .claim_due_us = INT64_MIN,
    };
    rc result = refuse_second_machine(r, page, e);
    if (result != RC_OK) {
        redis_close(r);
        return result;
    }
    *out = r;
    return RC_OK;
}

/* ---- values ---- */

static view key_of(struct redis_handle *h, int64_t uid)
{
    h->key.n = h->prefix_n;
    buf_add_i64(&h->key, uid);
    return buf_view(&h->key);
}

bool redis_get(struct redis_handle *h, int64_t uid, struct buf *out)
{
    view key = key_of(h, uid);
    REPLY answer = ASK(h, VIEW("GET"), key);
    const redisReply *r = answer;
    if (r && r->type == REDIS_REPLY_STRING) {
        buf_add(out, (view){ .p = r->str, .n = r->len });
        return true;
    }
    if (is_error(r, "WRONGTYPE")) /* planted by somebody */
        drop(h, key);
    return false;
}

void redis_put(struct redis_handle *h, int64_t uid, view value, unsigned ttl_s)
{
    struct number life;
    REPLY answer = ASK(h, VIEW("SET"), key_of(h, uid), value, VIEW("EX"), number_text(&life, ttl_s));
    (void)answer;
}
