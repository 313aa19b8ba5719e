/* Erasing what accounts left behind that were deleted or got another number: on the node that the directory names, and wherever else a
 * move had brought it. What goes first, what may wait: docs/internal-api.md, "Erasing". */
#include <inttypes.h>

#include "admin/move/settle.h"
#include "common/base/clock.h"

/* "NODE UID EPOCH MS", of a live account, or the same as an object, of a deleted one. */
struct erase {
    view node;
    int64_t uid, epoch, since_ms;
    view text;                /* of a live account: the value */
    const struct subject *of; /* NULL: the account is gone */
    bool seat;                /* it had a seat on that node */
};

struct purge {
    struct reach *r;
    const struct settle_rules *rules;
    struct settle_counts *counts;
    size_t done;
};

/* ---- one head ---- */

static rc drop_half(struct reach *r, view node, const struct head_seen *h, struct err *e)
{
    view move = view_of(h->move);
    if (strcmp(h->state, "frozen") == 0)
        return head_step_ask(r, node, "thaw", h->uid, move, h->epoch, NULL, NULL, e);
    if (strcmp(h->state, "importing") == 0 || strcmp(h->state, "ready") == 0)
        return head_step_ask(r, node, "drop", h->uid, move, h->epoch - 1, NULL, NULL, e);
    return RC_OK;
}

/* The number belongs to nobody, and is never given again: so whatever state a broken move left it in, it goes. */
static rc erase_head(struct reach *r, view node, const struct erase *x, bool named, struct err *e)
{
    struct head_seen h;
    char move[40];
    snprintf(move, sizeof move, "erase-%" PRId64, x->uid);
    TRY(head_ask(r, node, x->uid, &h, e));
    if (strcmp(h.state, "none") == 0 && !named)
        return RC_OK;
    TRY(drop_half(r, node, &h, e));
    bool active = strcmp(h.state, "active") == 0 || strcmp(h.state, "frozen") == 0; /* thawed by now */
    int64_t epoch = active || h.epoch > x->epoch ? h.epoch : x->epoch;
    return head_step_ask(r, node, "erase", x->uid, view_of(move), epoch, NULL, NULL, e);
}

/* ---- all nodes ---- */

struct sweep {
    struct purge *p;
    const struct erase *x;
    bool found; /* the node that is named */
    bool down;
    rc result;
    struct err *e;
};

static bool visit_node(void *arg, json_t *line)
{
    struct sweep *s = arg;
    view name = json_text(json_object_get(line, "name"));
    bool named = view_eq(name, s->x->node);
    struct err why = ERR_NONE;
    s->found = s->found || named;
    if (named)
        s->down = view_eq(json_text(json_object_get(line, "state")), VIEW("down"));
    rc result = erase_head(s->p->r, name, s->x, named, &why);
    if (named && result != RC_OK && !(s->down && s->p->rules->force))
        s->result = fail(s->e, result, RESP_GENERIC, "%s", why.text);
    return true; /* a third node that is away has, if at all, what its own sweep erases */
}

static rc erase_everywhere(struct purge *p, const struct erase *x, struct err *e)
{
    struct sweep s = { .p = p, .x = x, .result = RC_OK, .e = e };
    TRY(lines_each(p->r, VIEW_NONE, "nodes", visit_node, &s, e));
    if (s.result == RC_OK &&
        !s.found) /* its entry is gone, so it has nothing to do any more; but be sure of it */
        return node_is_gone(p->r, x->node, e);
    return s.result;
}

/* ---- one erase ---- */

static rc post(struct reach *r, const char *path, view body, struct err *e)
{
    struct answer a = { .status = 0 };
    const struct reach_call c = { .method = "POST", .path = path, .body = body };
    rc result = reach_directory(r, &c, &a, e);
    answer_done(&a);
    return result;
}

/* The note goes before the seat comes back: a seat lost in between is the smaller harm than one given twice. */
static rc forget(struct purge *p, const struct erase *x, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    if (x->of) {
        const struct swap gone = { "heddleErase", x->text, VIEW_NONE };
        rc result = subject_cas(p->r, x->of->uid, &gone, 1, e);
        return result == RC_CONFLICT || result == RC_NOT_FOUND ? RC_OK : result;
    }
    buf_addf(&path, "erases/%" PRId64 "/done", x->uid);
    rc result = post(p->r, buf_text(&path), VIEW_NONE, e);
    if (result == RC_NOT_FOUND)
        return RC_OK; /* somebody else did, the seat too */
    TRY(result);
    if (!x->seat)
        return RC_OK;
    buf_clear(&path);
    buf_addf(&path, "nodes/%.*s/seats", VIEW_ARG(x->node));
    result = post(p->r, buf_text(&path), VIEW("{\"give\":1}"), e);
    return result == RC_NOT_FOUND ? RC_OK : result;
}

static rc nobody_has(struct purge *p, const struct erase *x, struct err *e)
{
    SCOPED(subject_done) struct subject s = { .uid = 0 };
    rc result = subject_get_uid(p->r, x->uid, &s, e);
    if (result == RC_NOT_FOUND)
        return RC_OK;
    TRY(result);
    return fail(e, RC_CONFLICT, RESP_GENERIC, "uid %" PRId64 " belongs to a live account: nothing is erased",
                x->uid);
}

static rc erase_one(struct purge *p, const struct erase *x, enum settle_act *out, struct err *e)
{
    int64_t age_ms = clock_now_us(p->r->clock) / 1000 - x->since_ms;
    *out = SETTLE_WAITS;
    if (age_ms < p->rules->grace_s * 1000)
        return RC_OK;
    TRY(nobody_has(p, x, e));
    *out = SETTLE_WOULD;
    p->done++;
    if (p->rules->dry_run)
        return RC_OK;
    TRY(erase_everywhere(p, x, e));
    TRY(forget(p, x, e));
    *out = SETTLE_ERASED;
    return RC_OK;
}

static bool go_on(const struct purge *p)
{
    return p->rules->most == 0 || p->done < p->rules->most;
}

static void handle(struct purge *p, const struct erase *x)
{
    struct err why = ERR_NONE;
    enum settle_act act = SETTLE_NOTHING;
    rc result = erase_one(p, x, &act, &why);
    const struct settle_report report = { .act = result == RC_OK ? act : SETTLE_FAILED,
                                          .uid = x->uid,
                                          .name = x->of ? x->of->name : VIEW_NONE,
                                          .intent = VIEW("erase"),
                                          .node = x->node,
                                          .text = result == RC_OK ? "" : why.text };
    settle_tell(p->rules, p->counts, &report);
}

static bool visit_deleted(void *arg, json_t *line)
{
    struct purge *p = arg;
    const struct erase x = { .node = json_text(json_object_get(line, "node")),
                             .uid = json_integer_value(json_object_get(line, "uid")),
                             .epoch = json_integer_value(json_object_get(line, "epoch")),
                             .since_ms = json_integer_value(json_object_get(line, "since")),
                             .seat = json_is_true(json_object_get(line, "seat")) };
    if (x.uid > 0 && x.epoch > 0)
        handle(p, &x);
    return go_on(p);
}

static bool number(view *rest, int64_t *out)
{
    view text;
    uint64_t n;
    if (!view_cut(rest, ' ', &text) || !view_to_u64(text, INT64_MAX, &n))
        return false;
    *out = (int64_t)n;
    return true;
}

static bool visit_live(void *arg, const struct subject *s)
{
    struct purge *p = arg;
    const json_t *list = json_object_get(s->entry, "erases"), *value;
    size_t i;
    json_array_foreach (list, i, value) {
        struct erase x = { .text = json_text(value), .of = s };
        view rest = x.text;
        if (!go_on(p))
            return false;
        if (view_cut(&rest, ' ', &x.node) && number(&rest, &x.uid) && number(&rest, &x.epoch) &&
            number(&rest, &x.since_ms) && x.uid > 0 && x.epoch > 0)
            handle(p, &x);
    }
    return true;
}

rc settle_erases(struct reach *r, const struct settle_rules *rules, struct settle_counts *counts,
                 struct err *e)
{
    struct purge p = { .r = r, .rules = rules, .counts = counts };
    TRY(lines_each(r, VIEW_NONE, "erases", visit_deleted, &p, e));
    if (!go_on(&p))
        return RC_OK;
    return subjects_each(r, "accounts?erase=1", visit_live, &p, e);
}

struct wanted {
    int64_t uid;
    json_t *line; /* a reference */
};

static bool find_deleted(void *arg, json_t *line)
{
    struct wanted *w = arg;
    if (json_integer_value(json_object_get(line, "uid")) == w->uid)
        w->line = json_incref(line);
    return !w->line;
}

rc settle_erase_of(struct reach *r, const struct settle_rules *rules, int64_t uid, enum settle_act *out,
                   struct err *e)
{
    struct purge p = { .r = r, .rules = rules };
    struct wanted w = { .uid = uid };
    SCOPED(buf_done) struct buf list = { 0 };
    *out = SETTLE_NOTHING;
    buf_addf(&list, "erases?after=%" PRId64, uid - 1);
    TRY(lines_each(r, VIEW_NONE, buf_text(&list), find_deleted, &w, e));
    if (!w.line)
        return RC_OK;
    SCOPED(json_decref) json_t *line = w.line;
    const struct erase x = { .node = json_text(json_object_get(line, "node")),
                             .uid = uid,
                             .epoch = json_integer_value(json_object_get(line, "epoch")),
                             .since_ms = json_integer_value(json_object_get(line, "since")) };
    return erase_one(&p, &x, out, e);
}
