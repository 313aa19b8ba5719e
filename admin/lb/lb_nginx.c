/* nginx reads files: whatever changes is written first, then it is told to read them again. It says what it has in memory on a socket of its
 * own, for `lb verify`. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "admin/lb/lb.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/encode.h"

enum {
    ANSWER_MS = 5000,
    ANSWER_BYTES = 1 << 16,
    POLL_MS = 10,
    RELOAD_MS = 60000,
    OLD_MS = 3000,
    PROC_BYTES = 1 << 16,
    AGAIN_MS = 10000 /* a signal that comes while nginx starts, before it first waits for one, is not heard */
};

/* The digest of a map as the running nginx was given it; of "generation": of all of them and the configuration. */
static rc ask(const struct lb_conf *c, const char *what, struct buf *out, struct err *e)
{
    SCOPED(buf_done) struct buf url = { 0 };
    SCOPED(buf_done) struct buf socket = { 0 };
    struct answer a = { .status = 0 };
    struct caller *caller = NULL;
    buf_addf(&url, "http://localhost/%s", what);
    buf_addf(&socket, "%s/nginx.sock", c->folder);
    const struct call call_ = { .method = "GET",
                                .url = buf_text(&url),
                                .unix_socket = buf_text(&socket),
                                .timeout_ms = ANSWER_MS,
                                .answer_max = ANSWER_BYTES };
    TRY(caller_new(clock_system(), &caller, e));
    rc r = call(caller, &call_, &a, e);
    caller_free(caller);
    if (r == RC_OK && a.status != 200)
        r = fail(e, RC_BROKEN, RESP_GENERIC, "nginx answers %ld at %s", a.status, buf_text(&socket));
    if (r == RC_OK)
        buf_add(out, buf_view(&a.body));
    answer_done(&a);
    return r;
}

/* "<rows> <digest>" */
static rc digest(const struct admin_conf *c, enum lb_map map, struct lb_digest *out, struct err *e)
{
    SCOPED(buf_done) struct buf text = { 0 };
    SCOPED(arena_done) struct arena arena;
    struct lb_digest d = { .rows = 0 };
    view sum, rows, bytes;
    arena_init(&arena, 1 << 16);
    TRY(ask(&c->lb, lb_map_name(map), &text, e));
    sum = buf_view(&text);
    view_cut(&sum, ' ', &rows);
    if (!view_to_u64(rows, UINT64_MAX, &d.rows) || !hex_decode(sum, &arena, &bytes) ||
        bytes.n != sizeof(d.sum))
        return fail(e, RC_BROKEN, RESP_GENERIC, "nginx tells no digest of %s", lb_map_name(map));
    for (size_t i = 0; i < bytes.n; i++)
        d.sum[i / 8] = d.sum[i / 8] << 8 | (unsigned char)bytes.p[i];
    *out = d;
    return RC_OK;
}

/* RC_MODIFIED: it runs with another one. */
static rc answers_with(const struct admin_conf *c, view generation, struct err *e)
{
    SCOPED(buf_done) struct buf now = { 0 };
    TRY(ask(&c->lb, "generation", &now, e));
    return view_eq(buf_view(&now), generation)
               ? RC_OK
               : fail(e, RC_MODIFIED, RESP_GENERIC, "it still runs with the old one");
}

/* SIGHUP: new workers with the new files; the old ones finish what they have. Done when the new generation answers. */
static rc signal_and_wait(const struct admin_conf *c, pid_t pid, view generation, struct err *e)
{
    const int64_t begun_us = clock_mono_us(clock_system());
    for (int64_t since_us = 0, signalled = 0;; since_us = clock_mono_us(clock_system()) - begun_us) {
        if (since_us >= signalled * AGAIN_MS * 1000LL) {
            if (kill(pid, SIGHUP) != 0)
                return fail(e, RC_AWAY, RESP_GENERIC, "nginx's process %ld: %s", (long)pid, strerror(errno));
            signalled++;
        }
        struct err why = ERR_NONE;
        if (answers_with(c, generation, &why) == RC_OK)
            return RC_OK;
        if (since_us > RELOAD_MS * 1000LL)
            return fail(
                e, RC_UNSURE, RESP_GENERIC,
                "nginx was told to read its new configuration, and has not after %d seconds (%.100s): "
                "see nginx-error.log in %.100s",
                RELOAD_MS / 1000, why.text, c->lb.folder);
        clock_sleep_ms(POLL_MS);
    }
}

/* A worker that takes connections: one that has been told to end calls itself otherwise, and takes none. */
static bool is_open(view pid)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(buf_done) struct buf title = { 0 };
    struct err gone = ERR_NONE;
    buf_addf(&path, "/proc/%.*s/cmdline", VIEW_ARG(pid));
    return pid.n > 0 && lb_read_file(buf_text(&path), PROC_BYTES, &title, &gone) == RC_OK &&
           view_starts(buf_view(&title), VIEW("nginx: worker process")) &&
           !memmem(title.p, title.n, "shutting down", 13);
}

/* The workers of before answer as before until the master tells them to end, a tenth of a second after the new ones have begun. */
static void await_old(view pids)
{
    const int64_t end_us = clock_mono_us(clock_system()) + OLD_MS * 1000LL;
    view pid;
    while (view_cut(&pids, ' ', &pid))
        while (is_open(pid) && clock_mono_us(clock_system()) < end_us)
            clock_sleep_ms(POLL_MS);
}

static rc reload(const struct admin_conf *c, struct err *e)
{
    SCOPED(buf_done) struct buf conf = { 0 };
    SCOPED(buf_done) struct buf log = { 0 };
    SCOPED(buf_done) struct buf wanted = { 0 };
    SCOPED(buf_done) struct buf children = { 0 };
    SCOPED(buf_done) struct buf workers = { 0 };
    struct err unseen = ERR_NONE;
    pid_t pid;
    TRY(lb_pid(&c->lb, "nginx", &pid, e));
    buf_addf(&children, "/proc/%ld/task/%ld/children", (long)pid, (long)pid);
    buf_addf(&conf, "%s/nginx.conf", c->lb.folder);
    buf_addf(&log, "%s/check.log", c->lb.folder);
    const char *const check[] = { "nginx", "-t", "-q", "-p", c->lb.folder, "-c", buf_text(&conf), NULL };
    TRY(lb_run(check, buf_text(&log), LB_CHECK_MS, e));
    TRY(lb_generation(&c->lb, &wanted, e));
    if (lb_read_file(buf_text(&children), PROC_BYTES, &workers, &unseen) != RC_OK)
        buf_clear(&workers); /* then they are not waited for */
    TRY(signal_and_wait(c, pid, buf_view(&wanted), e));
    await_old(buf_view(&workers));
    return RC_OK;
}

static rc change(const struct admin_conf *c, const struct lb_change *changes, size_t n, struct err *e)
{
    (void)changes;
    return n > 0 ? reload(c, e) : RC_OK;
}

static rc replace(const struct admin_conf *c, const struct lb_model *m, struct err *e)
{
    (void)m;
    return reload(c, e);
}

const struct lb_driver lb_nginx = { .name = "nginx",
                                    .config = "nginx.conf",
                                    .change = change,
                                    .replace = replace,
                                    .reload = reload,
                                    .digest = digest,
                                    .live = false };
