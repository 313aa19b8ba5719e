#include "node/pulse.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/metrics.h"
#include "common/base/rand.h"

enum { BOOT_BYTES = 8, BOOT_TEXT = 64, TIMEOUT_MS = 3000 };

/* What we know of one directory; its thread's own, but for the last two. */
struct ear {
    struct pulse *pulse;
    size_t i;
    char boot[BOOT_TEXT + 1]; /* the directory's life that cursor belongs to; "": none yet */
    int64_t cursor;
    int64_t loads_at_us; /* when to bring them again */
    pthread_t thread;
    bool hears, tried; /* under the lock: its last answer was good; there was a first try */
    char state[32];    /* under the lock: what was decided about us; "": it has not said */
};

struct pulse {
    struct pulse_options o;
    char *name;
    char boot[2 * BOOT_BYTES + 1]; /* of this life of ours */
    struct ear *ears;
    size_t n, n_started;

    pthread_mutex_t lock; /* of what follows, and of each ear's hears, tried and state */
    pthread_cond_t changed;
    bool stopping, down;
};

/* ---- acting ---- */

static bool read_uid(const json_t *item, int64_t *out)
{
    const json_t *uid = json_object_get(item, "uid");
    *out = json_integer_value(uid);
    return json_is_integer(uid) && *out > 0;
}

static bool act_on(const json_t *item, struct authority *a)
{
    view what = json_text(json_object_get(item, "what"));
    view name = json_text(json_object_get(item, "name"));
    const json_t *until = json_object_get(item, "until");
    int64_t uid;

    if (view_eq(what, VIEW("forget")) && name.n > 0) {
        authority_forget(a, name);
        return true;
    }
    if (view_eq(what, VIEW("refuse")) && read_uid(item, &uid) && json_is_integer(until)) {
        authority_refuse(a, uid, json_integer_value(until));
        return true;
    }
    if (view_eq(what, VIEW("allow")) && read_uid(item, &uid)) {
        authority_allow(a, uid);
        return true;
    }
    return false;
}

rc pulse_act(const json_t *answer, struct authority *a, char boot[BOOT_TEXT + 1], int64_t *cursor,
             bool *out_more, struct err *e)
{
    view life = json_text(json_object_get(answer, "boot"));
    const json_t *at = json_object_get(answer, "cursor"), *news = json_object_get(answer, "news");
    const json_t *item;
    size_t i;
    bool all = json_is_true(json_object_get(answer, "all"));

    if (life.n == 0 || life.n > BOOT_TEXT || !json_is_integer(at) || json_integer_value(at) < 0 ||
        !json_is_array(news))
        return fail(e, RC_BROKEN, RESP_GENERIC, "an answer to the pulse that makes no sense");
    if (!all && !view_eq(life, view_of(boot)))
        return fail(e, RC_BROKEN, RESP_GENERIC, "news of a life of the directory that we do not know");
    if (all)
        authority_forget_all(a);
    json_array_foreach (news, i, item)
        if (!act_on(item, a)) /* of a newer directory, perhaps: the safe side of it */
            authority_forget_all(a);
    memcpy(boot, life.p, life.n);
    boot[life.n] = '\0';
    *cursor = json_integer_value(at);
    *out_more = json_is_true(json_object_get(answer, "more"));
    return RC_OK;
}

/* ---- one question ---- */

static void put_question(struct ear *x, bool with_loads, struct buf *b)
{
    const struct pulse *p = x->pulse;
    buf_add(b, VIEW("{\"node\":"));
    json_put_string(b, view_of(p->name));
    buf_addf(b, ",\"boot\":\"%s\",\"heard\":", p->boot);
    json_put_string(b, view_of(x->boot));
    buf_addf(b, ",\"cursor\":%" PRId64 ",\"clock\":%" PRId64, x->cursor, clock_now_us(p->o.clock) / 1000);
    if (with_loads) {
        buf_add(b, VIEW(",\"loads\":"));
        p->o.loads(p->o.arg, b);
    }
    buf_addc(b, '}');
}

/* Down where all who are heard and say anything say so: a directory that reads from a copy that is behind may not know yet, or no longer.
 * While none is heard it stays what it was. The lock is held. */
static void weigh_states(struct pulse *p)
{
    size_t say = 0, say_down = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (!p->ears[i].hears || !p->ears[i].state[0])
            continue;
        say++;
        say_down += strcmp(p->ears[i].state, "down") == 0;
    }
    if (say == 0 || (say_down == say) == p->down)
        return;
    p->down = say_down == say;
    if (p->o.decided)
        p->o.decided(p->o.arg, p->down);
}

static void note_state(struct ear *x, const json_t *answer)
{
    struct pulse *p = x->pulse;
    view state = json_text(json_object_get(answer, "state"));
    if (state.n == 0 || state.n >= sizeof(x->state))
        return;
    pthread_mutex_lock(&p->lock);
    bool news = !view_eq(state, view_of(x->state));
    if (news) {
        memcpy(x->state, state.p, state.n);
        x->state[state.n] = '\0';
    }
    pthread_mutex_unlock(&p->lock);
    if (news)
        LOG(view_eq(state, VIEW("open")) ? LOG_INFO : LOG_WARN,
            "what the directory has decided about this node", LOG_V("state", state),
            LOG_S("directory", remote_address(p->o.remote, x->i)));
}

static rc ask(struct ear *x, bool *out_more, struct err *e)
{
    struct pulse *p = x->pulse;
    SCOPED(json_decref) json_t *answer = NULL;
    SCOPED(buf_done) struct buf body = { 0 };
    int64_t now = clock_mono_us(p->o.clock);
    bool with_loads = now >= x->loads_at_us;
    char life[BOOT_TEXT + 1];

    put_question(x, with_loads, &body);
    TRY(remote_call(p->o.remote, x->i, "pulse", buf_view(&body), TIMEOUT_MS, &answer, e));
    memcpy(life, x->boot, sizeof(life));
    TRY(pulse_act(answer, p->o.authority, x->boot, &x->cursor, out_more, e));
    note_state(x, answer);
    if (with_loads)
        x->loads_at_us = now + PULSE_LOADS_US;
    if (strcmp(life, x->boot) != 0 && !with_loads)
        x->loads_at_us = INT64_MIN; /* it was started anew and knows nothing of us */
    return RC_OK;
}

/* ---- who is heard ---- */

static size_t count(const struct pulse *p) /* the lock is held */
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += p->ears[i].hears;
    return n;
}

size_t pulse_heard(struct pulse *p)
{
    pthread_mutex_lock(&p->lock);
    size_t n = count(p);
    pthread_mutex_unlock(&p->lock);
    return n;
}

static double gauge(void *arg)
{
    return (double)pulse_heard(arg);
}

static void note(struct ear *x, bool hears, const struct err *why)
{
    struct pulse *p = x->pulse;
    const char *address = remote_address(p->o.remote, x->i);

    pthread_mutex_lock(&p->lock);
    bool news = x->hears != hears || !x->tried;
    x->hears = hears;
    x->tried = true;
    size_t n = count(p);
    authority_hears(p->o.authority, n == p->n ? AUTHORITY_HEARS_ALL
                                    : n == 0  ? AUTHORITY_HEARS_NONE
                                              : AUTHORITY_HEARS_SOME);
    weigh_states(p);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    if (news && hears)
        LOG(LOG_INFO, "the directory is heard", LOG_S("directory", address));
    else if (news)
        LOG(LOG_WARN, "the directory is not heard", LOG_S("directory", address), LOG_S("why", why->text));
}

/* ---- life ---- */

/* false: stop. */
static bool rest(struct pulse *p, int64_t ms)
{
    const struct timespec until = clock_in_ms(ms);
    pthread_mutex_lock(&p->lock);
    while (!p->stopping && pthread_cond_timedwait(&p->changed, &p->lock, &until) != ETIMEDOUT)
        ;
    bool go = !p->stopping;
    pthread_mutex_unlock(&p->lock);
    return go;
}

static void *listen_to_one(void *arg)
{
    struct ear *x = arg;
    bool more;
    do {
        struct err e = ERR_NONE;
        more = false;
        bool hears = ask(x, &more, &e) == RC_OK;
        note(x, hears, &e);
    } while (rest(x->pulse, more ? 0 : x->pulse->o.every_ms));
    return NULL;
}

static bool all_tried(const struct pulse *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (!p->ears[i].tried)
            return false;
    return true;
}

static void await_first_answers(struct pulse *p)
{
    const struct timespec until = clock_in_ms(TIMEOUT_MS);
    pthread_mutex_lock(&p->lock);
    while (!all_tried(p) && pthread_cond_timedwait(&p->changed, &p->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&p->lock);
}

rc pulse_start(const struct pulse_options *o, struct pulse **out, struct err *e)
{
    struct pulse *p = mem_need(calloc(1, sizeof(*p)));
    uint8_t bytes[BOOT_BYTES];

    p->o = *o;
    p->name = mem_need(strndup(o->name.p, o->name.n));
    rand_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(p->boot + 2 * i, 3, "%02x", bytes[i]);
    pthread_mutex_init(&p->lock, NULL);
    clock_cond_init(&p->changed);
    p->n = remote_count(o->remote);
    p->ears = mem_need(calloc(p->n, sizeof(*p->ears)));
    authority_hears(o->authority, AUTHORITY_HEARS_NONE);
    metric_gauge("heddle_directories_heard", NULL, "Directories whose last pulse was answered.", gauge, p);
    for (size_t i = 0; i < p->n; i++)
        p->ears[i] = (struct ear){ .pulse = p, .i = i, .loads_at_us = INT64_MIN };
    for (size_t i = 0; i < p->n; i++) {
        int why = pthread_create(&p->ears[i].thread, NULL, listen_to_one, &p->ears[i]);
        if (why != 0) {
            pulse_stop(p);
            return fail(e, RC_BROKEN, RESP_GENERIC, "no thread for the pulse: %s", strerror(why));
        }
        p->n_started++;
    }
    await_first_answers(p);
    *out = p;
    return RC_OK;
}

void pulse_stop(struct pulse *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->n_started; i++)
        pthread_join(p->ears[i].thread, NULL);
    metric_gauge("heddle_directories_heard", NULL, "Directories whose last pulse was answered.", NULL, NULL);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p->ears);
    free(p->name);
    free(p);
}
