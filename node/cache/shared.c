#include "node/cache/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uint32_t text_hash(const char *text) /* FNV-1a */
{
    uint32_t h = 2166136261u;
    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 16777619u;
    return h;
}

void shared_name(const char *scope, const char *suffix, char out[SHARED_NAME_MAX])
{
    char legible[48];
    size_t n = 0;
    for (const char *p = scope; *p && n + 1 < sizeof(legible); p++)
        legible[n++] =
            (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '.' || *p == '-' ? *p : '_';
    legible[n] = '\0';
    snprintf(out, SHARED_NAME_MAX, "/heddle-cache-%u-%s-%08x%s", (unsigned)geteuid(), legible,
             text_hash(scope), suffix);
}

static rc look_at(int fd, const char *name, size_t *out_bytes, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "cannot look at shared memory %s: %s", name, strerror(errno));
    if (st.st_uid != geteuid() || (st.st_mode & 022) != 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "shared memory %s belongs to somebody else or others may write it", name);
    *out_bytes = (size_t)st.st_size;
    return RC_OK;
}

rc shared_open(const char *name, int *out_fd, size_t *out_bytes, struct err *e)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "cannot open shared memory %s: %s", name, strerror(errno));
    while (flock(fd, LOCK_EX) != 0 && errno == EINTR)
        ;
    rc r = look_at(fd, name, out_bytes, e);
    if (r != RC_OK) {
        close(fd);
        return r;
    }
    *out_fd = fd;
    return RC_OK;
}

rc shared_map(int fd, const char *name, size_t bytes, bool fresh, void **out, struct err *e)
{
    int why = fresh ? posix_fallocate(fd, 0, (off_t)bytes) : 0;
    if (why != 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "no shared memory for %s: %s", name, strerror(why));
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return fail(e, RC_BROKEN, RESP_GENERIC, "cannot map shared memory %s: %s", name, strerror(errno));
    *out = p;
    return RC_OK;
}
