/* Mail to users. A mail that mailer_send has taken is on the disk; a thread of its own brings it to the relay, again and again until
 * it is taken, refused for good, or too old. Drivers: `smtp` (libcurl), and `spool`, which leaves finished mails in a folder (the
 * one box; tests). DKIM and delivery to the world are the relay's business.
 *
 * The folder: PENDING mails in queue/, those given up in failed/, of `spool` finished ones as *.eml in the folder itself. Names begin with
 * the milliseconds of their making. Several processes may share a folder: all write, the one that holds `lock` sends. Mails hold reset links,
 * so folder and files are ours alone (0700, 0600). */
#ifndef HEDDLE_MAIL_H
#define HEDDLE_MAIL_H

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/conf.h"

/* Keys of [mail]. */
struct mail_conf {
    char *driver;        /* "spool", "smtp" */
    char *dir;           /* "": the folder that mailer_open is told */
    char *from;          /* "Name <a@b>", or "a@b"; "": what mailer_open is told */
    char *server;        /* HOST:PORT of the relay */
    char *tls;           /* "starttls", "tls", "none" */
    char *ca_file;       /* PEM; "": the system's */
    char *user;          /* "": no authentication */
    char *password_file; /* one line */
    int64_t timeout_s;   /* of one delivery */
    int64_t give_up_s;   /* a mail older than this goes to failed/ */
    int64_t kept;        /* finished and failed mails kept, each; the oldest go */
    int64_t queue;       /* mails waiting at most */
};
extern const struct conf_key mail_conf_keys[];
extern const size_t mail_conf_keys_n;

/* All UTF-8. */
struct mail {
    view to;         /* an address without a name */
    view subject;    /* one line */
    view text, html; /* the two forms of the same; lines end in \n */
};

struct mailer;

/* Whether mailer_open would take these settings, without opening a file. RC_BAD_INPUT: a sentence that names the key. */
MUST_USE rc mail_check(const struct mail_conf *c, struct err *e);
/* dir, from: for keys left empty. All is copied but the clock. RC_BAD_INPUT: a setting; RC_BROKEN: the folder cannot be made. Starts a thread. */
MUST_USE rc mailer_open(const struct mail_conf *c, const char *dir, const char *from,
                        const struct clock *clock, struct mailer **out, struct err *e);
/* Ends the thread; what is queued stays on the disk for the next start. NULL is fine. */
void mailer_close(struct mailer *m);

/* RC_OK: it is on the disk. RC_BAD_INPUT: an address or subject that would break a header, or an address that cannot be sent to; RC_BUSY:
 * the queue is full; RC_AWAY: the disk. Any thread. */
MUST_USE rc mailer_send(struct mailer *m, const struct mail *mail, struct err *e);
/* A finished mail of the driver spool, as people read it. */
struct mail_seen {
    int64_t made_ms;
    view from, to, date, subject, text; /* text: 16 KiB at most */
    bool cut;                           /* … and there is more */
};
/* The newest. RC_NOT_FOUND: there is none, or another driver; RC_BROKEN: a file that we did not write. Any thread. */
MUST_USE rc mailer_newest(const struct mailer *m, struct arena *a, struct mail_seen *out, struct err *e);

/* Mails that wait, as of the thread's last look. Any thread. */
unsigned mailer_waiting(struct mailer *m);

#endif
