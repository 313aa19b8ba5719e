#include "admin/run/survey.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"

/* Whoever has written within so long is one of those who sync: a node's requests are theirs, in equal parts. */
#define ACTIVE_S INT64_C(604800)

void survey_done(struct survey *s)
{
    json_decref(s->entries);
    json_decref(s->accounts);
    json_decref(s->notes);
    free(s->nodes);
    free(s->users);
    free(s->answers);
    *s = (struct survey){ 0 };
}

static void note(struct survey *s, const char *fmt, view node, const char *why)
{
    SCOPED(buf_done) struct buf b = { 0 };
    buf_addf(&b, "%.*s%s", VIEW_ARG(node), fmt);
    if (why)
        buf_addf(&b, " (%s)", why);
    json_array_append_new(s->notes, json_string(buf_text(&b)));
}

/* ---- nodes ---- */

static int by_name(const void *a, const void *b)
{
    return view_cmp(((const struct plan_node *)a)->name, ((const struct plan_node *)b)->name);
}

static void read_nodes(struct survey *s)
{
    const json_t *o;
    size_t i;
    s->in.n_nodes = json_array_size(s->entries);
    s->nodes = mem_need(calloc(s->in.n_nodes + 1, sizeof(*s->nodes)));
    s->answers = mem_need(calloc(s->in.n_nodes + 1, sizeof(*s->answers)));
    s->in.nodes = s->nodes;
    json_array_foreach (s->entries, i, o) {
        view pools = json_text(json_object_get(o, "pools"));
        bool open = view_eq(json_text(json_object_get(o, "state")), VIEW("open"));
        s->nodes[i] = (struct plan_node){ .name = json_text(json_object_get(o, "name")),
                                          .pools = pools.p ? pools : VIEW(""),
                                          .weight = json_member_int(o, "capacity"),
                                          .open = open,
                                          .fixed = !open };
    }
    if (s->in.n_nodes > 1) /* qsort takes no NULL */
        qsort(s->nodes, s->in.n_nodes, sizeof(*s->nodes), by_name);
}

size_t survey_node(const struct survey *s, view name)
{
    const struct plan_node key = { .name = name };
    const struct plan_node *n =
        s->in.n_nodes > 0 ? bsearch(&key, s->nodes, s->in.n_nodes, sizeof(*s->nodes), by_name) : NULL;
    return n ? (size_t)(n - s->nodes) : PLAN_NOWHERE;
}

/* ---- users ---- */

static int by_uid(const void *a, const void *b)
{
    int64_t x = ((const struct plan_user *)a)->uid, y = ((const struct plan_user *)b)->uid;
    return x < y ? -1 : x > y;
}

static void read_users(struct survey *s)
{
    const json_t *o;
    size_t i;
    s->in.n_users = json_array_size(s->accounts);
    s->users = mem_need(calloc(s->in.n_users + 1, sizeof(*s->users)));
    s->in.users = s->users;
    json_array_foreach (s->accounts, i, o) {
        view node = json_text(json_object_get(o, "node"));
        s->users[i] = (struct plan_user){ .name = json_text(json_object_get(o, "name")),
                                          .uid = json_member_int(o, "uid"),
                                          .epoch = json_member_int(o, "epoch"),
                                          .node = node.n > 0 ? survey_node(s, node) : PLAN_NOWHERE,
                                          .on_his_way = json_text(json_object_get(o, "intent")).n > 0 };
    }
    if (s->in.n_users > 1)
        qsort(s->users, s->in.n_users, sizeof(*s->users), by_uid);
}

size_t survey_user(const struct survey *s, int64_t uid)
{
    const struct plan_user key = { .uid = uid };
    const struct plan_user *u =
        s->in.n_users > 0 ? bsearch(&key, s->users, s->in.n_users, sizeof(*s->users), by_uid) : NULL;
    return u ? (size_t)(u - s->users) : PLAN_NOWHERE;
}

/* ---- what nodes hold ---- */

struct heads {
    struct survey *s;
    size_t node;
    int64_t active_since_cs;
    size_t n_active;
    bool mark; /* the second time: the requests are given out */
    double requests;
};

static rc take_head(void *arg, json_t *line, struct err *e)
{
    struct heads *h = arg;
    size_t i = survey_user(h->s, json_member_int(line, "uid"));
    (void)e;
    if (i == PLAN_NOWHERE || h->s->users[i].node != h->node)
        return RC_OK;
    h->s->users[i].bytes = json_member_int(line, "used_bytes");
    if (json_member_int(line, "clock") >= h->active_since_cs) {
        h->n_active++;
        h->s->users[i].requests = 1;
    }
    return RC_OK;
}

static rc share_requests(struct survey *s, struct ask *a, size_t node, size_t n_active, struct err *e)
{
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    SCOPED(json_decref) json_t *status = NULL;
    TRY(ask_node(a, s->nodes[node].name, "GET", "status", VIEW_NONE, &answer, e));
    TRY(ask_object(&answer, &status, e));
    double rps = json_number_value(json_object_get(status, "rps"));
    for (size_t i = 0; i < s->in.n_users; i++)
        if (s->users[i].node == node && n_active > 0)
            s->users[i].requests *= rps / (double)n_active;
    return RC_OK;
}

static rc read_heads(struct survey *s, struct ask *a, const struct survey_wish *w, size_t node, struct err *e)
{
    struct heads h = { .s = s,
                       .node = node,
                       .active_since_cs = clock_stamp(clock_system()).cs - ACTIVE_S * 100 };
    TRY(ask_each(a, s->nodes[node].name, "heads", take_head, &h, e));
    return w->requests ? share_requests(s, a, node, h.n_active, e) : RC_OK;
}

/* ---- the whole ---- */

static rc ask_nodes(struct survey *s, struct ask *a, const struct survey_wish *w, struct err *e)
{
    for (size_t i = 0; i < s->in.n_nodes; i++) {
        struct plan_node *n = &s->nodes[i];
        rc r = read_heads(s, a, w, i, e);
        s->answers[i] = r == RC_OK;
        if (r == RC_OK)
            continue;
        if (w->must.p && view_eq(n->name, w->must))
            return r;
        n->open = false;
        n->fixed = true;
        note(s, " does not answer: nobody is moved to it or away from it", n->name, e->text);
    }
    return RC_OK;
}

rc survey_take(struct ask *a, const struct survey_wish *w, struct survey *out, struct err *e)
{
    out->notes = mem_need(json_array());
    TRY(ask_all(a, VIEW_NONE, "nodes", &out->entries, e));
    TRY(ask_all(a, VIEW_NONE, "accounts", &out->accounts, e));
    read_nodes(out);
    read_users(out);
    if (w->must.p && survey_node(out, w->must) == PLAN_NOWHERE)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "there is no node %.*s", VIEW_ARG(w->must));
    return w->heads ? ask_nodes(out, a, w, e) : RC_OK;
}
