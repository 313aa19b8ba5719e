#include "admin/move/move.h"

#include <inttypes.h>

#include "admin/move/settle.h"
#include "common/base/clock.h"
#include "common/base/encode.h"
#include "common/base/rand.h"

enum {
    PASSES_MOST = 8,
    FEW_ROWS = 100,      /* a pass that found no more is followed by the freeze        */
    FEW_BYTES = 1 << 18, /* … and carried no more                                      */
    WARM_PATIENCE_MS = 10000,
    FROZEN_PATIENCE_MS = 3000, /* the user waits: better to undo it than to insist    */
    NEWS_MS = 2000,            /* for one directory that does not answer: he waits all the while */
    LOOK_MS = 200
};

struct job {
    struct reach *r;
    const struct move_options *o;
    struct move_progress *p;
    struct subject s;
    struct buf intent; /* as it stands in the account */
    struct buf to;
    char move[33];
    int64_t lease_until_s;
    int64_t frozen_at_us;
    uint64_t paced_bytes; /* since paced_from_us, for the rate */
    int64_t paced_from_us;
    bool cut; /* the watcher was told that his cut-over begins */
};

static const struct move_watch nobody_watches = { .arg = NULL };

const char *move_phase_name(enum move_phase p)
{
    static const char *const names[] = {
        [MOVE_CHECK] = "check",   [MOVE_INTEND] = "intend", [MOVE_WARM] = "copy", [MOVE_PAUSE] = "pause",
        [MOVE_FREEZE] = "freeze", [MOVE_REST] = "rest",     [MOVE_SEAL] = "seal", [MOVE_FLIP] = "flip",
        [MOVE_NEWS] = "news",     [MOVE_SETTLE] = "settle", [MOVE_DONE] = "done", [MOVE_UNDO] = "undo",
    };
    return names[p];
}

static int64_t now_us(const struct job *j)
{
    return clock_mono_us(j->r->clock);
}

static int64_t now_s(const struct job *j)
{
    return clock_now_s(j->r->clock);
}

static const struct move_watch *watch(const struct job *j)
{
    return j->o->watch ? j->o->watch : &nobody_watches;
}

static void tell(struct job *j, enum move_phase phase, const char *note)
{
    j->p->phase = phase;
    j->p->note = note;
    if (watch(j)->progress)
        watch(j)->progress(watch(j)->arg, j->p);
}

/* before-… and after-…: tests stop us there. */
static void point(const char *when, const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "%s-%s", when, what);
    move_point(name);
}

/* ---- the lease ---- */

static void put_copy(struct job *j, struct buf *out)
{
    j->lease_until_s = now_s(j) + j->o->lease_s;
    const struct intent i = { .kind = INTENT_COPY,
                              .peer = buf_view(&j->to),
                              .move = view_of(j->move),
                              .lease_s = j->lease_until_s,
                              .uid = j->s.uid,
                              .epoch = j->s.epoch };
    intent_put(out, &i);
}

/* Whether what stands in the account belongs to this move. */
static bool is_ours(const struct job *j, const struct subject *s)
{
    struct intent i;
    return s->intent.p && intent_parse(s->intent, &i, NULL) == RC_OK && view_eq(i.move, view_of(j->move));
}

static rc lost(struct err *e)
{
    return fail(e, RC_CONFLICT, RESP_GENERIC, "somebody else took this move over, or changed the account");
}

/* After a cas without a good answer: RC_OK where its value stands in the account, else what was said before. */
static rc stands(struct job *j, view intent, rc before)
{
    SCOPED(subject_done) struct subject s = { .uid = 0 };
    struct err unused = ERR_NONE;
    bool there =
        subject_get_uid(j->r, j->s.uid, &s, &unused) == RC_OK && s.intent.p && view_eq(s.intent, intent);
    return there ? RC_OK : before;
}

/* With half of it gone it is renewed. RC_CONFLICT: somebody is undoing us. */
static rc renew(struct job *j, struct err *e)
{
    SCOPED(buf_done) struct buf fresh = { 0 };
    if (now_s(j) < j->lease_until_s - j->o->lease_s / 2)
        return RC_OK;
    int64_t before = j->lease_until_s;
    put_copy(j, &fresh);
    if (view_eq(buf_view(&fresh), buf_view(&j->intent)))
        return RC_OK;
    const struct swap longer = { "heddleIntent", buf_view(&j->intent), buf_view(&fresh) };
    struct err why = ERR_NONE;
    rc result = subject_cas(j->r, j->s.uid, &longer, 1, &why);
    if (result == RC_AWAY || result == RC_CONFLICT) /* it may have happened, unanswered */
        result = stands(j, buf_view(&fresh), result);
    if (result == RC_OK) {
        buf_clear(&j->intent);
        buf_add(&j->intent, buf_view(&fresh));
        return RC_OK;
    }
    j->lease_until_s = before;
    if (result == RC_CONFLICT || result == RC_NOT_FOUND)
        return lost(e);
    return fail(e, result, RESP_GENERIC, "%s", why.text);
}

/* ---- pages ---- */

static rc check_cancelled(struct job *j, struct err *e)
{
    if (!watch(j)->cancelled || !watch(j)->cancelled(watch(j)->arg))
        return RC_OK;
    return fail(e, RC_BUSY, RESP_GENERIC, "cancelled");
}

/* Not in one piece: whoever cancels shall not wait, and the lease shall not run out. */
static rc rest_us(struct job *j, int64_t us, struct err *e)
{
    int64_t until = now_us(j) + us;
    for (;;) {
        int64_t left_ms = (until - now_us(j) + 999) / 1000;
        TRY(check_cancelled(j, e));
        TRY(renew(j, e));
        if (left_ms <= 0)
            return RC_OK;
        clock_sleep_ms(left_ms < LOOK_MS ? left_ms : LOOK_MS);
    }
}

/* How long to wait so that what was carried is no more than the rate. */
static int64_t behind_us(struct job *j, uint64_t bytes)
{
    if (j->o->rate <= 0)
        return 0;
    j->paced_bytes += bytes;
    double due_us = (double)j->paced_bytes * 1e6 / (double)j->o->rate;
    double spent_us = (double)(now_us(j) - j->paced_from_us);
    return due_us > spent_us ? (int64_t)(due_us - spent_us) : 0;
}

static rc breathe(void *arg, uint64_t bytes, int64_t source_us, int64_t target_us, struct err *e)
{
    struct job *j = arg;
    j->p->bytes += bytes;
    tell(j, j->p->phase, "");
    if (j->p->phase != MOVE_WARM)
        return RC_OK;
    int64_t wait_us = behind_us(j, bytes);
    if (watch(j)->throttle_us) {
        int64_t more_us = watch(j)->throttle_us(watch(j)->arg, bytes, source_us, target_us);
        wait_us = more_us > wait_us ? more_us : wait_us;
    }
    return rest_us(j, wait_us, e);
}

/* ---- the way there ---- */

static rc head_step(struct job *j, view node, const char *name, int64_t epoch, const char *sum, struct err *e)
{
    point("before", name);
    TRY(head_step_ask(j->r, node, name, j->s.uid, view_of(j->move), epoch, sum, NULL, e));
    point("after", name);
    return RC_OK;
}

/* Before anything is written: who watches may keep the name, and know the intent as this move's even if we die over it. */
static void name_move(struct job *j)
{
    uint8_t bytes[12];
    SCOPED(buf_done) struct buf id = { 0 };
    rand_bytes(bytes, sizeof bytes);
    hex_put(&id, (view){ .p = (const char *)bytes, .n = sizeof bytes });
    snprintf(j->move, sizeof j->move, "m%s", buf_text(&id));
    j->p->move = view_of(j->move);
}

static rc intend(struct job *j, struct err *e)
{
    buf_clear(&j->intent);
    put_copy(j, &j->intent);
    char epoch[24];
    snprintf(epoch, sizeof epoch, "%" PRId64, j->s.epoch);
    const struct swap swaps[] = { { "heddleIntent", VIEW_NONE, buf_view(&j->intent) },
                                  { "syncNode", j->s.node, j->s.node },
                                  { "heddleEpoch", view_of(epoch), view_of(epoch) } };
    point("before", "intend");
    rc result = subject_cas(j->r, j->s.uid, swaps, sizeof swaps / sizeof swaps[0], e);
    if (result == RC_AWAY || result == RC_CONFLICT)
        result = stands(j, buf_view(&j->intent), result);
    point("after", "intend");
    return result == RC_CONFLICT || result == RC_NOT_FOUND ? lost(e) : result;
}

/* The first pass carries what he has, those after it what he wrote meanwhile: that shrinks from pass to pass, unless he writes as fast as
 * we copy. Then waiting makes his freeze no shorter, and he is frozen with what there is. */
static bool worth_another(const struct job *j, const struct carry *c, uint64_t bytes_before)
{
    bool much = c->rows > FEW_ROWS || c->bytes > FEW_BYTES;
    bool shrinks = j->p->passes <= 2 || c->bytes < bytes_before;
    return much && shrinks && j->p->passes < PASSES_MOST;
}

static rc warm(struct job *j, struct carry *c, struct err *e)
{
    uint64_t bytes_before;
    TRY(head_step(j, buf_view(&j->to), "import_begin", j->s.epoch + 1, NULL, e));
    j->paced_from_us = now_us(j);
    do {
        bytes_before = c->bytes;
        point("before", "pass");
        TRY(check_cancelled(j, e));
        TRY(renew(j, e));
        TRY(carry_pass(c, e));
        c->base = c->next_base;
        j->p->passes++;
        j->p->items_seen = c->items_seen;
        j->p->items += c->rows;
        tell(j, MOVE_WARM, "");
        point("after", "pass");
    } while (worth_another(j, c, bytes_before));
    return RC_OK;
}

/* An upload in parts is dropped by the freeze, and its client begins it anew: so we wait for a moment without one, but not for ever. */
static rc await_pause(struct job *j, struct err *e)
{
    int64_t until = now_us(j) + j->o->pause_most_s * 1000000;
    for (;;) {
        struct head_seen h;
        TRY(head_ask(j->r, j->s.node, j->s.uid, &h, e));
        if (h.batch_age_ms < 0 || h.batch_age_ms >= j->o->pause_s * 1000 || now_us(j) >= until)
            return RC_OK;
        TRY(rest_us(j, (int64_t)1000 * LOOK_MS, e));
    }
}

static void cut_over(struct job *j, bool begin)
{
    if (j->cut == begin)
        return;
    j->cut = begin;
    if (watch(j)->cut_over)
        watch(j)->cut_over(watch(j)->arg, j->p, begin);
}

/* Once more where it carried rows that are older than its base: what the target holds of them is to be compared, too. */
static rc last_pass(struct job *j, struct carry *c, struct err *e)
{
    bool older = true;
    for (int tries = 0; older && tries < 3; tries++) {
        TRY(carry_pass(c, e));
        older = c->next_base < c->base;
        c->base = older ? c->next_base : c->base;
        j->p->passes++;
        j->p->items_seen = c->items_seen;
        j->p->items += c->rows;
    }
    return older ? fail(e, RC_CONFLICT, RESP_GENERIC, "the target does not keep what it is given") : RC_OK;
}

static rc freeze_and_seal(struct job *j, struct carry *c, struct err *e)
{
    cut_over(j, true);
    tell(j, MOVE_FREEZE, "");
    j->r->patience_ms = FROZEN_PATIENCE_MS;
    j->frozen_at_us = now_us(j);
    TRY(head_step(j, j->s.node, "freeze", j->s.epoch, NULL, e));
    tell(j, MOVE_REST, "");
    c->frozen = true;
    point("before", "rest");
    TRY(last_pass(j, c, e));
    point("after", "rest");
    tell(j, MOVE_SEAL, "");
    return head_step(j, buf_view(&j->to), "seal", j->s.epoch + 1, c->sum, e);
}

/* ---- the flip ---- */

/* Nobody answered: it may have happened. Nothing else leads from our intent to that owner and that epoch. */
static rc flipped(struct job *j, view retire, struct err *e)
{
    SCOPED(subject_done) struct subject s = { .uid = 0 };
    rc result = subject_get_uid(j->r, j->s.uid, &s, e);
    if (result == RC_NOT_FOUND)
        return lost(e);
    TRY(result);
    if (s.epoch == j->s.epoch + 1 && view_eq(s.node, buf_view(&j->to)) &&
        (!s.intent.p || view_eq(s.intent, retire)))
        return RC_OK;
    if (!view_eq(s.intent, buf_view(&j->intent)))
        return lost(e);
    return fail(e, RC_AWAY, RESP_GENERIC, "the flip has not happened");
}

static rc flip(struct job *j, struct err *e)
{
    SCOPED(buf_done) struct buf retire = { 0 };
    const struct intent i = { .kind = INTENT_RETIRE,
                              .peer = j->s.node,
                              .move = view_of(j->move),
                              .uid = j->s.uid,
                              .epoch = j->s.epoch };
    char before[24], after[24];
    intent_put(&retire, &i);
    snprintf(before, sizeof before, "%" PRId64, j->s.epoch);
    snprintf(after, sizeof after, "%" PRId64, j->s.epoch + 1);
    const struct swap swaps[] = { { "syncNode", j->s.node, buf_view(&j->to) },
                                  { "heddleEpoch", view_of(before), view_of(after) },
                                  { "heddleIntent", buf_view(&j->intent), buf_view(&retire) } };
    tell(j, MOVE_FLIP, "");
    point("before", "flip");
    rc result = RC_AWAY;
    for (int tries = 0; tries < 3 && result == RC_AWAY; tries++) {
        result = subject_cas(j->r, j->s.uid, swaps, sizeof swaps / sizeof swaps[0], e);
        if (result != RC_OK && result != RC_BAD_INPUT)
            result =
                flipped(j, buf_view(&retire), e); /* tried again inside, it may have found its own work */
    }
    point("after", "flip");
    return result;
}

/* ---- afterwards ---- */

/* Every directory process: one that still names the old node would send a client back to it. One that is away forgets by itself, it
 * remembers no longer than its replica lags. */
static const char *spread_news(struct job *j)
{
    char body[64];
    const char *note = "";
    snprintf(body, sizeof body, "{\"uids\":[%" PRId64 "]}", j->s.uid);
    ask_limit(j->r->ask, NEWS_MS);
    for (size_t i = 0; i < ask_directories(j->r->ask); i++) {
        struct answer a = { .status = 0 };
        struct err unused = ERR_NONE;
        if (ask_directory_at(j->r->ask, i, "POST", "news", view_of(body), &a, &unused) != RC_OK)
            note = "a directory did not hear of it";
        answer_done(&a);
    }
    ask_limit(j->r->ask, 0);
    return note;
}

static bool seats(struct job *j, view node, const char *body)
{
    SCOPED(buf_done) struct buf path = { 0 };
    struct answer a = { .status = 0 };
    struct err unused = ERR_NONE;
    buf_addf(&path, "nodes/%.*s/seats", VIEW_ARG(node));
    const struct reach_call c = { .method = "POST", .path = buf_text(&path), .body = view_of(body) };
    bool done = reach_directory(j->r, &c, &a, &unused) == RC_OK && !strstr(buf_text(&a.body), "\"got\":0");
    answer_done(&a);
    return done;
}

/* What the intent says now is what is left to do, also where somebody else has done it. An answer that was lost lets a step look as if
 * somebody else had been quicker; so we look until our move is no more. at_once: the value is ours, nobody has to wait for the lease. */
static rc settle_ours(struct job *j, bool at_once, struct err *e)
{
    const struct settle_rules rules = { .at_once = at_once };
    for (int tries = 0; tries < 4; tries++) {
        SCOPED(subject_done) struct subject s = { .uid = 0 };
        enum settle_act act;
        rc result = subject_get_uid(j->r, j->s.uid, &s, e);
        if (result == RC_NOT_FOUND || (result == RC_OK && !is_ours(j, &s)))
            return RC_OK;
        TRY(result);
        TRY(settle_subject(j->r, &rules, &s, &act, e));
    }
    return fail(e, RC_AWAY, RESP_GENERIC, "the move could not be settled yet");
}

static void undo(struct job *j)
{
    struct err why = ERR_NONE;
    j->r->patience_ms = FROZEN_PATIENCE_MS;
    tell(j, MOVE_UNDO, "");
    if (settle_ours(j, true, &why) != RC_OK)
        j->p->note = "it could not be undone completely: the next settle goes on";
}

/* ---- the whole ---- */

static rc find(struct job *j, struct err *e)
{
    TRY(subject_get(j->r, j->o->who, &j->s, e));
    struct move_progress *p = j->p;
    p->uid = j->s.uid;
    p->epoch = j->s.epoch;
    p->name = j->s.name;
    p->from = j->s.node;
    if (!j->s.node.p)
        return fail(e, RC_CONFLICT, RESP_GENERIC, "%.*s lives nowhere yet: his first sync places him",
                    VIEW_ARG(j->s.name));
    if (!j->s.intent.p)
        return RC_OK;
    enum settle_act act = SETTLE_NOTHING;
    const struct settle_rules rules = { .at_once = false };
    TRY(settle_subject(j->r, &rules, &j->s, &act, e));
    if (act == SETTLE_WAITS)
        return fail(e, RC_CONFLICT, RESP_GENERIC, "another move has him: \"%.*s\"", VIEW_ARG(j->s.intent));
    TRY(subject_get(j->r, j->o->who, &j->s, e));
    p->epoch = j->s.epoch;
    p->name = j->s.name;
    p->from = j->s.node;
    if (j->s.intent.p)
        return fail(e, RC_CONFLICT, RESP_GENERIC, "another move has him: \"%.*s\"", VIEW_ARG(j->s.intent));
    return j->s.node.p ? RC_OK : lost(e);
}

static rc prepare(struct job *j, struct err *e)
{
    struct head_seen h;
    TRY(head_ask(j->r, j->s.node, j->s.uid, &h, e));
    const struct move_ends ends = { .from = j->s.node,
                                    .to = buf_view(&j->to),
                                    .uid = j->s.uid,
                                    .used_bytes = h.used_bytes,
                                    .skew_ms = j->o->skew_ms };
    TRY(move_check(j->r, &ends, NULL, e));
    if (h.epoch > j->s.epoch)
        return fail(e, RC_CONFLICT, RESP_GENERIC,
                    "%.*s holds epoch %" PRId64 ", the directory %" PRId64 ": see heddle-admin doctor",
                    VIEW_ARG(j->s.node), h.epoch, j->s.epoch);
    return RC_OK;
}

static rc until_flip(struct job *j, struct err *e)
{
    struct carry c = { .r = j->r,
                       .from = j->s.node,
                       .to = buf_view(&j->to),
                       .move = view_of(j->move),
                       .uid = j->s.uid,
                       .epoch = j->s.epoch,
                       .base = -1,
                       .breathe = breathe,
                       .arg = j };
    tell(j, MOVE_WARM, "");
    TRY(warm(j, &c, e));
    tell(j, MOVE_PAUSE, "");
    TRY(await_pause(j, e));
    TRY(renew(j, e));
    TRY(check_cancelled(j, e));
    TRY(freeze_and_seal(j, &c, e));
    return flip(j, e);
}

static rc move_it(struct job *j, struct err *e)
{
    tell(j, MOVE_CHECK, "");
    TRY(find(j, e));
    if (view_eq(j->s.node, buf_view(&j->to)))
        return RC_OK;
    TRY(prepare(j, e));
    name_move(j);
    tell(j, MOVE_INTEND, "");
    rc result = intend(j, e);
    if (result == RC_CONFLICT)
        return result;
    if (result == RC_OK)
        result = until_flip(j, e);
    if (result != RC_OK) {
        undo(j);
        cut_over(j, false);
        return result;
    }
    j->r->patience_ms = WARM_PATIENCE_MS;
    point("before", "news");
    tell(j, MOVE_NEWS, spread_news(j));
    point("after", "news");
    tell(j, MOVE_SETTLE, "");
    result = settle_ours(j, false, e);
    if (result == RC_OK)
        j->p->frozen_us = now_us(j) - j->frozen_at_us;
    cut_over(j, false);
    bool taken = seats(j, buf_view(&j->to), "{\"take\":1}"); /* he waits for none of this any more */
    seats(j, j->s.node, "{\"give\":1}");
    TRY(result);
    tell(j, MOVE_DONE, taken ? "" : "the target had no seat left");
    return RC_OK;
}

/* Texts of *out that look into what we free. */
static void keep_no_views(struct move_progress *p)
{
    p->name = p->from = p->to = p->move = VIEW_NONE;
}

rc move_user(struct reach *r, const struct move_options *o, struct move_progress *out, struct err *e)
{
    struct job j = { .r = r, .o = o, .p = out };
    *out = (struct move_progress){ .note = "" };
    buf_add(&j.to, o->to);
    out->to = buf_view(&j.to);
    out->begun_us = now_us(&j);
    r->patience_ms = WARM_PATIENCE_MS;
    rc result = move_it(&j, e);
    r->patience_ms = 0;
    keep_no_views(out);
    subject_done(&j.s);
    buf_done(&j.intent);
    buf_done(&j.to);
    return result;
}
