#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/lb.h"

enum { PID_TEXT = 32 };

rc lb_run(const char *const argv[], const char *log, struct err *e)
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
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return fail(e, RC_BROKEN, RESP_GENERIC, "%s: %s", argv[0], strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "%s refuses the new configuration, the old one stays in force: see %.150s", argv[0], log);
    return RC_OK;
}

rc lb_pid(const struct lb_conf *c, const char *name, pid_t *out, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    char line[PID_TEXT] = "";
    uint64_t pid = 0;
    buf_addf(&path, "%s/%s.pid", c->folder, name);
    FILE *f = fopen(buf_text(&path), "re");
    if (f) {
        if (!fgets(line, sizeof(line), f))
            line[0] = '\0';
        fclose(f);
    }
    if (!view_to_u64((view){ .p = line, .n = strcspn(line, "\n") }, INT32_MAX, &pid) || pid <= 1)
        return fail(e, RC_AWAY, RESP_GENERIC, "no process of %s: %.160s names none", name, buf_text(&path));
    *out = (pid_t)pid;
    return RC_OK;
}
