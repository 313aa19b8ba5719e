#include "directory/identity_oauth.h"

#include "common/auth/secrets.h"
#include "common/base/encode.h"
#include "common/base/mem.h"
#include "common/base/recall.h"
#include "directory/flat_json.h"
#include "directory/jwks.h"

enum {
    TOKEN_BYTES_MAX = 16 * 1024,
    ANSWER_BYTES_MAX = 64 * 1024,
    KID_BYTES_MAX = 256,
    SUB_BYTES_MAX = 64,
    PROVEN_MOST = 16384
};

struct oauth {
    struct oauth_conf conf;
    char *verify_url; /* NULL: none */
    const char *jwks_url;
    struct jwks *keys;
    struct recall *proven; /* NULL: none are remembered */
};

/* The header or the claims of a token: an object. */
struct part {
    json_t *tree; /* NULL: */
    struct flat_json flat;
};

/* A token cut into its parts; only its form is known to be good. */
struct jwt {
    struct signed_text proof;
    view alg, typ; /* VIEW_NONE: absent */
    struct part claims;
};

/* What a member of an object says. */
struct value {
    enum { ABSENT, TEXT, INTEGER, REAL, OTHER } kind;
    view text; /* VIEW_NONE unless it is one */
    int64_t integer;
    double real; /* of an integer, too */
};

static const struct err_words denied = { 401, "invalid-credentials", "body", "", "Unauthorized" };
static const struct err_words away = { 503, "error", "body", "", "Resource is not available" };

#define DENY(...) fail_words(e, RC_DENIED, &denied, __VA_ARGS__)

/* ---- life ---- */

static bool given(const char *text)
{
    return text && text[0];
}

/* ".../v1" is what other token servers call it. */
static char *verifier_url(const char *url)
{
    view v = view_of(url);
    char *out;
    if (!given(url))
        return NULL;
    bool base = v.n >= 3 && view_eq((view){ .p = v.p + v.n - 3, .n = 3 }, VIEW("/v1"));
    if (asprintf(&out, "%s%s", url, base ? "/verify" : "") < 0)
        out = NULL;
    return mem_need(out);
}

rc oauth_open(const struct oauth_conf *c, struct oauth **out, struct err *e)
{
    if (!given(c->scope))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "oauth.scope must not be empty");
    struct oauth *o = mem_need(calloc(1, sizeof(*o)));
    bool nothing = !given(c->jwks_file) && !given(c->jwks_url) && !given(c->verify_url);
    o->conf = *c;
    o->verify_url = verifier_url(c->verify_url);
    o->jwks_url = nothing ? OAUTH_MOZILLA_JWKS : c->jwks_url;
    o->keys = jwks_new(c->jwks_file, o->jwks_url, c->timeout_s, c->clock);
    o->proven = c->remember ? recall_new(PROVEN_MOST) : NULL;
    *out = o;
    return RC_OK;
}

void oauth_close(struct oauth *o)
{
    if (!o)
        return;
    recall_free(o->proven);
    jwks_free(o->keys);
    free(o->verify_url);
    free(o);
}

rc oauth_reload(struct oauth *o, struct err *e)
{
    return jwks_reload(o->keys, e);
}

static view without_end(view url, view end)
{
    if (url.n > end.n && view_eq((view){ .p = url.p + url.n - end.n, .n = end.n }, end))
        url.n -= end.n;
    return url;
}

view oauth_server_url(const struct oauth *o, struct arena *a)
{
    if (o->verify_url)
        return arena_copy(a, without_end(view_of(o->verify_url), VIEW("/verify")));
    if (given(o->jwks_url))
        return arena_copy(a, without_end(view_of(o->jwks_url), VIEW("/jwks")));
    return VIEW_NONE;
}

/* ---- the form of a JWT ---- */

static struct value value_of_json(const json_t *v)
{
    if (!v)
        return (struct value){ .kind = ABSENT };
    if (json_is_string(v))
        return (struct value){ .kind = TEXT, .text = json_text(v) };
    if (json_is_integer(v))
        return (
            struct value){ .kind = INTEGER, .integer = json_integer_value(v), .real = json_number_value(v) };
    return (struct value){ .kind = json_is_real(v) ? REAL : OTHER, .real = json_number_value(v) };
}

static struct value value_of(const struct part *p, const char *name)
{
    if (p->tree)
        return value_of_json(json_object_get(p->tree, name));
    const struct flat_member *m = flat_json_get(&p->flat, view_of(name));
    if (!m)
        return (struct value){ .kind = ABSENT };
    if (m->text.p)
        return (struct value){ .kind = TEXT, .text = m->text };
    return (struct value){ .kind = INTEGER, .integer = m->number, .real = (double)m->number };
}

/* as_tree: whoever reads it wants the JSON library's. A flat part is lent by the arena. */
static bool part_read(view text, bool as_tree, struct arena *a, struct part *out)
{
    view raw;
    out->tree = NULL;
    if (!base64_decode(BASE64_URL_NOPAD, text, a, &raw))
        return false;
    if (!as_tree && flat_json_read(raw, &out->flat))
        return true;
    if (json_read(raw, JSON_DEPTH_MAX, JSON_READ_NO_DUPLICATES, &out->tree, NULL) != RC_OK)
        return false;
    if (json_is_object(out->tree))
        return true;
    json_decref(out->tree);
    out->tree = NULL;
    return false;
}

static view header_text(const struct part *header, const char *name, struct arena *a)
{
    view v = value_of(header, name).text;
    return v.p && v.n <= KID_BYTES_MAX ? arena_copy(a, v) : VIEW_NONE;
}

/* false: this is no JWT (a remote verifier may know it). out->claims.tree is the caller's to free. */
static bool jwt_cut(view token, bool as_tree, struct arena *a, struct jwt *out)
{
    view rest = token, head, body, signature;
    struct part header;
    if (!view_cut(&rest, '.', &head) || !view_cut(&rest, '.', &body) || !rest.p ||
        memchr(rest.p, '.', rest.n) || !base64_decode(BASE64_URL_NOPAD, rest, a, &signature) ||
        !part_read(head, false, a, &header))
        return false;
    out->proof = (struct signed_text){ .text = { .p = token.p, .n = head.n + 1 + body.n },
                                       .signature = signature,
                                       .kid = header_text(&header, "kid", a) };
    out->alg = header_text(&header, "alg", a);
    out->typ = header_text(&header, "typ", a);
    if (value_of(&header, "crit").kind != ABSENT) /* extensions that must be understood: we understand none */
        out->alg = VIEW_NONE;
    json_decref(header.tree);
    return part_read(body, as_tree, a, &out->claims);
}

/* "at+jwt", with or without "application/" before it, in any case. */
static bool is_access_token(view typ)
{
    return view_eq_nocase(typ, VIEW("at+jwt")) || view_eq_nocase(typ, VIEW("application/at+jwt"));
}

/* ---- claims ---- */

static bool sub_ok(view v)
{
    return v.n >= 1 && v.n <= SUB_BYTES_MAX && view_only_alnum(v, "=_-");
}

/* One string, parted by blanks (as the accounts server writes it) or commas. */
static bool scope_in_text(view list, view wanted)
{
    size_t from = 0;
    for (size_t i = 0; i <= list.n; i++)
        if (i == list.n || list.p[i] == ' ' || list.p[i] == ',') {
            if (view_eq((view){ .p = list.p + from, .n = i - from }, wanted))
                return true;
            from = i + 1;
        }
    return false;
}

static bool scope_in_array(const json_t *list, view wanted)
{
    size_t i;
    json_t *one;
    json_array_foreach (list, i, one)
        if (view_eq(json_text(one), wanted))
            return true;
    return false;
}

static void generation_read(struct value claim, struct oauth_user *out)
{
    if (claim.kind == ABSENT)
        return;
    if (claim.kind == INTEGER && claim.integer >= 0)
        out->generation = claim.integer;
    else
        out->generation_bad = true;
}

static rc claims_read(const struct oauth *o, const struct part *claims, struct arena *a,
                      struct oauth_user *out, double *out_expires_s, struct err *e)
{
    struct value exp = value_of(claims, "exp");
    view sub = value_of(claims, "sub").text;
    double now_s = (double)clock_now_us(o->conf.clock) / 1e6;
    if ((exp.kind != INTEGER && exp.kind != REAL) || exp.real <= now_s)
        return DENY("the access token has expired, or tells no time");
    if (!sub_ok(sub))
        return DENY("the access token names nobody");
    if (!scope_in_text(value_of(claims, "scope").text, view_of(o->conf.scope)))
        return DENY("the access token has not the scope");
    if (given(o->conf.issuer) && !view_eq(value_of(claims, "iss").text, view_of(o->conf.issuer)))
        return DENY("the access token is from another issuer");
    view client = value_of(claims, "client_id").text;
    *out = (struct oauth_user){ .sub = arena_copy(a, sub),
                                .client_id = client.p ? arena_copy(a, client) : VIEW_NONE };
    generation_read(value_of(claims, "fxa-generation"), out);
    *out_expires_s = exp.real;
    return RC_OK;
}

/* ---- remote ---- */

static rc remote_read(const struct oauth *o, view body, struct arena *a, struct oauth_user *out,
                      struct err *e)
{
    SCOPED(json_decref) json_t *root = NULL;
    if (json_read(body, JSON_DEPTH_MAX, JSON_READ_PLAIN, &root, NULL) != RC_OK)
        return DENY("the verifier's answer is no JSON");
    view user = json_text(json_object_get(root, "user"));
    const json_t *issuer = json_object_get(root, "issuer");
    if (!sub_ok(user) || !scope_in_array(json_object_get(root, "scope"), view_of(o->conf.scope)))
        return DENY("the verifier's answer has no user, or not the scope");
    if (given(o->conf.issuer) && issuer && !view_eq(json_text(issuer), view_of(o->conf.issuer)))
        return DENY("the access token is from another issuer");
    view client = json_text(json_object_get(root, "client_id"));
    *out = (struct oauth_user){ .sub = arena_copy(a, user),
                                .client_id = client.p ? arena_copy(a, client) : VIEW_NONE };
    generation_read(value_of_json(json_object_get(root, "generation")), out);
    return RC_OK;
}

static rc remote(const struct oauth *o, const struct oauth_http *http, view token, struct arena *a,
                 struct oauth_user *out, struct err *e)
{
    SCOPED(buf_done) struct buf body = { 0 };
    struct answer got = { 0 };
    struct err why = ERR_NONE;
    if (!utf8_valid(token))
        return DENY("the access token is no text");
    buf_add(&body, VIEW("{\"token\":"));
    json_put_string(&body, token);
    buf_addc(&body, '}');
    rc r = http->send(http->arg,
                      &(struct call){ .method = "POST",
                                      .url = o->verify_url,
                                      .content_type = "application/json",
                                      .body = buf_view(&body),
                                      .timeout_ms = (long)(o->conf.timeout_s * 1000),
                                      .answer_max = ANSWER_BYTES_MAX },
                      &got, &why);
    if (r == RC_AWAY)
        r = fail_words(e, RC_AWAY, &away, "the verifier does not answer: %s", why.text);
    else if (r != RC_OK)
        r = DENY("the verifier's answer is of no use: %s", why.text);
    else if (got.status < 200 || got.status > 299)
        r = DENY("the verifier says %ld", got.status);
    else
        r = remote_read(o, buf_view(&got.body), a, out, e);
    answer_done(&got);
    return r;
}

/* ---- what was proven before ---- */

/* Behind it the texts. The token itself is not kept, only its hash. */
struct proven {
    uint64_t edition; /* of the keys */
    int64_t generation;
    bool generation_bad, has_client;
    size_t sub_bytes, client_bytes;
};

static view token_hash(view token, uint8_t out[SHA256_BYTES])
{
    sha256(token, out);
    return (view){ .p = (const char *)out, .n = SHA256_BYTES };
}

static void remember(struct oauth *o, view token, uint64_t edition, double expires_s,
                     const struct oauth_user *u)
{
    SCOPED(buf_done) struct buf b = { 0 };
    const struct proven p = { .edition = edition,
                              .generation = u->generation,
                              .generation_bad = u->generation_bad,
                              .has_client = u->client_id.p != NULL,
                              .sub_bytes = u->sub.n,
                              .client_bytes = u->client_id.n };
    uint8_t hash[SHA256_BYTES];
    int64_t until_us = clock_now_us(o->conf.clock) + OAUTH_REMEMBERED_S * INT64_C(1000000);
    view key = token_hash(token, hash);
    if (expires_s * 1e6 < (double)until_us)
        until_us = (int64_t)(expires_s * 1e6);
    buf_add(&b, (view){ .p = (const char *)&p, .n = sizeof(p) });
    buf_add(&b, u->sub);
    buf_add(&b, u->client_id);
    recall_keep(o->proven, key, recall_mark(o->proven, key), buf_view(&b), until_us);
}

bool oauth_remembered(struct oauth *o, view token, struct arena *a, struct oauth_user *out)
{
    struct proven p;
    uint8_t hash[SHA256_BYTES];
    view got;
    if (!o->proven || token.n == 0 || token.n > TOKEN_BYTES_MAX ||
        !recall_find(o->proven, token_hash(token, hash), clock_now_us(o->conf.clock), a, &got))
        return false;
    memcpy(&p, got.p, sizeof(p));
    const char *texts = got.p + sizeof(p);
    *out = (struct oauth_user){ .sub = { .p = texts, .n = p.sub_bytes },
                                .generation = p.generation,
                                .generation_bad = p.generation_bad };
    if (p.has_client)
        out->client_id = (view){ .p = texts + p.sub_bytes, .n = p.client_bytes };
    return p.edition == jwks_edition(o->keys);
}

/* ---- the decision ---- */

/* RC_AWAY, RC_NOT_FOUND: the keys cannot tell. */
static rc verify_jwt(struct oauth *o, const struct oauth_http *http, view token, const struct jwt *t,
                     struct arena *a, struct oauth_user *out, struct err *e)
{
    if (!view_eq(t->alg, VIEW("RS256")))
        return DENY("the access token is not signed with RS256");
    if (!is_access_token(t->typ))
        return DENY("a token of another type");
    uint64_t edition = jwks_edition(o->keys);
    rc r = jwks_prove(o->keys, http, &t->proof, e);
    if (r == RC_DENIED && e)
        e->words = &denied;
    if (r != RC_OK)
        return r;
    double expires_s;
    TRY(claims_read(o, &t->claims, a, out, &expires_s, e));
    if (o->proven)
        remember(o, token, edition, expires_s, out);
    return RC_OK;
}

rc oauth_verify(struct oauth *o, const struct oauth_http *http, view token, struct arena *a,
                struct oauth_user *out, struct err *e)
{
    struct jwt t;
    rc r;
    if (token.n == 0 || token.n > TOKEN_BYTES_MAX)
        return DENY("an access token of %zu bytes", token.n);
    if (oauth_remembered(o, token, a, out))
        return RC_OK;
    t.claims.tree = NULL;
    bool is_jwt = jwt_cut(token, false, a, &t);
    if (is_jwt)
        r = verify_jwt(o, http, token, &t, a, out, e);
    else
        r = o->verify_url ? RC_NOT_FOUND : DENY("the access token is no JWT");
    json_decref(t.claims.tree);
    if ((r == RC_AWAY || r == RC_NOT_FOUND) && o->verify_url)
        return remote(o, http, token, a, out, e);
    if (r == RC_AWAY || r == RC_NOT_FOUND)
        return fail_words(e, RC_AWAY, &away, "no keys at hand to check access tokens with");
    return r;
}

static bool audience_is(const json_t *aud, view wanted)
{
    return json_is_array(aud) ? scope_in_array(aud, wanted) : view_eq(json_text(aud), wanted);
}

rc oauth_event(struct oauth *o, const struct oauth_http *http, view token, view audience, struct arena *a,
               json_t **out, struct err *e)
{
    struct jwt t;
    SCOPED(json_decref) json_t *claims = NULL;
    if (token.n == 0 || token.n > TOKEN_BYTES_MAX || !jwt_cut(token, true, a, &t))
        return DENY("no JWT");
    claims = t.claims.tree;
    if (!view_eq(t.alg, VIEW("RS256")) || jwks_prove(o->keys, http, &t.proof, NULL) != RC_OK)
        return DENY("no key of ours made the event's signature");
    if (audience.n == 0 || !audience_is(json_object_get(claims, "aud"), audience))
        return DENY("an event for somebody else");
    if (!given(o->conf.issuer) ||
        !view_eq(json_text(json_object_get(claims, "iss")), view_of(o->conf.issuer)))
        return DENY("an event from another issuer");
    *out = claims;
    claims = NULL;
    return RC_OK;
}
