/* A secret that the program makes for itself at its first start. */
#include "common/auth/secrets.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/encode.h"
#include "common/base/mem.h"
#include "common/base/rand.h"

#define TEXT_MAX ((size_t)4096)

static rc trouble(struct err *e, const char *path, const char *what)
{
    return fail(e, RC_BROKEN, RESP_GENERIC, "cannot %s %s: %m", what, path);
}

/* Reads until the end of the file; one byte above TEXT_MAX tells that it is too long. */
static bool read_all(int fd, char *text, size_t *out_n)
{
    size_t n = 0;

    while (n <= TEXT_MAX) {
        ssize_t got = read(fd, text + n, TEXT_MAX + 1 - n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *out_n = n;
    return true;
}

static bool write_all(int fd, view v)
{
    while (v.n > 0) {
        ssize_t put = write(fd, v.p, v.n);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        v.p += put;
        v.n -= (size_t)put;
    }
    return true;
}

/* One line of printable characters without blanks. */
static bool is_secret_text(view v, size_t least)
{
    if (v.n < least || v.n > TEXT_MAX)
        return false;
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] <= ' ' || v.p[i] > '~')
            return false;
    return true;
}

/* RC_NOT_FOUND: there is no such file. */
static rc load(const char *path, size_t least, char **out, struct err *e)
{
    char text[TEXT_MAX + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    bool done;
    rc r = RC_OK;

    if (fd < 0 && errno == ENOENT)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "no file %s", path);
    if (fd < 0)
        return trouble(e, path, "open");
    done = read_all(fd, text, &n);
    if (!done)
        r = trouble(e, path, "read");
    close(fd);
    if (done) {
        if (n > 0 && text[n - 1] == '\n')
            n--;
        if (is_secret_text((view){ .p = text, .n = n }, least))
            *out = mem_need(strndup(text, n));
        else
            r = fail(e, RC_BAD_INPUT, RESP_GENERIC,
                     "%s does not hold a secret: one line of %zu to %zu printable characters without blanks",
                     path, least, TEXT_MAX);
    }
    secret_wipe(text, sizeof text);
    return r;
}

/* The name must be on the disk as well, or a crash would give the next start another secret. */
static bool sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? mem_need(strndup(path, slash == path ? 1 : (size_t)(slash - path))) : NULL;
    int fd = open(folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = fd >= 0 && fsync(fd) == 0;
    int why = errno;

    if (fd >= 0)
        close(fd);
    free(folder);
    errno = why;
    return done;
}

/* Writes line to a file of its own beside path and gives that the name `path` only if nobody has it: link() fails then.
 * So whoever reads path sees a whole secret, and the first one wins. */
static rc publish(const char *path, view line, struct err *e)
{
    SCOPED(buf_done) struct buf name = { 0 };
    rc r = RC_OK;
    int fd;

    buf_addf(&name, "%s.XXXXXX", path);
    (void)buf_text(&name);
    fd = mkostemp(name.p, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return trouble(e, path, "make a file beside");
    if (!write_all(fd, line) || fsync(fd) != 0)
        r = trouble(e, name.p, "write");
    else if (link(name.p, path) != 0 && errno != EEXIST)
        r = trouble(e, path, "make");
    close(fd);
    if (unlink(name.p) != 0 && r == RC_OK)
        r = trouble(e, name.p, "remove");
    if (r == RC_OK && !sync_folder(path))
        r = trouble(e, path, "sync the folder of");
    return r;
}

static rc make(const char *path, size_t n_bytes, struct err *e)
{
    struct buf line = { 0 };
    uint8_t *bytes = mem_need(malloc(n_bytes));
    rc r;

    rand_bytes(bytes, n_bytes);
    buf_reserve(&line, n_bytes * 2 + 1);
    hex_put(&line, (view){ .p = (const char *)bytes, .n = n_bytes });
    buf_addc(&line, '\n');
    r = publish(path, buf_view(&line), e);
    secret_wipe(bytes, n_bytes);
    secret_wipe(line.p, line.n);
    free(bytes);
    buf_done(&line);
    return r;
}

rc secret_file(const char *path, size_t n_bytes, char **out, struct err *e)
{
    rc r;

    assert(n_bytes > 0 && n_bytes * 2 <= TEXT_MAX);
    r = load(path, n_bytes, out, e);
    if (r != RC_NOT_FOUND)
        return r;
    TRY(make(path, n_bytes, e));
    r = load(path, n_bytes, out, e);
    if (r == RC_NOT_FOUND) /* somebody removes files under our hands */
        return fail(e, RC_BROKEN, RESP_GENERIC, "%s vanished right after it was made", path);
    return r;
}
