/* An admin starts a password reset: for somebody who lost his mailbox, after the address was changed to one that he has. The
 * mail goes to that address alone; an admin sees no code and no password. Protocol: docs/internal-api.md, "Admin to directory". */
#include <inttypes.h>

#include "common/base/log.h"
#include "directory/internal.h"
#include "directory/notices.h"
#include "directory/reset.h"

static rc move_mailbox(struct request *rq, const struct account *acc, view mail, struct err *e)
{
    struct directory_worker *w = rq->worker;
    if (!mail_valid(mail))
        return fail(e, RC_BAD_INPUT, RESP_NO_EMAIL, "mail is no usable address");
    if (view_eq(mail, acc->mail))
        return RC_OK;
    TRY(account_cas(w->session, acc->name, &(struct change){ ATTR_MAIL, acc->mail, mail }, 1, e));
    LOG(LOG_INFO, "mail address changed by an admin", LOG_I("uid", acc->uid),
        LOG_V("by", internal_caller(rq)->name));
    notice_tell(w->d, rq->arena, NOTICE_EMAIL, acc->mail, &(struct notice_facts){ .name = acc->name }, NULL);
    return RC_OK;
}

rc internal_account_reset(struct request *rq, struct err *e)
{
    static const char *const members[] = { "mail", NULL };
    struct directory_worker *w = rq->worker;
    SCOPED(json_decref) json_t *body = NULL;
    struct account acc;
    int64_t uid;
    view mail = VIEW_NONE;
    TRY(internal_uid(rq, &uid, e));
    if (rq->body.n > 0) {
        TRY(internal_body(rq, members, &body, e));
        TRY(internal_text(body, "mail", &mail, e));
    }
    TRY(account_truth(w->session, ACCOUNT_BY_UID, arena_text(rq->arena, "%" PRId64, uid), rq->arena, &acc,
                      e));
    if (!reset_possible(&acc))
        return fail(e, RC_CONFLICT, RESP_GENERIC,
                    "the account is disabled, or its password is not kept here");
    if (!w->d->mailer)
        return fail(e, RC_AWAY, RESP_GENERIC, "this directory sends no mails");
    if (mail.p)
        TRY(move_mailbox(rq, &acc, mail, e));
    TRY(reset_ask(w, rq->arena, acc.name, NULL, true, e));
    LOG(LOG_INFO, "password reset started by an admin", LOG_I("uid", uid),
        LOG_V("by", internal_caller(rq)->name));
    buf_add(reply_body(rq), VIEW("{\"mailed\":true}"));
    return RC_OK;
}
