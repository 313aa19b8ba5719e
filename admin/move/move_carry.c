/* A pass: the source's manifest goes to the target, which prunes what is not in it and names what it lacks; the source sends that. */
#include <assert.h>
#include <inttypes.h>
#include <openssl/evp.h>

#include "admin/move/move.h"
#include "common/auth/secrets.h"
#include "common/base/clock.h"
#include "common/base/encode.h"
#include "common/base/mem.h"

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

static rc note_oldest(struct carry *c, const struct answer *a, struct err *e)
{
    SCOPED(json_decref) json_t *o = NULL;
    TRY(ask_object(a, &o, e));
    const json_t *oldest = json_object_get(o, "oldest");
    if (!json_is_integer(oldest))
        return fail(e, RC_BROKEN, RESP_GENERIC, "node %.*s does not tell what it took", VIEW_ARG(c->to));
    int64_t before = json_integer_value(oldest) - 1;
    c->next_base = before < c->next_base ? before : c->next_base;
    return RC_OK;
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
    if (result == RC_OK)
        result = note_oldest(c, &a, e);
    answer_done(&a);
    TRY(result);
    c->rows += view_count(lines, '\n');
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

static const char before_clock[] = "{\"clock\":";

/* The sum of all pages, as store_manifest_sum makes it of what a node holds: so the target's must come out the same. The source could tell
 * its own, but would have to read everything once more while the user waits; each page has its sum already. */
struct summing {
    EVP_MD_CTX *ctx;
};

static void summing_done_scoped(struct summing *s)
{
    EVP_MD_CTX_free(s->ctx);
}

static void sum_add(struct summing *s, view v)
{
    int ok = EVP_DigestUpdate(s->ctx, v.p, v.n);
    assert(ok);
    (void)ok;
}

/* {"clock":123,…}: cuts it behind the number. */
static rc cut_clock(view *lines, int64_t *out, struct err *e)
{
    size_t at = sizeof before_clock - 1, digits = 0;
    uint64_t clock = 0;
    while (at + digits < lines->n && lines->p[at + digits] >= '0' && lines->p[at + digits] <= '9')
        digits++;
    if (!view_starts(*lines, view_of(before_clock)) ||
        !view_to_u64((view){ lines->p + at, digits }, INT64_MAX, &clock))
        return fail(e, RC_BROKEN, RESP_GENERIC, "a manifest without a head");
    *out = (int64_t)clock;
    lines->p += at + digits;
    lines->n -= at + digits;
    return RC_OK;
}

/* With a clock of 0 in the sum, for the target's may be ahead. */
static void sum_page(struct summing *s, view lines, view behind_clock)
{
    if (behind_clock.p) {
        s->ctx = mem_need(EVP_MD_CTX_new());
        int ok = EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL);
        assert(ok);
        (void)ok;
        sum_add(s, view_of(before_clock));
        sum_add(s, VIEW("0"));
        lines = behind_clock;
    }
    sum_add(s, lines);
}

static void sum_end(struct summing *s, const struct carry *c, char *out, size_t size)
{
    char base[40] = "";
    SCOPED(buf_done) struct buf hex = { 0 };
    uint8_t hash[SHA256_BYTES];
    unsigned n = 0;
    int ok = EVP_DigestFinal_ex(s->ctx, hash, &n);
    assert(ok && n == sizeof hash);
    (void)ok;
    hex_put(&hex, (view){ .p = (const char *)hash, .n = sizeof hash });
    if (c->base >= 0)
        snprintf(base, sizeof base, ",\"base\":%" PRId64, c->base);
    snprintf(out, size, "\"sum\":\"%s\",\"clock\":%" PRId64 "%s", buf_text(&hex), c->clock, base);
}

typedef char base_text[32];

static const char *base_arg(const struct carry *c, base_text out)
{
    out[0] = '\0';
    if (c->base >= 0)
        snprintf(out, sizeof(base_text), "&base=%" PRId64, c->base);
    return out;
}

/* What the target says to a page; *out is its answer, to be held while *out_lacks is used. */
static rc compare(struct carry *c, view lines, const char *after, bool last, struct answer *out,
                  view *out_lacks, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(buf_done) struct buf page = { 0 };
    base_text arg;
    buf_addf(&path, "users/%" PRId64 "/manifest?move=%.*s&epoch=%" PRId64 "&after=%s%s%s&page=%u", c->uid,
             VIEW_ARG(c->move), c->epoch + 1, after, last ? "&last=1" : "", base_arg(c, arg), c->page);
    buf_add(&page, lines);
    end_page(&page, buf_text(&path));
    const struct reach_call call = { .method = "POST", .path = buf_text(&path), .body = buf_view(&page) };
    TRY(carried(reach_node(c->r, c->to, &call, out, e)));
    return check_page(out, buf_text(&path), out_lacks, e);
}

static rc carry_page(struct carry *c, const struct answer *a, const char *path, const char *after,
                     int64_t source_us, struct summing *sum, struct err *e)
{
    struct answer lacking = { .status = 0 };
    int64_t from_us = now_us(c);
    bool last = a->next[0] == '\0';
    view lines, lacks, behind_clock = VIEW_NONE;
    TRY(check_page(a, path, &lines, e));
    if (after[0] == '\0') {
        behind_clock = lines;
        TRY(cut_clock(&behind_clock, &c->clock, e));
    }
    if (c->frozen)
        sum_page(sum, lines, behind_clock);
    size_t n = view_count(lines, '\n');
    c->items_seen += after[0] ? n : n - (n > 0); /* without the head */
    rc result = compare(c, lines, after, last, &lacking, &lacks, e);
    if (result == RC_OK && c->breathe)
        result = c->breathe(c->arg, 0, source_us, now_us(c) - from_us, e);
    if (result == RC_OK)
        result = carry_lacks(c, lacks, e);
    answer_done(&lacking);
    return result;
}

rc carry_pass(struct carry *c, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    char after[sizeof((struct answer *)0)->next] = "";
    base_text arg;
    SCOPED(summing_done) struct summing sum = { .ctx = NULL };
    struct answer a = { .status = 0 };
    rc result = RC_OK;
    c->items_seen = c->rows = c->bytes = 0;
    c->next_base = INT64_MAX;
    c->sum[0] = '\0';
    do {
        buf_clear(&path);
        buf_addf(&path, "users/%" PRId64 "/manifest?move=%.*s&epoch=%" PRId64 "&after=%s%s&page=%u", c->uid,
                 VIEW_ARG(c->move), c->epoch, after, base_arg(c, arg), ++c->page);
        const struct reach_call call = { .method = "GET", .path = buf_text(&path), .body = VIEW_NONE };
        int64_t from_us = now_us(c);
        result = reach_node(c->r, c->from, &call, &a, e);
        int64_t source_us = now_us(c) - from_us;
        if (result == RC_OK)
            result = carry_page(c, &a, buf_text(&path), after, source_us, &sum, e);
        snprintf(after, sizeof after, "%s", result == RC_OK ? a.next : "");
    } while (result == RC_OK && after[0]);
    if (result == RC_OK && c->frozen)
        sum_end(&sum, c, c->sum, sizeof c->sum);
    if (result == RC_OK && c->clock < c->next_base)
        c->next_base = c->clock;
    answer_done(&a);
    return result;
}
