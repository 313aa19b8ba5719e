/* Users in cut-over: HAProxy lets their requests wait until they are released. Who is held stands in a map in its memory and in the file of
 * that map, with the second until which: a process that starts meanwhile holds him too, and a holder that died holds nobody for ever. Whoever
 * would reload waits until nobody is held: the process that goes hears of no release any more, so who waits in there would wait in vain. */
#include <inttypes.h>
#include <unistd.h>

#include "admin/ask.h"
#include "admin/lb/lb.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"

enum {
    TURN_MS =
        15000, /* a move rather goes on without a hold than wait longer for who writes or reloads           */
    HOLDS = 3, /* after so many times lb.hold a holder who has not released his user is taken to have died  */
    FILE_BYTES = 4 << 20,
    POLL_MS = 5
};

static bool can_hold(const struct admin_conf *c)
{
    return c->lb.folder && c->lb.folder[0] && lb_driver_of(&c->lb) == &lb_haproxy;
}

static void put_key(struct buf *b, int64_t uid, view name)
{
    bool fxa = memchr(name.p, '@', name.n);
    if (fxa)
        buf_addf(b, "15:%" PRId64, uid);
    else
        buf_addf(b, "11:%.*s", VIEW_ARG(name));
}

/* ---- the file ---- */

/* Appends the file's rows whose second has not come, without the one of `but`. */
static rc read_rows(const struct lb_conf *c, view but, struct buf *out, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(buf_done) struct buf text = { 0 };
    struct err why = ERR_NONE;
    uint64_t now_s = (uint64_t)clock_now_s(clock_system()), until_s;
    view rest, line, key;
    lb_map_path(c, LB_HELD, 0, &path);
    rc r = lb_read_file(buf_text(&path), FILE_BYTES, &text, &why);
    if (r != RC_OK && r != RC_NOT_FOUND)
        return fail(e, r, RESP_GENERIC, "%s", why.text);
    rest = buf_view(&text);
    while (view_cut(&rest, '\n', &line)) {
        view until = line;
        view_cut(&until, ' ', &key);
        if (until.p && view_to_u64(until, INT64_MAX, &until_s) && until_s > now_s && !view_eq(key, but))
            buf_addf(out, "%.*s\n", VIEW_ARG(line));
    }
    return RC_OK;
}

static rc put_rows(const struct lb_conf *c, const struct buf *rows, struct lb_batch *batch, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    lb_map_path(c, LB_HELD, 0, &path);
    return lb_batch_put(batch, buf_text(&path), buf_view(rows), e);
}

rc lb_held_put(const struct lb_conf *c, struct lb_batch *batch, struct err *e)
{
    SCOPED(buf_done) struct buf rows = { 0 };
    TRY(read_rows(c, VIEW_NONE, &rows, e));
    return put_rows(c, &rows, batch, e);
}

/* Sets his row; until NULL: it goes. */
static rc write_row(const struct lb_conf *c, view key, const char *until, struct err *e)
{
    SCOPED(buf_done) struct buf rows = { 0 };
    struct lb_batch batch = { .n = 0 };
    TRY(read_rows(c, key, &rows, e));
    if (until)
        buf_addf(&rows, "%.*s %s\n", VIEW_ARG(key), until);
    rc r = put_rows(c, &rows, &batch, e);
    if (r == RC_OK)
        r = lb_batch_commit(&batch, e);
    lb_batch_done(&batch);
    return r;
}

/* ---- whoever reloads ---- */

static rc is_calm(const struct lb_conf *c, bool *out, struct err *e)
{
    SCOPED(buf_done) struct buf rows = { 0 };
    TRY(read_rows(c, VIEW_NONE, &rows, e));
    *out = rows.n == 0;
    return RC_OK;
}

/* Not for longer than who waited in there before would have waited anyway. */
static rc await_calm(const struct lb_conf *c, int *out_fd, struct err *e)
{
    int64_t end_us = clock_mono_us(clock_system()) + c->hold_s * 1000000;
    for (;;) {
        bool calm = false;
        TRY(lb_lock(c, out_fd, e));
        rc r = is_calm(c, &calm, e);
        bool late = clock_mono_us(clock_system()) > end_us;
        if (r == RC_OK && late && !calm)
            LOG(LOG_WARN, "somebody has been in cut-over for long: not waiting for him any more");
        if (r == RC_OK && (calm || late))
            return RC_OK;
        close(*out_fd); /* who is held can only be released by who gets the lock */
        TRY(r);
        clock_sleep_ms(POLL_MS);
    }
}

/* Holds begin by turns with it: in a rebalance, where there is always one, it would wait in vain. */
rc lb_lock_calm(const struct lb_conf *c, int *out_fd, struct err *e)
{
    int turn;
    TRY(lb_lock_file(c, "turn", LB_LOCK_MS, &turn, e));
    rc r = await_calm(c, out_fd, e);
    close(turn);
    return r;
}

/* ---- to hold ---- */

static rc lock_by_turns(const struct lb_conf *c, int *out_fd, struct err *e)
{
    int turn;
    TRY(lb_lock_file(c, "turn", TURN_MS, &turn, e));
    rc r = lb_lock_file(c, "lock", TURN_MS, out_fd, e);
    close(turn);
    return r;
}

static rc hold_row(const struct admin_conf *c, view key, unsigned wait_ms, struct err *e)
{
    char until[24];
    int lock;
    TRY(lock_by_turns(&c->lb, &lock, e));
    snprintf(until, sizeof(until), "%" PRId64,
             clock_now_s(clock_system()) + 1 + wait_ms / 1000 + HOLDS * c->lb.hold_s);
    const struct lb_change held = { .map = LB_HELD, .key = key, .value = view_of(until) };
    rc r = write_row(&c->lb, key, until, e);
    if (r == RC_OK)
        r = lb_haproxy.change(c, &held, 1, e);
    close(lock);
    return r;
}

rc lb_hold(const struct admin_conf *c, int64_t uid, view name, unsigned wait_ms, struct err *e)
{
    SCOPED(buf_done) struct buf key = { 0 };
    if (!can_hold(c))
        return RC_OK;
    put_key(&key, uid, name);
    TRY(hold_row(c, buf_view(&key), wait_ms, e));
    int64_t end_us = clock_mono_us(clock_system()) + (int64_t)wait_ms * 1000;
    for (;;) {
        long under_way;
        TRY(lb_haproxy_under_way(&c->lb, buf_view(&key), &under_way, e));
        if (under_way == 0)
            return RC_OK;
        if (clock_mono_us(clock_system()) > end_us)
            return fail(e, RC_BUSY, RESP_GENERIC, "%ld requests of the user are still under way", under_way);
        clock_sleep_ms(POLL_MS);
    }
}

/* ---- to release ---- */

static rc give_route(const struct admin_conf *c, struct ask *ask, view name, struct err *e)
{
    struct lb_model m = { .n = 0 };
    struct lb_account a;
    rc r = lb_model_nodes(c, ask, &m, e);
    if (r == RC_OK)
        r = lb_account_get(ask, &m, name, "name", &a, e);
    if (r == RC_OK)
        r = lb_push_account(c, &m, &a, e);
    lb_model_done(&m);
    return r;
}

/* At once, so that he waits no longer; and with the file once more, for a process that had his row from there. */
static rc release_row(const struct admin_conf *c, view key, struct err *e)
{
    const struct lb_change gone = { .map = LB_HELD, .key = key, .value = VIEW_NONE };
    struct err at_once = ERR_NONE;
    int lock;
    if (lb_haproxy.change(c, &gone, 1, &at_once) != RC_OK)
        LOG(LOG_DEBUG, "the user is released with the files alone", LOG_S("why", at_once.text));
    TRY(lb_lock(&c->lb, &lock, e));
    rc r = write_row(&c->lb, key, NULL, e);
    if (r == RC_OK)
        r = lb_haproxy.change(c, &gone, 1, e);
    close(lock);
    return r;
}

rc lb_release(const struct admin_conf *c, struct ask *ask, int64_t uid, view name, struct err *e)
{
    SCOPED(buf_done) struct buf key = { 0 };
    struct err other = ERR_NONE;
    if (!c->lb.folder || !c->lb.folder[0])
        return RC_OK;
    rc r = give_route(c, ask, name, e);
    if (!can_hold(c))
        return r;
    put_key(&key, uid, name);
    rc released = release_row(c, buf_view(&key), r == RC_OK ? e : &other);
    return r == RC_OK ? released : r;
}

void lb_cut_over(const struct admin_conf *c, struct ask *ask, int64_t uid, view name, bool begin)
{
    struct err e = ERR_NONE;
    rc r = begin ? lb_hold(c, uid, name, (unsigned)(c->lb.hold_s * 1000 / 2), &e)
                 : lb_release(c, ask, uid, name, &e);
    if (r != RC_OK)
        LOG(LOG_WARN,
            begin ? "the balancer does not hold the user" : "the balancer has no route of the user yet",
            LOG_I("uid", uid), LOG_S("why", e.text));
}
