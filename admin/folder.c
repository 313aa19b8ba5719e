#include "admin/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/scope.h"

static rc make(const char *path, struct err *e)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "cannot make the folder %.150s: %s (key admin.dir)", path,
                    strerror(errno));
    return RC_OK;
}

/* All folders on the way. */
static rc make_way(struct buf *path, struct err *e)
{
    char *text = (char *)(uintptr_t)buf_text(path);
    for (char *p = text + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        rc r = access(text, F_OK) == 0 ? RC_OK : make(text, e);
        *p = '/';
        TRY(r);
    }
    return make(text, e);
}

rc folder_path(const struct admin_conf *c, const char *part, struct buf *out, struct err *e)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    buf_clear(out);
    if (c->dir[0])
        buf_add(out, view_of(c->dir));
    else if (state && state[0] == '/')
        buf_addf(out, "%s/heddle-admin", state);
    else if (home && home[0] == '/')
        buf_addf(out, "%s/.local/state/heddle-admin", home);
    else
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "admin.dir is needed: there is neither XDG_STATE_HOME nor HOME");
    if (part)
        buf_addf(out, "/%s", part);
    return make_way(out, e);
}

static rc write_all(int fd, view text)
{
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return RC_BROKEN;
        text.p += n;
        text.n -= (size_t)n;
    }
    return fsync(fd) == 0 ? RC_OK : RC_BROKEN;
}

/* The name of a file is in its folder's own blocks. */
static rc sync_folder(const char *path)
{
    SCOPED(buf_done) struct buf folder = { 0 };
    const char *slash = strrchr(path, '/');
    if (!slash)
        buf_addc(&folder, '.');
    else /* with its slash: that of the root is all there is */
        buf_add(&folder, (view){ .p = path, .n = (size_t)(slash - path) + 1 });
    int fd = open(buf_text(&folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return RC_BROKEN;
    rc r = fsync(fd) == 0 ? RC_OK : RC_BROKEN;
    close(fd);
    return r;
}

rc folder_write(const char *path, view text, struct err *e)
{
    static atomic_uint turn; /* threads may write one file at the same time */
    SCOPED(buf_done) struct buf fresh = { 0 };
    buf_addf(&fresh, "%s.%ld.%u.new", path, (long)getpid(), atomic_fetch_add(&turn, 1));
    int fd = open(buf_text(&fresh), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "cannot write %.150s: %s", buf_text(&fresh), strerror(errno));
    rc r = write_all(fd, text);
    if (close(fd) != 0)
        r = RC_BROKEN;
    if (r == RC_OK && rename(buf_text(&fresh), path) != 0)
        r = RC_BROKEN;
    if (r == RC_OK)
        r = sync_folder(path);
    if (r == RC_OK)
        return RC_OK;
    int why = errno;
    unlink(buf_text(&fresh));
    return fail(e, r, RESP_GENERIC, "cannot write %.150s: %s", path, strerror(why));
}

rc folder_read(const char *path, size_t most, struct buf *out, struct err *e)
{
    char block[16384];
    FILE *f = fopen(path, "re");
    size_t n;
    if (!f)
        return fail(e, errno == ENOENT ? RC_NOT_FOUND : RC_BROKEN, RESP_GENERIC, "%.150s: %s", path,
                    strerror(errno));
    buf_clear(out);
    while ((n = fread(block, 1, sizeof(block), f)) > 0 && out->n <= most)
        buf_add(out, (view){ .p = block, .n = n });
    bool bad = ferror(f) != 0;
    fclose(f);
    if (bad)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.150s cannot be read", path);
    if (out->n > most)
        return fail(e, RC_TOO_LARGE, RESP_GENERIC, "%.150s has more than %zu bytes", path, most);
    return RC_OK;
}
