/* Runs: all of this host, whoever started them, and one of them live. What is shown is in the journal, and so is the same for everybody. */
#include <inttypes.h>

#include "admin/console/inside.h"
#include "admin/run/run.h"
#include "common/base/clock.h"

enum { LISTED = 30, SHOWN = 64, BEGIN_TRIES = 60, BEGIN_WAIT_MS = 50 };

static const char *const state_words[] = {
    [RUN_RUNNING] = N_("running"), [RUN_WAITING] = N_("waiting"),     [RUN_PAUSED] = N_("paused"),
    [RUN_STOPPED] = N_("stopped"), [RUN_CANCELLED] = N_("cancelled"), [RUN_DONE] = N_("done"),
    [RUN_PARTLY] = N_("partly"),
};

static view state_text(const struct page *p, enum run_state s)
{
    return words_find(p->words, state_words[s]);
}

/* ---- what is taken out of a journal, under its lock ---- */

struct picture {
    struct arena *a;
    view id, kind, node, user[SHOWN], from[SHOWN], to[SHOWN], bad_user[SHOWN], bad_why[SHOWN];
    enum run_state state;
    int64_t made_ms, moves, done, failed, skipped, begun, bytes, bytes_planned;
    size_t n_begun, n_bad;
};

static void take_move(struct picture *x, const struct run_move *m)
{
    x->done += m->state == RUN_MOVE_DONE;
    x->skipped += m->state == RUN_MOVE_SKIPPED;
    x->failed += m->state == RUN_MOVE_GIVEN_UP;
    x->begun += m->state == RUN_MOVE_BEGUN;
    x->bytes += (int64_t)m->bytes;
    x->bytes_planned += m->bytes_planned;
    if (m->state == RUN_MOVE_BEGUN && x->n_begun < SHOWN) {
        x->user[x->n_begun] = arena_copy(x->a, view_of(m->user));
        x->from[x->n_begun] = arena_copy(x->a, view_of(m->from));
        x->to[x->n_begun++] = arena_copy(x->a, view_of(m->to));
    }
    if (m->why[0] && m->state != RUN_MOVE_DONE && x->n_bad < SHOWN) {
        x->bad_user[x->n_bad] = arena_copy(x->a, view_of(m->user));
        x->bad_why[x->n_bad++] = arena_copy(x->a, view_of(m->why));
    }
}

static void take_picture(void *arg, const struct journal *j)
{
    struct picture *x = arg;
    const json_t *plan = json_object_get(j->head, "plan");
    x->id = arena_copy(x->a, view_of(j->id));
    x->kind = arena_copy(x->a, member(plan, "kind"));
    x->node = arena_copy(x->a, member(plan, "node"));
    x->state = j->state;
    x->made_ms = j->made_ms;
    x->moves = (int64_t)j->n_moves;
    for (size_t i = 0; i < j->n_moves; i++)
        take_move(x, &j->moves[i]);
}

static rc picture_of(struct page *p, view id, struct picture **out, struct err *e)
{
    struct picture *x = arena_zero(p->a, sizeof(*x));
    x->a = p->a;
    TRY(follow_run(look(p)->c->follow, arena_cstr(p->a, id), take_picture, x, e));
    *out = x;
    return RC_OK;
}

/* ---- one ---- */

static void figure(struct page *p, const char *id, view label, view value)
{
    HTML(p->b, "<div class=\"figure\"><dt>{}</dt><dd id=\"{}\">{}</dd></div>\n", label, view_of(id), value);
}

static void put_begun(struct page *p, const struct picture *x)
{
    static const char *const columns[] = { N_("User"), N_("From"), N_("To"), NULL };
    if (x->n_begun == 0)
        return;
    table_begin(p, T("Users on their way"), columns);
    for (size_t i = 0; i < x->n_begun; i++) {
        HTML(p->b, "<tr><th scope=\"row\">{}</th>", x->user[i]);
        cell(p, x->from[i]);
        cell(p, x->to[i]);
        HTML(p->b, "</tr>\n");
    }
    table_end(p);
}

static void put_bad(struct page *p, const struct picture *x)
{
    static const char *const columns[] = { N_("User"), N_("Why"), NULL };
    if (x->n_bad == 0)
        return;
    table_begin(p, T("What did not go well so far"), columns);
    for (size_t i = 0; i < x->n_bad; i++) {
        HTML(p->b, "<tr><th scope=\"row\">{}</th><td class=\"long\" lang=\"en\">{}</td></tr>\n",
             x->bad_user[i], x->bad_why[i]);
    }
    table_end(p);
}

static rc put_progress(struct page *p, struct err *e)
{
    struct picture *x = NULL;
    TRY(picture_of(p, p->rq->params[0], &x, e));
    int64_t ended = x->done + x->skipped + x->failed;
    if (run_is_over(x->state))
        HTML(p->b, "<span hidden data-over></span>\n");
    HTML(p->b, "<p class=\"run-state state state-{}\" id=\"run-state\">{}</p>\n",
         view_of(run_state_name(x->state)), state_text(p, x->state));
    HTML(
        p->b,
        "<p><label for=\"progress\">{}</label><progress id=\"progress\" max=\"{}\" value=\"{}\"></progress></p>\n",
        arena_text(p->a, "%" PRId64 " / %" PRId64, ended, x->moves),
        arena_text(p->a, "%" PRId64, x->moves > 0 ? x->moves : 1), arena_text(p->a, "%" PRId64, ended));
    HTML(p->b, "<dl class=\"figures\">\n");
    figure(p, "run-done", T("Moved"), number_text(p->a, x->done));
    figure(p, "run-moving", T("On their way"), number_text(p->a, x->begun));
    figure(p, "run-left", T("Left"), number_text(p->a, x->moves - ended));
    figure(p, "run-skipped", T("Skipped"), number_text(p->a, x->skipped));
    figure(p, "run-failed", T("Failed"), number_text(p->a, x->failed));
    figure(p, "run-bytes", T("Data carried"), size_text(p->a, x->bytes));
    HTML(p->b, "</dl>\n");
    put_begun(p, x);
    put_bad(p, x);
    return RC_OK;
}

static void put_controls(struct page *p, const struct picture *x)
{
    static const struct {
        const char *act, *label;
        bool dangerous;
    } acts[] = { { "pause", N_("Pause"), false },
                 { "resume", N_("Go on"), false },
                 { "cancel", N_("Stop for good"), true } };
    const char *path = arena_text(p->a, "/runs/%.*s", VIEW_ARG(x->id)).p;
    if (!may(p, ROLE_ADMIN) || run_is_over(x->state))
        return;
    HTML(p->b, "<div class=\"acts\" data-until-over>\n");
    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
        button_form(p, arena_text(p->a, "%s/%s", path, acts[i].act).p, NULL, VIEW_NONE,
                    words_find(p->words, acts[i].label), acts[i].dangerous);
    HTML(p->b, "</div>\n");
}

rc show_run(struct page *p, struct err *e)
{
    struct picture *x = NULL;
    view id = p->rq->params[0];
    TRY(picture_of(p, id, &x, e));
    console_head(p, text_with(p, N_("Run {}"), x->id));
    HTML(p->b, "<p>{} {} · {}</p>\n", x->kind, x->node.p ? x->node : VIEW(""), time_text(p->a, x->made_ms));
    put_controls(p, x);
    live_begin(p, arena_text(p->a, "/live/runs/%.*s", VIEW_ARG(id)).p);
    TRY(put_progress(p, e));
    live_end(p);
    console_foot(p);
    return RC_OK;
}

rc live_run(struct page *p, struct err *e)
{
    return live_reply(p, put_progress, 1000, e);
}

/* ---- all ---- */

static void put_row(struct page *p, const struct picture *x)
{
    HTML(p->b, "<tr><th scope=\"row\"><a href=\"{}\">{}</a></th>",
         here(p, arena_text(p->a, "/runs/%.*s", VIEW_ARG(x->id)).p), x->id);
    HTML(p->b, "<td><span class=\"state state-{}\">{}</span></td>", view_of(run_state_name(x->state)),
         state_text(p, x->state));
    cell(p, x->kind);
    cell(p, x->node);
    cell(p, time_text(p->a, x->made_ms));
    HTML(p->b, "<td class=\"number\">{}", arena_text(p->a, "%" PRId64 " / %" PRId64, x->done, x->moves));
    chart_bar(p, (double)x->done, (double)x->moves, text_with(p, N_("Users moved by {}"), x->id));
    HTML(p->b, "</td>");
    cell_number(p, number_text(p->a, x->failed));
    cell_number(p, size_text(p->a, x->bytes));
    HTML(p->b, "</tr>\n");
}

rc show_runs(struct page *p, struct err *e)
{
    static const char *const columns[] = { N_("Run"),   N_("State"),  N_("Kind"), N_("Node"), N_("Made"),
                                           N_("Moved"), N_("Failed"), N_("Data"), NULL };
    SCOPED(json_decref) json_t *ids = NULL;
    TRY(journal_list(look(p)->c->admin, &ids, e));
    console_head(p, T("Runs"));
    size_t n = json_array_size(ids);
    if (n == 0)
        HTML(p->b, "<p>{}</p>\n", T("There was no run yet. A plan is where one begins."));
    else
        table_begin(p, T("Runs, youngest first; at most thirty are shown"), columns);
    for (size_t i = 0; i < n && i < LISTED; i++) {
        struct picture *x = NULL;
        struct err why = ERR_NONE;
        if (picture_of(p, json_text(json_array_get(ids, n - 1 - i)), &x, &why) == RC_OK)
            put_row(p, x);
    }
    if (n > 0)
        table_end(p);
    console_foot(p);
    return RC_OK;
}

/* ---- its controls ---- */

/* The process needs a moment to take the journal over; on a very busy machine the page shows "stopped" until then. */
void await_begun(struct page *p, view id)
{
    for (int i = 0; i < BEGIN_TRIES; i++) {
        struct picture *x = NULL;
        struct err e = ERR_NONE;
        if (picture_of(p, id, &x, &e) != RC_OK || x->state != RUN_STOPPED)
            return;
        clock_sleep_ms(BEGIN_WAIT_MS);
    }
}

rc do_run(struct page *p, struct err *e)
{
    SCOPED(act_done) struct act x = { 0 };
    const char *id = arena_cstr(p->a, p->rq->params[0]), *act = strrchr(p->rq->route->path, '/') + 1;
    const char *const args[] = { id, NULL }, *const resume[] = { "run", "resume", id, "--json", NULL };
    struct picture *now = NULL;
    TRY(picture_of(p, p->rq->params[0], &now, e));
    if (strcmp(act, "resume") == 0) { /* it may be that nobody runs it any more: then that process does */
        TRY(start_command(p, resume, e));
        await_begun(p, p->rq->params[0]);
    } else {
        TRY(act_run(p, arena_text(p->a, "run %s", act).p, NULL, args, &x, e));
        TRY(act_result(&x, e));
    }
    return go_done(p, arena_text(p->a, "/runs/%s", id).p, "asked");
}
