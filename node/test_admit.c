#include "node/admit.h"

#include "common/auth/hawk.h"
#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/scope.h"
#include "common/web/inside.h"
#include "node/sync/sync.h"
#include "node/testing.h"

#define NOW_US INT64_C(1767225600000000)
#define NOW_S  INT64_C(1767225600)
#define SECRET "5b1f0e7c9d2a4483b6c0a1e2f3d4958677665544332211ffeeddccbbaa998877"
#define URL    "https://node17.sync.example.net"
#define PEER   "203.0.113.9"

/* A door with nothing behind it: a node without store and cache. */
struct door {
    struct clock_fake clock;
    struct node_conf conf;
    struct secrets *secrets;
    struct node node;
    view urls[2];
    struct mount mount;
    struct web_request *w; /* the request of the moment */
    struct err e;
    bool late;
};

static void door_open(struct door *d, const char *const *secrets, size_t n_secrets, const char *node_url,
                      const char *public_url)
{
    struct conf_list list = { .items = (char **)(uintptr_t)secrets, .n = n_secrets };
    *d = (struct door){ .conf = { .hawk_window_s = HAWK_WINDOW_LAX_S, .token_grace_s = 7200 } };
    clock_fake_init(&d->clock, NOW_US);
    assert_int_equal(secrets_new(&list, 8, &d->secrets, NULL), RC_OK);
    d->urls[0] = view_of(node_url);
    d->urls[1] = VIEW("https://alias.example.net");
    d->node =
        (struct node){ .conf = &d->conf, .clock = &d->clock.clock, .own_urls = d->urls, .n_own_urls = 2 };
    assert_true(url_cut(view_of(public_url), &d->node.public_url));
    assert_int_equal(token_verifier_new(d->secrets, d->urls, 2, 7200, &d->node.verifier, NULL), RC_OK);
    d->node.admit = admit_new(&d->node);
    d->mount = (struct mount){ .name = "sync",
                               .service = "sync",
                               .routes = sync_routes,
                               .n_routes = sync_routes_n,
                               .kinds = sync_param_kinds,
                               .n_kinds = sync_param_kinds_n,
                               .app = &d->node };
}

static void door_open_plain(struct door *d)
{
    static const char *const secrets[] = { SECRET };
    door_open(d, secrets, 1, URL, URL);
}

/* Settings that the door reads when it is made. */
static void door_make_strict(struct door *d)
{
    admit_free(d->node.admit);
    d->conf.hawk_strict = true;
    d->node.nonces = nonces_new(100, 2 * admit_hawk_window_s(&d->conf));
    d->node.admit = admit_new(&d->node);
}

static void door_close(struct door *d)
{
    web_request_free(d->w);
    admit_free(d->node.admit);
    token_verifier_free(d->node.verifier);
    secrets_free(d->secrets);
    authority_free(d->node.authority);
    if (d->node.nonces)
        nonces_free(d->node.nonces);
}

/* ---- requests ---- */

static struct request *ask(struct door *d, const char *method, const char *target)
{
    unsigned allow;
    web_request_free(d->w);
    d->w = web_request_new(&d->clock.clock, (size_t)1 << 20, view_of(target));
    web_request_method(d->w, view_of(method));
    struct request *rq = &d->w->rq;
    view base = d->node.public_url.base;
    if (route_find(&d->mount, 1, false, base, rq->method, rq->path, rq->arena, &rq->route, &rq->mount,
                   rq->params, &rq->n_params, &allow) != ROUTE_FOUND)
        fail_msg("no route for %s %s", method, target);
    rq->app = &d->node;
    rq->peer = VIEW(PEER);
    d->e = ERR_NONE;
    d->late = false;
    return rq;
}

static void with_header(struct door *d, const char *name, view value)
{
    web_request_header_add(d->w, view_of(name), value);
}

static rc knock(struct door *d)
{
    return admit_headers(&d->w->rq, &d->late, &d->e);
}

static const char *reason(const struct door *d)
{
    return d->w->rq.log_reason ? d->w->rq.log_reason : "";
}

/* What a client signs; fields left out are as they should be. */
struct sign {
    int64_t uid;
    const char *svc, *node;
    int64_t expires_in_s, ts;
    const char *host, *method, *target, *nonce, *hash;
    unsigned port;
    int64_t epoch;
};

static struct request *ask_signed(struct door *d, const char *method, const char *target, struct sign s)
{
    struct request *rq = ask(d, method, target);
    struct buf header = { 0 };
    struct token t = { .uid = s.uid ? s.uid : 12345,
                       .epoch = s.epoch,
                       .node = view_of(s.node ? s.node : URL),
                       .expires = (double)(NOW_S + (s.expires_in_s ? s.expires_in_s : 3600)),
                       .svc = view_of(s.svc) };
    struct hawk_request r = { .method = view_of(s.method ? s.method : method),
                              .target = view_of(s.target ? s.target : target),
                              .host = view_of(s.host ? s.host : "node17.sync.example.net"),
                              .port = s.port ? s.port : 443 };
    char key[TOKEN_KEY_TEXT];
    view id;
    token_mint(d->secrets, &t, rq->arena, &id, key);
    hawk_sign(id, (view){ .p = key, .n = sizeof(key) }, &r, s.ts ? s.ts : NOW_S,
              view_of(s.nonce ? s.nonce : "abc"), view_of(s.hash), &header);
    with_header(d, "Authorization", arena_copy(rq->arena, buf_view(&header)));
    buf_done(&header);
    return rq;
}

#define INFO "/1.5/12345/info/collections"
#define TABS "/1.5/12345/storage/tabs"

/* ---- Hawk ---- */

static void check_vector(const json_t *v)
{
    const char *secrets[4];
    size_t n = 0, i;
    const json_t *item, *request = json_object_get(v, "request"), *expect = json_object_get(v, "expect");
    json_array_foreach (json_object_get(v, "accepted_secrets"), i, item)
        secrets[n++] = json_string_value(item);
    char public_url[200];
    snprintf(public_url, sizeof(public_url), "%s://%s", json_string_value(json_object_get(request, "scheme")),
             json_string_value(json_object_get(request, "host_header")));
    struct door d;
    door_open(&d, secrets, n, json_string_value(json_object_get(v, "node")), public_url);
    d.clock.wall_us = json_integer_value(json_object_get(v, "now")) * 1000000;
    ask(&d, json_string_value(json_object_get(request, "method")),
        json_string_value(json_object_get(request, "path_and_query")));
    const char *authorization = json_string_value(json_object_get(v, "authorization"));
    if (authorization)
        with_header(&d, "Authorization", view_of(authorization));
    rc r = knock(&d);
    const char *name = json_string_value(json_object_get(v, "name"));
    const char *why = json_string_value(json_object_get(expect, "reason"));
    if ((json_integer_value(json_object_get(expect, "status")) == 200) != (r == RC_OK) ||
        (r != RC_OK && r != RC_DENIED) || strcmp(reason(&d), why ? why : "") != 0)
        fail_msg("%s: %s, reason \"%s\"", name, rc_name(r), reason(&d));
    door_close(&d);
}

static void every_end_to_end_vector_is_answered_as_it_says(void **state)
{
    (void)state;
    json_error_t why;
    json_t *all = json_load_file("tests/data/hawk.json", 0, &why);
    const json_t *vector;
    size_t i;
    assert_non_null(all);
    assert_true(json_array_size(json_object_get(all, "end_to_end_vectors")) >= 16);
    json_array_foreach (json_object_get(all, "end_to_end_vectors"), i, vector)
        check_vector(vector);
    json_decref(all);
}

static void a_good_token_tells_who_it_is(void **state)
{
    (void)state;
    struct door d;
    door_open_plain(&d);
    struct request *rq = ask_signed(&d, "GET", TABS, (struct sign){ .epoch = 7 });
    assert_int_equal(knock(&d), RC_OK);
    assert_int_equal(rq->who.uid, 12345);
    assert_int_equal(rq->who.epoch, 7);
    assert_false(rq->who.expired);
    assert_false(d.late);
    door_close(&d);
}

static void what_is_wrong_with_a_signature_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *claim, *method, *target;
        struct sign sign;
        const char *reason; /* "": let in */
    } cases[] = {
        { "other host", "GET", TABS, { .host = "other.example.net" }, "bad-mac" },
        { "other port", "GET", TABS, { .port = 8443 }, "bad-mac" },
        { "other method", "POST", TABS, { .method = "GET" }, "bad-mac" },
        { "other path", "GET", TABS, { .target = INFO }, "bad-mac" },
        { "query added", "GET", TABS "?full=1", { .target = TABS }, "bad-mac" },
        { "bare mark dropped", "GET", TABS "?", { .target = TABS }, "" },
        { "alias of the node", "GET", TABS, { .node = "https://alias.example.net" }, "" },
        { "another node", "GET", TABS, { .node = "https://node18.sync.example.net" }, "wrong-node" },
        { "another user", "GET", TABS, { .uid = 12346 }, "uid-mismatch" },
        { "our service", "GET", TABS, { .svc = "sync" }, "" },
        { "another service", "GET", TABS, { .svc = "records" }, "wrong-service" },
        { "a clock one year behind", "GET", TABS, { .ts = NOW_S - HAWK_WINDOW_LAX_S }, "" },
        { "a second more", "GET", TABS, { .ts = NOW_S - HAWK_WINDOW_LAX_S - 1 }, "stale" },
        { "expired, in the grace", "GET", INFO, { .expires_in_s = -7199 }, "" },
        { "expired, in the grace, HEAD", "HEAD", INFO, { .expires_in_s = -60 }, "" },
        { "expired, past the grace", "GET", INFO, { .expires_in_s = -7200 }, "expired" },
        { "expired, another route", "GET", TABS, { .expires_in_s = -60 }, "expired" },
        { "expired, writing", "POST", TABS, { .expires_in_s = -60 }, "expired" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct door d;
        door_open_plain(&d);
        ask_signed(&d, cases[i].method, cases[i].target, cases[i].sign);
        rc r = knock(&d);
        if (strcmp(reason(&d), cases[i].reason) != 0 || r != (cases[i].reason[0] ? RC_DENIED : RC_OK))
            fail_msg("%s: %s, \"%s\"", cases[i].claim, rc_name(r), reason(&d));
        door_close(&d);
    }
}

static void two_authorizations_are_none(void **state)
{
    (void)state;
    struct door d;
    door_open_plain(&d);
    ask_signed(&d, "GET", TABS, (struct sign){ 0 });
    with_header(&d, "Authorization", VIEW("Hawk id=\"x\""));
    assert_int_equal(knock(&d), RC_DENIED);
    assert_string_equal(reason(&d), "two-credentials");
    door_close(&d);
}

static void the_public_base_path_is_signed_whether_or_not_it_arrives(void **state)
{
    (void)state;
    static const char *const secrets[] = { SECRET };
    static const struct {
        const char *target, *signed_target;
        bool good;
    } cases[] = {
        { "/sync" TABS, "/sync" TABS, true },
        { TABS, "/sync" TABS, true }, /* a proxy stripped it */
        { TABS, TABS, true },         /* somebody who comes past the proxy */
        { "/sync" TABS, TABS, false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct door d;
        door_open(&d, secrets, 1, URL, URL "/sync");
        ask_signed(&d, "GET", cases[i].target, (struct sign){ .target = cases[i].signed_target });
        if ((knock(&d) == RC_OK) != cases[i].good)
            fail_msg("%s signed as %s: \"%s\"", cases[i].target, cases[i].signed_target, reason(&d));
        door_close(&d);
    }
}

static void strict_mode_knows_replays_and_a_window_of_a_minute(void **state)
{
    (void)state;
    struct door d;
    door_open_plain(&d);
    door_make_strict(&d);
    static const struct {
        struct sign sign;
        const char *reason;
    } cases[] = {
        { { .nonce = "n1" }, "" },
        { { .nonce = "n2" }, "" },
        { { .nonce = "n3", .ts = NOW_S - 60 }, "" },
        { { .nonce = "n3", .ts = NOW_S + 60 }, "" },
        { { .nonce = "n3", .ts = NOW_S - 61 }, "stale" },
        { { .nonce = "n3", .ts = NOW_S + 61 }, "stale" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask_signed(&d, "GET", TABS, cases[i].sign);
        (void)knock(&d);
        assert_string_equal(reason(&d), cases[i].reason);
    }
    struct request *rq = ask_signed(&d, "GET", TABS, (struct sign){ .nonce = "again" });
    view header = request_header(rq, "Authorization");
    char copy[2048];
    snprintf(copy, sizeof(copy), "%.*s", VIEW_ARG(header));
    assert_int_equal(knock(&d), RC_OK);
    ask(&d, "GET", TABS);
    with_header(&d, "Authorization", view_of(copy));
    assert_int_equal(knock(&d), RC_DENIED);
    assert_string_equal(reason(&d), "replayed");
    door_close(&d);
}

static void a_payload_hash_must_be_that_of_the_body(void **state)
{
    (void)state;
    struct door d;
    char hash[HAWK_MAC_TEXT + 1] = { 0 };
    hawk_payload_hash(VIEW("application/json"), VIEW("[]"), hash);
    door_open_plain(&d);
    struct request *rq = ask_signed(&d, "POST", TABS, (struct sign){ .hash = hash });
    assert_int_equal(knock(&d), RC_OK);
    rq->content_type = VIEW("application/json");
    rq->body = VIEW("[]");
    assert_int_equal(admit_body(rq, &d.e), RC_OK);
    rq->body = VIEW("[{}]");
    assert_int_equal(admit_body(rq, &d.e), RC_DENIED);
    assert_string_equal(reason(&d), "bad-payload-hash");
    rq = ask_signed(&d, "POST", TABS, (struct sign){ 0 });
    assert_int_equal(knock(&d), RC_OK);
    rq->body = VIEW("anything");
    assert_int_equal(admit_body(rq, &d.e), RC_OK); /* no hash, no check */
    door_close(&d);
}

/* ---- Basic, refusals ---- */

static struct oracle directory;

static void door_open_with_directory(struct door *d)
{
    door_open_plain(d);
    const struct authority_driver driver = { .verify = oracle_says, .arg = &directory };
    assert_int_equal(authority_new(&driver, &d->clock.clock, 60, 100, &d->node.authority, NULL), RC_OK);
    directory = (struct oracle){ .answer = RC_OK, .uid = 99, .epoch = 2, .node = URL };
}

static struct request *ask_basic(struct door *d, const char *target, const char *credentials)
{
    struct request *rq = ask(d, "GET", target);
    struct buf b = { 0 };
    buf_add(&b, VIEW("Basic "));
    base64_put(&b, BASE64_STD, view_of(credentials));
    with_header(d, "Authorization", arena_copy(rq->arena, buf_view(&b)));
    buf_done(&b);
    return rq;
}

#define ANNA "/1.1/Anna/info/collections"

static void a_password_is_asked_late_once_and_then_known(void **state)
{
    (void)state;
    struct door d;
    door_open_with_directory(&d);
    struct request *rq = ask_basic(&d, ANNA, "anNA:secret");
    assert_int_equal(knock(&d), RC_OK);
    assert_true(d.late);
    assert_int_equal(admit_late(rq, &d.e), RC_OK);
    assert_int_equal(rq->who.uid, 99);
    assert_int_equal(rq->who.epoch, 2);
    assert_true(view_eq(rq->who.name, VIEW("anna")));
    rq = ask_basic(&d, ANNA, "anna:secret");
    assert_int_equal(knock(&d), RC_OK);
    assert_false(d.late);
    assert_int_equal(rq->who.uid, 99);
    assert_int_equal(directory.asked, 1);
    door_close(&d);
}

static void what_is_wrong_with_basic_is_401_and_a_silent_directory_503(void **state)
{
    (void)state;
    static const struct {
        const char *claim, *credentials;
        rc directory;
        const char *node;
        rc expected;
        const char *reason;
    } cases[] = {
        { "no colon", "anna", RC_OK, URL, RC_DENIED, "no-credentials" },
        { "empty password", "anna:", RC_OK, URL, RC_DENIED, "no-credentials" },
        { "not UTF-8", "anna:\xff", RC_OK, URL, RC_DENIED, "no-credentials" },
        { "another name", "bert:secret", RC_OK, URL, RC_DENIED, "name-mismatch" },
        { "wrong password", "anna:wrong", RC_DENIED, URL, RC_DENIED, "denied" },
        { "directory away", "anna:secret", RC_AWAY, URL, RC_AWAY, "" },
        { "colons and blanks", "anna: a:b \xe2\x98\x83", RC_OK, URL, RC_OK, "" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct door d;
        door_open_with_directory(&d);
        directory.answer = cases[i].directory;
        directory.node = cases[i].node;
        struct request *rq = ask_basic(&d, ANNA, cases[i].credentials);
        rc r = knock(&d);
        if (r == RC_OK && d.late)
            r = admit_late(rq, &d.e);
        if (r != cases[i].expected || strcmp(reason(&d), cases[i].reason) != 0)
            fail_msg("%s: %s, \"%s\"", cases[i].claim, rc_name(r), reason(&d));
        door_close(&d);
    }
}

static void without_a_directory_passwords_are_503_but_no_credentials_401(void **state)
{
    (void)state;
    struct door d;
    door_open_plain(&d);
    ask_basic(&d, ANNA, "anna:secret");
    assert_int_equal(knock(&d), RC_AWAY);
    ask(&d, "GET", ANNA);
    assert_int_equal(knock(&d), RC_DENIED);
    door_close(&d);
}

static void a_refused_uid_is_401_until_it_is_allowed(void **state)
{
    (void)state;
    struct door d;
    door_open_with_directory(&d);
    authority_refuse(d.node.authority, 12345, NOW_S + 100);
    ask_signed(&d, "GET", TABS, (struct sign){ 0 });
    assert_int_equal(knock(&d), RC_DENIED);
    assert_string_equal(reason(&d), "refused");
    authority_allow(d.node.authority, 12345);
    ask_signed(&d, "GET", TABS, (struct sign){ 0 });
    assert_int_equal(knock(&d), RC_OK);
    door_close(&d);
}

static void who_is_refused_while_he_is_asked_about_gets_401(void **state)
{
    (void)state;
    struct door d;
    door_open_with_directory(&d);
    struct request *rq = ask_signed(&d, "GET", TABS, (struct sign){ 0 });
    assert_int_equal(knock(&d), RC_OK);
    authority_refuse(d.node.authority, 12345, NOW_S + 100);
    assert_int_equal(admit_late(rq, &d.e), RC_DENIED);
    assert_string_equal(reason(&d), "refused");
    authority_refuse(d.node.authority, 99, NOW_S + 100);
    rq = ask_basic(&d, ANNA, "anna:secret"); /* a password is asked about, not refused by number */
    assert_int_equal(knock(&d), RC_OK);
    assert_int_equal(admit_late(rq, &d.e), RC_OK);
    door_close(&d);
}

static rc guess_once(struct door *d, view peer)
{
    struct request *rq = ask_basic(d, ANNA, "anna:wrong");
    rq->peer = peer;
    rc r = knock(d);
    return r == RC_OK && d->late ? admit_late(rq, &d->e) : r;
}

static void guessing_is_slowed_down_by_address(void **state)
{
    (void)state;
    struct door d;
    door_open_with_directory(&d);
    directory.answer = RC_DENIED;
    for (int i = 0; i < 300; i++)
        assert_int_equal(guess_once(&d, VIEW(PEER)), RC_DENIED);
    assert_int_equal(guess_once(&d, VIEW(PEER)), RC_BUSY);
    int asked = directory.asked;
    assert_int_equal(guess_once(&d, VIEW(PEER)), RC_BUSY);
    assert_in_range(d.e.retry_after_s, 1, 60);
    assert_int_equal(directory.asked, asked); /* not even asked any more */
    assert_int_equal(guess_once(&d, VIEW("203.0.113.10")), RC_DENIED);
    ask_signed(&d, "GET", TABS, (struct sign){ 0 }); /* a good signature from there still passes */
    assert_int_equal(knock(&d), RC_OK);
    ask_signed(&d, "GET", TABS, (struct sign){ .port = 1 });
    assert_int_equal(knock(&d), RC_BUSY);
    d.clock.steady_us += 60000000;
    assert_int_equal(guess_once(&d, VIEW(PEER)), RC_DENIED);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(guess_once(&d, VIEW("127.0.0.1")), RC_DENIED);
    door_close(&d);
}

static void old_tokens_are_not_counted_as_guesses(void **state)
{
    (void)state;
    struct door d;
    door_open_plain(&d);
    for (int i = 0; i < 1000; i++) {
        ask_signed(&d, "GET", TABS, (struct sign){ .expires_in_s = -60 });
        assert_int_equal(knock(&d), RC_DENIED);
    }
    door_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_to_end_vector_is_answered_as_it_says),
        cmocka_unit_test(a_good_token_tells_who_it_is),
        cmocka_unit_test(what_is_wrong_with_a_signature_is_named),
        cmocka_unit_test(two_authorizations_are_none),
        cmocka_unit_test(the_public_base_path_is_signed_whether_or_not_it_arrives),
        cmocka_unit_test(strict_mode_knows_replays_and_a_window_of_a_minute),
        cmocka_unit_test(a_payload_hash_must_be_that_of_the_body),
        cmocka_unit_test(a_password_is_asked_late_once_and_then_known),
        cmocka_unit_test(what_is_wrong_with_basic_is_401_and_a_silent_directory_503),
        cmocka_unit_test(without_a_directory_passwords_are_503_but_no_credentials_401),
        cmocka_unit_test(a_refused_uid_is_401_until_it_is_allowed),
        cmocka_unit_test(who_is_refused_while_he_is_asked_about_gets_401),
        cmocka_unit_test(guessing_is_slowed_down_by_address),
        cmocka_unit_test(old_tokens_are_not_counted_as_guesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
