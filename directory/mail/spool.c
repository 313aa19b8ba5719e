#include "directory/mail/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/scope.h"

enum { RANDOM_BYTES = 8 };

static rc trouble(struct err *e, rc r, const char *what, const char *dir, const char *name)
{
    return fail(e, r, RESP_GENERIC, "cannot %s %.120s/%.64s: %s", what, dir, name, strerror(errno));
}

rc spool_folder(const char *path, struct err *e)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return fail(e, RC_BROKEN, RESP_GENERIC, "cannot make the folder %.150s: %s", path, strerror(errno));
    return RC_OK;
}

rc spool_prepare(const char *dir, struct err *e)
{
    static const char *const folders[] = { "queue", "failed" };
    TRY(spool_folder(dir, e));
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        SCOPED(buf_done) struct buf path = { 0 };
        buf_addf(&path, "%s/%s", dir, folders[i]);
        TRY(spool_folder(buf_text(&path), e));
    }
    return RC_OK;
}

static bool write_all(int fd, view v)
{
    while (v.n > 0) {
        ssize_t n = write(fd, v.p, v.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        v = (view){ .p = v.p + n, .n = v.n - (size_t)n };
    }
    return true;
}

static int open_folder(const char *dir)
{
    return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A name with a dot before it is nobody's yet. */
static rc put_in(int folder, const char *dir, const char *name, view head, view body, struct err *e)
{
    char hidden[SPOOL_NAME + 1];
    snprintf(hidden, sizeof(hidden), ".%s", name);
    int fd = openat(folder, hidden, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return trouble(e, RC_AWAY, "make", dir, hidden);
    bool good = write_all(fd, head) && write_all(fd, body) && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    good = good && renameat(folder, hidden, folder, name) == 0 && fsync(folder) == 0;
    if (good)
        return RC_OK;
    rc r = trouble(e, RC_AWAY, "write", dir, name);
    unlinkat(folder, hidden, 0);
    return r;
}

rc spool_put(const char *dir, const char *name, view head, view body, struct err *e)
{
    int folder = open_folder(dir);
    if (folder < 0)
        return trouble(e, RC_AWAY, "open", dir, "");
    rc r = put_in(folder, dir, name, head, body, e);
    close(folder);
    return r;
}

void spool_name(int64_t now_us, const char *kind, char out[SPOOL_NAME])
{
    uint8_t bytes[RANDOM_BYTES];
    rand_bytes(bytes, sizeof(bytes));
    int n = snprintf(out, SPOOL_NAME, "%013lld-", (long long)(now_us / 1000));
    for (size_t i = 0; i < sizeof(bytes); i++)
        n += snprintf(out + n, SPOOL_NAME - (size_t)n, "%02x", bytes[i]);
    snprintf(out + n, SPOOL_NAME - (size_t)n, "%s%.8s", kind[0] ? "." : "", kind);
}

int64_t spool_name_ms(const char *name)
{
    view v = view_of(name), ms;
    uint64_t n;
    if (v.n >= SPOOL_NAME || !view_cut(&v, '-', &ms) || !v.p || !view_to_u64(ms, INT64_MAX, &n))
        return 0;
    return (int64_t)n;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

rc spool_list(const char *dir, char (**out)[SPOOL_NAME], size_t *out_n, struct err *e)
{
    DIR *d = opendir(dir);
    char(*names)[SPOOL_NAME] = NULL;
    size_t n = 0, cap = 0;
    if (!d)
        return trouble(e, RC_AWAY, "open", dir, "");
    for (const struct dirent *x; (x = readdir(d));) {
        if (spool_name_ms(x->d_name) == 0)
            continue;
        if (n == cap) {
            cap = cap ? 2 * cap : 64;
            names = mem_need(realloc(names, cap * sizeof(*names)));
        }
        memcpy(names[n++], x->d_name, strlen(x->d_name) + 1); /* spool_name_ms knows that it fits */
    }
    closedir(d);
    if (n > 1)
        qsort(names, n, sizeof(*names), by_name); /* milliseconds have 13 digits until the year 2286 */
    *out = names;
    *out_n = n;
    return RC_OK;
}

static int open_file(const char *dir, const char *name)
{
    SCOPED(buf_done) struct buf path = { 0 };
    buf_addf(&path, "%s/%s", dir, name);
    return open(buf_text(&path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

rc spool_read(const char *dir, const char *name, struct buf *out, struct err *e)
{
    struct stat st;
    int fd = open_file(dir, name);
    if (fd < 0)
        return trouble(e, errno == ENOENT ? RC_NOT_FOUND : RC_AWAY, "open", dir, name);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > SPOOL_FILE_MAX) {
        close(fd);
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.120s/%.64s is no mail", dir, name);
    }
    size_t want = (size_t)st.st_size, got = 0;
    buf_reserve(out, want + 1);
    while (got < want) {
        ssize_t n = read(fd, out->p + out->n, want - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        out->n += (size_t)n;
        got += (size_t)n;
    }
    close(fd);
    return got == want ? RC_OK : trouble(e, RC_AWAY, "read", dir, name);
}

bool spool_drop(const char *dir, const char *name)
{
    SCOPED(buf_done) struct buf path = { 0 };
    buf_addf(&path, "%s/%s", dir, name);
    return unlink(buf_text(&path)) == 0 || errno == ENOENT;
}

bool spool_move(const char *from, const char *to, const char *name)
{
    SCOPED(buf_done) struct buf a = { 0 };
    SCOPED(buf_done) struct buf b = { 0 };
    buf_addf(&a, "%s/%s", from, name);
    buf_addf(&b, "%s/%s", to, name);
    return rename(buf_text(&a), buf_text(&b)) == 0;
}

void spool_trim(const char *dir, int64_t kept)
{
    char(*names)[SPOOL_NAME] = NULL;
    size_t n = 0;
    if (spool_list(dir, &names, &n, NULL) != RC_OK)
        return;
    for (size_t i = 0; i < n && (int64_t)(n - i) > kept; i++)
        (void)spool_drop(dir, names[i]); /* else at the next trimming */
    free(names);
}
