#include "admin/lb/lb.h"
#include "common/base/encode.h"

/* First segment of a path: its class. Protocol: the settled question about /1.0 (docs/protocol-notes.md) is decided by the third segment. */
const struct lb_word lb_classes[] = {
    { "1.5", "15" },
    { "1.1", "11" },
    { "1", "11" },
    { "1.0", "token" },
    { "token", "token" },
    { "tokenserver", "token" },
    { "user", "user" },
    { "misc", "user" },
    { "weave-password-reset", "screen" },
    { "weave-delete-account", "screen" },
    { "media", "screen" },
    { "account", "screen" },
    { "admin", "console" },
    { "__heartbeat__", "ops" },
    { "__lbheartbeat__", "ops" },
    { "__version__", "ops" },
    { "__error__", "refused" },
    { "internal", "refused" },
    { "metrics", "refused" },
    { NULL, NULL },
};

/* Bodies of 503 by class. Protocol: Token server API 1.0, "Errors"; Storage API 1.1, "Node states". */
const struct lb_word lb_unavailable[] = {
    { "15", "0" },
    { "11", "\"server issue: database is not healthy\"" },
    { "user", "0" },
    { "token",
      "{\"status\":\"error\",\"errors\":[{\"location\":\"body\",\"name\":\"\",\"description\":\"Resource is not available\"}]}" },
    { "other", "0" },
    { "screen", "\"Please try again later.\"" },
    { "console", "\"Please try again later.\"" },
    { "ops", "{\"status\":\"Err\"}" },
    { NULL, NULL },
};

/* … where the node is marked as down. */
const struct lb_word lb_down[] = {
    { "15", "0" },
    { "11", "\"server issue: database marked as down\"" },
    { NULL, NULL },
};

static const char *class_of(view segment)
{
    for (const struct lb_word *w = lb_classes; w->key; w++)
        if (view_eq(segment, view_of(w->key)))
            return w->value;
    return "other";
}

/* The next segment, decoded if that can be done. */
static view cut_segment(view *path, struct arena *a)
{
    view segment = VIEW(""), plain;
    if (!path->p || !view_cut(path, '/', &segment))
        return VIEW("");
    return percent_decode(segment, a, &plain) ? plain : segment;
}

static bool is_uid(view v)
{
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] < '0' || v.p[i] > '9')
            return false;
    return v.n > 0 && v.n <= 10;
}

static bool is_name(view v)
{
    return v.n > 0 && view_only_alnum(v, "._-");
}

static view lower(view v, struct arena *a)
{
    view copy = arena_copy(a, v);
    char *p = (char *)(uintptr_t)copy.p;
    for (size_t i = 0; i < copy.n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] - 'A' + 'a');
    return copy;
}

struct lb_class lb_classify(view target, view base, struct arena *a)
{
    view path, segments[3];
    struct lb_class c = { .name = "other", .key = VIEW_NONE };

    view_cut(&target, '?', &path);
    if (base.n > 0 && view_starts(path, base) && path.n > base.n && path.p[base.n] == '/')
        path = (view){ .p = path.p + base.n, .n = path.n - base.n };
    if (path.n == 0 || path.p[0] != '/')
        return c;
    path = (view){ .p = path.p + 1, .n = path.n - 1 };
    for (size_t i = 0; i < 3; i++)
        segments[i] = cut_segment(&path, a);

    c.name = class_of(segments[0]);
    if (view_eq(segments[0], VIEW("1.0")) &&
        (view_eq(segments[2], VIEW("info")) || view_eq(segments[2], VIEW("storage"))))
        c.name = "11";
    if (strcmp(c.name, "15") == 0 && is_uid(segments[1])) {
        uint64_t uid = 0;
        (void)view_to_u64(segments[1], UINT64_MAX, &uid);
        c.proto = LB_15;
        c.key = arena_text(a, "%llu", (unsigned long long)uid);
    } else if (strcmp(c.name, "11") == 0 && is_name(segments[1])) {
        c.proto = LB_11;
        c.key = lower(segments[1], a);
    }
    return c;
}
