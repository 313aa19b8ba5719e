#include "admin/subject.h"
#include "common/base/encode.h"

#include <inttypes.h>

/* ---- accounts ---- */

void subject_done(struct subject *s)
{
    json_decref(s->entry);
    *s = (struct subject){ .uid = 0 };
}

rc subject_read(json_t *entry, struct subject *out, struct err *e)
{
    const struct subject s = { .entry = entry,
                               .uid = json_integer_value(json_object_get(entry, "uid")),
                               .epoch = json_integer_value(json_object_get(entry, "epoch")),
                               .name = json_text(json_object_get(entry, "name")),
                               .node = json_text(json_object_get(entry, "node")),
                               .intent = json_text(json_object_get(entry, "intent")),
                               .enabled = json_is_true(json_object_get(entry, "enabled")) };
    if (s.uid <= 0 || !s.name.p)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the directory's entry of an account cannot be read");
    json_incref(entry);
    subject_done(out);
    *out = s;
    return RC_OK;
}

static rc get(struct reach *r, const char *path, struct subject *out, struct err *e)
{
    const struct reach_call c = { .method = "GET", .path = path, .body = VIEW_NONE };
    SCOPED(json_decref) json_t *o = NULL;
    TRY(reach_directory_object(r, &c, &o, e));
    return subject_read(o, out, e);
}

rc subject_get(struct reach *r, view who, struct subject *out, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    buf_add(&path, VIEW("accounts/"));
    percent_put(&path, who);
    return get(r, buf_text(&path), out, e);
}

rc subject_get_uid(struct reach *r, int64_t uid, struct subject *out, struct err *e)
{
    char path[64];
    snprintf(path, sizeof path, "accounts/%" PRId64 "?by=uid", uid);
    return get(r, path, out, e);
}

static void put_value(struct buf *b, view v)
{
    if (v.p)
        json_put_string(b, v);
    else
        buf_add(b, VIEW("null"));
}

rc subject_cas(struct reach *r, int64_t uid, const struct swap *swaps, size_t n, struct err *e)
{
    SCOPED(buf_done) struct buf body = { 0 };
    struct answer a = { .status = 0 };
    char path[64];
    snprintf(path, sizeof path, "accounts/%" PRId64 "/cas", uid);
    buf_add(&body, VIEW("{\"changes\":["));
    for (size_t i = 0; i < n; i++) {
        buf_addf(&body, "%s[\"%s\",", i > 0 ? "," : "", swaps[i].attr);
        put_value(&body, swaps[i].expected);
        buf_addc(&body, ',');
        put_value(&body, swaps[i].wanted);
        buf_addc(&body, ']');
    }
    buf_add(&body, VIEW("]}"));
    const struct reach_call c = { .method = "POST", .path = path, .body = buf_view(&body) };
    rc result = reach_directory(r, &c, &a, e);
    answer_done(&a);
    return result == RC_UNSURE ? RC_AWAY : result;
}

/* ---- lists ---- */

struct lines {
    line_visitor *visit;
    void *arg;
    bool stopped;
};

static rc visit_line(void *arg, json_t *line, struct err *e)
{
    struct lines *l = arg;
    (void)e;
    l->stopped = !l->visit(l->arg, line);
    return l->stopped ? RC_NOT_MODIFIED : RC_OK; /* a word that no list ends with by itself */
}

rc lines_each(struct reach *r, view node, const char *list, line_visitor *visit, void *arg, struct err *e)
{
    struct lines l = { .visit = visit, .arg = arg };
    rc result = ask_each(r->ask, node, list, visit_line, &l, e);
    return l.stopped ? RC_OK : result == RC_UNSURE ? RC_AWAY : result;
}

struct subjects {
    subject_visitor *visit;
    void *arg;
    rc result;
    struct err *e;
};

static bool visit_subject(void *arg, json_t *line)
{
    struct subjects *list = arg;
    SCOPED(subject_done) struct subject s = { .uid = 0 };
    list->result = subject_read(line, &s, list->e);
    return list->result == RC_OK && list->visit(list->arg, &s);
}

rc subjects_each(struct reach *r, const char *list, subject_visitor *visit, void *arg, struct err *e)
{
    struct subjects all = { .visit = visit, .arg = arg, .result = RC_OK, .e = e };
    TRY(lines_each(r, VIEW_NONE, list, visit_subject, &all, e));
    return all.result;
}

/* ---- heads ---- */

static void copy_text(char *out, size_t size, view v)
{
    size_t n = v.n < size ? v.n : size - 1;
    if (n > 0)
        memcpy(out, v.p, n);
    out[n] = '\0';
}

rc head_read(const json_t *o, struct head_seen *out, struct err *e)
{
    const json_t *age = json_object_get(o, "batch_age_ms");
    view state = json_text(json_object_get(o, "state"));
    if (!state.p || !json_is_integer(json_object_get(o, "uid")))
        return fail(e, RC_BROKEN, RESP_GENERIC, "the node's word about a head cannot be read");
    *out = (struct head_seen){ .uid = json_integer_value(json_object_get(o, "uid")),
                               .epoch = json_integer_value(json_object_get(o, "epoch")),
                               .clock_cs = json_integer_value(json_object_get(o, "clock")),
                               .used_bytes = json_integer_value(json_object_get(o, "used_bytes")),
                               .quota_bytes = json_integer_value(json_object_get(o, "quota_bytes")),
                               .batch_age_ms = age ? json_integer_value(age) : -1 };
    copy_text(out->state, sizeof out->state, state);
    copy_text(out->move, sizeof out->move, json_text(json_object_get(o, "move")));
    return RC_OK;
}

static rc ask_head(struct reach *r, view node, const struct reach_call *c, struct head_seen *out,
                   struct err *e)
{
    SCOPED(json_decref) json_t *o = NULL;
    struct head_seen seen;
    TRY(reach_node_object(r, node, c, &o, e));
    TRY(head_read(o, &seen, e));
    if (out)
        *out = seen;
    return RC_OK;
}

rc head_ask(struct reach *r, view node, int64_t uid, struct head_seen *out, struct err *e)
{
    char path[64];
    snprintf(path, sizeof path, "heads/%" PRId64, uid);
    const struct reach_call c = { .method = "GET", .path = path, .body = VIEW_NONE };
    return ask_head(r, node, &c, out, e);
}

rc head_step_ask(struct reach *r, view node, const char *step, int64_t uid, view move, int64_t epoch,
                 const char *sum, struct head_seen *out, struct err *e)
{
    SCOPED(buf_done) struct buf body = { 0 };
    char path[96];
    snprintf(path, sizeof path, "heads/%" PRId64 "/%s", uid, step);
    buf_add(&body, VIEW("{\"move\":"));
    json_put_string(&body, move);
    buf_addf(&body, ",\"epoch\":%" PRId64 "%s%s}", epoch, sum ? "," : "", sum ? sum : "");
    const struct reach_call c = { .method = "POST", .path = path, .body = buf_view(&body) };
    return ask_head(r, node, &c, out, e);
}
