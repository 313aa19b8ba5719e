/* A token of the owner before: whoever owns the user now gets its key, if both nodes stand behind one public address.
 * Protocol: docs/internal-api.md, "A token of the owner before". */
#include <inttypes.h>

#include "common/auth/token.h"
#include "directory/internal.h"

/* "https://node7.example.net:8000/x" is known as node7.example.net:8000. */
static view name_of(view url)
{
    struct url_parts u;
    return url_cut(url, &u) ? u.host_port : VIEW_NONE;
}

/* Opens it as the node would that it was made for. RC_DENIED: it is none of ours, or has expired. */
static rc open_token(const struct directory *d, view text, view url, struct arena *a, struct token *out,
                     char key[TOKEN_KEY_TEXT], struct err *e)
{
    SCOPED(secrets_free) struct secrets *derived = NULL;
    SCOPED(token_verifier_free) struct token_verifier *v = NULL;
    const struct secrets *s = d->secrets;
    bool expired;

    if (d->conf->token_derived) {
        TRY(secrets_derive(d->secrets, url, &derived, e));
        s = derived;
    }
    TRY(token_verifier_new(s, &url, 1, 0, &v, e));
    enum token_reason why = token_open(v, text, (double)clock_now_us(d->clock) / 1e6, a, out, key, &expired);
    return why == TOKEN_GOOD
               ? RC_OK
               : fail(e, RC_DENIED, RESP_GENERIC, "the token is refused: %s", token_reason_name(why));
}

/* The user lives at the caller now, came there since the token was made, and its node has the same public address. */
static rc check_owner(struct request *rq, const struct token *t, struct account *acc, struct err *e)
{
    struct directory_worker *w = rq->worker;
    view me = internal_caller(rq)->name, before = name_of(t->node);
    struct node_entry here, there;

    TRY(account_get(w->session, ACCOUNT_BY_UID, arena_text(rq->arena, "%" PRId64, t->uid), rq->arena, acc,
                    e));
    if (!acc->enabled || !acc->node.p || !view_eq(acc->node, me) || view_eq(before, me))
        return fail(e, RC_DENIED, RESP_GENERIC, "uid %" PRId64 " is not to be served there", t->uid);
    if (t->epoch == 0 || t->epoch >= acc->epoch)
        return fail(e, RC_DENIED, RESP_GENERIC, "the token is of epoch %" PRId64 ", the user of %" PRId64,
                    t->epoch, acc->epoch);
    TRY(node_get(w->session, me, rq->arena, &here, e));
    TRY(node_get(w->session, before, rq->arena, &there, e));
    if (!view_eq(here.address, there.address))
        return fail(e, RC_DENIED, RESP_GENERIC, "the addresses of the two nodes differ");
    return RC_OK;
}

static rc exchange(struct request *rq, view text, struct token *t, struct account *acc,
                   char key[TOKEN_KEY_TEXT], struct err *e)
{
    const struct directory *d = rq->app;
    struct token said;

    if (token_peek(text, rq->arena, &said) != TOKEN_GOOD || !name_of(said.node).p)
        return fail(e, RC_DENIED, RESP_GENERIC, "no token");
    TRY(open_token(d, text, said.node, rq->arena, t, key, e));
    if (t->svc.p && !view_eq(t->svc, VIEW("sync")))
        return fail(e, RC_DENIED, RESP_GENERIC, "a token of another service");
    return check_owner(rq, t, acc, e);
}

rc internal_token(struct request *rq, struct err *e)
{
    static const char *const members[] = { "id", NULL };
    SCOPED(json_decref) json_t *body = NULL;
    struct buf *b = reply_body(rq);
    view text = VIEW_NONE;
    char key[TOKEN_KEY_TEXT] = "";
    struct token t;
    struct account acc;

    TRY(internal_body(rq, members, &body, e));
    TRY(internal_text(body, "id", &text, e));
    if (!text.p)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "id is needed");
    rc r = exchange(rq, text, &t, &acc, key, e);
    if (r == RC_DENIED || r == RC_NOT_FOUND) { /* not a failure of this call */
        rq->log_reason = "refused";
        buf_add(b, VIEW("{\"refused\":true}"));
        r = RC_OK;
    } else if (r == RC_OK) {
        buf_addf(b, "{\"uid\":%" PRId64 ",\"epoch\":%" PRId64 ",\"key\":\"%.*s\",\"expires\":%" PRId64 "}",
                 t.uid, acc.epoch, TOKEN_KEY_TEXT, key, (int64_t)t.expires);
    }
    secret_wipe(key, sizeof(key));
    return r;
}
