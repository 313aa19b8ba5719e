#include "common/auth/digest.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "common/base/mem.h"

#define INNER 0x36 /* RFC 2104 */
#define OUTER 0x5c

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_exit_of_thread;
static EVP_MD *algorithm; /* for the life of the process */

static _Thread_local EVP_MD_CTX *context;
static _Thread_local bool busy;

static void must(int done)
{
    if (done != 1) {
        fputs("libcrypto cannot do SHA-256\n", stderr);
        abort();
    }
}

static void context_free(void *p)
{
    context = NULL; /* a destructor that runs after this one may want another */
    EVP_MD_CTX_free(p);
}

static void find_algorithm(void)
{
    algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    must(algorithm != NULL);
    must(pthread_key_create(&at_exit_of_thread, context_free) == 0);
}

static void start(void)
{
    if (!context) {
        pthread_once(&once, find_algorithm);
        context = mem_need(EVP_MD_CTX_new());
        must(pthread_setspecific(at_exit_of_thread, context) == 0);
    }
    must(EVP_DigestInit_ex2(context, algorithm, NULL));
}

static void finish(uint8_t out[SHA256_BYTES])
{
    unsigned n = 0;

    must(EVP_DigestFinal_ex(context, out, &n));
    assert(n == SHA256_BYTES);
}

void digest_begin(void)
{
    assert(!busy);
    busy = true;
    start();
}

void digest_add(view piece)
{
    if (piece.n)
        must(EVP_DigestUpdate(context, piece.p, piece.n));
}

/* Letters between first and last get their bit of case turned round. */
static void add_changed(view piece, char first, char last)
{
    char part[128];

    for (size_t at = 0; at < piece.n;) {
        size_t n = 0;

        for (; n < sizeof part && at < piece.n; n++, at++) {
            char c = piece.p[at];

            part[n] = c >= first && c <= last ? (char)(c ^ 0x20) : c;
        }
        digest_add((view){ .p = part, .n = n });
    }
}

void digest_add_upper(view piece)
{
    add_changed(piece, 'a', 'z');
}

void digest_add_lower(view piece)
{
    add_changed(piece, 'A', 'Z');
}

void digest_end(uint8_t out[SHA256_BYTES])
{
    assert(busy);
    finish(out);
    busy = false;
}

void hmac_begin(struct hmac *h, view key)
{
    *h = (struct hmac){ 0 };
    if (key.n > sizeof h->pad) {
        digest_begin();
        digest_add(key);
        digest_end(h->pad);
    } else if (key.n) {
        memcpy(h->pad, key.p, key.n);
    }
    for (size_t i = 0; i < sizeof h->pad; i++)
        h->pad[i] ^= INNER;
    digest_begin();
    must(EVP_DigestUpdate(context, h->pad, sizeof h->pad));
}

void hmac_end(struct hmac *h, uint8_t out[SHA256_BYTES])
{
    uint8_t inner[SHA256_BYTES];

    finish(inner);
    for (size_t i = 0; i < sizeof h->pad; i++)
        h->pad[i] ^= INNER ^ OUTER;
    start();
    must(EVP_DigestUpdate(context, h->pad, sizeof h->pad));
    must(EVP_DigestUpdate(context, inner, sizeof inner));
    digest_end(out);
    OPENSSL_cleanse(h, sizeof *h);
}
