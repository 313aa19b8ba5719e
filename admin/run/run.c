/* A run: workers, each with a way to the cluster of its own, take moves from the plan in its order; the calling thread listens to what is
 * asked of the run, feels the nodes, and shows. One lock guards everything but the workers' calls. */
#include "admin/run/inside.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "admin/interrupt.h"
#include "common/base/json.h"
#include "common/base/mem.h"

enum {
    TICK_MS = 200,
    FEEL_EVERY_US = 1000000,
    FEEL_MS = 2000,
    BACKOFF_FIRST_S = 2,
    BACKOFF_MOST_S = 60,
    FAILURES_IN_A_ROW = 20
};

/* ---- options ---- */

json_t *run_options_json(const struct run_options *o)
{
    char window[16] = "";
    if (o->has_window)
        snprintf(window, sizeof(window), "%02d:%02d-%02d:%02d", o->window.from_min / 60 % 24,
                 o->window.from_min % 60, o->window.to_min / 60 % 24, o->window.to_min % 60);
    return mem_need(json_pack("{s:i,s:i,s:I,s:I,s:I,s:s}", "parallel", (int)o->parallel, "tries",
                              (int)o->tries, "rate", (json_int_t)o->rate, "rise", (json_int_t)o->rise,
                              "skew_s", (json_int_t)o->skew_s, "window", window));
}

static int64_t within(const json_t *o, const char *name, int64_t least, int64_t most)
{
    int64_t v = json_integer_value(json_object_get(o, name));
    return v < least ? least : v > most ? most : v;
}

void run_options_read(const json_t *json, struct run_options *out)
{
    const char *window = json_string_value(json_object_get(json, "window"));
    *out = (struct run_options){ .parallel = (unsigned)within(json, "parallel", 1, RUN_PARALLEL_MAX),
                                 .tries = (unsigned)within(json, "tries", 1, 1000),
                                 .rate = within(json, "rate", 0, INT64_MAX),
                                 .rise = within(json, "rise", 0, 100000),
                                 .skew_s = within(json, "skew_s", 0, 86400) };
    out->has_window = window && run_window_parse(window, &out->window);
}

/* ---- workers ---- */

void run_broke(struct run *r, rc why, const struct err *e)
{
    if (r->broken == RC_OK) {
        r->broken = why;
        r->broken_why = *e;
    }
    r->ending = true;
}

static bool has_ended(const struct run_move *m)
{
    return m->state == RUN_MOVE_DONE || m->state == RUN_MOVE_SKIPPED || m->state == RUN_MOVE_GIVEN_UP;
}

static bool may_begin(const struct run *r, const struct run_move *m, int64_t now)
{
    bool left = m->state == RUN_MOVE_PENDING || m->state == RUN_MOVE_FAILED;
    return left && r->state == RUN_RUNNING && m->not_before_us <= now;
}

/* All before `first` have ended: so long plans are not looked through from the beginning each time. */
static void pass_ended(struct run *r)
{
    while (r->first < r->j->n_moves && has_ended(&r->j->moves[r->first]))
        r->first++;
}

static bool all_ended(struct run *r)
{
    pass_ended(r);
    for (size_t i = r->first; i < r->j->n_moves; i++)
        if (!has_ended(&r->j->moves[i]))
            return false;
    return true;
}

static size_t next_move(struct run *r)
{
    int64_t now = clock_mono_us(r->clock);
    pass_ended(r);
    for (size_t i = r->first; i < r->j->n_moves; i++)
        if (may_begin(r, &r->j->moves[i], now))
            return i;
    return r->j->n_moves;
}

static int64_t backoff_us(unsigned tries)
{
    int64_t s = BACKOFF_FIRST_S;
    while (tries-- > 1 && s < BACKOFF_MOST_S)
        s *= 2;
    return (s < BACKOFF_MOST_S ? s : BACKOFF_MOST_S) * 1000000;
}

/* Under the lock. */
static void book(struct worker *w, rc result, const struct err *e)
{
    struct run *r = w->run;
    struct run_move *m = w->m;
    struct err why = ERR_NONE;
    const char *name;
    if (result == RC_OK) {
        m->state = RUN_MOVE_DONE;
        m->why[0] = '\0';
        name = "done";
        r->in_a_row = 0;
    } else {
        snprintf(m->why, sizeof(m->why), "%s", e->text);
        bool gone = result == RC_NOT_FOUND, ours = r->undo || r->broken != RC_OK;
        m->tries += !ours;
        m->state = gone ? RUN_MOVE_SKIPPED : m->tries >= r->o->tries ? RUN_MOVE_GIVEN_UP : RUN_MOVE_FAILED;
        m->not_before_us = clock_mono_us(r->clock) + backoff_us(m->tries);
        name = gone ? "skipped" : m->state == RUN_MOVE_GIVEN_UP ? "given up" : "failed";
        r->in_a_row += !gone && !ours;
    }
    rc written = journal_add_move(r->j, w->i, name, &why);
    if (written != RC_OK)
        run_broke(r, written, &why);
    if (r->in_a_row >= FAILURES_IN_A_ROW && r->state == RUN_RUNNING) {
        r->state = RUN_PAUSED;
        r->why = "many moves failed one after the other";
        r->in_a_row = 0;
    }
    if (r->watch->ended)
        r->watch->ended(r->watch->arg, r->j, w->i);
}

/* Waits for a move; false: none will come. Under the lock. */
static bool take_next(struct worker *w)
{
    struct run *r = w->run;
    for (;;) {
        if (r->ending || all_ended(r))
            return false;
        size_t i = next_move(r);
        if (i < r->j->n_moves) {
            w->i = i;
            w->m = &r->j->moves[i];
            w->m->state = RUN_MOVE_BEGUN;
            return true;
        }
        const struct timespec until = clock_in_ms(1000);
        pthread_cond_timedwait(&r->change, &r->lock, &until);
    }
}

/* Under the lock, which it gives away. */
static void rest(struct run *r, int64_t us)
{
    const struct timespec until = clock_in_ms((us + 999) / 1000);
    while (us > 0 && !r->ending && pthread_cond_timedwait(&r->change, &r->lock, &until) != ETIMEDOUT)
        ;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct run *r = w->run;
    pthread_mutex_lock(&r->lock);
    while (take_next(w)) {
        struct err e = ERR_NONE;
        *w->slot = (struct run_slot){
            .busy = true, .move = w->i, .phase = MOVE_CHECK, .since_us = clock_mono_us(r->clock)
        };
        r->moving++;
        pthread_mutex_unlock(&r->lock);
        int64_t rest_us = 0;
        rc result = run_carry(w, &rest_us, &e);
        pthread_mutex_lock(&r->lock);
        r->moving--;
        w->slot->busy = false;
        book(w, result, &e);
        pthread_cond_broadcast(&r->change);
        rest(r, rest_us);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* ---- the calling thread ---- */

static void set_state(struct run *r, enum run_state s, const char *why) /* under the lock */
{
    struct err e = ERR_NONE;
    if (r->state == s)
        return;
    r->state = s;
    r->why = why;
    rc written = journal_add_state(r->j, s, why, &e);
    if (written != RC_OK)
        run_broke(r, written, &e);
    pthread_cond_broadcast(&r->change);
}

static bool is_stopped(const struct run *r)
{
    return r->watch->stop ? r->watch->stop(r->watch->arg) : interrupted();
}

static void obey(struct run *r)
{
    enum run_word word = journal_hear(r->j);
    if (word == RUN_CANCEL) {
        r->ending = r->undo = true;
        set_state(r, RUN_CANCELLED, "asked for");
    } else if (word == RUN_PAUSE && !r->ending) {
        set_state(r, RUN_PAUSED, "asked for");
    } else if (word == RUN_GO && r->state == RUN_PAUSED) {
        set_state(r, RUN_RUNNING, "");
    }
    if (is_stopped(r) && !r->ending) {
        r->ending = true;
        set_state(r, RUN_STOPPED, "interrupted: what is under way is finished");
    }
}

static void mind_window(struct run *r)
{
    if (!r->o->has_window || r->ending || r->state == RUN_PAUSED)
        return;
    if (run_window_open(&r->o->window, clock_now_s(r->clock)))
        set_state(r, RUN_RUNNING, "");
    else
        set_state(r, RUN_WAITING, "outside the time window");
}

static bool ask_status(struct ask *ask, view node, json_t **out)
{
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    struct err e = ERR_NONE;
    return ask_node(ask, node, "GET", "status?brief=1", VIEW_NONE, &answer, &e) == RC_OK &&
           ask_object(&answer, out, &e) == RC_OK;
}

/* All nodes of the plan, before anybody is at work. One that does not answer is known by its first latencies. */
static void know_nodes(struct run *r, struct ask *ask)
{
    SCOPED(json_decref) json_t *seen = mem_need(json_object());
    for (size_t i = 0; r->o->rise > 0 && i < r->j->n_moves; i++) {
        const char *ends[] = { r->j->moves[i].from, r->j->moves[i].to };
        for (size_t e = 0; e < 2; e++) {
            SCOPED(json_decref) json_t *status = NULL;
            if (has_ended(&r->j->moves[i]) || json_object_get(seen, ends[e]))
                continue;
            json_object_set_new(seen, ends[e], json_true());
            if (ask_status(ask, view_of(ends[e]), &status))
                ease_know(r->ease, view_of(ends[e]), json_text(json_object_get(status, "machine")),
                          json_integer_value(json_object_get(status, "cores")),
                          json_number_value(json_object_get(status, "latency_ms")));
        }
    }
}

/* What the nodes that work for us say of their latency. Without the lock: calls may take long. */
static void feel(struct run *r, struct ask *ask)
{
    SCOPED(json_decref) json_t *nodes = mem_need(json_array());
    const json_t *name;
    size_t k;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->o->parallel; i++) {
        const struct run_move *m = &r->j->moves[r->slots[i].move];
        const char *ends[] = { m->from, m->to };
        for (size_t e = 0; e < 2 && r->slots[i].busy; e++) {
            bool known = false;
            json_array_foreach (nodes, k, name)
                known = known || strcmp(json_string_value(name), ends[e]) == 0;
            if (!known)
                json_array_append_new(nodes, json_string(ends[e]));
        }
    }
    pthread_mutex_unlock(&r->lock);
    json_array_foreach (nodes, k, name) {
        SCOPED(json_decref) json_t *status = NULL;
        if (ask_status(ask, json_text(name), &status))
            ease_hear(r->ease, json_text(name), json_number_value(json_object_get(status, "latency_ms")));
    }
}

static void show(struct run *r) /* under the lock */
{
    struct run_view v = { .journal = r->j,
                          .state = r->state,
                          .why = r->why,
                          .moving = r->moving,
                          .slots = r->slots,
                          .n_slots = r->o->parallel,
                          .now_us = clock_mono_us(r->clock) };
    v.elapsed_us = v.now_us - r->begun_us;
    for (size_t i = 0; i < r->j->n_moves; i++) {
        const struct run_move *m = &r->j->moves[i];
        bool done = m->state == RUN_MOVE_DONE;
        v.done += done;
        v.failed += m->state == RUN_MOVE_GIVEN_UP;
        v.skipped += m->state == RUN_MOVE_SKIPPED;
        v.pending += m->state == RUN_MOVE_PENDING || m->state == RUN_MOVE_FAILED;
        v.bytes_planned += m->bytes_planned;
        v.bytes_done_planned += done || m->state == RUN_MOVE_SKIPPED ? m->bytes_planned : 0;
        v.items += done ? m->items : 0;
        v.bytes += done ? m->bytes : 0;
    }
    for (size_t i = 0; i < r->o->parallel; i++)
        if (r->slots[i].busy) {
            v.items += r->slots[i].items;
            v.bytes += r->slots[i].bytes;
        }
    if (r->watch->tick)
        r->watch->tick(r->watch->arg, &v);
}

static void watch_over(struct run *r, struct ask *ask)
{
    int64_t felt_us = INT64_MIN;
    bool over = false;
    while (!over) {
        pthread_mutex_lock(&r->lock);
        obey(r);
        mind_window(r);
        show(r);
        over = r->moving == 0 && (r->ending || all_ended(r));
        pthread_mutex_unlock(&r->lock);
        int64_t now = clock_mono_us(r->clock);
        if (!over && r->o->rise > 0 && (felt_us == INT64_MIN || now - felt_us >= FEEL_EVERY_US)) {
            felt_us = now;
            feel(r, ask);
        }
        if (!over)
            clock_sleep_ms(TICK_MS);
    }
}

static enum run_state end_state(struct run *r)
{
    bool failed = false;
    if (r->state == RUN_CANCELLED)
        return RUN_CANCELLED;
    if (!all_ended(r))
        return RUN_STOPPED;
    for (size_t i = 0; i < r->j->n_moves; i++)
        failed = failed || r->j->moves[i].state == RUN_MOVE_GIVEN_UP;
    return failed ? RUN_PARTLY : RUN_DONE;
}

/* A new beginning: who was given up gets another chance, who was under way is taken up again. */
static void take_up(struct journal *j)
{
    for (size_t i = 0; i < j->n_moves; i++) {
        struct run_move *m = &j->moves[i];
        m->not_before_us = INT64_MIN;
        if (m->state == RUN_MOVE_BEGUN || m->state == RUN_MOVE_GIVEN_UP || m->state == RUN_MOVE_FAILED) {
            m->state = RUN_MOVE_PENDING;
            m->tries = 0;
        }
    }
}

static rc with_workers(struct run *r, struct ask *ask, struct err *e)
{
    struct worker workers[RUN_PARALLEL_MAX] = { 0 };
    size_t n = 0;
    rc result = RC_OK;
    for (; n < r->o->parallel && result == RC_OK; n++) {
        workers[n] = (struct worker){ .run = r, .slot = &r->slots[n] };
        result = ask_new(r->conf, &workers[n].ask, e);
        if (result == RC_OK && pthread_create(&workers[n].thread, NULL, work, &workers[n]) != 0)
            result = fail(e, RC_BROKEN, RESP_GENERIC, "no thread can be started");
        if (result != RC_OK)
            ask_free(workers[n].ask);
        if (result != RC_OK)
            break;
    }
    if (result == RC_OK)
        watch_over(r, ask);
    pthread_mutex_lock(&r->lock);
    r->ending = true;
    pthread_cond_broadcast(&r->change);
    pthread_mutex_unlock(&r->lock);
    for (size_t i = 0; i < n; i++) {
        pthread_join(workers[i].thread, NULL);
        ask_free(workers[i].ask);
    }
    return result;
}

rc run_go(const struct admin_conf *c, struct journal *j, const struct run_options *o,
          const struct run_watch *watch, run_noter *note, void *note_arg, enum run_state *out, struct err *e)
{
    struct run r = { .conf = c,
                     .j = j,
                     .o = o,
                     .watch = watch,
                     .note = note,
                     .note_arg = note_arg,
                     .clock = clock_system(),
                     .why = "",
                     .state = RUN_STOPPED };
    SCOPED(ask_free) struct ask *ask = NULL;
    TRY(ask_new(c, &ask, e));
    ask_limit(ask, FEEL_MS); /* for latencies alone: a node that hangs must not keep us from hearing words */
    take_up(j);
    if (!watch->stop) {
        interrupt_heed(true); /* a run that is ended at once goes on by its journal later */
        signal(SIGPIPE, SIG_IGN);
    }
    r.ease = ease_new(&(struct ease_options){ .rate = o->rate, .rise = o->rise, .clock = r.clock });
    pthread_mutex_init(&r.lock, NULL);
    clock_cond_init(&r.change);
    r.begun_us = clock_mono_us(r.clock);
    set_state(&r, RUN_RUNNING, "");
    mind_window(&r); /* before anybody works */
    know_nodes(&r, ask);
    rc result = r.broken == RC_OK ? with_workers(&r, ask, e) : RC_OK;
    *out = end_state(&r);
    r.state = *out;
    show(&r);
    if (result == RC_OK && r.broken == RC_OK)
        result = journal_add_state(j, *out, r.why, e);
    if (r.broken != RC_OK) {
        *e = r.broken_why;
        result = r.broken;
    }
    pthread_cond_destroy(&r.change);
    pthread_mutex_destroy(&r.lock);
    ease_free(r.ease);
    return result;
}
