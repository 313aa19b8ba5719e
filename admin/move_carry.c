/* A pass: the source's manifest goes to the target, which prunes what is not in it and names what it lacks; the source sends that. */
#include <inttypes.h>

#include "admin/move.h"
#include "common/auth/secrets.h"
#include "common/base/clock.h"
#include "common/base/encode.h"

#define IDS_MOST 5000 /* in one question for rows */

/* ---- pages ---- */

/* {"sum":…} over target and lines: node/move_lines.h. */
static void end_page(struct buf *page, const char *path)
{
    SCOPED(buf_done) struct buf all = { 0 };
    uint8_t hash[SHA256_BYTES];
    reach_target(&all, path);
    buf_addc(&all, '\n');
    buf_add(&all, buf_view(page));
    sha256(buf_view(&all), hash);
    buf_add(page, VIEW("{\"sum\":\""));
    hex_put(page, (view){ .p = (const char *)hash, .n = sizeof hash });
    buf_add(page, VIEW("\"}\n"));
}

static rc check_page(const struct answer *a, const char *path, view *out_lines, struct err *e)
{
    SCOPED(buf_done) struct buf again = { 0 };
    view page = buf_view(&a->body);
    size_t n = sizeof "{\"sum\":\"\"}\n" - 1 + 2 * (size_t)SHA256_BYTES;
    if (page.n >= n) {
        buf_add(&again, (view){ .p = page.p, .n = page.n - n });
        end_page(&again, path);
    }
    if (!view_eq(buf_view(&again), page))
        return fail(e, RC_CONFLICT, RESP_GENERIC,
                    "a page came that is not the one that was sent: it was cut or changed");
    *out_lines = (view){ .p = page.p, .n = page.n - n };
    return RC_OK;
}

static int64_t now_us(const struct carry *c)
{
    return clock_mono_us(c->r->clock);
}

/* A refusal of what we carried is no fault in what we asked for. */
static rc carried(rc result)
{
    return result == RC_BAD_INPUT ? RC_CONFLICT : result;
}

/* ---- rows ---- */

/* What the target lacks and has not got yet: lines of the manifest, as it answered them. */
struct lacks {
    view rest; /* lines */
};

/* {"ids":[…]} of the next lines, at most IDS_MOST. */
static rc put_ids(view lines, struct buf *body, size_t *out_n, struct err *e)
{
    view line;
    size_t n = 0;
    buf_clear(body);
    buf_add(body, VIEW("{\"ids\":["));
    while (n < IDS_MOST && lines.n > 0 && view_cut(&lines, '\n', &line)) {
        SCOPED(json_decref) json_t *o = NULL;
        view coll, id;
        if (json_read(line, 4, JSON_READ_PLAIN, &o, NULL) == RC_OK) {
            coll = json_text(json_array_get(o, 0));
            id = json_text(json_array_get(o, 1));
        } else {
            coll = id = VIEW_NONE;
        }
        if (!coll.p || !id.p)
            return fail(e, RC_BROKEN, RESP_GENERIC, "a line of a manifest cannot be read");
        buf_add(body, n > 0 ? VIEW(",[") : VIEW("["));
        json_put_string(body, coll);
        buf_addc(body, ',');
        json_put_string(body, id);
        buf_addc(body, ']');
        n++;
    }
    buf_add(body, VIEW("]}"));
    *out_n = n;
    return RC_OK;
}

static size_t count_lines(view v)
{
    size_t n = 0;
    for (size_t i = 0; i < v.n; i++)
        n += v.p[i] == '\n';
    return n;
}

static rc bring_rows(struct carry *c, view lines, int64_t source_us, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(buf_done) struct buf page = { 0 };
    struct answer a = { .status = 0 };
    int64_t from_us = now_us(c);
    if (lines.n == 0)
        return RC_OK;
    buf_addf(&path, "users/%" PRId64 "/import?move=%.*s&epoch=%" PRId64 "&page=%u", c->uid, VIEW_ARG(c->move),
             c->epoch + 1, c->page);
    buf_add(&page, lines);
    end_page(&page, buf_text(&path));
    const struct reach_call call = { .method = "POST", .path = buf_text(&path), .body = buf_view(&page) };
    rc result = carried(reach_node(c->r, c->to, &call, &a, e));
    answer_done(&a);
    TRY(result);
    c->rows += count_lines(lines);
    c->bytes += lines.n;
    return c->breathe ? c->breathe(c->arg, lines.n, source_us, now_us(c) - from_us, e) : RC_OK;
}

/* One page of rows, from the source and to the target. *out_done: how many of these ids are through. */
static rc carry_rows(struct carry *c, view ids, size_t n, size_t *out_done, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    struct answer a = { .status = 0 };
    int64_t from_us = now_us(c);
    uint64_t next = n;
    view lines;
    buf_addf(&path, "users/%" PRId64 "/export?move=%.*s&epoch=%" PRId64 "&page=%u", c->uid, VIEW_ARG(c->move),
             c->epoch, ++c->page);
    const struct reach_call call = { .method = "POST", .path = buf_text(&path), .body = ids };
    rc result = reach_node(c->r, c->from, &call, &a, e);
    int64_t source_us = now_us(c) - from_us;
    if (result == RC_OK && a.next[0] && (!view_to_u64(view_of(a.next), n, &next) || next == 0))
        result = fail(e, RC_BROKEN, RESP_GENERIC, "node %.*s goes in circles", VIEW_ARG(c->from));
    if (result == RC_OK)
        result = check_page(&a, buf_text(&path), &lines, e);
    if (result == RC_OK)
        result = bring_rows(c, lines, source_us, e);
    answer_done(&a);
    *out_done = (size_t)next;
    return result;
}

static rc carry_lacks(struct carry *c, view lines, struct err *e)
{
    SCOPED(buf_done) struct buf ids = { 0 };
    view line;
    while (lines.n > 0) {
        size_t n = 0, done = 0;
        TRY(put_ids(lines, &ids, &n, e));
        TRY(carry_rows(c, buf_view(&ids), n, &done, e));
        for (size_t i = 0; i < done; i++)
            view_cut(&lines, '\n', &line);
    }
    return RC_OK;
}

/* ---- the manifest ---- */

/* The last line of the last page, {"manifest","clock"}, is for seal and not for the target's comparison. */
static rc take_sum(struct carry *c, view *lines, struct err *e)
{
    SCOPED(json_decref) json_t *o = NULL;
    size_t at = lines->n;
    while (at > 0 && (at == lines->n || lines->p[at - 1] != '\n'))
        at--;
    if (at == lines->n ||
        json_read((view){ lines->p + at, lines->n - at - 1 }, 4, JSON_READ_PLAIN, &o, NULL) != RC_OK ||
        json_string_length(json_object_get(o, "manifest")) != 2 * (size_t)SHA256_BYTES)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the manifest has no sum");
    snprintf(c->sum, sizeof c->sum, "\"sum\":\"%s\",\"clock\":%lld",
             json_string_value(json_object_get(o, "manifest")),
             (long long)json_integer_value(json_object_get(o, "clock")));
    lines->n = at;
    return RC_OK;
}

/* What the target says to a page; *out is its answer, to be held while *out_lacks is used. */
static rc compare(struct carry *c, view lines, const char *after, bool last, struct answer *out,
                  view *out_lacks, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(buf_done) struct buf page = { 0 };
    buf_addf(&path, "users/%" PRId64 "/manifest?move=%.*s&epoch=%" PRId64 "&after=%s%s&page=%u", c->uid,
             VIEW_ARG(c->move), c->epoch + 1, after, last ? "&last=1" : "", c->page);
    buf_add(&page, lines);
    end_page(&page, buf_text(&path));
    const struct reach_call call = { .method = "POST", .path = buf_text(&path), .body = buf_view(&page) };
    TRY(carried(reach_node(c->r, c->to, &call, out, e)));
    return check_page(out, buf_text(&path), out_lacks, e);
}

static rc carry_page(struct carry *c, const struct answer *a, const char *path, const char *after,
                     struct err *e)
{
    struct answer lacking = { .status = 0 };
    bool last = a->next[0] == '\0';
    view lines, lacks;
    TRY(check_page(a, path, &lines, e));
    if (last && c->frozen)
        TRY(take_sum(c, &lines, e));
    size_t n = count_lines(lines);
    c->items_seen += after[0] ? n : n - (n > 0); /* without the head */
    rc result = compare(c, lines, after, last, &lacking, &lacks, e);
    if (result == RC_OK)
        result = carry_lacks(c, lacks, e);
    answer_done(&lacking);
    return result;
}

rc carry_pass(struct carry *c, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    char after[sizeof((struct answer *)0)->next] = "";
    struct answer a = { .status = 0 };
    rc result = RC_OK;
    c->items_seen = c->rows = c->bytes = 0;
    c->sum[0] = '\0';
    do {
        buf_clear(&path);
        buf_addf(&path, "users/%" PRId64 "/manifest?move=%.*s&epoch=%" PRId64 "&after=%s%s&page=%u", c->uid,
                 VIEW_ARG(c->move), c->epoch, after, c->frozen ? "&total=1" : "", ++c->page);
        const struct reach_call call = { .method = "GET", .path = buf_text(&path), .body = VIEW_NONE };
        result = reach_node(c->r, c->from, &call, &a, e);
        if (result == RC_OK)
            result = carry_page(c, &a, buf_text(&path), after, e);
        snprintf(after, sizeof after, "%s", result == RC_OK ? a.next : "");
    } while (result == RC_OK && after[0]);
    answer_done(&a);
    return result;
}
