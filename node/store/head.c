#include "node/store/head.h"

#include "node/store/varint.h"

/* Collections:  version, next number, then for each: number, [length and name], stamp.
 * A head for the cache: version, uid, epoch, state, since, clock, modified, used, quota + 1, then the collections.
 * Numbers are varints, stamps in hundredths of a second. */

#define COLLS_VERSION 1
#define HEAD_VERSION  0x48

static const struct {
    uint32_t number;
    view name;
} known[] = {
    { 1, { "clients", 7 } },       { 2, { "crypto", 6 } },  { 3, { "forms", 5 } },
    { 4, { "history", 7 } },       { 5, { "keys", 4 } },    { 6, { "meta", 4 } },
    { 7, { "bookmarks", 9 } },     { 8, { "prefs", 5 } },   { 9, { "tabs", 4 } },
    { 10, { "passwords", 9 } },    { 11, { "addons", 6 } }, { 12, { "addresses", 9 } },
    { 13, { "creditcards", 11 } },
};
#define KNOWN_N (sizeof known / sizeof known[0])

uint32_t coll_known_number(view name)
{
    for (size_t i = 0; i < KNOWN_N; i++) {
        if (view_eq(known[i].name, name))
            return known[i].number;
    }
    return 0;
}

static bool take_i64(view *v, int64_t *out)
{
    uint64_t value = 0;
    if (!take_varint(v, &value))
        return false;
    *out = (int64_t)value; /* 63 bits at most */
    return true;
}

void colls_pack(const struct head_coll *colls, size_t n, uint32_t next_number, struct buf *out)
{
    put_varint(out, COLLS_VERSION);
    put_varint(out, next_number);
    for (size_t i = 0; i < n; i++) {
        put_varint(out, colls[i].number);
        if (colls[i].number >= COLL_FIRST_OWN) {
            put_varint(out, colls[i].name.n);
            buf_add(out, colls[i].name);
        }
        put_varint(out, (uint64_t)colls[i].modified.cs);
    }
}

static bool take_coll(view *v, struct head_coll *out)
{
    uint64_t number = 0, length = 0;
    if (!take_varint(v, &number) || number == 0 || number > UINT32_MAX)
        return false;
    out->number = (uint32_t)number;
    if (number <= KNOWN_N) {
        out->name = known[number - 1].name;
    } else {
        if (number < COLL_FIRST_OWN || !take_varint(v, &length) || length == 0 || length > v->n)
            return false;
        out->name = (view){ .p = v->p, .n = (size_t)length };
        v->p += length;
        v->n -= (size_t)length;
    }
    return take_i64(v, &out->modified.cs);
}

bool colls_unpack(view bytes, size_t spare, struct arena *a, struct head_coll **out, size_t *out_n,
                  uint32_t *out_next_number)
{
    uint64_t version = 0, next = COLL_FIRST_OWN;
    view rest = bytes.n ? arena_copy(a, bytes) : VIEW_NONE;
    if (rest.n && (!take_varint(&rest, &version) || version != COLLS_VERSION || !take_varint(&rest, &next) ||
                   next < COLL_FIRST_OWN || next > UINT32_MAX))
        return false;

    size_t n = 0;
    struct head_coll one;
    for (view v = rest; v.n > 0; n++) {
        if (n == COLLS_MAX || !take_coll(&v, &one))
            return false;
    }
    struct head_coll *colls = arena_alloc(a, (n + spare) * sizeof *colls);
    for (size_t i = 0; i < n; i++) {
        if (!take_coll(&rest, &colls[i]))
            return false;
    }
    *out = colls;
    *out_n = n;
    *out_next_number = (uint32_t)next;
    return true;
}

void head_pack(const struct head *h, struct buf *out)
{
    const int64_t fields[] = { h->uid,      h->epoch,       (int64_t)h->state, h->since_ms,
                               h->clock.cs, h->modified.cs, h->used_bytes,     h->quota_bytes + 1 };
    buf_addc(out, HEAD_VERSION);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        put_varint(out, (uint64_t)fields[i]);
    colls_pack(h->colls, h->n_colls, h->next_number > COLL_FIRST_OWN ? h->next_number : COLL_FIRST_OWN, out);
}

bool head_unpack(view bytes, struct arena *a, struct head *out)
{
    struct head h = { .state = HEAD_NONE };
    struct head_coll *colls = NULL;
    int64_t state = 0, quota = 0;
    if (bytes.n < 1 || bytes.p[0] != HEAD_VERSION)
        return false;
    view rest = { .p = bytes.p + 1, .n = bytes.n - 1 };
    if (!take_i64(&rest, &h.uid) || !take_i64(&rest, &h.epoch) || !take_i64(&rest, &state) ||
        !take_i64(&rest, &h.since_ms) || !take_i64(&rest, &h.clock.cs) || !take_i64(&rest, &h.modified.cs) ||
        !take_i64(&rest, &h.used_bytes) || !take_i64(&rest, &quota) || rest.n == 0 || state > HEAD_GONE)
        return false;
    if (!colls_unpack(rest, 0, a, &colls, &h.n_colls, &h.next_number))
        return false;
    h.state = (enum head_state)state;
    h.quota_bytes = quota - 1;
    h.colls = colls;
    *out = h;
    return true;
}

const struct head_coll *head_coll_find(const struct head *h, view name)
{
    for (size_t i = 0; i < h->n_colls; i++) {
        if (view_eq(h->colls[i].name, name))
            return &h->colls[i];
    }
    return NULL;
}

static rc not_here(const struct head *h, int64_t epoch, struct err *e)
{
    return fail(e, RC_NOT_HERE, RESP_GENERIC,
                "uid %lld is in state %d of epoch %lld here, the credential has %lld", (long long)h->uid,
                (int)h->state, (long long)h->epoch, (long long)epoch);
}

rc head_admits(const struct head *h, int64_t epoch, struct err *e)
{
    bool same = epoch == h->epoch || (epoch == 0 && h->epoch == 1);
    switch (h->state) {
    case HEAD_NONE:
        return RC_OK;
    case HEAD_ACTIVE:
        return same ? RC_OK : not_here(h, epoch, e);
    case HEAD_READY: /* only a credential made after the flip names this epoch: it proves that we are the owner */
        return epoch == h->epoch ? RC_OK : not_here(h, epoch, e);
    case HEAD_FROZEN:
        if (same)
            return fail(e, RC_FROZEN, RESP_GENERIC, "uid %lld is being moved", (long long)h->uid);
        return not_here(h, epoch, e);
    case HEAD_IMPORTING:
    case HEAD_GONE:
        return not_here(h, epoch, e);
    }
    return fail(e, RC_BROKEN, RESP_GENERIC, "uid %lld has a head of unknown state %d", (long long)h->uid,
                (int)h->state);
}
