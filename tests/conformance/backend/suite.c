/* What every driver of the directory must do, as directory/backend/backend.h says it. */
#include "suite.h"

#include <pthread.h>

#include "common/base/scope.h"
#include "fixture.h"

static bool same(view v, const char *text)
{
    return text ? view_eq(v, view_of(text)) && v.p : v.p == NULL;
}

static rc cas1(struct fixture *f, const char *name, enum account_attr attr, const char *expected,
               const char *wanted)
{
    struct change c = fixture_change(attr, expected, wanted);
    return account_cas(f->s, view_of(name), &c, 1, NULL);
}

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

/* ---- deleting and erasing ---- */

struct seen {
    size_t n;
    char text[16][128];
};

static bool see_erase(void *arg, const struct erase *x)
{
    struct seen *s = arg;
    snprintf(s->text[s->n++], 128, "%.*s|%.*s|%lld|%lld|%lld%s", VIEW_ARG(x->account), VIEW_ARG(x->node),
             (long long)x->uid, (long long)x->epoch, (long long)x->since_ms, x->seat ? "|seat" : "");
    return s->n < 16;
}

static void a_deleted_account_leaves_what_is_to_be_erased(void **state)
{
    struct fixture *f = *state;
    struct account a;
    struct seen seen = { 0 };
    struct account_new n = fixture_synced("x@y", 8), m = fixture_user("alice", 7),
                       o = fixture_synced("z@y", 12);
    fixture_add(f, &n);
    fixture_add(f, &m);
    fixture_add(f, &o);
    assert_int_equal(cas1(f, "x@y", ATTR_ERASE, NULL, "node0 3 1 5"), RC_OK);
    assert_int_equal(cas1(f, "z@y", ATTR_ERASE, NULL, "node0 4 1 6"), RC_OK);
    assert_int_equal(account_delete(f->s, VIEW("x@y"), 9, 1000, NULL), RC_CONFLICT);
    assert_int_equal(account_delete(f->s, VIEW("x@y"), 8, 1000, NULL), RC_OK);
    assert_int_equal(account_delete(f->s, VIEW("alice"), 7, 1000, NULL),
                     RC_OK); /* never placed: nothing to erase */
    assert_int_equal(account_delete(f->s, VIEW("x@y"), 8, 1000, NULL), RC_NOT_FOUND);
    assert_int_equal(account_get(f->s, ACCOUNT_BY_NAME, VIEW("x@y"), &f->arena, &a, NULL), RC_NOT_FOUND);
    assert_int_equal(erases_each(f->s, see_erase, &seen, NULL), RC_OK);
    assert_int_equal(seen.n, 3);
    assert_string_equal(seen.text[0], "|node0|3|1|5");
    assert_string_equal(seen.text[1], "|node1.example.net|8|1|1000|seat");
    assert_string_equal(seen.text[2], "z@y|node0|4|1|6");
    assert_int_equal(erase_done(f->s, 8, NULL), RC_OK);
    assert_int_equal(erase_done(f->s, 8, NULL), RC_NOT_FOUND);
    seen.n = 0;
    assert_int_equal(erases_each(f->s, see_erase, &seen, NULL), RC_OK);
    assert_int_equal(seen.n, 2);
}

static void a_name_can_be_taken_again_with_another_uid(void **state)
{
    struct fixture *f = *state;
    struct account_new n = fixture_user("alice", 7), m = fixture_user("alice", 8);
    fixture_add(f, &n);
    assert_int_equal(cas1(f, "alice", ATTR_OLD_STATE, NULL, "1 aa"), RC_OK);
    assert_int_equal(account_delete(f->s, VIEW("alice"), 7, 1000, NULL), RC_OK);
    fixture_add(f, &m);
    assert_int_equal(fixture_get(f, "alice").uid, 8);
    assert_int_equal(fixture_get(f, "alice").n_old_states, 0);
}

/* ---- walking ---- */

static bool see_account(void *arg, const struct account *a)
{
    struct seen *s = arg;
    snprintf(s->text[s->n++], 128, "%.*s %zu", VIEW_ARG(a->name), a->n_erases);
    return s->n < 2;
}

static void accounts_are_walked_in_the_order_of_names(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = { "b@y", "a@y", "d@y", "c@y" };
    for (int i = 0; i < 4; i++) {
        struct account_new n = fixture_synced(names[i], 10 + i);
        if (i == 2)
            n.node = VIEW("node2");
        fixture_add(f, &n);
    }
    assert_int_equal(cas1(f, "c@y", ATTR_INTENT, NULL, "copy"), RC_OK);
    assert_int_equal(cas1(f, "d@y", ATTR_ERASE, NULL, "node1 3 1 5"), RC_OK);
    struct seen s = { 0 };
    assert_int_equal(accounts_each(f->s, &(struct account_filter){ .node = VIEW("node1.example.net") },
                                   see_account, &s, NULL),
                     RC_OK);
    assert_int_equal(s.n, 2); /* the visitor stopped */
    assert_string_equal(s.text[0], "a@y 0");
    assert_string_equal(s.text[1], "b@y 0");
    s.n = 0;
    assert_int_equal(
        accounts_each(f->s,
                      &(struct account_filter){ .node = VIEW("node1.example.net"), .after = VIEW("b@y") },
                      see_account, &s, NULL),
        RC_OK);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.text[0], "c@y 0");
    s.n = 0;
    assert_int_equal(
        accounts_each(f->s, &(struct account_filter){ .with_intent = true }, see_account, &s, NULL), RC_OK);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.text[0], "c@y 0");
    s.n = 0;
    assert_int_equal(
        accounts_each(f->s, &(struct account_filter){ .with_erase = true }, see_account, &s, NULL), RC_OK);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.text[0], "d@y 1");
    s.n = 0;
    assert_int_equal(accounts_each(f->s, &(struct account_filter){ .all = true, .after = VIEW("c@y") },
                                   see_account, &s, NULL),
                     RC_OK);
    assert_int_equal(s.n, 1);
    assert_int_equal(accounts_each(f->s, &(struct account_filter){ .all = true, .with_intent = true },
                                   see_account, &s, NULL),
                     RC_BAD_INPUT);
}

static void see_of(struct fixture *f, const struct account_filter *filter, struct seen *out)
{
    *out = (struct seen){ 0 };
    assert_int_equal(accounts_each(f->s, filter, see_account, out, NULL), RC_OK);
}

static void accounts_are_searched_by_how_name_or_mail_begins(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = { "ab%c@y", "Xa@y", "zz@y" };
    struct seen s;
    for (int i = 0; i < 3; i++) {
        struct account_new n = fixture_synced(names[i], 10 + i);
        n.mail = i == 1 ? VIEW("Ab.Cd@example.com") : VIEW_NONE;
        fixture_add(f, &n);
    }
    see_of(f, &(struct account_filter){ .begins = VIEW("ab") }, &s);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.text[0], "Xa@y 0"); /* by its address, in any case of letters */
    assert_string_equal(s.text[1], "ab%c@y 0");
    see_of(f, &(struct account_filter){ .begins = VIEW("ab%") }, &s);
    assert_int_equal(s.n, 1);
    see_of(f, &(struct account_filter){ .begins = VIEW("ab"), .after = VIEW("Xa@y") }, &s);
    assert_int_equal(s.n, 1);
    see_of(f, &(struct account_filter){ .begins = VIEW("b") }, &s);
    assert_int_equal(s.n, 0);
    static const char *const odd[] = {
        "*", "a*", "%", "_", "ab)(uid=*", "ab*)(|(uid=*", "\\2a", "'--", "\""
    };
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        see_of(f, &(struct account_filter){ .begins = view_of(odd[i]) }, &s);
        assert_int_equal(s.n, 0);
    }
    assert_int_equal(
        accounts_each(f->s, &(struct account_filter){ .begins = VIEW("") }, see_account, &s, NULL),
        RC_BAD_INPUT);
    assert_int_equal(
        accounts_each(f->s, &(struct account_filter){ .begins = VIEW("\xff") }, see_account, &s, NULL),
        RC_BAD_INPUT);
}

static void who_was_disabled_lately_is_found(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    for (int i = 0; i < 3; i++) {
        const struct account_new n = fixture_synced(i == 0 ? "a@y" : i == 1 ? "b@y" : "c@y", 10 + i);
        fixture_add(f, &n);
    }
    const struct change off[] = { fixture_change(ATTR_ENABLED, "Yes", "No"),
                                  fixture_change(ATTR_DISABLED, NULL, "999") };
    const struct change on[] = { fixture_change(ATTR_ENABLED, "No", "Yes"),
                                 fixture_change(ATTR_DISABLED, "1000", NULL) };
    assert_int_equal(account_cas(f->s, VIEW("a@y"), off, 2, NULL), RC_OK);
    assert_int_equal(account_cas(f->s, VIEW("b@y"), off, 2, NULL), RC_OK);
    assert_int_equal(cas1(f, "b@y", ATTR_DISABLED, "999", "1000"), RC_OK);
    see_of(f, &(struct account_filter){ .disabled_since_ms = 1 }, &s);
    assert_int_equal(s.n, 2);
    see_of(f, &(struct account_filter){ .disabled_since_ms = 1000 }, &s);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.text[0], "b@y 0");
    assert_int_equal(fixture_get(f, "b@y").disabled_ms, 1000);
    assert_int_equal(account_cas(f->s, VIEW("b@y"), on, 2, NULL), RC_OK);
    see_of(f, &(struct account_filter){ .disabled_since_ms = 1000 }, &s);
    assert_int_equal(s.n, 0);
    assert_int_equal(fixture_get(f, "b@y").disabled_ms, 0);
}

static void leftovers_are_walked_in_the_order_of_uids(void **state)
{
    struct fixture *f = *state;
    struct seen s = { 0 };
    static const int64_t uids[] = { 9, 100, 11 };
    for (int i = 0; i < 3; i++) {
        struct account_new n = fixture_synced("x@y", uids[i]);
        fixture_add(f, &n);
        if (i == 2)
            assert_int_equal(cas1(f, "x@y", ATTR_ERASE, NULL, "node0 3 1 5"), RC_OK);
        if (i < 2)
            assert_int_equal(account_delete(f->s, VIEW("x@y"), uids[i], 1000, NULL), RC_OK);
    }
    assert_int_equal(leftovers_each(f->s, 0, see_erase, &s, NULL), RC_OK);
    assert_int_equal(s.n, 2); /* those of the living are found by their accounts */
    assert_string_equal(s.text[0], "|node1.example.net|9|1|1000|seat");
    assert_string_equal(s.text[1], "|node1.example.net|100|1|1000|seat");
    s.n = 0;
    assert_int_equal(leftovers_each(f->s, 9, see_erase, &s, NULL), RC_OK);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.text[0], "|node1.example.net|100|1|1000|seat");
}

static void the_truth_is_what_reading_finds_and_never_makes_anybody(void **state)
{
    struct fixture *f = *state;
    struct account a;
    struct account_new n = fixture_user("alice", 7);
    fixture_add(f, &n);
    assert_int_equal(account_truth(f->s, ACCOUNT_BY_NAME, VIEW("alice"), &f->arena, &a, NULL), RC_OK);
    assert_int_equal(a.uid, 7);
    assert_int_equal(account_truth(f->s, ACCOUNT_BY_UID, VIEW("7"), &f->arena, &a, NULL), RC_OK);
    assert_true(same(a.name, "alice"));
    assert_int_equal(account_truth(f->s, ACCOUNT_BY_MAIL, VIEW("ALICE@example.com"), &f->arena, &a, NULL),
                     RC_OK);
    assert_int_equal(account_truth(f->s, ACCOUNT_BY_NAME, VIEW("bob"), &f->arena, &a, NULL), RC_NOT_FOUND);
    assert_int_equal(account_truth(f->s, ACCOUNT_BY_UID, VIEW("8"), &f->arena, &a, NULL), RC_NOT_FOUND);
    account_changed(f->s, VIEW("alice"));
    assert_int_equal(fixture_get(f, "alice").uid, 7);
}

/* ---- nodes and counters ---- */

static struct node_entry node_named(const char *name, int64_t capacity, int64_t seats)
{
    return (struct node_entry){ .name = view_of(name),
                                .url = VIEW("https://node1.example.net"),
                                .address = VIEW("https://sync.example.net"),
                                .node_type = VIEW("mysql"),
                                .pools = VIEW("a b"),
                                .state = NODE_DRAINING,
                                .capacity = capacity,
                                .seats = seats,
                                .opened_ms = 99 };
}

static bool see_node(void *arg, const struct node_entry *n)
{
    struct seen *s = arg;
    snprintf(s->text[s->n++], 128, "%.*s", VIEW_ARG(n->name));
    return true;
}

static void a_node_comes_back_as_it_was_put(void **state)
{
    struct fixture *f = *state;
    struct node_entry n = node_named("node2", 100, 10), m = node_named("node1", 200, 20), got;
    struct seen s = { 0 };
    assert_int_equal(node_put(f->s, &n, NULL), RC_OK);
    assert_int_equal(node_put(f->s, &m, NULL), RC_OK);
    n.state = NODE_OPEN;
    assert_int_equal(node_put(f->s, &n, NULL), RC_OK);
    assert_int_equal(node_get(f->s, VIEW("node2"), &f->arena, &got, NULL), RC_OK);
    assert_true(same(got.url, "https://node1.example.net") && same(got.address, "https://sync.example.net"));
    assert_true(same(got.node_type, "mysql") && same(got.pools, "a b"));
    assert_true(got.state == NODE_OPEN && got.capacity == 100 && got.seats == 10 && got.opened_ms == 99);
    assert_int_equal(nodes_each(f->s, see_node, &s, NULL), RC_OK);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.text[0], "node1");
    assert_int_equal(node_delete(f->s, VIEW("node2"), NULL), RC_OK);
    assert_int_equal(node_delete(f->s, VIEW("node2"), NULL), RC_NOT_FOUND);
    assert_int_equal(node_get(f->s, VIEW("node2"), &f->arena, &got, NULL), RC_NOT_FOUND);
}

static void a_node_that_tokens_could_not_name_is_refused(void **state)
{
    struct fixture *f = *state;
    struct node_entry n = node_named("node2", 100, 10);
    n.url = VIEW("https://node1.example.net/");
    assert_int_equal(node_put(f->s, &n, NULL), RC_BAD_INPUT);
    n = node_named("node2", 100, 101);
    assert_int_equal(node_put(f->s, &n, NULL), RC_BAD_INPUT);
    n = node_named("node 2", 100, 10);
    assert_int_equal(node_put(f->s, &n, NULL), RC_BAD_INPUT);
    n = node_named("", 100, 10);
    assert_int_equal(node_put(f->s, &n, NULL), RC_BAD_INPUT);
}

static void seats_are_taken_while_there_are_some(void **state)
{
    struct fixture *f = *state;
    struct node_entry n = node_named("node2", 100, 10);
    int64_t got = -1;
    assert_int_equal(node_put(f->s, &n, NULL), RC_OK);
    assert_int_equal(seats_take(f->s, VIEW("node2"), 7, &got, NULL), RC_OK);
    assert_int_equal(got, 7);
    assert_int_equal(seats_take(f->s, VIEW("node2"), 7, &got, NULL), RC_OK);
    assert_int_equal(got, 3);
    assert_int_equal(seats_take(f->s, VIEW("node2"), 7, &got, NULL), RC_OK);
    assert_int_equal(got, 0);
    assert_int_equal(seats_take(f->s, VIEW("node3"), 7, &got, NULL), RC_NOT_FOUND);
    assert_int_equal(seats_take(f->s, VIEW("node2"), 0, &got, NULL), RC_BAD_INPUT);
}

static void a_node_changes_without_touching_its_seats(void **state)
{
    struct fixture *f = *state;
    struct node_entry n = node_named("node2", 100, 10), kept = node_named("node2", 50, SEATS_KEPT), x;
    int64_t got;
    assert_int_equal(node_put(f->s, &kept, NULL), RC_NOT_FOUND);
    assert_int_equal(node_put(f->s, &n, NULL), RC_OK);
    assert_int_equal(seats_take(f->s, VIEW("node2"), 3, &got, NULL), RC_OK);
    kept.state = NODE_DRAINING;
    assert_int_equal(node_put(f->s, &kept, NULL), RC_OK);
    assert_int_equal(node_get(f->s, VIEW("node2"), &f->arena, &x, NULL), RC_OK);
    assert_true(x.seats == 7 && x.capacity == 50 && x.state == NODE_DRAINING);
    kept.seats = -2;
    assert_int_equal(node_put(f->s, &kept, NULL), RC_BAD_INPUT);
}

static void seats_are_given_back_up_to_the_capacity(void **state)
{
    struct fixture *f = *state;
    struct node_entry n = node_named("node2", 100, 10);
    int64_t got = -1;
    assert_int_equal(node_put(f->s, &n, NULL), RC_OK);
    assert_int_equal(seats_give(f->s, VIEW("node2"), 5, NULL), RC_OK);
    assert_int_equal(seats_take(f->s, VIEW("node2"), 99, &got, NULL), RC_OK);
    assert_int_equal(got, 15);
    assert_int_equal(seats_give(f->s, VIEW("node2"), 101, NULL), RC_OK);
    assert_int_equal(seats_give(f->s, VIEW("node2"), 1, NULL), RC_OK);
    assert_int_equal(seats_take(f->s, VIEW("node2"), 200, &got, NULL), RC_OK);
    assert_int_equal(got, 100);
    assert_int_equal(seats_give(f->s, VIEW("node3"), 1, NULL), RC_NOT_FOUND);
    assert_int_equal(seats_give(f->s, VIEW("node2"), 0, NULL), RC_BAD_INPUT);
}

static void blocks_of_uids_follow_each_other(void **state)
{
    struct fixture *f = *state;
    int64_t first = 0, second = 0;
    assert_int_equal(uid_next(f->s, 16, &first, NULL), RC_OK);
    assert_int_equal(uid_next(f->s, 1, &second, NULL), RC_OK);
    assert_true(first >= 1);
    assert_int_equal(second, first + 16);
    assert_int_equal(uid_next(f->s, 0, &first, NULL), RC_BAD_INPUT);
}

/* ---- many at once ---- */

enum { RACERS = 8, ROUNDS = 25 };

struct racer {
    struct backend *backend;
    int number, wins, failures;
    int64_t uids[ROUNDS];
};

static void *race_epochs(void *arg)
{
    struct racer *r = arg;
    struct backend_session *s;
    if (backend_session_open(r->backend, &s, NULL) != RC_OK) {
        r->failures++;
        return NULL;
    }
    for (int i = 0; i < ROUNDS; i++) {
        SCOPED(arena_done) struct arena a;
        struct account acc;
        arena_init(&a, 65536);
        if (account_get(s, ACCOUNT_BY_NAME, VIEW("x@y"), &a, &acc, NULL) != RC_OK) {
            r->failures++;
            continue;
        }
        struct change c = change_number(&a, ATTR_EPOCH, acc.epoch, acc.epoch + 1);
        rc got = account_cas(s, VIEW("x@y"), &c, 1, NULL);
        r->wins += got == RC_OK;
        r->failures += got != RC_OK && got != RC_CONFLICT;
        r->failures += uid_next(s, 1, &r->uids[i], NULL) != RC_OK;
    }
    backend_session_close(s);
    return NULL;
}

static void *race_adds(void *arg)
{
    struct racer *r = arg;
    struct backend_session *s;
    if (backend_session_open(r->backend, &s, NULL) != RC_OK) {
        r->failures++;
        return NULL;
    }
    for (int i = 0; i < ROUNDS; i++) {
        char name[32];
        snprintf(name, sizeof(name), "user%d@y", i);
        struct account_new n = fixture_synced(name, 1000 + r->number * 100 + i);
        rc got = account_add(s, &n, NULL);
        r->wins += got == RC_OK;
        r->failures += got != RC_OK && got != RC_CONFLICT;
    }
    backend_session_close(s);
    return NULL;
}

static int race(struct fixture *f, void *(*run)(void *), struct racer racers[RACERS])
{
    pthread_t threads[RACERS];
    int wins = 0;
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){ .backend = f->backend, .number = i };
        assert_int_equal(pthread_create(&threads[i], NULL, run, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < RACERS; i++) {
        assert_int_equal(racers[i].failures, 0);
        wins += racers[i].wins;
    }
    return wins;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void as_many_writers_win_as_epochs_passed(void **state)
{
    struct fixture *f = *state;
    struct racer racers[RACERS];
    int64_t uids[RACERS * ROUNDS];
    struct account_new n = fixture_synced("x@y", 8);
    fixture_add(f, &n);
    int wins = race(f, race_epochs, racers);
    assert_true(wins > 0);
    assert_int_equal(fixture_get(f, "x@y").epoch, 1 + wins);
    for (int i = 0; i < RACERS; i++)
        memcpy(uids + i * ROUNDS, racers[i].uids, sizeof(racers[i].uids));
    qsort(uids, RACERS * ROUNDS, sizeof(uids[0]), by_number);
    for (int i = 1; i < RACERS * ROUNDS; i++)
        assert_true(uids[i] > uids[i - 1]); /* nobody got another's */
}

static void of_parallel_adds_of_one_name_one_wins(void **state)
{
    struct racer racers[RACERS];
    assert_int_equal(race(*state, race_adds, racers), ROUNDS);
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

#define TEST(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)

int suite_run(void)
{
    const struct CMUnitTest tests[] = {
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
        TEST(a_deleted_account_leaves_what_is_to_be_erased),
        TEST(a_name_can_be_taken_again_with_another_uid),
        TEST(accounts_are_walked_in_the_order_of_names),
        TEST(accounts_are_searched_by_how_name_or_mail_begins),
        TEST(who_was_disabled_lately_is_found),
        TEST(leftovers_are_walked_in_the_order_of_uids),
        TEST(the_truth_is_what_reading_finds_and_never_makes_anybody),
        TEST(a_node_comes_back_as_it_was_put),
        TEST(a_node_that_tokens_could_not_name_is_refused),
        TEST(seats_are_taken_while_there_are_some),
        TEST(a_node_changes_without_touching_its_seats),
        TEST(seats_are_given_back_up_to_the_capacity),
        TEST(blocks_of_uids_follow_each_other),
        TEST(as_many_writers_win_as_epochs_passed),
        TEST(of_parallel_adds_of_one_name_one_wins),
        TEST(words_are_read_as_they_are_written),
        TEST(an_invite_code_comes_back_as_it_was_added),
        TEST(an_invite_code_is_never_written_over_another),
        TEST(an_impossible_invite_code_is_refused),
        TEST(a_use_is_taken_once_confirmed_or_given_back),
        TEST(a_deleted_invite_code_takes_nobody),
        TEST(invite_codes_are_walked_in_the_order_of_ids),
        TEST(of_parallel_registrations_as_many_take_as_uses_were_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
