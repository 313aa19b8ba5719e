/* The pulse: a node tells how it is, and hears whom to forget. Protocol: docs/internal-api.md, "Pulse". */
#include <inttypes.h>

#include "common/base/mem.h"
#include "directory/internal.h"

enum { LOADS_MAX = 1024, LOAD_TEXT = 1024, BOOT_TEXT = 64 };

#define NUMBER_MOST INT64_C(1000000000000) /* of what a node may tell: more is a mistake */
#define LIFE_OVER_US                                                                                         \
    INT64_C(5000000) /* a process that has been silent for longer has ended, or is as good as that */

/* The last pulse of one process of a node. */
struct load {
    char name[INTERNAL_NAME_MAX + 1], boot[BOOT_TEXT + 1];
    int64_t seen_us; /* steady clock */
    int64_t clock_ms;
    int64_t users, queue; /* of all services; below 0: not told */
    char text[LOAD_TEXT]; /* "loads" of its last full pulse, JSON; "" */
};

struct loads {
    pthread_mutex_t lock;
    int64_t first_us; /* the first pulse of any node; 0: none yet */
    size_t n;
    struct load items[LOADS_MAX];
};

struct loads *loads_new(void)
{
    struct loads *l = mem_need(calloc(1, sizeof(*l)));
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void loads_free(struct loads *l)
{
    if (!l)
        return;
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static bool silent(const struct load *x, int64_t now_us)
{
    return now_us - x->seen_us > LIFE_OVER_US;
}

/* The process's own; or one whose process is over, of the same node first: it was started anew. Names come from the list of callers. */
static struct load *load_of(struct loads *l, view name, view boot, int64_t now_us)
{
    struct load *over = NULL;
    for (size_t i = 0; i < l->n; i++) {
        struct load *x = &l->items[i];
        bool same = view_eq(name, view_of(x->name));
        if (same && view_eq(boot, view_of(x->boot)))
            return x;
        if (silent(x, now_us) && (same || !over))
            over = x;
    }
    struct load *own = over && view_eq(name, view_of(over->name)) ? over
                       : l->n < LOADS_MAX                         ? &l->items[l->n++]
                                                                  : over;
    if (!own)
        return NULL;
    *own = (struct load){ .seen_us = now_us, .users = -1, .queue = -1 };
    memcpy(own->name, name.p, name.n);
    memcpy(own->boot, boot.p, boot.n);
    return own;
}

/* ---- what the node says ---- */

struct pulse {
    view node, boot, heard;
    int64_t cursor, clock_ms;
    const json_t *loads;
};

static rc read_pulse(const struct request *rq, const json_t *body, struct pulse *out, struct err *e)
{
    *out = (struct pulse){ .heard = VIEW("") };
    TRY(internal_text(body, "node", &out->node, e));
    TRY(internal_text(body, "boot", &out->boot, e));
    TRY(internal_text(body, "heard", &out->heard, e));
    TRY(internal_number(body, "cursor", 0, &out->cursor, e));
    TRY(internal_number(body, "clock", 0, &out->clock_ms, e));
    out->loads = json_object_get(body, "loads");
    if (!out->node.p || out->boot.n == 0 || out->boot.n > BOOT_TEXT)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "node and boot are needed");
    if (out->loads && !json_is_object(out->loads))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "loads must be an object");
    if (!view_eq(out->node, internal_caller(rq)->name))
        return fail(e, RC_FORBIDDEN, RESP_GENERIC, "%.*s speaks for %.*s",
                    VIEW_ARG(internal_caller(rq)->name), VIEW_ARG(out->node));
    return RC_OK;
}

/* The sum over the services of a node; below 0: no service tells it. */
static int64_t total_of(const json_t *loads, const char *what)
{
    int64_t sum = -1;
    const char *service;
    json_t *load;
    json_object_foreach ((json_t *)(uintptr_t)loads, service, load) {
        const json_t *n = json_object_get(load, what);
        if (json_is_integer(n) && json_integer_value(n) >= 0 && json_integer_value(n) <= NUMBER_MOST)
            sum = (sum < 0 ? 0 : sum) + json_integer_value(n);
        if (sum > NUMBER_MOST)
            return NUMBER_MOST;
    }
    return sum;
}

static void keep_numbers(struct load *x, const json_t *loads, struct buf *text)
{
    x->users = total_of(loads, "users");
    x->queue = total_of(loads, "queue");
    memcpy(x->text, buf_text(text), text->n + 1);
}

static rc keep_load(const struct request *rq, const struct pulse *p, struct err *e)
{
    const struct directory *d = rq->app;
    struct loads *l = d->internal->loads;
    SCOPED(buf_done) struct buf text = { 0 };
    if (p->loads)
        json_put_members(&text, p->loads);
    if (text.n >= LOAD_TEXT)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "loads of more than %d bytes", LOAD_TEXT - 1);
    pthread_mutex_lock(&l->lock);
    struct load *x = load_of(l, p->node, p->boot, clock_mono_us(d->clock));
    if (x) {
        x->seen_us = clock_mono_us(d->clock);
        if (l->first_us == 0)
            l->first_us = x->seen_us;
        x->clock_ms = p->clock_ms;
        if (p->loads)
            keep_numbers(x, p->loads, &text);
    }
    pthread_mutex_unlock(&l->lock);
    return x ? RC_OK : fail(e, RC_BUSY, RESP_GENERIC, "more than %d nodes", LOADS_MAX);
}

/* Nodes are expected to pulse since the first of them did: before, this process has just started, or is one that no node knows. */
void loads_heard(struct loads *l, view name, int64_t now_us, struct load_heard *out)
{
    *out = (struct load_heard){ .users = -1, .queue = -1 };
    pthread_mutex_lock(&l->lock);
    int64_t last_us = l->first_us;
    for (size_t i = 0; i < l->n; i++) {
        const struct load *x = &l->items[i];
        if (!view_eq(name, view_of(x->name)))
            continue;
        last_us = x->seen_us > last_us ? x->seen_us : last_us;
        if (x->users > out->users) /* each process counts all of the node's */
            out->users = x->users;
        if (x->queue >= 0 && !silent(x, now_us)) /* and its own queue */
            out->queue = (out->queue < 0 ? 0 : out->queue) + x->queue;
    }
    if (l->first_us != 0)
        out->silent_ms = (now_us - last_us) / 1000;
    pthread_mutex_unlock(&l->lock);
}

/* ---- what it hears ---- */

struct refusals {
    struct buf *out;
    bool any;
};

static void put_refusal(void *arg, int64_t uid, int64_t until_s)
{
    struct refusals *r = arg;
    if (r->any)
        buf_addc(r->out, ',');
    r->any = true;
    news_put_refusal(r->out, 0, uid, until_s);
}

static rc put_refusals(struct request *rq, struct buf *out, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct refusals r = { .out = out };
    return directory_refusals(w->d, w->session, put_refusal, &r, e);
}

/* What was decided about this node; with a full pulse alone, since it costs a look into the backend. */
static rc put_state(struct request *rq, const struct pulse *p, struct buf *out, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct node_entry n;
    rc r = node_get(w->session, p->node, rq->arena, &n, e);
    if (r != RC_OK && r != RC_NOT_FOUND)
        return r;
    buf_addf(out, ",\"state\":\"%s\"", r == RC_OK ? node_state_name(n.state) : "unknown");
    return RC_OK;
}

rc internal_pulse(struct request *rq, struct err *e)
{
    static const char *const members[] = { "node", "boot", "heard", "cursor", "clock", "loads", NULL };
    const struct directory *d = rq->app;
    struct news *news = d->internal->news;
    SCOPED(json_decref) json_t *body = NULL;
    SCOPED(buf_done) struct buf told = { 0 };
    struct pulse p;
    int64_t cursor;
    bool more;

    TRY(internal_body(rq, members, &body, e));
    TRY(read_pulse(rq, body, &p, e));
    TRY(keep_load(rq, &p, e));
    /* First the cursor, then the backend: what happens in between is told twice rather than never. */
    bool known = news_since(news, NEWS_FOR_NODES, p.heard, p.cursor, &told, &cursor, &more);
    if (!known)
        TRY(put_refusals(rq, &told, e));
    struct buf *b = reply_body(rq);
    buf_addf(b, "{\"boot\":\"%s\",\"cursor\":%" PRId64, news_boot(news), cursor);
    if (p.loads)
        TRY(put_state(rq, &p, b, e));
    if (!known)
        buf_add(b, VIEW(",\"all\":true"));
    if (more)
        buf_add(b, VIEW(",\"more\":true"));
    buf_add(b, VIEW(",\"news\":["));
    buf_add(b, buf_view(&told));
    buf_add(b, VIEW("]}"));
    return RC_OK;
}

/* ---- what a balancer hears ---- */

/* ?boot=&cursor= as the last answer had them. Without the refusals of the past: no route depends on them. */
rc internal_news_get(struct request *rq, struct err *e)
{
    const struct directory *d = rq->app;
    struct news *news = d->internal->news;
    const struct query_arg *boot = request_arg(rq, "boot"), *from = request_arg(rq, "cursor");
    SCOPED(buf_done) struct buf told = { 0 };
    uint64_t seen = 0;
    int64_t cursor;
    bool more;
    if (from && !view_to_u64(from->value, INT64_MAX, &seen))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "cursor must be a number");
    bool known = news_since(news, NEWS_FOR_BALANCERS, boot ? boot->value : VIEW(""), (int64_t)seen, &told,
                            &cursor, &more);
    struct buf *b = reply_body(rq);
    buf_addf(b, "{\"boot\":\"%s\",\"cursor\":%" PRId64 "%s%s,\"news\":[", news_boot(news), cursor,
             known ? "" : ",\"all\":true", more ? ",\"more\":true" : "");
    buf_add(b, buf_view(&told));
    buf_add(b, VIEW("]}"));
    return RC_OK;
}

/* ---- what the admin sees of it ---- */

rc internal_loads(struct request *rq, struct err *e)
{
    const struct directory *d = rq->app;
    struct loads *l = d->internal->loads;
    struct buf *b = reply_body(rq);
    int64_t now_us = clock_mono_us(d->clock);
    (void)e;
    reply_type(rq, "application/x-ndjson");
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < l->n; i++) {
        const struct load *x = &l->items[i];
        buf_add(b, VIEW("{\"node\":"));
        json_put_string(b, view_of(x->name));
        buf_add(b, VIEW(",\"boot\":"));
        json_put_string(b, view_of(x->boot));
        buf_addf(b, ",\"age_ms\":%" PRId64 ",\"clock\":%" PRId64 ",\"loads\":%s}\n",
                 (now_us - x->seen_us) / 1000, x->clock_ms, x->text[0] ? x->text : "{}");
    }
    pthread_mutex_unlock(&l->lock);
    return RC_OK;
}
