#include "directory/backend/password.h"

#include <argon2.h>
#include <openssl/evp.h>
#include <sys/mman.h>

#include "common/auth/secrets.h"
#include "common/base/arena.h"
#include "common/base/encode.h"
#include "common/base/rand.h"
#include "common/base/scope.h"

enum { SALT_BYTES = 16, HASH_BYTES = 32, SALT_MAX = 64, STORED_MAX = 512 };

/* Ceilings for hashes that were made elsewhere: nobody's entry makes us take a gigabyte. */
enum { KIB_MAX = 256 * 1024, PASSES_MAX = 64, LANES_MAX = 16 };

/* What `$argon2id$` text says. */
struct argon_text {
    struct password_cost cost;
    view salt, hash;
};

/* malloc would keep these 19 MiB: the programs raise its thresholds for their own good reasons. */
static int map_memory(uint8_t **out, size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return ARGON2_MEMORY_ALLOCATION_ERROR;
    *out = p;
    return ARGON2_OK;
}

static void unmap_memory(uint8_t *p, size_t n)
{
    munmap(p, n);
}

static rc argon(view password, view salt, const struct password_cost *c, uint8_t *out, size_t n,
                struct err *e)
{
    argon2_context x = {
        .out = out,
        .outlen = (uint32_t)n,
        .pwd = (uint8_t *)(uintptr_t)password.p,
        .pwdlen = (uint32_t)password.n,
        .salt = (uint8_t *)(uintptr_t)salt.p,
        .saltlen = (uint32_t)salt.n,
        .t_cost = c->passes,
        .m_cost = c->kib,
        .lanes = c->lanes,
        .threads = 1,
        .allocate_cbk = map_memory,
        .free_cbk = unmap_memory,
        .flags = ARGON2_DEFAULT_FLAGS,
        .version = ARGON2_VERSION_13,
    };
    int got = argon2id_ctx(&x);
    if (got == ARGON2_MEMORY_ALLOCATION_ERROR)
        return fail(e, RC_AWAY, RESP_GENERIC, "no memory for a password hash of %u KiB", c->kib);
    if (got != ARGON2_OK)
        return fail(e, RC_BROKEN, RESP_GENERIC, "argon2: %s", argon2_error_message(got));
    return RC_OK;
}

/* PHC strings use base64 without its padding. */
static void put_unpadded(struct buf *out, view bytes)
{
    base64_put(out, BASE64_STD, bytes);
    while (out->n > 0 && out->p[out->n - 1] == '=')
        out->n--;
}

static bool get_unpadded(view text, struct arena *a, view *out)
{
    static const char *const pad[] = { "", NULL, "==", "=" };
    const char *tail = pad[text.n % 4];
    return tail && base64_decode(BASE64_STD, arena_text(a, "%.*s%s", VIEW_ARG(text), tail), a, out);
}

static bool get_number(view *v, char name, char end, uint32_t most, uint32_t *out)
{
    view part;
    uint64_t n;
    if (!view_cut(v, end, &part) || part.n < 3 || part.p[0] != name || part.p[1] != '=')
        return false;
    if (!view_to_u64((view){ .p = part.p + 2, .n = part.n - 2 }, most, &n))
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool argon_parse(view text, struct arena *a, struct argon_text *out)
{
    view salt;
    const view head = VIEW("$argon2id$v=19$");
    if (!view_starts(text, head))
        return false;
    view rest = { .p = text.p + head.n, .n = text.n - head.n };
    return get_number(&rest, 'm', ',', KIB_MAX, &out->cost.kib) &&
           get_number(&rest, 't', ',', PASSES_MAX, &out->cost.passes) &&
           get_number(&rest, 'p', '$', LANES_MAX, &out->cost.lanes) && view_cut(&rest, '$', &salt) &&
           rest.p && get_unpadded(salt, a, &out->salt) && get_unpadded(rest, a, &out->hash) &&
           out->salt.n >= ARGON2_MIN_SALT_LENGTH && out->salt.n <= SALT_MAX && out->hash.n >= 16 &&
           out->hash.n <= SALT_MAX;
}

rc password_hash(view password, const struct password_cost *c, struct buf *out, struct err *e)
{
    uint8_t salt[SALT_BYTES], hash[HASH_BYTES];
    rand_bytes(salt, sizeof(salt));
    view salt_view = { .p = (const char *)salt, .n = sizeof(salt) };
    TRY(argon(password, salt_view, c, hash, sizeof(hash), e));
    buf_addf(out, "$argon2id$v=%d$m=%u,t=%u,p=%u$", ARGON2_VERSION_13, c->kib, c->passes, c->lanes);
    put_unpadded(out, salt_view);
    buf_addc(out, '$');
    put_unpadded(out, (view){ .p = (const char *)hash, .n = sizeof(hash) });
    return RC_OK;
}

rc password_waste(view password, const struct password_cost *c, struct err *e)
{
    static const char salt[SALT_BYTES] = "waste of a salt";
    uint8_t hash[HASH_BYTES];
    return argon(password, (view){ .p = salt, .n = sizeof(salt) }, c, hash, sizeof(hash), e);
}

static rc check_argon(view password, view stored, const struct password_cost *c, struct arena *a,
                      enum password_verdict *out, struct err *e)
{
    struct argon_text t;
    uint8_t hash[SALT_MAX];
    if (!argon_parse(stored, a, &t))
        return fail(e, RC_BROKEN, RESP_GENERIC, "a stored argon2id hash cannot be read");
    TRY(argon(password, t.salt, &t.cost, hash, t.hash.n, e));
    bool same_cost = t.cost.kib == c->kib && t.cost.passes == c->passes && t.cost.lanes == c->lanes;
    if (!secret_eq((view){ .p = (const char *)hash, .n = t.hash.n }, t.hash))
        *out = PASSWORD_WRONG;
    else
        *out = same_cost ? PASSWORD_RIGHT : PASSWORD_RIGHT_OLD;
    return RC_OK;
}

/* digest(password ‖ salt) ‖ salt, in base64. */
static rc check_salted(view password, view text, const EVP_MD *md, const struct password_cost *c,
                       struct arena *a, enum password_verdict *out, struct err *e)
{
    view raw;
    size_t n = (size_t)EVP_MD_get_size(md);
    if (!base64_decode(BASE64_STD, text, a, &raw) || raw.n <= n || raw.n > n + SALT_MAX)
        return fail(e, RC_BROKEN, RESP_GENERIC, "a stored salted hash cannot be read");
    unsigned char hash[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *x = EVP_MD_CTX_new();
    bool made = x && EVP_DigestInit_ex(x, md, NULL) == 1 &&
                EVP_DigestUpdate(x, password.p, password.n) == 1 &&
                EVP_DigestUpdate(x, raw.p + n, raw.n - n) == 1 && EVP_DigestFinal_ex(x, hash, NULL) == 1;
    EVP_MD_CTX_free(x);
    if (!made)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the library refused to hash a password");
    if (secret_eq((view){ .p = (const char *)hash, .n = n }, (view){ .p = raw.p, .n = n })) {
        *out = PASSWORD_RIGHT_OLD;
        return RC_OK;
    }
    TRY(password_waste(password, c, e));
    *out = PASSWORD_WRONG;
    return RC_OK;
}

rc password_check(view password, view stored, const struct password_cost *c, enum password_verdict *out,
                  struct err *e)
{
    static const struct {
        view prefix;
        const EVP_MD *(*md)(void);
    } salted[] = {
        { { .p = "{SSHA}", .n = 6 }, EVP_sha1 },
        { { .p = "{SSHA-256}", .n = 10 }, EVP_sha256 },
        { { .p = "{SSHA256}", .n = 9 }, EVP_sha256 },
    };
    SCOPED(arena_done) struct arena a;
    arena_init(&a, 16 * 1024);
    if (stored.n > STORED_MAX)
        return fail(e, RC_BROKEN, RESP_GENERIC, "a stored password of %zu bytes", stored.n);
    for (size_t i = 0; i < sizeof(salted) / sizeof(salted[0]); i++) {
        view p = salted[i].prefix;
        if (view_starts(stored, p))
            return check_salted(password, (view){ .p = stored.p + p.n, .n = stored.n - p.n }, salted[i].md(),
                                c, &a, out, e);
    }
    if (view_starts(stored, VIEW("$argon2id$")))
        return check_argon(password, stored, c, &a, out, e);
    return fail(e, RC_BROKEN, RESP_GENERIC, "a stored password is of no form that we know");
}
