/* Invite codes, for the admin: making (the one answer that holds the code), listing, revoking, and the sweep of each settle round.
 * Protocol: docs/internal-api.md, "Invite codes". */
#include <inttypes.h>

#include "common/base/log.h"
#include "directory/internal.h"
#include "directory/invites.h"

#define LIFE_S (30 * INT64_C(86400))

static void put_invite(struct buf *b, const struct invite *x, int64_t now_ms, view code)
{
    buf_add(b, VIEW("{\"id\":"));
    json_put_string(b, x->id);
    if (code.p) {
        buf_add(b, VIEW(",\"code\":"));
        json_put_string(b, code);
    }
    buf_addf(b, ",\"state\":\"%s\",\"uses\":%" PRId64 ",\"left\":%" PRId64 ",\"under_way\":%zu",
             invite_state(x, now_ms), x->uses, x->left, x->n_takers);
    buf_addf(b, ",\"made\":%" PRId64 ",\"ends\":%" PRId64 ",\"by\":", x->made_ms, x->end_ms);
    json_put_string(b, x->by.p ? x->by : VIEW(""));
    buf_add(b, VIEW(",\"note\":"));
    json_put_string(b, x->note.p ? x->note : VIEW(""));
    buf_addc(b, '}');
}

rc internal_invite_make(struct request *rq, struct err *e)
{
    static const char *const members[] = { "uses", "life", "note", "by", NULL };
    struct directory_worker *w = rq->worker;
    SCOPED(json_decref) json_t *body = NULL;
    struct invite_order order = { .uses = 1, .life_s = LIFE_S };
    struct invite made;
    view code;
    TRY(internal_body(rq, members, &body, e));
    TRY(internal_number(body, "uses", 1, &order.uses, e));
    TRY(internal_number(body, "life", 1, &order.life_s, e));
    TRY(internal_text(body, "note", &order.note, e));
    TRY(internal_text(body, "by", &order.by, e));
    if (!order.by.p)
        order.by = internal_caller(rq)->name;
    TRY(invite_make(w, rq->arena, &order, &code, &made, e));
    LOG(LOG_INFO, "invite code made", LOG_V("invite", made.id), LOG_I("uses", made.uses),
        LOG_V("by", internal_caller(rq)->name), LOG_V("id", rq->id));
    put_invite(reply_body(rq), &made, directory_now_ms(w->d), code);
    return RC_OK;
}

struct listing {
    struct buf *b;
    int64_t now_ms;
};

static bool put_line(void *arg, const struct invite *x)
{
    const struct listing *l = arg;
    put_invite(l->b, x, l->now_ms, VIEW_NONE);
    buf_addc(l->b, '\n');
    return true;
}

/* All of them: there are INVITES_MOST at most. */
rc internal_invite_list(struct request *rq, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct listing l = { reply_body(rq), directory_now_ms(w->d) };
    reply_type(rq, "application/x-ndjson");
    return invites_each(w->session, put_line, &l, e);
}

rc internal_invite_revoke(struct request *rq, struct err *e)
{
    struct directory_worker *w = rq->worker;
    TRY(invite_delete(w->session, rq->params[0], e));
    LOG(LOG_INFO, "invite code revoked", LOG_V("invite", rq->params[0]),
        LOG_V("by", internal_caller(rq)->name), LOG_V("id", rq->id));
    buf_add(reply_body(rq), VIEW("{}"));
    return RC_OK;
}

/* Whatever has to go by itself. */
rc internal_sweep(struct request *rq, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct invites_swept swept;
    TRY(invites_sweep(w, &swept, e));
    TRY(marks_sweep(w->session, directory_now_ms(w->d), e));
    buf_addf(reply_body(rq), "{\"deleted\":%zu,\"mended\":%zu}", swept.deleted, swept.mended);
    return RC_OK;
}
