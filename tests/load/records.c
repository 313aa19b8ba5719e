#include "tests/load/records.h"

#include "common/base/mem.h"

#define POOL_BYTES (RECORD_MOST * 2)

/* {"ciphertext":"…","IV":"…24…","hmac":"…64…"}, quotes escaped; what is around the ciphertext, unescaped. */
#define AROUND 123

struct records {
    char base64[POOL_BYTES], hex[POOL_BYTES];
};

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

struct records *records_new(uint64_t seed)
{
    struct records *r = mem_need(malloc(sizeof *r));
    struct chance c = { .state = chance_mix(seed) };

    for (size_t i = 0; i < POOL_BYTES; i++) {
        uint64_t bits = chance_next(&c);

        r->base64[i] = digits[bits % 62];
        r->hex[i] = "0123456789abcdef"[(bits >> 32) & 15];
    }
    return r;
}

void records_free(struct records *r)
{
    free(r);
}

void record_id(uint64_t k, char out[RECORD_ID])
{
    uint64_t a = chance_mix(k), b = chance_mix(a);

    for (size_t i = 0; i < RECORD_ID / 2; i++) {
        out[i] = digits[(a >> (6 * i)) & 63];
        out[RECORD_ID / 2 + i] = digits[(b >> (6 * i)) & 63];
    }
}

static view some(const char *pool, struct chance *c, size_t n)
{
    return (view){ .p = pool + chance_below(c, POOL_BYTES - RECORD_MOST), .n = n };
}

void record_put(struct records *r, struct chance *c, const struct record *rec, struct buf *out)
{
    buf_add(out, VIEW("{\"id\":\""));
    buf_add(out, rec->id);
    buf_addc(out, '"');
    if (rec->sortindex >= 0) {
        buf_add(out, VIEW(",\"sortindex\":"));
        buf_add_i64(out, rec->sortindex);
    }
    buf_add(out, VIEW(",\"payload\":\"{\\\"ciphertext\\\":\\\""));
    buf_add(out, some(r->base64, c, rec->payload_bytes - AROUND));
    buf_add(out, VIEW("\\\",\\\"IV\\\":\\\""));
    buf_add(out, some(r->base64, c, 24));
    buf_add(out, VIEW("\\\",\\\"hmac\\\":\\\""));
    buf_add(out, some(r->hex, c, 64));
    buf_add(out, VIEW("\\\"}\""));
    if (rec->ttl_s) {
        buf_add(out, VIEW(",\"ttl\":"));
        buf_add_i64(out, rec->ttl_s);
    }
    buf_addc(out, '}');
}
