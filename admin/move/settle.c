#include "admin/move/settle.h"

#include <inttypes.h>
#include <signal.h>

#include "common/base/clock.h"

const char *settle_act_name(enum settle_act act)
{
    static const char *const names[] = {
        [SETTLE_NOTHING] = "nothing",   [SETTLE_WAITS] = "waits",   [SETTLE_UNDONE] = "undone",
        [SETTLE_FINISHED] = "finished", [SETTLE_ERASED] = "erased", [SETTLE_WOULD] = "would do",
        [SETTLE_FAILED] = "failed",
    };
    return names[act];
}

void move_point(const char *name)
{
#ifdef HEDDLE_TEST_HOOKS
    static bool stopped; /* once: some points are passed several times */
    const char *stop = getenv("HEDDLE_MOVE_STOP");
    if (!stopped && stop && strcmp(stop, name) == 0) {
        stopped = true;
        raise(SIGSTOP);
    }
#else
    (void)name;
#endif
}

/* ---- steps ---- */

rc node_is_gone(struct reach *r, view node, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    struct answer a = { .status = 0 };
    buf_add(&path, VIEW("nodes/"));
    buf_add(&path, node);
    const struct reach_call c = { .method = "GET", .path = buf_text(&path), .body = VIEW_NONE };
    rc result = reach_directory(r, &c, &a, e);
    answer_done(&a);
    if (result == RC_NOT_FOUND)
        return RC_OK;
    TRY(result);
    return fail(e, RC_CONFLICT, RESP_GENERIC, "node %.*s is there", VIEW_ARG(node));
}

/* A step at a node; done, too, where the node is no more. */
static rc step(struct reach *r, view node, const char *name, const struct intent *i, int64_t epoch,
               struct err *e)
{
    char point[64];
    struct err why = ERR_NONE;
    snprintf(point, sizeof point, "before-%s", name);
    move_point(point);
    rc result = head_step_ask(r, node, name, i->uid, i->move, epoch, NULL, NULL, &why);
    if (result == RC_AWAY || result == RC_NOT_FOUND) {
        struct err unused = ERR_NONE;
        if (node_is_gone(r, node, &unused) == RC_OK)
            return RC_OK;
    }
    snprintf(point, sizeof point, "after-%s", name);
    move_point(point);
    return result == RC_OK ? RC_OK : fail(e, result, RESP_GENERIC, "%s: %.200s", name, why.text);
}

static rc clear(struct reach *r, const struct subject *s, view intent, struct err *e)
{
    const struct swap gone = { "heddleIntent", intent, VIEW_NONE };
    move_point("before-clear");
    rc result = subject_cas(r, s->uid, &gone, 1, e);
    move_point("after-clear");
    return result == RC_CONFLICT || result == RC_NOT_FOUND ? RC_OK : result; /* somebody else did */
}

/* Nobody can flip any more, so the owner may thaw even while the target is away; the intent stays until both are done. Where the account
 * has another number or another owner by now, there is nobody to thaw: what is left of the old number is erased. */
static rc undo(struct reach *r, const struct subject *s, const struct intent *i, view text, struct err *e)
{
    struct err other = ERR_NONE;
    rc thawed = RC_OK, dropped = step(r, i->peer, "drop", i, i->epoch, e);
    if (s->node.p && s->uid == i->uid && s->epoch == i->epoch)
        thawed = step(r, s->node, "thaw", i, i->epoch, dropped == RC_OK ? e : &other);
    TRY(dropped);
    TRY(thawed);
    return clear(r, s, text, e);
}

/* The old owner keeps everything until the new one is known to serve. */
static rc finish(struct reach *r, const struct subject *s, const struct intent *i, view text, struct err *e)
{
    if (s->node.p && s->uid == i->uid && s->epoch == i->epoch + 1)
        TRY(step(r, s->node, "activate", i, i->epoch + 1, e));
    rc result = step(r, i->peer, "retire", i, i->epoch + 1, e);
    if (result ==
        RC_CONFLICT) /* it was started from an old copy of its database, and knows nothing of this move */
        result = step(r, i->peer, "leave", i, i->epoch + 1, e);
    TRY(result);
    return clear(r, s, text, e);
}

/* ---- one account ---- */

/* cas copy -> abort: from here on the mover cannot flip. RC_CONFLICT: it did, or it renewed its lease. */
static rc give_up(struct reach *r, const struct subject *s, struct intent *i, struct buf *text, struct err *e)
{
    i->kind = INTENT_ABORT;
    intent_put(text, i);
    const struct swap abort = { "heddleIntent", s->intent, buf_view(text) };
    move_point("before-abort");
    rc result = subject_cas(r, s->uid, &abort, 1, e);
    move_point("after-abort");
    return result;
}

static bool lease_runs(struct reach *r, const struct settle_rules *rules, const struct intent *i)
{
    return i->kind == INTENT_COPY && !rules->at_once && clock_now_s(r->clock) < i->lease_s;
}

rc settle_subject(struct reach *r, const struct settle_rules *rules, const struct subject *s,
                  enum settle_act *out, struct err *e)
{
    SCOPED(buf_done) struct buf text = { 0 };
    struct intent i;
    *out = SETTLE_NOTHING;
    if (!s->intent.p)
        return RC_OK;
    TRY(intent_parse(s->intent, &i, e));
    if (lease_runs(r, rules, &i) || rules->dry_run) {
        *out = rules->dry_run && !lease_runs(r, rules, &i) ? SETTLE_WOULD : SETTLE_WAITS;
        return RC_OK;
    }
    if (i.kind == INTENT_COPY) {
        rc result = give_up(r, s, &i, &text, e);
        if (result == RC_CONFLICT || result == RC_NOT_FOUND)
            return RC_OK;
        TRY(result);
    } else {
        buf_add(&text, s->intent);
    }
    bool back = i.kind == INTENT_ABORT;
    TRY(back ? undo(r, s, &i, buf_view(&text), e) : finish(r, s, &i, buf_view(&text), e));
    *out = back ? SETTLE_UNDONE : SETTLE_FINISHED;
    return RC_OK;
}

/* ---- a round ---- */

void settle_tell(const struct settle_rules *rules, struct settle_counts *counts,
                 const struct settle_report *report)
{
    switch (report->act) {
    case SETTLE_NOTHING:
        return;
    case SETTLE_WAITS:
        counts->waits++;
        break;
    case SETTLE_UNDONE:
        counts->undone++;
        break;
    case SETTLE_FINISHED:
        counts->finished++;
        break;
    case SETTLE_ERASED:
        counts->erased++;
        break;
    case SETTLE_WOULD:
        counts->would++;
        break;
    case SETTLE_FAILED:
        counts->failed++;
        break;
    }
    if (rules->report)
        rules->report(rules->arg, report);
}

struct round {
    struct reach *r;
    const struct settle_rules *rules;
    struct settle_counts *counts;
};

static bool settle_one(void *arg, const struct subject *s)
{
    const struct round *x = arg;
    struct err why = ERR_NONE;
    struct intent i = { .peer = VIEW("") };
    enum settle_act act = SETTLE_NOTHING;
    bool known = s->intent.p && intent_parse(s->intent, &i, NULL) == RC_OK;
    rc result = settle_subject(x->r, x->rules, s, &act, &why);
    const struct settle_report report = { .act = result == RC_OK ? act : SETTLE_FAILED,
                                          .uid = s->uid,
                                          .name = s->name,
                                          .intent = s->intent,
                                          .node = known ? i.peer : VIEW(""),
                                          .text = result == RC_OK ? "" : why.text };
    settle_tell(x->rules, x->counts, &report);
    return true;
}

/* To every directory process: doctor may ask any of them. One that is away hears the next round. */
static void say_so(struct reach *r, const struct settle_counts *counts)
{
    char body[48];
    snprintf(body, sizeof body, "{\"failed\":%zu}", counts->failed);
    for (size_t i = 0; i < ask_directories(r->ask); i++) {
        struct answer a = { .status = 0 };
        struct err unused = ERR_NONE;
        rc ignored = ask_directory_at(r->ask, i, "POST", "settled", view_of(body), &a, &unused);
        (void)ignored;
        answer_done(&a);
    }
}

/* The directory does it; one of an older version knows no such thing. */
static void sweep(struct reach *r, const struct settle_rules *rules, struct settle_counts *counts)
{
    struct answer a = { .status = 0 };
    struct err why = ERR_NONE;
    const struct reach_call c = { .method = "POST", .path = "sweep", .body = VIEW_NONE };
    rc result = reach_directory(r, &c, &a, &why);
    answer_done(&a);
    if (result == RC_OK || result == RC_NOT_FOUND)
        return;
    settle_tell(rules, counts,
                &(struct settle_report){ .act = SETTLE_FAILED,
                                         .name = VIEW(""),
                                         .intent = VIEW("sweep"),
                                         .node = VIEW(""),
                                         .text = why.text });
}

rc settle_round(struct reach *r, const struct settle_rules *rules, struct settle_counts *out, struct err *e)
{
    struct round x = { .r = r, .rules = rules, .counts = out };
    *out = (struct settle_counts){ 0 };
    TRY(subjects_each(r, "accounts?intent=1", settle_one, &x, e));
    TRY(settle_erases(r, rules, out, e));
    if (rules->dry_run)
        return RC_OK;
    sweep(r, rules, out);
    say_so(r, out);
    return RC_OK;
}
