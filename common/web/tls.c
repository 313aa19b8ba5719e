#include "common/web/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/auth/secrets.h"
#include "common/base/mem.h"
#include "common/base/scope.h"

#define PEM_MAX ((off_t)1 << 20)

static void key_free(char *text)
{
    if (text)
        secret_wipe(text, strlen(text));
    free(text);
}
DEFINE_SCOPED(char *, key_free);
DEFINE_SCOPED(BIO *, BIO_free_all);
DEFINE_SCOPED(X509 *, X509_free);
DEFINE_SCOPED(EVP_PKEY *, EVP_PKEY_free);

static rc pem_read(const char *path, char **out, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    size_t done = 0;

    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size > PEM_MAX) {
        int why = fd < 0 ? errno : EFBIG;

        if (fd >= 0)
            close(fd);
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "TLS: cannot read %.160s: %s", path, strerror(why));
    }
    char *text = mem_need(calloc(1, (size_t)st.st_size + 1));
    while (done < (size_t)st.st_size) {
        ssize_t n = read(fd, text + done, (size_t)st.st_size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    close(fd);
    *out = text;
    return RC_OK;
}

/* A key behind a password cannot be used: nobody is there to type it. */
static int no_password(char *to, int n, int writing, void *arg)
{
    (void)to, (void)n, (void)writing, (void)arg;
    return -1;
}

static rc pair_check(const struct server_conf *c, const char *cert_text, const char *key_text, struct err *e)
{
    SCOPED(BIO_free_all) BIO *cert_in = BIO_new_mem_buf(cert_text, -1);
    SCOPED(BIO_free_all) BIO *key_in = BIO_new_mem_buf(key_text, -1);
    SCOPED(X509_free) X509 *cert = PEM_read_bio_X509(mem_need(cert_in), NULL, no_password, NULL);
    SCOPED(EVP_PKEY_free) EVP_PKEY *key = PEM_read_bio_PrivateKey(mem_need(key_in), NULL, no_password, NULL);
    rc r = RC_OK;

    if (!cert)
        r = fail(e, RC_BAD_INPUT, RESP_GENERIC, "TLS: tls_cert: %.160s holds no PEM certificate",
                 c->tls_cert);
    else if (!key)
        r = fail(e, RC_BAD_INPUT, RESP_GENERIC, "TLS: tls_key: %.160s holds no PEM key without a password",
                 c->tls_key);
    else if (X509_check_private_key(cert, key) != 1)
        r = fail(e, RC_BAD_INPUT, RESP_GENERIC,
                 "TLS: the key in %.120s is not that of the first certificate in %.120s", c->tls_key,
                 c->tls_cert);
    ERR_clear_error();
    return r;
}

rc tls_read(const struct server_conf *c, char **out_cert, char **out_key, struct err *e)
{
    bool has_cert = c->tls_cert && c->tls_cert[0], has_key = c->tls_key && c->tls_key[0];

    if (!has_cert && !has_key)
        return RC_OK;
    if (!has_cert || !has_key)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "tls_cert and tls_key need each other");
    SCOPED(key_free) char *cert = NULL;
    SCOPED(key_free) char *key = NULL;
    TRY(pem_read(c->tls_cert, &cert, e));
    TRY(pem_read(c->tls_key, &key, e));
    TRY(pair_check(c, cert, key, e));
    *out_cert = cert;
    *out_key = key;
    cert = key = NULL;
    return RC_OK;
}

void tls_forget(char *cert, char *key)
{
    free(cert);
    key_free(key);
}
