#include "admin/move/verify.h"

#include <inttypes.h>

#include "admin/audit/audit.h"
#include "common/base/json.h"
#include "common/base/mem.h"

static const char *text(const json_t *o, const char *name)
{
    const char *t = json_string_value(json_object_get(o, name));
    return t ? t : "";
}

static void fault(json_t *out, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void fault(json_t *out, const char *fmt, ...)
{
    char line[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    json_array_append_new(json_object_get(out, "faults"), mem_need(json_string(line)));
}

/* ---- who holds what ---- */

struct looking {
    struct reach *r;
    const struct subject *s;
    json_t *out;
    json_t *usages; /* of all holders, by node's name */
};

static rc ask_usage(struct reach *r, view node, int64_t uid, json_t **out, struct err *e)
{
    char path[64];
    snprintf(path, sizeof path, "users/%" PRId64 "/usage", uid);
    const struct reach_call c = { .method = "GET", .path = path, .body = VIEW_NONE };
    return reach_node_object(r, node, &c, out, e);
}

static bool look_at(void *arg, json_t *line)
{
    struct looking *l = arg;
    SCOPED(json_decref) json_t *usage = NULL;
    struct err why = ERR_NONE;
    view name = json_text(json_object_get(line, "name"));
    if (!name.p)
        return true;
    if (ask_usage(l->r, name, l->s->uid, &usage, &why) != RC_OK) {
        if (view_eq(name, l->s->node))
            fault(l->out, "his node does not answer: %s", why.text);
        return true;
    }
    bool held = strcmp(text(usage, "state"), "none") != 0;
    if (held && (view_eq(name, l->s->node) || json_array_size(json_object_get(usage, "colls")) > 0))
        json_object_set(l->usages, name.p, usage);
    return true;
}

/* ---- comparing ---- */

static void check_owner(json_t *out, const struct subject *s, const json_t *usage)
{
    int64_t bytes = 0, epoch = json_member_int(usage, "epoch");
    size_t i;
    const json_t *c;
    const char *state = text(usage, "state");
    json_array_foreach (json_object_get(usage, "colls"), i, c) {
        bytes += json_member_int(c, "bytes");
        if (json_member_int(c, "modified") > json_member_int(usage, "clock"))
            fault(out, "%s has a stamp after the clock", text(c, "name"));
    }
    if (epoch != s->epoch)
        fault(out, "the directory has epoch %" PRId64 ", his node %" PRId64 ": see heddle-admin doctor",
              s->epoch, epoch);
    if (strcmp(state, "active") != 0 && !s->intent.p)
        fault(out, "he is %s on his node, and on no move: see heddle-admin doctor", state);
    if (json_member_int(usage, "used_bytes") < bytes)
        fault(out, "the quota counts %" PRId64 " bytes, there are %" PRId64,
              json_member_int(usage, "used_bytes"), bytes);
}

static const char *role_of(const char *state)
{
    if (strcmp(state, "importing") == 0 || strcmp(state, "ready") == 0)
        return "coming";
    return strcmp(state, "gone") == 0 ? "left" : "other";
}

static rc compare(struct looking *l, const char *name, const json_t *usage, json_t *holder, struct err *e)
{
    const json_t *own = json_object_get(l->usages, l->s->node.p);
    const struct verify_side owner = { l->s->node, own }, copy = { view_of(name), usage };
    struct verify_result v = { .same = 0 };
    bool coming = strcmp(role_of(text(usage, "state")), "coming") == 0;
    TRY(verify_items(l->r, l->s->uid, &owner, &copy, &v, e));
    json_object_set_new(holder, "same", json_integer((json_int_t)v.same));
    json_object_set_new(holder, "changed", json_integer((json_int_t)v.changed));
    json_object_set_new(holder, "damaged", json_integer((json_int_t)v.damaged));
    json_object_set_new(holder, "missing", json_integer((json_int_t)v.missing));
    json_object_set_new(holder, "extra", json_integer((json_int_t)v.extra));
    json_object_set_new(holder, "examples", v.examples);
    if (v.damaged > 0)
        fault(l->out,
              "%" PRIu64 " items differ between his node and %s although nobody has written them since",
              v.damaged, name);
    if (!coming && v.missing > 0)
        fault(l->out,
              "%" PRIu64 " items of %s are missing on his node although nobody has deleted them since",
              v.missing, name);
    if (!coming && v.extra > 0)
        fault(l->out, "%" PRIu64 " items are on his node that %s never had, and are older", v.extra, name);
    return RC_OK;
}

static rc add_holder(struct looking *l, const char *name, json_t *usage, struct err *e)
{
    bool owner = view_eq(view_of(name), l->s->node);
    char digest[AUDIT_HASH_TEXT + 1];
    audit_digest_usage(usage, digest);
    json_t *holder = mem_need(json_pack(
        "{s:s, s:s, s:I, s:s, s:O, s:s}", "node", name, "state", text(usage, "state"), "epoch",
        (json_int_t)json_member_int(usage, "epoch"), "role", owner ? "owner" : role_of(text(usage, "state")),
        "colls", json_object_get(usage, "colls"), "data_digest", digest));
    json_array_append_new(json_object_get(l->out, "holders"), holder);
    if (owner) {
        check_owner(l->out, l->s, usage);
        return RC_OK;
    }
    return json_object_get(l->usages, l->s->node.p) ? compare(l, name, usage, holder, e) : RC_OK;
}

rc verify_user(struct reach *r, view who, json_t **out, struct err *e)
{
    SCOPED(subject_done) struct subject s = { .uid = 0 };
    SCOPED(json_decref) json_t *result = NULL, *usages = mem_need(json_object());
    const char *name;
    json_t *usage;
    TRY(subject_get(r, who, &s, e));
    if (!s.node.p)
        return fail(e, RC_CONFLICT, RESP_GENERIC, "%.*s lives nowhere yet", VIEW_ARG(s.name));
    result = mem_need(json_pack("{s:I, s:O, s:O, s:I, s:[], s:[]}", "uid", (json_int_t)s.uid, "name",
                                json_object_get(s.entry, "name"), "node", json_object_get(s.entry, "node"),
                                "epoch", (json_int_t)s.epoch, "holders", "faults"));
    struct looking l = { .r = r, .s = &s, .out = result, .usages = usages };
    TRY(lines_each(r, VIEW_NONE, "nodes", look_at, &l, e));
    json_object_foreach (usages, name, usage)
        TRY(add_holder(&l, name, usage, e));
    if (!json_object_get(usages, s.node.p) && json_array_size(json_object_get(result, "faults")) == 0 &&
        s.epoch > 1)
        fault(result, "his node holds nothing of him");
    *out = result;
    result = NULL;
    return RC_OK;
}
