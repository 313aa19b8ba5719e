#include "directory/screens/node_client.h"

#include <inttypes.h>

#include "common/auth/token.h"

enum { TOKEN_LIFE_S = 60, TIMEOUT_MS = 30000, JSON_MAX = 4 * 1024 * 1024 };

static rc mint(struct page *p, const struct account *acc, const struct owner *owner, view *out_id,
               char key[TOKEN_KEY_TEXT], struct err *e)
{
    const struct directory *d = visit(p)->d;
    SCOPED(secrets_free) struct secrets *derived = NULL;
    const struct secrets *s = d->conf->token_derived ? d->sole_secrets : d->secrets;
    const struct token t = { .uid = acc->uid,
                             .epoch = acc->epoch,
                             .node = owner->url,
                             .expires = (double)(clock_now_s(d->clock) + TOKEN_LIFE_S) };
    if (!s) {
        TRY(secrets_derive(d->secrets, owner->url, &derived, e));
        s = derived;
    }
    token_mint(s, &t, p->a, out_id, key);
    return RC_OK;
}

rc node_ask(struct page *p, const struct account *acc, const char *method, const char *rest,
            size_t answer_max, struct answer *out, struct err *e)
{
    struct directory *d = visit(p)->d;
    struct account placed = *acc;
    struct owner owner;
    char key[TOKEN_KEY_TEXT];
    view id;
    TRY(lookup_place(d, visit(p)->w->session, p->a, &placed, &owner, e));
    TRY(mint(p, &placed, &owner, &id, key, e));
    view path = arena_text(p->a, "/1.5/%" PRId64 "%s", placed.uid, rest);
    view public = arena_text(p->a, "%.*s%.*s", VIEW_ARG(owner.address), VIEW_ARG(path));
    struct call what = { .method = method,
                         .url = public.p,
                         .hawk_id = id,
                         .hawk_key = { .p = key, .n = TOKEN_KEY_TEXT },
                         .next_header = "X-Weave-Next-Offset",
                         .request_id = p->rq->id,
                         .timeout_ms = TIMEOUT_MS,
                         .answer_max = answer_max };
    if (d->sole_socket) { /* the one box may not be able to reach itself by its public name */
        what.unix_socket = d->sole_socket;
        what.url = arena_text(p->a, "http://localhost%.*s", VIEW_ARG(path)).p;
        what.sign_url = public.p;
    }
    const struct oauth_http http = directory_http(visit(p)->w);
    TRY(http.send(http.arg, &what, out, e));
    if (out->status >= 500 || out->status == 401)
        return fail(e, RC_AWAY, RESP_GENERIC, "the node %.*s answers %ld", VIEW_ARG(owner.name), out->status);
    return RC_OK;
}

rc node_json(struct page *p, const struct account *acc, const char *rest, json_t **out, struct err *e)
{
    struct answer a = { 0 };
    rc r = node_ask(p, acc, "GET", rest, JSON_MAX, &a, e);
    if (r == RC_OK && a.status != 200)
        r = fail(e, RC_AWAY, RESP_GENERIC, "the node answers %ld", a.status);
    if (r == RC_OK && json_read(buf_view(&a.body), JSON_DEPTH_MAX, JSON_READ_PLAIN, out, e) != RC_OK)
        r = fail(e, RC_AWAY, RESP_GENERIC, "the node's answer is no JSON");
    answer_done(&a);
    return r;
}

rc node_clear(struct page *p, const struct account *acc, struct err *e)
{
    struct answer a = { 0 };
    rc r = RC_OK;
    if (!acc->node.p) /* never was anywhere */
        return RC_OK;
    r = node_ask(p, acc, "DELETE", "/storage", JSON_MAX, &a, e);
    if (r == RC_OK && a.status != 200)
        r = fail(e, RC_AWAY, RESP_GENERIC, "the node answers %ld", a.status);
    answer_done(&a);
    return r;
}
