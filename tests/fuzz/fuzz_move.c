/* What comes to a node in the middle of a move: pages, and their lines. A line that is taken is the one that would be written for it. */
#include <assert.h>

#include "node/move_lines.h"

static void head_again(view line, struct arena *a)
{
    struct head h;
    struct buf b = { 0 };
    if (line_read_head(line, a, &h, NULL) != RC_OK)
        return;
    manifest_head_put(&b, &h, a);
    assert(view_eq(buf_view(&b), line));
    buf_done(&b);
}

static void entry_again(view line, struct arena *a)
{
    struct manifest_entry m;
    struct buf b = { 0 };
    if (line_read_entry(line, a, &m, NULL) != RC_OK)
        return;
    manifest_entry_put(&b, &m);
    assert(view_eq(buf_view(&b), line));
    buf_done(&b);
}

static void row_again(view line)
{
    struct import_row r;
    json_t *keep = NULL;
    struct buf b = { 0 };
    if (line_read_row(line, &r, &keep, NULL) != RC_OK)
        return;
    move_row_put(&b, r.coll, &r.item);
    assert(view_eq(buf_view(&b), line));
    buf_done(&b);
    json_decref(keep);
}

static void place_again(view text, struct arena *a)
{
    struct item_key k;
    if (key_parse(text, a, &k) && text.n > 0)
        assert(view_eq(key_text(a, &k), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    view v = { .p = (const char *)data, .n = size }, lines;
    struct buf page = { 0 };
    struct arena a;
    arena_init(&a, (size_t)64 << 20);
    head_again(v, &a);
    entry_again(v, &a);
    row_again(v);
    place_again(v, &a);
    assert(lines_open(v, VIEW("/x"), &lines, NULL) != RC_OK || lines.n < v.n);
    buf_add(&page, v);
    lines_end(&page, VIEW("/x"));
    if (size == 0 || v.p[size - 1] == '\n')
        assert(lines_open(buf_view(&page), VIEW("/x"), &lines, NULL) == RC_OK && view_eq(lines, v));
    assert(lines_open(buf_view(&page), VIEW("/y"), &lines, NULL) != RC_OK);
    buf_done(&page);
    arena_done(&a);
    return 0;
}
