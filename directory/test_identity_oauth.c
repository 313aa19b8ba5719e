#include "directory/identity_oauth.h"

#include <unistd.h>

#include "directory/testing.h"

static EVP_PKEY *key1, *key2, *foreign;

struct bench {
    struct arena a;
    struct clock_fake clock;
    struct fake_web web;
    struct oauth_conf conf;
    struct oauth *o;
    char file[64];
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    arena_init(&b->a, 4 << 20);
    clock_fake_init(&b->clock, NOW_US);
    b->conf = (struct oauth_conf){ .scope = OLDSYNC, .timeout_s = 5, .clock = &b->clock.clock };
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    oauth_close(b->o);
    if (b->file[0])
        unlink(b->file);
    arena_done(&b->a);
    free(b);
    return 0;
}

static const char *set_of(struct bench *b, const char *one, const char *two)
{
    return arena_text(&b->a, "{\"keys\":[%s%s%s]}", one, two ? "," : "", two ? two : "").p;
}

static void write_file(struct bench *b, const char *text)
{
    if (!b->file[0]) {
        snprintf(b->file, sizeof(b->file), "%s", "/tmp/heddle-jwks-XXXXXX");
        close(mkstemp(b->file));
    }
    FILE *f = fopen(b->file, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void open_with_file(struct bench *b, const char *set)
{
    write_file(b, set);
    b->conf.jwks_file = b->file;
    assert_int_equal(oauth_open(&b->conf, &b->o, NULL), RC_OK);
    assert_int_equal(oauth_reload(b->o, NULL), RC_OK);
}

static void open_with_url(struct bench *b, const char *set)
{
    b->conf.jwks_url = "https://accounts.example.net/v1/jwks";
    b->web.status = 200;
    b->web.body = set;
    assert_int_equal(oauth_open(&b->conf, &b->o, NULL), RC_OK);
}

static rc verify_with(struct bench *b, view token, struct oauth_user *out, struct err *e)
{
    struct oauth_http http = fake_http(&b->web);
    return oauth_verify(b->o, &http, token, &b->a, out, e);
}

static rc verify(struct bench *b, view token)
{
    struct oauth_user u;
    struct err e = ERR_NONE;
    rc r = verify_with(b, token, &u, &e);
    if (r != RC_OK) { /* what the client is told stands with it */
        assert_non_null(e.words);
        assert_int_equal(e.words->http, r == RC_AWAY ? 503 : 401);
        assert_string_equal(e.words->status, r == RC_AWAY ? "error" : "invalid-credentials");
    }
    return r;
}

static const char *claims(struct bench *b, const char *more)
{
    return arena_text(&b->a,
                      "{\"sub\":\"" TEST_SUB
                      "\",\"exp\":%lld,\"iss\":\"https://accounts.example.net\",\"scope\":"
                      "\"profile " OLDSYNC "\",\"client_id\":\"5882386c6d801776\",\"aud\":\"x\"%s}",
                      (long long)NOW_S + 600, more)
        .p;
}

/* ---- tokens ---- */

static void a_good_token_tells_who_it_is(void **state)
{
    struct bench *b = *state;
    struct oauth_user u;
    open_with_file(b, set_of(b, test_jwk(&b->a, key1, "k1", ",\"alg\":\"RS256\",\"use\":\"sig\""), NULL));
    view t = test_jwt(&b->a, key1, AT_HEADER, claims(b, ",\"fxa-generation\":1234"));
    assert_int_equal(verify_with(b, t, &u, NULL), RC_OK);
    assert_true(view_eq(u.sub, VIEW(TEST_SUB)));
    assert_true(view_eq(u.client_id, VIEW("5882386c6d801776")));
    assert_int_equal(u.generation, 1234);
    assert_false(u.generation_bad);
    assert_int_equal(b->web.calls, 0);
}

static void types_are_compared_as_media_types(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *header;
        rc expected;
    } rows[] = {
        { AT_HEADER, RC_OK },
        { "{\"alg\":\"RS256\",\"typ\":\"AT+JWT\"}", RC_OK },
        { "{\"alg\":\"RS256\",\"typ\":\"application/at+jwt\",\"kid\":\"nobody's\"}", RC_OK },
        { "{\"alg\":\"RS256\",\"typ\":\"JWT\"}", RC_DENIED },
        { "{\"alg\":\"RS256\",\"typ\":\"secevent+jwt\"}", RC_DENIED },
        { "{\"alg\":\"RS256\"}", RC_DENIED },
        { "{\"alg\":\"RS256\",\"typ\":7}", RC_DENIED },
        { "{\"alg\":\"none\",\"typ\":\"at+jwt\"}", RC_DENIED },
        { "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", RC_DENIED },
        { "{\"alg\":\"RS512\",\"typ\":\"at+jwt\"}", RC_DENIED },
        { "{\"alg\":\"rs256\",\"typ\":\"at+jwt\"}", RC_DENIED },
        { "{\"typ\":\"at+jwt\"}", RC_DENIED },
        { "{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"crit\":[\"exp\"]}", RC_DENIED },
        { "{\"alg\":\"none\",\"alg\":\"RS256\",\"typ\":\"at+jwt\"}", RC_DENIED },
        { "[]", RC_DENIED },
        { "{", RC_DENIED },
    };
    open_with_file(b, set_of(b, test_jwk(&b->a, key1, "k1", ""), NULL));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (verify(b, test_jwt(&b->a, key1, rows[i].header, claims(b, ""))) != rows[i].expected)
            fail_msg("%s", rows[i].header);
}

static void a_key_inside_the_token_counts_for_nothing(void **state)
{
    struct bench *b = *state;
    open_with_file(b, set_of(b, test_jwk(&b->a, key1, "k1", ""), NULL));
    const char *header = arena_text(&b->a, "{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"k9\",\"jwk\":%s}",
                                    test_jwk(&b->a, foreign, "k9", ""))
                             .p;
    assert_int_equal(verify(b, test_jwt(&b->a, foreign, header, claims(b, ""))), RC_DENIED);
}

static void claims_are_checked(void **state)
{
    struct bench *b = *state;
#define REST ",\"scope\":\"" OLDSYNC "\"}"
#define EXP  ",\"exp\":1767229200"
#define ID   "{\"sub\":\"" TEST_SUB "\""
#define S(x) ID EXP ",\"scope\":\"" x "\"}"
    static const struct {
        const char *claims;
        rc expected;
    } rows[] = {
        { ID EXP REST, RC_OK },
        { ID ",\"exp\":1767225600" REST, RC_DENIED }, /* now */
        { ID ",\"exp\":1767225601" REST, RC_OK },
        { ID ",\"exp\":1767225600.5" REST, RC_OK },
        { ID ",\"exp\":1" REST, RC_DENIED },
        { ID ",\"exp\":\"1767229200\"" REST, RC_DENIED },
        { ID ",\"exp\":null" REST, RC_DENIED },
        { ID REST, RC_DENIED },
        { "{\"sub\":\"\"" EXP REST, RC_DENIED },
        { "{\"sub\":7" EXP REST, RC_DENIED },
        { "{\"a\":7" EXP REST, RC_DENIED },
        { "{\"sub\":\"a@b\"" EXP REST, RC_DENIED },
        { "{\"sub\":\"a\\u0000b\"" EXP REST, RC_DENIED },
        { "{\"sub\":\"Az09=_-\"" EXP REST, RC_OK },
        { "{\"sub\":\"0123456789012345678901234567890123456789012345678901234567890123\"" EXP REST, RC_OK },
        { "{\"sub\":\"01234567890123456789012345678901234567890123456789012345678901234\"" EXP REST,
          RC_DENIED },
        { S(""), RC_DENIED },
        { S("profile"), RC_DENIED },
        { S(OLDSYNC ".x"), RC_DENIED },
        { S(OLDSYNC "/bookmarks"), RC_DENIED },
        { S("x" OLDSYNC), RC_DENIED },
        { S("a " OLDSYNC " b"), RC_OK },
        { S("a," OLDSYNC), RC_OK },
        { S(OLDSYNC "  b"), RC_OK },
        { ID EXP ",\"scope\":[\"" OLDSYNC "\"]}", RC_DENIED },
        { ID EXP "}", RC_DENIED },
        { "[]", RC_DENIED },
        { "nonsense", RC_DENIED },
    };
    open_with_file(b, set_of(b, test_jwk(&b->a, key1, "k1", ""), NULL));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (verify(b, test_jwt(&b->a, key1, AT_HEADER, rows[i].claims)) != rows[i].expected)
            fail_msg("%s", rows[i].claims);
}

static void a_generation_that_is_no_integer_is_told(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *more;
        int64_t generation;
        bool bad;
    } rows[] = {
        { "", 0, false },
        { ",\"fxa-generation\":0", 0, false },
        { ",\"fxa-generation\":9223372036854775807", INT64_MAX, false },
        { ",\"fxa-generation\":\"42\"", 0, true },
        { ",\"fxa-generation\":null", 0, true },
        { ",\"fxa-generation\":[1]", 0, true },
        { ",\"fxa-generation\":4.5", 0, true },
        { ",\"fxa-generation\":-1", 0, true },
    };
    open_with_file(b, set_of(b, test_jwk(&b->a, key1, "k1", ""), NULL));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct oauth_user u;
        assert_int_equal(verify_with(b, test_jwt(&b->a, key1, AT_HEADER, claims(b, rows[i].more)), &u, NULL),
                         RC_OK);
        assert_true(u.generation == rows[i].generation);
        assert_int_equal(u.generation_bad, rows[i].bad);
    }
}

static void the_issuer_counts_only_when_it_is_pinned(void **state)
{
    struct bench *b = *state;
    b->conf.issuer = "https://accounts.example.net";
    open_with_file(b, set_of(b, test_jwk(&b->a, key1, "k1", ""), NULL));
    assert_int_equal(verify(b, test_jwt(&b->a, key1, AT_HEADER, claims(b, ""))), RC_OK);
    assert_int_equal(verify(b, test_jwt(&b->a, key1, AT_HEADER, "{}")), RC_DENIED);
    const char *other = ID EXP ",\"iss\":\"https://evil.example.net\"" REST;
    assert_int_equal(verify(b, test_jwt(&b->a, key1, AT_HEADER, other)), RC_DENIED);
    assert_int_equal(verify(b, test_jwt(&b->a, key1, AT_HEADER, ID EXP REST)), RC_DENIED);
}

static void a_signature_that_no_key_made_is_refused(void **state)
{
    struct bench *b = *state;
    b->conf.verify_url = "https://accounts.example.net/v1/verify";
    open_with_file(b, set_of(b, test_jwk(&b->a, key1, "k1", ""), NULL));
    view good = test_jwt(&b->a, key1, AT_HEADER, claims(b, ""));
    assert_int_equal(verify(b, test_jwt(&b->a, foreign, AT_HEADER, claims(b, ""))), RC_DENIED);
    /* another payload under the signature of the first */
    view other = test_jwt(&b->a, foreign, AT_HEADER, claims(b, ",\"x\":1"));
    const char *dot = memrchr(good.p, '.', good.n), *cut = memrchr(other.p, '.', other.n);
    view spliced = arena_text(&b->a, "%.*s%s", (int)(cut - other.p), other.p, dot);
    assert_int_equal(verify(b, spliced), RC_DENIED);
    assert_int_equal(verify(b, (view){ .p = good.p, .n = (size_t)(dot - good.p) + 1 }), RC_DENIED);
    assert_int_equal(b->web.calls, 0); /* the remote verifier has no say in it */
}

static void the_second_key_is_tried_after_the_first(void **state)
{
    struct bench *b = *state;
    open_with_file(b, set_of(b, test_jwk(&b->a, key1, "k1", ""), test_jwk(&b->a, key2, "k2", "")));
    assert_int_equal(verify(b, test_jwt(&b->a, key2, AT_HEADER, claims(b, ""))), RC_OK); /* says k1 */
    assert_int_equal(
        verify(b, test_jwt(&b->a, key2, "{\"alg\":\"RS256\",\"typ\":\"at+jwt\"}", claims(b, ""))), RC_OK);
}

/* key1 with another e. */
static const char *with_exponent(struct bench *b, const char *e)
{
    return arena_text(&b->a, "{\"kty\":\"RSA\",\"kid\":\"k1\",\"n\":\"%.*s\"%s}",
                      VIEW_ARG(jwk_number(&b->a, key1, OSSL_PKEY_PARAM_RSA_N)), e)
        .p;
}

static void keys_for_other_uses_are_not_taken(void **state)
{
    struct bench *b = *state;
    EVP_PKEY *small = test_key(1024);
    const char *sets[] = {
        set_of(b, test_jwk(&b->a, key1, "k1", ",\"use\":\"enc\""), NULL),
        set_of(b, test_jwk(&b->a, key1, "k1", ",\"alg\":\"RS512\""), NULL),
        set_of(b, test_jwk(&b->a, small, "k1", ""), NULL),
        set_of(b, "{\"kty\":\"oct\",\"k\":\"AQID\",\"kid\":\"k1\"}", NULL),
        set_of(b, "7", NULL),
        "{\"keys\":[]}",
        "{\"keys\":7}",
        "[]",
        "",
        "{\"keys\":[{\"kty\":\"RSA\"}]}",
        set_of(b, with_exponent(b, ""), NULL),
        set_of(b, with_exponent(b, ",\"e\":\"\""), NULL),
        set_of(b, with_exponent(b, ",\"e\":65537"), NULL),
        set_of(b, with_exponent(b, ",\"e\":\"AQ+B\""), NULL),
        set_of(b, with_exponent(b, ",\"e\":\"AQ\""), NULL), /* 1: everybody could sign */
        set_of(b, with_exponent(b, ",\"e\":\"Ag\""), NULL),
    };
    open_with_file(b, set_of(b, test_jwk(&b->a, key1, "k1", ""), NULL));
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        write_file(b, sets[i]);
        assert_int_equal(oauth_reload(b->o, NULL), RC_BAD_INPUT);
    }
    /* and the keys at hand stay */
    assert_int_equal(verify(b, test_jwt(&b->a, key1, AT_HEADER, claims(b, ""))), RC_OK);
    EVP_PKEY_free(small);
}

static void a_reload_brings_new_keys(void **state)
{
    struct bench *b = *state;
    open_with_file(b, set_of(b, test_jwk(&b->a, key1, "k1", ""), NULL));
    view t = test_jwt(&b->a, key2, AT_HEADER, claims(b, ""));
    assert_int_equal(verify(b, t), RC_DENIED);
    write_file(b, set_of(b, test_jwk(&b->a, key2, "k2", ""), NULL));
    assert_int_equal(oauth_reload(b->o, NULL), RC_OK);
    assert_int_equal(verify(b, t), RC_OK);
    assert_int_equal(verify(b, test_jwt(&b->a, key1, AT_HEADER, claims(b, ""))), RC_DENIED);
}

static void what_is_no_jwt_is_refused_without_a_verifier(void **state)
{
    struct bench *b = *state;
    static const char *const tokens[] = { "abc",      "a.b",     "a.b.c",    "....",
                                          "\xff\xfe", "e30.e30", "e30.e30.", "e30.e30.AA.AA" };
    open_with_file(b, set_of(b, test_jwk(&b->a, key1, "k1", ""), NULL));
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++)
        if (verify(b, view_of(tokens[i])) != RC_DENIED)
            fail_msg("%s", tokens[i]);
    char *huge = arena_alloc(&b->a, 65536);
    memset(huge, 'a', 65536);
    assert_int_equal(verify(b, (view){ .p = huge, .n = 65536 }), RC_DENIED);
    assert_int_equal(b->web.calls, 0);
}

static void without_keys_it_is_our_trouble(void **state)
{
    struct bench *b = *state;
    b->conf.jwks_file = "/nonexistent/jwks.json";
    assert_int_equal(oauth_open(&b->conf, &b->o, NULL), RC_OK);
    assert_int_equal(oauth_reload(b->o, NULL), RC_BAD_INPUT);
    assert_int_equal(verify(b, test_jwt(&b->a, key1, AT_HEADER, claims(b, ""))), RC_AWAY);
    assert_int_equal(verify(b, VIEW("no-jwt")), RC_DENIED);
    assert_int_equal(b->web.calls, 0);
}

/* ---- the JWK-set URL ---- */

static void the_url_is_asked_once_and_then_hourly(void **state)
{
    struct bench *b = *state;
    open_with_url(b, set_of(b, test_jwk(&b->a, key1, "k1", ""), NULL));
    view t = test_jwt(&b->a, key1, AT_HEADER, claims(b, ""));
    assert_int_equal(b->web.calls, 0); /* not before it is needed */
    for (int i = 0; i < 5; i++)
        assert_int_equal(verify(b, t), RC_OK);
    assert_int_equal(b->web.calls, 1);
    assert_string_equal(b->web.url, "https://accounts.example.net/v1/jwks");
    b->clock.steady_us += INT64_C(3599) * 1000000;
    assert_int_equal(verify(b, t), RC_OK);
    assert_int_equal(b->web.calls, 1);
    b->clock.steady_us += 1000000;
    assert_int_equal(verify(b, t), RC_OK);
    assert_int_equal(b->web.calls, 2);
}

static void an_unknown_kid_asks_at_most_once_a_minute(void **state)
{
    struct bench *b = *state;
    open_with_url(b, set_of(b, test_jwk(&b->a, key1, "k1", ""), NULL));
    const char *header2 = "{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"k2\"}";
    view one = test_jwt(&b->a, key1, AT_HEADER, claims(b, "")),
         two = test_jwt(&b->a, key2, header2, claims(b, ""));
    assert_int_equal(verify(b, one), RC_OK);
    b->web.body = set_of(b, test_jwk(&b->a, key1, "k1", ""), test_jwk(&b->a, key2, "k2", ""));
    assert_int_equal(verify(b, two), RC_DENIED); /* within the minute of the first fetch */
    assert_int_equal(b->web.calls, 1);
    b->clock.steady_us += INT64_C(60) * 1000000;
    assert_int_equal(verify(b, two), RC_OK);
    assert_int_equal(b->web.calls, 2);
    view junk =
        test_jwt(&b->a, foreign, "{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"k3\"}", claims(b, ""));
    for (int i = 0; i < 5; i++)
        assert_int_equal(verify(b, junk), RC_DENIED);
    assert_int_equal(b->web.calls, 2);
}

static void keys_are_kept_while_the_url_is_away(void **state)
{
    struct bench *b = *state;
    open_with_url(b, set_of(b, test_jwk(&b->a, key1, "k1", ""), NULL));
    view t = test_jwt(&b->a, key1, AT_HEADER, claims(b, ""));
    assert_int_equal(verify(b, t), RC_OK);
    static const struct {
        rc result;
        long status;
        const char *body;
    } rows[] = {
        { RC_AWAY, 0, "" }, { RC_OK, 500, "" }, { RC_OK, 200, "<html>" }, { RC_OK, 200, "{\"keys\":[]}" }
    };
    for (size_t i = 0; i < 4; i++) {
        b->web.result = rows[i].result;
        b->web.status = rows[i].status;
        b->web.body = rows[i].body;
        b->clock.steady_us += INT64_C(3600) * 1000000;
        assert_int_equal(verify(b, t), RC_OK);
        assert_int_equal(b->web.calls, 2 + (int)i);
        assert_int_equal(b->web.failures, 1 + (int)i);
    }
}

static void a_url_that_was_away_is_asked_again_soon(void **state)
{
    struct bench *b = *state;
    open_with_url(b, set_of(b, test_jwk(&b->a, key1, "k1", ""), NULL));
    view t = test_jwt(&b->a, key1, AT_HEADER, claims(b, ""));
    b->web.result = RC_AWAY;
    assert_int_equal(verify(b, t), RC_AWAY);
    assert_int_equal(verify(b, t), RC_AWAY);
    assert_int_equal(b->web.calls, 1); /* not for every request */
    b->web.result = RC_OK;
    b->clock.steady_us += 1000000;
    assert_int_equal(verify(b, t), RC_OK);
}

static void with_nothing_configured_mozilla_is_asked(void **state)
{
    struct bench *b = *state;
    assert_int_equal(oauth_open(&b->conf, &b->o, NULL), RC_OK);
    b->web.result = RC_AWAY;
    assert_int_equal(verify(b, test_jwt(&b->a, key1, AT_HEADER, claims(b, ""))), RC_AWAY);
    assert_string_equal(b->web.url, OAUTH_MOZILLA_JWKS);
    assert_true(view_eq(oauth_server_url(b->o, &b->a), VIEW("https://oauth.accounts.firefox.com/v1")));
}

/* ---- the remote verifier ---- */

static void the_verifier_decides_about_what_is_no_jwt(void **state)
{
    struct bench *b = *state;
    struct oauth_user u;
    static const struct {
        rc result;
        long status;
        const char *body;
        rc expected;
    } rows[] = {
        { RC_OK, 200, "{\"user\":\"" TEST_SUB "\",\"scope\":[\"x\",\"" OLDSYNC "\"],\"generation\":7}",
          RC_OK },
        { RC_OK, 200, "{\"user\":\"" TEST_SUB "\",\"scope\":[\"x\"]}", RC_DENIED },
        { RC_OK, 200, "{\"user\":\"" TEST_SUB "\",\"scope\":[\"" OLDSYNC ".x\"]}", RC_DENIED },
        { RC_OK, 200, "{\"user\":\"" TEST_SUB "\",\"scope\":\"" OLDSYNC "\"}", RC_DENIED },
        { RC_OK, 200, "{\"user\":\"a@b\",\"scope\":[\"" OLDSYNC "\"]}", RC_DENIED },
        { RC_OK, 200, "{\"scope\":[\"" OLDSYNC "\"]}", RC_DENIED },
        { RC_OK, 200, "[]", RC_DENIED },
        { RC_OK, 200, "nonsense", RC_DENIED },
        { RC_OK, 401, "{\"user\":\"" TEST_SUB "\",\"scope\":[\"" OLDSYNC "\"]}", RC_DENIED },
        { RC_OK, 500, "", RC_DENIED },
        { RC_BROKEN, 0, "", RC_DENIED }, /* an answer too long */
        { RC_AWAY, 0, "", RC_AWAY },
    };
    b->conf.verify_url = "https://accounts.example.net/v1";
    open_with_file(b, set_of(b, test_jwk(&b->a, key1, "k1", ""), NULL));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        b->web.result = rows[i].result;
        b->web.status = rows[i].status;
        b->web.body = rows[i].body;
        if (verify(b, VIEW("opaque\"token")) != rows[i].expected)
            fail_msg("row %zu", i);
    }
    assert_string_equal(b->web.url, "https://accounts.example.net/v1/verify");
    assert_string_equal(b->web.sent, "{\"token\":\"opaque\\\"token\"}");
    b->web = (struct fake_web){ .status = 200, .body = rows[0].body };
    assert_int_equal(verify_with(b, VIEW("opaque"), &u, NULL), RC_OK);
    assert_int_equal(u.generation, 7);
}

static void the_verifier_decides_when_there_are_no_keys(void **state)
{
    struct bench *b = *state;
    b->conf.verify_url = "https://accounts.example.net/v1/verify";
    assert_int_equal(oauth_open(&b->conf, &b->o, NULL), RC_OK);
    b->web =
        (struct fake_web){ .status = 200, .body = "{\"user\":\"" TEST_SUB "\",\"scope\":[\"" OLDSYNC "\"]}" };
    assert_int_equal(verify(b, test_jwt(&b->a, key1, AT_HEADER, claims(b, ""))), RC_OK);
    assert_string_equal(b->web.url, "https://accounts.example.net/v1/verify");
    /* what can be refused without it is refused without it */
    int calls = b->web.calls;
    assert_int_equal(verify(b, test_jwt(&b->a, key1, "{\"alg\":\"RS256\",\"typ\":\"JWT\"}", claims(b, ""))),
                     RC_DENIED);
    assert_int_equal(b->web.calls, calls);
}

/* ---- events ---- */

static rc event(struct bench *b, EVP_PKEY *k, const char *text)
{
    SCOPED(json_decref) json_t *got = NULL;
    struct oauth_http http = fake_http(&b->web);
    view t = test_jwt(&b->a, k, "{\"alg\":\"RS256\",\"typ\":\"secevent+jwt\"}", text);
    return oauth_event(b->o, &http, t, VIEW("client1"), &b->a, &got, NULL);
}

static void an_event_must_be_signed_for_us_and_from_our_issuer(void **state)
{
    struct bench *b = *state;
    b->conf.issuer = "https://accounts.example.net";
    open_with_file(b, set_of(b, test_jwk(&b->a, key1, "k1", ""), test_jwk(&b->a, key2, "k2", "")));
#define ISS ",\"iss\":\"https://accounts.example.net\"}"
    assert_int_equal(event(b, key1, "{\"aud\":\"client1\"" ISS), RC_OK);
    assert_int_equal(event(b, key2, "{\"aud\":\"client1\"" ISS), RC_OK);
    assert_int_equal(event(b, key1, "{\"aud\":[\"x\",\"client1\"]" ISS), RC_OK);
    assert_int_equal(event(b, foreign, "{\"aud\":\"client1\"" ISS), RC_DENIED);
    assert_int_equal(event(b, key1, "{\"aud\":\"client2\"" ISS), RC_DENIED);
    assert_int_equal(event(b, key1, "{\"x\":1" ISS), RC_DENIED);
    assert_int_equal(event(b, key1, "{\"aud\":\"client1\",\"iss\":\"https://evil\"}"), RC_DENIED);
    assert_int_equal(event(b, key1, "{\"aud\":\"client1\"}"), RC_DENIED);
}

static void an_empty_scope_is_refused_at_start(void **state)
{
    struct bench *b = *state;
    b->conf.scope = "";
    assert_int_equal(oauth_open(&b->conf, &b->o, NULL), RC_BAD_INPUT);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_token_tells_who_it_is),
        TEST(types_are_compared_as_media_types),
        TEST(a_key_inside_the_token_counts_for_nothing),
        TEST(claims_are_checked),
        TEST(a_generation_that_is_no_integer_is_told),
        TEST(the_issuer_counts_only_when_it_is_pinned),
        TEST(a_signature_that_no_key_made_is_refused),
        TEST(the_second_key_is_tried_after_the_first),
        TEST(keys_for_other_uses_are_not_taken),
        TEST(a_reload_brings_new_keys),
        TEST(what_is_no_jwt_is_refused_without_a_verifier),
        TEST(without_keys_it_is_our_trouble),
        TEST(the_url_is_asked_once_and_then_hourly),
        TEST(an_unknown_kid_asks_at_most_once_a_minute),
        TEST(keys_are_kept_while_the_url_is_away),
        TEST(a_url_that_was_away_is_asked_again_soon),
        TEST(with_nothing_configured_mozilla_is_asked),
        TEST(the_verifier_decides_about_what_is_no_jwt),
        TEST(the_verifier_decides_when_there_are_no_keys),
        TEST(an_event_must_be_signed_for_us_and_from_our_issuer),
        TEST(an_empty_scope_is_refused_at_start),
    };
    key1 = test_key(2048);
    key2 = test_key(2048);
    foreign = test_key(2048);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    EVP_PKEY_free(key1);
    EVP_PKEY_free(key2);
    EVP_PKEY_free(foreign);
    return failed;
}
