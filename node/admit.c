#include "node/admit.h"

#include <stdatomic.h>

#include "common/auth/basic.h"
#include "common/auth/hawk.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/metrics.h"
#include "common/base/scope.h"
#include "node/confirm.h"
#include "node/exchange.h"
#include "node/signed.h"
#include "node/strikes.h"

#define REFUSALS_A_MINUTE 300 /* of one address; honest clients meet one or two a day */
#define DIAGNOSE_EVERY_US INT64_C(1000000)

/* ---- why not ---- */

enum why {
    WHY_NO_CREDENTIALS,
    WHY_TWO_CREDENTIALS,
    WHY_MALFORMED,
    WHY_BAD_SIGNATURE,
    WHY_MISSING_FIELD,
    WHY_INVALID_FIELD,
    WHY_WRONG_NODE,
    WHY_EXPIRED,
    WHY_BAD_MAC,
    WHY_BAD_PAYLOAD_HASH,
    WHY_STALE,
    WHY_REPLAYED,
    WHY_UID_MISMATCH,
    WHY_WRONG_SERVICE,
    WHY_REFUSED,
    WHY_BASIC_NO_CREDENTIALS,
    WHY_BASIC_OTHER_NAME,
    WHY_BASIC_DENIED,
    WHY_BASIC_WRONG_NODE,
    N_WHY
};

enum scheme { HAWK, BASIC };

static const struct refusal_row {
    const char *reason;
    enum scheme scheme;
    bool strike; /* looks like guessing: honest clients have old tokens and wrong nodes, but no forged ones */
} rows[N_WHY] = {
    [WHY_NO_CREDENTIALS] = { "no-credentials", HAWK, false },
    [WHY_TWO_CREDENTIALS] = { "two-credentials", HAWK, false },
    [WHY_MALFORMED] = { "malformed", HAWK, true },
    [WHY_BAD_SIGNATURE] = { "bad-signature", HAWK, true },
    [WHY_MISSING_FIELD] = { "missing-field", HAWK, true },
    [WHY_INVALID_FIELD] = { "invalid-field", HAWK, true },
    [WHY_WRONG_NODE] = { "wrong-node", HAWK, false },
    [WHY_EXPIRED] = { "expired", HAWK, false },
    [WHY_BAD_MAC] = { "bad-mac", HAWK, true },
    [WHY_BAD_PAYLOAD_HASH] = { "bad-payload-hash", HAWK, true },
    [WHY_STALE] = { "stale", HAWK, false },
    [WHY_REPLAYED] = { "replayed", HAWK, true },
    [WHY_UID_MISMATCH] = { "uid-mismatch", HAWK, true },
    [WHY_WRONG_SERVICE] = { "wrong-service", HAWK, false },
    [WHY_REFUSED] = { "refused", HAWK, false },
    [WHY_BASIC_NO_CREDENTIALS] = { "no-credentials", BASIC, false },
    [WHY_BASIC_OTHER_NAME] = { "name-mismatch", BASIC, true },
    [WHY_BASIC_DENIED] = { "denied", BASIC, true },
    [WHY_BASIC_WRONG_NODE] = { "wrong-node", BASIC, false },
};

static enum why why_of_token(enum token_reason r)
{
    switch (r) {
    case TOKEN_BAD_SIGNATURE:
        return WHY_BAD_SIGNATURE;
    case TOKEN_MISSING_FIELD:
        return WHY_MISSING_FIELD;
    case TOKEN_INVALID_FIELD:
        return WHY_INVALID_FIELD;
    case TOKEN_WRONG_NODE:
        return WHY_WRONG_NODE;
    case TOKEN_EXPIRED:
        return WHY_EXPIRED;
    case TOKEN_GOOD:
    case TOKEN_MALFORMED:
        break;
    }
    return WHY_MALFORMED;
}

/* ---- state ---- */

struct admit {
    metric refused[N_WHY];
    struct strikes *strikes;
    int64_t window_s;
    bool strict;
    _Atomic int64_t diagnosed_us; /* when the last such line was written */
};

/* What the later steps of one request need. */
struct kept {
    struct hawk_header hawk;
    struct basic basic;
    bool foreign;         /* a token of another node: the directory is to be asked */
    bool exchanged;       /* … and has told what it is worth, now or earlier */
    enum why foreign_why; /* what to say if it is worth nothing */
};

int64_t admit_hawk_window_s(const struct node_conf *c)
{
    return c->hawk_strict && c->hawk_window_s == HAWK_WINDOW_LAX_S ? HAWK_WINDOW_STRICT_S : c->hawk_window_s;
}

struct admit *admit_new(const struct node *n)
{
    static const char *const names[] = {
        [HAWK] = "heddle_hawk_refused_total", [BASIC] = "heddle_basic_refused_total"
    };
    struct admit *a = mem_need(calloc(1, sizeof(*a)));

    for (size_t i = 0; i < N_WHY; i++) {
        char label[64];
        snprintf(label, sizeof(label), "reason=\"%s\"", rows[i].reason);
        a->refused[i] = metric_counter(names[rows[i].scheme], label, "Credentials refused, by reason.");
    }
    a->strikes = strikes_new(n->clock, REFUSALS_A_MINUTE);
    a->window_s = admit_hawk_window_s(n->conf);
    a->strict = n->nonces != NULL;
    atomic_init(&a->diagnosed_us, INT64_MIN / 2);
    return a;
}

void admit_free(struct admit *a)
{
    if (!a)
        return;
    strikes_free(a->strikes);
    free(a);
}

static const struct node *node_of(const struct request *rq)
{
    return rq->app;
}

/* ---- refusing ---- */

static rc later(struct request *rq, unsigned wait_s, struct err *e)
{
    rc r = fail(e, RC_BUSY, RESP_GENERIC, "too many bad credentials from this address");
    if (e)
        e->retry_after_s = wait_s;
    rq->log_reason = "too-many-refusals";
    return r;
}

static rc refuse(struct request *rq, enum why why, struct err *e)
{
    struct admit *a = node_of(rq)->admit;
    const struct refusal_row *row = &rows[why];
    unsigned wait_s = 0;

    metric_add(a->refused[why], 1);
    if (row->strike && strikes_add(a->strikes, rq->peer) && strikes_over(a->strikes, rq->peer, &wait_s))
        return later(rq, wait_s, e);
    rq->log_reason = row->reason;
    return fail(e, RC_DENIED, RESP_GENERIC, "%s", row->reason);
}

/* The user that the URL names: the parameter called {uid} or {user}. */
static view url_user(const struct request *rq)
{
    size_t i = 0;
    for (const char *p = strchr(rq->route->path, '{'); p; p = strchr(p + 1, '{'), i++)
        if (i < rq->n_params && (strncmp(p, "{uid}", 5) == 0 || strncmp(p, "{user}", 6) == 0))
            return rq->params[i];
    return VIEW_NONE;
}

/* ---- Hawk ---- */

/* Whether the operator is to be told, in the log, what is wrong with a signature: not for each of them. */
static bool may_diagnose(struct admit *a, const struct clock *clock)
{
    int64_t now = clock_mono_us(clock), last = atomic_load(&a->diagnosed_us);
    return now - last >= DIAGNOSE_EVERY_US && atomic_compare_exchange_strong(&a->diagnosed_us, &last, now);
}

static void diagnose_time(const struct request *rq, int64_t ts, int64_t now_s, int64_t window_s)
{
    if (may_diagnose(node_of(rq)->admit, rq->clock))
        LOG(LOG_WARN, "a signature's time is outside the window: check the clocks", LOG_I("signed_s", ts),
            LOG_I("now_s", now_s), LOG_I("window_s", window_s), LOG_V("id", rq->id));
}

static bool in_window(int64_t ts, int64_t now_s, int64_t window_s)
{
    return ts >= now_s - window_s && ts <= now_s + window_s;
}

static rc check_time(struct request *rq, const struct hawk_header *h, struct err *e)
{
    const struct node *n = node_of(rq);
    int64_t now_s = clock_now_s(rq->clock);

    if (!in_window(h->ts, now_s, n->admit->window_s)) {
        diagnose_time(rq, h->ts, now_s, n->admit->window_s);
        return refuse(rq, WHY_STALE, e);
    }
    if (n->admit->strict && !nonces_fresh(n->nonces, h->id, h->ts, h->nonce, now_s))
        return refuse(rq, WHY_REPLAYED, e);
    return RC_OK;
}

static bool is_ours(view url_uid, int64_t uid)
{
    uint64_t named;
    return view_to_u64(url_uid, INT64_MAX, &named) && (int64_t)named == uid;
}

/* A token that was opened, here or by the directory, and its key. */
struct opened {
    int64_t uid, epoch;
    bool expired; /* a short while ago */
    view svc, hashed_id;
    view key;
};

static rc check_opened(struct request *rq, const struct opened *o, struct err *e)
{
    const struct node *n = node_of(rq);
    const struct kept *kept = rq->scratch;
    const struct hawk_header *h = &kept->hawk;

    if (o->expired && (rq->route->auth != AUTH_HAWK_GRACE || !(rq->method & (GET | HEAD))))
        return refuse(rq, WHY_EXPIRED, e);
    if (!signed_fits(rq, n, o->key, h)) {
        if (may_diagnose(n->admit, rq->clock))
            signed_tell(rq, n, o->key, h);
        return refuse(rq, WHY_BAD_MAC, e);
    }
    TRY(check_time(rq, h, e));
    if (!is_ours(url_user(rq), o->uid))
        return refuse(rq, WHY_UID_MISMATCH, e);
    if (o->svc.p && !view_eq(o->svc, view_of(rq->mount->service)))
        return refuse(rq, WHY_WRONG_SERVICE, e);
    if (n->authority && authority_refused(n->authority, o->uid))
        return refuse(rq, WHY_REFUSED, e);
    rq->who = (struct who){
        .uid = o->uid, .epoch = o->epoch, .name = VIEW_NONE, .expired = o->expired, .hashed_id = o->hashed_id
    };
    return RC_OK;
}

/* ---- Hawk: a token of the owner before ---- */

static bool is_own_url(const struct node *n, view url)
{
    for (size_t i = 0; i < n->n_own_urls; i++)
        if (view_eq(n->own_urls[i], url))
            return true;
    return false;
}

static rc check_exchanged(struct request *rq, struct exchanged *x, struct err *e)
{
    struct kept *kept = rq->scratch;
    const struct opened o = { .uid = x->uid,
                              .epoch = x->epoch,
                              .svc = VIEW_NONE,
                              .hashed_id = VIEW_NONE,
                              .key = { .p = x->key, .n = sizeof(x->key) } };
    kept->exchanged = true;
    rc r = check_opened(rq, &o, e);
    secret_wipe(x->key, sizeof(x->key));
    return r;
}

/* On the io thread: from memory, or a worker shall ask. What does not even claim to be good is refused as ever. */
static rc admit_foreign(struct request *rq, enum why why, bool *out_late, struct err *e)
{
    const struct node *n = node_of(rq);
    struct kept *kept = rq->scratch;
    struct token t;
    struct exchanged known;
    unsigned wait_s;

    if (token_peek(kept->hawk.id, rq->arena, &t) != TOKEN_GOOD || !is_ours(url_user(rq), t.uid) ||
        is_own_url(n, t.node) || t.expires <= (double)clock_now_us(rq->clock) / 1e6)
        return refuse(rq, why, e);
    enum exchange_word word = exchange_known(n->exchange, kept->hawk.id, &known);
    if (word == EXCHANGE_REFUSED)
        return refuse(rq, why, e);
    if (word == EXCHANGE_GOOD) {
        bool confirmed = confirm_knows(n->confirm, known.uid); /* first: a refusal comes before it */
        rc r = check_exchanged(rq, &known, e);
        *out_late = r == RC_OK && !confirmed;
        return r;
    }
    if (strikes_over(n->admit->strikes, rq->peer, &wait_s))
        return later(rq, wait_s, e);
    kept->foreign = true;
    kept->foreign_why = why;
    *out_late = true;
    return RC_OK;
}

/* Whether he came here by a move a short while ago. */
static bool came_lately(const struct node *n, const struct head *h)
{
    int64_t now_ms = clock_now_us(n->clock) / 1000;
    return (h->state == HEAD_ACTIVE || h->state == HEAD_READY) && h->epoch > 1 &&
           h->since_ms > now_ms - exchange_arrived_s(n->exchange) * 1000;
}

static rc ask_about_token(struct request *rq, struct err *e)
{
    const struct node *n = node_of(rq);
    const struct node_worker *w = rq->worker;
    struct kept *kept = rq->scratch;
    struct exchanged got;
    struct head h;
    uint64_t uid;

    kept->foreign = false;
    if (!view_to_u64(url_user(rq), INT64_MAX, &uid))
        return refuse(rq, kept->foreign_why, e);
    TRY(store_head_read(w->sync.store, (int64_t)uid, rq->arena, &h, e));
    if (!came_lately(n, &h))
        return refuse(rq, kept->foreign_why, e);
    rc r = exchange_ask(n->exchange, (int64_t)uid, kept->hawk.id, &got, e);
    if (r == RC_DENIED)
        return refuse(rq, kept->foreign_why, e);
    TRY(r);
    return check_exchanged(rq, &got, e);
}

/* ---- Hawk: a token of ours ---- */

static rc admit_hawk(struct request *rq, bool *out_late, struct err *e)
{
    const struct node *n = node_of(rq);
    struct kept *kept = arena_zero(rq->arena, sizeof(*kept));
    struct token token;
    char key[TOKEN_KEY_TEXT];
    const char *unreadable;
    bool twice, expired;

    view header = request_authorization(rq, &twice);
    if (twice)
        return refuse(rq, WHY_TWO_CREDENTIALS, e);
    if (!header.p || !hawk_parse(header, rq->arena, &kept->hawk, &unreadable))
        return refuse(rq, WHY_NO_CREDENTIALS, e);
    rq->scratch = kept;
    double now = (double)clock_now_us(rq->clock) / 1e6;
    enum token_reason reason = token_open(n->verifier, kept->hawk.id, now, rq->arena, &token, key, &expired);
    if (n->exchange && (reason == TOKEN_BAD_SIGNATURE || reason == TOKEN_WRONG_NODE))
        return admit_foreign(rq, why_of_token(reason), out_late, e);
    if (reason != TOKEN_GOOD)
        return refuse(rq, why_of_token(reason), e);
    const struct opened o = { .uid = token.uid,
                              .epoch = token.epoch,
                              .expired = expired,
                              .svc = token.svc,
                              .hashed_id = token.hashed_fxa_uid,
                              .key = { .p = key, .n = sizeof(key) } };
    bool confirmed = confirm_knows(n->confirm, token.uid); /* first: a refusal comes before it */
    rc r = check_opened(rq, &o, e);
    secret_wipe(key, sizeof(key));
    *out_late = r == RC_OK && !confirmed;
    return r;
}

/* ---- Basic ---- */

static view lower_copy(struct arena *a, view v)
{
    char *p = arena_cstr(a, v);
    for (size_t i = 0; i < v.n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] - 'A' + 'a');
    return (view){ .p = p, .n = v.n };
}

/* A verdict names the owner; somebody else's user must ask the directory for his node again. */
static rc take_verdict(struct request *rq, const struct verdict *v, view name, struct err *e)
{
    if (!is_own_url(node_of(rq), view_of(v->node)))
        return refuse(rq, WHY_BASIC_WRONG_NODE, e);
    rq->who = (struct who){ .uid = v->uid, .epoch = v->epoch, .name = name, .hashed_id = VIEW_NONE };
    return RC_OK;
}

static rc admit_basic(struct request *rq, bool *out_late, struct err *e)
{
    const struct node *n = node_of(rq);
    struct kept *kept = arena_zero(rq->arena, sizeof(*kept));
    struct verdict v;
    bool twice;
    unsigned wait_s;

    view header = request_authorization(rq, &twice);
    if (twice || !header.p || !basic_parse(header, rq->arena, &kept->basic))
        return refuse(rq, WHY_BASIC_NO_CREDENTIALS, e);
    if (!view_eq(lower_copy(rq->arena, url_user(rq)), kept->basic.name))
        return refuse(rq, WHY_BASIC_OTHER_NAME, e);
    if (!n->authority)
        return fail(e, RC_AWAY, RESP_GENERIC, "no directory is configured: nobody can check passwords");
    bool known = authority_known(n->authority, kept->basic.name, kept->basic.password, &v);
    if (known && is_own_url(n, view_of(v.node))) {
        rq->scratch = kept;
        rc r = take_verdict(rq, &v, kept->basic.name, e);
        *out_late = r == RC_OK && !confirm_knows(n->confirm, v.uid);
        return r;
    }
    if (!known && strikes_over(n->admit->strikes, rq->peer,
                               &wait_s)) /* the directory is not asked on behalf of a guesser */
        return later(rq, wait_s, e);
    rq->scratch = kept;
    *out_late = true;
    return RC_OK;
}

static rc verdict_about(struct request *rq, struct verdict *out, struct err *e)
{
    const struct kept *kept = rq->scratch;
    rc r = authority_verify(node_of(rq)->authority, kept->basic.name, kept->basic.password, out, e);
    return r == RC_DENIED ? refuse(rq, WHY_BASIC_DENIED, e) : r;
}

/* ---- what is remembered of a credential, and a move since ---- */

/* A user is served as soon as he has moved, and the news that what was remembered of him is void come with the next pulse. What came with
 * him is here already: a head of a later epoch. So it is no reason for 401 that he lived elsewhere, or had an earlier epoch, when somebody
 * asked about him before his head was made. It takes a good credential and a move to make us ask by this. */
static bool is_outdated(const struct head *h, int64_t epoch)
{
    return (h->state == HEAD_ACTIVE || h->state == HEAD_READY || h->state == HEAD_FROZEN) && h->epoch > epoch;
}

/* RC_OK: *v is of now; as it was, where there is nothing newer. */
static rc renew_verdict(struct request *rq, struct verdict *v, struct err *e)
{
    const struct node *n = node_of(rq);
    const struct node_worker *w = rq->worker;
    const struct kept *kept = rq->scratch;
    struct head h;

    TRY(store_head_read(w->sync.store, v->uid, rq->arena, &h, e));
    if (!is_outdated(&h, v->epoch))
        return RC_OK;
    authority_forget_before(n->authority, kept->basic.name, h.epoch);
    return verdict_about(rq, v, e);
}

static rc renew_basic(struct request *rq, struct err *e)
{
    const struct kept *kept = rq->scratch;
    struct verdict v = { .uid = rq->who.uid, .epoch = rq->who.epoch };

    TRY(renew_verdict(rq, &v, e));
    if (v.epoch == rq->who.epoch || v.uid != rq->who.uid)
        return RC_NOT_HERE;
    return take_verdict(rq, &v, kept->basic.name, e);
}

/* A token of the owner before, of somebody who has been here before. Its key is what it was. */
static rc renew_exchanged(struct request *rq, struct err *e)
{
    const struct node *n = node_of(rq);
    const struct node_worker *w = rq->worker;
    const struct kept *kept = rq->scratch;
    struct exchanged got;
    struct head h;

    TRY(store_head_read(w->sync.store, rq->who.uid, rq->arena, &h, e));
    if (!is_outdated(&h, rq->who.epoch))
        return RC_NOT_HERE;
    rc r = exchange_ask(n->exchange, rq->who.uid, kept->hawk.id, &got, e);
    if (r != RC_OK)
        return r == RC_DENIED ? RC_NOT_HERE : r;
    secret_wipe(got.key, sizeof(got.key));
    if (got.epoch == rq->who.epoch)
        return RC_NOT_HERE;
    rq->who.epoch = got.epoch;
    return RC_OK;
}

rc admit_renew(struct request *rq, struct err *e)
{
    const struct kept *kept = rq->scratch;

    if (rq->route->auth == AUTH_BASIC)
        return renew_basic(rq, e);
    return kept && kept->exchanged ? renew_exchanged(rq, e) : RC_NOT_HERE;
}

static rc verify_basic(struct request *rq, struct err *e)
{
    const struct node *n = node_of(rq);
    const struct kept *kept = rq->scratch;
    struct verdict v;

    TRY(verdict_about(rq, &v, e));
    if (!is_own_url(n, view_of(v.node)))
        TRY(renew_verdict(rq, &v, e));
    return take_verdict(rq, &v, kept->basic.name, e);
}

/* ---- the door ---- */

rc admit_late(struct request *rq, struct err *e)
{
    const struct node *n = node_of(rq);
    const struct kept *kept = rq->scratch;

    if (rq->route->auth == AUTH_BASIC)
        TRY(verify_basic(rq, e));
    else if (kept->foreign)
        TRY(ask_about_token(rq, e));
    TRY(confirm_user(n->confirm, rq->worker, rq->who.uid, rq->arena, e));
    bool by_token = rq->route->auth != AUTH_BASIC; /* a password was found good a moment ago */
    return by_token && n->authority && authority_refused(n->authority, rq->who.uid)
               ? refuse(rq, WHY_REFUSED, e)
               : RC_OK;
}

rc admit_headers(struct request *rq, bool *out_late, struct err *e)
{
    switch (rq->route->auth) {
    case AUTH_NONE:
    case AUTH_SELF:
        return RC_OK;
    case AUTH_HAWK:
    case AUTH_HAWK_GRACE:
        return admit_hawk(rq, out_late, e);
    case AUTH_BASIC:
        return admit_basic(rq, out_late, e);
    case AUTH_INTERNAL:
        break;
    }
    return fail(e, RC_FORBIDDEN, RESP_GENERIC, "this listener admits no internal callers");
}

rc admit_body(struct request *rq, struct err *e)
{
    const struct kept *kept = rq->scratch;

    if (!kept || !kept->hawk.hash.p || (rq->route->auth != AUTH_HAWK && rq->route->auth != AUTH_HAWK_GRACE))
        return RC_OK;
    if (hawk_payload_ok(&kept->hawk, rq->content_type, rq->body))
        return RC_OK;
    return refuse(rq, WHY_BAD_PAYLOAD_HASH, e);
}
