/* The token server: an access token in, a node, an account number and Hawk credentials out.
 * Protocol: Token server, sections 1 to 6. */
#include <inttypes.h>

#include "common/auth/token.h"
#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "directory/derived.h"
#include "directory/inside.h"
#include "directory/token_rules.h"

enum { TRIES = 10, KEY_HASH_MAX = 16, STATE_MAX = 32, HASHED_ID_BYTES = 32, ANSWER_BYTES = 512 };

/* Protocol: Token server, "Errors". The rows a refusal can be. */
static const struct err_words w_no_auth = { 401, "error", "body", "", "Unauthorized" };
static const struct err_words w_scheme = { 401, "error", "body", "", "Unsupported" };
const struct err_words words_invalid_credentials = { 401, "invalid-credentials", "body", "", "Unauthorized" };
static const struct err_words w_key_missing = { 401, "invalid-key-id", "header", "",
                                                "Missing X-KeyID header" };
static const struct err_words w_key_bytes = { 401, "invalid-key-id", "header", "", "Invalid X-KeyID header" };
static const struct err_words w_key_twice = { 400, "error", "header", "X-KeyID", "Invalid X-KeyID header" };
static const struct err_words w_state = { 400, "error", "header", "X-Client-State",
                                          "Invalid client state value" };
static const struct err_words w_state_differs = { 401, "invalid-client-state", "body", "", "Unauthorized" };
static const struct err_words w_generation = { 401, "invalid-generation", "body", "", "Unauthorized" };
static const struct err_words w_new_users = { 403, "new-users-disabled", "body", "",
                                              "New users are not allowed" };
static const struct err_words w_disabled = { 403, "error", "body", "", "Account disabled" };
const struct err_words words_server_error = { 0, "internal-error", "internal", "", "Server error" };

static const struct err_words w_rules[] = {
    [TOKEN_KEYS_CHANGED_AT] = { 401, "invalid-keysChangedAt", "body", "", "Unauthorized" },
    [TOKEN_STATE_EMPTY] = { 401, "invalid-client-state", "header", "X-Client-State",
                            "Unacceptable client-state value empty string" },
    [TOKEN_STATE_STALE] = { 401, "invalid-client-state", "header", "X-Client-State",
                            "Unacceptable client-state value stale value" },
    [TOKEN_STATE_GENERATION] = { 401, "invalid-client-state", "header", "X-Client-State",
                                 "Unacceptable client-state value new value with no generation change" },
    [TOKEN_STATE_KEYS] = { 401, "invalid-client-state", "header", "X-Client-State",
                           "Unacceptable client-state value new value with no keys_changed_at change" },
    [TOKEN_GENERATION] = { 401, "invalid-generation", "body", "", "Unauthorized" },
};

/* ---- what the request says ---- */

struct asked {
    struct oauth_user user;
    struct token_facts facts; /* client_state in lower-case hex */
    view name;                /* of the account */
    int64_t duration_s;
};

static rc check_application(struct request *rq, struct err *e)
{
    static const struct err_words app = { 404, "error", "url", "application", "Unsupported application" };
    if (!view_eq(rq->params[0], VIEW("sync")))
        return fail_words(e, RC_NOT_FOUND, &app, "an application that we do not have");
    if (view_eq(rq->params[1], VIEW("1.5")))
        return RC_OK;
    /* The answer names the version: these words live as long as the request. */
    struct err_words *version = arena_alloc(rq->arena, sizeof(*version));
    *version = (struct err_words){ 404, "error", "url", arena_cstr(rq->arena, rq->params[1]),
                                   "Unsupported application version" };
    return fail_words(e, RC_NOT_FOUND, version, "a version that we do not have");
}

/* "Bearer", one blank, the token. */
static rc read_bearer(struct request *rq, view *out, struct err *e)
{
    bool twice = false;
    view header = request_authorization(rq, &twice), scheme;
    bool cut = header.p && view_cut(&header, ' ', &scheme) && header.n > 0 && scheme.n > 0 &&
               !memchr(header.p, ' ', header.n);
    if (!cut)
        return fail_words(e, RC_DENIED, &w_no_auth, "no Authorization, or not a scheme and a token");
    if (!view_eq_nocase(scheme, VIEW("Bearer")))
        return fail_words(e, RC_DENIED, &w_scheme, "Authorization of an unknown scheme");
    *out = header;
    return RC_OK;
}

/* "<keys_changed_at>-<base64url of the key hash>" */
static rc read_key_id(struct request *rq, struct token_facts *out, struct err *e)
{
    view header = request_header(rq, "X-KeyID"), stamp_text, hash;
    uint64_t k;
    if (!header.p)
        return fail_words(e, RC_DENIED, &w_key_missing, "no X-KeyID");
    if (request_header_count(rq, "X-KeyID") > 1)
        return fail_words(e, RC_BAD_INPUT, &w_key_twice, "two X-KeyID");
    for (size_t i = 0; i < header.n; i++)
        if ((unsigned char)header.p[i] < 0x20 || (unsigned char)header.p[i] > 0x7e)
            return fail_words(e, RC_DENIED, &w_key_bytes, "X-KeyID with bytes outside ASCII");
    if (!view_cut(&header, '-', &stamp_text) || !header.p || !view_to_u64(stamp_text, INT64_MAX, &k) ||
        !base64_decode(BASE64_URL_NOPAD, header, rq->arena, &hash))
        return fail_words(e, RC_DENIED, &words_invalid_credentials, "X-KeyID is malformed");
    if (hash.n == 0 || hash.n > KEY_HASH_MAX)
        return fail_words(e, RC_BAD_INPUT, &w_state, "a key hash of %zu bytes", hash.n);
    SCOPED(buf_done) struct buf hex = { 0 };
    hex_put(&hex, hash);
    out->keys_changed = (int64_t)k;
    out->client_state = arena_copy(rq->arena, buf_view(&hex));
    return RC_OK;
}

static bool state_ok(view v)
{
    return v.n <= STATE_MAX && view_only_alnum(v, "._-");
}

static rc check_client_state(struct request *rq, view state, struct err *e)
{
    view header = request_header(rq, "X-Client-State");
    if (header.n == 0)
        return RC_OK;
    if (!state_ok(header) || request_header_count(rq, "X-Client-State") > 1)
        return fail_words(e, RC_BAD_INPUT, &w_state, "X-Client-State is malformed");
    if (!view_eq(header, state))
        return fail_words(e, RC_DENIED, &w_state_differs, "X-Client-State differs from X-KeyID");
    return RC_OK;
}

static int64_t duration_of(const struct request *rq, int64_t most)
{
    const struct query_arg *arg = request_arg(rq, "duration");
    uint64_t wanted;
    if (arg && view_to_u64(arg->value, (uint64_t)most, &wanted) && wanted > 0)
        return (int64_t)wanted;
    return most;
}

/* In the order that the answer to several mistakes follows: this, then who is behind the access token, then read_rest. */
static rc read_begin(struct request *rq, struct asked *out, view *out_token, struct err *e)
{
    const struct directory *d = rq->app;
    *out = (struct asked){ .duration_s = duration_of(rq, d->conf->token_life_s) };
    TRY(check_application(rq, e));
    if (!accept_takes(request_header(rq, "Accept"), VIEW("application/json")))
        return fail(e, RC_NOT_ACCEPTABLE, RESP_GENERIC, "Accept without application/json");
    return read_bearer(rq, out_token, e);
}

static rc read_rest(struct request *rq, struct asked *out, struct err *e)
{
    const struct directory *d = rq->app;
    TRY(read_key_id(rq, &out->facts, e));
    TRY(check_client_state(rq, out->facts.client_state, e));
    if (out->user.generation_bad)
        return fail_words(e, RC_DENIED, &w_generation, "the generation is no number");
    out->facts.generation = out->user.generation;
    out->name = arena_text(rq->arena, "%.*s@%s", VIEW_ARG(out->user.sub), d->conf->domain);
    return RC_OK;
}

static rc read_request(struct request *rq, struct asked *out, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct oauth_http http = directory_http(w);
    view token;
    TRY(read_begin(rq, out, &token, e));
    TRY(oauth_verify(w->d->oauth, &http, token, rq->arena, &out->user, e));
    return read_rest(rq, out, e);
}

/* With an access token that was found good before. */
static bool read_remembered(struct request *rq, struct asked *out)
{
    const struct directory *d = rq->app;
    view token;
    return read_begin(rq, out, &token, NULL) == RC_OK &&
           oauth_remembered(d->oauth, token, rq->arena, &out->user) && read_rest(rq, out, NULL) == RC_OK;
}

/* ---- the record ---- */

static rc may_register(struct request *rq, const struct asked *q, struct err *e)
{
    struct directory *d = ((struct directory_worker *)rq->worker)->d;
    unsigned wait_s = limits_wait(d->signups, rq->peer, clock_mono_us(d->clock) / 1000000);
    const struct registration allowed = directory_registration(d);
    if (!registration_takes_sub(&allowed, q->user.sub)) {
        if (allowed.mode == REGISTRATION_CLOSED)
            LOG(LOG_WARN, "sign-up refused, new accounts are off; to take some: registration.mode = list and",
                LOG_V("registration.allow", q->user.sub));
        else
            LOG(LOG_WARN, "sign-up refused, not on the list; to take it, add",
                LOG_V("registration.allow", q->user.sub));
        return fail_words(e, RC_FORBIDDEN, &w_new_users, "new users are not allowed");
    }
    if (wait_s > 0) {
        rc r = fail(e, RC_BUSY, RESP_GENERIC, "too many new accounts from there");
        e->retry_after_s = wait_s;
        return r;
    }
    return RC_OK;
}

/* *uid 0: he gets one. */
static rc record_add(struct request *rq, const struct asked *q, const struct owner *owner, int64_t *uid,
                     struct err *e)
{
    struct directory_worker *w = rq->worker;
    int64_t now_ms = directory_now_ms(w->d);
    if (*uid == 0)
        TRY(directory_uid(w->d, w->session, uid, e));
    return account_add(w->session,
                       &(struct account_new){ .name = q->name,
                                              .uid = *uid,
                                              .node = owner->name,
                                              .placed = placed_text(rq->arena, now_ms, "first"),
                                              .created_ms = now_ms,
                                              .epoch = 1,
                                              .client_state = q->facts.client_state,
                                              .generation = q->facts.generation,
                                              .keys_changed = q->facts.keys_changed },
                       e);
}

/* RC_CONFLICT: a parallel first request was faster. */
static rc record_new(struct request *rq, const struct asked *q, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct owner owner;
    int64_t uid = 0;
    TRY(may_register(rq, q, e));
    if (w->d->conf->assign_slots) /* his slot is that of his number */
        TRY(directory_uid(w->d, w->session, &uid, e));
    TRY(lookup_choose(w->d, w->session, rq->arena, q->name, VIEW_NONE, uid, &owner, e));
    rc r = record_add(rq, q, &owner, &uid, e);
    if (r != RC_OK && r != RC_UNSURE)
        lookup_give_back(w->d, w->session, owner.name);
    TRY(r);
    limits_count(w->d->signups, rq->peer, clock_mono_us(w->d->clock) / 1000000);
    directory_placed(w->d, q->name);
    LOG(LOG_INFO, "account made", LOG_I("uid", uid), LOG_V("node", owner.name), LOG_V("id", rq->id));
    return RC_OK;
}

/* Another client state: the old data area is left for erasing, a new one begins under a new uid on the same node. */
static rc record_renew(struct request *rq, struct account *acc, const struct token_facts *next, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct arena *a = rq->arena;
    struct change c[8];
    size_t n = 0;
    int64_t uid, now_ms = directory_now_ms(w->d);
    TRY(directory_uid(w->d, w->session, &uid, e));
    c[n++] = change_number(a, ATTR_UID_NUMBER, acc->uid, uid);
    c[n++] = change_number(a, ATTR_EPOCH, acc->epoch, acc->epoch + 1);
    c[n++] = (struct change){ ATTR_CLIENT_STATE, acc->client_state, next->client_state };
    c[n++] = change_number(a, ATTR_GENERATION, acc->generation, next->generation);
    c[n++] = change_number(a, ATTR_KEYS_CHANGED, acc->keys_changed, next->keys_changed);
    c[n++] = (struct change){
        ATTR_ERASE, VIEW_NONE,
        erase_text(
            a, &(struct erase){ .node = acc->node, .uid = acc->uid, .epoch = acc->epoch, .since_ms = now_ms })
    };
    if (acc->client_state.p)
        c[n++] = (struct change){ ATTR_OLD_STATE, VIEW_NONE,
                                  arena_text(a, "%" PRId64 " %.*s", now_ms, VIEW_ARG(acc->client_state)) };
    if (acc->n_old_states >= ACCOUNT_OLD_STATES)
        c[n++] = (struct change){ ATTR_OLD_STATE, acc->old_states[0], VIEW_NONE };
    TRY(account_cas(w->session, acc->name, c, n, e));
    directory_forget(w->d, acc->name, acc->uid);
    LOG(LOG_INFO, "new client state", LOG_I("uid", uid), LOG_I("old_uid", acc->uid), LOG_V("id", rq->id));
    acc->uid = uid;
    acc->epoch++;
    return RC_OK;
}

static rc record_raise(struct request *rq, const struct account *acc, const struct token_facts *next,
                       struct err *e)
{
    struct directory_worker *w = rq->worker;
    const struct change c[] = {
        change_number(rq->arena, ATTR_GENERATION, acc->generation, next->generation),
        change_number(rq->arena, ATTR_KEYS_CHANGED, acc->keys_changed, next->keys_changed),
    };
    return account_cas(w->session, acc->name, c, sizeof(c) / sizeof(c[0]), e);
}

/* The states of heddleOldState without their times. */
static const view *old_states(struct request *rq, const struct account *acc)
{
    view *out = arena_alloc(rq->arena, (acc->n_old_states + 1) * sizeof(view));
    for (size_t i = 0; i < acc->n_old_states; i++) {
        view ms;
        out[i] = acc->old_states[i];
        view_cut(&out[i], ' ', &ms);
    }
    return out;
}

static struct token_outcome judge(struct request *rq, const struct account *acc, const struct asked *q)
{
    const struct token_facts stored = { .generation = acc->generation,
                                        .keys_changed = acc->keys_changed,
                                        .client_state = acc->client_state };
    return token_rules(&stored, old_states(rq, acc), acc->n_old_states, &q->facts);
}

static rc record_apply(struct request *rq, struct account *acc, const struct asked *q, struct err *e)
{
    struct token_outcome o = judge(rq, acc, q);
    if (o.verdict != TOKEN_PASS)
        return fail_words(e, RC_DENIED, &w_rules[o.verdict],
                          "the rules of records refuse it (uid %" PRId64 ")", acc->uid);
    if (o.new_record)
        TRY(record_renew(rq, acc, &o.next, e));
    else if (o.write)
        TRY(record_raise(rq, acc, &o.next, e));
    acc->client_state = o.next.client_state;
    acc->generation = o.next.generation;
    acc->keys_changed = o.next.keys_changed;
    return RC_OK;
}

/* One round: reads the record and brings it to where it belongs. RC_CONFLICT: somebody else changed it, try again. */
static rc record_round(struct request *rq, const struct asked *q, struct account *acc, struct owner *owner,
                       struct err *e)
{
    struct directory_worker *w = rq->worker;
    rc r = account_get(w->session, ACCOUNT_BY_NAME, q->name, rq->arena, acc, e);
    if (r == RC_NOT_FOUND) {
        TRY(record_new(rq, q, e));
        r = account_get(w->session, ACCOUNT_BY_NAME, q->name, rq->arena, acc, e);
    }
    TRY(r);
    if (!acc->enabled)
        return fail_words(e, RC_FORBIDDEN, &w_disabled, "account %" PRId64 " is disabled", acc->uid);
    if (acc->generation == GENERATION_RETIRED && !acc->node.p)
        return fail(e, RC_BROKEN, RESP_GENERIC, "account %" PRId64 " is retired and has no node", acc->uid);
    TRY(lookup_place(w->d, w->session, rq->arena, acc, owner, e));
    return record_apply(rq, acc, q, e);
}

static rc record_settle(struct request *rq, const struct asked *q, struct account *acc, struct owner *owner,
                        struct err *e)
{
    rc r = RC_CONFLICT;
    for (int i = 0; i < TRIES && (r == RC_CONFLICT || r == RC_NOT_FOUND); i++)
        r = record_round(rq, q, acc, owner, e);
    return r;
}

/* As it was read a moment ago: only if it says yes, and nothing is to be written. */
static bool record_remembered(struct request *rq, const struct asked *q, struct account *acc,
                              struct owner *owner)
{
    if (!lookup_remembered(rq->app, rq->arena, q->name, acc, owner) || !acc->enabled ||
        acc->generation == GENERATION_RETIRED)
        return false;
    struct token_outcome o = judge(rq, acc, q);
    return o.verdict == TOKEN_PASS && !o.new_record && !o.write;
}

/* ---- the answer ---- */

/* First 32 hex digits of an HMAC. Protocol: Token server, "Metrics identifiers". */
static view hashed(struct arena *a, view key, view text)
{
    SCOPED(buf_done) struct buf hex = { 0 };
    uint8_t mac[SHA256_BYTES];
    hmac_sha256(key, text, mac);
    hex_put(&hex, (view){ .p = (const char *)mac, .n = sizeof(mac) });
    return arena_copy(a, (view){ .p = hex.p, .n = HASHED_ID_BYTES });
}

/* "%013lld-<base64url of the client state>" */
static rc fxa_kid(struct arena *a, const struct account *acc, view *out, struct err *e)
{
    view raw;
    if (!hex_decode(acc->client_state, a, &raw))
        return fail(e, RC_BROKEN, RESP_GENERIC, "the stored client state of account %" PRId64 " is no hex",
                    acc->uid);
    *out = arena_text(a, "%013" PRId64 "-%.*s", acc->keys_changed ? acc->keys_changed : acc->generation,
                      VIEW_ARG(base64_text(a, BASE64_URL_NOPAD, raw)));
    return RC_OK;
}

static rc mint(struct request *rq, const struct asked *q, const struct account *acc,
               const struct owner *owner, view hashed_uid, view *out_id, char out_key[TOKEN_KEY_TEXT],
               struct err *e)
{
    const struct directory *d = rq->app;
    struct arena *a = rq->arena;
    view kid;
    TRY(fxa_kid(a, acc, &kid, e));
    view device = arena_text(a, "%.*snone", VIEW_ARG(hashed_uid));
    struct token t = { .uid = acc->uid,
                       .epoch = acc->epoch,
                       .node = owner->url,
                       .expires = (double)(clock_now_s(d->clock) + q->duration_s + d->conf->token_late_s),
                       .fxa_uid = q->user.sub,
                       .fxa_kid = kid,
                       .hashed_fxa_uid = hashed_uid,
                       .hashed_device_id = hashed(a, view_of(d->metrics_key), device) };
    const struct secrets *s = d->conf->token_derived ? d->sole_secrets : d->secrets;
    if (!s)
        TRY(derived_get(d->derived, d->secrets, owner->url, &s, e));
    token_mint(s, &t, a, out_id, out_key);
    return RC_OK;
}

static void put_number(struct buf *b, view before, int64_t n)
{
    buf_add(b, before);
    buf_add_i64(b, n);
}

static void put_text(struct buf *b, view before, view text)
{
    buf_add(b, before);
    buf_add(b, text);
}

/* Member by member: printf takes longer over a text of hundreds of characters than all the rest. */
static rc answer(struct request *rq, const struct asked *q, const struct account *acc,
                 const struct owner *owner, struct err *e)
{
    const struct directory *d = rq->app;
    view hashed_uid = hashed(rq->arena, view_of(d->metrics_key), q->user.sub), id;
    char key[TOKEN_KEY_TEXT];
    TRY(mint(rq, q, acc, owner, hashed_uid, &id, key, e));
    struct buf *b = reply_body(rq);
    buf_reserve(b, id.n + ANSWER_BYTES);
    put_text(b, VIEW("{\"id\":\""), id);
    put_text(b, VIEW("\",\"key\":\""), (view){ .p = key, .n = TOKEN_KEY_TEXT });
    put_number(b, VIEW("\",\"uid\":"), acc->uid);
    buf_add(b, VIEW(",\"api_endpoint\":"));
    json_put_string(b, arena_text(rq->arena, "%.*s/1.5/%" PRId64, VIEW_ARG(owner->address), acc->uid));
    put_number(b, VIEW(",\"duration\":"), q->duration_s);
    put_text(b, VIEW(",\"hashalg\":\"sha256\",\"hashed_fxa_uid\":\""), hashed_uid);
    buf_add(b, VIEW("\",\"node_type\":"));
    json_put_string(b, owner->node_type);
    buf_addc(b, '}');
    rq->who = (struct who){ .uid = acc->uid, .epoch = acc->epoch, .hashed_id = hashed_uid };
    return RC_OK;
}

rc token_get(struct request *rq, struct err *e)
{
    struct asked q;
    struct account acc;
    struct owner owner;
    TRY(read_request(rq, &q, e));
    TRY(record_settle(rq, &q, &acc, &owner, e));
    return answer(rq, &q, &acc, &owner, e);
}

bool token_get_warm(struct request *rq)
{
    struct asked q;
    struct account acc;
    struct owner owner;
    return read_remembered(rq, &q) && record_remembered(rq, &q, &acc, &owner) &&
           answer(rq, &q, &acc, &owner, NULL) == RC_OK;
}
