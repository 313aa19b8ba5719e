/* Events of the accounts server. */
#include "directory/testing_tokens.h"

static EVP_PKEY *foreign;

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

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_change_the_record),
        TEST(events_that_are_not_genuine_are_refused),
        TEST(counting_alone_changes_nothing),
        TEST(the_webhook_is_off_unless_it_is_set_up),
    };
    key = test_key(2048);
    foreign = test_key(2048);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    EVP_PKEY_free(key);
    EVP_PKEY_free(foreign);
    return failed;
}
