/* The manifests of two holders side by side. Where an item differs, its two rows tell when each was written: what the owner wrote after
 * the copy's clock stopped is a change, everything else is damage. */
#include <inttypes.h>

#include "admin/move/verify.h"
#include "common/base/arena.h"
#include "common/base/json.h"
#include "common/base/mem.h"

enum { EXAMPLES = 10, ROWS_AT_ONCE = 200 };

struct entry {
    view coll, id, hash;
};

struct manifest {
    struct arena *a;
    struct entry *items;
    size_t n, cap;
};

/* ---- reading ---- */

static void keep_entry(struct manifest *m, const json_t *line)
{
    if (!json_is_array(line))
        return; /* the head, the sum */
    if (m->n == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 1024;
        m->items = mem_need(reallocarray(m->items, m->cap, sizeof *m->items));
    }
    m->items[m->n++] = (struct entry){ arena_copy(m->a, json_text(json_array_get(line, 0))),
                                       arena_copy(m->a, json_text(json_array_get(line, 1))),
                                       arena_copy(m->a, json_text(json_array_get(line, 2))) };
}

static bool visit_entry(void *arg, json_t *line)
{
    keep_entry(arg, line);
    return true;
}

static rc read_manifest(struct reach *r, view node, int64_t uid, struct manifest *m, struct err *e)
{
    char path[64];
    snprintf(path, sizeof path, "users/%" PRId64 "/manifest", uid);
    return lines_each(r, node, path, visit_entry, m, e);
}

static int64_t coll_modified(const json_t *usage, view coll)
{
    size_t i;
    const json_t *c;
    json_array_foreach (json_object_get(usage, "colls"), i, c)
        if (view_eq(json_text(json_object_get(c, "name")), coll))
            return json_member_int(c, "modified");
    return INT64_MAX; /* the whole collection is gone: somebody deleted it */
}

/* One row of the owner: when it was written. -1: not there (any more). */
static rc written_cs(struct reach *r, view node, int64_t uid, const struct entry *x, int64_t *out,
                     struct err *e)
{
    SCOPED(buf_done) struct buf body = { 0 };
    SCOPED(answer_done) struct answer a = { .status = 0 };
    SCOPED(json_decref) json_t *o = NULL;
    char path[64];
    view rest, line;
    snprintf(path, sizeof path, "users/%" PRId64 "/export", uid);
    buf_add(&body, VIEW("{\"ids\":[["));
    json_put_string(&body, x->coll);
    buf_addc(&body, ',');
    json_put_string(&body, x->id);
    buf_add(&body, VIEW("]]}"));
    const struct reach_call c = { .method = "POST", .path = path, .body = buf_view(&body) };
    TRY(reach_node(r, node, &c, &a, e));
    rest = buf_view(&a.body);
    *out = -1;
    if (view_cut(&rest, '\n', &line) && json_read(line, 4, JSON_READ_PLAIN, &o, NULL) == RC_OK &&
        json_object_get(o, "payload"))
        *out = json_member_int(o, "modified");
    return RC_OK;
}

/* ---- comparing ---- */

struct pair {
    struct reach *r;
    int64_t uid, clock_cs; /* the copy's: what the owner wrote later is a change */
    const struct verify_side *owner;
    struct verify_result *out;
};

static void example(struct pair *p, const char *what, const struct entry *x)
{
    SCOPED(buf_done) struct buf text = { 0 };
    if (json_array_size(p->out->examples) >= EXAMPLES)
        return;
    buf_addf(&text, "%s: %.*s/%.*s", what, VIEW_ARG(x->coll), VIEW_ARG(x->id));
    json_t *t = json_stringn(text.p, text.n);
    if (t) /* an id that is no UTF-8 is counted, and not shown */
        json_array_append_new(p->out->examples, t);
}

/* An item that the two have differently: *n counts it, unless its owner wrote it after the copy's clock stood still. */
static rc judge(struct pair *p, const struct entry *x, const char *what, uint64_t *n, struct err *e)
{
    int64_t cs = 0;
    TRY(written_cs(p->r, p->owner->node, p->uid, x, &cs, e));
    if (cs < 0 || cs > p->clock_cs) {
        p->out->changed++;
        return RC_OK;
    }
    ++*n;
    example(p, what, x);
    return RC_OK;
}

/* Whoever deletes gives the collection a new time. */
static void only_copy(struct pair *p, const struct entry *x)
{
    if (coll_modified(p->owner->usage, x->coll) > p->clock_cs) {
        p->out->changed++;
        return;
    }
    p->out->missing++;
    example(p, "missing on his node", x);
}

static int order(const struct entry *x, const struct entry *y)
{
    int c = view_cmp(x->coll, y->coll);
    return c != 0 ? c : view_cmp(x->id, y->id);
}

static rc walk(struct pair *p, const struct manifest *own, const struct manifest *copy, struct err *e)
{
    for (size_t i = 0, k = 0; i < own->n || k < copy->n;) {
        int c = i == own->n ? 1 : k == copy->n ? -1 : order(&own->items[i], &copy->items[k]);
        if (c < 0)
            TRY(judge(p, &own->items[i++], "only on his node", &p->out->extra, e));
        else if (c > 0)
            only_copy(p, &copy->items[k++]);
        else {
            if (view_eq(own->items[i].hash, copy->items[k].hash))
                p->out->same++;
            else
                TRY(judge(p, &own->items[i], "differs", &p->out->damaged, e));
            i++;
            k++;
        }
    }
    return RC_OK;
}

rc verify_items(struct reach *r, int64_t uid, const struct verify_side *owner, const struct verify_side *copy,
                struct verify_result *out, struct err *e)
{
    SCOPED(arena_done) struct arena a;
    struct manifest ours = { .a = &a }, theirs = { .a = &a };
    arena_init(&a, (size_t)4 << 30);
    *out = (struct verify_result){ .examples = mem_need(json_array()) };
    struct pair p = {
        .r = r, .uid = uid, .clock_cs = json_member_int(copy->usage, "clock"), .owner = owner, .out = out
    };
    rc result = read_manifest(r, owner->node, uid, &ours, e);
    if (result == RC_OK)
        result = read_manifest(r, copy->node, uid, &theirs, e);
    if (result == RC_OK)
        result = walk(&p, &ours, &theirs, e);
    free(ours.items);
    free(theirs.items);
    if (result != RC_OK)
        json_decref(out->examples);
    return result;
}
