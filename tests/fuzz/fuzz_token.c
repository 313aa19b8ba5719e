/* The input twice: as the text of a token, and as a payload that our issuer signed. What is opened keeps its bounds and,
 * minted again, opens as the same. */
#include <assert.h>

#include "common/auth/token.h"
#include "common/base/encode.h"

#define NOW    1767225600.0
#define SECRET "5b1f0e7c9d2a4483b6c0a1e2f3d4958677665544332211ffeeddccbbaa998877"
#define NODE   "https://node17.sync.example.net"

static struct secrets *secrets;
static struct token_verifier *verifier;

static void set_up(void)
{
    static char text[] = SECRET;
    char *items[] = { text };
    struct conf_list list = { .items = items, .n = 1 };
    view node = VIEW(NODE);
    rc r = secrets_new(&list, 16, &secrets, NULL);

    assert(r == RC_OK);
    r = token_verifier_new(secrets, &node, 1, 7200, &verifier, NULL);
    assert(r == RC_OK);
}

static view signed_text(view payload, struct arena *a)
{
    uint8_t key[SHA256_BYTES], mac[SHA256_BYTES];
    struct buf b = { 0 };
    view text;

    hkdf_sha256(VIEW(SECRET), VIEW_NONE, VIEW("services.mozilla.com/tokenlib/v1/signing"), key, sizeof key);
    hmac_sha256((view){ .p = (const char *)key, .n = sizeof key }, payload, mac);
    buf_add(&b, payload);
    buf_add(&b, (view){ .p = (const char *)mac, .n = sizeof mac });
    text = base64_text(a, BASE64_URL, buf_view(&b));
    buf_done(&b);
    return text;
}

static bool same_text(view a, view b)
{
    return !a.p == !b.p && view_eq(a, b);
}

static void survives_minting(const struct token *t, struct arena *a)
{
    char made_key[TOKEN_KEY_TEXT], key[TOKEN_KEY_TEXT];
    struct token again;
    bool expired;
    view text;

    if (t->expires >= 1e15)
        return;
    token_mint(secrets, t, a, &text, made_key);
    if (text.n > TOKEN_TEXT_MAX) /* escapes make it longer */
        return;
    assert(token_open(verifier, text, t->expires - 1, a, &again, key, &expired) == TOKEN_GOOD);
    assert(again.uid == t->uid && again.epoch == t->epoch);
    assert(same_text(again.node, t->node) && same_text(again.salt, t->salt) && same_text(again.svc, t->svc));
    assert(same_text(again.fxa_uid, t->fxa_uid) && same_text(again.fxa_kid, t->fxa_kid));
    assert(same_text(again.hashed_fxa_uid, t->hashed_fxa_uid));
    assert(same_text(again.hashed_device_id, t->hashed_device_id));
    assert(memcmp(made_key, key, sizeof key) == 0);
}

static void open_one(view text, struct arena *a)
{
    char key[TOKEN_KEY_TEXT];
    struct token t;
    bool expired;
    enum token_reason r = token_open(verifier, text, NOW, a, &t, key, &expired);

    assert(token_reason_name(r));
    if (r != TOKEN_GOOD)
        return;
    assert(t.uid >= 0 && t.epoch >= 0 && view_eq(t.node, VIEW(NODE)));
    assert(t.salt.n >= 1 && t.salt.n <= 64);
    assert(expired == (t.expires <= NOW) && t.expires > NOW - 7200);
    assert(!t.hashed_fxa_uid.p || (t.fxa_uid.p && t.fxa_kid.p));
    survives_minting(&t, a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    view input = { .p = (const char *)data, .n = size };
    struct arena a;

    if (!verifier)
        set_up();
    arena_init(&a, (size_t)16 << 20);
    open_one(input, &a);
    open_one(signed_text(input, &a), &a);
    arena_done(&a);
    return 0;
}
