#include "admin/run/plan_doc.h"

#include <inttypes.h>
#include <math.h>

#include "admin/folder.h"
#include "admin/show.h"
#include "admin/subject.h"
#include "admin/verbs.h"
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"

enum { PLAN_BYTES_MAX = 512 << 20, PLAN_VERSION = 1 };

static const char *const kinds[] = { [PLAN_REBALANCE] = "rebalance",
                                     [PLAN_DRAIN] = "drain",
                                     [PLAN_DECOMMISSION] = "decommission",
                                     [PLAN_MOVE] = "move" };

const char *plan_kind_name(enum plan_kind k)
{
    return kinds[k];
}

/* ---- making ---- */

/* Records and bytes as the node counts them; the head has an upper bound of the bytes alone. */
static rc count_items(struct ask *a, view node, int64_t uid, int64_t *out_items, int64_t *out_bytes,
                      struct err *e)
{
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    SCOPED(json_decref) json_t *o = NULL;
    SCOPED(buf_done) struct buf path = { 0 };
    const json_t *coll;
    size_t i;
    buf_addf(&path, "users/%" PRId64 "/usage", uid);
    TRY(ask_node(a, node, "GET", buf_text(&path), VIEW_NONE, &answer, e));
    TRY(ask_object(&answer, &o, e));
    *out_items = *out_bytes = 0;
    json_array_foreach (json_object_get(o, "colls"), i, coll) {
        *out_items += json_integer_value(json_object_get(coll, "items"));
        *out_bytes += json_integer_value(json_object_get(coll, "bytes"));
    }
    return RC_OK;
}

struct making {
    struct admin *a;
    enum plan_kind kind;
    struct plan_rules rules;
    struct survey survey;
    struct plan plan;
    json_t *doc;
    int64_t items, bytes;
    bool counted;
};

static void making_done_scoped(struct making *m)
{
    survey_done(&m->survey);
    plan_done(&m->plan);
    json_decref(m->doc);
}

static rc put_moves(struct making *m, struct err *e)
{
    json_t *moves = mem_need(json_array());
    json_object_set_new(m->doc, "moves", moves);
    for (size_t i = 0; i < m->plan.n_moves; i++) {
        const struct plan_move *v = &m->plan.moves[i];
        const struct plan_user *u = &m->survey.users[v->user];
        int64_t items = 0, bytes = u->bytes;
        if (m->counted)
            TRY(count_items(m->a->ask, m->survey.nodes[v->from].name, u->uid, &items, &bytes, e));
        json_t *o = mem_need(json_pack(
            "{s:o,s:I,s:I,s:o,s:o,s:I,s:s}", "user", json_of_text(u->name), "uid", (json_int_t)u->uid,
            "epoch", (json_int_t)u->epoch, "from", json_of_text(m->survey.nodes[v->from].name), "to",
            json_of_text(m->survey.nodes[v->to].name), "bytes", (json_int_t)bytes, "reason", v->reason));
        if (m->counted)
            json_object_set_new(o, "items", json_integer(items));
        json_array_append_new(moves, o);
        m->items += items;
        m->bytes += bytes;
    }
    json_object_set_new(m->doc, "totals",
                        json_pack("{s:I,s:I,s:I}", "moves", (json_int_t)m->plan.n_moves, "items",
                                  (json_int_t)m->items, "bytes", (json_int_t)m->bytes));
    return RC_OK;
}

static json_t *ratio_json(double load, double target)
{
    double r = plan_ratio(load, target);
    return isfinite(r) ? json_real(round(r * 1e4) / 1e4) : json_null();
}

static void put_nodes(struct making *m)
{
    json_t *nodes = mem_need(json_array());
    for (size_t i = 0; i < m->survey.in.n_nodes; i++) {
        const struct plan_node *n = &m->survey.nodes[i];
        json_array_append_new(
            nodes, mem_need(json_pack("{s:o,s:I,s:b,s:I,s:I,s:I,s:I,s:o,s:o}", "node", json_of_text(n->name),
                                      "weight", (json_int_t)n->weight, "takes", n->open, "users_before",
                                      (json_int_t)n->users_before, "users_after", (json_int_t)n->users_after,
                                      "bytes_before", (json_int_t)n->bytes_before, "bytes_after",
                                      (json_int_t)n->bytes_after, "share_before",
                                      ratio_json(n->load_before, n->target), "share_after",
                                      ratio_json(n->load_after, n->target))));
    }
    json_object_set_new(m->doc, "nodes", nodes);
}

static void put_rest(struct making *m)
{
    json_t *left = mem_need(json_array());
    for (size_t i = 0; i < m->plan.n_left; i++) {
        const struct plan_user *u = &m->survey.users[m->plan.left[i].user];
        json_array_append_new(left, json_pack("{s:o,s:I,s:s}", "user", json_of_text(u->name), "uid",
                                              (json_int_t)u->uid, "why", m->plan.left[i].why));
    }
    json_object_set_new(
        m->doc, "skipped",
        json_pack("{s:I,s:s}", "moves", (json_int_t)m->plan.skipped, "with", "--threshold 0"));
    json_object_set_new(m->doc, "left", left);
    json_object_set(m->doc, "notes", m->survey.notes);
}

/* The users that the arguments name: at the directory, which knows names, numbers and addresses. */
static rc plan_named(struct making *m, int first, size_t to, struct err *e)
{
    const struct admin *a = m->a;
    struct reach reach = { .ask = a->ask, .clock = clock_system() };
    size_t n = (size_t)(a->argc - first);
    size_t *users = mem_need(calloc(n + 1, sizeof(*users)));
    rc r = RC_OK;
    for (size_t i = 0; i < n && r == RC_OK; i++) {
        SCOPED(subject_done) struct subject s = { 0 };
        r = subject_get(&reach, view_of(a->argv[first + (int)i]), &s, e);
        if (r != RC_OK)
            break;
        users[i] = survey_user(&m->survey, s.uid);
        for (size_t k = 0; k < i; k++)
            if (users[k] == users[i])
                r = fail(e, RC_BAD_INPUT, RESP_GENERIC, "%.100s stands there twice", a->argv[first + (int)i]);
        if (users[i] == PLAN_NOWHERE)
            r = fail(e, RC_CONFLICT, RESP_GENERIC, "%.100s came while we looked: try again",
                     a->argv[first + (int)i]);
    }
    if (r == RC_OK)
        plan_move(&m->survey.in, &m->rules, users, n, to, &m->plan);
    free(users);
    return r;
}

static rc node_index(const struct making *m, const char *name, size_t *out, struct err *e)
{
    *out = survey_node(&m->survey, view_of(name));
    return *out != PLAN_NOWHERE ? RC_OK
                                : fail(e, RC_NOT_FOUND, RESP_GENERIC, "there is no node %.100s", name);
}

static rc make(struct making *m, int first, const char *node, struct err *e)
{
    const struct admin *a = m->a;
    size_t index = 0;
    if (node)
        TRY(node_index(m, node, &index, e));
    if (m->kind == PLAN_REBALANCE)
        plan_rebalance(&m->survey.in, &m->rules, &m->plan);
    else if (m->kind == PLAN_MOVE)
        TRY(plan_named(m, first, index, e));
    else
        plan_drain(&m->survey.in, &m->rules, index, &m->plan);
    m->counted = !option_given(a, "quick");
    m->doc =
        mem_need(json_pack("{s:i,s:I,s:s,s:s,s:f}", "plan", PLAN_VERSION, "made",
                           (json_int_t)(clock_now_us(clock_system()) / 1000), "kind", plan_kind_name(m->kind),
                           "by", plan_by_name(m->rules.by), "threshold", m->rules.threshold));
    if (node)
        json_object_set_new(m->doc, "node", json_string(node));
    TRY(put_moves(m, e));
    put_nodes(m);
    put_rest(m);
    return RC_OK;
}

rc plan_make(struct admin *a, enum plan_kind kind, int first, json_t **out, struct err *e)
{
    SCOPED(making_done) struct making m = { .a = a, .kind = kind };
    const char *node = kind == PLAN_MOVE        ? option_text(a, "to")
                       : kind == PLAN_REBALANCE ? NULL
                                                : a->argv[first];
    if (kind == PLAN_MOVE && !node)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "--to NODE is needed");
    if (!plan_by_parse(view_of(option_text(a, "by")), &m.rules.by))
        abort(); /* the table has checked it */
    m.rules.threshold = (double)option_number(a, "threshold") / 1e5;
    const struct survey_wish wish = { .heads = true,
                                      .requests = m.rules.by == PLAN_BY_REQUESTS,
                                      .must = view_of(node) };
    TRY(admin_connect(a, e));
    TRY(survey_take(a->ask, &wish, &m.survey, e));
    TRY(make(&m, first, node, e));
    *out = json_incref(m.doc);
    return RC_OK;
}

/* ---- files ---- */

static bool is_text(const json_t *o, const char *name)
{
    return json_text(json_object_get(o, name)).n > 0;
}

rc plan_check(const json_t *plan, struct err *e)
{
    const json_t *moves = json_object_get(plan, "moves"), *m;
    size_t i;
    if (json_integer_value(json_object_get(plan, "plan")) != PLAN_VERSION || !json_is_array(moves) ||
        !is_text(plan, "kind"))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "this is no plan of ours");
    json_array_foreach (moves, i, m)
        if (!is_text(m, "user") || json_integer_value(json_object_get(m, "uid")) <= 0 ||
            !ask_is_node_name(json_text(json_object_get(m, "from"))) ||
            !ask_is_node_name(json_text(json_object_get(m, "to"))))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "move %zu of the plan is not whole", i + 1);
    return RC_OK;
}

rc plan_load(const char *path, json_t **out, struct err *e)
{
    SCOPED(buf_done) struct buf text = { 0 };
    SCOPED(json_decref) json_t *plan = NULL;
    TRY(folder_read(path, PLAN_BYTES_MAX, &text, e));
    if (json_read(buf_view(&text), 8, JSON_READ_PLAIN, &plan, NULL) != RC_OK)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%.150s holds no plan", path);
    TRY(plan_check(plan, e));
    *out = json_incref(plan);
    return RC_OK;
}

rc plan_save(const char *path, const json_t *plan, struct err *e)
{
    SCOPED(buf_done) struct buf text = { 0 };
    json_put_members(&text, plan);
    buf_addc(&text, '\n');
    return folder_write(path, buf_view(&text), e);
}

rc plan_make_and_save(struct admin *a, enum plan_kind kind, json_t **out, struct err *e)
{
    TRY(plan_make(a, kind, 0, out, e));
    return option_given(a, "save") ? plan_save(option_text(a, "save"), *out, e) : RC_OK;
}

/* ---- showing ---- */

static const struct column move_columns[] = {
    { "user", "USER", COLUMN_TEXT },
    { "from", "FROM", COLUMN_TEXT },
    { "to", "TO", COLUMN_TEXT },
    { "items", "ITEMS", COLUMN_NUMBER },
    { "bytes", "BYTES", COLUMN_BYTES },
    { "reason", "REASON", COLUMN_TEXT },
    COLUMNS_END,
};
static const struct column node_columns[] = {
    { "node", "NODE", COLUMN_TEXT },
    { "weight", "WEIGHT", COLUMN_NUMBER },
    { "users_before", "USERS", COLUMN_NUMBER },
    { "users_after", "AFTER", COLUMN_NUMBER },
    { "bytes_before", "BYTES", COLUMN_BYTES },
    { "bytes_after", "AFTER", COLUMN_BYTES },
    { "share_before", "SHARE", COLUMN_RATIO },
    { "share_after", "AFTER", COLUMN_RATIO },
    COLUMNS_END,
};
static const struct column left_columns[] = {
    { "user", "NOT MOVED", COLUMN_TEXT },
    { "why", "WHY", COLUMN_TEXT },
    COLUMNS_END,
};

void plan_show(const struct admin *a, const json_t *plan)
{
    const json_t *totals = json_object_get(plan, "totals"), *note;
    int64_t skipped = json_integer_value(json_object_get(json_object_get(plan, "skipped"), "moves"));
    SCOPED(buf_done) struct buf bytes = { 0 };
    size_t i;
    if (a->json) {
        show_object(a, plan, NULL);
        return;
    }
    if (json_array_size(json_object_get(plan, "moves")) > 0) {
        show_rows(a, json_object_get(plan, "moves"), move_columns);
        show_text(a, "\n");
    }
    show_bytes(&bytes, json_integer_value(json_object_get(totals, "bytes")));
    show_text(a, "%" PRId64 " moves, %" PRId64 " records, %s\n\n",
              (int64_t)json_integer_value(json_object_get(totals, "moves")),
              (int64_t)json_integer_value(json_object_get(totals, "items")), buf_text(&bytes));
    show_rows(a, json_object_get(plan, "nodes"), node_columns);
    if (skipped > 0)
        show_text(
            a,
            "\n%" PRId64
            " moves are not worth it: nodes within %.1f %% of their share stay as they are; --threshold 0 includes them.\n",
            skipped, json_number_value(json_object_get(plan, "threshold")) * 100);
    if (json_array_size(json_object_get(plan, "left")) > 0) {
        show_text(a, "\n");
        show_rows(a, json_object_get(plan, "left"), left_columns);
    }
    json_array_foreach (json_object_get(plan, "notes"), i, note)
        show_text(a, "\nNote: %s.\n", json_string_value(note));
}
