#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/lb/lb.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

enum {
    FEW = 4, /* files that are sent to the disk one by one, and not with all that waits for it */
    LOCK_POLL_MS = 5
};

/* Waits for the lock; an errno. */
static int take(int fd, int limit_ms)
{
    int64_t end_us = clock_mono_us(clock_system()) + limit_ms * 1000LL;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return errno;
        if (clock_mono_us(clock_system()) > end_us)
            return EWOULDBLOCK;
        clock_sleep_ms(LOCK_POLL_MS);
    }
    return 0;
}

rc lb_lock_file(const struct lb_conf *c, const char *name, int limit_ms, int *out_fd, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    TRY(lb_make_folder(c->folder, e));
    buf_addf(&path, "%s/%s", c->folder, name);
    int fd = open(buf_text(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    int why = fd < 0 ? errno : take(fd, limit_ms);
    if (why == 0) {
        *out_fd = fd;
        return RC_OK;
    }
    if (fd >= 0)
        close(fd);
    if (why == EWOULDBLOCK)
        return fail(e, RC_BUSY, RESP_GENERIC, "somebody else has been writing into %.150s for %g seconds",
                    c->folder, limit_ms / 1000.0);
    return fail(e, RC_BROKEN, RESP_GENERIC, "%.160s: %s", buf_text(&path), strerror(why));
}

rc lb_lock(const struct lb_conf *c, int *out_fd, struct err *e)
{
    return lb_lock_file(c, "lock", LB_LOCK_MS, out_fd, e);
}

rc lb_make_folder(const char *path, struct err *e)
{
    if (mkdir(path, 0750) != 0 && errno != EEXIST)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.160s: %s", path, strerror(errno));
    return RC_OK;
}

static rc broken(const char *path, struct err *e)
{
    return fail(e, RC_BROKEN, RESP_GENERIC, "%.160s is not written: %s", path, strerror(errno));
}

rc lb_read_file(const char *path, size_t most, struct buf *out, struct err *e)
{
    FILE *f = fopen(path, "re");
    char piece[4096];
    size_t n;
    if (!f)
        return fail(e, errno == ENOENT ? RC_NOT_FOUND : RC_BROKEN, RESP_GENERIC, "%.160s is not read: %s",
                    path, strerror(errno));
    while (out->n <= most && (n = fread(piece, 1, sizeof(piece), f)) > 0)
        buf_add(out, (view){ .p = piece, .n = n });
    bool good = !ferror(f) && out->n <= most;
    fclose(f);
    return good ? RC_OK : fail(e, RC_BROKEN, RESP_GENERIC, "%.160s is not read, or too long", path);
}

static bool says(const char *path, view text)
{
    SCOPED(buf_done) struct buf now = { 0 };
    struct stat s;
    return stat(path, &s) == 0 && (size_t)s.st_size == text.n &&
           lb_read_file(path, text.n, &now, NULL) == RC_OK && view_eq(buf_view(&now), text);
}

static bool write_all(int fd, view text)
{
    for (size_t done = 0; done < text.n;) {
        ssize_t n = write(fd, text.p + done, text.n - done);
        if (n < 0 && errno != EINTR)
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static void fresh_path(const char *path, struct buf *out)
{
    buf_addf(out, "%s.new", path);
}

rc lb_batch_put(struct lb_batch *b, const char *path, view text, struct err *e)
{
    SCOPED(buf_done) struct buf fresh = { 0 };
    if (says(path, text))
        return RC_OK;
    fresh_path(path, &fresh);
    int fd = open(buf_text(&fresh), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0)
        return broken(path, e);
    bool good = write_all(fd, text);
    if (close(fd) != 0 || !good)
        return broken(path, e);
    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 16;
        b->paths = mem_need(reallocarray(b->paths, b->cap, sizeof(*b->paths)));
    }
    b->paths[b->n++] = mem_need(strdup(path));
    return RC_OK;
}

/* To the disk. One call for all waits for what others wrote as well, and is cheaper all the same where they are many. */
static rc to_disk(const char *path, bool all, struct err *e)
{
    SCOPED(buf_done) struct buf fresh = { 0 };
    fresh_path(path, &fresh);
    int fd = open(buf_text(&fresh), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return broken(path, e);
    bool good = (all ? syncfs(fd) : fsync(fd)) == 0;
    rc r = good ? RC_OK : broken(path, e);
    close(fd);
    return r;
}

rc lb_batch_commit(struct lb_batch *b, struct err *e)
{
    if (b->n > FEW)
        TRY(to_disk(b->paths[0], true, e));
    for (size_t i = 0; i < b->n && b->n <= FEW; i++)
        TRY(to_disk(b->paths[i], false, e));
    for (size_t i = 0; i < b->n; i++) {
        SCOPED(buf_done) struct buf fresh = { 0 };
        fresh_path(b->paths[i], &fresh);
        if (rename(buf_text(&fresh), b->paths[i]) != 0)
            return broken(b->paths[i], e);
    }
    return RC_OK;
}

void lb_batch_done(struct lb_batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        free(b->paths[i]);
    free(b->paths);
    *b = (struct lb_batch){ .n = 0 };
}
