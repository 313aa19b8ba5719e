#include "common/web/program.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/scope.h"
#include "common/web/ops.h"
#include "common/web/settings.h"

/* How often a small program gives back what it does not need. */
#define TIDY_EVERY_S 20

const struct conf_key log_conf_keys[] = {
    { "log.level", CONF_TEXT, offsetof(struct log_conf, level), "info", 0, 0, 0, "",
      "Least important lines to write: debug, info, warn or error." },
    { "log.format", CONF_TEXT, offsetof(struct log_conf, format), "auto", 0, 0, 0, "",
      "json, plain, or auto: plain on a terminal, else one JSON object a line." },
    { "log.file", CONF_TEXT, offsetof(struct log_conf, file), "", 0, 0, 0, "",
      "File to append to, opened anew on SIGHUP; empty: standard error." },
};
const size_t log_conf_keys_n = sizeof(log_conf_keys) / sizeof(log_conf_keys[0]);

/* ---- the log's file ---- */

static rc log_words(const struct log_conf *c, enum log_format *out_format, enum log_level *out_level,
                    struct err *e)
{
    if (!log_level_parse(view_of(c->level), out_level))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "log.level is \"%s\": must be debug, info, warn or error",
                    c->level);
    if (strcmp(c->format, "auto") == 0)
        *out_format = LOG_AUTO;
    else if (strcmp(c->format, "json") == 0)
        *out_format = LOG_JSON;
    else if (strcmp(c->format, "plain") == 0)
        *out_format = LOG_PLAIN;
    else
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "log.format is \"%s\": must be auto, json or plain",
                    c->format);
    return RC_OK;
}

/* Opens the file; or, with fd >= 0, puts the newly opened one in the place of fd: a line is one write(), so each goes
 * whole to either of them. */
static rc log_file_open(const char *path, int *fd, struct err *e)
{
    int fresh = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fresh < 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "log.file: cannot open \"%s\": %s", path, strerror(errno));
    if (*fd < 0) {
        *fd = fresh;
        return RC_OK;
    }
    log_flush();
    int swapped = dup3(fresh, *fd, O_CLOEXEC);
    int why = errno;
    close(fresh);
    if (swapped < 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "log.file: cannot replace \"%s\": %s", path, strerror(why));
    return RC_OK;
}

static rc log_open(const struct log_conf *c, int *out_fd, struct err *e)
{
    enum log_format format;
    enum log_level level;
    TRY(log_words(c, &format, &level, e));
    int fd = -1;
    if (c->file[0] != '\0')
        TRY(log_file_open(c->file, &fd, e));
    *out_fd = fd;
    log_setup(fd >= 0 ? fd : STDERR_FILENO, format, level);
    return RC_OK;
}

/* ---- what stands on the terminal ---- */

static void print_help(const struct program *p, const struct conf_group *groups, size_t n)
{
    printf("%s: %s\n\n"
           "Usage: %s [OPTION …]%s%s\n\n"
           "  --config FILE            read this INI file (may be repeated; later values win)\n"
           "  --set SECTION.KEY=VALUE  set one key (may be repeated; wins over files)\n"
           "  --show-config            print the values in force and end\n"
           "  --check-config           say whether the configuration is good and end\n"
           "  --version                print the version and end\n"
           "  --help                   print this and end\n\n",
           p->name, p->purpose, p->name, p->arguments ? " " : "", p->arguments ? p->arguments : "");
    if (p->help) {
        p->help(p->arg, stdout);
        putchar('\n');
    }
    printf("Keys:\n\n");
    conf_manual(groups, n, stdout);
}

static int misused(const struct program *p, const struct err *e)
{
    fprintf(stderr, "%s: %s\n", p->name, e->text);
    return PROGRAM_MISUSED;
}

/* ---- life ---- */

/* Buffers of large answers come and go all the time; giving their memory back to the kernel each time and faulting it in again
 * costs a tenth of the throughput of large reads. 32 MiB is the most that glibc takes for the first. A small program gives it
 * back, and its threads share two heaps instead of having one each. */
static void set_up_memory(bool small)
{
    mallopt(M_MMAP_THRESHOLD, small ? 128 << 10 : 32 << 20);
    mallopt(M_TRIM_THRESHOLD, small ? 256 << 10 : 64 << 20);
    if (small)
        mallopt(M_ARENA_MAX, 2);
}

static void reload(const struct program *p, struct conf *conf, const struct log_conf *log, int *log_fd)
{
    void *fresh[PROGRAM_GROUPS_MAX + 1] = { 0 };
    struct conf_group groups[PROGRAM_GROUPS_MAX + 1];
    struct log_conf fresh_log = { 0 };
    struct err e = ERR_NONE;

    for (size_t i = 0; i < p->n_groups; i++) {
        fresh[i] = calloc(1, p->groups[i].target_bytes);
        if (!fresh[i])
            abort();
        groups[i] = (struct conf_group){ .keys = p->groups[i].keys, .n = p->groups[i].n, .target = fresh[i] };
    }
    groups[p->n_groups] =
        (struct conf_group){ .keys = log_conf_keys, .n = log_conf_keys_n, .target = &fresh_log };

    if (log->file[0] != '\0' && log_file_open(log->file, log_fd, &e) != RC_OK)
        LOG(LOG_ERROR, "log file not opened anew", LOG_S("why", e.text));
    if (conf_reload(conf, groups, p->n_groups + 1, &e) != RC_OK) {
        LOG(LOG_ERROR, "configuration not reloaded, the old one stays", LOG_S("why", e.text));
    } else {
        settings_take(conf);
        if (p->reload && p->reload(p->arg, fresh, &e) != RC_OK)
            LOG(LOG_ERROR, "reload refused, the old settings stay", LOG_S("why", e.text));
        else
            LOG(LOG_INFO, "configuration reloaded", LOG_S("program", p->name));
    }
    for (size_t i = 0; i < p->n_groups; i++)
        free(fresh[i]);
}

static int serve(const struct program *p, struct conf *conf, const struct log_conf *log, int *log_fd)
{
    struct err e = ERR_NONE;

    signal(SIGPIPE, SIG_IGN);
    signals_block();
    settings_take(conf);
    if (p->start(p->arg, &e) != RC_OK) {
        LOG(LOG_ERROR, "could not start", LOG_S("program", p->name), LOG_S("why", e.text));
        if (*log_fd >= 0)
            fprintf(stderr, "%s: %s\n", p->name, e.text);
        p->stop(p->arg);
        return PROGRAM_FAILED;
    }
    LOG(LOG_INFO, "started", LOG_S("program", p->name), LOG_S("version", heddle_version),
        LOG_I("pid", getpid()));
    int sig;
    for (;;) {
        sig = signals_wait(TIDY_EVERY_S);
        if (sig == SIGHUP)
            reload(p, conf, log, log_fd);
        else if (sig != 0)
            break;
        else if (p->small)
            malloc_trim(0);
    }
    LOG(LOG_INFO, "stopping", LOG_S("program", p->name), LOG_I("signal", sig));
    p->stop(p->arg);
    LOG(LOG_INFO, "stopped", LOG_S("program", p->name));
    return PROGRAM_DONE;
}

/* After the configuration was read: what the wish asks for. */
static int fulfil(const struct program *p, enum conf_wish wish, struct conf *conf, const struct log_conf *log,
                  int argc, char **argv)
{
    struct err e = ERR_NONE;
    int log_fd = -1;

    if (wish == CONF_SHOW) {
        conf_show(conf, stdout);
        return PROGRAM_DONE;
    }
    if (argc > 0 && !p->arguments) {
        fprintf(stderr, "%s: does not take \"%s\" (see --help)\n", p->name, argv[0]);
        return PROGRAM_MISUSED;
    }
    if (wish == CONF_CHECK) {
        enum log_format format;
        enum log_level level;
        if (log_words(log, &format, &level, &e) != RC_OK || (p->check && p->check(p->arg, &e) != RC_OK))
            return misused(p, &e);
        printf("%s: the configuration is good\n", p->name);
        return PROGRAM_DONE;
    }
    if (log_open(log, &log_fd, &e) != RC_OK || (p->check && p->check(p->arg, &e) != RC_OK)) {
        if (log_fd >= 0)
            close(log_fd);
        return misused(p, &e);
    }
    int status = p->run ? p->run(p->arg, argc, argv) : serve(p, conf, log, &log_fd);
    if (log_fd >= 0)
        close(log_fd);
    return status;
}

int program_main(const struct program *p, int argc, char **argv)
{
    struct conf_group groups[PROGRAM_GROUPS_MAX + 1];
    struct log_conf log = { 0 };
    struct conf *conf = NULL;
    enum conf_wish wish = CONF_RUN;
    int first = argc;
    struct err e = ERR_NONE;

    if (p->n_groups > PROGRAM_GROUPS_MAX || !p->start == !p->run)
        abort();
    for (size_t i = 0; i < p->n_groups; i++)
        groups[i] = (struct conf_group){ .keys = p->groups[i].keys,
                                         .n = p->groups[i].n,
                                         .target = p->groups[i].target };
    groups[p->n_groups] = (struct conf_group){ .keys = log_conf_keys, .n = log_conf_keys_n, .target = &log };

    set_up_memory(p->small);
    if (conf_load(argc, argv, groups, p->n_groups + 1, &conf, &wish, &first, &e) != RC_OK)
        return misused(p, &e);
    int status;
    if (wish == CONF_VERSION) {
        printf("%s %s (%s)\n", p->name, heddle_version, heddle_commit);
        status = PROGRAM_DONE;
    } else if (wish == CONF_HELP) {
        print_help(p, groups, p->n_groups + 1);
        status = PROGRAM_DONE;
    } else {
        status = fulfil(p, wish, conf, &log, argc - first, argv + first);
    }
    conf_free(conf);
    return status;
}

/* ---- what start and check of most programs do ---- */

rc program_public_url(const struct server_conf *public, char **out, struct err *e)
{
    bool given = public->url[0] != '\0';
    struct url_parts u;
    char *url = NULL;
    if (given)
        url = mem_need(strdup(public->url));
    else if (asprintf(&url, "%s://%s", public->tls_cert[0] != '\0' ? "https" : "http", public->listen) < 0)
        url = mem_need(NULL);
    for (size_t n = strlen(url); n > 0 && url[n - 1] == '/';)
        url[--n] = '\0';
    *out = url;
    if (!url_cut(view_of(url), &u) || u.port == 0)
        return fail(
            e, RC_BAD_INPUT, RESP_GENERIC,
            "public.url is \"%s\"%s: must be the address that clients use, like https://sync.example.net",
            url, given ? "" : " (made of public.listen)");
    if (!given &&
        (view_eq(u.host, VIEW("0.0.0.0")) || view_eq(u.host, VIEW("[::]")) || view_eq(u.host, VIEW("*"))))
        return fail(
            e, RC_BAD_INPUT, RESP_GENERIC,
            "listening at %s, at all addresses, needs the one that clients use and sign: set public.url",
            public->listen);
    return RC_OK;
}

rc program_data_dir(const char *path, struct err *e)
{
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "data.dir: cannot make the folder %s: %s", path,
                    strerror(errno));
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "data.dir: %s is not a folder", path);
    return RC_OK;
}

bool program_listens_here_alone(const char *listen)
{
    SCOPED(buf_done) struct buf url = { 0 };
    struct url_parts u;
    buf_addf(&url, "http://%s", listen);
    return url_cut(buf_view(&url), &u) &&
           (view_starts(u.host, VIEW("127.")) || view_eq(u.host, VIEW("[::1]")) ||
            view_eq(u.host, VIEW("localhost")));
}

rc program_listen(const struct server_conf *conf, bool internal, const struct mount *mounts, size_t n,
                  struct server **out, struct err *e)
{
    if (conf->listen[0] == '\0')
        return RC_OK;
    TRY(server_open(conf, internal, mounts, n, clock_system(), out, e));
    if (internal)
        LOG(LOG_INFO, "listening", LOG_S("what", "internal"), LOG_S("url", server_url(*out)));
    else
        LOG(LOG_INFO, "listening", LOG_S("what", "public"), LOG_S("url", server_url(*out)),
            LOG_I("port", server_port(*out)));
    return RC_OK;
}
