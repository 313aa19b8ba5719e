/* What the files of this folder share. */
#ifndef HEDDLE_MAIL_INSIDE_H
#define HEDDLE_MAIL_INSIDE_H

#include "common/base/buf.h"
#include "directory/mail/mail.h"

/* ---- compose.c: pure ---- */

/* "Name <a@b>" or "<a@b>" or "a@b": *out_name may be empty. false: none of them, or bytes that would break a header. */
bool mailbox_parse(view text, view *out_name, view *out_address);
/* An address that can stand in a header and in an SMTP command as it is. */
bool mail_address_ok(view address);
/* The whole message with CRLF. from: as in the configuration, parsed before. id: unique, of letters, digits, '-', '.'.
 * RC_BAD_INPUT: control bytes in a header, no UTF-8. Protocol: RFC 5322, 2045 to 2047. */
MUST_USE rc mail_compose(const struct mail *m, view from, view id, int64_t now_s, struct buf *out,
                         struct err *e);

/* ---- spool.c: the folder ---- */

enum { SPOOL_NAME = 64, SPOOL_FILE_MAX = 512 * 1024 };

/* RC_BROKEN. Makes the folders that are missing. */
MUST_USE rc spool_prepare(const char *dir, struct err *e);
/* Puts `head` and `body` into dir/name: whole or not at all, and on the disk. RC_AWAY. */
MUST_USE rc spool_put(const char *dir, const char *name, view head, view body, struct err *e);
/* Names of mails in dir, oldest first. *out: malloc, of n; others' files are left out. RC_AWAY. */
MUST_USE rc spool_list(const char *dir, char (**out)[SPOOL_NAME], size_t *out_n, struct err *e);
/* Appends the file. RC_NOT_FOUND; RC_BROKEN: larger than SPOOL_FILE_MAX; RC_AWAY. */
MUST_USE rc spool_read(const char *dir, const char *name, struct buf *out, struct err *e);
/* false: it stays where it is; errno says why. */
bool spool_drop(const char *dir, const char *name);
bool spool_move(const char *from, const char *to, const char *name);
/* Removes the oldest beyond `kept`. */
void spool_trim(const char *dir, int64_t kept);
/* Milliseconds since 1970 at the beginning of a name; 0: no name of ours. */
int64_t spool_name_ms(const char *name);

/* ---- smtp.c: one connection to the relay, of one thread ---- */

enum smtp_result {
    SMTP_SENT,
    SMTP_LATER, /* this mail cannot be taken now                     */
    SMTP_NEVER, /* this mail will never be taken                     */
    SMTP_DOWN   /* no mail can: no connection, no TLS, no login      */
};
struct smtp;
MUST_USE rc smtp_open(const struct mail_conf *c, struct smtp **out, struct err *e);
void smtp_close(struct smtp *s);
/* e says why it was not sent. *stop is looked at while waiting: true gives SMTP_DOWN. */
enum smtp_result smtp_send(struct smtp *s, view from, view to, view message, const bool *stop, struct err *e);

#endif
