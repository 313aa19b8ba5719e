#include "directory/backend/ldap_password.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <strings.h>

#include "common/base/encode.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/scope.h"

enum { SALT_BYTES = 16 };

static const struct {
    const char *name, *prefix;
} schemes[] = {
    [SCHEME_ARGON2] = { "argon2", "{ARGON2}" },
    [SCHEME_CRYPT] = { "crypt", "{CRYPT}" },
    [SCHEME_SSHA512] = { "ssha512", "{SSHA512}" },
    [SCHEME_SSHA] = { "ssha", "{SSHA}" },
};

bool password_scheme_parse(const char *text, enum password_scheme *out)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strcmp(text, schemes[i].name) == 0) {
            *out = (enum password_scheme)i;
            return true;
        }
    return false;
}

const char *password_scheme_prefix(enum password_scheme s)
{
    return schemes[s].prefix;
}

/* yescrypt with the cost that the C library holds right; its text names its parameters. */
static rc hash_crypt(view password, struct buf *out, struct err *e)
{
    char salt[SALT_BYTES];
    if (memchr(password.p, '\0', password.n) || password.n >= CRYPT_MAX_PASSPHRASE_SIZE)
        return fail(e, RC_BAD_INPUT, RESP_PASSWORD_WEAK,
                    "a password with a NUL in it, or too long for {CRYPT}");
    rand_bytes(salt, sizeof(salt));
    struct crypt_data *x = mem_need(calloc(1, sizeof(*x)));
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    memcpy(x->input, password.p, password.n); /* with a NUL behind it: the structure was cleared */
    const char *hash = NULL;
    if (crypt_gensalt_rn("$y$", 0, salt, sizeof(salt), setting, (int)sizeof(setting)))
        hash = crypt_rn(x->input, setting, x, (int)sizeof(*x));
    if (hash)
        buf_add(out, view_of(hash));
    bool made = hash != NULL;
    OPENSSL_cleanse(x, sizeof(*x));
    free(x);
    return made ? RC_OK : fail(e, RC_AWAY, RESP_GENERIC, "the C library cannot make a yescrypt hash");
}

/* digest(password ‖ salt) ‖ salt, in base64. */
static rc hash_salted(view password, const EVP_MD *md, struct buf *out, struct err *e)
{
    unsigned char raw[EVP_MAX_MD_SIZE + SALT_BYTES];
    unsigned n = (unsigned)EVP_MD_get_size(md);
    rand_bytes(raw + n, SALT_BYTES);
    EVP_MD_CTX *x = EVP_MD_CTX_new();
    bool made = x && EVP_DigestInit_ex(x, md, NULL) == 1 &&
                EVP_DigestUpdate(x, password.p, password.n) == 1 &&
                EVP_DigestUpdate(x, raw + n, SALT_BYTES) == 1 && EVP_DigestFinal_ex(x, raw, NULL) == 1;
    EVP_MD_CTX_free(x);
    if (!made)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the library refused to hash a password");
    base64_put(out, BASE64_STD, (view){ .p = (const char *)raw, .n = n + SALT_BYTES });
    return RC_OK;
}

rc password_scheme_hash(enum password_scheme s, view password, const struct password_cost *c, struct buf *out,
                        struct err *e)
{
    buf_add(out, view_of(schemes[s].prefix));
    switch (s) {
    case SCHEME_ARGON2:
        return password_hash(password, c, out, e);
    case SCHEME_CRYPT:
        return hash_crypt(password, out, e);
    case SCHEME_SSHA512:
        return hash_salted(password, EVP_sha512(), out, e);
    case SCHEME_SSHA:
        return hash_salted(password, EVP_sha1(), out, e);
    }
    return fail(e, RC_BROKEN, RESP_GENERIC, "no such scheme of passwords");
}

bool password_scheme_is_current(enum password_scheme s, view stored, const struct password_cost *c)
{
    view prefix = view_of(schemes[s].prefix);
    if (stored.n < prefix.n || strncasecmp(stored.p, prefix.p, prefix.n) != 0)
        return false;
    view rest = { .p = stored.p + prefix.n, .n = stored.n - prefix.n };
    if (s == SCHEME_CRYPT)
        return view_starts(rest, VIEW("$y$"));
    if (s != SCHEME_ARGON2)
        return true;
    SCOPED(buf_done) struct buf head = { 0 };
    buf_addf(&head, "$argon2id$v=19$m=%u,t=%u,p=%u$", c->kib, c->passes, c->lanes);
    return view_starts(rest, buf_view(&head));
}
