#include "node/front.h"

#include <stdatomic.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/scope.h"
#include "common/web/reply.h"

#define BACKOFF_MOST_S 604800
#define DOWN_RETRY_S                                                                                         \
    60 /* of a node that is down by decision: it hears within seconds that it is not any more */
#define MAINTENANCE_TEXT_11 "\"server issue: maintenance\""
#define DOWN_TEXT           "\"server issue: database marked as down\""

/* What a page of another origin may send and read: the headers of both protocols. */
#define CORS_METHODS "DELETE, GET, POST, PUT"
#define CORS_MAX_AGE "1728000"
#define CORS_ALLOWED                                                                                          \
    "Authorization, Content-Type, User-Agent, X-Confirm-Delete, X-If-Modified-Since, X-If-Unmodified-Since, " \
    "X-Weave-Bytes, X-Weave-Records, X-Weave-Total-Bytes, X-Weave-Total-Records"
#define CORS_EXPOSED                                                                                         \
    "Retry-After, X-Backoff, X-Last-Modified, X-Weave-Alert, X-Weave-Backoff, X-Weave-Next-Offset, "         \
    "X-Weave-Quota-Remaining, X-Weave-Records, X-Weave-Timestamp"

enum state { STATE_NORMAL, STATE_BACKOFF, STATE_DOWN, STATE_UNHEALTHY, STATE_DRAINING };

static const struct {
    const char *word;
    enum state state;
    const char *text; /* body in Sync 1.1, a JSON string; NULL: the state refuses nobody */
} states[] = {
    { "normal", STATE_NORMAL, NULL },
    { "", STATE_NORMAL, NULL },
    { "backoff", STATE_BACKOFF, NULL },
    { "down", STATE_DOWN, DOWN_TEXT },
    { "unhealthy", STATE_UNHEALTHY, "\"server issue: database is not healthy\"" },
    { "draining", STATE_DRAINING, "\"server issue: node reassignment\"" },
};

struct settings {
    struct settings *before; /* the ones of earlier */
    char **agents;
    size_t n_agents;
    bool cors;
    const char *refuses;      /* text of the state; NULL: it refuses nobody */
    unsigned state_backoff_s; /* asked of all; 0: of nobody */
    unsigned backoff_s, backoff_percent, refuse_percent;
};

/* Maintenance. Like settings they stay until the end. */
struct notice {
    struct notice *before;
    bool on;
    unsigned retry_after_s;
    char *text;
};

struct front {
    _Atomic(struct settings *) now;
    _Atomic(struct notice *) notice;
    atomic_bool down; /* decided by the directory */
};

/* ---- settings ---- */

static void settings_free(struct settings *s)
{
    for (size_t i = 0; i < s->n_agents; i++)
        free(s->agents[i]);
    free(s->agents);
    free(s);
}

/* "backoff:NN" or a word of the table. */
static rc read_state(const char *text, struct settings *s, struct err *e)
{
    view word = view_of(text), seconds;
    view_cut(&word, ':', &seconds);
    uint64_t n;

    if (word.p && view_eq(seconds, VIEW("backoff")) && view_to_u64(word, BACKOFF_MOST_S, &n) && n > 0) {
        s->state_backoff_s = (unsigned)n;
        return RC_OK;
    }
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (strcmp(states[i].word, text) != 0)
            continue;
        s->refuses = states[i].text;
        s->state_backoff_s = states[i].state == STATE_NORMAL ? 0 : s->backoff_s;
        return RC_OK;
    }
    return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                "node.state is \"%s\": must be normal, backoff, backoff:SECONDS, down, unhealthy or draining",
                text);
}

static rc settings_new(const struct node_conf *c, struct settings **out, struct err *e)
{
    struct settings *s = mem_need(calloc(1, sizeof(*s)));
    s->cors = c->cors;
    s->backoff_s = (unsigned)c->backoff_s;
    s->backoff_percent = (unsigned)c->backoff_percent;
    s->refuse_percent = (unsigned)c->refuse_percent;
    rc r = read_state(c->state ? c->state : "", s, e);
    if (r != RC_OK) {
        free(s);
        return r;
    }
    if (c->refused_agents.n > 0)
        s->agents = mem_need(calloc(c->refused_agents.n, sizeof(*s->agents)));
    for (size_t i = 0; i < c->refused_agents.n; i++)
        s->agents[s->n_agents++] = mem_need(strdup(c->refused_agents.items[i]));
    *out = s;
    return RC_OK;
}

rc front_new(const struct node_conf *c, struct front **out, struct err *e)
{
    struct settings *s = NULL;
    TRY(settings_new(c, &s, e));
    struct front *f = mem_need(calloc(1, sizeof(*f)));
    atomic_init(&f->now, s);
    *out = f;
    return RC_OK;
}

void front_free(struct front *f)
{
    if (!f)
        return;
    for (struct settings *s = atomic_load(&f->now), *before; s; s = before) {
        before = s->before;
        settings_free(s);
    }
    for (struct notice *n = atomic_load(&f->notice), *before; n; n = before) {
        before = n->before;
        free(n->text);
        free(n);
    }
    free(f);
}

rc front_change(struct front *f, const struct node_conf *c, struct err *e)
{
    struct settings *s = NULL;
    TRY(settings_new(c, &s, e));
    s->before = atomic_load(&f->now);
    atomic_store(&f->now, s);
    return RC_OK;
}

void front_maintenance(struct front *f, const struct maintenance_words *w)
{
    struct notice *n = mem_need(calloc(1, sizeof(*n)));
    n->before = atomic_load(&f->notice);
    n->on = w != NULL;
    if (w) {
        n->retry_after_s = w->retry_after_s;
        n->text = mem_need(strndup(w->text.p ? w->text.p : "", w->text.n));
    }
    atomic_store(&f->notice, n);
}

void front_down(struct front *f, bool down)
{
    atomic_store(&f->down, down);
}

/* ---- back-off ---- */

static void header_seconds(struct request *rq, const char *name, unsigned seconds)
{
    char text[16];
    int n = snprintf(text, sizeof(text), "%u", seconds);
    reply_header(rq, name, (view){ .p = text, .n = (size_t)n });
}

/* Raised by up to 5 %, at least 5 s, so that clients do not come back in one wave. */
static unsigned spread(unsigned seconds)
{
    unsigned most = seconds / 20 > 5 ? seconds / 20 : 5;
    return seconds + rand_below(most + 1);
}

static bool chance(unsigned percent)
{
    return percent > 0 && rand_below(100) < percent;
}

static bool is_sync(const struct request *rq)
{
    enum dialect d = rq->route ? rq->route->dialect : DIALECT_SYNC_15;
    return d == DIALECT_SYNC_15 || d == DIALECT_SYNC_11;
}

static void add_backoff(const struct settings *s, struct request *rq)
{
    unsigned seconds = 0;

    /* The state's value is exact for 1.1, whose tests compare it. */
    if (s->state_backoff_s > 0)
        seconds = rq->route && rq->route->dialect == DIALECT_SYNC_11 ? s->state_backoff_s
                                                                     : spread(s->state_backoff_s);
    else if (chance(s->backoff_percent))
        seconds = spread(s->backoff_s);
    if (seconds == 0)
        return;
    header_seconds(rq, "X-Weave-Backoff", seconds);
    header_seconds(rq, "X-Backoff", seconds);
}

/* ---- refusing ---- */

static bool agent_refused(const struct settings *s, const struct request *rq)
{
    if (s->n_agents == 0)
        return false;
    view agent = request_header(rq, "User-Agent");
    for (size_t i = 0; i < s->n_agents; i++)
        if (view_starts(agent, view_of(s->agents[i])))
            return true;
    return false;
}

static bool refuse(struct request *rq, unsigned wait_s, const char *reason, const char *text_11)
{
    struct err e = { .respcode = RESP_GENERIC, .retry_after_s = wait_s };

    rq->log_reason = reason;
    reply_fail(rq, RC_BUSY, &e);
    if (text_11 && rq->route && rq->route->dialect == DIALECT_SYNC_11) {
        buf_clear(reply_body(rq));
        buf_add(reply_body(rq), view_of(text_11));
    }
    return false;
}

static bool refuse_for_maintenance(const struct notice *n, struct request *rq)
{
    refuse(rq, spread(n->retry_after_s), "maintenance", MAINTENANCE_TEXT_11);
    if (n->text[0])
        reply_header(rq, "X-Weave-Alert", view_of(n->text));
    return false;
}

/* ---- CORS ---- */

static bool is_preflight(const struct request *rq)
{
    return rq->method == OPTIONS && request_header(rq, "Origin").n > 0;
}

static void answer_preflight(struct request *rq)
{
    reply_status(rq, 200);
    reply_type(rq, "text/plain");
    reply_header(rq, "Access-Control-Allow-Methods", VIEW(CORS_METHODS));
    reply_header(rq, "Access-Control-Allow-Headers", VIEW(CORS_ALLOWED));
    reply_header(rq, "Access-Control-Max-Age", VIEW(CORS_MAX_AGE));
}

static void add_cors(struct request *rq)
{
    view origin = request_header(rq, "Origin");
    if (origin.n == 0)
        return;
    reply_header(rq, "Access-Control-Allow-Origin", origin);
    reply_header(rq, "Access-Control-Expose-Headers", VIEW(CORS_EXPOSED));
    reply_header(rq, "Vary", VIEW("Origin"));
}

/* ---- the mount's ---- */

bool front_before(const struct front *f, struct request *rq)
{
    const struct settings *s = atomic_load(&f->now);

    if (agent_refused(s, rq))
        return refuse(rq, spread(s->backoff_s), "agent-refused", NULL);
    if (s->cors && is_preflight(rq)) {
        answer_preflight(rq);
        return false;
    }
    const struct notice *n = atomic_load(&f->notice);
    if (n && n->on)
        return refuse_for_maintenance(n, rq);
    if (atomic_load(&f->down))
        return refuse(rq, spread(DOWN_RETRY_S), "decided-down", DOWN_TEXT);
    if (s->refuses) /* the value of Retry-After is exact for 1.1, as above */
        return refuse(rq,
                      rq->route && rq->route->dialect == DIALECT_SYNC_11 ? s->state_backoff_s
                                                                         : spread(s->state_backoff_s),
                      "node-state", s->refuses);
    if (chance(s->refuse_percent))
        return refuse(rq, spread(s->backoff_s), "refused-by-chance", NULL);
    return true;
}

void front_decorate(const struct front *f, struct request *rq)
{
    const struct settings *s = atomic_load(&f->now);

    if (is_sync(rq))
        add_backoff(s, rq);
    if (s->cors)
        add_cors(rq);
}

bool front_serves(const struct front *f)
{
    return atomic_load(&f->now)->refuses == NULL && !atomic_load(&f->down);
}
