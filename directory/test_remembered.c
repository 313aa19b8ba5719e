/* What is told from memory: where somebody lives, and tokens for whom was given one before. */
#include "directory/testing_cluster.h"

#define ANNA   "anna"
#define WEAVE  "/user/1.0/anna/node/weave"
#define ONE    "https://node1.example.org/"
#define TWO    "https://node2.example.org/"
#define TOKEN  "/1.0/sync/1.5"
#define KEY_ID "1234-qqo"

enum { REMEMBER_S = 5 };

static EVP_PKEY *key, *other_key;

/* ---- node/weave, in a cluster ---- */

static struct cluster c;

static int open_two_nodes(void **state)
{
    (void)state;
    testing_remember_s = REMEMBER_S;
    open_cluster(&c);
    c.h->warm = true;
    add_node(&c, NODE1, 10);
    add_node(&c, NODE2, 10);
    add_account(&c, ANNA, 7, NODE1, 1);
    return 0;
}

static int close_two_nodes(void **state)
{
    (void)state;
    close_cluster(&c);
    return 0;
}

static void later(struct house *h, int64_t ms)
{
    h->clock.steady_us += ms * 1000;
    h->clock.wall_us += ms * 1000;
}

static void weave(const char *address, bool from_memory)
{
    int before = c.h->warm_answers;
    said_is(ask(c.h, "GET", WEAVE, NULL, VIEW("")), 200, address);
    assert_int_equal(c.h->warm_answers - before, from_memory);
}

/* Of another process, as it were: this one does not notice. */
static struct backend *others;
static struct backend_session *others_session(void)
{
    struct backend_session *s;
    const char *path = arena_text(&c.h->a, "%s/directory.sqlite", c.h->folder).p;
    const struct backend_conf conf = { .path = path, .cost = { 64, 1, 1 }, .clock = &c.h->clock.clock };
    assert_int_equal(backend_open(&backend_sqlite, &conf, &others, NULL), RC_OK);
    assert_int_equal(backend_session_open(others, &s, NULL), RC_OK);
    return s;
}

static void others_done(struct backend_session *s)
{
    backend_session_close(s);
    backend_close(others);
}

static void others_move(const char *from, const char *to, const char *epoch, const char *next)
{
    struct backend_session *s = others_session();
    const struct change changes[] = { { ATTR_NODE, view_of(from), view_of(to) },
                                      { ATTR_EPOCH, view_of(epoch), view_of(next) } };
    assert_int_equal(account_cas(s, VIEW(ANNA), changes, 2, NULL), RC_OK);
    others_done(s);
}

static void who_asks_again_is_told_from_memory_until_its_time_is_over(void **state)
{
    (void)state;
    weave(ONE, false);
    weave(ONE, true);
    later(c.h, 900);
    weave(ONE, true);
    later(c.h, 200); /* the node is read again once a second */
    weave(ONE, false);
    weave(ONE, true);
    later(c.h, REMEMBER_S * 1000);
    weave(ONE, false);
}

static void whom_we_move_is_sent_to_his_new_node_at_once(void **state)
{
    (void)state;
    weave(ONE, false);
    weave(ONE, true);
    tell(&c, "admin", "POST", "accounts/7/cas",
         "{\"changes\":[[\"syncNode\",\"" NODE1 "\",\"" NODE2 "\"],[\"heddleEpoch\",\"1\",\"2\"]]}", 200);
    weave(TWO, false);
    weave(TWO, true);
}

static void whom_others_move_is_sent_to_his_new_node_at_the_news_or_after_its_time(void **state)
{
    (void)state;
    weave(ONE, false);
    others_move(NODE1, NODE2, "1", "2");
    weave(ONE, true);
    tell(&c, "admin", "POST", "news", "{\"uids\":[7]}", 200);
    weave(TWO, false);
    others_move(NODE2, NODE1, "2", "3");
    weave(TWO, true);
    tell(&c, "admin", "POST", "news", "{\"names\":[\"" ANNA "\"]}", 200);
    weave(ONE, false);
    others_move(NODE1, NODE2, "3", "4");
    later(c.h, REMEMBER_S * 1000);
    weave(TWO, false);
}

static void a_new_address_of_a_node_is_told_at_once_or_within_a_second(void **state)
{
    (void)state;
    struct node_entry n;
    weave(ONE, false);
    tell(&c, "admin", "PUT", "nodes/" NODE1, "{\"address\":\"https://new.example.org\"}", 200);
    said_is(ask(c.h, "GET", WEAVE, NULL, VIEW("")), 200, "https://new.example.org/");
    struct backend_session *s = others_session();
    assert_int_equal(node_get(s, VIEW(NODE1), &c.h->a, &n, NULL), RC_OK);
    n.address = VIEW("https://newer.example.org");
    assert_int_equal(node_put(s, &n, NULL), RC_OK);
    others_done(s);
    weave("https://new.example.org/", true);
    later(c.h, NODE_LATELY_US / 1000);
    weave("https://newer.example.org/", false);
}

static void who_was_deleted_is_unknown_at_once(void **state)
{
    (void)state;
    weave(ONE, false);
    tell(&c, "admin", "POST", "accounts/7/delete", "", 200);
    said_is(ask(c.h, "GET", WEAVE, NULL, VIEW("")), 404, "");
}

static void refusals_last_as_long_as_tokens_given_from_the_memory_of_others(void **state)
{
    (void)state;
    tell(&c, "admin", "POST", "accounts/7/disable", "", 200);
    assert_int_equal(c.h->forgotten.until_s, NOW_S + 3600 + REMEMBER_S);
}

/* ---- tokens ---- */

static int open_house(void **state)
{
    struct house *h = house_new(key);
    h->conf.remember_s = REMEMBER_S;
    h->warm = true;
    house_open(h);
    *state = h;
    return 0;
}

static int close_house(void **state)
{
    house_free(*state);
    return 0;
}

static const char *bearer(struct house *h, int64_t generation, int64_t life_s)
{
    const char *claims =
        arena_text(&h->a, "{\"sub\":\"" TEST_SUB "\",\"exp\":%lld,\"scope\":\"%s\",\"fxa-generation\":%lld}",
                   (long long)h->clock.wall_us / 1000000 + life_s, OLDSYNC, (long long)generation)
            .p;
    return arena_text(&h->a, "Bearer %.*s", VIEW_ARG(test_jwt(&h->a, key, AT_HEADER, claims))).p;
}

static struct said token(struct house *h, const char *authorization, const char *key_id)
{
    const char *const headers[] = { "Authorization", authorization, "X-KeyID", key_id, NULL };
    return ask(h, "GET", TOKEN, headers, VIEW(""));
}

static void token_is(struct house *h, const char *authorization, const char *key_id, int status,
                     bool from_memory)
{
    int before = h->warm_answers;
    struct said s = token(h, authorization, key_id);
    if (s.status != status || h->warm_answers - before != from_memory)
        fail_msg("%d %.*s, %d from memory", s.status, VIEW_ARG(s.body), h->warm_answers - before);
}

static void the_same_access_token_gives_another_token_from_memory(void **state)
{
    struct house *h = *state;
    const char *access = bearer(h, 5, 600);
    token_is(h, access, KEY_ID, 200, false);
    token_is(h, access, KEY_ID, 200, true);
    token_is(h, bearer(h, 5, 601), KEY_ID, 200, false); /* not proven yet */
    later(h, REMEMBER_S * 1000);
    token_is(h, access, KEY_ID, 200, false);
}

static void only_what_changes_nothing_is_answered_from_memory(void **state)
{
    struct house *h = *state;
    const char *access = bearer(h, 2000, 600), *newer = bearer(h, 2001, 600);
    token_is(h, access, KEY_ID, 200, false);
    token_is(h, access, KEY_ID, 200, true);
    token_is(h, newer, KEY_ID, 200, false);     /* raises the generation */
    token_is(h, access, KEY_ID, 401, false);    /* which is the older one now */
    token_is(h, newer, "1235-u7s", 401, false); /* a new state without a new generation */
    token_is(h, bearer(h, 2002, 600), "1235-u7s", 200, false);
    token_is(h, newer, KEY_ID, 401, false);
}

static void an_access_token_is_good_no_longer_than_it_says_and_the_keys_stay(void **state)
{
    struct house *h = *state;
    const char *access = bearer(h, 5, 2);
    token_is(h, access, KEY_ID, 200, false);
    token_is(h, access, KEY_ID, 200, true);
    later(h, 2000);
    token_is(h, access, KEY_ID, 401, false);

    access = bearer(h, 5, 600);
    token_is(h, access, KEY_ID, 200, false);
    token_is(h, access, KEY_ID, 200, true);
    house_write(h, h->jwks, arena_text(&h->a, "{\"keys\":[%s]}", test_jwk(&h->a, other_key, "k2", "")).p);
    assert_int_equal(directory_reload(h->d, &h->conf, NULL), RC_OK);
    token_is(h, access, KEY_ID, 401, false);
}

static void without_memory_nobody_is_answered_from_it(void **state)
{
    struct house *h = *state;
    const char *access = bearer(h, 5, 600);
    house_close(h);
    h->conf.remember_s = 0;
    house_open(h);
    for (int i = 0; i < 4; i++)
        token_is(h, access, KEY_ID, 200, false);
}

int main(void)
{
#define IN_CLUSTER(name) cmocka_unit_test_setup_teardown(name, open_two_nodes, close_two_nodes)
#define IN_HOUSE(name)   cmocka_unit_test_setup_teardown(name, open_house, close_house)
    const struct CMUnitTest tests[] = {
        IN_CLUSTER(who_asks_again_is_told_from_memory_until_its_time_is_over),
        IN_CLUSTER(whom_we_move_is_sent_to_his_new_node_at_once),
        IN_CLUSTER(whom_others_move_is_sent_to_his_new_node_at_the_news_or_after_its_time),
        IN_CLUSTER(a_new_address_of_a_node_is_told_at_once_or_within_a_second),
        IN_CLUSTER(who_was_deleted_is_unknown_at_once),
        IN_CLUSTER(refusals_last_as_long_as_tokens_given_from_the_memory_of_others),
        IN_HOUSE(the_same_access_token_gives_another_token_from_memory),
        IN_HOUSE(only_what_changes_nothing_is_answered_from_memory),
        IN_HOUSE(an_access_token_is_good_no_longer_than_it_says_and_the_keys_stay),
        IN_HOUSE(without_memory_nobody_is_answered_from_it),
    };
    key = test_key(2048);
    other_key = test_key(2048);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other_key);
    return failed;
}
