#include "admin/run/run_show.h"

#include <inttypes.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "admin/show.h"

enum { LINE_EVERY_US = 5000000, RATE_OVER_US = 3000000, STUCK_US = 15000000, BAR = 24, WIDTH_DEFAULT = 100 };

/* ---- figures ---- */

/* By users and by bytes, whichever is slower: many small users at the end take as long as few big ones at the beginning. */
int64_t run_left_s(const struct run_view *v)
{
    size_t ended = v->done + v->skipped + v->failed, all = v->journal->n_moves;
    double part = all > 0 ? (double)ended / (double)all : 1;
    if (v->bytes_planned > 0) {
        double by_bytes = (double)v->bytes_done_planned / (double)v->bytes_planned;
        part = by_bytes < part ? by_bytes : part;
    }
    if (part <= 0 || v->elapsed_us < 1000000)
        return -1;
    return (int64_t)((double)v->elapsed_us / 1e6 * (1 - part) / part);
}

static void look_at_rate(struct run_screen *s, const struct run_view *v)
{
    if (s->rate_at_us == 0 || v->bytes < s->rate_bytes) {
        s->rate_at_us = v->now_us;
        s->rate_bytes = v->bytes;
    } else if (v->now_us - s->rate_at_us >= RATE_OVER_US) {
        s->rate = (double)(v->bytes - s->rate_bytes) * 1e6 / (double)(v->now_us - s->rate_at_us);
        s->rate_at_us = v->now_us;
        s->rate_bytes = v->bytes;
    }
}

static bool is_stuck(const struct run_view *v, const struct run_slot *s)
{
    return s->busy && v->now_us - s->since_us > STUCK_US;
}

static const char *stuck_at(const struct run_slot *s)
{
    if (s->note[0])
        return s->note;
    switch (s->phase) {
    case MOVE_PAUSE:
        return "waits for an upload of his to end";
    case MOVE_WARM:
        return "nothing is carried: a node is slow, or we hold back for one";
    case MOVE_FREEZE:
    case MOVE_REST:
    case MOVE_SEAL:
        return "waits for a node";
    default:
        return "waits for a node or the directory";
    }
}

static void put_summary(struct buf *b, const struct run_screen *s, const struct run_view *v)
{
    int64_t left = run_left_s(v);
    size_t ended = v->done + v->skipped + v->failed;
    buf_addf(b, "%zu/%zu users  %" PRIu64 " records  ", ended, v->journal->n_moves, v->items);
    show_bytes(b, (int64_t)v->bytes);
    buf_add(b, VIEW("  "));
    show_bytes(b, (int64_t)s->rate);
    buf_addf(b, "/s  moving %zu", v->moving);
    if (v->failed > 0)
        buf_addf(b, "  failed %zu", v->failed);
    if (left >= 0 && v->state == RUN_RUNNING) {
        buf_add(b, VIEW("  left "));
        show_seconds(b, left);
    }
    if (v->state != RUN_RUNNING)
        buf_addf(b, "  %s%s%s%s", run_state_name(v->state), v->why[0] ? " (" : "", v->why,
                 v->why[0] ? ")" : "");
}

static void put_slot(struct buf *b, const struct run_view *v, const struct run_slot *s)
{
    const struct run_move *m = &v->journal->moves[s->move];
    SCOPED(json_decref) json_t *user = json_string(m->user);
    show_value(b, user, COLUMN_TEXT);
    buf_addf(b, "  %s → %s  %s  %" PRIu64 " records ", m->from, m->to, move_phase_name(s->phase), s->items);
    show_bytes(b, (int64_t)s->bytes);
    if (is_stuck(v, s)) {
        buf_add(b, VIEW("  stuck "));
        show_seconds(b, (v->now_us - s->since_us) / 1000000);
        buf_addf(b, ": %s", stuck_at(s));
    }
}

/* ---- a terminal ---- */

static size_t width(void)
{
    struct winsize w;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : WIDTH_DEFAULT;
}

static void wipe(struct run_screen *s)
{
    if (s->drawn > 0)
        fprintf(s->a->out, "\033[%zuA\r\033[J", s->drawn);
    s->drawn = 0;
}

/* At most one line of the terminal: a longer one would wrap, and be wiped wrongly. */
static void draw_line(struct run_screen *s, view line, enum colour c)
{
    size_t most = width() - 1, n = 0, shown = 0;
    while (n < line.n && shown < most) {
        n++;
        while (n < line.n && ((unsigned char)line.p[n] & 0xc0) == 0x80)
            n++;
        shown++;
    }
    fprintf(s->a->out, "%s%.*s%s\n", colour_on(s->a, c), (int)n, line.p, c ? colour_off(s->a) : "");
    s->drawn++;
}

static void draw(struct run_screen *s, const struct run_view *v)
{
    SCOPED(buf_done) struct buf line = { 0 };
    size_t all = v->journal->n_moves, ended = v->done + v->skipped + v->failed,
           full = all > 0 ? BAR * ended / all : BAR;
    wipe(s);
    buf_addc(&line, '[');
    for (size_t i = 0; i < BAR; i++)
        buf_addc(&line, i < full ? '#' : '.');
    buf_addf(&line, "] %3zu %%  ", all > 0 ? 100 * ended / all : 100);
    put_summary(&line, s, v);
    draw_line(s, buf_view(&line), v->failed > 0 ? COLOUR_YELLOW : COLOUR_BOLD);
    for (size_t i = 0; i < v->n_slots; i++) {
        SCOPED(buf_done) struct buf slot = { 0 };
        if (!v->slots[i].busy)
            continue;
        buf_add(&slot, VIEW("  "));
        put_slot(&slot, v, &v->slots[i]);
        draw_line(s, buf_view(&slot), is_stuck(v, &v->slots[i]) ? COLOUR_YELLOW : COLOUR_NONE);
    }
    fflush(s->a->out);
}

/* ---- lines, events ---- */

static void print_json(const struct run_screen *s, json_t *o)
{
    show_object(s->a, o, NULL);
    fflush(s->a->out);
    json_decref(o);
}

static json_t *stuck_json(const struct run_view *v)
{
    json_t *list = json_array();
    for (size_t i = 0; i < v->n_slots; i++)
        if (is_stuck(v, &v->slots[i]))
            json_array_append_new(list, json_pack("{s:s,s:s,s:I,s:s}", "user",
                                                  v->journal->moves[v->slots[i].move].user, "phase",
                                                  move_phase_name(v->slots[i].phase), "for_s",
                                                  (json_int_t)((v->now_us - v->slots[i].since_us) / 1000000),
                                                  "why", stuck_at(&v->slots[i])));
    return list;
}

static void tell_json(struct run_screen *s, const struct run_view *v)
{
    int64_t left = run_left_s(v);
    print_json(s,
               json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:I,s:o}", "event", "progress",
                         "run", v->journal->id, "state", run_state_name(v->state), "why", v->why, "moves",
                         (json_int_t)v->journal->n_moves, "done", (json_int_t)v->done, "failed",
                         (json_int_t)v->failed, "skipped", (json_int_t)v->skipped, "moving",
                         (json_int_t)v->moving, "items", (json_int_t)v->items, "bytes", (json_int_t)v->bytes,
                         "bytes_s", s->rate, "left_s", (json_int_t)left, "stuck", stuck_json(v)));
}

static void tell_lines(struct run_screen *s, const struct run_view *v)
{
    SCOPED(buf_done) struct buf line = { 0 };
    put_summary(&line, s, v);
    fprintf(s->a->out, "%s\n", buf_text(&line));
    for (size_t i = 0; i < v->n_slots; i++) {
        SCOPED(buf_done) struct buf slot = { 0 };
        if (!is_stuck(v, &v->slots[i]))
            continue;
        put_slot(&slot, v, &v->slots[i]);
        fprintf(s->a->out, "  %s\n", buf_text(&slot));
    }
    fflush(s->a->out);
}

/* ---- slots ---- */

void run_screen_tick(void *arg, const struct run_view *v)
{
    struct run_screen *s = arg;
    look_at_rate(s, v);
    if (s->a->terminal && !s->a->json) {
        draw(s, v);
        return;
    }
    if (s->told_us != 0 && v->now_us - s->told_us < LINE_EVERY_US)
        return;
    s->told_us = v->now_us;
    if (s->a->json)
        tell_json(s, v);
    else
        tell_lines(s, v);
}

static const char *ended_word(enum run_move_state s)
{
    return s == RUN_MOVE_DONE       ? "moved"
           : s == RUN_MOVE_SKIPPED  ? "skipped"
           : s == RUN_MOVE_GIVEN_UP ? "failed"
                                    : "again";
}

void run_screen_ended(void *arg, const struct journal *j, size_t i)
{
    struct run_screen *s = arg;
    const struct run_move *m = &j->moves[i];
    const char *word = ended_word(m->state);
    if (s->a->json) {
        print_json(s, json_pack("{s:s,s:s,s:s,s:I,s:s,s:s,s:I,s:I,s:I,s:I,s:s}", "event", word, "run", j->id,
                                "user", m->user, "uid", (json_int_t)m->uid, "from", m->from, "to", m->to,
                                "items", (json_int_t)m->items, "bytes", (json_int_t)m->bytes, "frozen_ms",
                                (json_int_t)(m->frozen_us / 1000), "held_back_ms",
                                (json_int_t)(m->held_us / 1000), "why", m->why));
        return;
    }
    if (s->a->terminal && m->state == RUN_MOVE_DONE)
        return;
    wipe(s);
    SCOPED(json_decref) json_t *user = json_string(m->user);
    SCOPED(buf_done) struct buf line = { 0 };
    buf_addf(&line, "%s ", word);
    show_value(&line, user, COLUMN_TEXT);
    buf_addf(&line, "  %s → %s", m->from, m->to);
    if (m->why[0])
        buf_addf(&line, ": %s", m->why);
    fprintf(s->a->out, "%s\n", buf_text(&line));
    fflush(s->a->out);
}

void run_screen_end(struct run_screen *s, const struct journal *j)
{
    json_t *summary = journal_summary(j);
    if (s->a->json) {
        json_object_set_new(summary, "event", json_string("end"));
        print_json(s, summary);
        return;
    }
    fprintf(s->a->out, "Run %s: %s.\n", j->id, run_state_name(j->state));
    if (j->state == RUN_STOPPED || j->state == RUN_PARTLY)
        fprintf(s->a->out, "What is left is done by: heddle-admin run resume %s\n", j->id);
    json_decref(summary);
}
