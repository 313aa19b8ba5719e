/* The newest mail of a one box that sends none: whoever tries it out has nowhere else to look. It may hold a link with which a password is set;
 * in a cluster, and with a relay, there is no such call. Protocol: docs/internal-api.md, "Mails". */
#include <inttypes.h>

#include "common/base/log.h"
#include "directory/internal.h"
#include "directory/mail/mail.h"

rc internal_mail_newest(struct request *rq, struct err *e)
{
    const struct directory_worker *w = rq->worker;
    struct buf *b = reply_body(rq);
    struct mail_seen m;
    if (!w->d->has_sole || !w->d->mailer)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "only the one box shows mails");
    TRY(mailer_newest(w->d->mailer, rq->arena, &m, e));
    LOG(LOG_INFO, "the newest mail was looked at", LOG_V("by", internal_caller(rq)->name),
        LOG_V("id", rq->id));
    buf_addf(b, "{\"made\":%" PRId64 ",\"cut\":%s", m.made_ms, m.cut ? "true" : "false");
    internal_put_text(b, "from", m.from);
    internal_put_text(b, "to", m.to);
    internal_put_text(b, "date", m.date);
    internal_put_text(b, "subject", m.subject);
    internal_put_text(b, "text", m.text);
    buf_addc(b, '}');
    return RC_OK;
}
