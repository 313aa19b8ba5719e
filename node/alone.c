#include "node/alone.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/auth/secrets.h"
#include "common/base/buf.h"

#define NAME_BYTES 16

/* The same text for the same store, whatever way leads to it. */
static void identify(const struct store_conf *c, const char *driver, struct buf *out)
{
    char real[PATH_MAX];

    if (strcmp(driver, "sqlite") == 0)
        buf_addf(out, "sqlite %s", realpath(c->path, real) ? real : c->path);
    else if (c->socket && c->socket[0] != '\0')
        buf_addf(out, "mysql %s %s", realpath(c->socket, real) ? real : c->socket, c->database);
    else
        buf_addf(out, "mysql %s:%lld %s", c->host, (long long)c->port, c->database);
}

rc alone_lock(const struct store_conf *c, const char *driver, bool alone, int *out_fd, struct err *e)
{
    struct buf id = { 0 };
    uint8_t digest[SHA256_BYTES];
    char name[64];

    identify(c, driver, &id);
    sha256(buf_view(&id), digest);
    buf_done(&id);
    size_t n = (size_t)snprintf(name, sizeof(name), "/heddle-store-%u-", (unsigned)geteuid());
    for (size_t i = 0; i < NAME_BYTES / 2; i++)
        n += (size_t)snprintf(name + n, sizeof(name) - n, "%02x", digest[i]);

    int fd = shm_open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "cannot open shared memory %s: %s", name, strerror(errno));
    while (flock(fd, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
        if (errno == EINTR)
            continue;
        close(fd);
        return fail(
            e, RC_BUSY, RESP_GENERIC,
            "another process with %s has this store open: several processes of a node need cache.driver = redis, all of "
            "them",
            alone ? "a cache" : "a cache in its memory");
    }
    *out_fd = fd;
    return RC_OK;
}
