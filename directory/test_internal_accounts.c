#include "directory/testing_cluster.h"

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no %s in %s", part, text);
}

static void add_user(struct cluster *c, const char *name, int64_t uid, const char *mail)
{
    struct err e = ERR_NONE;
    const struct account_new n = { .name = view_of(name),
                                   .uid = uid,
                                   .mail = view_of(mail),
                                   .password = VIEW("correct horse"),
                                   .node = VIEW(NODE1),
                                   .placed = VIEW("1767225600000 first"),
                                   .created_ms = 5,
                                   .epoch = 1 };
    if (account_add(c->session, &n, &e) != RC_OK)
        fail_msg("%s", e.text);
}

static struct account read_user(struct cluster *c, const char *name)
{
    struct account acc;
    assert_int_equal(account_get(c->session, ACCOUNT_BY_NAME, view_of(name), &c->h->a, &acc, NULL), RC_OK);
    return acc;
}

/* What a node hears of a directory that it has never heard. */
static const char *first_pulse(struct cluster *c)
{
    return tell(c, NODE1, "POST", "pulse", "{\"node\":\"" NODE1 "\",\"boot\":\"b1\"}", 200);
}

/* … of one that it has heard all of, but for what came behind `cursor`. */
static const char *next_pulse(struct cluster *c, int64_t cursor)
{
    char body[256];
    snprintf(body, sizeof(body), "{\"node\":\"" NODE1 "\",\"boot\":\"b1\",\"heard\":\"%s\",\"cursor\":%lld}",
             news_boot(c->h->d->internal->news), (long long)cursor);
    return tell(c, NODE1, "POST", "pulse", body, 200);
}

/* ---- reading ---- */

static void an_account_is_shown_whole_but_for_its_secrets(void **state)
{
    (void)state;
    struct cluster c;
    open_cluster(&c);
    add_user(&c, "anna", 42, "Anna@example.net");
    assert_int_equal(account_cas(c.session, VIEW("anna"),
                                 &(struct change){ ATTR_RESET, VIEW_NONE, VIEW("the-seed 9 0") }, 1, NULL),
                     RC_OK);
    const char *expected =
        "{\"uid\":42,\"name\":\"anna\",\"mail\":\"Anna@example.net\",\"enabled\":true,\"disabled\":0,"
        "\"retired\":false,\"password\":true,\"created\":5,\"password_since\":5,\"node\":\"" NODE1
        "\",\"epoch\":1,\"placed\":\"1767225600000 first\",\"intent\":null,\"client_state\":null,"
        "\"keys_changed\":0,\"old_states\":0,\"erases\":[]}";
    assert_string_equal(tell(&c, "admin", "GET", "accounts/42", NULL, 200), expected);
    assert_string_equal(tell(&c, "admin", "GET", "accounts/anna", NULL, 200), expected);
    assert_string_equal(tell(&c, "admin", "GET", "accounts/anna@EXAMPLE.net", NULL, 200), expected);
    assert_string_equal(tell(&c, "admin", "GET", "accounts/anna@EXAMPLE.net?by=mail", NULL, 200), expected);
    tell(&c, "admin", "GET", "accounts/43", NULL, 404);
    tell(&c, "admin", "GET", "accounts/42?by=name", NULL, 404);
    tell(&c, "admin", "GET", "accounts/42?by=heart", NULL, 400);
    tell(&c, NODE1, "GET", "accounts/42", NULL, 403);
    close_cluster(&c);
}

static void a_name_of_digits_is_found_when_asked_for_as_a_name(void **state)
{
    (void)state;
    struct cluster c;
    open_cluster(&c);
    add_user(&c, "42", 1, NULL);
    add_user(&c, "anna", 42, NULL);
    has(tell(&c, "admin", "GET", "accounts/42", NULL, 200), "\"name\":\"anna\"");
    has(tell(&c, "admin", "GET", "accounts/42?by=name", NULL, 200), "\"uid\":1,");
    close_cluster(&c);
}

static void lists_come_in_pages_that_follow_each_other(void **state)
{
    (void)state;
    struct cluster c;
    char name[32], path[900];
    int seen = 0, pages = 0;
    open_cluster(&c);
    for (int i = 0; i < 7; i++) {
        snprintf(name, sizeof(name), "n\xc3\xa4me %d+&@x", i); /* all that an address could be confused by */
        add_user(&c, name, 10 + i, NULL);
    }
    snprintf(path, sizeof(path), "accounts?limit=3");
    do {
        const char *text = tell(&c, "admin", "GET", path, NULL, 200);
        for (const char *p = text; (p = strchr(p, '\n')); p++)
            seen++;
        snprintf(path, sizeof(path), "accounts?limit=3&after=%.800s", c.answer.next);
        pages++;
    } while (c.answer.next[0]);
    assert_int_equal(seen, 7);
    assert_int_equal(pages, 3);
    tell(&c, "admin", "GET", "accounts?limit=7", NULL, 200);
    assert_string_equal(c.answer.next, "");
    close_cluster(&c);
}

static void lists_are_of_a_node_or_a_move_or_an_erase_or_a_search(void **state)
{
    (void)state;
    struct cluster c;
    open_cluster(&c);
    add_user(&c, "anna", 42, "zoe@example.net");
    add_user(&c, "bert", 43, "Anton@example.net");
    add_account(&c, "carl", 44, NODE2, 1);
    const struct change intent = { ATTR_INTENT, VIEW_NONE, VIEW("copy n2 m1 9") };
    const struct change erase = { ATTR_ERASE, VIEW_NONE, VIEW("n2 7 1 5") };
    assert_int_equal(account_cas(c.session, VIEW("bert"), &intent, 1, NULL), RC_OK);
    assert_int_equal(account_cas(c.session, VIEW("carl"), &erase, 1, NULL), RC_OK);
    const char *t = tell(&c, "admin", "GET", "accounts?node=" NODE2, NULL, 200);
    assert_true(strstr(t, "carl") && !strstr(t, "anna") && !strstr(t, "bert"));
    has(t, "\"erases\":[\"n2 7 1 5\"]");
    t = tell(&c, "admin", "GET", "accounts?intent=1", NULL, 200);
    assert_true(strstr(t, "\"intent\":\"copy n2 m1 9\"") && !strstr(t, "anna") && !strstr(t, "carl"));
    t = tell(&c, "admin", "GET", "accounts?erase=1", NULL, 200);
    assert_true(strstr(t, "carl") && !strstr(t, "anna") && !strstr(t, "bert"));
    t = tell(&c, "admin", "GET", "accounts?search=an", NULL, 200);
    assert_true(strstr(t, "\"anna\"") && strstr(t, "\"bert\"") && !strstr(t, "carl"));
    assert_string_equal(tell(&c, "admin", "GET", "accounts?search=An_%25", NULL, 200), "");
    tell(&c, "admin", "GET", "accounts?search=", NULL, 400);
    tell(&c, "admin", "GET", "accounts?intent=1&erase=1", NULL, 400);
    tell(&c, "admin", "GET", "accounts?limit=0", NULL, 400);
    tell(&c, "admin", "GET", "accounts?limit=1001", NULL, 400);
    tell(&c, "admin", "GET", "accounts?search=a&limit=101", NULL, 400);
    tell(&c, "admin", "GET", "accounts?nods=x", NULL, 400);
    close_cluster(&c);
}

/* ---- compare and set ---- */

static void a_flip_happens_only_over_what_was_expected_and_is_told(void **state)
{
    (void)state;
    struct cluster c;
    open_cluster(&c);
    add_node(&c, NODE1, 10);
    add_node(&c, NODE2, 10);
    add_user(&c, "anna", 42, NULL);
    const char *intend = "{\"changes\":[[\"heddleIntent\",null,\"copy n2 m1 9\"]]}";
    const char *flip =
        "{\"changes\":[[\"syncNode\",\"" NODE1 "\",\"" NODE2
        "\"],[\"heddleEpoch\",\"1\",\"2\"],[\"heddleIntent\",\"copy n2 m1 9\",\"retire n1 m1\"]]}";
    tell(&c, "admin", "POST", "accounts/42/cas", flip, 409);
    has(tell(&c, "admin", "POST", "accounts/42/cas", intend, 200), "\"intent\":\"copy n2 m1 9\"");
    tell(&c, "admin", "POST", "accounts/42/cas", intend, 409);
    assert_null(strstr(next_pulse(&c, 0), "anna")); /* so far nobody has to forget anything */
    const char *t = tell(&c, "admin", "POST", "accounts/42/cas", flip, 200);
    has(t, "\"node\":\"" NODE2 "\",\"epoch\":2");
    has(t, "\"intent\":\"retire n1 m1\"");
    has(next_pulse(&c, 0), "[{\"n\":1,\"what\":\"forget\",\"name\":\"anna\"}]"); /* and no uid is refused */
    tell(&c, "admin", "POST", "accounts/42/cas", flip, 409);
    tell(&c, "admin", "POST", "accounts/99/cas", intend, 404);
    tell(&c, NODE1, "POST", "accounts/42/cas", intend, 403);
    close_cluster(&c);
}

#define NODE_ALONE      "[[\"syncNode\",\"" NODE1 "\",\"" NODE2 "\"]]"
#define NODE_AWAY       "[[\"syncNode\",\"" NODE1 "\",null]]"
#define NODE_SAME_EPOCH "[[\"syncNode\",\"" NODE1 "\",\"" NODE2 "\"],[\"heddleEpoch\",\"1\",\"1\"]]"
#define NODE_UNKNOWN    "[[\"syncNode\",\"" NODE1 "\",\"nowhere\"],[\"heddleEpoch\",\"1\",\"2\"]]"

static void what_an_admin_may_not_change_stays_as_it_is(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[]",
        "{}",
        "[[\"heddleIntent\",null]]",
        "[[\"heddleIntent\",null,5]]",
        "[[\"heddleIntent\",null,\"\"]]",
        "[[\"heddleIntent\",null,\"a\\nb\"]]",
        "[[\"heddleIntent\",null,\"a\"],[\"heddleIntent\",null,\"b\"]]",
        "[[\"heddleIntend\",null,\"a\"]]",
        "[[\"uidNumber\",\"42\",\"43\"]]",
        "[[\"account-enabled\",\"Yes\",\"No\"]]",
        "[[\"heddleReset\",null,\"x\"]]",
        "[[\"heddleGeneration\",null,\"7\"]]",
        "[[\"mail\",null,\"x@y\"]]",
        "[[\"heddleEpoch\",\"1\",null]]",
        "[[\"heddleEpoch\",\"1\",\"0\"]]",
        "[[\"heddleEpoch\",\"1\",\"-2\"]]",
        "[[\"heddleEpoch\",\"3\",\"2\"]]",
        "[[\"heddleErase\",null,\"n2 7 1\"]]",
        "[[\"heddleErase\",null,null]]",
        "[[\"heddlePlaced\",\"1767225600000 first\",\"soon\"]]",
    };
    static const char *const bad_nodes[] = { NODE_ALONE, NODE_AWAY, NODE_SAME_EPOCH, NODE_UNKNOWN };
    struct cluster c;
    char body[512], before[1024];
    open_cluster(&c);
    add_node(&c, NODE1, 10);
    add_node(&c, NODE2, 10);
    add_user(&c, "anna", 42, NULL);
    snprintf(before, sizeof(before), "%s", tell(&c, "admin", "GET", "accounts/42", NULL, 200));
    const size_t n = sizeof(bad) / sizeof(bad[0]), n_nodes = sizeof(bad_nodes) / sizeof(bad_nodes[0]);
    for (size_t i = 0; i < n + n_nodes; i++) {
        snprintf(body, sizeof(body), "{\"changes\":%s}", i < n ? bad[i] : bad_nodes[i - n]);
        tell(&c, "admin", "POST", "accounts/42/cas", body, 400);
    }
    assert_string_equal(tell(&c, "admin", "GET", "accounts/42", NULL, 200), before);
    close_cluster(&c);
}

/* ---- who may log in ---- */

static void a_disabled_account_is_refused_at_once_and_after_every_restart_until_it_is_enabled(void **state)
{
    (void)state;
    struct cluster c;
    char refusal[128];
    open_cluster(&c);
    add_node(&c, NODE1, 10);
    add_user(&c, "anna", 42, NULL);
    snprintf(refusal, sizeof(refusal), "{\"what\":\"refuse\",\"uid\":42,\"until\":%lld}",
             (long long)NOW_S + 3601);
    has(tell(&c, "admin", "POST", "accounts/42/disable", NULL, 200),
        "\"enabled\":false,\"disabled\":1767225600000");
    assert_false(read_user(&c, "anna").enabled);
    const char *t = next_pulse(&c, 0);
    has(t, "\"what\":\"forget\",\"name\":\"anna\"");
    has(t, "\"what\":\"refuse\",\"uid\":42");
    has(first_pulse(&c), refusal); /* as to a node that starts now */
    has(tell(&c, NODE1, "POST", "verify", "{\"name\":\"anna\",\"password\":\"correct horse\"}", 200),
        "\"refused\":true");

    /* Again: the moment stays, the news go round once more. */
    c.h->clock.wall_us += 1000000;
    has(tell(&c, "admin", "POST", "accounts/42/disable", NULL, 200), "\"disabled\":1767225600000");
    has(next_pulse(&c, 2), "\"what\":\"refuse\",\"uid\":42");

    c.h->clock.wall_us += 3600 * INT64_C(1000000); /* all his tokens are over by now */
    assert_null(strstr(first_pulse(&c), "refuse"));
    c.h->clock.wall_us -= 3600 * INT64_C(1000000);

    has(tell(&c, "admin", "POST", "accounts/42/enable", NULL, 200), "\"enabled\":true,\"disabled\":0");
    has(next_pulse(&c, 4), "\"what\":\"allow\",\"uid\":42");
    assert_null(strstr(first_pulse(&c), "refuse"));
    has(tell(&c, NODE1, "POST", "verify", "{\"name\":\"anna\",\"password\":\"correct horse\"}", 200),
        "\"uid\":42");
    tell(&c, "admin", "POST", "accounts/42/enable", NULL, 200);
    tell(&c, "admin", "POST", "accounts/43/enable", NULL, 404);
    tell(&c, "admin", "POST", "accounts/43/disable", NULL, 404);
    tell(&c, "admin", "POST", "accounts/anna/disable", NULL, 404); /* numbers alone: names are taken again */
    tell(&c, NODE1, "POST", "accounts/42/disable", NULL, 403);
    close_cluster(&c);
}

static void a_deleted_account_leaves_what_is_to_be_erased_until_that_is_done(void **state)
{
    (void)state;
    struct cluster c;
    open_cluster(&c);
    add_node(&c, NODE1, 10);
    for (int i = 0; i < 3; i++) {
        char name[16], path[64];
        snprintf(name, sizeof(name), "u%d", i);
        snprintf(path, sizeof(path), "accounts/%d/delete", 42 + i);
        add_user(&c, name, 42 + i, NULL);
        tell(&c, "admin", "POST", path, NULL, 200);
        tell(&c, "admin", "POST", path, NULL, 404);
    }
    has(next_pulse(&c, 0), "\"what\":\"refuse\",\"uid\":42");
    has(first_pulse(&c), "{\"what\":\"refuse\",\"uid\":42,\"until\":");
    tell(&c, "admin", "GET", "accounts/42", NULL, 404);
    assert_string_equal(tell(&c, "admin", "GET", "erases?limit=1", NULL, 200),
                        "{\"uid\":42,\"node\":\"" NODE1
                        "\",\"epoch\":1,\"since\":1767225600000,\"seat\":true}\n");
    assert_string_equal(c.answer.next, "42");
    has(tell(&c, "admin", "GET", "erases?limit=2&after=42", NULL, 200), "{\"uid\":44");
    assert_string_equal(c.answer.next, "");
    tell(&c, "admin", "POST", "erases/42/done", NULL, 200);
    tell(&c, "admin", "POST", "erases/42/done", NULL, 404);
    assert_null(strstr(tell(&c, "admin", "GET", "erases", NULL, 200), "\"uid\":42"));
    tell(&c, "admin", "GET", "erases?after=x", NULL, 400);
    close_cluster(&c);
}

/* ---- seats, news ---- */

static void seats_are_taken_and_given_back_within_the_capacity(void **state)
{
    (void)state;
    struct cluster c;
    open_cluster(&c);
    add_node(&c, NODE1, 10);
    assert_string_equal(tell(&c, "admin", "POST", "nodes/" NODE1 "/seats", "{\"take\":8}", 200),
                        "{\"got\":8}");
    assert_string_equal(tell(&c, "admin", "POST", "nodes/" NODE1 "/seats", "{\"take\":8}", 200),
                        "{\"got\":2}");
    assert_string_equal(tell(&c, "admin", "POST", "nodes/" NODE1 "/seats", "{\"take\":8}", 200),
                        "{\"got\":0}");
    tell(&c, "admin", "POST", "nodes/" NODE1 "/seats", "{\"give\":3}", 200);
    has(tell(&c, "admin", "GET", "nodes/" NODE1, NULL, 200), "\"seats\":3");
    tell(&c, "admin", "POST", "nodes/" NODE1 "/seats", "{\"give\":30}", 200);
    has(tell(&c, "admin", "GET", "nodes/" NODE1, NULL, 200), "\"seats\":10");
    tell(&c, "admin", "POST", "nodes/" NODE1 "/seats", "{\"give\":0}", 400);
    tell(&c, "admin", "POST", "nodes/" NODE1 "/seats", "{\"give\":1,\"take\":1}", 400);
    tell(&c, "admin", "POST", "nodes/" NODE1 "/seats", "{}", 400);
    tell(&c, "admin", "POST", "nodes/" NODE2 "/seats", "{\"give\":1}", 404);
    tell(&c, "admin", "POST", "nodes/" NODE2 "/seats", "{\"take\":1}", 404);
    close_cluster(&c);
}

static void news_of_another_directory_reach_our_nodes(void **state)
{
    (void)state;
    struct cluster c;
    open_cluster(&c);
    add_user(&c, "anna", 42, NULL);
    assert_string_equal(tell(&c, "admin", "POST", "news", "{\"uids\":[42,99],\"names\":[\"bert\"]}", 200),
                        "{}");
    const char *t = next_pulse(&c, 0);
    has(t, "\"what\":\"forget\",\"name\":\"bert\"");
    has(t, "\"what\":\"forget\",\"name\":\"anna\"");
    assert_null(strstr(t, "refuse"));
    tell(&c, "admin", "POST", "news", "{}", 400);
    tell(&c, "admin", "POST", "news", "{\"uids\":[\"42\"]}", 400);
    tell(&c, "admin", "POST", "news", "{\"names\":[\"\"]}", 400);
    tell(&c, "admin", "POST", "news", "{\"names\":\"anna\"}", 400);
    tell(&c, NODE1, "POST", "news", "{\"uids\":[42]}", 403);
    close_cluster(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_account_is_shown_whole_but_for_its_secrets),
        cmocka_unit_test(a_name_of_digits_is_found_when_asked_for_as_a_name),
        cmocka_unit_test(lists_come_in_pages_that_follow_each_other),
        cmocka_unit_test(lists_are_of_a_node_or_a_move_or_an_erase_or_a_search),
        cmocka_unit_test(a_flip_happens_only_over_what_was_expected_and_is_told),
        cmocka_unit_test(what_an_admin_may_not_change_stays_as_it_is),
        cmocka_unit_test(a_disabled_account_is_refused_at_once_and_after_every_restart_until_it_is_enabled),
        cmocka_unit_test(a_deleted_account_leaves_what_is_to_be_erased_until_that_is_done),
        cmocka_unit_test(seats_are_taken_and_given_back_within_the_capacity),
        cmocka_unit_test(news_of_another_directory_reach_our_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
