#include "admin/lb/lb.h"
#include "common/base/buf.h"

enum { NEST_MAX = 8, NAME_CHARS_MAX = 40 };

/* The objects that names are looked up in, the innermost last. */
struct scope {
    const json_t *objects[NEST_MAX];
    size_t n;
};

struct reading {
    view text, rest;
};

static int line_of(const struct reading *r)
{
    int line = 1;
    for (const char *p = r->text.p; p < r->rest.p; p++)
        line += *p == '\n';
    return line;
}

static const json_t *look_up(const struct scope *s, view name)
{
    char key[NAME_CHARS_MAX + 1];
    if (name.n == 0 || name.n > NAME_CHARS_MAX)
        return NULL;
    memcpy(key, name.p, name.n);
    key[name.n] = '\0';
    for (size_t i = s->n; i-- > 0;) {
        const json_t *v = json_object_get(s->objects[i], key);
        if (v)
            return v;
    }
    return NULL;
}

/* What can stand anywhere in a configuration of either balancer and end nothing: no blanks but single ones within lists of networks, no
 * quotes, braces, semicolons, hashes, backslashes, dollars or percents. */
static bool harmless(view v)
{
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        if (!(ascii_alnum(c) || strchr("._-:/,@[]*|+=", c) || (c == ' ' && i > 0 && i + 1 < v.n)) ||
            c == '\0')
            return false;
    }
    return v.n > 0;
}

static rc put_value(const struct reading *r, const json_t *v, view name, struct buf *out, struct err *e)
{
    if (json_is_integer(v)) {
        buf_add_i64(out, json_integer_value(v));
        return RC_OK;
    }
    view text = json_is_string(v) ? (view){ json_string_value(v), json_string_length(v) } : VIEW_NONE;
    if (!text.p)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "line %d: {{%.*s}} has no value", line_of(r),
                    VIEW_ARG(name));
    if (!harmless(text))
        return fail(
            e, RC_BAD_INPUT, RESP_GENERIC,
            "line %d: {{%.*s}} would be \"%.*s\", which holds a character that must not stand in a configuration",
            line_of(r), VIEW_ARG(name), (int)(text.n > 80 ? 80 : text.n), text.p);
    buf_add(out, text);
    return RC_OK;
}

/* Cuts the text before the next tag, and the tag's inside; false: there is none (the text is all). */
static bool next_tag(struct reading *r, view *out_before, view *out_tag)
{
    const char *open = memmem(r->rest.p, r->rest.n, "{{", 2);
    while (open && open + 2 < r->rest.p + r->rest.n && open[2] == '{') /* a brace, then a tag */
        open++;
    size_t before = open ? (size_t)(open - r->rest.p) : r->rest.n;
    const char *close = open ? memmem(open, r->rest.n - before, "}}", 2) : NULL;

    *out_before = (view){ .p = r->rest.p, .n = close ? before : r->rest.n };
    if (!close) {
        r->rest = (view){ .p = r->rest.p + r->rest.n, .n = 0 };
        return false;
    }
    *out_tag = (view){ .p = open + 2, .n = (size_t)(close - open) - 2 };
    size_t used = before + 2 + out_tag->n + 2;
    /* A section's tag alone on its line takes the line with it. */
    bool section = out_tag->n > 0 && (out_tag->p[0] == '#' || out_tag->p[0] == '/');
    bool first = open == r->text.p || open[-1] == '\n';
    if (section && first && used < r->rest.n && r->rest.p[used] == '\n')
        used++;
    r->rest = (view){ .p = r->rest.p + used, .n = r->rest.n - used };
    return true;
}

static rc put(struct reading *r, struct scope *s, view until, struct buf *out, struct err *e);

/* The section's text once for each object; without one, it is read over. */
static rc put_section(struct reading *r, struct scope *s, view name, struct buf *out, struct err *e)
{
    const json_t *list = look_up(s, name);
    const view begin = r->rest;
    SCOPED(buf_done) struct buf nothing = { 0 };

    if (!json_is_array(list))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "line %d: {{#%.*s}} is no list", line_of(r),
                    VIEW_ARG(name));
    if (s->n == NEST_MAX)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "line %d: sections nested too deeply", line_of(r));
    if (json_array_size(list) == 0) {
        s->objects[s->n++] = NULL;
        rc done = put(r, s, name, &nothing, e);
        s->n--;
        return done;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        r->rest = begin;
        s->objects[s->n++] = json_array_get(list, i);
        rc done = put(r, s, name, out, e);
        s->n--;
        TRY(done);
    }
    return RC_OK;
}

/* Within a list that is empty nothing has a value, and none is wanted. */
static bool is_read_over(const struct scope *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (!s->objects[i])
            return true;
    return false;
}

static rc put_skipped(struct reading *r, struct scope *s, view name, struct err *e)
{
    SCOPED(buf_done) struct buf nothing = { 0 };
    if (s->n == NEST_MAX)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "line %d: sections nested too deeply", line_of(r));
    s->objects[s->n++] = NULL;
    rc done = put(r, s, name, &nothing, e);
    s->n--;
    return done;
}

static rc put(struct reading *r, struct scope *s, view until, struct buf *out, struct err *e)
{
    view before, tag;
    while (next_tag(r, &before, &tag)) {
        buf_add(out, before);
        view name = { .p = tag.p + 1, .n = tag.n - (tag.n > 0) };
        if (tag.n > 0 && tag.p[0] == '/') {
            if (until.p && view_eq(name, until))
                return RC_OK;
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "line %d: {{%.*s}} closes nothing", line_of(r),
                        VIEW_ARG(tag));
        }
        if (tag.n > 0 && tag.p[0] == '#')
            TRY(is_read_over(s) ? put_skipped(r, s, name, e) : put_section(r, s, name, out, e));
        else if (!is_read_over(s))
            TRY(put_value(r, look_up(s, tag), tag, out, e));
    }
    buf_add(out, before);
    if (until.p)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "{{#%.*s}} is not closed", VIEW_ARG(until));
    return RC_OK;
}

rc lb_template(view text, const json_t *values, struct buf *out, struct err *e)
{
    struct reading r = { .text = text, .rest = text };
    struct scope s = { .objects = { values }, .n = 1 };
    return put(&r, &s, VIEW_NONE, out, e);
}
