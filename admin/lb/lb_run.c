#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/lb/lb.h"
#include "common/base/clock.h"

enum { PID_TEXT = 32, STATUS_BYTES = 1 << 16 };

/* Ends a child that has not ended in its time; false: so it was. */
static bool ends_in_time(pid_t pid, int limit_ms)
{
    int fd = pidfd_open(pid, 0);
    if (fd < 0)
        return true; /* cannot be seen; waitpid tells */
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int64_t end_us = clock_mono_us(clock_system()) + limit_ms * 1000LL;
    int left_ms = limit_ms, n = 0;
    while ((n = poll(&p, 1, left_ms)) < 0 && errno == EINTR) {
        int64_t left_us = end_us - clock_mono_us(clock_system());
        left_ms = left_us > 0 ? (int)(left_us / 1000) : 0;
    }
    close(fd);
    if (n == 0)
        kill(pid, SIGKILL);
    return n != 0;
}

rc lb_run(const char *const argv[], const char *log, int limit_ms, struct err *e)
{
    posix_spawn_file_actions_t files;
    pid_t pid;
    int status = -1;

    if (posix_spawn_file_actions_init(&files) != 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%s does not start", argv[0]);
    int r = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    if (r == 0)
        r = posix_spawnp(&pid, argv[0], &files, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (r != 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%s does not start: %s", argv[0], strerror(r));
    bool ended = ends_in_time(pid, limit_ms);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return fail(e, RC_BROKEN, RESP_GENERIC, "%s: %s", argv[0], strerror(errno));
    if (!ended)
        return fail(e, RC_UNSURE, RESP_GENERIC, "%s had not looked at the new configuration after %d ms",
                    argv[0], limit_ms);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "%s refuses the new configuration, the old one stays in force: see %.150s", argv[0], log);
    return RC_OK;
}

/* The first line of a small file, without its end; "" where it cannot be read. */
static view first_line(const char *path, char line[static PID_TEXT])
{
    FILE *f = fopen(path, "re");
    line[0] = '\0';
    if (f) {
        if (!fgets(line, PID_TEXT, f))
            line[0] = '\0';
        fclose(f);
    }
    return (view){ .p = line, .n = strcspn(line, "\n") };
}

rc lb_pid(const struct lb_conf *c, const char *name, pid_t *out, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(buf_done) struct buf proc = { 0 };
    char line[PID_TEXT], runs[PID_TEXT];
    uint64_t pid = 0;
    buf_addf(&path, "%s/%s.pid", c->folder, name);
    if (!view_to_u64(first_line(buf_text(&path), line), INT32_MAX, &pid) || pid <= 1)
        return fail(e, RC_AWAY, RESP_GENERIC, "no process of %s: %.160s names none", name, buf_text(&path));
    buf_addf(&proc, "/proc/%" PRIu64 "/comm", pid);
    if (!view_eq(first_line(buf_text(&proc), runs), view_of(name)))
        return fail(e, RC_AWAY, RESP_GENERIC, "process %" PRIu64 " of %.160s is no %s", pid, buf_text(&path),
                    name);
    *out = (pid_t)pid;
    return RC_OK;
}

/* Behind "\nSigCgt:" and its kin in /proc/<pid>/status: the signals of a set, the lowest bit for the first, as hex. */
static bool in_set(const char *status, const char *set, int signal)
{
    const char *at = strstr(status, set);
    return at && (strtoull(at + strlen(set), NULL, 16) >> (signal - 1) & 1);
}

rc lb_takes_signal(pid_t pid, int signal, bool *out, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(buf_done) struct buf status = { 0 };
    struct err why = ERR_NONE;
    buf_addf(&path, "/proc/%ld/status", (long)pid);
    if (lb_read_file(buf_text(&path), STATUS_BYTES, &status, &why) != RC_OK)
        return fail(e, RC_AWAY, RESP_GENERIC, "process %ld has ended: %.200s", (long)pid, why.text);
    *out = in_set(buf_text(&status), "\nSigCgt:", signal) && !in_set(buf_text(&status), "\nSigBlk:", signal);
    return RC_OK;
}
