/* Invite codes, from the internal routes to an account. */
#include <inttypes.h>

#include "directory/invites.h"
#include "directory/testing_cluster.h"

#define ALICE  "7qrzrjz52vgwen6e7w2y7v6xknd46wxt" /* alice@example.com */
#define DAY_US INT64_C(86400000000)

static void open_invites(struct cluster *c)
{
    open_cluster(c);
    house_close(c->h);
    server_close(c->server);
    backend_session_close(c->session);
    c->h->conf.registration = text_of("invite");
    c->h->conf.strict_usernames = false;
    struct err e = ERR_NONE;
    house_open(c->h);
    directory_internal_mount(c->h->d, &c->mount);
    if (server_open(&c->conf, true, &c->mount, 1, clock_system(), &c->server, &e) != RC_OK)
        fail_msg("%s", e.text);
    assert_int_equal(backend_session_open(c->h->d->backend, &c->session, &e), RC_OK);
}

static struct directory_worker *worker(struct cluster *c)
{
    return c->h->worker;
}

/* Makes a code by the route; both texts in the house's arena. */
static view make(struct cluster *c, const char *body, view *out_id)
{
    struct said s = { .body = view_of(tell(c, "admin", "POST", "invites", body, 200)) };
    json_t *j = said_json(s);
    view code = arena_copy(&c->h->a, json_text(json_object_get(j, "code")));
    *out_id = arena_copy(&c->h->a, json_text(json_object_get(j, "id")));
    json_decref(j);
    return code;
}

static struct invite read_invite(struct cluster *c, view id)
{
    struct invite x;
    struct err e = ERR_NONE;
    if (invite_get(c->session, id, &c->h->a, &x, &e) != RC_OK)
        fail_msg("%s", e.text);
    return x;
}

/* What the register page does. */
static rc sign_up(struct cluster *c, const char *peer, const char *name, view code)
{
    struct web_request *w = web_request_new(&c->h->clock.clock, 1 << 20, VIEW("/account/register"));
    struct err e = ERR_NONE;
    w->rq.peer = view_of(peer);
    w->rq.id = VIEW("test");
    w->rq.app = c->h->d;
    w->rq.worker = c->h->worker;
    rc r = signup(&w->rq, view_of(name), VIEW("a@example.com"), VIEW("correct horse"), code, &e);
    web_request_free(w);
    return r;
}

static void pass(struct cluster *c, int64_t us)
{
    c->h->clock.wall_us += us;
    c->h->clock.steady_us += us;
}

static bool exists(struct cluster *c, const char *name)
{
    struct account acc;
    return account_get(c->session, ACCOUNT_BY_NAME, view_of(name), &c->h->a, &acc, NULL) == RC_OK;
}

/* ---- codes ---- */

static void codes_are_read_as_people_write_them(void **state)
{
    (void)state;
    static const char *const good[] = { "K7QP-3MXD-9HTR-ZW2B-V6N0", "k7qp3mxd9htrzw2bv6n0",
                                        " k7qp 3mxd 9htr zw2b v6no ", "K7QP--3MXD-9HTR-ZW2BV6NO" };
    static const char *const bad[] = { "",
                                       "K7QP",
                                       "K7QP-3MXD-9HTR-ZW2B-V6N",
                                       "K7QP-3MXD-9HTR-ZW2B-V6NCA",
                                       "K7QP-3MXD-9HTR-ZW2B-V6NU",
                                       "K7QP-3MXD-9HTR-ZW2B-V6N\xc3\xa9",
                                       "K7QP_3MXD_9HTR_ZW2B_V6NC" };
    char code[INVITE_CODE_ROOM];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!invite_code_read(view_of(good[i]), code))
            fail_msg("%s", good[i]);
        assert_string_equal(code, "k7qp3mxd9htrzw2bv6n0");
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (invite_code_read(view_of(bad[i]), code))
            fail_msg("%s", bad[i]);
    assert_true(invite_code_read(VIEW("iIlL-oO00-0000-0000-0000"), code));
    assert_string_equal(code, "11110000000000000000");
    assert_false(invite_code_read((view){ .p = "k7qp3mxd9htrzw2bv6n\0", .n = 20 }, code));
    assert_false(invite_code_read(VIEW_NONE, code));
}

static void a_code_is_shown_once_and_kept_as_a_keyed_hash(void **state)
{
    struct cluster *c = *state;
    view id, other;
    char read[INVITE_CODE_ROOM];
    view code = make(c, "{\"note\":\"f\xc3\xbcr Anna\",\"by\":\"zoe\"}", &id);
    assert_int_equal(code.n, INVITE_CODE_TEXT);
    assert_true(invite_code_read(code, read) && view_eq(id, (view){ .p = read, .n = 4 }));
    assert_false(view_eq(code, make(c, "{}", &other)));
    struct invite x = read_invite(c, id);
    uint8_t plain[SHA256_BYTES];
    sha256(view_of(read), plain);
    assert_false(view_eq(
        x.hash, base64_text(&c->h->a, BASE64_URL_NOPAD, (view){ (const char *)plain, sizeof(plain) })));
    assert_int_equal(x.hash.n, 43);
    const char *list = tell(c, "admin", "GET", "invites", NULL, 200);
    assert_null(strstr(list, "\"code\""));
    assert_null(strcasestr(list, read + 4));
    assert_non_null(strstr(list, "f\xc3\xbcr Anna"));
    assert_non_null(strstr(list, "\"by\":\"zoe\""));
    assert_non_null(strstr(list, "\"by\":\"admin\"")); /* the key's name, where nobody says more */
}

static void an_impossible_order_is_refused(void **state)
{
    struct cluster *c = *state;
    static const char *const rows[] = { "{\"uses\":0}",          "{\"uses\":10001}",
                                        "{\"life\":59}",         "{\"life\":31622401}",
                                        "{\"note\":\"a\\nb\"}",  "{\"note\":7}",
                                        "{\"code\":\"x\"}",      "[]",
                                        "{\"by\":\"a\\u0000b\"}" };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        tell(c, "admin", "POST", "invites", rows[i], 400);
    tell(c, NODE1, "POST", "invites", "{}", 403);
    tell(c, NODE1, "GET", "invites", NULL, 403);
    assert_string_equal(tell(c, "admin", "GET", "invites", NULL, 200), "");
}

/* ---- using ---- */

static void a_code_makes_as_many_accounts_as_it_was_made_for(void **state)
{
    struct cluster *c = *state;
    view id, code = make(c, "{\"uses\":2}", &id);
    assert_int_equal(sign_up(c, "", "one", code), RC_OK);
    struct invite x = read_invite(c, id);
    assert_true(x.left == 1 && x.n_takers == 0);
    assert_int_equal(sign_up(c, "", "two", code), RC_OK);
    assert_int_equal(sign_up(c, "", "three", code), RC_DENIED);
    assert_true(exists(c, "one") && exists(c, "two") && !exists(c, "three"));
    assert_string_equal(invite_state(&(struct invite){ .left = 0, .end_ms = 9 }, 1), "used up");
}

static void wrong_expired_and_revoked_codes_make_none(void **state)
{
    struct cluster *c = *state;
    view id, code = make(c, "{\"life\":3600}", &id);
    char *near = arena_cstr(&c->h->a, code);
    near[23] = near[23] == '7' ? '8' : '7';
    assert_int_equal(sign_up(c, "", "one", view_of(near)), RC_DENIED);
    assert_int_equal(sign_up(c, "", "one", VIEW("")), RC_DENIED);
    assert_int_equal(sign_up(c, "", "one", VIEW("0000-0000-0000-0000-0000")), RC_DENIED);
    pass(c, INT64_C(3600000000));
    assert_int_equal(sign_up(c, "", "one", code), RC_DENIED);
    code = make(c, "{}", &id);
    tell(c, "admin", "DELETE", arena_text(&c->h->a, "invites/%.*s", VIEW_ARG(id)).p, NULL, 200);
    tell(c, "admin", "DELETE", arena_text(&c->h->a, "invites/%.*s", VIEW_ARG(id)).p, NULL, 404);
    tell(c, "admin", "DELETE", "invites/NONE", NULL, 404);
    assert_int_equal(sign_up(c, "", "one", code), RC_DENIED);
    assert_false(exists(c, "one"));
}

static void a_registration_that_fails_burns_no_code(void **state)
{
    struct cluster *c = *state;
    view id, code = make(c, "{}", &id);
    add_account(c, "taken", 4711, NULL, 1);
    assert_int_equal(sign_up(c, "", "taken", code), RC_BAD_INPUT);
    struct invite x = read_invite(c, id);
    assert_true(x.left == 1 && x.n_takers == 0);
    assert_int_equal(sign_up(c, "", "free", code), RC_OK);
}

static void who_guesses_codes_has_to_wait(void **state)
{
    struct cluster *c = *state;
    view id, code = make(c, "{}", &id);
    for (int i = 0; i < 20; i++)
        assert_int_equal(sign_up(c, "192.0.2.7", "one", VIEW("0000-0000-0000-0000-0000")), RC_DENIED);
    assert_int_equal(sign_up(c, "192.0.2.7", "one", code), RC_BUSY);
    assert_int_equal(sign_up(c, "192.0.2.8", "one", code), RC_OK);
    pass(c, INT64_C(3600000000));
    assert_int_equal(sign_up(c, "192.0.2.7", "two", code), RC_DENIED); /* it is used, but he may try */
}

static void the_old_api_which_has_no_field_for_a_code_is_refused(void **state)
{
    struct cluster *c = *state;
    static const char body[] = "{\"email\":\"alice@example.com\",\"password\":\"correct horse\"}";
    said_is(ask(c->h, "PUT", "/user/1.0/" ALICE, NULL, view_of(body)), 400, "3");
    assert_false(exists(c, ALICE));
}

/* ---- what was left behind ---- */

static void what_a_process_left_behind_that_ended_early_is_settled(void **state)
{
    struct cluster *c = *state;
    struct invites_swept swept;
    struct invite_hold lost, made, young;
    view id, code = make(c, "{\"uses\":5}", &id);
    assert_int_equal(invite_take(worker(c), &c->h->a, code, 100, &lost, NULL), RC_OK);
    assert_int_equal(invite_take(worker(c), &c->h->a, code, 101, &made, NULL), RC_OK);
    add_account(c, "made", 101, NULL, 1);
    assert_int_equal(invites_sweep(worker(c), &swept, NULL), RC_OK);
    assert_true(swept.mended == 0 && read_invite(c, id).n_takers == 2); /* it may still be going on */
    pass(c, INT64_C(601000000));
    assert_int_equal(invite_take(worker(c), &c->h->a, code, 102, &young, NULL), RC_OK);
    assert_string_equal(tell(c, "admin", "POST", "sweep", NULL, 200), "{\"deleted\":0,\"mended\":2}");
    struct invite x = read_invite(c, id);
    assert_int_equal(x.left, 3); /* of five: one account is made, one is under way */
    assert_true(x.n_takers == 1 && view_eq(x.takers[0], young.taker));
    invite_settle(worker(c), &c->h->a, &lost, RC_BROKEN); /* it comes late: given back once, not twice */
    assert_int_equal(read_invite(c, id).left, 3);
    invite_settle(worker(c), &c->h->a, &young, RC_UNSURE);
    assert_int_equal(read_invite(c, id).n_takers, 1);
    invite_settle(worker(c), &c->h->a, &young, RC_OK);
    assert_int_equal(read_invite(c, id).n_takers, 0);
}

static void old_codes_are_swept_and_others_stay(void **state)
{
    struct cluster *c = *state;
    struct invite_hold hold;
    view used, ended, good, unsettled;
    view code = make(c, "{\"life\":31536000}", &used), open = make(c, "{\"life\":86400}", &unsettled);
    make(c, "{\"life\":86400}", &ended);
    make(c, "{\"life\":31536000}", &good);
    assert_int_equal(sign_up(c, "", "one", code), RC_OK);
    pass(c, 7 * DAY_US);
    assert_string_equal(tell(c, "admin", "POST", "sweep", NULL, 200), "{\"deleted\":0,\"mended\":0}");
    pass(c, 2 * DAY_US);
    assert_int_equal(invite_take(worker(c), &c->h->a, open, 5, &hold, NULL), RC_DENIED);
    assert_string_equal(tell(c, "admin", "POST", "sweep", NULL, 200), "{\"deleted\":2,\"mended\":0}");
    pass(c, 22 * DAY_US);
    assert_string_equal(tell(c, "admin", "POST", "sweep", NULL, 200), "{\"deleted\":1,\"mended\":0}");
    const char *list = tell(c, "admin", "GET", "invites", NULL, 200);
    assert_non_null(
        strstr(list, arena_text(&c->h->a, "\"id\":\"%.*s\",\"state\":\"good\"", VIEW_ARG(good)).p));
    assert_ptr_equal(strchr(list, '\n'), list + strlen(list) - 1); /* it alone */
}

static int setup(void **state)
{
    struct cluster *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    open_invites(c);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    close_cluster(*state);
    free(*state);
    return 0;
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_read_as_people_write_them),
        TEST(a_code_is_shown_once_and_kept_as_a_keyed_hash),
        TEST(an_impossible_order_is_refused),
        TEST(a_code_makes_as_many_accounts_as_it_was_made_for),
        TEST(wrong_expired_and_revoked_codes_make_none),
        TEST(a_registration_that_fails_burns_no_code),
        TEST(who_guesses_codes_has_to_wait),
        TEST(the_old_api_which_has_no_field_for_a_code_is_refused),
        TEST(what_a_process_left_behind_that_ended_early_is_settled),
        TEST(old_codes_are_swept_and_others_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
