#include "directory/rs256.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "common/base/mem.h"
#include "common/base/scope.h"

enum { BITS_LEAST = 2048, NUMBER_BYTES_MAX = 2048 }; /* OpenSSL checks nothing with more than 16,384 bits */

/* Ready to begin with a text. Making it ready takes longer than copying it, and is done once. */
struct rs256 {
    EVP_MD_CTX *ready;
};

DEFINE_SCOPED(BIGNUM *, BN_free);
DEFINE_SCOPED(OSSL_PARAM_BLD *, OSSL_PARAM_BLD_free);
DEFINE_SCOPED(OSSL_PARAM *, OSSL_PARAM_free);
DEFINE_SCOPED(EVP_PKEY_CTX *, EVP_PKEY_CTX_free);
DEFINE_SCOPED(EVP_PKEY *, EVP_PKEY_free);
DEFINE_SCOPED(EVP_MD_CTX *, EVP_MD_CTX_free);

static BIGNUM *number(view v)
{
    if (v.n == 0 || v.n > NUMBER_BYTES_MAX)
        return NULL;
    return BN_bin2bn((const unsigned char *)v.p, (int)v.n, NULL);
}

static EVP_PKEY *public_key(view modulus, view exponent)
{
    SCOPED(BN_free) BIGNUM *n = number(modulus), *e = number(exponent);
    SCOPED(OSSL_PARAM_BLD_free) OSSL_PARAM_BLD *build = mem_need(OSSL_PARAM_BLD_new());
    SCOPED(EVP_PKEY_CTX_free) EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    SCOPED(OSSL_PARAM_free) OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;
    if (!n || !e || !BN_is_odd(e) || BN_is_one(e) ||
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) != 1)
        return NULL;
    params = OSSL_PARAM_BLD_to_param(build);
    if (!c || !params || EVP_PKEY_fromdata_init(c) != 1 ||
        EVP_PKEY_fromdata(c, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return NULL;
    return key;
}

struct rs256 *rs256_new(view modulus, view exponent)
{
    SCOPED(EVP_PKEY_free) EVP_PKEY *key = public_key(modulus, exponent);
    SCOPED(EVP_MD_CTX_free) EVP_MD_CTX *c = mem_need(EVP_MD_CTX_new());
    if (!key || EVP_PKEY_get_bits(key) < BITS_LEAST ||
        EVP_DigestVerifyInit_ex(c, NULL, "SHA256", NULL, NULL, key, NULL) != 1)
        return NULL;
    struct rs256 *k = mem_need(malloc(sizeof(*k)));
    k->ready = c;
    c = NULL;
    return k;
}

void rs256_free(struct rs256 *k)
{
    if (!k)
        return;
    EVP_MD_CTX_free(k->ready);
    free(k);
}

bool rs256_proves(const struct rs256 *k, view text, view signature)
{
    SCOPED(EVP_MD_CTX_free) EVP_MD_CTX *c = mem_need(EVP_MD_CTX_new());
    if (EVP_MD_CTX_copy_ex(c, k->ready) != 1)
        return false;
    /* nothing is added to it afterwards: no further copy */
    EVP_MD_CTX_set_flags(c, EVP_MD_CTX_FLAG_FINALISE);
    return EVP_DigestVerify(c, (const unsigned char *)signature.p, signature.n, (const unsigned char *)text.p,
                            text.n) == 1;
}
