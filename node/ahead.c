#include "node/ahead.h"

#include "common/auth/secrets.h"
#include "common/base/mem.h"
#include "node/background.h"

enum { WAITING_MOST = 64 };

struct question {
    char *text; /* the name, then the password */
    size_t name_bytes, password_bytes;
};

struct ahead {
    struct background thread; /* its lock is that of what waits, too */
    ahead_asker *ask;
    void *arg;
    struct question waiting[WAITING_MOST]; /* a ring */
    size_t first, n;
};

static void put(char *to, view v)
{
    if (v.n)
        memcpy(to, v.p, v.n);
}

static struct question question_new(view name, view password)
{
    struct question q = { .text = mem_need(malloc(name.n + password.n + 1)),
                          .name_bytes = name.n,
                          .password_bytes = password.n };
    put(q.text, name);
    put(q.text + name.n, password);
    return q;
}

static void question_done(struct question *q)
{
    secret_wipe(q->text, q->name_bytes + q->password_bytes);
    free(q->text);
}

/* The lock is held. */
static struct question take(struct ahead *h)
{
    struct question q = h->waiting[h->first];
    h->first = (h->first + 1) % WAITING_MOST;
    h->n--;
    return q;
}

/* false: stop. */
static bool next(struct ahead *h, struct question *out)
{
    struct background *t = &h->thread;
    pthread_mutex_lock(&t->lock);
    while (!t->stopping && h->n == 0)
        pthread_cond_wait(&t->changed, &t->lock);
    bool go = !t->stopping;
    if (go)
        *out = take(h);
    pthread_mutex_unlock(&t->lock);
    return go;
}

static void *ask_on(void *arg)
{
    struct ahead *h = arg;
    struct question q;
    while (next(h, &q)) {
        h->ask(h->arg, (view){ .p = q.text, .n = q.name_bytes },
               (view){ .p = q.text + q.name_bytes, .n = q.password_bytes });
        question_done(&q);
    }
    return NULL;
}

rc ahead_start(ahead_asker *ask, void *arg, struct ahead **out, struct err *e)
{
    struct ahead *h = mem_need(calloc(1, sizeof(*h)));
    h->ask = ask;
    h->arg = arg;
    rc r = background_start(&h->thread, "ask about passwords", ask_on, h, e);
    if (r == RC_OK)
        *out = h;
    else
        ahead_stop(h);
    return r;
}

void ahead_add(struct ahead *h, view name, view password)
{
    struct background *t = &h->thread;
    pthread_mutex_lock(&t->lock);
    if (h->n < WAITING_MOST && !t->stopping) {
        h->waiting[(h->first + h->n++) % WAITING_MOST] = question_new(name, password);
        pthread_cond_broadcast(&t->changed);
    }
    pthread_mutex_unlock(&t->lock);
}

void ahead_stop(struct ahead *h)
{
    if (!h)
        return;
    background_stop(&h->thread);
    while (h->n > 0) {
        struct question q = take(h);
        question_done(&q);
    }
    free(h);
}
