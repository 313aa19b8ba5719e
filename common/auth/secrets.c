#include "common/auth/secrets.h"

#include <assert.h>
#include <openssl/crypto.h>

#include "common/auth/digest.h"
#include "common/base/buf.h"
#include "common/base/encode.h"
#include "common/base/mem.h"

#define HKDF_BYTES_MAX   ((size_t)255 * SHA256_BYTES)
#define NODE_SECRET_INFO VIEW("services.mozilla.com/mozsvc/v1/node_secret/")

void sha256(view message, uint8_t out[SHA256_BYTES])
{
    digest_begin();
    digest_add(message);
    digest_end(out);
}

void hmac_sha256(view key, view message, uint8_t out[SHA256_BYTES])
{
    struct hmac h;

    hmac_begin(&h, key);
    digest_add(message);
    hmac_end(&h, out);
}

void hkdf_sha256(view secret, view salt, view info, uint8_t *out, size_t n)
{
    /* An HMAC key is filled up with zeros, so "32 zero bytes" and "no key" are the same. */
    uint8_t prk[SHA256_BYTES], t[SHA256_BYTES];
    view before = VIEW_NONE;
    char counter = 0;

    assert(n <= HKDF_BYTES_MAX);
    hmac_sha256(salt, secret, prk);
    while (n > 0) {
        size_t part = n < sizeof t ? n : sizeof t;
        struct hmac h;

        counter++;
        hmac_begin(&h, (view){ .p = (const char *)prk, .n = sizeof prk });
        digest_add(before);
        digest_add(info);
        digest_add((view){ .p = &counter, .n = 1 });
        hmac_end(&h, t);
        memcpy(out, t, part);
        out += part;
        n -= part;
        before = (view){ .p = (const char *)t, .n = sizeof t };
    }
    secret_wipe(prk, sizeof prk);
    secret_wipe(t, sizeof t);
}

bool secret_eq(view a, view b)
{
    return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}

void secret_wipe(void *p, size_t n)
{
    if (n)
        OPENSSL_cleanse(p, n);
}

static struct secrets *list_new(size_t n)
{
    struct secrets *s = mem_need(calloc(1, sizeof *s));

    s->items = mem_need(calloc(n ? n : 1, sizeof *s->items));
    return s;
}

static void list_add(struct secrets *s, view item)
{
    char *copy = mem_need(malloc(item.n + 1));

    memcpy(copy, item.p, item.n);
    copy[item.n] = '\0';
    s->items[s->n++] = (view){ .p = copy, .n = item.n };
}

rc secrets_new(const struct conf_list *list, size_t least, struct secrets **out, struct err *e)
{
    SCOPED(secrets_free) struct secrets *s = list_new(list->n);

    for (size_t i = 0; i < list->n; i++) {
        view item = view_of(list->items[i]);

        if (item.n == 0)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "secret %zu of the list is empty", i + 1);
        if (item.n < least)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                        "secret %zu of the list has %zu characters; %zu are needed", i + 1, item.n, least);
        list_add(s, item);
    }
    *out = s;
    s = NULL;
    return RC_OK;
}

static void derive_one(view master, view info, struct secrets *s)
{
    struct buf text = { 0 };
    uint8_t bytes[HKDF_BYTES_MAX];
    size_t n = master.n / 2;

    hkdf_sha256(master, VIEW_NONE, info, bytes, n);
    buf_reserve(&text, master.n); /* at once, so that growing leaves no copies behind */
    hex_put(&text, (view){ .p = (const char *)bytes, .n = n });
    list_add(s, buf_view(&text));
    secret_wipe(bytes, n);
    secret_wipe(text.p, text.n);
    buf_done(&text);
}

rc secrets_derive(const struct secrets *masters, view node_url, struct secrets **out, struct err *e)
{
    SCOPED(secrets_free) struct secrets *s = list_new(masters->n);
    SCOPED(buf_done) struct buf info = { 0 };

    buf_add(&info, NODE_SECRET_INFO);
    buf_add(&info, node_url);
    for (size_t i = 0; i < masters->n; i++) {
        size_t n = masters->items[i].n;

        if (n == 0 || n % 2 != 0 || n / 2 > HKDF_BYTES_MAX)
            return fail(
                e, RC_BAD_INPUT, RESP_GENERIC,
                "master secret %zu has %zu characters; node secrets can be derived from an even number up to %zu",
                i + 1, n, HKDF_BYTES_MAX * 2);
        derive_one(masters->items[i], buf_view(&info), s);
    }
    *out = s;
    s = NULL;
    return RC_OK;
}

void secrets_free(struct secrets *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++) {
        char *text = (char *)(uintptr_t)s->items[i].p; /* ours: list_add made it */

        secret_wipe(text, s->items[i].n);
        free(text);
    }
    free(s->items);
    free(s);
}
