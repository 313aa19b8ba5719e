/* Runs go on when a page is closed and when the console is restarted: they are processes of heddle-admin itself, started with our settings.
 * Those are handed over as a file that only memory holds (they name a key), and the person in the environment. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/audit/audit.h"
#include "admin/console/inside.h"
#include "admin/lb/lb_conf.h"
#include "common/auth/secrets.h"
#include "common/base/log.h"
#include "common/base/mem.h"

enum { ARGS_MOST = 16, CONF_FD = 3 };

/* ---- settings ---- */

static void put_key(struct buf *b, const struct conf_key *k, const void *target)
{
    const char *name = strchr(k->name, '.') + 1, *at = (const char *)target + k->offset;
    const struct conf_list *list = (const void *)at;
    switch (k->type) {
    case CONF_LIST:
        for (size_t i = 0; i < list->n; i++)
            buf_addf(b, "%s = %s\n", name, list->items[i]);
        break;
    case CONF_TEXT:
        buf_addf(b, "%s = %s\n", name, *(char *const *)(const void *)at);
        break;
    case CONF_BOOL:
        buf_addf(b, "%s = %s\n", name, *(const bool *)at ? "yes" : "no");
        break;
    default:
        buf_addf(b, "%s = %" PRId64 "\n", name, *(const int64_t *)(const void *)at);
    }
}

static int settings_file(const struct console *c)
{
    SCOPED(buf_done) struct buf text = { 0 };
    buf_add(&text, VIEW("[admin]\n"));
    for (size_t i = 0; i < admin_conf_keys_n; i++)
        put_key(&text, &admin_conf_keys[i], c->admin);
    int fd = memfd_create("heddle-admin.ini", MFD_CLOEXEC);
    if (fd >= 0 && (write(fd, text.p, text.n) != (ssize_t)text.n || lseek(fd, 0, SEEK_SET) != 0)) {
        close(fd);
        fd = -1;
    }
    secret_wipe(text.p, text.n);
    return fd;
}

/* ---- the process ---- */

struct child {
    pid_t pid;
    char words[100];
};

static void *wait_for(void *arg)
{
    struct child *c = arg;
    int status = 0;
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        ;
    LOG(LOG_INFO, "a command of the console has ended", LOG_S("command", c->words),
        LOG_I("status", WIFEXITED(status) ? WEXITSTATUS(status) : -1));
    free(c);
    return NULL;
}

static rc look_after(pid_t pid, const char *const *words, struct err *e)
{
    pthread_t t;
    SCOPED(buf_done) struct buf line = { 0 };
    struct child *c = mem_need(calloc(1, sizeof(*c)));
    c->pid = pid;
    for (; *words; words++)
        buf_addf(&line, "%s%s", line.n ? " " : "", *words);
    snprintf(c->words, sizeof(c->words), "%s", buf_text(&line));
    if (pthread_create(&t, NULL, wait_for, c) != 0) {
        free(c);
        return fail(e, RC_BROKEN, RESP_GENERIC, "no thread for a command");
    }
    pthread_detach(t);
    return RC_OK;
}

static char **environment(const struct page *p)
{
    size_t n = 0, k = 0;
    while (environ[n])
        n++;
    char **out = arena_zero(p->a, (n + 2) * sizeof(*out));
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], AUDIT_FOR "=", strlen(AUDIT_FOR) + 1) != 0)
            out[k++] = environ[i];
    out[k] = arena_cstr(p->a, arena_text(p->a, AUDIT_FOR "=%s", act_person(p)));
    return out;
}

static int spawn(const struct page *p, int conf_fd, char **argv, pid_t *out)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none;
    int saved = conf_fd == CONF_FD ? fcntl(conf_fd, F_DUPFD_CLOEXEC, CONF_FD + 1) : conf_fd;
    if (saved < 0)
        return errno;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&files, saved, CONF_FD);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
    int why = posix_spawn(out, look(p)->c->program, &files, &attr, argv, environment(p));
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    if (saved != conf_fd)
        close(saved);
    return why;
}

rc start_command(const struct page *p, const char *const *words, struct err *e)
{
    char *argv[ARGS_MOST + 4];
    size_t n = 0;
    pid_t pid = -1;
    argv[n++] = look(p)->c->program;
    argv[n++] = arena_cstr(p->a, VIEW("--config"));
    argv[n++] = arena_cstr(p->a, VIEW("/dev/fd/3"));
    for (size_t i = 0; i < ARGS_MOST && words[i]; i++)
        argv[n++] = arena_cstr(p->a, view_of(words[i]));
    argv[n] = NULL;
    int fd = settings_file(look(p)->c);
    if (fd < 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "no file for the settings: %s", strerror(errno));
    int why = spawn(p, fd, argv, &pid);
    close(fd);
    if (why != 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.150s cannot be started: %s", argv[0], strerror(why));
    return look_after(pid, words, e);
}
