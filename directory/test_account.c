/* User API 1.0 by its rows, without sockets. */
#include "directory/testing_http.h"

#define ALICE "7qrzrjz52vgwen6e7w2y7v6xknd46wxt" /* alice@example.com */
#define GOOD  "{\"email\":\"alice@example.com\",\"password\":\"correct horse\"}"

static int setup(void **state)
{
    *state = house_new(NULL);
    return 0;
}

static int teardown(void **state)
{
    house_free(*state);
    return 0;
}

static view basic(struct house *h, const char *name, const char *password)
{
    view both = arena_text(&h->a, "%s:%s", name, password);
    return arena_text(&h->a, "Basic %.*s", VIEW_ARG(base64_text(&h->a, BASE64_STD, both)));
}

static struct said with_password(struct house *h, const char *method, const char *target,
                                 const char *password, const char *body)
{
    const char *const headers[] = { "Authorization", basic(h, ALICE, password).p, NULL };
    return ask(h, method, target, headers, view_of(body));
}

static void make_alice(struct house *h)
{
    said_is(ask(h, "PUT", "/user/1.0/" ALICE, NULL, VIEW(GOOD)), 200, ALICE);
}

static void an_account_is_made_found_and_deleted(void **state)
{
    struct house *h = *state;
    house_open(h);
    said_is(ask(h, "GET", "/user/1.0/a", NULL, VIEW("")), 200, "0");
    said_is(ask(h, "GET", "/user/1.0/" ALICE, NULL, VIEW("")), 200, "0");
    struct said s = ask(h, "PUT", "/user/1.0/" ALICE, NULL, VIEW(GOOD));
    said_is(s, 200, ALICE);
    assert_string_equal(s.type, "text/plain");
    static const char *const spellings[] = { "/user/1.0/" ALICE, "/user/1/" ALICE, "/user/1/" ALICE "/",
                                             "/user/1.0/7QRZRJZ52VGWEN6E7W2Y7V6XKND46WXT" };
    for (size_t i = 0; i < 4; i++)
        said_is(ask(h, "GET", spellings[i], NULL, VIEW("")), 200, "1");
    assert_true(said_header(s, "X-Weave-Timestamp").p != NULL);
    said_is(with_password(h, "DELETE", "/user/1.0/" ALICE, "wrong", ""), 401, "0");
    said_is(ask(h, "DELETE", "/user/1.0/" ALICE, NULL, VIEW("")), 401, "0");
    said_is(with_password(h, "DELETE", "/user/1.0/bob", "correct horse", ""), 401, "0");
    said_is(with_password(h, "DELETE", "/user/1.0/" ALICE, "correct horse", ""), 200, "1");
    assert_int_equal(h->forgotten.calls, 1);
    assert_string_equal(h->forgotten.name, ALICE);
    assert_true(h->forgotten.uid > 0);
    said_is(ask(h, "GET", "/user/1.0/" ALICE, NULL, VIEW("")), 200, "0");
    said_is(with_password(h, "DELETE", "/user/1.0/" ALICE, "correct horse", ""), 401, "0");
}

static void credentials_are_good_for_their_own_user_alone(void **state)
{
    struct house *h = *state;
    h->conf.strict_usernames = false;
    house_open(h);
    make_alice(h);
    said_is(ask(h, "PUT", "/user/1.0/bob", NULL, VIEW(GOOD)), 200, "bob"); /* with the same password */
    said_is(with_password(h, "DELETE", "/user/1.0/bob", "correct horse", ""), 401, "0");
    said_is(with_password(h, "POST", "/user/1.0/bob/password", "correct horse", "a better one"), 401, "0");
    said_is(with_password(h, "POST", "/user/1.0/bob/email", "correct horse", "new@example.org"), 401, "0");
    said_is(ask(h, "GET", "/user/1.0/bob", NULL, VIEW("")), 200, "1");
}

static void bad_sign_ups_are_told_in_the_order_of_the_table(void **state)
{
    struct house *h = *state;
    static const struct {
        const char *name, *body, *code;
    } rows[] = {
        { "0123456789012345678901234567890123", GOOD, "3" }, /* longer than the column */
        { ALICE, "", "6" },
        { ALICE, "{", "6" },
        { ALICE, "[]", "6" },
        { ALICE, "\"x\"", "6" },
        { ALICE, "{\"email\":\"caf\xe9@example.com\"}", "6" }, /* Latin-1 */
        { ALICE, "{}", "12" },
        { ALICE, "{\"email\":7}", "12" },
        { ALICE, "{\"email\":\"bademailhere\",\"password\":\"x\"}", "12" },
        { ALICE, "{\"email\":\"a\\r\\nb@example.com\"}", "12" },
        { ALICE, "{\"email\":\"bob@example.com\"}", "15" },
        { ALICE, "{\"email\":\"alice@example.com\"}", "7" },
        { ALICE, "{\"email\":\"alice@example.com\",\"password\":\"\"}", "7" },
        { ALICE, "{\"email\":\"alice@example.com\",\"password\":7}", "7" },
        { ALICE, "{\"email\":\"alice@example.com\",\"password\":\"x\"}", "9" },
        { ALICE, "{\"email\":\"alice@example.com\",\"password\":\"tarek2\"}", "9" },
        { ALICE, "{\"email\":\"alice@example.com\",\"password\":\" " ALICE "\"}", "9" },
        { ALICE, "{\"email\":\"alice@example.com\",\"password\":\"7QRZRJZ52VGWEN6E7W2Y7V6XKND46WXT\"}", "9" },
        { ALICE, "{\"email\":\"alice@example.com\",\"password\":\"aaaaaaaa\\u0000\"}", "9" },
    };
    house_open(h);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *target = arena_text(&h->a, "/user/1.0/%s", rows[i].name).p;
        struct said s = ask(h, "PUT", target, NULL, view_of(rows[i].body));
        if (s.status != 400 || !view_eq(s.body, view_of(rows[i].code)))
            fail_msg("row %zu: %d %.*s", i, s.status, VIEW_ARG(s.body));
    }
    make_alice(h);
    said_is(ask(h, "PUT", "/user/1.0/" ALICE, NULL, VIEW("{")), 400, "4"); /* before anything else */
}

static void good_passwords_of_the_tests_are_taken(void **state)
{
    struct house *h = *state;
    static const char *const passwords[] = { "tttttttt", "xxxxxxxxx", "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9" };
    h->conf.strict_usernames = false;
    house_open(h);
    for (size_t i = 0; i < 3; i++) {
        const char *target = arena_text(&h->a, "/user/1.0/tarek%zu", i).p;
        view body = arena_text(&h->a, "{\"email\":\"alice@example.com\",\"password\":\"%s\"}", passwords[i]);
        said_is(ask(h, "PUT", target, NULL, body), 200, target + strlen("/user/1.0/"));
        const char *const headers[] = { "Authorization",
                                        basic(h, target + strlen("/user/1.0/"), passwords[i]).p, NULL };
        said_is(ask(h, "DELETE", target, headers, VIEW("")), 200, "1");
    }
}

static void a_password_is_changed(void **state)
{
    struct house *h = *state;
    house_open(h);
    make_alice(h);
    static const char path[] = "/user/1.0/" ALICE "/password";
    said_is(with_password(h, "POST", path, "correct horse", ""), 400, "7");
    said_is(with_password(h, "POST", path, "correct horse", "short"), 400, "9");
    said_is(with_password(h, "POST", path, "wrong", "short"), 400, "9"); /* the body is judged first */
    said_is(with_password(h, "POST", path, "correct horse", "\xff\xff\xff\xff\xff\xff\xff\xff"), 400, "9");
    said_is(with_password(h, "POST", path, "wrong", "a better one"), 401, "0");
    assert_int_equal(h->forgotten.calls, 0);
    said_is(with_password(h, "POST", path, "correct horse", " a better one "), 200, "success");
    assert_int_equal(h->forgotten.calls, 1);
    assert_string_equal(h->forgotten.name, ALICE);
    assert_int_equal(h->forgotten.uid, 0);
    said_is(with_password(h, "POST", path, "correct horse", "yet another"), 401, "0");
    said_is(with_password(h, "POST", path, " a better one ", "yet another"), 200, "success");
    static char longest[1025];
    memset(longest, 'x', 1024);
    said_is(with_password(h, "POST", path, "yet another", longest), 200, "success");
    char *longer = arena_alloc(&h->a, 1026);
    memset(longer, 'x', 1025);
    longer[1025] = '\0';
    said_is(with_password(h, "POST", path, longest, longer), 400, "9");
}

static void reset_codes_are_judged_by_their_form_first(void **state)
{
    struct house *h = *state;
    static const struct {
        const char *name, *code;
        int status;
        const char *body;
    } rows[] = {
        { ALICE, "", 400, "10" },
        { ALICE, "xk3p-09qz-m2ml-a7tt", 400, "10" },
        { ALICE, "XK3P-09QZ-M2ML", 400, "10" },
        { ALICE, "XK3P-09QZ-M2ML-A7TT-", 400, "10" },
        { "bob", "xk3p", 400, "10" },
        { "bob", "XK3P-09QZ-M2ML-A7TT", 404, "0" },
        { ALICE, "XK3P-09QZ-M2ML-A7TT", 503, "0" },
        { ALICE, "XK3P-09QZ-M2ML-A7TT-XK3P-09QZ-M2ML", 503, "0" },
    };
    house_open(h);
    make_alice(h);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *const headers[] = { "X-Weave-Password-Reset", rows[i].code, NULL };
        const char *target = arena_text(&h->a, "/user/1.0/%s/password", rows[i].name).p;
        said_is(ask(h, "POST", target, headers, VIEW("a better one")), rows[i].status, rows[i].body);
    }
    said_is(ask(h, "GET", "/user/1.0/" ALICE "/password_reset", NULL, VIEW("")), 503, "0");
    said_is(ask(h, "DELETE", "/user/1.0/" ALICE "/password_reset", NULL, VIEW("")), 503, "0");
}

static void a_mail_address_is_changed_and_the_name_stays(void **state)
{
    struct house *h = *state;
    house_open(h);
    make_alice(h);
    static const char path[] = "/user/1.0/" ALICE "/email";
    said_is(with_password(h, "POST", path, "wrong", "nonsense"), 400, "12");
    said_is(with_password(h, "POST", path, "wrong", "new@example.org"), 401, "0");
    said_is(with_password(h, "POST", path, "correct horse", "new@example.org"), 200, "new@example.org");
    said_is(ask(h, "GET", "/user/1.0/" ALICE, NULL, VIEW("")), 200, "1");
}

static void the_node_is_told_without_credentials(void **state)
{
    struct house *h = *state;
    house_open(h);
    make_alice(h);
    for (int i = 0; i < 2; i++)
        said_is(ask(h, "GET", "/user/1.0/" ALICE "/node/weave", NULL, VIEW("")), 200, ADDRESS "/");
    said_is(with_password(h, "GET", "/user/1.0/" ALICE "/node/weave", "wrong", ""), 200, ADDRESS "/");
    said_is(ask(h, "GET", "/user/1.0/bob/node/weave", NULL, VIEW("")), 404, "");
    said_is(ask(h, "GET", "/user/1.0/" ALICE "/weave/node", NULL, VIEW("")), 404, "0");
}

static void without_a_node_the_answer_is_null_or_the_fallback(void **state)
{
    struct house *h = *state;
    h->options.sole_node_url = NULL;
    house_open(h);
    make_alice(h);
    said_is(ask(h, "GET", "/user/1.0/" ALICE "/node/weave", NULL, VIEW("")), 200, "null");
    struct directory_worker *w = h->worker;
    struct node_entry n = { .name = VIEW("node3"),
                            .url = VIEW("https://node3"),
                            .address = VIEW("node3"),
                            .state = NODE_OPEN,
                            .capacity = 90,
                            .seats = 1 };
    assert_int_equal(node_put(w->session, &n, NULL), RC_OK);
    said_is(ask(h, "GET", "/user/1.0/" ALICE "/node/weave", NULL, VIEW("")), 200, "https://node3/");
    h->conf.fallback_node = text_of("http://myhappy/proxy/");
    h->conf.strict_usernames = false;
    said_is(ask(h, "PUT", "/user/1.0/bob", NULL, VIEW(GOOD)), 200, "bob");
    said_is(ask(h, "GET", "/user/1.0/bob/node/weave", NULL, VIEW("")), 200, "http://myhappy/proxy/");
    /* A user whose node is gone begins anew on another, under another uid. */
    struct account before, after;
    assert_int_equal(account_get(w->session, ACCOUNT_BY_NAME, VIEW(ALICE), &h->a, &before, NULL), RC_OK);
    assert_int_equal(node_delete(w->session, VIEW("node3"), NULL), RC_OK);
    n.name = VIEW("node4");
    n.address = n.url = VIEW("https://node4");
    assert_int_equal(node_put(w->session, &n, NULL), RC_OK);
    said_is(ask(h, "GET", "/user/1.0/" ALICE "/node/weave", NULL, VIEW("")), 200, "https://node4/");
    assert_int_equal(account_get(w->session, ACCOUNT_BY_NAME, VIEW(ALICE), &h->a, &after, NULL), RC_OK);
    assert_true(after.uid != before.uid && after.epoch == before.epoch + 1);
    assert_int_equal(h->forgotten.uid, before.uid);
}

static void nodes_ask_who_it_is(void **state)
{
    struct house *h = *state;
    struct directory_verdict v;
    house_open(h);
    make_alice(h);
    assert_int_equal(directory_verify(h->d, VIEW(ALICE), VIEW("wrong"), &v, NULL), RC_DENIED);
    assert_int_equal(directory_verify(h->d, VIEW("bob"), VIEW("correct horse"), &v, NULL), RC_DENIED);
    assert_int_equal(directory_verify(h->d, VIEW(ALICE), VIEW("correct horse"), &v, NULL), RC_OK);
    assert_true(v.uid > 0);
    assert_int_equal(v.epoch, 1);
    assert_string_equal(v.node, OWN_URL);
    struct directory_verdict again, none = v;
    if (v.marked) { /* not with LDAP */
        assert_int_equal(directory_recheck(h->d, VIEW(ALICE), &v, &again, NULL), RC_OK);
        assert_int_equal(directory_recheck(h->d, VIEW(ALICE), &again, &again, NULL), RC_OK);
        assert_true(again.uid == v.uid && again.epoch == v.epoch);
        assert_string_equal(again.node, v.node);
        assert_int_equal(directory_recheck(h->d, VIEW("bob"), &v, &again, NULL), RC_DENIED);
    }
    none.marked = false;
    assert_int_equal(directory_recheck(h->d, VIEW(ALICE), &none, &again, NULL), RC_DENIED);
    struct change off = { ATTR_ENABLED, VIEW("Yes"), VIEW("No") };
    assert_int_equal(account_cas(((struct directory_worker *)h->worker)->session, VIEW(ALICE), &off, 1, NULL),
                     RC_OK);
    assert_int_equal(directory_verify(h->d, VIEW(ALICE), VIEW("correct horse"), &again, NULL), RC_DENIED);
    assert_int_equal(directory_recheck(h->d, VIEW(ALICE), &v, &again, NULL), RC_DENIED);
}

/* By this process or another: only what is kept counts. */
static void a_changed_password_passes_no_recheck(void **state)
{
    struct house *h = *state;
    struct directory_verdict v, again;
    house_open(h);
    make_alice(h);
    struct backend_session *s = ((struct directory_worker *)h->worker)->session;
    assert_int_equal(directory_verify(h->d, VIEW(ALICE), VIEW("correct horse"), &v, NULL), RC_OK);
    assert_int_equal(account_set_password(s, VIEW(ALICE), VIEW("battery staple"), NULL), RC_OK);
    assert_int_equal(directory_recheck(h->d, VIEW(ALICE), &v, &again, NULL), RC_DENIED);
    assert_int_equal(account_set_password(s, VIEW(ALICE), VIEW("correct horse"), NULL), RC_OK);
    assert_int_equal(directory_recheck(h->d, VIEW(ALICE), &v, &again, NULL), RC_DENIED); /* another salt */
}

static void the_one_box_may_change_its_address(void **state)
{
    struct house *h = *state;
    struct directory_verdict v, w;
    house_open(h);
    make_alice(h);
    assert_int_equal(directory_verify(h->d, VIEW(ALICE), VIEW("correct horse"), &v, NULL), RC_OK);
    house_close(h);
    h->options.sole_node_url = "https://sync.example.org/x";
    house_open(h);
    assert_int_equal(directory_verify(h->d, VIEW(ALICE), VIEW("correct horse"), &w, NULL), RC_OK);
    assert_string_equal(w.node, "https://sync.example.org/x");
    assert_true(v.uid == w.uid && v.epoch == w.epoch);
    assert_int_equal(h->forgotten.calls, 0);
}

static void closed_and_listed_registration_refuse(void **state)
{
    struct house *h = *state;
    h->conf.registration = text_of("closed");
    house_open(h);
    struct said s = ask(h, "PUT", "/user/1.0/" ALICE, NULL, VIEW(GOOD));
    said_is(s, 503, "0");
    assert_true(s.retry_after_s > 0);
    said_is(ask(h, "PUT", "/user/1.0/" ALICE, NULL, VIEW("{}")), 400, "12"); /* what is wrong comes first */
    house_close(h);
    h->conf.registration = text_of("list");
    h->allow[0] = text_of("bob@example.com");
    h->conf.registration_allow.n = 1;
    house_open(h);
    said_is(ask(h, "PUT", "/user/1.0/" ALICE, NULL, VIEW(GOOD)), 400, "3");
    h->allow[0] = text_of("*@example.com");
    said_is(ask(h, "PUT", "/user/1.0/" ALICE, NULL, VIEW(GOOD)), 200, ALICE);
}

static void sign_ups_and_wrong_passwords_of_an_address_are_bounded(void **state)
{
    struct house *h = *state;
    h->conf.strict_usernames = false;
    h->conf.signups_per_hour = 2;
    h->conf.wrong_passwords = 3;
    house_open(h);
    for (int i = 0; i < 4; i++) {
        const char *target = arena_text(&h->a, "/user/1.0/user%d", i).p;
        struct said s = ask_as(h, h->worker, &h->a, "192.0.2.1", "PUT", target, NULL, VIEW(GOOD));
        assert_int_equal(s.status, i < 2 ? 200 : 503);
        assert_true(i < 2 || s.retry_after_s == 3600);
    }
    said_is(ask_as(h, h->worker, &h->a, "192.0.2.2", "PUT", "/user/1.0/user2", NULL, VIEW(GOOD)), 200,
            "user2");
    const char *const wrong[] = { "Authorization", basic(h, "user0", "wrong").p, NULL };
    const char *const right[] = { "Authorization", basic(h, "user0", "correct horse").p, NULL };
    for (int i = 0; i < 5; i++)
        assert_int_equal(
            ask_as(h, h->worker, &h->a, "192.0.2.1", "DELETE", "/user/1.0/user0", wrong, VIEW("")).status,
            i < 3 ? 401 : 503);
    assert_int_equal(
        ask_as(h, h->worker, &h->a, "192.0.2.1", "DELETE", "/user/1.0/user0", right, VIEW("")).status, 503);
    h->clock.steady_us += INT64_C(600) * 1000000;
    assert_int_equal(
        ask_as(h, h->worker, &h->a, "192.0.2.1", "DELETE", "/user/1.0/user0", right, VIEW("")).status, 200);
}

static void illegal_names_and_methods_have_their_answers(void **state)
{
    struct house *h = *state;
    house_open(h);
    for (const char *c = "!#$&'()*+,:;<=>@[\\]^`{|}\" "; *c; c++) {
        const char *target = arena_text(&h->a, "/user/1.0/a%%%02Xb", (unsigned)*c).p;
        if (ask(h, "GET", target, NULL, VIEW("")).status != 404)
            fail_msg("%s", target);
    }
    assert_int_equal(ask(h, "POST", "/user/1.0/abc", NULL, VIEW("")).status, 405);
    assert_int_equal(ask(h, "GET", "/user/1.0/abc/password", NULL, VIEW("")).status, 405);
    assert_int_equal(ask(h, "GET", "/user/2.0/abc", NULL, VIEW("")).status, 404);
    said_is(ask(h, "GET", "/misc/1.0/captcha_html", NULL, VIEW("")), 404, "0");
    said_is(ask(h, "POST", "/misc/1.0/captcha_html", NULL, VIEW("")), 404, "0");
    char *name = arena_alloc(&h->a, 400);
    memset(name, 'a', 300);
    name[300] = '\0';
    said_is(ask(h, "GET", arena_text(&h->a, "/user/1.0/%s", name).p, NULL, VIEW("")), 200, "0");
    said_is(ask(h, "PUT", arena_text(&h->a, "/user/1.0/%s", name).p, NULL, VIEW(GOOD)), 400, "3");
}

static void accounts_of_access_tokens_are_out_of_its_reach(void **state)
{
    struct house *h = *state;
    house_open(h);
    struct account_new n = {
        .name = VIEW(TEST_SUB "@api.accounts.firefox.com"), .uid = 9, .epoch = 1, .created_ms = 1
    };
    assert_int_equal(account_add(((struct directory_worker *)h->worker)->session, &n, NULL), RC_OK);
    said_is(ask(h, "GET", "/user/1.0/" TEST_SUB, NULL, VIEW("")), 200, "0");
    said_is(ask(h, "GET", "/user/1.0/" TEST_SUB "%40api.accounts.firefox.com", NULL, VIEW("")), 404, "0");
}

static void a_directory_by_itself_refuses_what_nodes_serve(void **state)
{
    struct house *h = *state;
    static const char *const paths[] = { "/1.1/alice/info/collections", "/1.1/alice/storage/bookmarks/x",
                                         "/1.1/alice/storage",          "/1.0/alice/info/quota",
                                         "/1.0/alice/storage",          "/1.0/alice/storage/a/b",
                                         "/1.5/42/info/collections",    "/1.5/42",
                                         "/1.5/42/storage/meta/global" };
    h->options.sole_node_url = NULL;
    house_open(h);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        said_is(ask(h, "GET", paths[i], NULL, VIEW("")), 401, "0");
        said_is(ask(h, "PUT", paths[i], NULL, VIEW("{}")), 401, "0");
    }
    house_close(h);
    h->options.sole_node_url = OWN_URL; /* the one box: its node answers */
    house_open(h);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_int_equal(ask(h, "GET", paths[i], NULL, VIEW("")).status, 404);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_account_is_made_found_and_deleted),
        TEST(credentials_are_good_for_their_own_user_alone),
        TEST(bad_sign_ups_are_told_in_the_order_of_the_table),
        TEST(good_passwords_of_the_tests_are_taken),
        TEST(a_password_is_changed),
        TEST(reset_codes_are_judged_by_their_form_first),
        TEST(a_mail_address_is_changed_and_the_name_stays),
        TEST(the_node_is_told_without_credentials),
        TEST(without_a_node_the_answer_is_null_or_the_fallback),
        TEST(nodes_ask_who_it_is),
        TEST(a_changed_password_passes_no_recheck),
        TEST(the_one_box_may_change_its_address),
        TEST(closed_and_listed_registration_refuse),
        TEST(sign_ups_and_wrong_passwords_of_an_address_are_bounded),
        TEST(illegal_names_and_methods_have_their_answers),
        TEST(accounts_of_access_tokens_are_out_of_its_reach),
        TEST(a_directory_by_itself_refuses_what_nodes_serve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
