#include "common/page/seal.h"

#include "common/base/encode.h"
#include "common/base/mem.h"

enum { SECRET_LEAST = 8 };

struct seal {
    size_t n;
    uint8_t (*keys)[SEAL_PURPOSES][SHA256_BYTES];
};

rc seal_new(const struct conf_list *secrets, struct seal **out, struct err *e)
{
    static const view infos[SEAL_PURPOSES] = {
        [SEAL_SESSION] = VIEW("heddle/session"), [SEAL_FORM] = VIEW("heddle/form"),
        [SEAL_RESET] = VIEW("heddle/reset"),     [SEAL_CAPTCHA] = VIEW("heddle/captcha"),
        [SEAL_PASS] = VIEW("heddle/pass"),       [SEAL_INVITE] = VIEW("heddle/invite"),
    };
    SCOPED(secrets_free) struct secrets *list = NULL;
    TRY(secrets_new(secrets, SECRET_LEAST, &list, e));
    if (list->n == 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "no secret");
    struct seal *s = mem_need(calloc(1, sizeof(*s)));
    s->n = list->n;
    s->keys = mem_need(calloc(s->n, sizeof(*s->keys)));
    for (size_t i = 0; i < s->n; i++)
        for (size_t p = 0; p < SEAL_PURPOSES; p++)
            hkdf_sha256(list->items[i], VIEW_NONE, infos[p], s->keys[i][p], SHA256_BYTES);
    *out = s;
    return RC_OK;
}

void seal_free(struct seal *s)
{
    if (!s)
        return;
    secret_wipe(s->keys, s->n * sizeof(*s->keys));
    free(s->keys);
    free(s);
}

size_t seal_keys(const struct seal *s)
{
    return s->n;
}

void seal_mac(const struct seal *s, enum seal_purpose p, size_t i, view text, uint8_t out[SHA256_BYTES])
{
    hmac_sha256((view){ .p = (const char *)s->keys[i][p], .n = SHA256_BYTES }, text, out);
}

view seal_text(const struct seal *s, enum seal_purpose p, view text, struct arena *a)
{
    uint8_t mac[SHA256_BYTES];
    seal_mac(s, p, s->n - 1, text, mac);
    return arena_text(
        a, "%.*s.%.*s", VIEW_ARG(base64_text(a, BASE64_URL_NOPAD, text)),
        VIEW_ARG(base64_text(a, BASE64_URL_NOPAD, (view){ .p = (const char *)mac, .n = sizeof(mac) })));
}

bool seal_open(const struct seal *s, enum seal_purpose p, view sealed, struct arena *a, view *out)
{
    uint8_t mac[SHA256_BYTES];
    view text, rest = sealed, half, given;
    if (sealed.n > SEAL_TEXT_MAX || !view_cut(&rest, '.', &half) || !rest.p ||
        !base64_decode(BASE64_URL_NOPAD, half, a, &text) || !base64_decode(BASE64_URL_NOPAD, rest, a, &given))
        return false;
    for (size_t i = 0; i < s->n; i++) {
        seal_mac(s, p, i, text, mac);
        if (secret_eq(given, (view){ .p = (const char *)mac, .n = sizeof(mac) })) {
            *out = text;
            return true;
        }
    }
    return false;
}
