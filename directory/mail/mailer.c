/* The queue: mailer_send writes, one thread brings the mails away in the order of their making. A relay that does not answer is asked again
 * after 1, 2, 4 … 60 seconds; a mail that it cannot take now waits by itself, 30 s to 15 minutes. A mail that was sent and
 * then not removed (a crash in between) is sent again: twice is better than never. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/metrics.h"
#include "common/base/scope.h"
#include "directory/mail/inside.h"

enum { LOOK_S = 1, DOWN_LONGEST_S = 60, WAIT_FIRST_S = 30, WAIT_LONGEST_S = 900 };

/* A mail that has to wait by itself. */
struct waiting {
    char name[SPOOL_NAME];
    int64_t next_us;
    int tries;
};

struct mailer {
    struct mail_conf conf; /* numbers alone; texts are below */
    bool to_folder;        /* the driver spool */
    char *dir, *queue, *failed, *from;
    view sender; /* the address in `from` */
    const struct clock *clock;
    struct smtp *smtp;
    metric sent, later, gave_up;
    int lock_fd; /* of those who share the folder, one holds it and sends */

    pthread_t thread;
    bool started, stop;        /* stop: atomic */
    pthread_rwlock_t counting; /* written while the queue is counted, read while a mail comes into it */
    unsigned depth;            /* atomic */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* a mail was queued, or stop */
    bool fresh;          /* under lock */

    /* The thread's own. */
    int64_t down_until_us;
    int down_tries;
    struct waiting *waiting;
    size_t n_waiting;
};

/* ---- the thread ---- */

static bool stopping(const struct mailer *m)
{
    return __atomic_load_n(&m->stop, __ATOMIC_RELAXED);
}

static struct waiting *waiting_of(struct mailer *m, const char *name)
{
    for (size_t i = 0; i < m->n_waiting; i++)
        if (strcmp(m->waiting[i].name, name) == 0)
            return &m->waiting[i];
    return NULL;
}

static void waiting_drop(struct mailer *m, const char *name)
{
    struct waiting *w = waiting_of(m, name);
    if (w)
        *w = m->waiting[--m->n_waiting];
}

static int64_t backoff_us(int tries, int first_s, int longest_s)
{
    int64_t s = first_s;
    for (int i = 1; i < tries && s < longest_s; i++)
        s *= 2;
    return (s < longest_s ? s : longest_s) * INT64_C(1000000);
}

static struct waiting *waiting_add(struct mailer *m, const char *name)
{
    struct waiting *w = waiting_of(m, name);
    if (!w) {
        m->waiting = mem_need(realloc(m->waiting, (m->n_waiting + 1) * sizeof(*w)));
        w = &m->waiting[m->n_waiting++];
        *w = (struct waiting){ .tries = 0 };
        snprintf(w->name, sizeof(w->name), "%s", name);
    }
    return w;
}

static void put_off(struct mailer *m, const char *name)
{
    struct waiting *w = waiting_add(m, name);
    w->tries++;
    w->next_us = clock_mono_us(m->clock) + backoff_us(w->tries, WAIT_FIRST_S, WAIT_LONGEST_S);
}

/* It has left the queue; or, where its file cannot leave it, this process does not touch it again: it would be sent every second. */
static void settle(struct mailer *m, const char *name, bool left)
{
    if (left) {
        waiting_drop(m, name);
        return;
    }
    LOG(LOG_ERROR, "a mail that is dealt with stays in the queue", LOG_S("file", name),
        LOG_S("why", strerror(errno)));
    waiting_add(m, name)->next_us = INT64_MAX;
}

static void give_up(struct mailer *m, const char *name, const char *why)
{
    LOG(LOG_ERROR, "a mail was given up", LOG_S("file", name), LOG_S("why", why));
    metric_add(m->gave_up, 1);
    settle(m, name, spool_move(m->queue, m->failed, name));
    spool_trim(m->failed, m->conf.kept);
}

static bool is_old(const struct mailer *m, const char *name)
{
    return clock_now_us(m->clock) / 1000 - spool_name_ms(name) > m->conf.give_up_s * 1000;
}

/* false: nothing can be sent now. */
static bool send_one(struct mailer *m, const char *name)
{
    SCOPED(buf_done) struct buf file = { 0 };
    struct err e = ERR_NONE;
    rc r = spool_read(m->queue, name, &file, &e);
    view message = buf_view(&file), to;
    if (r == RC_NOT_FOUND)
        return true;
    if (r == RC_AWAY) {
        LOG(LOG_WARN, "a queued mail cannot be read", LOG_S("why", e.text));
        put_off(m, name);
        return true;
    }
    if (r != RC_OK || !view_cut(&message, '\n', &to) || !message.p || !mail_address_ok(to)) {
        give_up(m, name, r != RC_OK ? e.text : "no mail of ours");
        return true;
    }
    switch (smtp_send(m->smtp, m->sender, to, message, &m->stop, &e)) {
    case SMTP_SENT:
        settle(m, name, spool_drop(m->queue, name));
        metric_add(m->sent, 1);
        m->down_tries = 0;
        return true;
    case SMTP_NEVER:
        give_up(m, name, e.text);
        m->down_tries = 0;
        return true;
    case SMTP_LATER:
        metric_add(m->later, 1);
        if (is_old(m, name))
            give_up(m, name, e.text);
        else
            put_off(m, name);
        m->down_tries = 0;
        return true;
    case SMTP_DOWN:
        break;
    }
    if (stopping(m))
        return false;
    metric_add(m->later, 1);
    if (m->down_tries++ == 0)
        LOG(LOG_WARN, "the mail relay does not take mails", LOG_S("why", e.text));
    m->down_until_us = clock_mono_us(m->clock) + backoff_us(m->down_tries, 1, DOWN_LONGEST_S);
    if (is_old(m, name))
        give_up(m, name, e.text);
    return false;
}

static void look(struct mailer *m)
{
    char(*names)[SPOOL_NAME] = NULL;
    size_t n = 0;
    struct err e = ERR_NONE;
    bool ours = flock(m->lock_fd, LOCK_EX | LOCK_NB) == 0;
    pthread_rwlock_wrlock(&m->counting);
    rc r = spool_list(m->queue, &names, &n, &e);
    if (r == RC_OK)
        __atomic_store_n(&m->depth, (unsigned)n, __ATOMIC_RELAXED);
    pthread_rwlock_unlock(&m->counting);
    if (r != RC_OK) {
        LOG(LOG_WARN, "the mail queue cannot be read", LOG_S("why", e.text));
        return;
    }
    for (size_t i = 0; ours && i < n && !stopping(m); i++) {
        const struct waiting *w = waiting_of(m, names[i]);
        int64_t now_us = clock_mono_us(m->clock);
        if (now_us < m->down_until_us)
            break;
        if ((!w || now_us >= w->next_us) && !send_one(m, names[i]))
            break;
    }
    free(names);
}

static void *run(void *arg)
{
    struct mailer *m = arg;
    while (!stopping(m)) {
        look(m);
        pthread_mutex_lock(&m->lock);
        const struct timespec until = clock_in_ms(LOOK_S * 1000);
        while (!m->fresh && !stopping(m) && pthread_cond_timedwait(&m->wake, &m->lock, &until) == 0)
            ;
        m->fresh = false;
        pthread_mutex_unlock(&m->lock);
    }
    return NULL;
}

/* ---- life ---- */

static char *joined(const char *a, const char *b)
{
    char *out;
    if (asprintf(&out, "%s/%s", a, b) < 0)
        out = NULL;
    return mem_need(out);
}

static rc start_smtp(struct mailer *m, const struct mail_conf *c, struct err *e)
{
    char *path = joined(m->dir, "lock");
    m->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    free(path);
    if (m->lock_fd < 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "mail.dir: %.150s/lock: %s", m->dir, strerror(errno));
    TRY(smtp_open(c, &m->smtp, e));
    pthread_mutex_init(&m->lock, NULL);
    pthread_rwlock_init(&m->counting, NULL);
    clock_cond_init(&m->wake);
    m->started = pthread_create(&m->thread, NULL, run, m) == 0;
    return m->started ? RC_OK : fail(e, RC_BROKEN, RESP_GENERIC, "no thread for mails");
}

rc mailer_open(const struct mail_conf *c, const char *dir, const char *from, const struct clock *clock,
               struct mailer **out, struct err *e)
{
    view name;
    TRY(mail_check(c, e));
    struct mailer *m = mem_need(calloc(1, sizeof(*m)));
    m->conf = (struct mail_conf){ .give_up_s = c->give_up_s, .kept = c->kept, .queue = c->queue };
    m->to_folder = strcmp(c->driver, "spool") == 0;
    m->clock = clock;
    m->lock_fd = -1;
    m->dir = mem_need(strdup(c->dir[0] ? c->dir : dir));
    m->queue = joined(m->dir, "queue");
    m->failed = joined(m->dir, "failed");
    m->from = mem_need(strdup(c->from[0] ? c->from : from));
    m->sent = metric_counter("heddle_mails_total", "result=\"sent\"", "Mails by what became of them.");
    m->later = metric_counter("heddle_mails_total", "result=\"later\"", "Mails by what became of them.");
    m->gave_up = metric_counter("heddle_mails_total", "result=\"failed\"", "Mails by what became of them.");
    rc r = RC_OK;
    if (!mailbox_parse(view_of(m->from), &name, &m->sender))
        r = fail(e, RC_BAD_INPUT, RESP_GENERIC, "mail.from: \"%s\" is no address", m->from);
    if (r == RC_OK)
        r = spool_prepare(m->dir, e);
    if (r == RC_OK && !m->to_folder)
        r = start_smtp(m, c, e);
    if (r != RC_OK) {
        mailer_close(m);
        return r;
    }
    *out = m;
    return RC_OK;
}

void mailer_close(struct mailer *m)
{
    if (!m)
        return;
    if (m->started) {
        pthread_mutex_lock(&m->lock);
        __atomic_store_n(&m->stop, true, __ATOMIC_RELAXED);
        pthread_cond_signal(&m->wake);
        pthread_mutex_unlock(&m->lock);
        pthread_join(m->thread, NULL);
        pthread_cond_destroy(&m->wake);
        pthread_mutex_destroy(&m->lock);
        pthread_rwlock_destroy(&m->counting);
    }
    smtp_close(m->smtp);
    if (m->lock_fd >= 0)
        close(m->lock_fd);
    free(m->waiting);
    free(m->dir);
    free(m->queue);
    free(m->failed);
    free(m->from);
    free(m);
}

rc mailer_newest(const struct mailer *m, struct arena *a, struct mail_seen *out, struct err *e)
{
    if (!m->to_folder)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "mails go to a relay: none are kept here");
    return spool_newest(m->dir, a, out, e);
}

unsigned mailer_waiting(struct mailer *m)
{
    return __atomic_load_n(&m->depth, __ATOMIC_RELAXED);
}

/* ---- taking a mail ---- */

/* Its place is taken before it is there, so that no more come in than there is room for, and given back if it does not come. */
static rc put_in_queue(struct mailer *m, const char *name, view head, view message, struct err *e)
{
    unsigned before = __atomic_fetch_add(&m->depth, 1U, __ATOMIC_RELAXED);
    rc r;
    if (before < m->conf.queue)
        r = spool_put(m->queue, name, head, message, e);
    else
        r = fail(e, RC_BUSY, RESP_GENERIC, "%u mails wait already", before);
    if (r != RC_OK)
        __atomic_sub_fetch(&m->depth, 1U, __ATOMIC_RELAXED);
    return r;
}

rc mailer_send(struct mailer *m, const struct mail *mail, struct err *e)
{
    SCOPED(buf_done) struct buf message = { 0 };
    SCOPED(buf_done) struct buf head = { 0 };
    char id[SPOOL_NAME], name[SPOOL_NAME];
    int64_t now_us = clock_now_us(m->clock);
    spool_name(now_us, "", id);
    TRY(mail_compose(mail, view_of(m->from), view_of(id), now_us / 1000000, &message, e));
    if (m->to_folder) {
        snprintf(name, sizeof(name), "%.40s.eml", id);
        TRY(spool_put(m->dir, name, VIEW(""), buf_view(&message), e));
        metric_add(m->sent, 1);
        spool_trim(m->dir, m->conf.kept);
        return RC_OK;
    }
    buf_addf(&head, "%.*s\n", VIEW_ARG(mail->to));
    snprintf(name, sizeof(name), "%.40s.mail", id);
    pthread_rwlock_rdlock(&m->counting);
    rc r = put_in_queue(m, name, buf_view(&head), buf_view(&message), e);
    pthread_rwlock_unlock(&m->counting);
    TRY(r);
    pthread_mutex_lock(&m->lock);
    m->fresh = true;
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->lock);
    return RC_OK;
}
