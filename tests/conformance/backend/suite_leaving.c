/* Accounts that leave and what they leave behind; walks over all of them. */
#include "suite.h"

/* ---- deleting and erasing ---- */

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
    /* never placed: nothing to erase */
    assert_int_equal(account_delete(f->s, VIEW("alice"), 7, 1000, NULL), RC_OK);
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

static const struct CMUnitTest leaving_tests[] = {
    TEST(a_deleted_account_leaves_what_is_to_be_erased),
    TEST(a_name_can_be_taken_again_with_another_uid),
    TEST(accounts_are_walked_in_the_order_of_names),
    TEST(accounts_are_searched_by_how_name_or_mail_begins),
    TEST(who_was_disabled_lately_is_found),
    TEST(leftovers_are_walked_in_the_order_of_uids),
    TEST(the_truth_is_what_reading_finds_and_never_makes_anybody),
};
const struct test_group leaving_part = TEST_GROUP(leaving);
