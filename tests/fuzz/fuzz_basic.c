/* The input three times: as an Authorization header, as what stands encoded in one, and as an account whose name is asked
 * for. Names that come out are names, whatever went in. */
#include <assert.h>

#include "common/auth/basic.h"
#include "common/base/encode.h"

static void is_name(view v)
{
    assert(v.n > 0);
    for (size_t i = 0; i < v.n; i++)
        assert(strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", v.p[i]) && v.p[i]);
}

static void parse_one(view header, struct arena *a)
{
    struct basic who;

    if (!basic_parse(header, a, &who))
        return;
    is_name(who.name);
    assert(who.password.n > 0 && !memchr(who.password.p, '\0', who.password.n) && utf8_valid(who.password));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    view input = { .p = (const char *)data, .n = size }, name, again;
    struct buf b = { 0 };
    struct arena a;

    arena_init(&a, 1 << 20);
    parse_one(input, &a);
    buf_add(&b, VIEW("basic "));
    base64_put(&b, BASE64_STD, input);
    parse_one(buf_view(&b), &a);
    if (account_name_derive(input, &a, &name)) {
        is_name(name);
        assert(account_name_derive(name, &a, &again) && view_eq(again, name)); /* a name is its own name */
    }
    buf_done(&b);
    arena_done(&a);
    return 0;
}
