#include "node/sync/bso.h"

#include <math.h>

#include "common/base/json.h"
#include "node/sync/bso_scan.h"
#include "node/sync/names.h"

#define SORTINDEX_MAX   INT64_C(999999999)
#define TTL_MAX         INT64_C(999999999)
#define FIELD_NAME_SHOW 64
#define NUMBER_TEXT_MAX 64

/* ---- fields ---- */

/* NULL, or why the value (never null) is invalid. */
typedef const char *field_read(const json_t *v, const struct bso_ctx *c, struct item_patch *p);

struct field {
    const char *name;
    field_read *read;
};

static const char *nothing(const json_t *v, const struct bso_ctx *c, struct item_patch *p)
{
    (void)v, (void)c, (void)p;
    return NULL;
}

static const char *scalar(const json_t *v, const struct bso_ctx *c, struct item_patch *p)
{
    (void)c, (void)p;
    return json_is_array(v) || json_is_object(v) ? "invalid modified" : NULL;
}

static const char *payload(const json_t *v, const struct bso_ctx *c, struct item_patch *p)
{
    if (!json_is_string(v))
        return "payload not a string";
    if (json_string_length(v) > (uint64_t)c->rules->max_payload_bytes)
        return "payload too large";
    p->payload_op = PATCH_SET;
    p->payload = json_text(v);
    return NULL;
}

static bool within(const json_t *v, int64_t least, int64_t most, int64_t *out)
{
    int64_t n;

    if (!json_is_integer(v))
        return false;
    n = json_integer_value(v);
    if (n < least || n > most)
        return false;
    *out = n;
    return true;
}

static const char *sortindex(const json_t *v, const struct bso_ctx *c, struct item_patch *p)
{
    (void)c;
    if (!within(v, -SORTINDEX_MAX, SORTINDEX_MAX, &p->sortindex))
        return "invalid sortindex";
    p->sortindex_op = PATCH_SET;
    return NULL;
}

static const char *ttl(const json_t *v, const struct bso_ctx *c, struct item_patch *p)
{
    (void)c;
    if (!within(v, 0, TTL_MAX, &p->ttl_s))
        return "invalid ttl";
    p->ttl_op = PATCH_SET;
    return NULL;
}

/* A number, or a string that spells one in decimal; truncated toward zero. 1.1 alone. */
static bool number_loose(const json_t *v, double *out)
{
    char text[NUMBER_TEXT_MAX + 1], *end;
    view t;

    if (json_is_number(v)) {
        *out = trunc(json_number_value(v));
        return true;
    }
    t = view_trim(json_text(v));
    if (t.n == 0 || t.n > NUMBER_TEXT_MAX)
        return false;
    for (size_t i = 0; i < t.n; i++)
        if (!memchr("0123456789+-.eE", t.p[i], 15))
            return false;
    memcpy(text, t.p, t.n);
    text[t.n] = '\0';
    *out = trunc(strtod(text, &end));
    return end == text + t.n && isfinite(*out);
}

static const char *sortindex_legacy(const json_t *v, const struct bso_ctx *c, struct item_patch *p)
{
    double n;

    (void)c;
    if (!number_loose(v, &n) || fabs(n) > (double)SORTINDEX_MAX)
        return "invalid sortindex";
    p->sortindex = (int64_t)n;
    p->sortindex_op = PATCH_SET;
    return NULL;
}

static bool integer_text(view t)
{
    t = view_trim(t);
    if (t.n > 0 && (t.p[0] == '-' || t.p[0] == '+')) {
        t.p++;
        t.n--;
    }
    for (size_t i = 0; i < t.n; i++)
        if (t.p[i] < '0' || t.p[i] > '9')
            return false;
    return t.n > 0;
}

static const char *ttl_legacy(const json_t *v, const struct bso_ctx *c, struct item_patch *p)
{
    double n;

    (void)c;
    if (json_is_string(v) && !integer_text(json_text(v)))
        return "invalid ttl";
    if (!number_loose(v, &n) || n < 0 || n > (double)BSO_TTL_LEGACY_MAX)
        return "invalid ttl";
    p->ttl_s = (int64_t)n;
    p->ttl_op = PATCH_SET;
    return NULL;
}

/* Strings as they are, numbers and booleans as their JSON text. VIEW_NONE: neither. */
static view text_loose(const json_t *v, struct arena *a)
{
    SCOPED(buf_done) struct buf text = { 0 };

    if (json_is_string(v))
        return json_text(v);
    if (!json_is_number(v) && !json_is_boolean(v))
        return VIEW_NONE;
    json_put_members(&text, v);
    return arena_copy(a, buf_view(&text));
}

static const char *parentid(const json_t *v, const struct bso_ctx *c, struct item_patch *p)
{
    p->parentid = text_loose(v, c->arena);
    if (!p->parentid.p || p->parentid.n > BSO_PARENT_MAX)
        return "invalid parentid";
    p->parentid_op = PATCH_SET;
    return NULL;
}

static const char *predecessorid(const json_t *v, const struct bso_ctx *c, struct item_patch *p)
{
    p->predecessorid = text_loose(v, c->arena);
    if (!p->predecessorid.p || p->predecessorid.n > BSO_PARENT_MAX)
        return "invalid predecessorid";
    p->predecessorid_op = PATCH_SET;
    return NULL;
}

/* `id` is looked at by itself (bso_id); `modified` and `collection` are accepted and ignored. */
static const struct field fields_15[] = {
    { "id", nothing }, { "payload", payload }, { "sortindex", sortindex },
    { "ttl", ttl },    { "modified", scalar }, { "collection", nothing },
};

/* Unknown members are ignored as long as they are scalars. */
static const struct field fields_11[] = {
    { "payload", payload },   { "sortindex", sortindex_legacy },  { "ttl", ttl_legacy },
    { "parentid", parentid }, { "predecessorid", predecessorid },
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const struct field *field_find(const struct field *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

static const char *unknown_field(const char *name, struct arena *a)
{
    return strlen(name) > FIELD_NAME_SHOW ? "unknown field" : arena_text(a, "unknown field %s", name).p;
}

static const char *fill_15(const json_t *o, const struct bso_ctx *c, struct item_patch *p)
{
    const char *name, *why;
    json_t *v;

    json_object_foreach ((json_t *)o, name, v) {
        const struct field *f = field_find(fields_15, COUNT(fields_15), name);

        if (!f)
            return unknown_field(name, c->arena);
        if (!json_is_null(v) && (why = f->read(v, c, p)))
            return why;
    }
    /* A change of ttl alone keeps the record's time. */
    p->touches = p->payload_op == PATCH_SET || p->sortindex_op == PATCH_SET;
    return NULL;
}

static const char *fill_11(const json_t *o, const struct bso_ctx *c, struct item_patch *p)
{
    const char *name, *why;
    json_t *v;

    json_object_foreach ((json_t *)o, name, v)
        if (json_is_array(v) || json_is_object(v))
            return "invalid wbo";
    json_object_foreach ((json_t *)o, name, v) {
        const struct field *f = field_find(fields_11, COUNT(fields_11), name);

        if (f && !json_is_null(v) && (why = f->read(v, c, p)))
            return why;
    }
    /* Without a payload only what is named changes, and the record keeps its time; with one a ttl that is not named ends. */
    p->touches = p->payload_op == PATCH_SET;
    if (p->touches && p->ttl_op == PATCH_LEAVE)
        p->ttl_op = PATCH_CLEAR;
    return NULL;
}

const char *bso_fill(const json_t *o, const struct bso_ctx *c, struct item_patch *out)
{
    struct item_patch p = { .id = out->id };
    const char *why = c->rules->legacy ? fill_11(o, c, &p) : fill_15(o, c, &p);

    if (!why)
        *out = p;
    return why;
}

/* ---- ids ---- */

view bso_id(const json_t *o, const struct bso_ctx *c)
{
    const json_t *v = json_object_get(o, "id");

    if (!v)
        return VIEW_NONE;
    return c->rules->legacy ? text_loose(v, c->arena) : json_text(v);
}

bool bso_id_ok(view id, const struct bso_ctx *c)
{
    return c->rules->legacy ? item_id_legacy_ok(id) : item_id_ok(id);
}

/* ---- one body ---- */

rc bso_extent(view text, size_t *at, unsigned max_depth, unsigned *out_parts, struct err *e)
{
    unsigned depth = 0, parts = 0;
    size_t i = *at;

    for (; i < text.n; i++) {
        char c = text.p[i];

        if (c == '"') {
            for (i++; i < text.n && text.p[i] != '"'; i++)
                i += text.p[i] == '\\';
        } else if (c == '[' || c == '{') {
            parts++;
            if (++depth > max_depth)
                return fail(e, RC_BAD_INPUT, RESP_JSON, "JSON nested deeper than %u", max_depth);
        } else if (c == ']' || c == '}') {
            if (depth == 0)
                break;
            depth--;
        } else if (c == ',' || c == ':') {
            if (depth == 0 && c == ',')
                break;
            parts++;
        }
    }
    *at = i < text.n ? i : text.n;
    *out_parts = parts;
    return RC_OK;
}

/* Checks the body's own id, which must be legal where it is there, and fills in the one that counts. */
static rc id_decide(const json_t *o, view id, const struct bso_ctx *c, struct item_patch *out, struct err *e)
{
    const json_t *v = json_object_get(o, "id");
    view own = bso_id(o, c);

    if (v && !json_is_null(v) && (!own.p || !bso_id_ok(own, c)))
        return fail(e, RC_BAD_INPUT, RESP_INVALID_WBO, "invalid id in the body");
    if (!id.p && !own.p)
        return fail(e, RC_BAD_INPUT, RESP_INVALID_WBO, "no id");
    out->id = id.p ? id : own;
    return RC_OK;
}

rc bso_read(view body, view id, const struct bso_ctx *c, struct item_patch *out, json_t **out_root,
            struct err *e)
{
    SCOPED(json_decref) json_t *root = NULL;
    struct item_patch p = { .touches = false };
    unsigned parts;
    size_t at = 0;
    const char *why;

    if (bso_scan(body, &at, c, &p) && at == body.n && (id.p || p.id.p)) {
        *out = p;
        out->id = id.p ? id : p.id;
        *out_root = NULL;
        return RC_OK;
    }
    at = 0;
    p = (struct item_patch){ .touches = false };
    TRY(bso_extent(body, &at, JSON_DEPTH_MAX, &parts, e));
    if (parts > BSO_PARTS_MAX)
        return fail(e, RC_BAD_INPUT, RESP_INVALID_WBO, "a record of %u parts", parts);
    TRY(json_read(body, JSON_DEPTH_MAX, JSON_READ_PLAIN, &root, e));
    if (!json_is_object(root))
        return fail(e, RC_BAD_INPUT, RESP_INVALID_WBO, "not an object");
    TRY(id_decide(root, id, c, &p, e));
    why = bso_fill(root, c, &p);
    if (why)
        return fail(e, RC_BAD_INPUT, RESP_INVALID_WBO, "%s", why);
    *out = p;
    *out_root = root;
    root = NULL;
    return RC_OK;
}

/* ---- writing ---- */

static void put_text(struct buf *b, view name, view text)
{
    if (!text.p)
        return;
    buf_add(b, name);
    json_put_string(b, text);
}

static void put_time(struct buf *b, stamp t, struct time_text *last)
{
    if (last->n == 0 || last->time.cs != t.cs) {
        last->time = t;
        last->n = stamp_print(t, last->text);
    }
    buf_add(b, (view){ .p = last->text, .n = last->n });
}

void bso_put(struct buf *b, const struct item *it, bool legacy, struct time_text *last)
{
    buf_add(b, VIEW("{\"id\":"));
    json_put_string(b, it->id);
    buf_add(b, VIEW(",\"modified\":"));
    put_time(b, it->modified, last);
    buf_add(b, VIEW(",\"payload\":"));
    json_put_string(b, it->payload);
    if (it->has_sortindex) {
        buf_add(b, VIEW(",\"sortindex\":"));
        buf_add_i64(b, it->sortindex);
    }
    if (legacy) {
        put_text(b, VIEW(",\"parentid\":"), it->parentid);
        put_text(b, VIEW(",\"predecessorid\":"), it->predecessorid);
    }
    buf_addc(b, '}');
}
