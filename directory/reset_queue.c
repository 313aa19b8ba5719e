#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "directory/mail/spool.h"
#include "directory/reset.h"
#include "directory/screens/screens.h"

enum { WAITING_MOST = 1000, JOB_ARENA = 256 * 1024, LOOK_S = 1, AGAIN_LONGEST_S = 60 };

struct resets {
    struct directory *d;
    char *dir;
    int lock_fd;
    _Atomic unsigned waiting; /* as of the last look, and those that came since */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop, fresh; /* under lock */

    /* The thread's own. */
    struct directory_worker worker;
    int64_t again_us;
    int tries;
};

/* ---- one of them ---- */

/* Worth another try: not what the account itself is the reason for. */
static bool may_pass(rc r, const struct err *e)
{
    return r == RC_AWAY || r == RC_UNSURE || r == RC_CONFLICT || (r == RC_BUSY && e->retry_after_s == 0);
}

static rc mail_it(struct resets *r, view typed, view tag, struct err *e)
{
    view name;
    SCOPED(arena_done) struct arena a;
    arena_init(&a, JOB_ARENA);
    if (!r->worker.session)
        TRY(backend_session_open(r->d->backend, &r->worker.session, e));
    const struct words *words = languages_find(&r->d->screens->site.languages, tag);
    TRY(account_meant(r->worker.session, typed, &a, &name, e));
    return reset_ask(&r->worker, &a, name, words, false, e);
}

static bool is_too_old(const struct resets *r, const char *file)
{
    return clock_now_us(r->d->clock) / 1000 - spool_name_ms(file) > r->d->screens->conf->reset_life_s * 1000;
}

/* false: it stays, and the others with it: what was in its way is in theirs. */
static bool do_one(struct resets *r, const char *file)
{
    SCOPED(buf_done) struct buf text = { 0 };
    struct err e = ERR_NONE;
    view tag, typed;
    rc got = spool_read(r->dir, file, &text, &e);
    typed = buf_view(&text);
    if (got == RC_NOT_FOUND)
        return true;
    if (got == RC_OK && (!view_cut(&typed, '\n', &tag) || typed.n == 0 || typed.n > ACCOUNT_TYPED_MAX))
        got = fail(&e, RC_BROKEN, RESP_GENERIC, "%s is none of ours", file);
    if (got == RC_OK)
        got = mail_it(r, typed, tag, &e);
    bool later = may_pass(got, &e) && !is_too_old(r, file);
    if (got == RC_BROKEN || (may_pass(got, &e) && (!later || r->tries == 0)))
        LOG(later ? LOG_WARN : LOG_ERROR,
            later ? "a password reset was asked for and is mailed later"
                  : "a password reset was asked for and cannot be mailed",
            LOG_S("why", e.text));
    if (later || spool_drop(r->dir, file))
        return !later;
    if (r->tries == 0)
        LOG(LOG_ERROR, "what is done with a password reset cannot be removed, and is mailed again",
            LOG_S("why", strerror(errno)));
    return false;
}

/* ---- the thread ---- */

static bool is_stopping(struct resets *r)
{
    pthread_mutex_lock(&r->lock);
    bool stop = r->stop;
    pthread_mutex_unlock(&r->lock);
    return stop;
}

static void put_off(struct resets *r)
{
    int64_t s = 1;
    for (int i = 0; i < r->tries && s < AGAIN_LONGEST_S; i++)
        s *= 2;
    r->tries++;
    r->again_us = clock_mono_us(clock_system()) + (s < AGAIN_LONGEST_S ? s : AGAIN_LONGEST_S) * 1000000;
}

static void look(struct resets *r)
{
    char(*names)[SPOOL_NAME] = NULL;
    size_t n = 0, done = 0;
    struct err e = ERR_NONE;
    if (clock_mono_us(clock_system()) < r->again_us)
        return;
    if (spool_list(r->dir, &names, &n, &e) != RC_OK) {
        LOG(LOG_WARN, "the password resets that were asked for cannot be read", LOG_S("why", e.text));
        return;
    }
    bool ours = flock(r->lock_fd, LOCK_EX | LOCK_NB) == 0; /* else another process works, and we count */
    while (ours && done < n && do_one(r, names[done]))
        done++;
    free(names);
    atomic_store(&r->waiting, (unsigned)(n - done));
    if (ours && done < n)
        put_off(r);
    else
        r->tries = 0;
}

static void *run(void *arg)
{
    struct resets *r = arg;
    bool last = false;
    while (!last) {
        last = is_stopping(r);
        look(r);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LOOK_S;
        pthread_mutex_lock(&r->lock);
        while (!r->fresh && !r->stop && pthread_cond_timedwait(&r->wake, &r->lock, &until) == 0)
            ;
        r->fresh = false;
        pthread_mutex_unlock(&r->lock);
    }
    return NULL;
}

/* ---- life ---- */

static rc start(struct resets *r, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    TRY(spool_folder(r->dir, e));
    buf_addf(&path, "%s/lock", r->dir);
    r->lock_fd = open(buf_text(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (r->lock_fd < 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.150s: %s", buf_text(&path), strerror(errno));
    r->started = pthread_create(&r->thread, NULL, run, r) == 0;
    return r->started ? RC_OK : fail(e, RC_BROKEN, RESP_GENERIC, "no thread for password resets");
}

rc resets_open(struct directory *d, const char *dir, struct resets **out, struct err *e)
{
    struct resets *r = mem_need(calloc(1, sizeof(*r)));
    r->d = d;
    r->worker.d = d;
    r->dir = mem_need(strdup(dir));
    r->lock_fd = -1;
    pthread_mutex_init(&r->lock, NULL);
    clock_cond_init(&r->wake);
    rc got = start(r, e);
    if (got != RC_OK) {
        resets_close(r);
        return got;
    }
    *out = r;
    return RC_OK;
}

void resets_close(struct resets *r)
{
    if (!r)
        return;
    if (r->started) {
        pthread_mutex_lock(&r->lock);
        r->stop = true;
        pthread_cond_signal(&r->wake);
        pthread_mutex_unlock(&r->lock);
        pthread_join(r->thread, NULL);
    }
    backend_session_close(r->worker.session);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    if (r->lock_fd >= 0)
        close(r->lock_fd);
    free(r->dir);
    free(r);
}

/* ---- asking ---- */

rc resets_queue(struct resets *r, view typed, const struct words *words, struct err *e)
{
    SCOPED(buf_done) struct buf head = { 0 };
    char file[SPOOL_NAME];
    if (typed.n > ACCOUNT_TYPED_MAX)
        return RC_OK; /* nobody is meant */
    if (atomic_load(&r->waiting) >= WAITING_MOST)
        return fail(e, RC_BUSY, RESP_GENERIC, "%d password resets wait already", WAITING_MOST);
    buf_addf(&head, "%s\n", words ? words->tag : "en");
    spool_name(clock_now_us(r->d->clock), "ask", file);
    TRY(spool_put(r->dir, file, buf_view(&head), typed, e));
    atomic_fetch_add(&r->waiting, 1U);
    pthread_mutex_lock(&r->lock);
    r->fresh = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    return RC_OK;
}
