/* Values of Authorization headers as Hawk reads them. What is taken keeps its bounds, can be written down again and read
 * back as the same, and fits its own signature. */
#include <assert.h>

#include "common/auth/hawk.h"

#define KEY VIEW("-ykAE2lsVzQLozKtaGUcRXtdeiCfQRrWM60sRuFR4pA=")

static const struct hawk_request request = {
    .method = VIEW("GET"),
    .target = VIEW("/1.5/12345/info/collections?"),
    .host = VIEW("node17.sync.example.net"),
    .port = 443,
};

static void bounds_kept(const struct hawk_header *h)
{
    assert(h->id.n >= 1 && h->id.n <= 4096);
    assert(h->nonce.n >= 1 && h->nonce.n <= 64);
    assert(h->ext.n <= 1024);
    assert(h->mac.n == HAWK_MAC_TEXT);
    assert(!h->hash.p || h->hash.n == HAWK_MAC_TEXT);
    assert(h->ts >= 0 && h->ts <= INT64_C(999999999999999));
}

static void survives_signing(const struct hawk_header *h, struct arena *a)
{
    struct hawk_header again = { 0 };
    struct buf b = { 0 };
    const char *why;

    hawk_sign(h->id, KEY, &request, h->ts, h->nonce, h->hash, &b);
    if (b.n <= HAWK_HEADER_MAX) { /* escapes make it longer */
        assert(hawk_parse(buf_view(&b), a, &again, &why));
        assert(view_eq(again.id, h->id) && view_eq(again.nonce, h->nonce) && view_eq(again.hash, h->hash));
        assert(again.ts == h->ts);
        assert(hawk_check(KEY, &again, &request));
    }
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hawk_header h;
    const char *why = NULL;
    char mac[HAWK_MAC_TEXT];
    struct arena a;

    arena_init(&a, 1 << 20);
    if (hawk_parse((view){ .p = (const char *)data, .n = size }, &a, &h, &why)) {
        bounds_kept(&h);
        (void)hawk_payload_ok(&h, VIEW("application/json"), VIEW("{}"));
        survives_signing(&h, &a);
        hawk_mac(KEY, &h, &request, mac);
        h.mac = (view){ .p = mac, .n = sizeof mac };
        assert(hawk_check(KEY, &h, &request));
    } else {
        assert(why);
    }
    assert(!a.spent);
    arena_done(&a);
    return 0;
}
