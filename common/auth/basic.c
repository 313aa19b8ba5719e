#include "common/auth/basic.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/encode.h"
#include "common/base/scope.h"

#define HEADER_MAX 8192
#define SCHEME     VIEW("Basic ")
#define SHA1_BYTES 20
#define NAME_BYTES 32 /* base32 of a SHA-1 */

static bool is_name(view v)
{
    return v.n > 0 && view_only_alnum(v, "._-");
}

/* ASCII letters; other characters stay as they are. */
static view lower_copy(struct arena *a, view v)
{
    char *p = arena_cstr(a, v);

    for (size_t i = 0; i < v.n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] + ('a' - 'A'));
    return (view){ .p = p, .n = v.n };
}

bool basic_parse(view header, struct arena *a, struct basic *out)
{
    view text, name, password;

    if (header.n > HEADER_MAX || header.n < SCHEME.n ||
        !view_eq_nocase((view){ .p = header.p, .n = SCHEME.n }, SCHEME))
        return false;
    text = view_trim((view){ .p = header.p + SCHEME.n, .n = header.n - SCHEME.n });
    if (!base64_decode(BASE64_STD, text, a, &password))
        return false;
    if (!view_cut(&password, ':', &name) || !password.p)
        return false;
    if (!is_name(name) || password.n == 0 || memchr(password.p, '\0', password.n) || !utf8_valid(password))
        return false;
    *out = (struct basic){ .name = lower_copy(a, name), .password = password };
    return true;
}

static void sha1(view v, uint8_t out[SHA1_BYTES])
{
    unsigned n = 0;

    if (EVP_Digest(v.p, v.n, out, &n, EVP_sha1(), NULL) != 1 || n != SHA1_BYTES) {
        fputs("libcrypto cannot do SHA-1\n", stderr);
        abort();
    }
}

bool account_name_derive(view account, struct arena *a, view *out)
{
    SCOPED(buf_done) struct buf name = { 0 };
    uint8_t hash[SHA1_BYTES];
    view lower;

    if (account.n == 0)
        return false;
    if (!memchr(account.p, '@', account.n)) {
        if (!is_name(account))
            return false;
        *out = lower_copy(a, account);
        return true;
    }
    if (!utf8_valid(account) || memchr(account.p, '\0', account.n))
        return false;
    lower = lower_copy(a, account);
    sha1(lower, hash);
    buf_reserve(&name, NAME_BYTES);
    base32_put_lower(&name, (view){ .p = (const char *)hash, .n = sizeof hash });
    *out = arena_copy(a, buf_view(&name));
    return true;
}
