#include "node/confirm.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/metrics.h"
#include "node/background.h"
#include "node/step.h"

#define BREATH_MS   10   /* between two pages: the directory has other things to do */
#define RETRY_MS    1000 /* after a question without an answer */
#define DOUBT_MS    5000 /* before those in doubt are asked about again */
#define ARENA_BYTES ((size_t)8 << 20)
#define LEFT_ID     VIEW("directory") /* what a head remembers as the move that took the user away */

/* ---- sets of uids ---- */

struct uid_set {
    int64_t *slots; /* uid + 1; 0: free. Linear probing; nothing is ever taken out alone */
    size_t n, room; /* room: a power of two */
};

static size_t uid_slot(const struct uid_set *s, int64_t uid)
{
    size_t i = (size_t)((uint64_t)uid * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (s->room - 1);
    while (s->slots[i] != 0 && s->slots[i] != uid + 1)
        i = (i + 1) & (s->room - 1);
    return i;
}

static bool uid_set_has(const struct uid_set *s, int64_t uid)
{
    return s->n > 0 && s->slots[uid_slot(s, uid)] != 0;
}

static void uid_set_add(struct uid_set *s, int64_t uid)
{
    if (2 * (s->n + 1) > s->room) {
        struct uid_set wider = { .room = s->room ? 2 * s->room : 64 };
        wider.slots = mem_need(calloc(wider.room, sizeof(*wider.slots)));
        for (size_t i = 0; i < s->room; i++)
            if (s->slots[i] != 0)
                wider.slots[uid_slot(&wider, s->slots[i] - 1)] = s->slots[i];
        wider.n = s->n;
        free(s->slots);
        *s = wider;
    }
    size_t i = uid_slot(s, uid);
    s->n += s->slots[i] == 0;
    s->slots[i] = uid + 1;
}

static void uid_set_clear(struct uid_set *s)
{
    free(s->slots);
    *s = (struct uid_set){ .n = 0 };
}

/* ---- state ---- */

struct confirm {
    struct confirm_options o;
    metric left;
    atomic_bool done; /* everybody: nothing below matters any more */
    struct background background;

    pthread_mutex_t lock; /* of all below; nothing is asked while it is held */
    pthread_cond_t changed;
    bool told_lenient, told_away;
    int64_t upto;            /* all heads up to this uid are confirmed but those in doubt; -1: none yet */
    struct uid_set early;    /* above it, and confirmed already */
    struct uid_set doubtful; /* the directory knows a lower epoch of them than we do */
    struct confirm_progress progress;
};

bool confirm_knows(struct confirm *c, int64_t uid)
{
    if (!c || atomic_load_explicit(&c->done, memory_order_acquire))
        return true;
    pthread_mutex_lock(&c->lock);
    bool yes = (uid <= c->upto || uid_set_has(&c->early, uid)) && !uid_set_has(&c->doubtful, uid);
    pthread_mutex_unlock(&c->lock);
    return yes;
}

static void note_early(struct confirm *c, int64_t uid)
{
    pthread_mutex_lock(&c->lock);
    if (uid > c->upto)
        uid_set_add(&c->early, uid);
    pthread_mutex_unlock(&c->lock);
}

/* One by one: what was done of an answer counts, also where the rest of it fails and is asked again. */
static void note_left(struct confirm *c)
{
    metric_add(c->left, 1);
    pthread_mutex_lock(&c->lock);
    c->progress.left++;
    pthread_mutex_unlock(&c->lock);
}

static void note_answer(struct confirm *c, size_t asked)
{
    pthread_mutex_lock(&c->lock);
    c->progress.asked += asked;
    c->told_away = false;
    pthread_mutex_unlock(&c->lock);
}

/* ---- one question ---- */

/* Heads that serve, or will when a move is undone. Others are confirmed by what brought them into their state. */
static bool serves(const struct head *h)
{
    return h->state == HEAD_ACTIVE || h->state == HEAD_FROZEN;
}

/* Heads, and what the directory says of them. */
struct page {
    const struct head_info *heads; /* by uid */
    size_t n, asked;
    int64_t *doubts; /* those of a higher epoch than the directory knows; in the arena */
    size_t n_doubts;
};

static int64_t epoch_here(const struct page *p, int64_t uid)
{
    for (size_t low = 0, high = p->n; low < high;) {
        size_t mid = low + (high - low) / 2;
        const struct head *h = &p->heads[mid].head;
        if (h->uid == uid)
            return serves(h) ? h->epoch : -1;
        *(h->uid < uid ? &low : &high) = h->uid < uid ? mid + 1 : mid;
    }
    return -1;
}

/* One who has left, by the directory's account. */
static rc act_on(struct confirm *c, const struct sync_worker *w, struct page *p, const json_t *pair,
                 struct arena *a, struct err *e)
{
    const json_t *uid_j = json_array_get(pair, 0), *epoch_j = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_integer(uid_j) || !json_is_integer(epoch_j))
        return fail(e, RC_AWAY, RESP_GENERIC, "an answer about owners that makes no sense");
    int64_t uid = json_integer_value(uid_j), epoch = json_integer_value(epoch_j);
    int64_t here = epoch_here(p, uid);
    if (here < 0)
        return fail(e, RC_AWAY, RESP_GENERIC, "an answer about uid %lld, of whom nobody asked",
                    (long long)uid);
    if (epoch < here && p->n_doubts < p->n) {
        p->doubts[p->n_doubts++] = uid;
        return RC_OK;
    }
    const struct move m = { .uid = uid, .id = LEFT_ID, .epoch = epoch };
    rc r = node_step(w, &m, STEP_LEAVE, NULL, a, NULL, e);
    if (r ==
        RC_CONFLICT) /* a step of a move came between: the question was about another head than there is now */
        return fail(e, RC_AWAY, RESP_GENERIC, "uid %lld changed while he was asked about", (long long)uid);
    TRY(r);
    note_left(c);
    LOG(LOG_WARN, "a user has left this node without its knowing", LOG_I("uid", uid), LOG_I("epoch", here),
        LOG_I("epoch_there", epoch));
    return RC_OK;
}

/* Those whom no account knows any more. An older directory names none. */
static rc void_tokens(struct confirm *c, const struct page *p, const json_t *answer, struct err *e)
{
    const json_t *nobody = json_object_get(answer, "nobody"), *until = json_object_get(answer, "until");
    const json_t *uid;
    size_t i;

    if (!nobody)
        return RC_OK;
    if (!json_is_array(nobody) || !json_is_integer(until))
        return fail(e, RC_AWAY, RESP_GENERIC, "an answer about owners that makes no sense");
    json_array_foreach (nobody, i, uid) {
        if (!json_is_integer(uid) || epoch_here(p, json_integer_value(uid)) < 0)
            return fail(e, RC_AWAY, RESP_GENERIC, "an answer about somebody of whom nobody asked");
        c->o.nobody(c->o.nobody_arg, json_integer_value(uid), json_integer_value(until));
    }
    if (json_array_size(nobody) > 0)
        LOG(LOG_INFO, "data are here of users whom no account knows any more: their tokens are refused",
            LOG_I("users", (int64_t)json_array_size(nobody)),
            LOG_I("one_of_them", json_integer_value(json_array_get(nobody, 0))));
    return RC_OK;
}

/* RC_AWAY: nobody knows. What could be acted on was. */
static rc ask(struct confirm *c, const struct sync_worker *w, struct page *p, struct arena *a, struct err *e)
{
    SCOPED(buf_done) struct buf body = { 0 };
    SCOPED(json_decref) json_t *answer = NULL;
    const json_t *pair;
    size_t i;

    p->doubts = arena_alloc(a, p->n * sizeof(*p->doubts));
    buf_add(&body, VIEW("{\"heads\":["));
    for (i = 0; i < p->n; i++) {
        const struct head *h = &p->heads[i].head;
        if (serves(h))
            buf_addf(&body, "%s[%" PRId64 ",%" PRId64 "]", p->asked++ ? "," : "", h->uid, h->epoch);
    }
    if (p->asked == 0)
        return RC_OK;
    buf_add(&body, VIEW("]}"));
    TRY(c->o.owners(c->o.arg, buf_view(&body), &answer, e));
    const json_t *left = json_object_get(answer, "left");
    if (!json_is_array(left))
        return fail(e, RC_AWAY, RESP_GENERIC, "an answer about owners that makes no sense");
    json_array_foreach (left, i, pair)
        TRY(act_on(c, w, p, pair, a, e));
    TRY(void_tokens(c, p, answer, e));
    note_answer(c, p->asked);
    return RC_OK;
}

/* *out_doubt: the directory knows less of him than we do. */
static rc ask_about_one(struct confirm *c, const struct sync_worker *w, int64_t uid, struct arena *a,
                        bool *out_doubt, struct err *e)
{
    struct head_info one = { .move = VIEW_NONE };
    struct page p = { .heads = &one, .n = 1 };
    TRY(store_head_read(w->store, uid, a, &one.head, e));
    TRY(ask(c, w, &p, a, e));
    *out_doubt = p.n_doubts > 0;
    return RC_OK;
}

/* ---- a user who comes before his turn ---- */

static void tell_lenient(struct confirm *c, const char *why)
{
    pthread_mutex_lock(&c->lock);
    bool tell = !c->told_lenient;
    c->told_lenient = true;
    pthread_mutex_unlock(&c->lock);
    if (tell)
        LOG(LOG_WARN,
            "users are served whom no directory has confirmed since the start (node.confirm_heads = lenient)",
            LOG_S("why", why));
}

rc confirm_user(struct confirm *c, const struct sync_worker *w, int64_t uid, struct arena *a, struct err *e)
{
    struct err why = ERR_NONE;
    bool doubt = false;

    if (confirm_knows(c, uid))
        return RC_OK;
    rc r = ask_about_one(c, w, uid, a, &doubt, &why);
    if (r == RC_OK && !doubt) {
        note_early(c, uid);
        return RC_OK;
    }
    const char *text = doubt ? "the directory knows an older epoch of him than we do" : why.text;
    if (c->o.lenient) {
        tell_lenient(c, text);
        return RC_OK;
    }
    return fail(e, RC_AWAY, RESP_GENERIC, "uid %lld is not confirmed since the start: %s", (long long)uid,
                text);
}

/* ---- the background ---- */

static void note_failure(struct confirm *c, const struct err *why)
{
    pthread_mutex_lock(&c->lock);
    bool tell = !c->told_away;
    c->told_away = true;
    pthread_mutex_unlock(&c->lock);
    if (tell)
        LOG(LOG_WARN, "heads cannot be confirmed yet", LOG_S("why", why->text),
            LOG_S("until_then", c->o.lenient ? "served" : "503"));
}

/* The next page. *out_end: that was all. */
static rc next_page(struct confirm *c, const struct sync_worker *w, struct arena *a, bool *out_end,
                    struct err *e)
{
    struct page p = { .n = 0 };
    TRY(store_heads_list(w->store, c->upto, CONFIRM_PAGE, a, &p.heads, &p.n, e));
    TRY(ask(c, w, &p, a, e));
    *out_end = p.n < CONFIRM_PAGE;
    pthread_mutex_lock(&c->lock);
    c->upto = *out_end ? INT64_MAX : p.heads[p.n - 1].head.uid; /* this thread alone changes it */
    for (size_t i = 0; i < p.n_doubts; i++)
        uid_set_add(&c->doubtful, p.doubts[i]);
    c->progress.doubtful = c->doubtful.n;
    if (*out_end)
        uid_set_clear(&c->early);
    pthread_mutex_unlock(&c->lock);
    return RC_OK;
}

/* Once more about all in doubt; who still is stays in it. Afterwards this thread alone touches the set. */
static rc doubts_again(struct confirm *c, const struct sync_worker *w, struct arena *a, bool *out_end,
                       struct err *e)
{
    struct uid_set still = { .n = 0 };
    rc r = RC_OK;

    for (size_t i = 0; i < c->doubtful.room && r == RC_OK; i++) {
        int64_t uid = c->doubtful.slots[i] - 1;
        bool doubt = false;
        if (uid < 0)
            continue;
        arena_reset(a);
        r = ask_about_one(c, w, uid, a, &doubt, e);
        if (doubt)
            uid_set_add(&still, uid);
    }
    if (r != RC_OK) {
        uid_set_clear(&still);
        return r;
    }
    *out_end = still.n == 0;
    pthread_mutex_lock(&c->lock);
    struct uid_set before = c->doubtful;
    c->doubtful = still;
    c->progress.doubtful = still.n;
    pthread_mutex_unlock(&c->lock);
    uid_set_clear(&before);
    return RC_OK;
}

/* The thread's own ways to store and cache; opened anew for each round, as an idle one would be cut by the database. */
static rc worker_open(struct confirm *c, struct sync_worker *w, struct err *e)
{
    TRY(store_session_open(c->o.store, false, &w->store, e));
    rc r = cache_handle_open(c->o.cache, &w->cache, e);
    if (r != RC_OK)
        store_session_close(w->store);
    return r;
}

/* Pages until all are asked about, or one fails. */
static rc pages(struct confirm *c, bool *out_end, struct err *e)
{
    struct sync_worker w = { .sync = NULL };
    SCOPED(arena_done) struct arena a;
    rc r;

    TRY(worker_open(c, &w, e));
    arena_init(&a, ARENA_BYTES);
    do {
        arena_reset(&a);
        r = next_page(c, &w, &a, out_end, e);
    } while (r == RC_OK && !*out_end && background_rest(&c->background, BREATH_MS));
    cache_handle_close(w.cache);
    store_session_close(w.store);
    return r;
}

static rc doubts_round(struct confirm *c, bool *out_end, struct err *e)
{
    struct sync_worker w = { .sync = NULL };
    SCOPED(arena_done) struct arena a;

    TRY(worker_open(c, &w, e));
    arena_init(&a, ARENA_BYTES);
    rc r = doubts_again(c, &w, &a, out_end, e);
    cache_handle_close(w.cache);
    store_session_close(w.store);
    return r;
}

static bool in_doubt(const struct confirm *c)
{
    int64_t one = -1;
    for (size_t i = 0; i < c->doubtful.room && one < 0; i++)
        one = c->doubtful.slots[i] - 1;
    if (one < 0)
        return false;
    LOG(LOG_ERROR,
        "the directory knows older epochs of some users than we do: was it restored from an old copy?",
        LOG_I("users", (int64_t)c->doubtful.n), LOG_I("one_of_them", one));
    return true;
}

static void *run(void *arg)
{
    struct confirm *c = arg;
    bool end = false;

    do {
        struct err e = ERR_NONE;
        if (pages(c, &end, &e) != RC_OK)
            note_failure(c, &e);
    } while (!end && background_rest(&c->background, RETRY_MS));
    if (end && in_doubt(c))
        for (end = false; !end && background_rest(&c->background, DOUBT_MS);) {
            struct err e = ERR_NONE;
            if (doubts_round(c, &end, &e) != RC_OK)
                note_failure(c, &e);
        }
    if (!end)
        return NULL;
    pthread_mutex_lock(&c->lock);
    c->progress.done = true;
    const struct confirm_progress p = c->progress;
    atomic_store_explicit(&c->done, true, memory_order_release);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    LOG(LOG_INFO, "the directory has confirmed who lives here", LOG_I("heads", (int64_t)p.asked),
        LOG_I("left", (int64_t)p.left));
    return NULL;
}

/* ---- life ---- */

rc confirm_start(const struct confirm_options *o, struct confirm **out, struct err *e)
{
    struct confirm *c = mem_need(calloc(1, sizeof(*c)));

    c->o = *o;
    c->upto = -1;
    c->left = metric_counter("heddle_heads_left_total", NULL,
                             "Users of whom the directory said after a start that they have left.");
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    rc r = background_start(&c->background, "confirm heads", run, c, e);
    if (r != RC_OK) {
        confirm_stop(c);
        return r;
    }
    *out = c;
    return RC_OK;
}

void confirm_stop(struct confirm *c)
{
    if (!c)
        return;
    background_stop(&c->background);
    uid_set_clear(&c->early);
    uid_set_clear(&c->doubtful);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void confirm_progress(struct confirm *c, struct confirm_progress *out)
{
    *out = (struct confirm_progress){ .done = true };
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    *out = c->progress;
    pthread_mutex_unlock(&c->lock);
}

void confirm_await(struct confirm *c)
{
    pthread_mutex_lock(&c->lock);
    while (!c->progress.done)
        pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
}
