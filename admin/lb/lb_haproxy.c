/* HAProxy's runtime API on its unix socket: one connection for each batch of commands. Protocol: HAProxy management guide, "Unix Socket
 * commands" (set map, add map, del map, prepare map, commit map, show map, show table). */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/lb/lb.h"
#include "common/base/buf.h"
#include "common/base/clock.h"

enum {
    ANSWER_SECONDS = 30,
    PIECE_BYTES = 12000,
    POLL_MS = 5,
    RELOAD_MS = 60000,
    OLD_MS = 3000,
    CONFIG_MAX = 4 << 20
};

/* ---- the socket ---- */

static rc connect_to(const struct lb_conf *c, int *out_fd, struct err *e)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    const struct timeval wait = { .tv_sec = ANSWER_SECONDS };
    int n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/haproxy.sock", c->folder);
    if (n < 0 || (size_t)n >= sizeof(a.sun_path))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "lb.folder is too long for a socket's path");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) != 0 ||
        connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        return fail(e, RC_AWAY, RESP_GENERIC, "HAProxy does not answer at %.100s: %s", a.sun_path,
                    strerror(why));
    }
    *out_fd = fd;
    return RC_OK;
}

/* One line of commands (and its payload), and all that is answered. */
static rc ask(const struct lb_conf *c, view line, struct buf *out, struct err *e)
{
    char piece[16384];
    ssize_t n = 1;
    int fd;
    TRY(connect_to(c, &fd, e));
    for (size_t done = 0; n > 0 && done<line.n; done += n> 0 ? (size_t)n : 0)
        n = send(fd, line.p + done, line.n - done, MSG_NOSIGNAL);
    while (n > 0 && (n = recv(fd, piece, sizeof(piece), 0)) > 0)
        buf_add(out, (view){ .p = piece, .n = (size_t)n });
    int why = errno;
    close(fd);
    return n == 0 ? RC_OK : fail(e, RC_AWAY, RESP_GENERIC, "HAProxy's socket breaks off: %s", strerror(why));
}

static bool is_silent(const struct buf *answer)
{
    for (size_t i = 0; i < answer->n; i++)
        if (answer->p[i] != '\n' && answer->p[i] != ' ')
            return false;
    return true;
}

static rc unexpected(const char *what, struct buf *answer, struct err *e)
{
    view text = view_trim(buf_view(answer));
    while (text.n > 0 && text.p[text.n - 1] == '\n')
        text.n--;
    return fail(e, RC_BROKEN, RESP_GENERIC, "HAProxy answers %s: %.*s", what,
                text.n > 150 ? 150 : (int)text.n, text.p);
}

/* ---- single rows ---- */

/* Sets a row that is there; adds one that is not. (add by itself would make a second one.) */
static rc set_row(const struct lb_conf *c, const struct lb_change *x, struct err *e)
{
    SCOPED(buf_done) struct buf line = { 0 };
    SCOPED(buf_done) struct buf answer = { 0 };
    buf_add(&line, x->value.p ? VIEW("set map ") : VIEW("del map "));
    lb_map_path(c, x->map, x->map == LB_USERS ? lb_shard(x->key) : 0, &line);
    buf_addf(&line, " %.*s", VIEW_ARG(x->key));
    if (x->value.p)
        buf_addf(&line, " %.*s", VIEW_ARG(x->value));
    buf_addc(&line, '\n');
    TRY(ask(c, buf_view(&line), &answer, e));
    if (is_silent(&answer))
        return RC_OK;
    if (!memmem(answer.p, answer.n, "not found", 9))
        return unexpected("a change of a row", &answer, e);
    if (!x->value.p)
        return RC_OK;
    memcpy(line.p, "add", 3);
    buf_clear(&answer);
    TRY(ask(c, buf_view(&line), &answer, e));
    return is_silent(&answer) ? RC_OK : unexpected("a new row", &answer, e);
}

/* ---- whole maps ---- */

struct filling {
    const struct lb_conf *conf;
    enum lb_map map;
    unsigned file;
    long version;
    struct buf rows;
    rc result;
    struct err *e;
};

/* The number behind some words of an answer. */
static bool number_behind(const char *text, const char *words, long *out)
{
    const char *at = strstr(text, words);
    char *end = NULL;
    if (!at)
        return false;
    at += strlen(words);
    long number = strtol(at, &end, 10);
    if (end == at)
        return false;
    *out = number;
    return true;
}

static rc prepare(const struct lb_conf *c, enum lb_map map, unsigned file, long *out_version, struct err *e)
{
    SCOPED(buf_done) struct buf line = { 0 };
    SCOPED(buf_done) struct buf answer = { 0 };
    long version = 0;
    buf_add(&line, VIEW("prepare map "));
    lb_map_path(c, map, file, &line);
    buf_addc(&line, '\n');
    TRY(ask(c, buf_view(&line), &answer, e));
    if (!number_behind(buf_text(&answer), "New version created: ", &version))
        return unexpected("\"prepare map\"", &answer, e);
    *out_version = version;
    return RC_OK;
}

static void flush(struct filling *f)
{
    SCOPED(buf_done) struct buf line = { 0 };
    SCOPED(buf_done) struct buf answer = { 0 };
    if (f->result != RC_OK || f->rows.n == 0)
        return;
    buf_addf(&line, "add map @%ld ", f->version);
    lb_map_path(f->conf, f->map, f->file, &line);
    buf_add(&line, VIEW(" <<\n"));
    buf_add(&line, buf_view(&f->rows));
    buf_addc(&line, '\n');
    buf_clear(&f->rows);
    f->result = ask(f->conf, buf_view(&line), &answer, f->e);
    if (f->result == RC_OK && !is_silent(&answer))
        f->result = unexpected("\"add map\"", &answer, f->e);
}

static void fill_row(void *arg, view key, view value)
{
    struct filling *f = arg;
    buf_addf(&f->rows, "%.*s %.*s\n", VIEW_ARG(key), VIEW_ARG(value));
    if (f->rows.n > PIECE_BYTES)
        flush(f);
}

static rc fill(const struct admin_conf *c, const struct lb_model *m, enum lb_map map, unsigned file,
               long *out_version, struct err *e)
{
    struct filling f = { .conf = &c->lb, .map = map, .file = file, .result = RC_OK, .e = e };
    TRY(prepare(&c->lb, map, file, &f.version, e));
    lb_map_rows(c, m, map, file, fill_row, &f);
    flush(&f);
    buf_done(&f.rows);
    *out_version = f.version;
    return f.result;
}

/* All maps are made beside the ones in force, then put in force by one line: no request sees old slots with new users for longer than
 * that line takes. */
static rc replace(const struct admin_conf *c, const struct lb_model *m, struct err *e)
{
    SCOPED(buf_done) struct buf line = { 0 };
    SCOPED(buf_done) struct buf answer = { 0 };
    for (int map = 0; map <= LB_HOSTS; map++)
        for (unsigned file = 0; file < lb_map_files(&c->lb, (enum lb_map)map); file++) {
            long version = 0;
            TRY(fill(c, m, (enum lb_map)map, file, &version, e));
            buf_addf(&line, "%scommit map @%ld ", line.n ? ";" : "", version);
            lb_map_path(&c->lb, (enum lb_map)map, file, &line);
        }
    buf_addc(&line, '\n');
    TRY(ask(&c->lb, buf_view(&line), &answer, e));
    return is_silent(&answer) ? RC_OK : unexpected("\"commit map\"", &answer, e);
}

static rc change(const struct admin_conf *c, const struct lb_change *changes, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        TRY(set_row(&c->lb, &changes[i], e));
    return RC_OK;
}

/* ---- reading back ---- */

/* Lines "0x55… key value". */
static rc add_digest(const struct lb_conf *c, enum lb_map map, unsigned file, struct lb_digest *d,
                     struct err *e)
{
    SCOPED(buf_done) struct buf line = { 0 };
    SCOPED(buf_done) struct buf answer = { 0 };
    buf_add(&line, VIEW("show map "));
    lb_map_path(c, map, file, &line);
    buf_addc(&line, '\n');
    TRY(ask(c, buf_view(&line), &answer, e));
    view rest = buf_view(&answer), row, pointer, key;
    while (view_cut(&rest, '\n', &row)) {
        if (row.n == 0)
            continue;
        if (!view_cut(&row, ' ', &pointer) || !view_starts(pointer, VIEW("0x")) ||
            !view_cut(&row, ' ', &key) || !row.p)
            return unexpected("\"show map\"", &answer, e);
        lb_digest_add(d, key, row);
    }
    return RC_OK;
}

static rc digest(const struct admin_conf *c, enum lb_map map, struct lb_digest *out, struct err *e)
{
    struct lb_digest d = { .rows = 0 };
    for (unsigned file = 0; file < lb_map_files(&c->lb, map); file++)
        TRY(add_digest(&c->lb, map, file, &d, e));
    *out = d;
    return RC_OK;
}

/* "key=… conn_cur=N". "show fd" lets all threads come to rest before it answers: between the rule that asks who is held and the one that
 * counts none of them does, so who was let pass by the one has been counted by the other. */
rc lb_haproxy_under_way(const struct lb_conf *c, view key, long *out, struct err *e)
{
    SCOPED(buf_done) struct buf line = { 0 };
    SCOPED(buf_done) struct buf answer = { 0 };
    buf_addf(&line, "show fd 0;show table count_user key %.*s\n", VIEW_ARG(key));
    TRY(ask(c, buf_view(&line), &answer, e));
    if (!number_behind(buf_text(&answer), "conn_cur=", out))
        *out = 0;
    return RC_OK;
}

/* ---- reload ---- */

/* What HAProxy has read: the text behind "description: " in "show info"; none is "". */
static rc running_generation(const struct lb_conf *c, struct buf *out, long *out_pid, struct err *e)
{
    SCOPED(buf_done) struct buf answer = { 0 };
    TRY(ask(c, VIEW("show info\n"), &answer, e));
    if (!number_behind(buf_text(&answer), "\nPid: ", out_pid))
        return unexpected("\"show info\"", &answer, e);
    const char *at = strstr(buf_text(&answer), "\ndescription: ");
    if (at) {
        at += strlen("\ndescription: ");
        buf_add(out, (view){ .p = at, .n = strcspn(at, "\n") });
    }
    return RC_OK;
}

static rc written_generation(const char *path, struct buf *out, struct err *e)
{
    SCOPED(buf_done) struct buf text = { 0 };
    TRY(lb_read_file(path, CONFIG_MAX, &text, e));
    view is = lb_description(buf_view(&text));
    if (!is.p)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%.150s has no line \"description …\": render it anew",
                    path);
    buf_add(out, is);
    return RC_OK;
}

static rc is_behind(const struct admin_conf *c, bool *out, struct err *e)
{
    SCOPED(buf_done) struct buf config = { 0 };
    SCOPED(buf_done) struct buf written = { 0 };
    SCOPED(buf_done) struct buf running = { 0 };
    long pid = 0;
    buf_addf(&config, "%s/haproxy.cfg", c->lb.folder);
    TRY(written_generation(buf_text(&config), &written, e));
    TRY(running_generation(&c->lb, &running, &pid, e));
    *out = !view_eq(buf_view(&written), buf_view(&running));
    return RC_OK;
}

/* Servers that are well, as commands that say so, a line each. "show servers state" has a row for each: backend and server are its second and
 * fourth word, the sixth is 1 or 2 for one that is well. */
static rc who_is_well(const struct lb_conf *c, struct buf *out, struct err *e)
{
    SCOPED(buf_done) struct buf answer = { 0 };
    view rest, row, word[6];
    TRY(ask(c, VIEW("show servers state\n"), &answer, e));
    rest = buf_view(&answer);
    while (view_cut(&rest, '\n', &row)) {
        size_t n = 0;
        while (n < 6 && view_cut(&row, ' ', &word[n]))
            n++;
        if (n == 6 && (view_eq(word[5], VIEW("1")) || view_eq(word[5], VIEW("2"))))
            buf_addf(out, "set server %.*s/%.*s health up\n", VIEW_ARG(word[1]), VIEW_ARG(word[3]));
    }
    return RC_OK;
}

/* A process that begins takes a server out at the first check that fails. Of those that were well before it is told so: then it takes two, as
 * ever. A server that it does not have any more it does not find. */
static rc tell_who_is_well(const struct lb_conf *c, view commands, struct err *e)
{
    view line;
    while (view_cut(&commands, '\n', &line)) {
        SCOPED(buf_done) struct buf command = { 0 };
        SCOPED(buf_done) struct buf answer = { 0 };
        if (line.n == 0)
            continue;
        buf_addf(&command, "%.*s\n", VIEW_ARG(line));
        TRY(ask(c, buf_view(&command), &answer, e));
    }
    return RC_OK;
}

/* Another worker than the one of before answers, and with what was written. The last look begins after the time is over: had the machine stood
 * still, an earlier one would tell of the time before. */
static rc await_generation(const struct lb_conf *c, view wanted, long before, struct err *e)
{
    const int64_t end_us = clock_mono_us(clock_system()) + RELOAD_MS * 1000LL;
    for (;;) {
        SCOPED(buf_done) struct buf now = { 0 };
        struct err away = ERR_NONE;
        bool late = clock_mono_us(clock_system()) > end_us;
        long pid = 0;
        rc r = running_generation(c, &now, &pid, &away);
        if (r == RC_OK && pid != before && view_eq(buf_view(&now), wanted))
            return RC_OK;
        if (late)
            return fail(e, RC_UNSURE, RESP_GENERIC,
                        "HAProxy was told to read its new configuration, and has not after %d seconds "
                        "(%.100s): see its log",
                        RELOAD_MS / 1000, r == RC_OK ? "it still runs with the old one" : away.text);
        clock_sleep_ms(POLL_MS);
    }
}

/* In a reload the master executes itself twice, and blocks signals meanwhile; on its way it ignores SIGUSR2 for a moment, and so forgets the
 * one that came. The new worker answers before that is over. So who told it to reload waits until it hears again, and who would tell it looks
 * first: somebody else may have. */
static rc await_master(pid_t master, struct err *e)
{
    const int64_t end_us = clock_mono_us(clock_system()) + RELOAD_MS * 1000LL;
    for (;;) {
        bool hears = false, late = clock_mono_us(clock_system()) > end_us;
        TRY(lb_takes_signal(master, SIGUSR2, &hears, e));
        if (hears)
            return RC_OK;
        if (late)
            return fail(e, RC_UNSURE, RESP_GENERIC,
                        "HAProxy's process %ld has not listened to a reload for %d seconds: see its log; was "
                        "it started with -W?",
                        (long)master, RELOAD_MS / 1000);
        clock_sleep_ms(POLL_MS);
    }
}

/* fd: of a process, closed here; -1: it had ended before, or cannot be seen. */
static void await_end(int fd, int limit_ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    if (fd < 0)
        return;
    poll(&p, 1, limit_ms);
    close(fd);
}

/* SIGUSR2 to the master: it starts a new worker with the new files, which takes over the sockets; one that it refuses leaves the old
 * worker at work. For a moment both answer, so the process id alone would not tell. What the old worker has begun it ends, and hears of no hold
 * any more; so it is waited for, but not for long: an upload may take minutes. */
static rc reload(const struct admin_conf *c, struct err *e)
{
    SCOPED(buf_done) struct buf config = { 0 };
    SCOPED(buf_done) struct buf log = { 0 };
    SCOPED(buf_done) struct buf wanted = { 0 };
    SCOPED(buf_done) struct buf before = { 0 };
    SCOPED(buf_done) struct buf well = { 0 };
    pid_t master;
    long worker = 0;
    buf_addf(&config, "%s/haproxy.cfg", c->lb.folder);
    buf_addf(&log, "%s/check.log", c->lb.folder);
    TRY(lb_pid(&c->lb, "haproxy", &master, e));
    TRY(written_generation(buf_text(&config), &wanted, e));
    const char *const check[] = { "haproxy", "-c", "-q", "-f", buf_text(&config), NULL };
    TRY(lb_run(check, buf_text(&log), LB_CHECK_MS, e));
    TRY(await_master(master, e));
    TRY(running_generation(&c->lb, &before, &worker, e));
    TRY(who_is_well(&c->lb, &well, e));
    int old = pidfd_open((pid_t)worker, 0);
    rc r = RC_OK;
    if (kill(master, SIGUSR2) != 0)
        r = fail(e, RC_AWAY, RESP_GENERIC, "HAProxy's process %ld: %s", (long)master, strerror(errno));
    if (r == RC_OK)
        r = await_generation(&c->lb, buf_view(&wanted), worker, e);
    if (r == RC_OK)
        r = tell_who_is_well(&c->lb, buf_view(&well), e);
    if (r == RC_OK)
        r = await_master(master, e);
    await_end(old, r == RC_OK ? OLD_MS : 0);
    return r;
}

const struct lb_driver lb_haproxy = { .name = "haproxy",
                                      .config = "haproxy.cfg",
                                      .change = change,
                                      .replace = replace,
                                      .reload = reload,
                                      .is_behind = is_behind,
                                      .digest = digest,
                                      .live = true };
