/* Where a user lives: finding his node, giving him one, and `node/weave`, which tells it to old Firefox. */
#include <inttypes.h>

#include "common/base/log.h"
#include "directory/inside.h"

enum { TRIES = 10 };

view placed_text(struct arena *a, int64_t now_ms, const char *why)
{
    return arena_text(a, "%" PRId64 " %s", now_ms, why);
}

/* ---- finding ---- */

static struct owner owner_of(const struct directory *d, const struct node_entry *n)
{
    return (struct owner){ .name = n->name,
                           .url = n->url,
                           .address = n->address,
                           .node_type = n->node_type.n ? n->node_type : view_of(d->conf->node_type) };
}

static rc find_owner(struct directory *d, struct backend_session *s, struct arena *a, view node,
                     struct owner *out, struct err *e)
{
    struct node_entry n;
    if (!node.p)
        return RC_NOT_FOUND;
    if (d->has_sole) {
        if (!view_eq(node, d->sole.name))
            return RC_NOT_FOUND;
        *out = d->sole;
        return RC_OK;
    }
    if (!node_remembered(d->backend, node, a, &n))
        TRY(node_get(s, node, a, &n, e));
    *out = owner_of(d, &n);
    return RC_OK;
}

bool lookup_remembered(struct directory *d, struct arena *a, view name, struct account *acc,
                       struct owner *out)
{
    struct node_entry n;
    if (!account_remembered(d->backend, name, a, acc) || !acc->node.p)
        return false;
    if (d->has_sole) {
        *out = d->sole;
        return view_eq(acc->node, d->sole.name);
    }
    if (!node_remembered(d->backend, acc->node, a, &n))
        return false;
    *out = owner_of(d, &n);
    return true;
}

/* The one box was given another address: its data are where they were, so uid and epoch stay. */
static bool is_renamed(const struct directory *d, const struct account *acc)
{
    return d->has_sole && acc->node.p;
}

/* Who was placed before lost his node: on another he begins with an empty data area, under a new uid. */
static rc place(struct directory *d, struct backend_session *s, struct arena *a, struct account *acc,
                struct owner *out, struct err *e)
{
    struct change changes[4];
    size_t n = 0;
    bool again = acc->placed.p && !is_renamed(d, acc);
    int64_t uid = acc->uid, epoch = acc->epoch;
    struct owner to;
    if (again)
        TRY(directory_uid(d, s, &uid, e));
    TRY(lookup_choose(d, s, a, acc->name, acc->mail, uid, &to, e));
    view placed = placed_text(a, directory_now_ms(d),
                              again                ? "again"
                              : is_renamed(d, acc) ? "renamed"
                                                   : "first");
    changes[n++] = (struct change){ ATTR_NODE, acc->node, to.name };
    changes[n++] = (struct change){ ATTR_PLACED, acc->placed, placed };
    if (again) {
        epoch++;
        changes[n++] = change_number(a, ATTR_UID_NUMBER, acc->uid, uid);
        changes[n++] = change_number(a, ATTR_EPOCH, acc->epoch, epoch);
    }
    rc r = account_cas(s, acc->name, changes, n, e);
    if (r != RC_OK && r != RC_UNSURE)
        lookup_give_back(d, s, to.name);
    TRY(r);
    LOG(LOG_INFO, "user placed", LOG_I("uid", uid), LOG_V("node", to.name), LOG_V("placed", placed));
    if (again)
        directory_forget(d, acc->name, acc->uid);
    else
        directory_placed(d, acc->name);
    acc->node = to.name;
    acc->placed = placed;
    acc->uid = uid;
    acc->epoch = epoch;
    *out = to;
    return RC_OK;
}

rc lookup_place(struct directory *d, struct backend_session *s, struct arena *a, struct account *acc,
                struct owner *out, struct err *e)
{
    for (int i = 0; i < TRIES; i++) {
        rc r = find_owner(d, s, a, acc->node, out, e);
        if (r != RC_NOT_FOUND)
            return r;
        r = place(d, s, a, acc, out, e);
        if (r != RC_CONFLICT)
            return r;
        TRY(account_get(s, ACCOUNT_BY_NAME, acc->name, a, acc, e));
    }
    return fail(e, RC_BUSY, RESP_GENERIC, "the account is changed all the time");
}

/* ---- node/weave ---- */

static void put_address(struct request *rq, view address)
{
    struct buf *b = reply_body(rq);
    if (!memmem(address.p, address.n, "://", 3))
        buf_add(b, VIEW("https://"));
    buf_add(b, address);
    if (address.n == 0 || address.p[address.n - 1] != '/')
        buf_addc(b, '/');
}

/* Only good news: who is not remembered, or has no node, is looked for. */
bool user_api_node_warm(struct request *rq)
{
    struct account acc;
    struct owner owner;
    if (!lookup_remembered(rq->app, rq->arena, user_api_name(rq), &acc, &owner))
        return false;
    reply_type(rq, "text/plain");
    put_address(rq, owner.address);
    return true;
}

/* Protocol: User API 1.0, "GET /user/1.0/<user>/node/weave": plain text, not JSON; `null`: none now. */
rc user_api_node(struct request *rq, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct directory *d = w->d;
    struct account acc;
    struct owner owner;
    rc r = account_get(w->session, ACCOUNT_BY_NAME, user_api_name(rq), rq->arena, &acc, e);
    reply_type(rq, "text/plain");
    if (r == RC_NOT_FOUND) {
        /* an empty body: the client then takes our own address for a node, and meets a 401 */
        reply_status(rq, 404);
        return RC_OK;
    }
    TRY(r);
    r = lookup_place(d, w->session, rq->arena, &acc, &owner, e);
    if (r == RC_OK) {
        put_address(rq, owner.address);
        return RC_OK;
    }
    if (r != RC_BUSY)
        return r;
    LOG(LOG_WARN, "no node for a user", LOG_I("uid", acc.uid), LOG_S("why", e->text));
    buf_add(reply_body(rq), d->conf->fallback_node[0] ? view_of(d->conf->fallback_node) : VIEW("null"));
    return RC_OK;
}
