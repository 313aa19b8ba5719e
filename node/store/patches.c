#include "node/store/patches.h"

#include <assert.h>

#include "node/store/dialect.h"
#include "node/store/varint.h"

/* A run:  version, then for each record: named fields, those of them with a value, id, and the values: sortindex (its sign in the lowest
 * bit), ttl, parentid, predecessorid, payload. Texts begin with their length, numbers are varints. */

#define RUN_VERSION 1
#define RUN_FIELDS  (FIELD_PAYLOAD | FIELD_SORTINDEX | FIELD_TTL | FIELD_PARENTID | FIELD_PREDECESSORID)
#define NUMBER_MAX  (INT64_C(1) << 52) /* of a ttl and, either way, a sortindex: beyond it a row is damaged */

int64_t patch_fields(const struct item_patch *p)
{
    return (p->payload_op != PATCH_LEAVE ? FIELD_PAYLOAD : 0) |
           (p->sortindex_op != PATCH_LEAVE ? FIELD_SORTINDEX : 0) |
           (p->ttl_op != PATCH_LEAVE ? FIELD_TTL : 0) | (p->parentid_op != PATCH_LEAVE ? FIELD_PARENTID : 0) |
           (p->predecessorid_op != PATCH_LEAVE ? FIELD_PREDECESSORID : 0) | (p->touches ? FIELD_TOUCHES : 0);
}

int64_t patches_bytes(const struct item_patch *patches, size_t n)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += patches[i].payload_op == PATCH_SET ? (int64_t)patches[i].payload.n : 0;
    return bytes;
}

/* ---- packing ---- */

static int64_t fields_set(const struct item_patch *p)
{
    return (p->payload_op == PATCH_SET ? FIELD_PAYLOAD : 0) |
           (p->sortindex_op == PATCH_SET ? FIELD_SORTINDEX : 0) | (p->ttl_op == PATCH_SET ? FIELD_TTL : 0) |
           (p->parentid_op == PATCH_SET ? FIELD_PARENTID : 0) |
           (p->predecessorid_op == PATCH_SET ? FIELD_PREDECESSORID : 0);
}

static void put_text(struct buf *b, view v)
{
    put_varint(b, v.n);
    buf_add(b, v);
}

static void put_number(struct buf *b, int64_t v)
{
    assert(v >= -NUMBER_MAX && v <= NUMBER_MAX);
    put_varint(b, v < 0 ? (uint64_t)-v << 1 | 1 : (uint64_t)v << 1);
}

static void put_patch(struct buf *b, const struct item_patch *p)
{
    int64_t set = fields_set(p);
    buf_addc(b, (char)(patch_fields(p) & RUN_FIELDS));
    buf_addc(b, (char)set);
    put_text(b, p->id);
    if (set & FIELD_SORTINDEX)
        put_number(b, p->sortindex);
    if (set & FIELD_TTL)
        put_number(b, p->ttl_s);
    if (set & FIELD_PARENTID)
        put_text(b, p->parentid);
    if (set & FIELD_PREDECESSORID)
        put_text(b, p->predecessorid);
    if (set & FIELD_PAYLOAD)
        put_text(b, p->payload);
}

size_t run_pack(const struct item_patch *patches, size_t n, struct buf *out)
{
    size_t begin = out->n, i = 0;
    assert(n > 0);
    buf_addc(out, RUN_VERSION);
    while (i < n && i < RUN_RECORDS && out->n - begin < RUN_BYTES)
        put_patch(out, &patches[i++]);
    return i;
}

/* ---- unpacking ---- */

static bool take_byte(view *v, int64_t *out)
{
    if (v->n == 0)
        return false;
    *out = (unsigned char)v->p[0];
    v->p++;
    v->n--;
    return true;
}

static bool take_text(view *v, view *out)
{
    uint64_t n = 0;
    if (!take_varint(v, &n) || n > v->n)
        return false;
    *out = (view){ .p = v->p, .n = (size_t)n };
    v->p += n;
    v->n -= (size_t)n;
    return true;
}

static bool take_number(view *v, int64_t *out)
{
    uint64_t number = 0;
    if (!take_varint(v, &number) || number >> 1 > (uint64_t)NUMBER_MAX)
        return false;
    int64_t value = (int64_t)(number >> 1);
    *out = number & 1 ? -value : value;
    return true;
}

static enum patch_op op_of(int64_t named, int64_t set, enum field_bit bit)
{
    return set & bit ? PATCH_SET : named & bit ? PATCH_CLEAR : PATCH_LEAVE;
}

static bool take_patch(view *v, struct item_patch *out)
{
    int64_t named = 0, set = 0;
    if (!take_byte(v, &named) || !take_byte(v, &set) || (named & ~RUN_FIELDS) || (set & ~named))
        return false;
    *out = (struct item_patch){
        .payload_op = op_of(named, set, FIELD_PAYLOAD),
        .sortindex_op = op_of(named, set, FIELD_SORTINDEX),
        .ttl_op = op_of(named, set, FIELD_TTL),
        .parentid_op = op_of(named, set, FIELD_PARENTID),
        .predecessorid_op = op_of(named, set, FIELD_PREDECESSORID),
        .touches = true,
    };
    return take_text(v, &out->id) && out->id.n > 0 && out->id.n <= ITEM_ID_MAX &&
           (!(set & FIELD_SORTINDEX) || take_number(v, &out->sortindex)) &&
           (!(set & FIELD_TTL) || take_number(v, &out->ttl_s)) &&
           (!(set & FIELD_PARENTID) || take_text(v, &out->parentid)) &&
           (!(set & FIELD_PREDECESSORID) || take_text(v, &out->predecessorid)) &&
           (!(set & FIELD_PAYLOAD) || take_text(v, &out->payload));
}

bool run_unpack(view bytes, size_t cap, struct item_patch *out, size_t *out_n)
{
    int64_t version = 0;
    size_t n = 0;
    if (!take_byte(&bytes, &version) || version != RUN_VERSION)
        return false;
    for (; bytes.n > 0; n++) {
        if (n == cap || !take_patch(&bytes, &out[n]))
            return false;
    }
    if (n == 0)
        return false;
    *out_n = n;
    return true;
}
