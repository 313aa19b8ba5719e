/* The token server by its rows, without sockets: headers in, words or a token out. */
#include "directory/testing_tokens.h"

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
        TEST(the_root_describes_itself_to_programs_and_people),
        cmocka_unit_test(accept_is_read_as_http_says),
    };
    key = test_key(2048);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    EVP_PKEY_free(key);
    return failed;
}
