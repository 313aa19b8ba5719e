/* What the admin reads of accounts: lists by page, one account, what deleted ones left behind.
 * Protocol: docs/internal-api.md, "Accounts". */
#include <inttypes.h>

#include "common/base/encode.h"
#include "directory/choice.h"
#include "directory/internal.h"

enum { PAGE_MOST = 1000, PAGE_BYTES = 1024 * 1024, SEARCH_MOST = 100, UID_DIGITS = 10 };

/* ---- one account ---- */

static void put_text(struct buf *b, const char *name, view value)
{
    buf_addf(b, ",\"%s\":", name);
    if (value.p)
        json_put_string(b, value);
    else
        buf_add(b, VIEW("null"));
}

static void put_texts(struct buf *b, const char *name, const view *values, size_t n)
{
    buf_addf(b, ",\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(b, ',');
        json_put_string(b, values[i]);
    }
    buf_addc(b, ']');
}

/* Not the reset code's seed, which is a secret. */
void internal_account_put(struct buf *b, const struct account *acc)
{
    buf_addf(b, "{\"uid\":%" PRId64, acc->uid);
    put_text(b, "name", acc->name);
    put_text(b, "mail", acc->mail);
    buf_addf(b, ",\"enabled\":%s,\"disabled\":%" PRId64 ",\"retired\":%s,\"password\":%s",
             acc->enabled ? "true" : "false", acc->disabled_ms,
             acc->generation == GENERATION_RETIRED ? "true" : "false", acc->has_password ? "true" : "false");
    buf_addf(b, ",\"created\":%" PRId64 ",\"password_since\":%" PRId64, acc->created_ms,
             acc->password_since_ms);
    put_text(b, "node", acc->node);
    buf_addf(b, ",\"epoch\":%" PRId64, acc->epoch);
    put_text(b, "placed", acc->placed);
    put_text(b, "intent", acc->intent);
    put_text(b, "client_state", acc->client_state);
    buf_addf(b, ",\"keys_changed\":%" PRId64 ",\"old_states\":%zu", acc->keys_changed, acc->n_old_states);
    put_texts(b, "erases", acc->erases, acc->n_erases);
    buf_addc(b, '}');
}

static bool is_number(view v)
{
    uint64_t n;
    return v.n <= UID_DIGITS && view_to_u64(v, UINT64_C(9999999999), &n);
}

rc internal_uid(const struct request *rq, int64_t *out, struct err *e)
{
    uint64_t n;
    if (!view_to_u64(rq->params[0], (uint64_t)UID_MAX, &n) || n == 0)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "\"%.*s\" is no account number", VIEW_ARG(rq->params[0]));
    *out = (int64_t)n;
    return RC_OK;
}

/* Digits are an account number, everything else is a name, or else a mail address; "by" decides where that is wrong. */
static rc read_key(const struct request *rq, enum account_key *out, bool *out_or_mail, struct err *e)
{
    const struct query_arg *by = request_arg(rq, "by");
    view key = rq->params[0];
    *out_or_mail = false;
    if (!by) {
        *out = is_number(key) ? ACCOUNT_BY_UID : ACCOUNT_BY_NAME;
        *out_or_mail = key.n > 0 && memchr(key.p, '@', key.n);
        return RC_OK;
    }
    if (view_eq(by->value, VIEW("name")))
        *out = ACCOUNT_BY_NAME;
    else if (view_eq(by->value, VIEW("uid")))
        *out = ACCOUNT_BY_UID;
    else if (view_eq(by->value, VIEW("mail")))
        *out = ACCOUNT_BY_MAIL;
    else
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "by must be name, uid or mail");
    return RC_OK;
}

static rc find(const struct request *rq, struct account *out, struct err *e)
{
    struct directory_worker *w = rq->worker;
    enum account_key by;
    bool or_mail;
    TRY(read_key(rq, &by, &or_mail, e));
    rc r = account_truth(w->session, by, rq->params[0], rq->arena, out, e);
    if (r == RC_NOT_FOUND && or_mail)
        r = account_truth(w->session, ACCOUNT_BY_MAIL, rq->params[0], rq->arena, out, e);
    return r;
}

rc internal_account_get(struct request *rq, struct err *e)
{
    struct account acc;
    TRY(find(rq, &acc, e));
    internal_account_put(reply_body(rq), &acc);
    return RC_OK;
}

/* What is said of his node: its decided state, "none" for who has none, "unknown" for one without an entry. */
static rc node_word(const struct request *rq, const struct account *acc, const char **out, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct node_entry n;
    *out = "none";
    if (!acc->node.p)
        return RC_OK;
    if (w->d->has_sole) {
        *out = view_eq(acc->node, w->d->sole.name) ? "open" : "unknown";
        return RC_OK;
    }
    rc r = node_get(w->session, acc->node, rq->arena, &n, e);
    *out = r == RC_OK ? node_state_name(n.state) : "unknown";
    return r == RC_NOT_FOUND ? RC_OK : r;
}

rc internal_account_explain(struct request *rq, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct buf *b = reply_body(rq);
    struct account acc;
    const char *state;
    view since = VIEW_NONE, why;
    uint64_t since_ms = 0;
    TRY(find(rq, &acc, e));
    TRY(node_word(rq, &acc, &state, e));
    why = acc.placed;
    if (why.p && (!view_cut(&why, ' ', &since) || !view_to_u64(since, INT64_MAX, &since_ms)))
        why = acc.placed; /* not written by us: shown as it is */
    buf_addf(b, "{\"uid\":%" PRId64, acc.uid);
    put_text(b, "name", acc.name);
    put_text(b, "node", acc.node);
    buf_addf(b, ",\"state\":\"%s\",\"epoch\":%" PRId64 ",\"since\":%" PRIu64, state, acc.epoch, since_ms);
    put_text(b, "why", why);
    put_text(b, "intent", acc.intent);
    buf_add(b, VIEW(",\"fresh\":"));
    TRY(choice_explain(w->d, w->session, rq->arena, &acc, b, e));
    buf_addc(b, '}');
    return RC_OK;
}

/* ---- pages ---- */

struct page {
    struct request *rq;
    size_t n, most;
    struct buf last; /* what the next page begins behind */
    bool more;
};

static void page_done_scoped(struct page *p)
{
    buf_done(&p->last);
}

/* Is there room for one more line? */
static bool page_takes(struct page *p)
{
    p->more = p->n == p->most || reply_body(p->rq)->n > PAGE_BYTES;
    p->n++;
    return !p->more;
}

static bool put_account(void *arg, const struct account *acc)
{
    struct page *p = arg;
    struct buf *b = reply_body(p->rq);
    if (!page_takes(p))
        return false;
    internal_account_put(b, acc);
    buf_addc(b, '\n');
    buf_clear(&p->last);
    buf_add(&p->last, acc->name);
    return true;
}

/* As a value in a query. */
static void name_next(const struct page *p)
{
    SCOPED(buf_done) struct buf text = { 0 };
    if (!p->more)
        return;
    percent_put(&text, buf_view(&p->last));
    reply_header(p->rq, "X-Heddle-Next", buf_view(&text));
}

static rc read_limit(const struct request *rq, size_t *out, struct err *e)
{
    const struct query_arg *arg = request_arg(rq, "limit");
    uint64_t n;
    if (!arg)
        return RC_OK;
    if (!view_to_u64(arg->value, *out, &n) || n == 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "limit must be a number from 1 to %zu", *out);
    *out = (size_t)n;
    return RC_OK;
}

static rc check_args(const struct request *rq, const char *const *known, struct err *e)
{
    if (rq->args_broken)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a broken escape in the query");
    for (size_t i = 0; i < rq->n_args; i++) {
        bool found = false;
        for (const char *const *k = known; *k && !found; k++)
            found = view_eq(rq->args[i].name, view_of(*k));
        if (!found)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "an unknown argument \"%.*s\"",
                        VIEW_ARG(rq->args[i].name));
    }
    return RC_OK;
}

static view arg_text(const struct request *rq, const char *name)
{
    const struct query_arg *arg = request_arg(rq, name);
    return arg ? (arg->value.p ? arg->value : VIEW("")) : VIEW_NONE;
}

rc internal_account_list(struct request *rq, struct err *e)
{
    static const char *const known[] = { "node", "intent", "erase", "search", "after", "limit", NULL };
    struct directory_worker *w = rq->worker;
    SCOPED(page_done) struct page p = { .rq = rq, .most = PAGE_MOST };
    struct account_filter f = { .node = arg_text(rq, "node"),
                                .with_intent = request_arg(rq, "intent") != NULL,
                                .with_erase = request_arg(rq, "erase") != NULL,
                                .begins = arg_text(rq, "search"),
                                .after = arg_text(rq, "after") };
    f.all = !f.node.p && !f.with_intent && !f.with_erase && !f.begins.p;
    if (f.begins.p)
        p.most = SEARCH_MOST;
    TRY(check_args(rq, known, e));
    TRY(read_limit(rq, &p.most, e));
    reply_type(rq, "application/x-ndjson");
    TRY(accounts_each(w->session, &f, put_account, &p, e));
    name_next(&p);
    return RC_OK;
}

/* ---- what deleted accounts left ---- */

static bool put_erase(void *arg, const struct erase *x)
{
    struct page *p = arg;
    struct buf *b = reply_body(p->rq);
    if (!page_takes(p))
        return false;
    buf_addf(b, "{\"uid\":%" PRId64 ",\"node\":", x->uid);
    json_put_string(b, x->node);
    buf_addf(b, ",\"epoch\":%" PRId64 ",\"since\":%" PRId64 ",\"seat\":%s}\n", x->epoch, x->since_ms,
             x->seat ? "true" : "false");
    buf_clear(&p->last);
    buf_addf(&p->last, "%" PRId64, x->uid);
    return true;
}

rc internal_erase_list(struct request *rq, struct err *e)
{
    static const char *const known[] = { "after", "limit", NULL };
    struct directory_worker *w = rq->worker;
    SCOPED(page_done) struct page p = { .rq = rq, .most = PAGE_MOST };
    view after = arg_text(rq, "after");
    uint64_t uid = 0;
    TRY(check_args(rq, known, e));
    TRY(read_limit(rq, &p.most, e));
    if (after.p && !view_to_u64(after, (uint64_t)UID_MAX, &uid))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "after must be an account number");
    reply_type(rq, "application/x-ndjson");
    TRY(leftovers_each(w->session, (int64_t)uid, put_erase, &p, e));
    name_next(&p);
    return RC_OK;
}
