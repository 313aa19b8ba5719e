/* gettext's .mo files. Protocol: GNU gettext manual, "The Format of GNU MO Files". Everything is checked once, when it is opened. */
#include <byteswap.h>

#include "common/base/encode.h"
#include "common/base/mem.h"
#include "common/page/words.h"

#define MO_MAGIC   0x950412deU
#define MO_SWAPPED 0xde120495U

enum { MO_HEADER = 20, MO_ENTRIES_MAX = 100000 };

struct catalogue {
    view bytes;
    uint32_t n, ids, texts; /* number; offsets of the two tables */
    bool swapped;
};

static uint32_t number_at(const struct catalogue *c, size_t at)
{
    uint32_t v;
    memcpy(&v, c->bytes.p + at, sizeof(v));
    return c->swapped ? bswap_32(v) : v;
}

static view entry(const struct catalogue *c, uint32_t table, uint32_t i)
{
    size_t at = table + (size_t)8 * i;
    return (view){ .p = c->bytes.p + number_at(c, at + 4), .n = number_at(c, at) };
}

/* All texts within the file, ended by a NUL, and valid UTF-8. */
static bool table_ok(const struct catalogue *c, uint32_t table)
{
    if (table > c->bytes.n || c->bytes.n - table < (size_t)8 * c->n)
        return false;
    for (uint32_t i = 0; i < c->n; i++) {
        size_t n = number_at(c, table + (size_t)8 * i), at = number_at(c, table + (size_t)8 * i + 4);
        if (at >= c->bytes.n || n >= c->bytes.n - at || c->bytes.p[at + n] != '\0' ||
            !utf8_valid((view){ .p = c->bytes.p + at, .n = n }))
            return false;
    }
    return true;
}

rc catalogue_open(view bytes, struct catalogue **out, struct err *e)
{
    struct catalogue c = { .bytes = bytes };
    uint32_t magic = 0;
    if (bytes.n >= MO_HEADER)
        memcpy(&magic, bytes.p, sizeof(magic));
    c.swapped = magic == MO_SWAPPED;
    if (magic != MO_MAGIC && magic != MO_SWAPPED)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "not a .mo file");
    c.n = number_at(&c, 8);
    c.ids = number_at(&c, 12);
    c.texts = number_at(&c, 16);
    if (number_at(&c, 4) >> 16 > 1 || c.n > MO_ENTRIES_MAX || !table_ok(&c, c.ids) || !table_ok(&c, c.texts))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a broken .mo file");
    *out = mem_need(malloc(sizeof(c)));
    **out = c;
    return RC_OK;
}

void catalogue_close(struct catalogue *c)
{
    free(c);
}

view catalogue_find(const struct catalogue *c, view id)
{
    uint32_t low = 0, high = c->n;
    while (low < high) { /* msgfmt sorts by bytes */
        uint32_t mid = low + (high - low) / 2;
        int order = view_cmp(entry(c, c->ids, mid), id);
        if (order == 0) {
            view text = entry(c, c->texts, mid);
            return text.n > 0 ? text : VIEW_NONE;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return VIEW_NONE;
}
