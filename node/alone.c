#include "node/alone.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/auth/secrets.h"
#include "common/base/buf.h"
#include "common/base/scope.h"

#define NAME_BYTES 8 /* of the digest in a page's name */

static int open_in_folder(const char *folder)
{
    SCOPED(buf_done) struct buf path = { 0 };
    buf_addf(&path, "%s/processes.lock", folder);
    return open(buf_text(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

/* The same name for the same database, whatever way leads to its socket. */
static int open_page(const struct store_conf *c)
{
    SCOPED(buf_done) struct buf id = { 0 };
    uint8_t digest[SHA256_BYTES];
    char real[PATH_MAX], name[64];

    if (c->socket && c->socket[0] != '\0')
        buf_addf(&id, "%s %s", realpath(c->socket, real) ? real : c->socket, c->database);
    else
        buf_addf(&id, "%s:%lld %s", c->host, (long long)c->port, c->database);
    sha256(buf_view(&id), digest);
    size_t n = (size_t)snprintf(name, sizeof(name), "/heddle-store-%u-", (unsigned)geteuid());
    for (size_t i = 0; i < NAME_BYTES; i++)
        n += (size_t)snprintf(name + n, sizeof(name) - n, "%02x", digest[i]);
    return shm_open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

rc alone_lock(const struct store_conf *c, const char *driver, bool alone, int *out_fd, struct err *e)
{
    int fd = strcmp(driver, "sqlite") == 0 ? open_in_folder(c->path) : open_page(c);

    if (fd < 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "cannot open the lock of the store: %s", strerror(errno));
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
