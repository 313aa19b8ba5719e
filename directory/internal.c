#include "directory/internal.h"

#include <inttypes.h>

#include "common/base/mem.h"
#include "common/web/settings.h"

enum { SMALL_BODY = 16 * 1024, OWNERS_BODY = 256 * 1024, OWNERS_MOST = 1000 };

/* ---- who is this? ---- */

/* The console asks whether it is one of the operators: where he lives is no matter then, and who has no node gets none by it. */
static rc verify_member(struct request *rq, view name, view password, view group, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct buf *b = reply_body(rq);
    struct account acc;
    bool member;
    TRY(account_check_password(w->session, name, password, rq->arena, &acc, e));
    TRY(directory_in_group(w->d, w->session, rq->arena, name, group, &member, e));
    buf_addf(b, "{\"uid\":%" PRId64 ",\"epoch\":%" PRId64 ",\"node\":", acc.uid, acc.epoch);
    if (acc.node.p)
        json_put_string(b, acc.node);
    else
        buf_add(b, VIEW("null"));
    buf_addf(b, ",\"member\":%s}", member ? "true" : "false");
    return RC_OK;
}

static rc verify_owner(struct request *rq, view name, view password, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct buf *b = reply_body(rq);
    struct directory_verdict v;
    TRY(directory_verify_in(w->d, w->session, name, password, &v, e));
    buf_addf(b, "{\"uid\":%" PRId64 ",\"epoch\":%" PRId64 ",\"node\":", v.uid, v.epoch);
    json_put_string(b, view_of(v.node));
    buf_addc(b, '}');
    return RC_OK;
}

static rc verify(struct request *rq, struct err *e)
{
    static const char *const members[] = { "name", "password", "group", NULL };
    SCOPED(json_decref) json_t *body = NULL;
    view name = VIEW_NONE, password = VIEW_NONE, group = VIEW_NONE;

    TRY(internal_body(rq, members, &body, e));
    TRY(internal_text(body, "name", &name, e));
    TRY(internal_text(body, "password", &password, e));
    TRY(internal_text(body, "group", &group, e));
    if (!name.p || !password.p)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "name and password are needed");
    rc r = name.n > ACCOUNT_NAME_MAX ? RC_DENIED
           : group.p                 ? verify_member(rq, name, password, group, e)
                                     : verify_owner(rq, name, password, e);
    if (r == RC_DENIED) { /* not a failure of this call: 401 would say that the node itself is refused */
        rq->log_reason = "refused";
        buf_add(reply_body(rq), VIEW("{\"refused\":true}"));
        return RC_OK;
    }
    return r;
}

/* ---- who has left? ---- */

/* [uid, epoch] as the node has it. */
static rc read_head(const json_t *pair, int64_t *out_uid, int64_t *out_epoch, struct err *e)
{
    const json_t *uid = json_array_get(pair, 0), *epoch = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_integer(uid) || !json_is_integer(epoch) ||
        json_integer_value(uid) <= 0 || json_integer_value(uid) > UID_MAX || json_integer_value(epoch) < 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a head must be [uid, epoch]");
    *out_uid = json_integer_value(uid);
    *out_epoch = json_integer_value(epoch);
    return RC_OK;
}

struct owner_lists {
    struct buf left, nobody;
    int64_t uid_end; /* below it every uid was somebody's once; 0: not looked yet */
};

static void owner_lists_done_scoped(struct owner_lists *x)
{
    buf_done(&x->left);
    buf_done(&x->nobody);
}

/* He was deleted, or his number replaced: his tokens are void. What is to become of his data is told by an erase. A uid that was never given
 * out, as far as we know, is not named: we may have been restored from an old copy. */
static rc owner_missing(struct directory_worker *w, int64_t uid, struct owner_lists *out, struct err *e)
{
    if (out->uid_end == 0) {
        rc r = uid_peek(w->session, &out->uid_end, e);
        if (r == RC_BROKEN)
            out->uid_end = 1; /* no counter: nothing is known of numbers */
        else
            TRY(r);
    }
    if (uid < out->uid_end)
        buf_addf(&out->nobody, "%s%" PRId64, out->nobody.n > 0 ? "," : "", uid);
    return RC_OK;
}

static rc owner_check(struct request *rq, const json_t *pair, struct owner_lists *out, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct account acc;
    int64_t uid, epoch;
    TRY(read_head(pair, &uid, &epoch, e));
    /* A copy that lags would give back to an old owner what left him. */
    rc r =
        account_truth(w->session, ACCOUNT_BY_UID, arena_text(rq->arena, "%" PRId64, uid), rq->arena, &acc, e);
    if (r == RC_NOT_FOUND)
        return owner_missing(w, uid, out, e);
    TRY(r);
    /* who was made homeless, because the node that asks was given up, has a higher epoch */
    bool elsewhere = acc.node.p && !view_eq(acc.node, internal_caller(rq)->name);
    if (!elsewhere && acc.epoch <= epoch)
        return RC_OK;
    buf_addf(&out->left, "%s[%" PRId64 ",%" PRId64 "]", out->left.n > 0 ? "," : "", uid, acc.epoch);
    return RC_OK;
}

static rc owners(struct request *rq, struct err *e)
{
    static const char *const members[] = { "heads", NULL };
    const struct directory *d = rq->app;
    SCOPED(json_decref) json_t *body = NULL;
    SCOPED(owner_lists_done) struct owner_lists lists = { .uid_end = 0 };
    struct buf *b = reply_body(rq);
    size_t i;
    json_t *pair;

    TRY(internal_body(rq, members, &body, e));
    const json_t *heads = json_object_get(body, "heads");
    if (!json_is_array(heads) || json_array_size(heads) > OWNERS_MOST)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "heads must be a list of at most %d", OWNERS_MOST);
    json_array_foreach (heads, i, pair)
        TRY(owner_check(rq, pair, &lists, e));
    buf_add(b, VIEW("{\"left\":["));
    buf_add(b, buf_view(&lists.left));
    buf_addc(b, ']');
    if (lists.nobody.n > 0)
        buf_addf(b, ",\"nobody\":[%s],\"until\":%" PRId64, buf_text(&lists.nobody),
                 clock_now_s(d->clock) + directory_tokens_last_s(d) + 1);
    buf_addc(b, '}');
    return RC_OK;
}

/* ---- the table ---- */

#define FOR(who) .auth = AUTH_INTERNAL, .dialect = DIALECT_INTERNAL, .flags = ROUTE_INTERNAL, .callers = who

static const struct route routes[] = {
    { .methods = POST,
      .path = "/internal/v1/verify",
      .handler = verify,
      .body_max = SMALL_BODY,
      FOR("node admin") },
    { .methods = POST,
      .path = "/internal/v1/owners",
      .handler = owners,
      .body_max = OWNERS_BODY,
      FOR("node") },
    { .methods = POST,
      .path = "/internal/v1/token",
      .handler = internal_token,
      .body_max = SMALL_BODY,
      FOR("node") },
    { .methods = POST,
      .path = "/internal/v1/pulse",
      .handler = internal_pulse,
      .body_max = SMALL_BODY,
      FOR("node") },
    { .methods = GET, .path = "/internal/v1/settings", .handler = settings_reply, FOR("admin") },
    { .methods = GET, .path = "/internal/v1/accounts", .handler = internal_account_list, FOR("admin") },
    { .methods = GET, .path = "/internal/v1/accounts/{any}", .handler = internal_account_get, FOR("admin") },
    { .methods = GET,
      .path = "/internal/v1/accounts/{any}/explain",
      .handler = internal_account_explain,
      FOR("admin") },
    { .methods = POST,
      .path = "/internal/v1/accounts/{any}/cas",
      .handler = internal_account_cas,
      .body_max = SMALL_BODY,
      FOR("admin") },
    { .methods = POST,
      .path = "/internal/v1/accounts/{any}/reset",
      .handler = internal_account_reset,
      .body_max = SMALL_BODY,
      FOR("admin") },
    { .methods = POST,
      .path = "/internal/v1/accounts/{any}/disable",
      .handler = internal_account_disable,
      FOR("admin") },
    { .methods = POST,
      .path = "/internal/v1/accounts/{any}/enable",
      .handler = internal_account_enable,
      FOR("admin") },
    { .methods = POST,
      .path = "/internal/v1/accounts/{any}/delete",
      .handler = internal_account_delete,
      FOR("admin") },
    { .methods = GET, .path = "/internal/v1/invites", .handler = internal_invite_list, FOR("admin") },
    { .methods = POST,
      .path = "/internal/v1/invites",
      .handler = internal_invite_make,
      .body_max = SMALL_BODY,
      FOR("admin") },
    { .methods = GET, .path = "/internal/v1/mail/newest", .handler = internal_mail_newest, FOR("admin") },
    { .methods = POST, .path = "/internal/v1/sweep", .handler = internal_sweep, FOR("admin") },
    { .methods = DELETE,
      .path = "/internal/v1/invites/{any}",
      .handler = internal_invite_revoke,
      FOR("admin") },
    { .methods = GET, .path = "/internal/v1/erases", .handler = internal_erase_list, FOR("admin") },
    { .methods = POST,
      .path = "/internal/v1/erases/{any}/done",
      .handler = internal_erase_done,
      FOR("admin") },
    { .methods = POST,
      .path = "/internal/v1/news",
      .handler = internal_news,
      .body_max = OWNERS_BODY,
      FOR("admin") },
    { .methods = POST,
      .path = "/internal/v1/settled",
      .handler = internal_settled_put,
      .body_max = SMALL_BODY,
      FOR("admin") },
    { .methods = GET, .path = "/internal/v1/settled", .handler = internal_settled_get, FOR("admin") },
    { .methods = GET, .path = "/internal/v1/news", .handler = internal_news_get, FOR("admin") },
    { .methods = GET, .path = "/internal/v1/loads", .handler = internal_loads, FOR("admin") },
    { .methods = GET, .path = "/internal/v1/nodes", .handler = internal_node_list, FOR("admin") },
    { .methods = GET, .path = "/internal/v1/nodes/{any}", .handler = internal_node_get, FOR("admin node") },
    { .methods = PUT,
      .path = "/internal/v1/nodes/{any}",
      .handler = internal_node_put,
      .body_max = SMALL_BODY,
      FOR("admin") },
    { .methods = POST,
      .path = "/internal/v1/nodes/{any}/seats",
      .handler = internal_node_seats,
      .body_max = SMALL_BODY,
      FOR("admin") },
    { .methods = DELETE, .path = "/internal/v1/nodes/{any}", .handler = internal_node_delete, FOR("admin") },
};

/* ---- life ---- */

rc internal_open(struct directory *d, const struct conf_list *keys, struct err *e)
{
    struct internal *x = mem_need(calloc(1, sizeof(*x)));
    d->internal = x;
    x->opened_us = clock_mono_us(d->clock);
    atomic_init(&x->settled_us, INT64_MIN);
    x->news = news_new();
    x->loads = loads_new();
    return callers_new(keys, d->clock, &x->callers, e);
}

void internal_close(struct directory *d)
{
    struct internal *x = d->internal;
    if (!x)
        return;
    callers_free(x->callers);
    loads_free(x->loads);
    news_free(x->news);
    free(x);
    d->internal = NULL;
}

static rc admit(struct request *rq, bool *out_late, struct err *e)
{
    const struct directory *d = rq->app;
    (void)out_late;
    return internal_admit(d->internal->callers, rq, e);
}

void directory_internal_mount(struct directory *d, struct mount *out)
{
    directory_mount(d, out);
    out->name = "internal";
    out->routes = routes;
    out->n_routes = sizeof(routes) / sizeof(routes[0]);
    out->admit = admit;
    out->admit_body = internal_admit_body;
    out->health = NULL; /* the other mount tells it */
}
