/* What the token server remembers of its clients: numbers, states, nodes; many first requests at once. */
#include <pthread.h>

#include "directory/testing_tokens.h"

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

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    key = test_key(2048);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    EVP_PKEY_free(key);
    return failed;
}
