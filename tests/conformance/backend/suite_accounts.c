/* Accounts: adding and finding them, their passwords, hostile names, compare and set. */
#include "suite.h"

/* ---- accounts ---- */

static void an_account_comes_back_as_it_was_added(void **state)
{
    struct fixture *f = *state;
    struct account_new n = fixture_synced("8f3a@api.example.com", 42);
    fixture_add(f, &n);
    struct account a = fixture_get(f, "8f3a@api.example.com");
    assert_int_equal(a.uid, 42);
    assert_int_equal(a.epoch, 1);
    assert_int_equal(a.created_ms, START_MS);
    assert_int_equal(a.generation, 1234);
    assert_int_equal(a.keys_changed, 1200);
    assert_true(a.enabled);
    assert_false(a.has_password);
    assert_true(same(a.name, "8f3a@api.example.com"));
    assert_true(same(a.node, "node1.example.net"));
    assert_true(same(a.placed, "1767225600000 first"));
    assert_true(same(a.client_state, "aaaa"));
    assert_true(same(a.mail, NULL));
    assert_true(same(a.intent, NULL));
    assert_true(same(a.reset, NULL));
    assert_int_equal(a.n_old_states, 0);
    assert_int_equal(a.n_erases, 0);
}

static void what_was_not_given_is_absent(void **state)
{
    struct fixture *f = *state;
    struct account_new n = fixture_user("alice", 7);
    fixture_add(f, &n);
    struct account a = fixture_get(f, "alice");
    assert_true(a.has_password);
    assert_true(same(a.mail, "alice@example.com"));
    assert_true(same(a.node, NULL));
    assert_true(same(a.placed, NULL));
    assert_true(same(a.client_state, NULL));
    assert_int_equal(a.generation, 0);
    assert_int_equal(a.keys_changed, 0);
    assert_int_equal(a.password_since_ms, fixture_guest ? 0 : START_MS); /* nobody tells us there */
}

static void accounts_are_found_by_name_uid_and_mail(void **state)
{
    struct fixture *f = *state;
    struct account a;
    struct account_new n = fixture_user("alice", 7), m = fixture_user("bob", 8);
    m.mail = VIEW("Bob@Example.com");
    fixture_add(f, &n);
    fixture_add(f, &m);
    assert_int_equal(account_get(f->s, ACCOUNT_BY_UID, VIEW("8"), &f->arena, &a, NULL), RC_OK);
    assert_true(same(a.name, "bob"));
    assert_int_equal(account_get(f->s, ACCOUNT_BY_MAIL, VIEW("BOB@example.COM"), &f->arena, &a, NULL), RC_OK);
    assert_true(same(a.name, "bob"));
    static const char *const nobody[] = { "", "carol", "ALICE", "a", "*", "alice)(uid=*", "al\\ce" };
    for (size_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++)
        assert_int_equal(account_get(f->s, ACCOUNT_BY_NAME, view_of(nobody[i]), &f->arena, &a, NULL),
                         RC_NOT_FOUND);
    assert_int_equal(account_get(f->s, ACCOUNT_BY_UID, VIEW("9"), &f->arena, &a, NULL), RC_NOT_FOUND);
    assert_int_equal(account_get(f->s, ACCOUNT_BY_UID, VIEW("x"), &f->arena, &a, NULL), RC_NOT_FOUND);
    assert_int_equal(account_get(f->s, ACCOUNT_BY_MAIL, VIEW("*"), &f->arena, &a, NULL), RC_NOT_FOUND);
}

static void a_mail_address_of_two_is_nobodys(void **state)
{
    struct fixture *f = *state;
    struct account a;
    struct account_new n = fixture_user("alice", 7), m = fixture_user("bob", 8);
    fixture_add(f, &n);
    fixture_add(f, &m);
    assert_int_equal(account_get(f->s, ACCOUNT_BY_MAIL, VIEW("alice@example.com"), &f->arena, &a, NULL),
                     RC_CONFLICT);
}

static void an_account_is_never_written_over_another(void **state)
{
    struct fixture *f = *state;
    struct account_new n = fixture_user("alice", 7), m = fixture_user("alice", 8);
    m.password = VIEW("another one");
    fixture_add(f, &n);
    assert_int_equal(fixture_try_add(f, &m, NULL), RC_CONFLICT);
    struct account a;
    assert_int_equal(fixture_get(f, "alice").uid, 7);
    assert_int_equal(account_check_password(f->s, VIEW("alice"), VIEW("correct horse"), &f->arena, &a, NULL),
                     RC_OK);
}

/* ---- passwords ---- */

static void only_the_right_password_of_an_enabled_account_passes(void **state)
{
    struct fixture *f = *state;
    struct account a;
    struct account_new n = fixture_user("alice", 7), m = fixture_synced("x@y", 8);
    fixture_add(f, &n);
    fixture_add(f, &m);
    static const struct {
        const char *name, *password;
        rc expected;
    } rows[] = {
        { "alice", "correct horse", RC_OK }, { "alice", "correct horsf", RC_DENIED },
        { "alice", "", RC_DENIED },          { "carol", "correct horse", RC_DENIED },
        { "", "correct horse", RC_DENIED },  { "x@y", "correct horse", RC_DENIED }, /* has none */
        { "*", "correct horse", RC_DENIED },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (account_check_password(f->s, view_of(rows[i].name), view_of(rows[i].password), &f->arena, &a,
                                   NULL) != rows[i].expected)
            fail_msg("row %zu", i);
    assert_int_equal(cas1(f, "alice", ATTR_ENABLED, "Yes", "No"), RC_OK);
    assert_int_equal(account_check_password(f->s, VIEW("alice"), VIEW("correct horse"), &f->arena, &a, NULL),
                     RC_DENIED);
    assert_false(fixture_get(f, "alice").enabled);
}

static void a_new_password_replaces_the_old_at_once(void **state)
{
    struct fixture *f = *state;
    struct account a;
    struct account_new n = fixture_user("alice", 7);
    fixture_add(f, &n);
    f->clock.wall_us += 5000000;
    if (fixture_guest) {
        assert_int_equal(account_set_password(f->s, VIEW("alice"), VIEW("another one"), NULL), RC_FORBIDDEN);
        assert_int_equal(account_add(f->s, &n, NULL), RC_FORBIDDEN);
        return;
    }
    assert_int_equal(account_set_password(f->s, VIEW("alice"), VIEW("caf\xc3\xa9 noir"), NULL), RC_OK);
    assert_int_equal(account_check_password(f->s, VIEW("alice"), VIEW("correct horse"), &f->arena, &a, NULL),
                     RC_DENIED);
    assert_int_equal(
        account_check_password(f->s, VIEW("alice"), VIEW("caf\xc3\xa9 noir"), &f->arena, &a, NULL), RC_OK);
    assert_int_equal(a.password_since_ms, START_MS + 5000);
    assert_int_equal(a.uid, 7);
    assert_int_equal(account_set_password(f->s, VIEW("carol"), VIEW("whatever 1"), NULL), RC_NOT_FOUND);
    assert_int_equal(account_set_password(f->s, VIEW("alice"), VIEW(""), NULL), RC_BAD_INPUT);
}

/* ---- hostile names ---- */

static char long_name[231]; /* what LDAP servers take */
static const char *const hostile[] = {
    "*",
    "a*",
    "(uid=*)",
    "a)(uid=*",
    "a,b=c",
    "uid=a,ou=users",
    "a+uid=b",
    "a\\2a",
    "a\\",
    "#a",
    "a b",
    "=",
    ";<>\"",
    "'; --",
    "%s%n",
    "\n",
    "a\x01\x7f",
    "\xc3\xa9",
    "\xef\xac\x81",
    "\xf0\x9f\x90\x91",
    "../../x@y.z",
    "cn=x,dc=y@z",
    "a&b",
    "{SSHA256}AAAA@x.y",
    "alice",
    "Alice",
    "ALICE",
    " alice",
    "a  b",
    "\xff\xfe",
    "fi",
    "%41lice",
    "-1",
    "0",
    long_name,
};

static void any_text_is_a_name_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    enum { N = sizeof(hostile) / sizeof(hostile[0]) };
    memset(long_name, 'x', sizeof(long_name) - 1);
    for (int i = 0; i < N; i++) {
        struct account_new n = fixture_synced(hostile[i], 100 + i);
        fixture_add(f, &n);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(fixture_get(f, hostile[i]).uid, 100 + i);
        assert_int_equal(cas1(f, hostile[i], ATTR_EPOCH, "1", "2"), RC_OK);
    }
    for (int i = 0; i < N; i++) {
        struct account a;
        assert_int_equal(fixture_get(f, hostile[i]).epoch, 2); /* once each, so each was its own */
        assert_int_equal(account_check_password(f->s, view_of(hostile[i]), VIEW("x"), &f->arena, &a, NULL),
                         RC_DENIED);
        assert_int_equal(account_delete(f->s, view_of(hostile[i]), 100 + i, 1, NULL), RC_OK);
        if (i + 1 < N)
            assert_int_equal(fixture_get(f, hostile[i + 1]).epoch, 2);
    }
}

static void hostile_texts_are_values_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct account a;
    struct account_new n = fixture_synced("x@y", 8);
    fixture_add(f, &n);
    static const char *const values[] = {
        "*", "a)(b=*", "\\", "a\\2a", "'; DROP", "\xc3\xa9", "a\nb", "{x}"
    };
    const char *last = NULL;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_int_equal(cas1(f, "x@y", ATTR_INTENT, last, values[i]), RC_OK);
        assert_true(same(fixture_get(f, "x@y").intent, values[i]));
        assert_int_equal(account_get(f->s, ACCOUNT_BY_MAIL, view_of(values[i]), &f->arena, &a, NULL),
                         RC_NOT_FOUND);
        assert_int_equal(account_get(f->s, ACCOUNT_BY_UID, view_of(values[i]), &f->arena, &a, NULL),
                         RC_NOT_FOUND);
        last = values[i];
    }
}

/* ---- compare and set ---- */

static void a_change_happens_only_over_what_was_expected(void **state)
{
    struct fixture *f = *state;
    struct account_new n = fixture_synced("x@y", 8);
    fixture_add(f, &n);
    static const struct {
        enum account_attr attr;
        const char *expected, *wanted;
        rc result;
    } rows[] = {
        { ATTR_NODE, NULL, "node2", RC_CONFLICT },
        { ATTR_NODE, "node2", "node3", RC_CONFLICT },
        { ATTR_NODE, "node1.example.net", "node2", RC_OK },
        { ATTR_NODE, "node1.example.net", "node3", RC_CONFLICT },
        { ATTR_NODE, "node2", NULL, RC_OK },
        { ATTR_NODE, NULL, "node2", RC_OK },
        { ATTR_INTENT, NULL, "copy node8 m1 1767225900", RC_OK },
        { ATTR_INTENT, NULL, "copy node9 m2 1767225900", RC_CONFLICT },
        { ATTR_INTENT, "copy node8 m1 1767225900", "retire node2 m1", RC_OK },
        { ATTR_EPOCH, "1", "2", RC_OK },
        { ATTR_EPOCH, "1", "2", RC_CONFLICT },
        { ATTR_GENERATION, "1234", "9223372036854775807", RC_OK },
        { ATTR_KEYS_CHANGED, "1200", "1300", RC_OK },
        { ATTR_CLIENT_STATE, "aaaa", "bbbb", RC_OK },
        { ATTR_UID_NUMBER, "8", "9", RC_OK },
        { ATTR_RESET, NULL, "seed 1 2", RC_OK },
        { ATTR_MAIL, NULL, "a@b.cd", RC_OK },
        { ATTR_PLACED, "1767225600000 first", "1767225600001 again", RC_OK },
        { ATTR_OLD_STATE, NULL, "1 aaaa", RC_OK },
        { ATTR_OLD_STATE, NULL, "1 aaaa", RC_CONFLICT },
        { ATTR_OLD_STATE, "2 aaaa", NULL, RC_CONFLICT },
        { ATTR_OLD_STATE, "1 aaaa", NULL, RC_OK },
        { ATTR_NODE, "", "x", RC_BAD_INPUT },
        { ATTR_NODE, "node2", "", RC_BAD_INPUT },
        { ATTR_ERASE, "a", "b", RC_BAD_INPUT },
        { ATTR_ERASE, NULL, NULL, RC_BAD_INPUT },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (cas1(f, "x@y", rows[i].attr, rows[i].expected, rows[i].wanted) != rows[i].result)
            fail_msg("row %zu", i);
    assert_int_equal(cas1(f, "nobody", ATTR_INTENT, NULL, "x"), RC_NOT_FOUND);
    struct account a = fixture_get(f, "x@y");
    assert_int_equal(a.uid, 9);
    assert_int_equal(a.epoch, 2);
    assert_true(a.generation == GENERATION_RETIRED);
    assert_true(same(a.intent, "retire node2 m1"));
    assert_true(same(a.client_state, "bbbb"));
}

static void all_changes_happen_or_none(void **state)
{
    struct fixture *f = *state;
    struct account_new n = fixture_synced("x@y", 8);
    fixture_add(f, &n);
    struct change c[] = {
        fixture_change(ATTR_NODE, "node1.example.net", "node2"),
        fixture_change(ATTR_OLD_STATE, NULL, "1 aaaa"), fixture_change(ATTR_ERASE, NULL, "node1 8 1 5"),
        fixture_change(ATTR_EPOCH, "7", "8"), /* not so */
    };
    assert_int_equal(account_cas(f->s, VIEW("x@y"), c, 4, NULL), RC_CONFLICT);
    c[3] = fixture_change(ATTR_OLD_STATE, "9 zz", NULL); /* not so either, among the values this time */
    assert_int_equal(account_cas(f->s, VIEW("x@y"), c, 4, NULL), RC_CONFLICT);
    struct account a = fixture_get(f, "x@y");
    assert_true(same(a.node, "node1.example.net"));
    assert_int_equal(a.n_old_states + a.n_erases, 0);
    assert_int_equal(account_cas(f->s, VIEW("x@y"), c, 3, NULL), RC_OK);
    a = fixture_get(f, "x@y");
    assert_true(same(a.node, "node2"));
    assert_int_equal(a.n_old_states, 1);
    assert_true(same(a.erases[0], "node1 8 1 5"));
}

static void old_states_come_oldest_first(void **state)
{
    struct fixture *f = *state;
    struct account_new n = fixture_synced("x@y", 8);
    fixture_add(f, &n);
    static const char *const values[] = { "1000 dd", "999 cc", "5 aa", "77 bb" };
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(cas1(f, "x@y", ATTR_OLD_STATE, NULL, values[i]), RC_OK);
    struct account a = fixture_get(f, "x@y");
    assert_int_equal(a.n_old_states, 4);
    assert_true(same(a.old_states[0], "5 aa"));
    assert_true(same(a.old_states[1], "77 bb"));
    assert_true(same(a.old_states[2], "999 cc"));
    assert_true(same(a.old_states[3], "1000 dd"));
}

static void words_are_read_as_they_are_written(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < ATTR_N; i++) {
        enum account_attr a;
        assert_true(account_attr_parse(view_of(account_attr_name((enum account_attr)i)), &a));
        assert_int_equal(a, i);
    }
    struct erase x = { .node = VIEW("n:8000"), .uid = 5, .epoch = 2, .since_ms = 77 }, y;
    assert_true(erase_parse(erase_text(&f->arena, &x), &y));
    assert_true(view_eq(x.node, y.node) && y.uid == 5 && y.epoch == 2 && y.since_ms == 77);
    static const char *const broken[] = { "",        "n",      "n 5",       "n 5 2",   "n 5 2 ",
                                          "n 5 2 x", " 5 2 7", "n 5 2 7 8", "n -5 2 7" };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        assert_false(erase_parse(view_of(broken[i]), &y));
}

static const struct CMUnitTest accounts_tests[] = {
    TEST(an_account_comes_back_as_it_was_added),
    TEST(what_was_not_given_is_absent),
    TEST(accounts_are_found_by_name_uid_and_mail),
    TEST(a_mail_address_of_two_is_nobodys),
    TEST(an_account_is_never_written_over_another),
    TEST(only_the_right_password_of_an_enabled_account_passes),
    TEST(a_new_password_replaces_the_old_at_once),
    TEST(any_text_is_a_name_and_nothing_else),
    TEST(hostile_texts_are_values_and_nothing_else),
    TEST(a_change_happens_only_over_what_was_expected),
    TEST(all_changes_happen_or_none),
    TEST(old_states_come_oldest_first),
    TEST(words_are_read_as_they_are_written),
};
const struct test_group accounts_part = TEST_GROUP(accounts);
