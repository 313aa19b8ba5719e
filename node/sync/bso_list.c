/* A list is cut into its elements first and each is built by itself, so memory is bounded by the patches that are kept and by one
 * element, whatever the body holds. */
#include "node/sync/bso_list.h"

#include <assert.h>

#include "common/base/json.h"
#include "common/base/rand.h"
#include "node/sync/bso_scan.h"

#define NO_PATCH          SIZE_MAX
#define RECORD_LEAST      8 /* bytes of the shortest record, with its comma: {"id":1}, */
#define SEEN_FIRST        64
#define IS_LINE_SPACE(ch) ((ch) == ' ' || (ch) == '\t' || (ch) == '\r')

/* An id that this list has named. */
struct seen {
    view id;
    size_t patch; /* NO_PATCH: it failed */
    bool failed;  /* it stands in `failed` */
};

struct reader {
    const struct bso_ctx *c;
    struct bso_list *out;
    size_t cap;       /* of patches and roots */
    size_t at;        /* position of the next record */
    int64_t sum;      /* of payload bytes */
    struct seen *ids; /* in the arena, in order */
    size_t n_ids, cap_ids;
    uint32_t *slots; /* open addressing: index + 1 of ids; 2 * cap_ids of them, a power of two */
    uint64_t seed;
    bool nameless_id, nameless_record; /* 1.1: what failed and has no id to be named by */
    rc verdict;                        /* of the list as a whole, once it is known to be wrong … */
    struct err why;                    /* … unless the rest is not even JSON */
};

/* ---- ids that were seen ---- */

static uint64_t hash(view v, uint64_t seed)
{
    uint64_t h = seed;

    for (size_t i = 0; i < v.n; i++)
        h = (h ^ (unsigned char)v.p[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

static uint32_t *slot_of(const struct reader *r, view id)
{
    size_t mask = 2 * r->cap_ids - 1, i = hash(id, r->seed) & mask;

    while (r->slots[i] && !view_eq(r->ids[r->slots[i] - 1].id, id))
        i = (i + 1) & mask;
    return &r->slots[i];
}

static void seen_grow(struct reader *r)
{
    struct seen *old = r->ids;

    if (!r->seed)
        rand_bytes(&r->seed, sizeof r->seed);
    r->cap_ids = r->cap_ids ? 2 * r->cap_ids : SEEN_FIRST;
    r->ids = arena_alloc(r->c->arena, r->cap_ids * sizeof *r->ids);
    r->slots = arena_zero(r->c->arena, 2 * r->cap_ids * sizeof *r->slots);
    if (r->n_ids)
        memcpy(r->ids, old, r->n_ids * sizeof *old);
    for (size_t i = 0; i < r->n_ids; i++)
        *slot_of(r, r->ids[i].id) = (uint32_t)i + 1;
}

/* NULL: not yet. */
static struct seen *seen_find(const struct reader *r, view id)
{
    uint32_t *slot = r->n_ids ? slot_of(r, id) : NULL;

    return slot && *slot ? &r->ids[*slot - 1] : NULL;
}

static struct seen *seen_add(struct reader *r, view id)
{
    if (r->n_ids == r->cap_ids)
        seen_grow(r);
    r->ids[r->n_ids] = (struct seen){ .id = id, .patch = NO_PATCH };
    *slot_of(r, id) = (uint32_t)r->n_ids + 1;
    return &r->ids[r->n_ids++];
}

/* ---- one record ---- */

/* The list is wrong as a whole; the reading goes on, because what is not JSON says so first. */
static rc condemn(struct reader *r, enum respcode code, const char *why)
{
    if (r->verdict == RC_OK)
        r->verdict = fail(&r->why, RC_BAD_INPUT, code, "record %zu: %s", r->at, why);
    return RC_OK;
}

static void put_failed(struct reader *r, struct seen *s, const char *why)
{
    struct buf *b = &r->out->failed;

    if (s->failed)
        return;
    s->failed = true;
    if (b->n)
        buf_addc(b, ',');
    json_put_string(b, s->id);
    buf_add(b, r->c->rules->legacy ? VIEW(":[") : VIEW(":"));
    json_put_string(b, view_of(why));
    if (r->c->rules->legacy)
        buf_addc(b, ']');
}

/* Limits of the whole POST, after the record itself was found good. NULL: it fits. */
static const char *post_limits(struct reader *r, const struct item_patch *p)
{
    const struct bso_rules *rules = r->c->rules;
    bool has_payload = p->payload_op == PATCH_SET;

    if (r->at >= (uint64_t)rules->max_post_records)
        return rules->legacy ? "retry wbo" : "retry bso";
    r->sum += has_payload ? (int64_t)p->payload.n : 0;
    if (rules->legacy)
        return has_payload && r->sum >= rules->max_post_bytes ? "retry bytes" : NULL;
    return r->sum > rules->max_post_bytes ? "retry bytes" : NULL;
}

/* The same record again (1.1): as if one were written after the other. */
static void merge(struct item_patch *p, const struct item_patch *later)
{
    struct item_patch m = *later;

    if (later->payload_op == PATCH_LEAVE) {
        m.payload_op = p->payload_op;
        m.payload = p->payload;
    }
    if (later->sortindex_op == PATCH_LEAVE) {
        m.sortindex_op = p->sortindex_op;
        m.sortindex = p->sortindex;
    }
    if (later->ttl_op == PATCH_LEAVE) {
        m.ttl_op = p->ttl_op;
        m.ttl_s = p->ttl_s;
    }
    if (later->parentid_op == PATCH_LEAVE) {
        m.parentid_op = p->parentid_op;
        m.parentid = p->parentid;
    }
    if (later->predecessorid_op == PATCH_LEAVE) {
        m.predecessorid_op = p->predecessorid_op;
        m.predecessorid = p->predecessorid;
    }
    m.touches = later->touches || p->touches;
    *p = m;
}

static void keep(struct reader *r, struct seen *s, const struct item_patch *p)
{
    struct bso_list *l = r->out;

    if (s->patch == NO_PATCH) {
        s->patch = l->n;
        l->patches[l->n++] = *p;
    } else {
        merge(&l->patches[s->patch], p);
    }
    l->payload_bytes += p->payload_op == PATCH_SET ? p->payload.n : 0;
    if (l->success.n)
        buf_addc(&l->success, ',');
    json_put_string(&l->success, p->id);
}

/* A good record, if the POST has room for it. */
static bool judge_patch(struct reader *r, struct seen *s, const struct item_patch *p)
{
    const char *why = post_limits(r, p);

    if (why)
        put_failed(r, s, why);
    else
        keep(r, s, p);
    return !why;
}

/* A record with an id: *root is taken when its patch is kept. */
static void judge(struct reader *r, struct seen *s, json_t **root)
{
    struct item_patch p = { .id = bso_id(*root, r->c) };
    const char *why = bso_id_ok(p.id, r->c) ? bso_fill(*root, r->c, &p) : "invalid id";

    if (why)
        put_failed(r, s, why);
    if (why || !judge_patch(r, s, &p))
        return;
    assert(r->out->n_roots < r->cap);
    r->out->roots[r->out->n_roots++] = *root;
    *root = NULL;
}

static rc record_15(struct reader *r, json_t **root)
{
    view id = bso_id(*root, r->c);
    struct seen *s;

    if (!json_is_object(*root))
        return condemn(r, RESP_INVALID_WBO, "not an object");
    if (!id.p)
        return condemn(r, RESP_INVALID_WBO, "no id that is a string");
    if (seen_find(r, id))
        return condemn(r, RESP_INVALID_WBO, "an id for the second time");
    s = seen_add(r, id);
    judge(r, s, root);
    if (*root) /* it failed and goes now */
        s->id = arena_copy(r->c->arena, id);
    return RC_OK;
}

static rc record_11(struct reader *r, json_t **root)
{
    view id = json_is_object(*root) ? bso_id(*root, r->c) : VIEW_NONE;
    struct seen *s;

    if (!json_is_object(*root)) {
        r->nameless_record = true;
        return RC_OK;
    }
    if (id.n == 0) {
        if (json_is_array(json_object_get(*root, "id")) || json_is_object(json_object_get(*root, "id")))
            r->nameless_record = true;
        else
            r->nameless_id = true;
        return RC_OK;
    }
    s = seen_find(r, id);
    if (!s)
        s = seen_add(r, arena_copy(r->c->arena, id));
    judge(r, s, root);
    return RC_OK;
}

/* The same for one that was scanned: it has an id, and all of it is good. */
static void record_scanned(struct reader *r, const struct item_patch *p)
{
    struct seen *s = seen_find(r, p->id);

    if (s && !r->c->rules->legacy)
        (void)condemn(r, RESP_INVALID_WBO, "an id for the second time");
    else
        judge_patch(r, s ? s : seen_add(r, p->id), p);
}

/* Most records are plain: the one at text[*at], up to the end or one of `ends`. false: it must be read the long way. */
static bool record_plain(struct reader *r, view text, view ends, size_t *at)
{
    struct item_patch p;
    size_t end = *at;

    if (r->at >= (uint64_t)r->c->rules->max_post_records || !bso_scan(text, &end, r->c, &p) || !p.id.p ||
        (end < text.n && !memchr(ends.p, text.p[end], ends.n)))
        return false;
    record_scanned(r, &p);
    *at = end;
    return true;
}

/* The text of one element. */
static rc record(struct reader *r, view text, unsigned parts, unsigned max_depth, struct err *e)
{
    SCOPED(json_decref) json_t *root = NULL;
    bool legacy = r->c->rules->legacy;
    struct err why = ERR_NONE;
    rc got;

    if (r->at >= (uint64_t)r->c->rules->max_post_records + BSO_LIST_SURPLUS)
        return fail(e, RC_BAD_INPUT, RESP_TOO_LARGE, "more than %zu records", r->at);
    if (parts > BSO_PARTS_MAX) {
        r->nameless_record = true;
        return legacy ? RC_OK : condemn(r, RESP_INVALID_WBO, "far too many parts");
    }
    got = json_read(text, max_depth, JSON_READ_PLAIN, &root, &why);
    if (got != RC_OK &&
        why.respcode == RESP_INVALID_WBO) /* an integer out of range: its field fails, not the list */
        got = json_read(text, max_depth, JSON_READ_WIDE_INTEGERS, &root, &why);
    if (got != RC_OK &&
        why.respcode == RESP_INVALID_WBO) { /* a number out of range, before the id could be read */
        r->nameless_record = true;
        return legacy ? RC_OK : condemn(r, RESP_INVALID_WBO, "a number out of range");
    }
    if (got != RC_OK) {
        if (e)
            *e = why;
        return got;
    }
    return legacy ? record_11(r, &root) : record_15(r, &root);
}

/* ---- the list ---- */

static void skip_space(view text, size_t *at)
{
    while (*at < text.n && (IS_LINE_SPACE(text.p[*at]) || text.p[*at] == '\n'))
        (*at)++;
}

static rc not_json(struct err *e, const char *what)
{
    return fail(e, RC_BAD_INPUT, RESP_JSON, "the list %s", what);
}

/* text[*at] is '['. */
static rc read_json(struct reader *r, view text, size_t at, struct err *e)
{
    size_t begin = ++at;
    unsigned parts;

    skip_space(text, &at);
    if (at < text.n && text.p[at] == ']') {
        at++;
    } else {
        for (;; begin = ++at) {
            at = begin;
            if (!record_plain(r, text, VIEW(",]"), &at)) {
                TRY(bso_extent(text, &at, JSON_DEPTH_MAX - 1, &parts, e));
                TRY(record(r, (view){ .p = text.p + begin, .n = at - begin }, parts, JSON_DEPTH_MAX - 1, e));
            }
            r->at++;
            if (at == text.n)
                return not_json(e, "does not end");
            if (text.p[at] != ',')
                break;
        }
        if (text.p[at++] != ']')
            return not_json(e, "ends with another bracket");
    }
    skip_space(text, &at);
    return at == text.n ? RC_OK : not_json(e, "is followed by something");
}

static rc read_lines(struct reader *r, view text, struct err *e)
{
    view line;

    if (text.n > 0 && text.p[text.n - 1] == '\n') /* one at the end is allowed */
        text.n--;
    else if (text.n == 0)
        return RC_OK;
    while (view_cut(&text, '\n', &line)) {
        unsigned parts;
        size_t at = 0;

        if (!record_plain(r, line, VIEW(""), &at)) {
            TRY(bso_extent(line, &at, JSON_DEPTH_MAX, &parts, e));
            TRY(record(r, line, parts, JSON_DEPTH_MAX, e));
        }
        r->at++;
    }
    return RC_OK;
}

/* 1.1: one object instead of a list, or something that is neither. */
static rc read_single(struct reader *r, view text, struct err *e)
{
    json_t *root = NULL;

    TRY(bso_read(text, VIEW_NONE, r->c, &r->out->patches[0], &root, e));
    r->out->roots[r->out->n_roots++] = root;
    r->out->n = 1;
    r->out->single = true;
    r->out->payload_bytes = r->out->patches[0].payload_op == PATCH_SET ? r->out->patches[0].payload.n : 0;
    return RC_OK;
}

/* Something that is JSON, but no list: which of both errors is it? */
static rc not_a_list(view text, struct err *e)
{
    SCOPED(json_decref) json_t *root = NULL;
    unsigned parts;
    size_t at = 0;

    TRY(bso_extent(text, &at, JSON_DEPTH_MAX, &parts, e));
    if (parts <= BSO_PARTS_MAX)
        TRY(json_read(text, JSON_DEPTH_MAX, JSON_READ_PLAIN, &root, e));
    return fail(e, RC_BAD_INPUT, RESP_INVALID_WBO, "not a list");
}

/* 1.1: entries without a usable id share the key "". */
static void put_nameless(struct reader *r)
{
    struct buf *b = &r->out->failed;

    if (!r->c->rules->legacy || (!r->nameless_id && !r->nameless_record))
        return;
    if (b->n)
        buf_addc(b, ',');
    buf_add(b, VIEW("\"\":["));
    if (r->nameless_id)
        buf_add(b, VIEW("\"invalid id\""));
    if (r->nameless_id && r->nameless_record)
        buf_addc(b, ',');
    if (r->nameless_record)
        buf_add(b, VIEW("\"invalid wbo\""));
    buf_addc(b, ']');
}

static rc read_any(struct reader *r, view body, enum format format, struct err *e)
{
    size_t at = 0;

    if (format == FORMAT_NEWLINES)
        return read_lines(r, body, e);
    skip_space(body, &at);
    if (at < body.n && body.p[at] == '[')
        return read_json(r, body, at, e);
    return r->c->rules->legacy ? read_single(r, body, e) : not_a_list(body, e);
}

rc bso_list_read(view body, enum format format, const struct bso_ctx *c, struct bso_list *out, struct err *e)
{
    SCOPED(bso_list_done) struct bso_list l = { .n = 0 };
    struct reader r = { .c = c, .out = &l, .verdict = RC_OK, .why = ERR_NONE };

    r.cap = body.n / RECORD_LEAST + 1;
    if (r.cap > (uint64_t)c->rules->max_post_records)
        r.cap = (size_t)c->rules->max_post_records;
    l.patches = arena_alloc(c->arena, r.cap * sizeof *l.patches);
    l.roots = arena_alloc(c->arena, r.cap * sizeof *l.roots);
    TRY(read_any(&r, body, format, e));
    if (r.verdict != RC_OK) {
        if (e)
            *e = r.why;
        return r.verdict;
    }
    put_nameless(&r);
    *out = l;
    l = (struct bso_list){ .n = 0 };
    return RC_OK;
}

void bso_list_done(struct bso_list *l)
{
    for (size_t i = 0; i < l->n_roots; i++)
        json_decref(l->roots[i]);
    buf_done(&l->success);
    buf_done(&l->failed);
    *l = (struct bso_list){ .n = 0 };
}

void bso_list_put(struct buf *b, const struct bso_list *l)
{
    buf_add(b, VIEW("\"success\":["));
    buf_add(b, buf_view(&l->success));
    buf_add(b, VIEW("],\"failed\":{"));
    buf_add(b, buf_view(&l->failed));
    buf_addc(b, '}');
}
