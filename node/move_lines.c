#include "node/move_lines.h"

#include "common/auth/secrets.h"
#include "common/base/encode.h"
#include "common/base/json.h"

enum { LINE_DEPTH = 4 };

/* ---- pages ---- */

static void page_sum(view lines, view target, struct buf *out)
{
    SCOPED(buf_done) struct buf all = { 0 };
    uint8_t hash[SHA256_BYTES];
    buf_reserve(&all, lines.n + target.n + 1);
    buf_add(&all, target);
    buf_addc(&all, '\n');
    buf_add(&all, lines);
    sha256(buf_view(&all), hash);
    buf_add(out, VIEW("{\"sum\":\""));
    hex_put(out, (view){ .p = (const char *)hash, .n = sizeof hash });
    buf_add(out, VIEW("\"}\n"));
}

void lines_end(struct buf *page, view target)
{
    SCOPED(buf_done) struct buf last = { 0 };
    page_sum(buf_view(page), target, &last);
    buf_add(page, buf_view(&last));
}

rc lines_open(view page, view target, view *out_lines, struct err *e)
{
    SCOPED(buf_done) struct buf last = { 0 };
    size_t n = sizeof "{\"sum\":\"\"}\n" - 1 + 2 * (size_t)SHA256_BYTES;
    if (page.n < n)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a page of %zu bytes has no sum", page.n);
    view lines = { .p = page.p, .n = page.n - n }, end = { .p = page.p + lines.n, .n = n };
    page_sum(lines, target, &last);
    if (!view_eq(end, buf_view(&last)) || (lines.n > 0 && lines.p[lines.n - 1] != '\n'))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "the page is not the one that was sent: it was cut, changed or belongs to another call");
    *out_lines = lines;
    return RC_OK;
}

/* ---- lines ---- */

static rc odd_line(const char *what, view line, struct err *e)
{
    return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a line is not %s in our form: %.60s", what,
                line.n > 0 ? "it differs" : "it is empty");
}

static rc same_form(const struct buf *again, view line, const char *what, struct err *e)
{
    return view_eq(buf_view(again), line) ? RC_OK : odd_line(what, line, e);
}

static view text_of(const json_t *v, struct arena *a)
{
    view t = json_text(v);
    return t.p ? arena_copy(a, t) : VIEW_NONE;
}

static bool read_colls(const json_t *list, struct arena *a, struct head *out)
{
    size_t n = json_array_size(list);
    struct head_coll *colls = arena_zero(a, (n + 1) * sizeof *colls);
    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(list, i);
        colls[i] = (struct head_coll){ .name = text_of(json_array_get(pair, 0), a),
                                       .modified = { json_integer_value(json_array_get(pair, 1)) } };
        if (!colls[i].name.p)
            return false;
    }
    out->colls = colls;
    out->n_colls = n;
    return true;
}

rc line_read_head(view line, struct arena *a, struct head *out, struct err *e)
{
    SCOPED(json_decref) json_t *o = NULL;
    SCOPED(buf_done) struct buf again = { 0 };
    struct head h = { .state = HEAD_NONE };
    TRY(json_read(line, LINE_DEPTH, JSON_READ_NO_DUPLICATES, &o, e));
    h.clock.cs = json_member_int(o, "clock");
    h.modified.cs = json_member_int(o, "modified");
    h.used_bytes = json_member_int(o, "used_bytes");
    h.quota_bytes = json_member_int(o, "quota_bytes");
    if (!read_colls(json_object_get(o, "colls"), a, &h))
        return odd_line("a head", line, e);
    manifest_head_put(&again, &h, a);
    TRY(same_form(&again, line, "a head", e));
    *out = h;
    return RC_OK;
}

rc line_read_entry(view line, struct arena *a, struct manifest_entry *out, struct err *e)
{
    SCOPED(json_decref) json_t *o = NULL;
    SCOPED(buf_done) struct buf again = { 0 };
    struct manifest_entry m = { .coll = VIEW_NONE };
    view hash;
    TRY(json_read(line, LINE_DEPTH, JSON_READ_NO_DUPLICATES, &o, e));
    m.coll = text_of(json_array_get(o, 0), a);
    m.id = text_of(json_array_get(o, 1), a);
    if (!m.coll.p || !m.id.p || !hex_decode(json_text(json_array_get(o, 2)), a, &hash) ||
        hash.n != sizeof m.hash)
        return odd_line("an entry", line, e);
    memcpy(m.hash, hash.p, sizeof m.hash);
    manifest_entry_put(&again, &m);
    TRY(same_form(&again, line, "an entry", e));
    *out = m;
    return RC_OK;
}

rc line_read_row(view line, struct import_row *out, json_t **out_keep, struct err *e)
{
    SCOPED(json_decref) json_t *o = NULL;
    SCOPED(buf_done) struct buf again = { 0 };
    TRY(json_read(line, LINE_DEPTH, JSON_READ_NO_DUPLICATES, &o, e));
    const json_t *index = json_object_get(o, "sortindex");
    int64_t expires = json_member_int(o, "expires");
    struct import_row r = { .coll = json_text(json_object_get(o, "coll")) };
    r.item = (struct item){ .id = json_text(json_object_get(o, "id")),
                            .payload = json_text(json_object_get(o, "payload")),
                            .modified = { json_member_int(o, "modified") },
                            .has_sortindex = index != NULL,
                            .sortindex = json_integer_value(index),
                            .parentid = json_text(json_object_get(o, "parentid")),
                            .predecessorid = json_text(json_object_get(o, "predecessorid")) };
    if (!r.coll.p || !r.item.id.p || !r.item.payload.p || expires < 0 || expires > INT64_MAX / 10)
        return odd_line("a row", line, e);
    r.item.expires_ms = expires * 10;
    buf_reserve(&again, line.n);
    move_row_put(&again, r.coll, &r.item);
    TRY(same_form(&again, line, "a row", e));
    *out = r;
    *out_keep = json_incref(o);
    return RC_OK;
}

/* ---- places ---- */

view key_text(struct arena *a, const struct item_key *k)
{
    SCOPED(buf_done) struct buf b = { 0 };
    buf_add(&b, k->coll);
    buf_addc(&b, '\n');
    buf_add(&b, k->id);
    return base64_text(a, BASE64_URL_NOPAD, buf_view(&b));
}

bool key_parse(view text, struct arena *a, struct item_key *out)
{
    view rest, coll;
    *out = (struct item_key){ VIEW(""), VIEW("") };
    if (text.n == 0)
        return true;
    if (text.n > KEY_TEXT_MAX || !base64_decode(BASE64_URL_NOPAD, text, a, &rest) || !rest.p)
        return false;
    view_cut(&rest, '\n', &coll);
    if (!rest.p || coll.n == 0 || coll.n > COLL_NAME_MAX || rest.n == 0 || rest.n > ITEM_ID_MAX)
        return false;
    *out = (struct item_key){ coll, rest };
    return true;
}
