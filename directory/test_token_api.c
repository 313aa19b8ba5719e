/* The token server by its rows, without sockets: headers in, words or a token out. */
#include <pthread.h>

#include "common/auth/token.h"
#include "directory/testing_http.h"

#define PATH "/1.0/sync/1.5"

static EVP_PKEY *key, *foreign;

static int setup(void **state)
{
    *state = house_new(key);
    return 0;
}

static int teardown(void **state)
{
    house_free(*state);
    return 0;
}

static const char *bearer_of(struct house *h, const char *sub, int64_t generation, const char *scope)
{
    const char *g = generation ? arena_text(&h->a, ",\"fxa-generation\":%lld", (long long)generation).p : "";
    const char *claims = arena_text(&h->a, "{\"sub\":\"%s\",\"exp\":%lld,\"scope\":\"%s\"%s}", sub,
                                    (long long)NOW_S + 600, scope, g)
                             .p;
    return arena_text(&h->a, "Bearer %.*s", VIEW_ARG(test_jwt(&h->a, key, AT_HEADER, claims))).p;
}

static const char *bearer(struct house *h, int64_t generation)
{
    return bearer_of(h, TEST_SUB, generation, OLDSYNC);
}

static struct said get(struct house *h, const char *target, const char *authorization, const char *key_id)
{
    const char *const headers[] = { "Authorization", authorization, "X-KeyID", key_id, NULL };
    return ask(h, "GET", target, headers, VIEW(""));
}

static struct said get_g(struct house *h, int64_t generation, const char *key_id)
{
    return get(h, PATH, bearer(h, generation), key_id);
}

static void is_words(struct said s, int http, const char *status, const char *location, const char *name,
                     const char *description)
{
    char body[512];
    snprintf(body, sizeof(body),
             "{\"status\":\"%s\",\"errors\":[{\"location\":\"%s\",\"name\":\"%s\",\"description\":\"%s\"}]}",
             status, location, name, description);
    said_is(s, http, body);
    assert_true(said_header(s, "X-Timestamp").p != NULL);
    assert_true(view_eq(said_header(s, "X-Content-Type-Options"), VIEW("nosniff")));
    assert_string_equal(s.type, "application/json");
}

static int64_t uid_of(struct said s)
{
    if (s.status != 200)
        fail_msg("%d %.*s", s.status, VIEW_ARG(s.body));
    SCOPED(json_decref) json_t *j = said_json(s);
    return json_integer_value(json_object_get(j, "uid"));
}

/* Opens the token as the node would. */
static struct token token_in(struct house *h, struct said s, double now_s)
{
    struct secrets *list, *own;
    struct token_verifier *v;
    struct token t = { 0 };
    char hawk_key[TOKEN_KEY_TEXT];
    bool expired;
    view url = VIEW(OWN_URL);
    struct conf_list secret = { .items = h->secret, .n = 1 };
    if (s.status != 200)
        fail_msg("%d %.*s", s.status, VIEW_ARG(s.body));
    SCOPED(json_decref) json_t *j = said_json(s);
    assert_int_equal(secrets_new(&secret, 8, &list, NULL), RC_OK);
    assert_int_equal(secrets_derive(list, url, &own, NULL), RC_OK);
    assert_int_equal(token_verifier_new(h->conf.token_derived ? own : list, &url, 1, 0, &v, NULL), RC_OK);
    enum token_reason r = token_open(v, arena_copy(&h->a, json_text(json_object_get(j, "id"))), now_s, &h->a,
                                     &t, hawk_key, &expired);
    if (r != TOKEN_GOOD)
        fail_msg("%s", token_reason_name(r));
    assert_true(view_eq(json_text(json_object_get(j, "key")), (view){ .p = hawk_key, .n = TOKEN_KEY_TEXT }));
    token_verifier_free(v);
    secrets_free(own);
    secrets_free(list);
    return t;
}

/* ---- the answer ---- */

static void a_good_request_gets_a_token_that_the_node_opens(void **state)
{
    struct house *h = *state;
    house_open(h);
    const char *uid = "8f3ac2b1d4e54f6789aa0b1c2d3e4f50";
    struct said s =
        get(h, PATH, bearer_of(h, uid, 0, "profile " OLDSYNC), "1700000000123-AQIDBAUGBwgJCgsMDQ4PEA");
    struct token t = token_in(h, s, NOW_S);
    SCOPED(json_decref) json_t *j = said_json(s);
    assert_int_equal(json_object_size(j), 8);
    assert_int_equal(json_integer_value(json_object_get(j, "uid")), t.uid);
    assert_int_equal(json_integer_value(json_object_get(j, "duration")), 3600);
    assert_true(view_eq(json_text(json_object_get(j, "hashalg")), VIEW("sha256")));
    assert_true(view_eq(json_text(json_object_get(j, "node_type")), VIEW("mysql")));
    /* tests/data/tokens.json, fxa_metrics_hashes */
    assert_true(
        view_eq(json_text(json_object_get(j, "hashed_fxa_uid")), VIEW("55607c26fddee1eaef942d67306b34e5")));
    assert_true(view_eq(t.hashed_fxa_uid, VIEW("55607c26fddee1eaef942d67306b34e5")));
    assert_true(view_eq(t.hashed_device_id, VIEW("cd6638bf7d4731cc040518ee7a2a40d9")));
    char endpoint[128];
    snprintf(endpoint, sizeof(endpoint), ADDRESS "/1.5/%lld", (long long)t.uid);
    assert_true(view_eq(json_text(json_object_get(j, "api_endpoint")), view_of(endpoint)));
    assert_true(view_eq(t.node, VIEW(OWN_URL)));
    assert_true(view_eq(t.fxa_uid, view_of(uid)));
    assert_true(view_eq(t.fxa_kid, VIEW("1700000000123-AQIDBAUGBwgJCgsMDQ4PEA")));
    assert_int_equal(t.epoch, 1);
    assert_true(t.expires == (double)(NOW_S + 3600));
    assert_true(view_eq(said_header(s, "X-Timestamp"), VIEW("1767225600")));
    assert_true(view_eq(said_header(s, "X-Content-Type-Options"), VIEW("nosniff")));
}

static void the_key_id_of_the_vectors_is_read(void **state)
{
    struct house *h = *state;
    static const struct {
        const char *key_id, *kid;
    } rows[] = {
        { "1234-qqo", "0000000001234-qqo" },          { "2345-u7s", "0000000002345-u7s" },
        { "0000000001234-qqo", "0000000001234-qqo" }, { "0-_-8", "0000000000000-_-8" },
        { "1234-YWFh", "0000000001234-YWFh" },
    };
    house_open(h);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *sub = arena_text(&h->a, "user%zu", i).p;
        struct token t = token_in(h, get(h, PATH, bearer_of(h, sub, 0, OLDSYNC), rows[i].key_id), NOW_S);
        assert_true(view_eq(t.fxa_kid, view_of(rows[i].kid)));
    }
}

static void all_spellings_of_the_path_are_one(void **state)
{
    struct house *h = *state;
    static const char *const paths[] = { PATH, "/token/1.0/sync/1.5", "/tokenserver/1.0/sync/1.5",
                                         PATH "?x=y" };
    house_open(h);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(uid_of(get(h, paths[i], bearer(h, 0), "1234-qqo")), 1);
}

static void a_shorter_life_can_be_asked_for(void **state)
{
    struct house *h = *state;
    static const struct {
        const char *query;
        int64_t duration;
    } rows[] = { { "?duration=12", 12 },     { "?duration=3600", 3600 },
                 { "?duration=4000", 3600 }, { "?duration=lolwut", 3600 },
                 { "?duration=-1", 3600 },   { "?duration=0", 3600 },
                 { "?duration=", 3600 },     { "?duration", 3600 },
                 { "?duration=12.5", 3600 }, { "?duration=99999999999999999999", 3600 },
                 { "?duration=%31%32", 12 } };
    h->conf.token_late_s = 60;
    house_open(h);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct said s = get(h, arena_text(&h->a, PATH "%s", rows[i].query).p, bearer(h, 0), "1234-qqo");
        struct token t = token_in(h, s, NOW_S);
        SCOPED(json_decref) json_t *j = said_json(s);
        if (json_integer_value(json_object_get(j, "duration")) != rows[i].duration)
            fail_msg("%s", rows[i].query);
        assert_true(t.expires == (double)(NOW_S + rows[i].duration + 60));
    }
}

static void a_fixed_secret_signs_for_all_nodes(void **state)
{
    struct house *h = *state;
    h->conf.token_derived = false;
    house_open(h);
    token_in(h, get_g(h, 0, "1234-qqo"), NOW_S);
}

/* ---- refusals ---- */

static void credentials_that_are_missing_or_bad_have_their_words(void **state)
{
    struct house *h = *state;
    static const struct {
        const char *authorization, *status, *description;
    } rows[] = {
        { NULL, "error", "Unauthorized" },
        { "", "error", "Unauthorized" },
        { "Bearer", "error", "Unauthorized" },
        { "Bearer ", "error", "Unauthorized" },
        { "Bearer  abc", "error", "Unauthorized" },
        { "Bearer a b", "error", "Unauthorized" },
        { "Unknown abc", "error", "Unsupported" },
        { "BrowserID abc", "error", "Unsupported" },
        { "Basic YTpi", "error", "Unsupported" },
        { "Bearer abc", "invalid-credentials", "Unauthorized" },
        { "Bearer a.b.c", "invalid-credentials", "Unauthorized" },
    };
    house_open(h);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *const with[] = { "Authorization", rows[i].authorization, "X-KeyID", "1234-qqo", NULL };
        const char *const without[] = { "X-KeyID", "1234-qqo", NULL };
        struct said s = ask(h, "GET", PATH, rows[i].authorization ? with : without, VIEW(""));
        is_words(s, 401, rows[i].status, "body", "", rows[i].description);
        assert_true(view_eq(said_header(s, "WWW-Authenticate"), VIEW("Bearer")));
    }
    const char *const twice[] = { "Authorization", "Bearer a", "Authorization", "Bearer a", "X-KeyID",
                                  "1234-qqo",      NULL };
    is_words(ask(h, "GET", PATH, twice, VIEW("")), 401, "error", "body", "", "Unauthorized");
    is_words(get(h, PATH, bearer_of(h, TEST_SUB, 0, "profile"), "1234-qqo"), 401, "invalid-credentials",
             "body", "", "Unauthorized");
    assert_int_equal(uid_of(get(h, PATH, arena_text(&h->a, "bEARER%s", bearer(h, 0) + 6).p, "1234-qqo")), 1);
}

static void a_key_id_that_is_missing_or_bad_has_its_words(void **state)
{
    struct house *h = *state;
    static const char *const malformed[] = { "",
                                             "1234",
                                             "00000000",
                                             "notanumber-qqo",
                                             "1234-state!",
                                             "-1234-qqo",
                                             "+1234-qqo",
                                             "12 34-qqo",
                                             "0x12-qqo",
                                             "1234-qqo=",
                                             "1234-qqp",
                                             "1234-q",
                                             "9223372036854775808-qqo",
                                             "-qqo",
                                             "0000000001234-notbase64" };
    house_open(h);
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        struct said s = get_g(h, 0, malformed[i]);
        if (s.status != 401)
            fail_msg("%s: %d", malformed[i], s.status);
        is_words(s, 401, "invalid-credentials", "body", "", "Unauthorized");
    }
    const char *const none[] = { "Authorization", bearer(h, 0), NULL };
    is_words(ask(h, "GET", PATH, none, VIEW("")), 401, "invalid-key-id", "header", "",
             "Missing X-KeyID header");
    is_words(get_g(h, 0, "1234-qqo\xe2\x80\x8b"), 401, "invalid-key-id", "header", "",
             "Invalid X-KeyID header");
    is_words(get_g(h, 0, "\xff\xff"), 401, "invalid-key-id", "header", "", "Invalid X-KeyID header");
    is_words(get_g(h, 0, "1234-AQIDBAUGBwgJCgsMDQ4PEBE"), 400, "error", "header", "X-Client-State",
             "Invalid client state value");
    is_words(get_g(h, 0, "1234-"), 400, "error", "header", "X-Client-State", "Invalid client state value");
    const char *const twice[] = { "Authorization", bearer(h, 0), "X-KeyID", "1234-qqo",
                                  "x-keyid",       "1234-qqo",   NULL };
    assert_int_equal(ask(h, "GET", PATH, twice, VIEW("")).status, 400);
    said_is(ask(h, "GET", "/user/1.0/a", NULL, VIEW("")), 200, "0"); /* and nothing was made */
}

static void the_client_state_header_must_agree(void **state)
{
    struct house *h = *state;
    static const struct {
        const char *state;
        int status;
    } rows[] = { { "aaaa", 200 },
                 { "", 200 },
                 { "bbbb", 401 },
                 { "AAAA", 401 },
                 { "state!", 400 },
                 { "a\tb", 400 },
                 { "012345678901234567890123456789012", 400 } };
    house_open(h);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *const headers[] = { "Authorization",  bearer(h, 0),  "X-KeyID", "1234-qqo",
                                        "X-Client-State", rows[i].state, NULL };
        struct said s = ask(h, "GET", PATH, headers, VIEW(""));
        if (s.status != rows[i].status)
            fail_msg("%s: %d", rows[i].state, s.status);
        if (s.status == 400)
            is_words(s, 400, "error", "header", "X-Client-State", "Invalid client state value");
        if (s.status == 401)
            is_words(s, 401, "invalid-client-state", "body", "", "Unauthorized");
    }
}

static void unknown_applications_and_versions_are_named(void **state)
{
    struct house *h = *state;
    house_open(h);
    is_words(get(h, "/1.0/xXx/token", "x", "x"), 404, "error", "url", "application",
             "Unsupported application");
    is_words(get(h, "/1.0/sync/1.2", "x", "x"), 404, "error", "url", "1.2",
             "Unsupported application version");
    is_words(get(h, "/1.0/sync/%22%5c", "x", "x"), 404, "error", "url", "\\\"\\\\",
             "Unsupported application version");
    is_words(get(h, "/token/1.0/sync/info", "x", "x"), 404, "error", "url", "info",
             "Unsupported application version");
    assert_int_equal(ask(h, "POST", PATH, NULL, VIEW("")).status, 405);
    assert_int_equal(ask(h, "PUT", PATH, NULL, VIEW("")).status, 405);
    const char *const html[] = { "Accept", "text/html", NULL };
    assert_int_equal(ask(h, "GET", PATH, html, VIEW("")).status, 406);
}

static void what_is_wrong_first_is_told(void **state)
{
    struct house *h = *state;
    house_open(h);
    const char *const all[] = {
        "Authorization", "Bearer x", "X-KeyID", "x", "X-Client-State", "state!", NULL
    };
    assert_int_equal(ask(h, "GET", "/1.0/xXx/1.5", all, VIEW("")).status, 404);
    is_words(ask(h, "GET", PATH, all, VIEW("")), 401, "invalid-credentials", "body", "", "Unauthorized");
    const char *const two[] = { "Authorization", bearer(h, 0), "X-Client-State", "state!", NULL };
    is_words(ask(h, "GET", PATH, two, VIEW("")), 401, "invalid-key-id", "header", "",
             "Missing X-KeyID header");
}

static void a_generation_of_text_is_refused(void **state)
{
    struct house *h = *state;
    house_open(h);
    const char *claims =
        "{\"sub\":\"" TEST_SUB "\",\"exp\":1767229200,\"scope\":\"" OLDSYNC "\",\"fxa-generation\":\"42\"}";
    const char *auth = arena_text(&h->a, "Bearer %.*s", VIEW_ARG(test_jwt(&h->a, key, AT_HEADER, claims))).p;
    is_words(get(h, PATH, auth, "1234-qqo"), 401, "invalid-generation", "body", "", "Unauthorized");
}

/* ---- records ---- */

static void the_same_client_keeps_its_number(void **state)
{
    struct house *h = *state;
    house_open(h);
    int64_t uid = uid_of(get_g(h, 1234, "1234-qqo"));
    for (int64_t g = 1234; g < 1240; g++)
        assert_int_equal(uid_of(get_g(h, g, "1234-qqo")), uid);
    assert_int_equal(uid_of(get_g(h, 0, "1234-qqo")), uid);
    is_words(get_g(h, 1000, "1234-qqo"), 401, "invalid-generation", "body", "", "Unauthorized");
    is_words(get_g(h, 0, "1233-qqo"), 401, "invalid-keysChangedAt", "body", "", "Unauthorized");
    is_words(get_g(h, 0, "0-qqo"), 401, "invalid-keysChangedAt", "body", "", "Unauthorized");
    assert_int_equal(h->forgotten.calls, 0);
    assert_int_equal(uid_of(get(h, PATH, bearer_of(h, "another", 0, OLDSYNC), "1234-qqo")), uid + 1);
}

static void a_new_client_state_gives_a_new_number_on_the_same_node(void **state)
{
    struct house *h = *state;
    house_open(h);
    int64_t uid = uid_of(get_g(h, 1234, "1234-qqo"));
    is_words(get_g(h, 1234, "2345-u7s"), 401, "invalid-keysChangedAt", "body", "", "Unauthorized");
    is_words(get_g(h, 1234, "1234-u7s"), 401, "invalid-client-state", "header", "X-Client-State",
             "Unacceptable client-state value new value with no generation change");
    is_words(get_g(h, 2345, "1234-u7s"), 401, "invalid-client-state", "header", "X-Client-State",
             "Unacceptable client-state value new value with no keys_changed_at change");
    struct said s = get_g(h, 2345, "2345-u7s");
    struct token t = token_in(h, s, NOW_S);
    assert_true(t.uid != uid);
    assert_int_equal(t.epoch, 2);
    assert_true(view_eq(t.fxa_kid, VIEW("0000000002345-u7s")));
    assert_true(view_eq(t.node, VIEW(OWN_URL)));
    assert_int_equal(h->forgotten.calls, 1);
    assert_int_equal(h->forgotten.uid, uid);
    assert_true(h->forgotten.until_s == NOW_S + 3600);
    is_words(get_g(h, 3456, "3456-qqo"), 401, "invalid-client-state", "header", "X-Client-State",
             "Unacceptable client-state value stale value");
    assert_int_equal(uid_of(get_g(h, 2345, "2345-u7s")), t.uid);
    struct account acc;
    assert_int_equal(account_get(((struct directory_worker *)h->worker)->session, ACCOUNT_BY_NAME,
                                 VIEW(TEST_SUB "@api.accounts.firefox.com"), &h->a, &acc, NULL),
                     RC_OK);
    assert_int_equal(acc.n_old_states, 1);
    assert_int_equal(acc.n_erases, 1);
    struct erase x;
    assert_true(erase_parse(acc.erases[0], &x) && x.uid == uid && x.epoch == 1);
    assert_true(view_eq(x.node, VIEW("node1.example.net:8000")));
}

static void of_many_old_states_the_newest_twenty_are_remembered(void **state)
{
    struct house *h = *state;
    struct account acc;
    house_open(h);
    for (int i = 1; i <= 30; i++) {
        uint8_t hash = (uint8_t)i;
        const char *id =
            arena_text(&h->a, "%d-%.*s", i,
                       VIEW_ARG(base64_text(&h->a, BASE64_URL_NOPAD, (view){ .p = (char *)&hash, .n = 1 })))
                .p;
        h->clock.wall_us += 1000000;
        uid_of(get_g(h, 0, id));
    }
    assert_int_equal(account_get(((struct directory_worker *)h->worker)->session, ACCOUNT_BY_NAME,
                                 VIEW(TEST_SUB "@api.accounts.firefox.com"), &h->a, &acc, NULL),
                     RC_OK);
    assert_int_equal(acc.n_old_states, 20);
    assert_int_equal(acc.epoch, 30);
    assert_int_equal(acc.n_erases, 29);
    assert_true(view_eq((view){ .p = acc.old_states[19].p + acc.old_states[19].n - 2, .n = 2 }, VIEW("1d")));
    assert_true(view_eq((view){ .p = acc.old_states[0].p + acc.old_states[0].n - 2, .n = 2 }, VIEW("0a")));
}

static rc change(struct house *h, enum account_attr attr, const char *expected, const char *wanted)
{
    struct change c = { attr, view_of(expected), view_of(wanted) };
    return account_cas(((struct directory_worker *)h->worker)->session,
                       VIEW(TEST_SUB "@api.accounts.firefox.com"), &c, 1, NULL);
}

static void disabled_and_retired_accounts_are_refused(void **state)
{
    struct house *h = *state;
    house_open(h);
    uid_of(get_g(h, 0, "1234-qqo"));
    assert_int_equal(change(h, ATTR_ENABLED, "Yes", "No"), RC_OK);
    is_words(get_g(h, 0, "1234-qqo"), 403, "error", "body", "", "Account disabled");
    assert_int_equal(change(h, ATTR_ENABLED, "No", "Yes"), RC_OK);
    assert_int_equal(change(h, ATTR_GENERATION, NULL, "9223372036854775807"), RC_OK);
    is_words(get_g(h, 0, "1234-qqo"), 401, "invalid-generation", "body", "", "Unauthorized");
    is_words(get_g(h, 1234, "1234-qqo"), 401, "invalid-generation", "body", "", "Unauthorized");
    assert_int_equal(uid_of(get_g(h, INT64_MAX, "1234-qqo")), 1);
    assert_int_equal(change(h, ATTR_NODE, "node1.example.net:8000", NULL), RC_OK);
    is_words(get_g(h, INT64_MAX, "1234-qqo"), 500, "internal-error", "internal", "", "Server error");
}

static void who_lost_his_node_gets_another_number_and_keeps_his_record(void **state)
{
    struct house *h = *state;
    house_open(h);
    int64_t uid = uid_of(get_g(h, 1234, "1234-qqo"));
    assert_int_equal(change(h, ATTR_NODE, "node1.example.net:8000", NULL), RC_OK);
    is_words(get_g(h, 1000, "1234-qqo"), 401, "invalid-generation", "body", "", "Unauthorized");
    struct token t = token_in(h, get_g(h, 1234, "1234-qqo"), NOW_S);
    assert_true(t.uid > uid);
    assert_int_equal(t.epoch, 2);
    assert_true(view_eq(t.fxa_kid, VIEW("0000000001234-qqo")));
}

static void a_stored_state_that_is_no_hex_is_our_fault(void **state)
{
    struct house *h = *state;
    house_open(h);
    uid_of(get_g(h, 0, "1234-qqo"));
    assert_int_equal(change(h, ATTR_CLIENT_STATE, "aaaa", "xyz"), RC_OK);
    assert_int_equal(change(h, ATTR_KEYS_CHANGED, "1234", NULL), RC_OK);
    assert_int_equal(uid_of(get_g(h, 0, "2345-u7s")), 2); /* a new one repairs it */
}

static void no_room_anywhere_is_a_503_without_details(void **state)
{
    struct house *h = *state;
    h->options.sole_node_url = NULL;
    house_open(h);
    struct said s = get_g(h, 0, "1234-qqo");
    is_words(s, 503, "internal-error", "internal", "", "Server error");
    assert_true(s.retry_after_s > 0);
}

static void without_keys_it_is_a_503(void **state)
{
    struct house *h = *state;
    unlink(h->jwks);
    house_open(h);
    struct said s = get_g(h, 0, "1234-qqo");
    is_words(s, 503, "error", "body", "", "Resource is not available");
    assert_true(s.retry_after_s > 0);
}

static void registration_closed_or_by_list(void **state)
{
    struct house *h = *state;
    house_open(h);
    int64_t uid = uid_of(get_g(h, 0, "1234-qqo"));
    struct directory_conf fresh = h->conf;
    fresh.registration = text_of("closed");
    assert_int_equal(directory_reload(h->d, &fresh, NULL), RC_OK);
    assert_int_equal(uid_of(get_g(h, 0, "1234-qqo")), uid); /* who is here stays */
    is_words(get(h, PATH, bearer_of(h, "new1", 0, OLDSYNC), "1234-qqo"), 403, "new-users-disabled", "body",
             "", "New users are not allowed");
    fresh.registration = text_of("list");
    h->allow[0] = text_of("new2");
    fresh.registration_allow.n = 1;
    assert_int_equal(directory_reload(h->d, &fresh, NULL), RC_OK);
    is_words(get(h, PATH, bearer_of(h, "new1", 0, OLDSYNC), "1234-qqo"), 403, "new-users-disabled", "body",
             "", "New users are not allowed");
    assert_true(uid_of(get(h, PATH, bearer_of(h, "new2", 0, OLDSYNC), "1234-qqo")) > uid);
    fresh.registration = text_of("maybe"); /* refused: the list stays */
    assert_int_equal(directory_reload(h->d, &fresh, NULL), RC_BAD_INPUT);
    assert_int_equal(get(h, PATH, bearer_of(h, "new1", 0, OLDSYNC), "1234-qqo").status, 403);
}

/* ---- many at once ---- */

enum { THREADS = 8, USERS = 10 };

struct party {
    struct house *h;
    struct arena a;
    const char *const *headers[USERS];
    int64_t uids[USERS];
    int failures;
};

static void *first_requests(void *arg)
{
    struct party *p = arg;
    void *worker;
    if (p->h->mount.worker_open(p->h->d, &worker, NULL) != RC_OK) {
        p->failures++;
        return NULL;
    }
    for (int i = 0; i < USERS; i++) {
        struct said s = ask_as(p->h, worker, &p->a, "127.0.0.1", "GET", PATH, p->headers[i], VIEW(""));
        json_t *j = NULL;
        if (s.status != 200 || json_read(s.body, 32, JSON_READ_PLAIN, &j, NULL) != RC_OK)
            p->failures++;
        p->uids[i] = json_integer_value(json_object_get(j, "uid"));
        json_decref(j);
    }
    p->h->mount.worker_close(worker);
    return NULL;
}

static void race(struct house *h, const char *key_id, int64_t out[USERS])
{
    struct party parties[THREADS] = { { .h = h } };
    pthread_t threads[THREADS];
    const char *headers[USERS][5];
    for (int i = 0; i < USERS; i++) {
        headers[i][0] = "Authorization";
        headers[i][1] = bearer_of(h, arena_text(&h->a, "user%d", i).p, 0, OLDSYNC);
        headers[i][2] = "X-KeyID";
        headers[i][3] = key_id;
        headers[i][4] = NULL;
    }
    for (int t = 0; t < THREADS; t++) {
        parties[t].h = h;
        arena_init(&parties[t].a, 1 << 20);
        for (int i = 0; i < USERS; i++)
            parties[t].headers[i] = headers[i];
        assert_int_equal(pthread_create(&threads[t], NULL, first_requests, &parties[t]), 0);
    }
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    for (int t = 0; t < THREADS; t++) {
        assert_int_equal(parties[t].failures, 0);
        for (int i = 0; i < USERS; i++) {
            assert_int_equal(parties[t].uids[i], parties[0].uids[i]); /* one number for each user */
            out[i] = parties[t].uids[i];
        }
        arena_done(&parties[t].a);
    }
    for (int i = 0; i < USERS; i++)
        for (int j = 0; j < i; j++)
            assert_true(out[i] != out[j]);
}

static void parallel_first_requests_get_one_number(void **state)
{
    struct house *h = *state;
    int64_t first[USERS], second[USERS];
    h->options.on_forget = NULL; /* the recorder is for one thread */
    house_open(h);
    race(h, "1234-qqo", first);
    race(h, "2345-u7s", second); /* and so do parallel changes of the client state */
    for (int i = 0; i < USERS; i++)
        assert_true(first[i] != second[i]);
}

/* ---- webhook ---- */

static struct said event(struct house *h, EVP_PKEY *k, const char *events)
{
    const char *claims =
        arena_text(&h->a,
                   "{\"iss\":\"https://accounts.example.net\",\"aud\":\"client1\",\"sub\":\"" TEST_SUB
                   "\",\"events\":{%s}}",
                   events)
            .p;
    const char *auth =
        arena_text(&h->a, "Bearer %.*s",
                   VIEW_ARG(test_jwt(&h->a, k, "{\"alg\":\"RS256\",\"typ\":\"secevent+jwt\"}", claims)))
            .p;
    const char *const headers[] = { "Authorization", auth, NULL };
    return ask(h, "POST", "/1.0/webhooks/fxa/events", headers, VIEW(""));
}

#define CHANGED "\"https://schemas.accounts.firefox.com/event/password-change\":{\"changeTime\":5000}"
#define DELETED "\"https://schemas.accounts.firefox.com/event/delete-user\":{}"

static void webhook_on(struct house *h, const char *mode)
{
    h->conf.webhook = text_of(mode);
    h->conf.webhook_client = text_of("client1");
    h->conf.oauth_issuer = text_of("https://accounts.example.net");
    house_open(h);
    h->conf.oauth_issuer = text_of("");
}

/* Tokens of the tests carry no issuer: the record is looked at in the backend. */
static int64_t generation_now(struct house *h)
{
    struct account acc;
    assert_int_equal(account_get(((struct directory_worker *)h->worker)->session, ACCOUNT_BY_NAME,
                                 VIEW(TEST_SUB "@api.accounts.firefox.com"), &h->a, &acc, NULL),
                     RC_OK);
    return acc.generation;
}

static void make_record(struct house *h)
{
    struct account_new n = { .name = VIEW(TEST_SUB "@api.accounts.firefox.com"),
                             .uid = 5,
                             .epoch = 1,
                             .created_ms = 1,
                             .node = VIEW("node1.example.net:8000"),
                             .placed = VIEW("1 first"),
                             .client_state = VIEW("aaaa"),
                             .generation = 1234 };
    assert_int_equal(account_add(((struct directory_worker *)h->worker)->session, &n, NULL), RC_OK);
}

static void events_change_the_record(void **state)
{
    struct house *h = *state;
    webhook_on(h, "on");
    said_is(event(h, key, CHANGED), 200, ""); /* nobody of ours */
    make_record(h);
    said_is(event(h, key, "\"https://schemas.accounts.firefox.com/event/profile-change\":{}"), 200, "");
    said_is(event(h, key, ""), 200, "");
    said_is(
        event(h, key, "\"https://schemas.accounts.firefox.com/event/password-change\":{\"changeTime\":0}"),
        200, "");
    assert_int_equal(generation_now(h), 1234);
    said_is(event(h, key, CHANGED), 200, "");
    assert_int_equal(generation_now(h), 4999);
    said_is(event(h, key, CHANGED), 200, "");
    assert_int_equal(h->forgotten.calls, 0);
    said_is(event(h, key, DELETED), 200, "");
    assert_true(generation_now(h) == INT64_MAX);
    assert_int_equal(h->forgotten.uid, 5);
    said_is(event(h, key, CHANGED), 200, "");
    assert_true(generation_now(h) == INT64_MAX);
}

static void events_that_are_not_genuine_are_refused(void **state)
{
    struct house *h = *state;
    webhook_on(h, "on");
    make_record(h);
    is_words(event(h, foreign, DELETED), 401, "invalid-credentials", "body", "", "Unauthorized");
    is_words(ask(h, "POST", "/1.0/webhooks/fxa/events", NULL, VIEW("")), 401, "invalid-credentials", "body",
             "", "Unauthorized");
    h->conf.webhook_client = text_of("client2");
    is_words(event(h, key, DELETED), 401, "invalid-credentials", "body", "", "Unauthorized");
    assert_int_equal(generation_now(h), 1234);
}

static void counting_alone_changes_nothing(void **state)
{
    struct house *h = *state;
    webhook_on(h, "count");
    make_record(h);
    uint64_t before = metric_value(h->d->events);
    said_is(event(h, key, DELETED), 200, "");
    assert_int_equal(metric_value(h->d->events), before + 1);
    assert_int_equal(generation_now(h), 1234);
}

static void the_webhook_is_off_unless_it_is_set_up(void **state)
{
    struct house *h = *state;
    struct directory *d;
    house_open(h);
    assert_int_equal(event(h, key, DELETED).status, 404);
    h->conf.webhook = text_of("on");
    assert_int_equal(directory_open(&h->options, &d, NULL), RC_BAD_INPUT);
    h->conf.webhook = text_of("maybe");
    assert_int_equal(directory_open(&h->options, &d, NULL), RC_BAD_INPUT);
}

/* ---- the root ---- */

static void the_root_describes_itself_to_programs_and_people(void **state)
{
    struct house *h = *state;
    h->options.public_url = "https://sync.example.net/b&'x'";
    house_open(h);
    struct said s = ask(h, "GET", "/", NULL, VIEW(""));
    SCOPED(json_decref) json_t *j = said_json(s);
    assert_string_equal(s.type, "application/json");
    assert_true(view_eq(json_text(json_object_get(j, "auth")), view_of(h->options.public_url)));
    assert_true(json_is_null(json_object_get(json_object_get(j, "oauth"), "server_url")));
    assert_true(view_eq(json_text(json_array_get(json_object_get(json_object_get(j, "services"), "sync"), 0)),
                        VIEW("1.5")));
    const char *const browser[] = { "Accept", "text/html,application/xhtml+xml,*/*;q=0.8", NULL };
    s = ask(h, "GET", "/", browser, VIEW(""));
    assert_int_equal(s.status, 200);
    assert_string_equal(s.type, "text/html; charset=utf-8");
    assert_non_null(
        memmem(s.body.p, s.body.n, "https://sync.example.net/b&amp;&#39;x&#39;/1.0/sync/1.5", 55));
    assert_null(memmem(s.body.p, s.body.n, "b&'", 3));
    assert_true(said_header(s, "Content-Security-Policy").p != NULL);
}

static void accept_is_read_as_http_says(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        bool json, html;
    } rows[] = {
        { NULL, true, false },
        { "", true, false },
        { "*/*", true, false },
        { "application/json", true, false },
        { "Application/JSON; q=0.5", true, false },
        { "application/*", true, false },
        { "text/html", false, true },
        { "text/html, */*;q=0.1", true, true },
        { "application/json;q=0", false, false },
        { "application/json;q=0.0, */*", false, false },
        { "*/*;q=0", false, false },
        { "text/html;q=0, application/json", true, false },
        { "application/jsonx", false, false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (accept_takes(view_of(rows[i].accept), VIEW("application/json")) != rows[i].json ||
            accept_names(view_of(rows[i].accept), VIEW("text/html")) != rows[i].html)
            fail_msg("%s", rows[i].accept ? rows[i].accept : "(none)");
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_request_gets_a_token_that_the_node_opens),
        TEST(the_key_id_of_the_vectors_is_read),
        TEST(all_spellings_of_the_path_are_one),
        TEST(a_shorter_life_can_be_asked_for),
        TEST(a_fixed_secret_signs_for_all_nodes),
        TEST(credentials_that_are_missing_or_bad_have_their_words),
        TEST(a_key_id_that_is_missing_or_bad_has_its_words),
        TEST(the_client_state_header_must_agree),
        TEST(unknown_applications_and_versions_are_named),
        TEST(what_is_wrong_first_is_told),
        TEST(a_generation_of_text_is_refused),
        TEST(the_same_client_keeps_its_number),
        TEST(a_new_client_state_gives_a_new_number_on_the_same_node),
        TEST(of_many_old_states_the_newest_twenty_are_remembered),
        TEST(disabled_and_retired_accounts_are_refused),
        TEST(who_lost_his_node_gets_another_number_and_keeps_his_record),
        TEST(a_stored_state_that_is_no_hex_is_our_fault),
        TEST(no_room_anywhere_is_a_503_without_details),
        TEST(without_keys_it_is_a_503),
        TEST(registration_closed_or_by_list),
        TEST(parallel_first_requests_get_one_number),
        TEST(events_change_the_record),
        TEST(events_that_are_not_genuine_are_refused),
        TEST(counting_alone_changes_nothing),
        TEST(the_webhook_is_off_unless_it_is_set_up),
        TEST(the_root_describes_itself_to_programs_and_people),
        cmocka_unit_test(accept_is_read_as_http_says),
    };
    key = test_key(2048);
    foreign = test_key(2048);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    EVP_PKEY_free(key);
    EVP_PKEY_free(foreign);
    return failed;
}
