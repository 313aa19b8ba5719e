/* People and groups of others: a tree as Active Directory keeps it, groups in several forms, and several servers to ask. */
#include "common/base/scope.h"
#include "directory/backend/ldap_text.h"
#include "fixture_ldap.h"

#define ENABLED  "512" /* userAccountControl: an ordinary account */
#define DISABLED "514" /* … with the bit ACCOUNTDISABLE */

/* rows: attribute, value, attribute, value, NULL; values of one attribute follow each other. */
static void put_entry(struct fixture *f, const char *dn, const char *const *rows)
{
    LDAP *ld = fixture_ldap_root();
    LDAPMod *mods[16] = { NULL };
    size_t n = 0;
    for (; *rows; rows += 2) {
        bool more = n > 0 && strcmp(mods[n - 1]->mod_type, rows[0]) == 0;
        LDAPMod *m = more ? mods[n - 1] : arena_zero(&f->arena, sizeof(*m));
        char **values = arena_zero(&f->arena, 8 * sizeof(*values));
        size_t k = 0;
        for (; more && m->mod_values[k]; k++)
            values[k] = m->mod_values[k];
        values[k] = arena_cstr(&f->arena, view_of(rows[1]));
        m->mod_type = arena_cstr(&f->arena, view_of(rows[0]));
        m->mod_values = values;
        if (!more)
            mods[n++] = m;
    }
    int got = ldap_add_ext_s(ld, dn, mods, NULL, NULL);
    if (got != LDAP_SUCCESS)
        fail_msg("%s: %s", dn, ldap_err2string(got));
    ldap_unbind_ext(ld, NULL, NULL);
}

/* Lives as long as the backend. */
static char *text(struct fixture *f, const char *t)
{
    return arena_cstr(&f->arena, view_of(t));
}

static const char *below(struct fixture *f, const char *rdn, const char *parent)
{
    return arena_text(&f->arena, "%s,%s", rdn, parent).p;
}

/* ---- Active Directory ---- */

/* What an operator writes for it. */
static void like_active_directory(struct fixture *f)
{
    const char *const unit[] = { "objectClass", "organizationalUnit", NULL };
    f->ldap->layout = text(f, "guest");
    f->ldap->people_base = text(f, below(f, "ou=G\xc3\xa4ste & Co", f->ldap->base));
    f->ldap->people_filter =
        text(f, "(&(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))");
    f->ldap->people_name = text(f, "sAMAccountName");
    f->ldap->people_mail = text(f, "userPrincipalName");
    put_entry(f, f->ldap->people_base, unit);
    reopen(f);
}

static void add_windows_user(struct fixture *f, const char *rdn, const char *account, const char *control)
{
    const char *const rows[] = { "objectClass",
                                 "user",
                                 "sn",
                                 "Doe",
                                 "sAMAccountName",
                                 account,
                                 "userPrincipalName",
                                 arena_text(&f->arena, "%s@corp.example.org", account).p,
                                 "userAccountControl",
                                 control,
                                 "userPassword",
                                 "Correct Horse 1",
                                 NULL };
    put_entry(f, below(f, rdn, f->ldap->people_base), rows);
}

static void people_of_active_directory_log_in_by_their_account_names(void **state)
{
    struct fixture *f = *state;
    struct account a;
    like_active_directory(f);
    add_windows_user(f, "cn=Doe\\, John \\\"R&D\\\" (x=y)", "JDoe", ENABLED);
    add_windows_user(f, "cn=Gone", "gone", DISABLED);
    assert_int_equal(login(f, "jdoe", "Correct Horse 1"), RC_OK);
    assert_int_equal(get(f, "jdoe", &a), RC_OK);
    assert_true(view_eq(a.mail, VIEW("JDoe@corp.example.org")));
    assert_int_equal(login(f, "jdoe", "correct horse 1"), RC_DENIED);
    assert_int_equal(login(f, "JDoe", "Correct Horse 1"), RC_DENIED); /* names count in lower case */
    assert_int_equal(login(f, "gone", "Correct Horse 1"), RC_DENIED); /* disabled there */
    assert_int_equal(get(f, "gone", &a), RC_NOT_FOUND);
}

static void hostile_names_find_nobody_in_a_tree_of_others(void **state)
{
    struct fixture *f = *state;
    static const char *const odd[] = {
        "*",   "j*",     "jdoe)(cn=*", "*)(objectClass=*", "jdoe\\2a", "jdoe ",   " jdoe",
        "jdo", "cn=Doe", "jdoe,ou=x",  "\xef\xbb\xbfjdoe", "jdoe\n",   "\xff\xfe"
    };
    struct account a;
    like_active_directory(f);
    add_windows_user(f, "cn=John", "jdoe", ENABLED);
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        assert_int_equal(login(f, odd[i], "Correct Horse 1"), RC_DENIED);
        rc r = get(f, odd[i], &a);
        if (r != RC_NOT_FOUND)
            fail_msg("\"%s\": %s", odd[i], rc_name(r));
    }
}

static void two_people_of_one_name_are_nobody(void **state)
{
    struct fixture *f = *state;
    struct account a;
    like_active_directory(f);
    add_windows_user(f, "cn=First", "jdoe", ENABLED);
    add_windows_user(f, "cn=Second", "jdoe", ENABLED);
    assert_int_equal(login(f, "jdoe", "Correct Horse 1"), RC_DENIED);
    assert_int_equal(get(f, "jdoe", &a), RC_NOT_FOUND);
}

/* ---- groups ---- */

static bool in_group(struct fixture *f, const char *name, const char *group)
{
    bool in = true;
    struct err e = ERR_NONE;
    if (account_in_group(f->s, view_of(name), view_of(group), &f->arena, &in, &e) != RC_OK)
        fail_msg("%s", e.text);
    return in;
}

static void add_group(struct fixture *f, const char *name, const char *member, const char *note)
{
    const char *const rows[] = { "objectClass", "groupOfNames", "member", f->ldap->base, "member",
                                 member,        "description",  note,     NULL };
    put_entry(f, below(f, arena_text(&f->arena, "cn=%s", name).p, f->ldap->groups_base), rows);
}

static void open_groups(struct fixture *f, char *base)
{
    const char *const unit[] = { "objectClass", "organizationalUnit", NULL };
    f->ldap->groups_base = base;
    put_entry(f, base, unit);
    reopen(f);
}

static void members_of_a_group_are_told_from_others(void **state)
{
    struct fixture *f = *state;
    struct account_new n = fixture_user("anna", 7), m = fixture_user("be)rt", 8);
    char *base = text(f, below(f, "ou=groups", f->ldap->base));
    open_groups(f, base);
    fixture_add(f, &n);
    fixture_add(f, &m);
    const char *users = below(f, "ou=users", f->ldap->base);
    add_group(f, "admins", below(f, "uid=anna", users), "carl");
    add_group(f, "staff", below(f, "uid=be%29rt", users), "dora");
    assert_true(in_group(f, "anna", "admins"));
    assert_true(in_group(f, "be)rt", "staff"));
    assert_false(in_group(f, "anna", "staff"));
    assert_false(in_group(f, "ann", "admins"));
    assert_false(in_group(f, "carl", "admins"));
    static const char *const odd[] = { "*", "adm*", "admins)(cn=*", "", "admins\\2a", "nobody" };
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        assert_false(in_group(f, "anna", odd[i]));
        assert_false(in_group(f, odd[i], "admins"));
    }
    f->ldap->groups_member = text(f, "description"); /* as memberUid: names instead of entries */
    f->ldap->groups_value = text(f, "name");
    assert_true(in_group(f, "carl", "admins"));
    assert_false(in_group(f, "anna", "admins"));
    assert_false(in_group(f, "*", "admins"));
}

static void people_of_another_tree_are_members_by_their_entries_there(void **state)
{
    struct fixture *f = *state;
    like_active_directory(f);
    add_windows_user(f, "cn=John", "jdoe", ENABLED);
    add_windows_user(f, "cn=Gone", "gone", DISABLED);
    char *base = text(f, below(f, "ou=groups", f->ldap->people_base));
    open_groups(f, base);
    add_group(f, "admins", below(f, "CN=john", f->ldap->people_base), "x");
    add_group(f, "left", below(f, "cn=Gone", f->ldap->people_base), "x");
    assert_true(in_group(f, "jdoe", "admins"));
    assert_false(in_group(f, "gone", "left"));
    assert_false(in_group(f, "8f3a@api.example.com", "admins"));
}

static void groups_that_are_not_where_they_should_be_are_an_error(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_NONE;
    bool in;
    char *base = text(f, below(f, "ou=nowhere", f->ldap->base));
    f->ldap->groups_base = base;
    assert_int_equal(account_in_group(f->s, VIEW("anna"), VIEW("admins"), &f->arena, &in, &e), RC_BROKEN);
    assert_non_null(strstr(e.text, "ldap.groups_base"));
    f->ldap->groups_base = text(f, "");
    assert_false(in_group(f, "anna", "admins"));
}

/* ---- several servers ---- */

static void the_next_provider_is_asked_when_one_is_gone(void **state)
{
    struct fixture *f = *state;
    struct account a;
    char *dead = text(f, "ldapi://%2Fnonexistent%2Fldapi");
    char *uris[] = { dead, f->ldap->provider.items[0], dead };
    const struct conf_list before = f->ldap->provider;
    struct account_new n = fixture_user("anna", 7);
    struct change c = fixture_change(ATTR_EPOCH, "1", "2");
    f->ldap->provider = (struct conf_list){ .items = uris, .n = 3 };
    reopen(f);
    fixture_add(f, &n);
    assert_int_equal(login(f, "anna", "correct horse"), RC_OK);
    assert_int_equal(account_cas(f->s, VIEW("anna"), &c, 1, NULL), RC_OK);
    fixture_ldap_control("kill", "provider");
    assert_int_equal(get(f, "anna", &a), RC_AWAY);
    assert_int_equal(login(f, "anna", "correct horse"), RC_AWAY);
    assert_int_equal(account_cas(f->s, VIEW("anna"), &c, 1, NULL), RC_AWAY);
    fixture_ldap_control("start", "provider");
    assert_int_equal(get(f, "anna", &a), RC_OK);
    assert_int_equal(a.epoch, 2);
    assert_int_equal(login(f, "anna", "correct horse"), RC_OK);
    f->ldap->provider = before;
}

/* A write that an encrypted connection carried is the same write. */
static void all_is_done_over_encrypted_connections_alone(void **state)
{
    struct fixture *f = *state;
    const char *const names[] = { "HEDDLE_TEST_LDAP_TCP", "HEDDLE_TEST_LDAP_TLS" };
    const struct conf_list before = f->ldap->provider;
    char *no_ca = f->ldap->tls_ca;
    f->ldap->tls_ca = getenv("HEDDLE_TEST_LDAP_CA");
    f->ldap->start_tls = true;
    for (int i = 0; i < 2; i++) {
        char *uri[] = { getenv(names[i]) };
        const char *name = i ? "bert" : "anna";
        struct account_new n = fixture_user(name, 7 + i);
        struct change c = fixture_change(ATTR_EPOCH, "1", "2");
        f->ldap->provider = (struct conf_list){ .items = uri, .n = 1 };
        reopen(f);
        fixture_add(f, &n);
        assert_int_equal(login(f, name, "correct horse"), RC_OK);
        assert_int_equal(login(f, name, "wrong horse"), RC_DENIED);
        assert_int_equal(account_cas(f->s, view_of(name), &c, 1, NULL), RC_OK);
        assert_int_equal(account_cas(f->s, view_of(name), &c, 1, NULL), RC_CONFLICT);
        assert_int_equal(fixture_get(f, name).epoch, 2);
    }
    f->ldap->provider = before;
    f->ldap->tls_ca = no_ca;
    f->ldap->start_tls = false;
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(people_of_active_directory_log_in_by_their_account_names),
        TEST(hostile_names_find_nobody_in_a_tree_of_others),
        TEST(two_people_of_one_name_are_nobody),
        TEST(members_of_a_group_are_told_from_others),
        TEST(people_of_another_tree_are_members_by_their_entries_there),
        TEST(groups_that_are_not_where_they_should_be_are_an_error),
        TEST(the_next_provider_is_asked_when_one_is_gone),
        TEST(all_is_done_over_encrypted_connections_alone),
    };
    fixture_driver = &backend_ldap;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
