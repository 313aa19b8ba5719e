/* What the files of this folder share. */
#ifndef HEDDLE_MAIL_INSIDE_H
#define HEDDLE_MAIL_INSIDE_H

#include "common/base/buf.h"
#include "directory/mail/mail.h"
#include "directory/mail/spool.h"

/* ---- compose.c: pure ---- */

/* "Name <a@b>" or "<a@b>" or "a@b": *out_name may be empty. false: none of them, or bytes that would break a header. */
bool mailbox_parse(view text, view *out_name, view *out_address);
/* An address that can stand in a header and in an SMTP command as it is. */
bool mail_address_ok(view address);
/* The whole message with CRLF. from: as in the configuration, parsed before. id: unique, of letters, digits, '-', '.'.
 * RC_BAD_INPUT: control bytes in a header, no UTF-8. Protocol: RFC 5322, 2045 to 2047. */
MUST_USE rc mail_compose(const struct mail *m, view from, view id, int64_t now_s, struct buf *out,
                         struct err *e);

/* ---- read.c ---- */

/* Texts live as long as `file` and the arena. RC_BROKEN: not composed by us. */
MUST_USE rc mail_read(view file, struct arena *a, struct mail_seen *out, struct err *e);
MUST_USE rc spool_newest(const char *dir, struct arena *a, struct mail_seen *out, struct err *e);

/* ---- smtp.c: one connection to the relay, of one thread ---- */

enum smtp_result {
    SMTP_SENT,
    SMTP_LATER, /* this mail cannot be taken now */
    SMTP_NEVER, /* this mail will never be taken */
    SMTP_DOWN   /* no mail can: no connection, no TLS, no login */
};
struct smtp;
MUST_USE rc smtp_open(const struct mail_conf *c, struct smtp **out, struct err *e);
void smtp_close(struct smtp *s);
/* e says why it was not sent. *stop is looked at while waiting: true gives SMTP_DOWN. */
enum smtp_result smtp_send(struct smtp *s, view from, view to, view message, const bool *stop, struct err *e);

#endif
