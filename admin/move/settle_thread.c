#include "admin/move/settle_thread.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "admin/move/settle.h"
#include "common/auth/secrets.h"
#include "common/base/log.h"
#include "common/base/mem.h"

enum { ERASES_MOST = 100, TIMEOUT_S = 30 };

struct settle_thread {
    struct admin_conf conf;
    char *directory[1], *key[1], *node[1];
    int64_t every_s, grace_s;
    pthread_t thread;

    pthread_mutex_t lock; /* of stopping */
    pthread_cond_t changed;
    bool stopping;
};

static void report(void *arg, const struct settle_report *r)
{
    (void)arg;
    if (r->act != SETTLE_WAITS)
        LOG(r->act == SETTLE_FAILED ? LOG_WARN : LOG_INFO, "settled", LOG_S("what", settle_act_name(r->act)),
            LOG_I("uid", r->uid), LOG_V("found", r->intent), LOG_V("node", r->node), LOG_S("why", r->text));
}

static void round_once(const struct settle_thread *t)
{
    SCOPED(ask_free) struct ask *ask = NULL;
    struct settle_counts counts;
    struct err e = ERR_NONE;
    const struct settle_rules rules = { .grace_s = t->grace_s, .most = ERASES_MOST, .report = report };
    rc r = ask_new(&t->conf, &ask, &e);
    if (r == RC_OK) {
        struct reach reach = { .ask = ask, .clock = clock_system() };
        r = settle_round(&reach, &rules, &counts, &e);
    }
    if (r != RC_OK)
        LOG(LOG_WARN, "settling put off until the next round", LOG_S("why", e.text));
}

/* false: stop. */
static bool rest(struct settle_thread *t)
{
    const struct timespec until = clock_in_ms(t->every_s * 1000);
    pthread_mutex_lock(&t->lock);
    while (!t->stopping)
        if (pthread_cond_timedwait(&t->changed, &t->lock, &until) == ETIMEDOUT)
            break;
    bool go = !t->stopping;
    pthread_mutex_unlock(&t->lock);
    return go;
}

static void *run(void *arg)
{
    struct settle_thread *t = arg;
    while (rest(t))
        round_once(t);
    return NULL;
}

static void release(struct settle_thread *t)
{
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    secret_wipe(t->key[0], strlen(t->key[0]));
    free(t->key[0]);
    free(t->directory[0]);
    free(t->node[0]);
    free(t->conf.name);
    free(t);
}

rc settle_thread_start(const struct settle_thread_options *o, struct settle_thread **out, struct err *e)
{
    struct settle_thread *t = mem_need(calloc(1, sizeof *t));
    t->directory[0] = mem_need(strdup(o->directory));
    t->key[0] = mem_need(strdup(o->key));
    t->conf = (struct admin_conf){ .directories = { .items = t->directory, .n = 1 },
                                   .key = { .items = t->key, .n = 1 },
                                   .name = mem_need(strdup(o->name)),
                                   .timeout_s = TIMEOUT_S };
    if (o->node) {
        t->node[0] = mem_need(strdup(o->node));
        t->conf.nodes = (struct conf_list){ .items = t->node, .n = 1 };
    }
    t->every_s = o->every_s;
    t->grace_s = o->grace_s;
    pthread_mutex_init(&t->lock, NULL);
    clock_cond_init(&t->changed);
    int why = pthread_create(&t->thread, NULL, run, t);
    if (why != 0) {
        release(t);
        return fail(e, RC_BROKEN, RESP_GENERIC, "no thread for settling: %s", strerror(why));
    }
    *out = t;
    return RC_OK;
}

void settle_thread_stop(struct settle_thread *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    release(t);
}
