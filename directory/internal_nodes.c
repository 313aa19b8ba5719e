/* The table of nodes: what is decided about each. */
#include <inttypes.h>

#include "common/base/log.h"
#include "directory/choice.h"
#include "directory/internal.h"

void internal_put_text(struct buf *b, const char *name, view value)
{
    buf_addf(b, ",\"%s\":", name);
    json_put_string(b, value.p ? value : VIEW(""));
}

static void node_put_json(struct buf *b, const struct node_entry *n)
{
    buf_add(b, VIEW("{\"name\":"));
    json_put_string(b, n->name);
    internal_put_text(b, "url", n->url);
    internal_put_text(b, "address", n->address);
    internal_put_text(b, "node_type", n->node_type);
    internal_put_text(b, "pools", n->pools);
    internal_put_text(b, "state", view_of(node_state_name(n->state)));
    buf_addf(b, ",\"capacity\":%" PRId64 ",\"seats\":%" PRId64 ",\"opened\":%" PRId64 "}", n->capacity,
             n->seats, n->opened_ms);
}

/* ---- reading ---- */

static bool put_line(void *arg, const struct node_entry *n)
{
    struct buf *b = arg;
    node_put_json(b, n);
    buf_addc(b, '\n');
    return true;
}

/* The node of the one box has no entry: it is always there, and takes whoever comes. */
static void put_sole(struct buf *b, const struct directory *d)
{
    buf_add(b, VIEW("{\"name\":"));
    json_put_string(b, d->sole.name);
    internal_put_text(b, "url", d->sole.url);
    internal_put_text(b, "address", d->sole.address);
    if (d->sole_socket)
        internal_put_text(b, "internal", view_of(d->sole_socket));
    buf_add(
        b,
        VIEW(
            ",\"node_type\":\"\",\"pools\":\"\",\"state\":\"open\",\"capacity\":0,\"seats\":0,\"opened\":0}\n"));
}

rc internal_node_list(struct request *rq, struct err *e)
{
    struct directory_worker *w = rq->worker;
    reply_type(rq, "application/x-ndjson");
    if (w->d->has_sole)
        put_sole(reply_body(rq), w->d);
    return nodes_each(w->session, put_line, reply_body(rq), e);
}

rc internal_node_get(struct request *rq, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct node_entry n;
    if (w->d->has_sole && view_eq(rq->params[0], w->d->sole.name)) {
        put_sole(reply_body(rq), w->d);
        return RC_OK;
    }
    TRY(node_get(w->session, rq->params[0], rq->arena, &n, e));
    node_put_json(reply_body(rq), &n);
    return RC_OK;
}

/* ---- writing ---- */

/* A node's name is host[:port] of its own URL: so nobody can mistake one for another, in tokens, keys and entries. */
static rc check_url(view name, view url, struct err *e)
{
    struct url_parts u;
    if (!url.p || !url_cut(url, &u) || url.p[url.n - 1] == '/')
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "url must be the node's own, like https://node7.example.net, without a slash at its end");
    if (!view_eq(name, u.host_port))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "the name of the node at %.*s is %.*s", VIEW_ARG(url),
                    VIEW_ARG(u.host_port));
    return RC_OK;
}

static rc check_address(view address, struct err *e)
{
    struct url_parts u;
    if (!url_cut(address, &u) || address.p[address.n - 1] == '/')
        return fail(
            e, RC_BAD_INPUT, RESP_GENERIC,
            "address must be what clients use, like https://sync.example.net, without a slash at its end");
    return RC_OK;
}

/* What the body says over what was there. */
static rc read_entry(const json_t *body, struct node_entry *n, struct err *e)
{
    view state = VIEW_NONE;
    int64_t seats = -1;
    TRY(internal_text(body, "url", &n->url, e));
    TRY(check_url(n->name, n->url, e));
    TRY(internal_text(body, "address", &n->address, e));
    if (n->address.n == 0)
        n->address = n->url;
    TRY(check_address(n->address, e));
    TRY(internal_text(body, "node_type", &n->node_type, e));
    TRY(internal_text(body, "pools", &n->pools, e));
    TRY(internal_text(body, "state", &state, e));
    if (state.p && !node_state_parse(state, &n->state))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "state must be open, closed, draining or down");
    TRY(internal_number(body, "capacity", 0, &n->capacity, e));
    TRY(internal_number(body, "seats", 0, &seats, e));
    /* Who names no seats wants those that are there then, not those that we read: users come all the time. */
    if (seats >= 0)
        n->seats = seats;
    else if (n->opened_ms == 0 || n->seats > n->capacity) /* a new one, or one made smaller */
        n->seats = n->capacity;
    else
        n->seats = SEATS_KEPT;
    if (n->seats > n->capacity)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "more seats (%" PRId64 ") than its capacity (%" PRId64 ")",
                    n->seats, n->capacity);
    return RC_OK;
}

static rc answer_with(struct request *rq, const struct node_entry *n, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct node_entry now = *n;
    struct node_entry kept;
    if (n->seats == SEATS_KEPT) {
        TRY(node_get(w->session, n->name, rq->arena, &kept, e));
        now.seats = kept.seats;
    }
    node_put_json(reply_body(rq), &now);
    return RC_OK;
}

rc internal_node_put(struct request *rq, struct err *e)
{
    static const char *const members[] = { "url",   "address",  "node_type", "pools",
                                           "state", "capacity", "seats",     NULL };
    struct directory_worker *w = rq->worker;
    SCOPED(json_decref) json_t *body = NULL;
    struct node_entry n = { .state = NODE_OPEN };

    TRY(internal_body(rq, members, &body, e));
    rc r = node_get(w->session, rq->params[0], rq->arena, &n, e);
    if (r == RC_NOT_FOUND)
        n = (struct node_entry){ .name = rq->params[0], .state = NODE_OPEN };
    else
        TRY(r);
    TRY(read_entry(body, &n, e));
    if (n.opened_ms == 0)
        n.opened_ms = directory_now_ms(w->d);
    rc put = node_put(w->session, &n, e);
    choice_changed(w->d);
    TRY(put);
    LOG(LOG_INFO, "node set", LOG_V("node", n.name), LOG_S("state", node_state_name(n.state)),
        LOG_I("capacity", n.capacity), LOG_I("seats", n.seats), LOG_V("by", internal_caller(rq)->name),
        LOG_V("id", rq->id));
    return answer_with(rq, &n, e);
}

static bool stop_at_first(void *arg, const struct account *acc)
{
    (void)acc;
    *(bool *)arg = true;
    return false;
}

/* Not while it has users: without an entry of their node they would begin anew elsewhere, with nothing. */
rc internal_node_delete(struct request *rq, struct err *e)
{
    struct directory_worker *w = rq->worker;
    bool any = false;
    TRY(accounts_each(w->session, &(struct account_filter){ .node = rq->params[0] }, stop_at_first, &any, e));
    if (any)
        return fail(e, RC_CONFLICT, RESP_GENERIC, "users live on %.*s", VIEW_ARG(rq->params[0]));
    rc r = node_delete(w->session, rq->params[0], e);
    choice_changed(w->d);
    TRY(r);
    LOG(LOG_INFO, "node removed", LOG_V("node", rq->params[0]), LOG_V("by", internal_caller(rq)->name),
        LOG_V("id", rq->id));
    buf_add(reply_body(rq), VIEW("{}"));
    return RC_OK;
}
