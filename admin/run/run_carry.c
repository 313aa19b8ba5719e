/* One move of a run, by one of its workers: what was left half done is cleared up, the user is moved, and what changed is noted. */
#include "admin/run/inside.h"

#include <stdio.h>

#include "admin/audit/audit.h"
#include "admin/lb/lb.h"
#include "admin/move/settle.h"

static void on_progress(void *arg, const struct move_progress *p)
{
    struct worker *w = arg;
    struct run *r = w->run;
    struct err e = ERR_NONE;
    pthread_mutex_lock(&r->lock);
    struct run_slot *s = w->slot;
    if (s->phase != p->phase || s->bytes != p->bytes || s->items != p->items)
        s->since_us = clock_mono_us(r->clock);
    s->phase = p->phase;
    s->items = p->items;
    s->bytes = p->bytes;
    snprintf(s->note, sizeof(s->note), "%s", p->note);
    if (p->phase == MOVE_INTEND) { /* before the intent is written: so a resumed run knows it as its own */
        snprintf(w->m->move, sizeof(w->m->move), "%.*s", VIEW_ARG(p->move));
        rc res = journal_add_move(r->j, w->i, "begun", &e);
        if (res != RC_OK)
            run_broke(r, res, &e);
    }
    pthread_mutex_unlock(&r->lock);
}

static bool is_cancelled(void *arg)
{
    struct worker *w = arg;
    pthread_mutex_lock(&w->run->lock);
    bool undo = w->run->undo || w->run->broken != RC_OK;
    pthread_mutex_unlock(&w->run->lock);
    return undo;
}

static int64_t throttle(void *arg, uint64_t bytes, int64_t source_us, int64_t target_us)
{
    struct worker *w = arg;
    int64_t us =
        ease_wait_us(w->run->ease, view_of(w->m->from), view_of(w->m->to), bytes, source_us, target_us);
    w->eased_us += us;
    w->paged_us += source_us + target_us;
    return us;
}

/* What an earlier life of this run, or somebody else whose time is over, left half done. */
static rc clear_up(struct reach *reach, const struct run_move *m, const struct subject *s, struct err *e)
{
    struct intent i;
    enum settle_act act;
    if (!s->intent.p)
        return RC_OK;
    TRY(intent_parse(s->intent, &i, e));
    const struct settle_rules rules = { .at_once = m->move[0] && view_eq(i.move, view_of(m->move)) };
    TRY(settle_subject(reach, &rules, s, &act, e));
    return act == SETTLE_WAITS
               ? fail(e, RC_CONFLICT, RESP_GENERIC, "another move has him: %.*s", VIEW_ARG(s->intent))
               : RC_OK;
}

/* RC_NOT_FOUND: the plan does not fit any more. */
static rc still_fits(struct worker *w, struct reach *reach, struct subject *s, struct err *e)
{
    const struct run_move *m = w->m;
    TRY(subject_get_uid(reach, m->uid, s, e));
    if (s->intent.p) {
        TRY(clear_up(reach, m, s, e));
        TRY(subject_get_uid(reach, m->uid, s, e));
    }
    if (!view_eq(s->node, view_of(m->from)) && !view_eq(s->node, view_of(m->to)))
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "he lives on %.*s by now", VIEW_ARG(s->node));
    return RC_OK;
}

/* The balancer in front lets him wait; the threads of a run may do so side by side. */
static void on_cut_over(void *arg, const struct move_progress *p, bool begin)
{
    struct worker *w = arg;
    lb_cut_over(w->run->conf, w->ask, p->uid, p->name, begin);
}

static rc carry_out(struct worker *w, struct err *e)
{
    struct run *r = w->run;
    struct run_move *m = w->m;
    struct reach reach = { .ask = w->ask, .clock = r->clock };
    SCOPED(subject_done) struct subject before = { 0 };
    SCOPED(subject_done) struct subject after = { 0 };
    SCOPED(buf_done) struct buf who = { 0 };
    struct run_change change = { .move = m };
    struct move_progress p = { .note = "" };
    const struct move_watch watch = { .progress = on_progress,
                                      .cancelled = is_cancelled,
                                      .throttle_us = throttle,
                                      .cut_over = on_cut_over,
                                      .arg = w };

    TRY(still_fits(w, &reach, &before, e));
    buf_add_i64(&who, m->uid);
    const struct move_options o = { .who = buf_view(&who),
                                    .to = view_of(m->to),
                                    .skew_ms = r->o->skew_s * 1000,
                                    .lease_s = MOVE_LEASE_S,
                                    .pause_s = MOVE_PAUSE_S,
                                    .pause_most_s = MOVE_PAUSE_MOST_S,
                                    .watch = &watch };
    rc result = move_user(&reach, &o, &p, e);
    m->items = p.items;
    m->bytes = p.bytes;
    m->frozen_us = p.frozen_us;
    TRY(result);
    TRY(subject_get_uid(&reach, m->uid, &after, e));
    audit_digest_place(&before, change.before);
    audit_digest_place(&after, change.after);
    audit_data_of_move(&reach, &before, &after, change.data_before, change.data_after);
    struct err why = ERR_NONE;
    rc noted = r->note(r->note_arg, &change, &why);
    if (noted != RC_OK) {
        pthread_mutex_lock(&r->lock);
        run_broke(r, noted, &why);
        pthread_mutex_unlock(&r->lock);
    }
    return RC_OK;
}

/* What a move costs beside its pages is paid for when it is over: nobody shall be refused for longer because we hold back. */
rc run_carry(struct worker *w, int64_t *out_rest_us, struct err *e)
{
    const struct run *r = w->run;
    view from = view_of(w->m->from), to = view_of(w->m->to);
    int64_t begun_us = clock_mono_us(r->clock);
    w->eased_us = w->paged_us = 0;
    ease_takes_part(r->ease, from, to, true);
    rc result = carry_out(w, e);
    int64_t busy_us = clock_mono_us(r->clock) - begun_us - w->eased_us - w->paged_us;
    *out_rest_us = ease_rest_us(r->ease, from, to, busy_us > 0 ? busy_us : 0);
    w->m->held_us = w->eased_us + *out_rest_us;
    ease_takes_part(r->ease, from, to, false);
    return result;
}
