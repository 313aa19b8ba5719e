/* heddle-admin lb follow: keeps a balancer as the directory says. It reads everything once, then hears each directory's news and looks up who
 * is named there; from time to time it reads everything again. While no directory answers nothing changes: the balancer runs on, and
 * starts anew, with what it was given last. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "admin/ask.h"
#include "admin/interrupt.h"
#include "admin/lb/lb.h"
#include "admin/lb/lb_verbs.h"
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"

enum {
    NEWS_MS = 200,      /* how often the news are asked for                        */
    NODES_US = 2000000, /* … and the table of nodes                                */
    FILES_US = 1000000, /* rows that changed at run time are in the files by then  */
    MANY = 2000,        /* changes at a time from which the whole map is replaced  */
    BOOT_TEXT = 64
};

/* Where we are in the news of one directory. */
struct source {
    char boot[BOOT_TEXT + 1];
    long long cursor;
    bool known; /* boot and cursor are good */
    bool silent;
};

struct follower {
    const struct admin_conf *conf;
    struct ask *ask;
    struct lb_model model;
    struct source *sources;
    size_t n;
    struct lb_change *changes; /* their keys and values are owned */
    size_t n_changes, cap;
    int64_t read_us, nodes_us, written_us;
    bool lost;      /* everything has to be read again                 */
    bool due;       /* … because it is time: what failed is tried anew */
    bool unwritten; /* rows differ from the files                      */
    bool waiting;   /* nobody answered; said once                      */
};

/* ---- one directory ---- */

static rc news_of(const struct follower *f, size_t i, json_t **out, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(answer_done) struct answer a = { .status = 0 };
    buf_addf(&path, "news?boot=%s&cursor=%lld", f->sources[i].boot, f->sources[i].cursor);
    TRY(ask_directory_at(f->ask, i, "GET", buf_text(&path), VIEW_NONE, &a, e));
    return ask_object(&a, out, e);
}

/* ---- rows ---- */

static void changes_clear(struct follower *f)
{
    for (size_t i = 0; i < f->n_changes; i++)
        free((char *)(uintptr_t)f->changes[i].key.p);
    f->n_changes = 0;
}

static void change_add(struct follower *f, const struct lb_account *a, int row)
{
    if (f->n_changes == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 64;
        f->changes = mem_need(reallocarray(f->changes, f->cap, sizeof(*f->changes)));
    }
    f->changes[f->n_changes++] = (struct lb_change){ .map = LB_USERS,
                                                     .key = view_of(mem_need(strdup(a->key))),
                                                     .value = row >= 0 ? f->model.nodes[row].id : VIEW_NONE };
}

/* Looks the named account up; a node that we have not heard of yet makes us read everything. */
static rc look_up(struct follower *f, view name, struct err *e)
{
    struct lb_account a;
    rc r = lb_account_get(f->ask, &f->model, name, "name", &a, e);
    if (r == RC_NOT_FOUND)
        return RC_OK; /* deleted: his row leads to a node that refuses him, and goes with the next reading */
    TRY(r);
    int row = lb_row_wanted(f->conf, &f->model, &a);
    if (a.key[0] && lb_users_set(&f->model.users, view_of(a.key), row)) {
        change_add(f, &a, row);
        f->unwritten = true;
    }
    return RC_OK;
}

static rc take_news(struct follower *f, const json_t *news, struct err *e)
{
    size_t i;
    json_t *item;
    json_array_foreach (news, i, item) {
        view what = json_text(json_object_get(item, "what")), name = json_text(json_object_get(item, "name"));
        if (name.p && (view_eq(what, VIEW("forget")) || view_eq(what, VIEW("placed"))))
            TRY(look_up(f, name, e));
    }
    return RC_OK;
}

/* true: there may be more at once. */
static rc hear(struct follower *f, size_t i, bool *out_more, struct err *e)
{
    struct source *s = &f->sources[i];
    SCOPED(json_decref) json_t *o = NULL;
    TRY(news_of(f, i, &o, e));
    view boot = json_text(json_object_get(o, "boot"));
    if (boot.n == 0 || boot.n > BOOT_TEXT)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the news of %.100s have no boot",
                    ask_directory_name(f->ask, i));
    if (json_is_true(json_object_get(o, "all")))
        f->lost = f->lost || s->known;
    TRY(take_news(f, json_object_get(o, "news"), e));
    memcpy(s->boot, boot.p, boot.n);
    s->boot[boot.n] = '\0';
    s->cursor = json_integer_value(json_object_get(o, "cursor"));
    s->known = true;
    *out_more = json_is_true(json_object_get(o, "more"));
    return RC_OK;
}

/* A directory that was away may have told something to nobody: read everything when it is back. again: of those that answer alone. */
static void hear_all(struct follower *f, bool again)
{
    for (size_t i = 0; i < f->n; i++) {
        struct source *s = &f->sources[i];
        if (again && s->silent)
            continue;
        struct err e = ERR_NONE;
        bool more = true;
        rc r = RC_OK;
        while (r == RC_OK && more && !interrupted())
            r = hear(f, i, &more, &e);
        if ((r == RC_OK) == s->silent)
            LOG(r == RC_OK ? LOG_INFO : LOG_WARN,
                r == RC_OK ? "the directory is heard again" : "the directory is not heard",
                LOG_S("directory", ask_directory_name(f->ask, i)), LOG_S("why", e.text));
        s->silent = r != RC_OK;
    }
}

/* ---- the balancer ---- */

/* What changes the balancer or its files is done alone: a push of everything by somebody else has read the accounts before, and would put
 * back what is changed meanwhile. And a move that gave its user's row to the balancer by itself did so after the directory knew: who hears
 * the news once more while nobody else writes puts no older row over it. */
typedef rc step(struct follower *f, struct err *e);
typedef rc locker(const struct lb_conf *c, int *out_fd, struct err *e);

static rc alone(struct follower *f, locker *lock_it, step *what, struct err *e)
{
    int lock;
    TRY(lock_it(&f->conf->lb, &lock, e));
    hear_all(f, true);
    rc r = what(f, e);
    close(lock);
    return r;
}

static rc change_rows(struct follower *f, struct err *e)
{
    const struct lb_driver *d = lb_driver_of(&f->conf->lb);
    TRY(f->n_changes > MANY ? d->replace(f->conf, &f->model, e)
                            : d->change(f->conf, f->changes, f->n_changes, e));
    changes_clear(f);
    return RC_OK;
}

static rc push(struct follower *f, struct err *e)
{
    TRY(lb_push_all(f->conf, &f->model, f->due ? LB_IF_BEHIND : LB_IF_CHANGED, e));
    changes_clear(f);
    f->unwritten = false;
    return RC_OK;
}

/* A live balancer has been given its rows before; what is heard only now it gets in the next round. */
static rc write_maps(struct follower *f, struct err *e)
{
    const struct lb_driver *d = lb_driver_of(&f->conf->lb);
    TRY(lb_render_maps(f->conf, &f->model, e));
    f->written_us = clock_mono_us(clock_system());
    f->unwritten = false;
    if (d->live)
        return RC_OK;
    TRY(d->change(f->conf, f->changes, f->n_changes, e));
    changes_clear(f);
    return RC_OK;
}

static rc apply(struct follower *f, struct err *e)
{
    const struct lb_driver *d = lb_driver_of(&f->conf->lb);
    if (d->live && f->n_changes > 0)
        TRY(alone(f, lb_lock, change_rows, e));
    if (f->unwritten && clock_mono_us(clock_system()) - f->written_us >= FILES_US)
        TRY(alone(f, lb_lock, write_maps, e));
    return RC_OK;
}

/* Reads everything and brings the balancer there. The news so far are heard before: what happens meanwhile is heard twice rather than
 * never. */
static rc read_all(struct follower *f, struct err *e)
{
    struct lb_model fresh = { .n = 0 };
    rc r = lb_model_nodes(f->conf, f->ask, &fresh, e);
    if (r == RC_OK)
        r = lb_model_users(f->conf, f->ask, &fresh, e);
    if (r != RC_OK) {
        lb_model_done(&fresh);
        return r;
    }
    changes_clear(f);
    lb_model_done(&f->model);
    f->model = fresh;
    f->lost = f->unwritten = false;
    f->read_us = f->nodes_us = f->written_us = clock_mono_us(clock_system());
    TRY(alone(f, lb_lock_calm, push, e));
    LOG(LOG_INFO, "the balancer is as the directory says", LOG_I("nodes", (int64_t)f->model.n),
        LOG_I("accounts", (int64_t)f->model.accounts),
        LOG_I("rows",
              (int64_t)(lb_users_count(&f->model.users, LB_15) + lb_users_count(&f->model.users, LB_11))));
    return RC_OK;
}

static bool same_states(const struct lb_model *a, const struct lb_model *b)
{
    for (size_t i = 0; i < a->n; i++)
        if (!view_eq(a->nodes[i].state, b->nodes[i].state))
            return false;
    return true;
}

/* Another table of nodes: other slots, so everything anew. Other states alone: one small map. */
static rc look_at_nodes(struct follower *f, struct err *e)
{
    struct lb_model fresh = { .n = 0 };
    int64_t now_us = clock_mono_us(clock_system());
    if (now_us - f->nodes_us < NODES_US)
        return RC_OK;
    f->nodes_us = now_us;
    rc r = lb_model_nodes(f->conf, f->ask, &fresh, e);
    if (r == RC_OK && !lb_model_same_nodes(&fresh, &f->model)) {
        f->lost = true;
    } else if (r == RC_OK && !same_states(&fresh, &f->model)) {
        for (size_t i = 0; i < fresh.n; i++)
            f->model.nodes[i].state = arena_copy(&f->model.arena, fresh.nodes[i].state);
        r = alone(f, lb_lock_calm, push, e);
    }
    lb_model_done(&fresh);
    return r;
}

/* ---- the loop ---- */

static rc round_of(struct follower *f, struct err *e)
{
    hear_all(f, false);
    f->due = clock_mono_us(clock_system()) - f->read_us > f->conf->lb.resync_s * 1000000;
    if (f->lost || f->due)
        return read_all(f, e);
    TRY(look_at_nodes(f, e));
    return apply(f, e);
}

static void follow(struct follower *f)
{
    f->lost = true;
    while (!interrupted()) {
        const struct timespec t = { .tv_nsec = NEWS_MS * 1000000L };
        struct err e = ERR_NONE;
        rc r = round_of(f, &e);
        if (r != RC_OK)
            f->lost = true;
        if ((r != RC_OK) != f->waiting)
            LOG(r == RC_OK ? LOG_INFO : LOG_WARN,
                r == RC_OK ? "following again" : "not following: trying again", LOG_S("why", e.text));
        f->waiting = r != RC_OK;
        nanosleep(&t, NULL);
    }
}

/* Rows that the running balancer has, and its files not yet. */
static rc write_last(const struct follower *f, struct err *e)
{
    int lock;
    TRY(lb_lock(&f->conf->lb, &lock, e));
    rc r = lb_render_maps(f->conf, &f->model, e);
    close(lock);
    return r;
}

int lb_follow(struct admin *a)
{
    struct follower f = { .conf = a->conf, .read_us = INT64_MIN / 2 };
    struct err e = ERR_NONE;
    rc r = lb_conf_check(&a->conf->lb, &e);
    if (r == RC_OK)
        r = ask_new(a->conf, &f.ask, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    interrupt_heed(false);
    f.n = ask_directories(f.ask);
    f.sources = mem_need(calloc(f.n, sizeof(*f.sources)));
    follow(&f);
    if (f.unwritten)
        r = write_last(&f, &e);
    changes_clear(&f);
    free(f.changes);
    free(f.sources);
    lb_model_done(&f.model);
    ask_free(f.ask);
    return admin_status(r, &e);
}
