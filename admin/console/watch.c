/* One picture of the nodes for everybody who looks, and an hour of it for the lines: a thread takes one every half a minute, and pages
 * take a fresh one when theirs is two seconds old. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "admin/console/inside.h"
#include "common/base/log.h"
#include "common/base/mem.h"

enum { FRESH_MS = 2000, EVERY_S = 30, NODES_MOST = 512, SILENT_MS = 10000 };

struct history {
    char name[256];
    struct series of;
};

struct watch {
    const struct admin_conf *conf;
    const struct clock *clock;
    pthread_t thread;
    pthread_mutex_t taking; /* whoever takes a picture; taken before lock */
    struct ask *ask;        /* under `taking` */
    pthread_mutex_t lock;   /* of what is below */
    pthread_cond_t changed;
    bool stopping;
    json_t *nodes; /* NULL: none yet */
    int64_t taken_ms, kept_ms;
    struct history *histories;
    size_t n;
};

static int64_t now_ms(const struct watch *w)
{
    return clock_mono_us(w->clock) / 1000;
}

/* ---- taking one ---- */

static rc list_nodes(struct watch *w, json_t **out, struct err *e)
{
    char list[] = "list", node[] = "node", *argv[] = { node, list, NULL }, *text = NULL, *wrong = NULL;
    size_t n = 0, wrong_n = 0;
    FILE *to = mem_need(open_memstream(&text, &n)), *complain = mem_need(open_memstream(&wrong, &wrong_n));
    int status = commands_call(
        &(struct command_call){ .conf = w->conf, .ask = w->ask, .out = to, .wrong = complain }, 2, argv);
    fclose(to);
    fclose(complain);
    rc r = status == EXIT_DONE ? RC_OK
                               : fail(e, RC_AWAY, RESP_GENERIC, "%.*s", (int)strcspn(wrong, "\n"), wrong);
    json_t *rows = mem_need(json_array());
    view rest = { .p = text, .n = n }, line;
    while (r == RC_OK && rest.n > 0 && view_cut(&rest, '\n', &line)) {
        json_t *o = NULL;
        r = line.n > 0 ? json_read(line, 8, JSON_READ_PLAIN, &o, e) : RC_OK;
        if (o)
            json_array_append_new(rows, o);
    }
    free(text);
    free(wrong);
    if (r == RC_OK)
        *out = rows;
    else
        json_decref(rows);
    return r;
}

/* A node that tells no directory how it is (that of the one box) is asked itself. */
static void ask_itself(struct watch *w, json_t *row)
{
    static const char *const same[] = { "bytes", "disk_free", "rps", "latency_ms", "queue", "maintenance" };
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    SCOPED(json_decref) json_t *status = NULL;
    struct err e = ERR_NONE;
    if (ask_node(w->ask, member(row, "name"), "GET", "status", VIEW_NONE, &answer, &e) != RC_OK ||
        ask_object(&answer, &status, &e) != RC_OK) {
        json_object_set_new(row, "why", json_string(e.text));
        return;
    }
    json_t *load = mem_need(json_object());
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        if (json_object_get(status, same[i]))
            json_object_set(load, same[i], json_object_get(status, same[i]));
    if (json_object_get(json_object_get(status, "heads"), "active"))
        json_object_set(load, "users", json_object_get(json_object_get(status, "heads"), "active"));
    json_object_set_new(load, "age_ms", json_integer(0));
    json_object_set_new(row, "load", load);
}

/* "good", "silent": nobody has heard of it lately; "unknown": ever. */
static void judge(json_t *row)
{
    const json_t *load = json_object_get(row, "load");
    const char *word = !load ? "unknown" : member_number(load, "age_ms") > SILENT_MS ? "silent" : "good";
    json_object_set_new(row, "health", json_string(word));
}

/* ---- an hour ---- */

static struct history *history_of(struct watch *w, view name)
{
    for (size_t i = 0; i < w->n; i++)
        if (view_eq(view_of(w->histories[i].name), name))
            return &w->histories[i];
    if (w->n == NODES_MOST || name.n >= sizeof(w->histories[0].name))
        return NULL;
    w->histories = mem_need(reallocarray(w->histories, w->n + 1, sizeof(*w->histories)));
    struct history *h = &w->histories[w->n++];
    *h = (struct history){ .of.n = 0 };
    memcpy(h->name, name.p, name.n);
    return h;
}

static void add_point(struct series *s, const json_t *load)
{
    if (s->n == WATCH_POINTS) {
        s->n--;
        memmove(s->users, s->users + 1, s->n * sizeof(double));
        memmove(s->bytes, s->bytes + 1, s->n * sizeof(double));
        memmove(s->rps, s->rps + 1, s->n * sizeof(double));
        memmove(s->latency_ms, s->latency_ms + 1, s->n * sizeof(double));
    }
    s->users[s->n] = json_member_real(load, "users");
    s->bytes[s->n] = json_member_real(load, "bytes");
    s->rps[s->n] = json_member_real(load, "rps");
    s->latency_ms[s->n] = json_member_real(load, "latency_ms");
    s->n++;
}

static void keep(struct watch *w, json_t *rows)
{
    json_t *row;
    size_t i;
    int64_t now = now_ms(w);
    pthread_mutex_lock(&w->lock);
    json_decref(w->nodes);
    w->nodes = rows;
    w->taken_ms = now;
    bool due = w->kept_ms == 0 || now - w->kept_ms >= EVERY_S * 1000;
    if (due)
        w->kept_ms = now;
    json_array_foreach (rows, i, row) {
        struct history *h = due ? history_of(w, member(row, "name")) : NULL;
        if (h)
            add_point(&h->of, json_object_get(row, "load"));
    }
    pthread_mutex_unlock(&w->lock);
}

static rc take(struct watch *w, struct err *e)
{
    json_t *rows = NULL, *row;
    size_t i;
    TRY(list_nodes(w, &rows, e));
    json_array_foreach (rows, i, row) {
        if (!json_object_get(row, "load") && json_array_size(rows) == 1)
            ask_itself(w, row);
        judge(row);
    }
    keep(w, rows);
    return RC_OK;
}

/* ---- for pages ---- */

/* The lock is held. For the caller alone: jansson looks at a count of references before it adds to it, which is a race. */
static json_t *copy_of_nodes(const struct watch *w)
{
    return mem_need(json_deep_copy(w->nodes));
}

static bool fresh_one(struct watch *w, json_t **out)
{
    pthread_mutex_lock(&w->lock);
    bool fresh = w->nodes && now_ms(w) - w->taken_ms < FRESH_MS;
    if (fresh)
        *out = copy_of_nodes(w);
    pthread_mutex_unlock(&w->lock);
    return fresh;
}

rc watch_nodes(struct watch *w, json_t **out, struct err *e)
{
    rc r = RC_OK;
    if (fresh_one(w, out))
        return RC_OK;
    pthread_mutex_lock(&w->taking);
    if (!fresh_one(w, out)) {
        r = take(w, e);
        if (r == RC_OK) {
            pthread_mutex_lock(&w->lock);
            *out = copy_of_nodes(w);
            pthread_mutex_unlock(&w->lock);
        }
    }
    pthread_mutex_unlock(&w->taking);
    return r;
}

void watch_series(struct watch *w, view node, struct series *out)
{
    out->n = 0;
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->n; i++)
        if (view_eq(view_of(w->histories[i].name), node))
            *out = w->histories[i].of;
    pthread_mutex_unlock(&w->lock);
}

/* ---- life ---- */

static bool rest(struct watch *w)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += EVERY_S;
    pthread_mutex_lock(&w->lock);
    while (!w->stopping)
        if (pthread_cond_timedwait(&w->changed, &w->lock, &until) == ETIMEDOUT)
            break;
    bool go = !w->stopping;
    pthread_mutex_unlock(&w->lock);
    return go;
}

static void *run(void *arg)
{
    struct watch *w = arg;
    while (rest(w)) {
        struct err e = ERR_NONE;
        SCOPED(json_decref) json_t *nodes = NULL;
        if (watch_nodes(w, &nodes, &e) != RC_OK)
            LOG(LOG_WARN, "no picture of the nodes", LOG_S("why", e.text));
    }
    return NULL;
}

static void release(struct watch *w)
{
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    pthread_mutex_destroy(&w->taking);
    ask_free(w->ask);
    json_decref(w->nodes);
    free(w->histories);
    free(w);
}

rc watch_open(const struct admin_conf *c, const struct clock *clock, struct watch **out, struct err *e)
{
    struct watch *w = mem_need(calloc(1, sizeof(*w)));
    w->conf = c;
    w->clock = clock;
    pthread_mutex_init(&w->taking, NULL);
    pthread_mutex_init(&w->lock, NULL);
    clock_cond_init(&w->changed);
    rc r = ask_new(c, &w->ask, e);
    if (r == RC_OK && pthread_create(&w->thread, NULL, run, w) != 0)
        r = fail(e, RC_BROKEN, RESP_GENERIC, "no thread for watching the nodes");
    if (r != RC_OK) {
        release(w);
        return r;
    }
    *out = w;
    return RC_OK;
}

void watch_close(struct watch *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    release(w);
}
